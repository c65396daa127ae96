# SPDX-License-Identifier: Apache-2.0
"""What a trace says of itself: ``df.attrs["skbnb"]``, which every view reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .facts import FIRST_PROGRAMS
from .schema import WITHIN
from .units import printable
from .wire import LOST, PARTS, TAP, checked

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from .traces import Selection

__all__ = ["about", "captured_in", "others_in"]

Fields = Mapping[str, Any]

_OF_HELLO = (
    *("probe", "buffer", "layout", "kernel", "sees", "snaplen", "skb_size"),
    *("max_events", "max_seconds"),
)
_OF_STATS = ("calls", "emitted", "missed", "tasks_lost", "skipped", "foreign")

# And what only records tell.
_OF_RECORDS = (
    *("failed", "sightings_lost", "copies", "copies_lost", "copies_missed"),
    *("ends_lost", "untracked"),
)

# A wall clock that runs faster or slower to catch up (NTP) takes the monotonic one with
# it, so between the two there are only steps, and what it took to read them.
_NO_STEP_NS = 50_000_000


def about(
    hello: Fields,
    stats: Fields,
    taps: Fields,
    captured: int,
    others: Mapping[str, int],
    selection: Selection,
) -> dict[str, Any]:
    """What the frames say, and what their rows add up to; None is unknown.

    Parameters
    ----------
    hello, stats, taps
        The fields of these frames; none of those that have not come.
    captured
        Calls that are in the trace's rows.
    others
        Scope -> how many rows are not shown.
    selection
        In words.
    """
    via = hello.get("via", "ring")
    known = dict(stats)
    if via != "ring":
        known = {k: v for k, v in known.items() if k not in _OF_RECORDS}
    with_records = bool(stats) and via == "ring"
    return {
        "via": via,
        "coverage": hello.get("coverage", ""),
        "probes": hello.get("probes", {}),
        "buffer_why": hello.get("buffer_why", ""),
        "bytes_missing": hello.get("bytes_missing", ""),
        **{name: hello.get(name) for name in _OF_HELLO},
        "scope": selection.effective_scope,
        "filters": selection.filters,
        "others": dict(others),
        "captured": captured,
        **_account(stats),
        "clock_step": _clock_step(hello, stats),
        "counted": stats.get("counted") if via in FIRST_PROGRAMS else None,
        **{name: known.get(name) for name in _OF_STATS + _OF_RECORDS},
        "stacks_missing": stats["stacks_collided"] + stats["stacks_failed"]
        if with_records
        else None,
        "sent": _sent(stats, selection) if with_records else None,
        "sniffers": [_sniffer(tap) for tap in taps["sockets"]] if taps else None,
        "more_sniffers": taps.get("more"),
        "duration": (stats["ended"] - stats["began"]) / 1e9 if stats else None,
    }


def _account(stats: Fields) -> dict[str, Any]:
    """What was lost, by cause; and calls that the agent's counts do not account for."""
    if not stats:
        return dict.fromkeys(("lost", "lost_by", "unaccounted"))
    by_cause = {name.partition("_")[2]: stats[name] for name in LOST}
    return {
        "lost": sum(by_cause.values()),
        "lost_by": by_cause,
        "unaccounted": stats["calls"] - sum(stats[name] for name in PARTS),
    }


def _clock_step(hello: Fields, stats: Fields) -> float | None:
    """By how many seconds the wall clock was set meanwhile."""
    if not (hello and stats):
        return None
    before, after = (said["realtime"] - said["monotonic"] for said in (hello, stats))
    step: int = after - before
    return 0.0 if abs(step) < _NO_STEP_NS else step / 1e9


def captured_in(rows: pd.DataFrame) -> int:
    """Calls that are in the rows."""
    if "kind" in rows:
        # Of few rows in a tenth of the time that isin() takes.
        return sum(int((rows["kind"] == kind).sum()) for kind in ("clone", "failed"))
    return int(rows["clones"].sum())


def others_in(rows: pd.DataFrame, others: npt.NDArray[np.bool_]) -> dict[str, int]:
    """Scope -> how many of these rows, or of the calls that they add up."""
    if "scope" not in rows:
        return {}
    scopes = rows["scope"][others]
    if "clones" in rows:
        counts = rows["clones"][others].groupby(scopes, observed=True).sum()
    else:
        counts = scopes.value_counts()
    return {str(scope): int(n) for scope, n in counts.items() if n}


def _sent(stats: Fields, selection: Selection) -> int | None:
    """Packets that the scope's tasks handed to devices; of one process: unknown."""
    if selection.filters:
        return None
    within = WITHIN[selection.effective_scope]
    total: int = sum(stats[f"sent_{scope.name.lower()}"] for scope in within)
    return total


def _sniffer(tap: Any) -> dict[str, Any]:
    """What is known of a packet socket, with names that print."""
    known = checked(tap, TAP, "a socket of a TAPS frame")
    return {
        name: printable(known[name]) if isinstance(known[name], str) else known[name]
        for name in TAP
    }
