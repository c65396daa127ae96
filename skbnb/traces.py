# SPDX-License-Identifier: Apache-2.0
"""What was recorded, unchanged; which of it is wanted; save and load."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from . import accessor as accessor  # registers df.skb
from .config import SCOPES
from .errors import BusyError, OptionError, StreamError, TruncatedWarning
from .filters import Filter
from .names import Names
from .packets import Packets, to_pcapng
from .records import events_frame
from .schema import WITHIN
from .units import printable
from .views import TraceView
from .wire import MAGIC, TAP, Frame, Reader, checked
from .wire import Kind as FrameKind

if TYPE_CHECKING:
    from .panel import Panel

__all__ = ["Selection", "Trace", "load"]


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

    def mask(self, events: pd.DataFrame) -> npt.NDArray[np.bool_]:
        """Which rows of all events are chosen."""
        wanted = Filter(scope=self.effective_scope, pid=self.pid, comm=self.comm)
        chosen = wanted.mask(events)
        return np.ones(len(events), np.bool_) if chosen is None else chosen


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
    selection, source
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
        self._frames: tuple[Frame, ...] | None = None
        if frames is not None:
            self.fill(frames, truncated)

    def fill(self, frames: Iterable[Frame], truncated: str = "") -> None:
        """Give the trace its frames, once."""
        self._frames = tuple(frames)
        ended = any(frame.kind is FrameKind.END for frame in self._frames)
        self.truncated = "" if ended else truncated or "the stream has no end"

    @property
    def running(self) -> bool:
        """Whether it has no frames yet."""
        return self._frames is None

    @property
    def frames(self) -> tuple[Frame, ...]:
        """The frames as they came.

        Raises
        ------
        BusyError
            The trace is still running.
        """
        if self._frames is None:
            raise BusyError(
                "this trace is still running", "Stop it, or let its block or cell end."
            )
        return self._frames

    @functools.cached_property
    def events(self) -> pd.DataFrame:
        """The events of the selection, one row per clone, sorted by time."""
        chosen = self.selection.mask(self._all)
        # No row is copied where all are chosen.
        events = (
            self._all.copy(deep=False)
            if chosen.all()
            else self._all[chosen].reset_index(drop=True)
        )
        events.attrs["skbnb"] = self._about(chosen)
        return events

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
        other.__dict__["_all"] = self._all
        return other

    def save(self, path: str | FilePath) -> None:
        """Write the frames to a ``.skbt`` file.

        Raises
        ------
        OSError
            The file cannot be written.
        """
        with open(path, "wb") as file:
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
        hello = self._control(FrameKind.HELLO)
        return Packets(self._payloads(FrameKind.EVENTS), hello)

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

        return Panel(self, **options)

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        bundle: dict[str, Any] = TraceView(self.events)._repr_mimebundle_(**kwargs)
        return bundle

    def __repr__(self) -> str:
        state = "running" if self.running else f"{len(self.events)} events"
        return f"<skbnb.Trace: {state}, scope {self.selection.effective_scope}>"

    def _control(self, kind: FrameKind) -> dict[str, Any]:
        return next((f.fields for f in self.frames if f.kind is kind), {})

    def _about(self, chosen: npt.NDArray[np.bool_]) -> dict[str, Any]:
        hello, stats = self._control(FrameKind.HELLO), self._control(FrameKind.STATS)
        taps = self._control(FrameKind.TAPS)
        outside = self._all["scope"][~chosen].value_counts()
        known = bool(stats)
        return {
            "probe": hello.get("probe"),
            "coverage": hello.get("coverage", ""),
            "probes": hello.get("probes", {}),
            "buffer": hello.get("buffer"),
            "buffer_why": hello.get("buffer_why", ""),
            "layout": hello.get("layout"),
            "kernel": hello.get("kernel"),
            "snaplen": hello.get("snaplen"),
            "bytes_missing": hello.get("bytes_missing", ""),
            "source": self.source,
            "scope": self.selection.effective_scope,
            "filters": self.selection.filters,
            "others": {str(k): int(v) for k, v in outside.items() if v},
            "captured": int(self._all["kind"].isin(["clone", "failed"]).sum()),
            "calls": stats.get("calls"),
            "emitted": stats["calls"] - stats["lost"] - stats["limited"]
            if known
            else None,
            "lost": stats.get("lost"),
            "limited": stats.get("limited"),
            "failed": stats.get("failed"),
            "sightings_lost": stats.get("sightings_lost"),
            "tasks_lost": stats.get("tasks_lost"),
            "missed": stats.get("missed"),
            "skipped": stats.get("skipped"),
            "copies": stats.get("copies"),
            "copies_lost": stats.get("copies_lost"),
            "ends_lost": stats.get("ends_lost"),
            "untracked": stats.get("untracked"),
            "stacks_missing": stats["stacks_collided"] + stats["stacks_failed"]
            if known
            else None,
            "sent": self._sent(stats) if known else None,
            "skb_size": hello.get("skb_size"),
            "sniffers": [_sniffer(tap) for tap in taps["sockets"]] if taps else None,
            "more_sniffers": taps.get("more"),
            "max_events": hello.get("max_events"),
            "max_seconds": hello.get("max_seconds"),
            "duration": (stats["ended"] - stats["began"]) / 1e9 if known else None,
            "truncated": self.truncated,
            "ended": self._control(FrameKind.END).get("why", "truncated"),
        }

    def _sent(self, stats: dict[str, int]) -> int | None:
        """Packets that the scope's tasks handed to devices; of one process: unknown."""
        if self.selection.filters:
            return None
        within = WITHIN[self.selection.effective_scope]
        return sum(stats[f"sent_{scope.name.lower()}"] for scope in within)

    @functools.cached_property
    def _all(self) -> pd.DataFrame:
        hello, ready = self._control(FrameKind.HELLO), self._control(FrameKind.READY)
        payloads = self._payloads(FrameKind.EVENTS)
        if payloads and not (hello and ready):
            raise StreamError("events before a HELLO and a READY")
        stacks = self._payloads(FrameKind.STACKS)
        names = Names.of(self._control(FrameKind.SYMBOLS), stacks)
        sockets = b"".join(self._payloads(FrameKind.SOCKETS))
        return events_frame(payloads, hello, ready, names, sockets)

    def _payloads(self, kind: FrameKind) -> list[bytes]:
        return [frame.payload for frame in self.frames if frame.kind is kind]


def _sniffer(tap: Any) -> dict[str, Any]:
    """What is known of a packet socket, with names that print."""
    known = checked(tap, TAP, "a socket of a TAPS frame")
    return {
        name: printable(known[name]) if isinstance(known[name], str) else known[name]
        for name in TAP
    }


def load(path: str | FilePath) -> Trace:
    """Open a recording.

    A file that ends too early loads as far as it goes, with a `TruncatedWarning`.

    Raises
    ------
    StreamError
        The file cannot be read, or is no recording.
    """
    try:
        with open(path, "rb") as file:
            frames = list(Reader(file))
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
