# SPDX-License-Identifier: Apache-2.0
"""What a trace's DataFrame says about how it came to be."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from .grouping import combinations, numbered
from .units import counted

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

__all__ = ["FIRST_PROGRAMS", "Facts"]


FIRST_PROGRAMS = ("trace", "perf")
"""Ways to trace (``via``) by a handbook's first programs, with their mistakes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """How a frame was traced: ``df.attrs["skbnb"]``, and what its rows add up to.

    None is "unknown", and never the same as 0: an agent that was killed could not say
    how much was lost, and a frame that the user made says nothing at all.

    Attributes
    ----------
    clones, processes, failures, copied
        The frame's own rows: clones, processes, calls that gave NULL, and copies. A
        frame that was filtered has fewer than the trace.
    hidden
        Of the rows, those of others, whom whoever traced may not see; all of them
        together are no process.
    """

    clones: int
    processes: int
    failures: int
    copied: int
    hidden: int = 0

    via: str = "ring"
    probe: str | None = None
    coverage: str | None = None
    buffer: str | None = None
    buffer_why: str = ""
    kernel: str | None = None
    source: str | None = None
    sees: str | None = None
    scope: str | None = None
    emitted: int | None = None
    captured: int | None = None
    counted: int | None = None
    calls: int | None = None
    foreign: int | None = None
    lost: int | None = None
    lost_by: dict[str, int] = field(default_factory=dict)
    unaccounted: int | None = None
    clock_step: float | None = None
    failed: int | None = None
    sightings_lost: int | None = None
    tasks_lost: int | None = None
    missed: int | None = None
    skipped: int | None = None
    snaplen: int | None = None
    bytes_missing: str = ""
    copies_lost: int | None = None
    copies_missed: int | None = None
    ends_lost: int | None = None
    untracked: int | None = None
    stacks_missing: int | None = None
    others: dict[str, int] = field(default_factory=dict)
    filters: str = ""
    duration: float | None = None
    truncated: bool | str = False
    ended: str | None = None
    max_events: int | None = None
    max_seconds: float | None = None

    @classmethod
    def of(cls, df: pd.DataFrame) -> Facts:
        """Read them from a frame, which may say nothing."""
        said = df.attrs.get("skbnb", {})
        names = (f.name for f in fields(cls))
        known = {name: said[name] for name in names if said.get(name) is not None}
        known["processes"], counts = _calls(df)
        known["clones"] = counts.get("clone", 0)
        known["failures"] = counts.get("failed", 0)
        known["copied"] = counts.get("copy", 0)
        if known.get("sees") == "own":
            known["hidden"] = _hidden(df)
            known["processes"] -= bool(known["hidden"])
        return cls(**known)

    @property
    def noun(self) -> str:
        """What has a pid: to a first program that is each thread."""
        return "thread" if self.via in FIRST_PROGRAMS else "process"

    @property
    def loss(self) -> str:
        """How many clones are missing, as one phrase."""
        if self.lost is None:
            return "WARNING: lost unknown"
        said = f"{self.lost:,} lost"
        if self.why_lost:
            said += f": {self.why_lost}"
        return f"WARNING: {said}" if self.is_lossy else said

    @property
    def is_lossy(self) -> bool:
        """Whether more is lost than was past a limit that was asked for."""
        return (self.lost or 0) > self.lost_by.get("limit", 0)

    @property
    def why_lost(self) -> str:
        """What calls were lost by, with how many where there are several causes."""
        causes = [(n, self._cause(name)) for name, n in self.lost_by.items() if n]
        if len(causes) == 1:
            return causes[0][1]
        return ", ".join(f"{n:,} {cause}" for n, cause in causes)

    def _cause(self, name: str) -> str:
        if name == "full":
            is_perf = self.via == "ring" and self.buffer == "perf"
            return _WHY_FULL["perf" if is_perf else self.via]
        if name == "limit" and self.max_events is not None:
            return f"limit of {self.max_events:,} events"
        return _WHY_LOST[name]

    @property
    def discrepancy(self) -> str:
        """What in the account does not add up; empty for nothing."""
        said = []
        if self.captured != self.emitted and None not in (self.captured, self.emitted):
            said.append(f"{self.emitted:,} were sent and {self.captured:,} came")
        if self.unaccounted:
            said.append(f"{counted(self.unaccounted, 'call')} unaccounted for")
        return ", ".join(said)


# Of `wire.LOST`, in words.
_WHY_LOST = {"limit": "limit reached", "reader": "not read in time"}

# What the kernel gives for each call (`via`) -> why there can be a call without.
_WHY_FULL = {
    "ring": "ring full",
    "perf": "buffer full",
    "trace": "its line was overwritten, or read by another",
    "count": "no room for its process",
}


def _hidden(df: pd.DataFrame) -> int:
    """How many calls have no process that may be told (bpf/skb_viewer.h)."""
    others = df["pid"] == 0
    return int(df["clones"][others].sum() if "clones" in df else others.sum())


def _calls(df: pd.DataFrame) -> tuple[int, Mapping[Any, int]]:
    """How many processes made calls, and how many calls there are of each kind.

    Where they were only added up, they are clones.
    """
    process = numbered(df, "pid")
    if "kind" not in df:
        made = combinations([process])
        return len(made.rows), {"clone": int(df["clones"].sum())}
    kind = numbered(df, "kind")
    (who, which), rows = combinations([process, kind])
    counts = {
        value: int(rows[which == number].sum())
        for number, value in enumerate(kind.values)
    }
    return len(np.unique(who)), counts
