# SPDX-License-Identifier: Apache-2.0
"""What is known of a trace while it runs: counts, not events."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from .charts.model import Axis, Chart, Series
from .charts.palette import GREY, PALETTE
from .charts.rows import row_axis
from .frames import Frames
from .payloads import Form
from .schema import Kind
from .traces import Selection
from .units import counted, duration, nice, printable, si
from .wire import LOST, Frame, Payload
from .wire import Kind as FrameKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["Progress"]

_MAX_ROWS = 10
_MAX_BINS = 60
_NARROWEST = 0.1  # seconds


@dataclass
class Progress:
    """Counts of the frames that have come so far.

    Parameters
    ----------
    selection
        Which clones are counted by process and over time.

    Attributes
    ----------
    began
        When tracing began, by `time.monotonic`, in seconds; None: not yet.
    calls, lost, limited
        Of skb_clone() on the whole machine, as the agent counted them last; of those
        lost, how many were past the limit. None: it has not said yet.
    size
        Bytes of records.
    in_file
        How many of them are in a file, and not held in memory.
    clones
        Of the selection.
    """

    selection: Selection = field(default_factory=Selection)
    began: float | None = None
    calls: int | None = None
    lost: int | None = None
    limited: int = 0
    size: int = 0
    in_file: int = 0
    clones: int = 0
    _seen: int = 0
    _kept: int = 0
    _by_process: dict[int, tuple[str, int]] = field(default_factory=dict)
    _width: float = _NARROWEST
    _bins: NDArray[np.int64] = field(
        default_factory=lambda: np.zeros(_MAX_BINS, np.int64)
    )
    _form: Form = field(default_factory=Form)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, frames: Sequence[Frame]) -> None:
        """Count the frames that are new since the last call, by any thread."""
        with self._lock:
            self._take(frames)

    def _take(self, frames: Sequence[Frame]) -> None:
        new = frames[self._seen :]
        self._seen += len(new)
        if isinstance(frames, Frames):
            self.in_file = frames.in_file
        for frame in new:
            if frame.kind is FrameKind.HELLO:
                self._form = Form.of(frame.fields)
            elif frame.kind is FrameKind.READY:
                self.began = frame.fields["ts"] / 1e9
            elif frame.kind is FrameKind.PROGRESS:
                counts = frame.fields
                self.calls, self.limited = counts["calls"], counts["lost_limit"]
                lost = [counts[name] for name in LOST]
                self.lost = None if None in lost else sum(lost)
            elif frame.kind is FrameKind.EVENTS:
                self._take_records(frame.payload)

    def _take_records(self, payload: Payload) -> None:
        self.size += len(payload)
        records = self._form.records(payload)
        is_call = np.isin(records["kind"], [Kind.CLONE, Kind.FAILED])
        self._kept += int(is_call.sum())
        chosen = (records["kind"] == Kind.CLONE) & self.selection.of_records(records)
        pids, times = records["pid"][chosen], records["ts"][chosen] / 1e9
        self.clones += len(pids)
        if not len(pids):
            return
        names = records["comm"][chosen]
        found, first, counts = np.unique(pids, return_index=True, return_counts=True)
        for pid, row, count in zip(
            found.tolist(), first.tolist(), counts.tolist(), strict=True
        ):
            name = names[row].tobytes().split(b"\0")[0].decode("utf-8", "replace")
            self._by_process[pid] = name, self._by_process.get(pid, ("", 0))[1] + count
        self._take_times(times - (self.began or times[0]))

    def _take_times(self, t: NDArray[np.float64]) -> None:
        t = t.clip(min=0)
        # As time goes on the bins become wider, and no more.
        while t.max() >= self._width * _MAX_BINS:
            wider = nice(self._width * 1.5)
            place = (np.arange(_MAX_BINS) * self._width / wider + 1e-9).astype(int)
            self._bins = np.bincount(place, self._bins, _MAX_BINS).astype(np.int64)
            self._width = wider
        place = (t / self._width).astype(np.intp)
        self._bins += np.bincount(place, minlength=_MAX_BINS)

    def seconds(self) -> float:
        """How long tracing has been going on."""
        return 0.0 if self.began is None else max(time.monotonic() - self.began, 0.0)

    def line(self) -> str:
        """What a person wants to know while waiting, in one line."""
        seconds = self.seconds()
        rate = self.clones / seconds if seconds else 0.0
        scope = self.selection.effective_scope
        words = [
            duration(seconds),
            f"{counted(self.clones, 'clone')} of the {scope}"
            if scope != "all"
            else counted(self.clones, "clone"),
            *self._only(),
            f"{si(rate, '').rstrip()} a second",
            self._in_all(),
            self._loss(),
            self._where(),
        ]
        return " · ".join(words)

    def _only(self) -> list[str]:
        filters = self.selection.filters
        return [f"only {printable(filters)}"] if filters else []

    def _in_all(self) -> str:
        if self.calls is None:
            return "in all unknown"
        # What has come may be more than the agent had counted when it last said so.
        return f"{max(self.calls, self._kept):,} in all"

    def _loss(self) -> str:
        if self.lost is None:
            return "lost unknown"
        if self.lost > self.limited:
            return f"WARNING: {self.lost:,} lost"
        return f"{self.lost:,} lost" + (": limit reached" if self.limited else "")

    def _where(self) -> str:
        """Where the records are; of the file it is known what has come meanwhile."""
        held = max(self.size - self.in_file, 0)
        words = [f"{si(self.in_file, 'B')} recorded"] if self.in_file else []
        words += [f"{si(held, 'B')} held"] if held or not words else []
        return ", ".join(words)

    def _of(self) -> str:
        processes = counted(len(self._by_process), "process")
        so_far = f"so far {counted(self.clones, 'clone')} of {processes}"
        return " · ".join([so_far, *self._only()])

    def processes(self) -> Chart:
        """Chart the processes with the most clones so far, as bars."""
        most = sorted(self._by_process.items(), key=lambda one: -one[1][1])
        rest = most[_MAX_ROWS:]
        rows = [
            (f"{printable(name, 60)} {pid}", n) for pid, (name, n) in most[:_MAX_ROWS]
        ]
        if rest:
            others = f"{len(rest):,} other processes"
            rows.append((others, sum(n for _, (_, n) in rest)))
        totals = tuple(float(n) for _, n in rows)
        series = tuple(
            Series(name, GREY, [n], [row], [counted(n, "clone")])
            for row, (name, n) in enumerate(rows)
        )
        x = Axis("clones", 0, max([1, *totals]) * 1.15, whole=True)
        y = row_axis([name for name, _ in rows])
        return Chart(
            "bars", "Clones by process", self._of(), x, y, series, totals=totals
        )

    def timeline(self) -> Chart:
        """Chart the clones so far over time, as columns."""
        width = self._width
        last = int(min(self.seconds() / width + 1, _MAX_BINS))
        at = [(place + 0.5) * width for place in range(last)]
        counts = self._bins[:last].tolist()
        hover = [counted(n, "clone") for n in counts]
        series = (Series("clones", PALETTE[0], at, counts, hover),) if at else ()
        x = Axis("time since the cell began (s)", 0, max(last, 1) * width)
        y = Axis(f"clones per {width:g} s", 0, max([1, *counts]) * 1.05, whole=True)
        return Chart(
            "columns", "Clones over time", self._of(), x, y, series, width=width
        )
