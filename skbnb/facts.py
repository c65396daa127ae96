# SPDX-License-Identifier: Apache-2.0
"""What a trace's DataFrame says about how it came to be."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from .grouping import combinations, numbered

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
    limited: int | None = None
    failed: int | None = None
    sightings_lost: int | None = None
    tasks_lost: int | None = None
    missed: int | None = None
    skipped: int | None = None
    snaplen: int | None = None
    bytes_missing: str = ""
    copies_lost: int | None = None
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
        counts = _kinds(df)
        known["clones"] = int(counts.get("clone", 0))
        known["failures"] = int(counts.get("failed", 0))
        known["copied"] = int(counts.get("copy", 0))
        known["processes"] = len(combinations([numbered(df, "pid")]).rows)
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
        if not self.lost:
            return "0 lost"
        return f"WARNING: {self.lost:,} lost: {self.why_lost}"

    @property
    def why_lost(self) -> str:
        """What a call is lost by, if any is."""
        is_perf = self.via == "ring" and self.buffer == "perf"
        return _WHY_LOST["perf" if is_perf else self.via]


# What the kernel gives for each call (`via`) -> why there can be a call without.
_WHY_LOST = {
    "ring": "ring full",
    "perf": "buffer full",
    "trace": "its line was overwritten, or read by another",
    "count": "no room for its process",
}


def _hidden(df: pd.DataFrame) -> int:
    """How many calls have no process that may be told (bpf/skb_viewer.h)."""
    others = df["pid"] == 0
    return int(df["clones"][others].sum() if "clones" in df else others.sum())


def _kinds(df: pd.DataFrame) -> Mapping[Any, int]:
    """How many calls of each kind; where they were only added up, clones."""
    if "kind" in df:
        return df["kind"].value_counts().to_dict()
    return {"clone": int(df["clones"].sum())}
