# SPDX-License-Identifier: Apache-2.0
"""What was recorded, unchanged; which of it is wanted; save and load."""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from . import accessor as accessor  # registers df.skb
from . import files, moments
from .about import about, captured_in, others_in
from .config import SCOPES
from .content import Content
from .errors import BusyError, OptionError, StreamError, TruncatedWarning
from .facts import FIRST_PROGRAMS
from .filters import Filter
from .frames import Frames, opened
from .moments import Moment
from .packets import Packets, to_pcapng
from .parts import BEGIN, END, Choose, Key, Part
from .payloads import name_of
from .records import rows_frame
from .schema import WITHIN, Kind, Scope
from .views import TraceView
from .wire import MAGIC, Frame
from .wire import Kind as FrameKind

if TYPE_CHECKING:
    from .panel import Panel

__all__ = ["ROWS", "Selection", "Trace", "load"]

ROWS = 1_000_000
"""How many a part of a trace has, if nobody says."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which of the events a DataFrame holds.

    Parameters
    ----------
    scope
        ``cell``, ``notebook`` (the cell and the notebook around it) or ``all``. None:
        ``cell``, or ``all`` where a process is chosen.
    pid
        Only this process.
    comm
        Only threads of this name.
    """

    scope: Literal["cell", "notebook", "all"] | None = None
    pid: int | None = None
    comm: str | None = None

    def __post_init__(self) -> None:
        if self.scope is not None and self.scope not in SCOPES:
            raise OptionError(f"scope is {self.scope!r:.40}, not {', '.join(SCOPES)}")

    @property
    def effective_scope(self) -> str:
        """The scope that is meant."""
        chosen = self.pid is not None or self.comm is not None
        return self.scope or ("all" if chosen else "cell")

    @property
    def filters(self) -> str:
        """The other conditions, in words."""
        given = (("pid", self.pid), ("comm", self.comm))
        return ", ".join(
            f"{name} {value}" for name, value in given if value is not None
        )

    def of_all(self) -> Selection:
        """The same, of a trace that does not know whose tasks made the clones.

        Raises
        ------
        OptionError
            A scope was chosen.
        """
        if self.scope not in (None, "all"):
            raise OptionError(
                f"scope is {self.scope}, and whose the clones are is unknown here",
                "Leave scope away, or trace via ring or count.",
            )
        return replace(self, scope="all")

    def mask(self, events: pd.DataFrame) -> npt.NDArray[np.bool_]:
        """Which rows of all events are chosen."""
        wanted = Filter(scope=self.effective_scope, pid=self.pid, comm=self.comm)
        chosen = wanted.mask(events)
        return np.ones(len(events), np.bool_) if chosen is None else chosen

    @property
    def is_all(self) -> bool:
        """Whether every row is chosen."""
        return self.effective_scope == "all" and not self.filters

    def of_records(self, records: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
        """Which records of all are chosen, if they are calls."""
        mask = np.isin(records["scope"], WITHIN[self.effective_scope])
        if self.pid is not None:
            mask &= records["pid"] == self.pid
        if self.comm is not None:
            raw = np.ascontiguousarray(records["comm"]).view("S16")
            names, places = np.unique(raw, return_inverse=True)
            wanted = [name_of(name) == self.comm for name in names.tolist()]
            mask &= np.array(wanted, np.bool_)[places]
        return mask


class Trace:
    """One trace: the frames as they came.

    Parameters
    ----------
    frames
        From HELLO to END; None while the trace is running, until `fill`.
    selection
        Which events `events` holds.
    source
        ``live`` or ``recording``.
    truncated
        Why the frames end without END, if it is known.

    Attributes
    ----------
    selection
        As given.
    source
        As given.
    """

    def __init__(
        self,
        frames: Iterable[Frame] | None,
        *,
        selection: Selection | None = None,
        source: Literal["live", "recording"] = "live",
        truncated: str = "",
    ) -> None:
        self.selection = selection or Selection()
        self.source = source
        self._content: Content | None = None
        if frames is not None:
            self.fill(frames, truncated)

    def fill(self, frames: Iterable[Frame], truncated: str = "") -> None:
        """Give the trace its frames, once."""
        given = frames if isinstance(frames, Frames) else Frames(frames)
        self._content = Content(given)
        if self.via in FIRST_PROGRAMS:
            self.selection = self.selection.of_all()
        ended = given.first(FrameKind.END)
        self.truncated = "" if ended else truncated or "the stream has no end"

    @property
    def via(self) -> str:
        """What the kernel gave for each call: as in `skbnb.config.Config`."""
        return self._filled.via

    @property
    def running(self) -> bool:
        """Whether it has no frames yet."""
        return self._content is None

    @property
    def frames(self) -> Frames:
        """The frames as they came; those in a file are read when they are looked at.

        Raises
        ------
        BusyError
            The trace is still running.
        """
        return self._filled.frames

    @property
    def _filled(self) -> Content:
        if self._content is None:
            raise BusyError(
                "this trace is still running", "Stop it, or let its block or cell end."
            )
        return self._content

    @functools.cached_property
    def events(self) -> pd.DataFrame:
        """The events of the selection, one row per clone, sorted by time."""
        rows = self._filled.rows
        chosen = self.selection.mask(rows)
        # No row is copied where all are chosen.
        events = (
            rows.copy(deep=False)
            if chosen.all()
            else rows[chosen].reset_index(drop=True)
        )
        events.attrs["skbnb"] = self._about(captured_in(rows), others_in(rows, ~chosen))
        return events

    @property
    def outline(self) -> pd.DataFrame:
        """``events`` without the rows, which need not be made for it.

        It has the same columns and, in ``attrs``, the same is said of the trace.
        """
        if "events" in self.__dict__ or self.via == "count":
            return self.events.head(0)
        return self.between(stop=-math.inf)

    def between(
        self, start: Moment | None = None, stop: Moment | None = None
    ) -> pd.DataFrame:
        """The events of a time, for which no other rows are made.

        Of a recording little more is read than what this time takes in it; before the
        first time, once, all of it is looked through.

        Parameters
        ----------
        start, stop
            From when on, and up to when, which is not included: seconds since tracing
            began, as in the column ``t``; or points in time, as in the column ``time``
            (UTC, where they do not say). None: from the first one, and to the last.

        Returns
        -------
        pandas.DataFrame
            These rows of `events`, numbered from 0, with all that is known of them,
            also what was recorded later: it is the same value for value. Only the
            categories of a column of names are those that these rows have. ``attrs``
            is about the whole trace.

        Raises
        ------
        OptionError
            This is no time, or the trace has none: one via ``count`` is of sums.
        """
        if self.via == "count":
            raise OptionError("a trace via count has sums, and no times", "Use events.")
        told = self._filled.told
        return self._part(
            Key(moments.at(start, told), 0) if start is not None else BEGIN,
            Key(moments.at(stop, told), 0) if stop is not None else END,
        )

    def partitions(self, rows: int = ROWS) -> Iterator[pd.DataFrame]:
        """All events, so many at a time, with no more of them in memory.

        Parameters
        ----------
        rows
            How many each frame has; the last one has the rest.

        Yields
        ------
        pandas.DataFrame
            As `between` gives it. One without rows, if there are none at all.

        Raises
        ------
        OptionError
            That is no number of rows.
        """
        if rows < 1:
            raise OptionError(f"rows is {rows!r:.40}", "Take a million or so.")
        if self.via == "count":
            whole = self.events
            for start in range(0, max(len(whole), 1), rows):
                yield whole.iloc[start : start + rows].reset_index(drop=True)
            return
        for since, until in self._filled.index.cuts(rows, self._choose):
            yield self._part(since, until)

    def to_parquet(
        self,
        folder: str | FilePath,
        *,
        rows: int = ROWS,
        progress: Callable[[int, int], None] | None = None,
    ) -> int:
        """Write the events as a folder of Parquet files; see `parquet.to_parquet`.

        ::

            skbnb.load("long.skbt").to_parquet("long/")

        Parameters
        ----------
        folder
            It must be empty, or not there yet.
        rows
            How many each file has at most.
        progress
            Called with how many rows have been written, and of how many.

        Returns
        -------
        int
            How many files there are.

        Raises
        ------
        OptionError
            There is something in the folder, or pyarrow is not installed.
        OSError
            It cannot be written.
        """
        from .parquet import to_parquet

        told = progress or (lambda done, total: None)
        return to_parquet(
            self.partitions(rows), folder, lambda done: told(done, self._rows)
        )

    @property
    def _rows(self) -> int:
        """How many `events` has, which are not made for it."""
        if "events" in self.__dict__ or self.via == "count":
            return len(self.events)
        return int(self._tally.sum())

    @functools.cached_property
    def _tally(self) -> npt.NDArray[np.int64]:
        """How many events there are of each kind and scope."""
        if self.selection.is_all:
            return self._filled.index.tally
        return self._filled.index.count(self.selection.of_records)

    @property
    def _choose(self) -> Choose | None:
        return None if self.selection.is_all else self.selection.of_records

    def _part(self, since: Key, until: Key) -> pd.DataFrame:
        content = self._filled
        part = Part(content.index, since, until, self._choose)
        rows = rows_frame(part, content.told)
        all_calls = content.index.tally
        captured = int(all_calls[[Kind.CLONE, Kind.FAILED]].sum())
        rows.attrs["skbnb"] = self._about(captured, self._others(all_calls))
        return rows

    def _others(self, all_calls: npt.NDArray[np.int64]) -> dict[str, int]:
        """Scope -> how many calls are not chosen; the most first."""
        if self.via != "ring":
            return {}
        left = (all_calls - self._tally).sum(axis=0)
        found = {scope.name.lower(): int(left[scope]) for scope in reversed(Scope)}
        most = sorted(found.items(), key=lambda one: -one[1])
        return {scope: n for scope, n in most if n}

    def select(
        self,
        scope: Literal["cell", "notebook", "all"] | None = None,
        *,
        pid: int | None = None,
        comm: str | None = None,
    ) -> pd.DataFrame:
        """Other events of the same trace: everything was recorded.

        Parameters
        ----------
        scope, pid, comm
            As in `Selection`.

        Returns
        -------
        pandas.DataFrame
            As `events`.
        """
        return self.replace(Selection(scope, pid, comm)).events

    def replace(self, selection: Selection) -> Trace:
        """The same trace with another selection."""
        other = Trace(
            self.frames,
            selection=selection,
            source=self.source,
            truncated=self.truncated,
        )
        other._content = self._content
        return other

    def save(self, path: str | FilePath) -> None:
        """Write the frames to a ``.skbt`` file.

        Raises
        ------
        OSError
            The file cannot be written; one that was there before stays.
        """
        with files.whole(path) as file:
            file.write(MAGIC)
            for frame in self.frames:
                file.write(frame.pack())

    @functools.cached_property
    def packets(self) -> Packets:
        """The first bytes of packets, by the column ``packet``.

        Raises
        ------
        OptionError
            The trace was made without ``--snaplen``.
        """
        content = self._filled
        return Packets(content.frames.payloads(FrameKind.EVENTS), content.told.hello)

    def to_pcapng(self, path: str | FilePath, rows: pd.DataFrame | None = None) -> int:
        """Write packets for Wireshark or tcpdump; see `packets.to_pcapng`.

        Parameters
        ----------
        path
            The file.
        rows
            Some rows of this trace; by default, `events`.

        Returns
        -------
        int
            How many packets it has: those of which some bytes were kept.

        Raises
        ------
        OptionError
            The trace was made without ``--snaplen``.
        OSError
            The file cannot be written.
        """
        return to_pcapng(self.packets, self.events if rows is None else rows, path)

    def panel(self, **options: Any) -> Panel:
        """Widgets to look through all events of the trace with; see `panel.Panel`."""
        from .panel import Panel

        if self.via != "ring":
            raise OptionError(
                f"a trace via {self.via} has too little for the panel",
                "Trace via ring.",
            )
        return Panel(self, **options)

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        bundle: dict[str, Any] = TraceView(self.events)._repr_mimebundle_(**kwargs)
        return bundle

    def __repr__(self) -> str:
        state = "running" if self.running else f"{self._rows} events"
        return f"<skbnb.Trace: {state}, scope {self.selection.effective_scope}>"

    def _about(self, captured: int, others: Mapping[str, int]) -> dict[str, Any]:
        hello, stats, taps, end = (
            self._filled.fields(kind)
            for kind in (
                *(FrameKind.HELLO, FrameKind.STATS, FrameKind.TAPS, FrameKind.END),
            )
        )
        return {
            **about(hello, stats, taps, captured, others, self.selection),
            "source": self.source,
            "truncated": self.truncated,
            "ended": end.get("why", "truncated"),
        }


def load(path: str | FilePath) -> Trace:
    """Open a recording.

    It is mapped: read when and as far as it is looked at, and not kept in memory. A
    pipe, of which that cannot be done, is read as a whole.

    A file that ends too early loads as far as it goes, with a `TruncatedWarning`. One
    that is still being written is what had been written of it.

    Somebody may remove the file meanwhile, or put another in its place, as `Trace.save`
    and ``record`` do: the trace stays what it was. If somebody makes the file itself
    shorter, what is looked at next raises a `StreamError`; but if that happens in the
    instant in which it is being read, the kernel ends this process with SIGBUS. (A
    notebook then says that its kernel died, and ``faulthandler``, which Jupyter
    enables, says where.)

    Raises
    ------
    StreamError
        The file cannot be read, or is no recording.
    """
    try:
        frames = opened(path)
    except OSError as error:
        raise StreamError(f"cannot read {path}: {error.strerror}") from None
    trace = Trace(frames, source="recording")
    if trace.truncated:
        warnings.warn(
            f"{path} ends too early ({trace.truncated}): it is shown as far as it goes",
            TruncatedWarning,
            stacklevel=2,
        )
    return trace
