# SPDX-License-Identifier: Apache-2.0
"""What was recorded, unchanged; which of it is wanted; save and load."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from . import accessor as accessor  # registers df.skb
from .about import about
from .config import SCOPES, WAYS
from .errors import BusyError, OptionError, StreamError, TruncatedWarning
from .facts import FIRST_PROGRAMS
from .filters import Filter
from .names import Names
from .packets import Packets, to_pcapng
from .records import events_frame
from .tallies import tallies_frame
from .views import TraceView
from .wire import MAGIC, Frame, Reader
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
        self._frames: tuple[Frame, ...] | None = None
        if frames is not None:
            self.fill(frames, truncated)

    def fill(self, frames: Iterable[Frame], truncated: str = "") -> None:
        """Give the trace its frames, once."""
        self._frames = tuple(frames)
        if self.via in FIRST_PROGRAMS:
            self.selection = self.selection.of_all()
        ended = any(frame.kind is FrameKind.END for frame in self._frames)
        self.truncated = "" if ended else truncated or "the stream has no end"

    @property
    def via(self) -> str:
        """What the kernel gave for each call: as in `skbnb.config.Config`."""
        via: str = self._control(FrameKind.HELLO).get("via", "ring")
        if via not in WAYS:
            raise StreamError(f"a trace via {via!r:.40}, which is no way to trace")
        return via

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
        state = "running" if self.running else f"{len(self.events)} events"
        return f"<skbnb.Trace: {state}, scope {self.selection.effective_scope}>"

    def _control(self, kind: FrameKind) -> dict[str, Any]:
        return next((f.fields for f in self.frames if f.kind is kind), {})

    def _about(self, chosen: npt.NDArray[np.bool_]) -> dict[str, Any]:
        hello, stats, taps = (
            self._control(kind)
            for kind in (FrameKind.HELLO, FrameKind.STATS, FrameKind.TAPS)
        )
        return {
            **about(hello, stats, taps, self._all, chosen, self.selection),
            "source": self.source,
            "truncated": self.truncated,
            "ended": self._control(FrameKind.END).get("why", "truncated"),
        }

    @functools.cached_property
    def _all(self) -> pd.DataFrame:
        if self.via == "count":
            return tallies_frame(self._payloads(FrameKind.TALLIES))
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
