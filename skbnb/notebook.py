# SPDX-License-Identifier: Apache-2.0
"""What one notebook has: a warm agent, one trace at a time, and the last one."""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
import warnings
from typing import TYPE_CHECKING, Literal

from .config import Config
from .errors import BusyError, LossWarning, OptionError, SkbnbError, TruncatedWarning
from .session import Session, interrupts_held
from .transport import ReplayTransport, Transport, from_environment

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from .traces import Selection, Trace
    from .wire import Frame

__all__ = [
    "Tracing",
    "agent",
    "claim",
    "last_trace",
    "release",
    "shut_down",
    "stand_in",
    "trace",
    "warm_up",
    "warn",
]


class Tracing:
    """A trace of this notebook, as a context manager; made by `trace`."""

    def __init__(
        self,
        selection: Selection,
        config: Config,
        record: str | os.PathLike[str] | None,
        transport: Transport | None,
    ) -> None:
        self._selection = selection
        self._config = config
        self._record = record
        self._transport = transport
        self._session: Session | None = None

    def begin(self) -> Trace:
        """Attach, and give the trace that `end` fills.

        Raises
        ------
        BusyError
            A trace is running in this notebook already.
        SkbnbError
            Why it cannot be.
        """
        from .traces import Trace

        _notebook.claim(self)
        try:
            transport = self._transport or _notebook.transport()
            self._session = Session(transport, self._config, record=self._record)
            self._session.start()
        except BaseException:
            _notebook.release(self)
            raise
        replayed = isinstance(transport, ReplayTransport)
        source: Literal["live", "recording"] = "recording" if replayed else "live"
        self.trace = Trace(None, selection=self._selection, source=source)
        return self.trace

    def end(self) -> Trace:
        """Detach, fill the trace, and keep it as ``skbnb.last``."""
        assert self._session
        with interrupts_held():
            self._session.stop()
            self.trace.fill(self._session.frames, self._session.truncated)
            _notebook.last = self.trace
            _notebook.release(self)
        if self._session.complaint:
            warnings.warn(self._session.complaint, RuntimeWarning, stacklevel=3)
        return self.trace

    def so_far(self) -> Sequence[Frame]:
        """The frames that have come so far, and those that come later, too."""
        return self._session.frames if self._session else ()

    def __enter__(self) -> Trace:
        return self.begin()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self.end()
        warn(self.trace)


def warn(trace: Trace) -> None:
    """Say what is missing from a trace that nobody displays."""
    from .facts import Facts

    facts = Facts.of(trace.outline)
    if facts.truncated:
        warnings.warn(
            f"the trace is truncated: {facts.truncated}", TruncatedWarning, stacklevel=3
        )
    if facts.is_lossy:
        warnings.warn(
            f"{facts.lost:,} of {facts.calls:,} clones lost: {facts.why_lost}",
            LossWarning,
            stacklevel=3,
        )
    if facts.discrepancy:
        warnings.warn(facts.discrepancy, LossWarning, stacklevel=3)


def trace(
    *,
    scope: Literal["cell", "notebook", "all"] | None = None,
    pid: int | None = None,
    comm: str | None = None,
    probe: str = "auto",
    via: str = "ring",
    max_events: int | None = None,
    max_seconds: float | None = None,
    buffer: str = "auto",
    layout: str = "auto",
    stacks: bool = False,
    also: Literal["nothing", "copy"] = "nothing",
    follow: bool = False,
    snaplen: int = 0,
    ring_mib: int = Config.ring_mib,
    record: str | os.PathLike[str] | None = None,
    transport: Transport | None = None,
) -> Tracing:
    """Trace what runs inside a ``with`` block.

    Parameters
    ----------
    scope, pid, comm
        Which events `Trace.events` holds, as in `Selection`; all are recorded.
    probe
        How skb_clone() is seen; ``auto`` takes the first probe that attaches.
    via
        What the kernel gives for each call: ``ring``, all that is known of it; ``perf``
        or ``trace``, what a handbook's first programs give; ``count``, a sum for each
        process.
    max_events
        Keep at most this many clones of the whole machine, and count the others.
    max_seconds
        Stop tracing after this many seconds; the block goes on.
    stacks
        Whether every event's kernel stack is kept, in the column ``stack``.
    also
        What else to record: ``copy``, packets that are copied and not cloned.
    follow
        Whether each clone's end is recorded, in the columns ``fate``, ``drop_reason``
        and ``life``.
    snaplen
        How many of the first bytes of each packet to keep: see `Trace.packets`.
    buffer, layout, ring_mib
        How records come from the kernel, where its struct members are learnt, and how
        large the buffer is: see `skbnb.config.Config`.
    record
        A file that gets the stream as it comes. The trace is kept there, and not in
        memory: what comes after the disk is full is, with a warning.
    transport
        Where frames come from; by default the notebook's warm agent.

    Returns
    -------
    Tracing
        A context manager that gives a `Trace`, filled when the block ends.

    Raises
    ------
    OptionError
        A value is of no use.
    """
    from .facts import FIRST_PROGRAMS
    from .traces import Selection

    if pid is not None:
        check_pid(pid)
    config = Config(
        cell_tid=threading.get_native_id(),
        notebook_pid=os.getpid(),
        probe=probe,
        via=via,
        buffer=buffer,
        layout=layout,
        stacks=stacks,
        also=also,
        follow=follow,
        snaplen=snaplen,
        ring_mib=ring_mib,
        max_events=max_events,
        max_seconds=max_seconds,
    )
    selection = Selection(scope, pid, comm)
    if via in FIRST_PROGRAMS:
        selection = selection.of_all()
    return Tracing(selection, config, record, transport)


def check_pid(pid: int) -> None:
    """Raise OptionError if no process has this id."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return
    except (ProcessLookupError, OverflowError):
        raise OptionError(
            f"no process has the id {pid}", "Look it up with `ps`."
        ) from None


class _Notebook:
    """What one Python process has: a transport, the running trace, the last one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._transport: Transport | None = None
        self._environment: str | None = None
        self._running: object = None
        self.stand_in: Transport | None = None
        self.last: Trace | None = None

    def claim(self, run: object) -> None:
        with self._lock:
            if self._running:
                raise BusyError("a trace is running in this notebook already")
            self._running = run

    def release(self, run: object) -> None:
        with self._lock:
            if self._running is run:
                self._running = None

    def transport(self) -> Transport:
        if self.stand_in:
            return self.stand_in
        with self._lock:
            wanted = os.environ.get("SKBNB_AGENT")
            current = self._transport
            if current and not (current.usable and wanted == self._environment):
                current.close()
                current = None
            self._transport = current or from_environment()
            self._environment = wanted
            return self._transport

    def close(self) -> None:
        with self._lock:
            transport, self._transport = self._transport, None
        if transport:
            transport.close()


_notebook = _Notebook()
atexit.register(_notebook.close)


def claim(run: object) -> None:
    """Say that something runs that asks the agent, until `release`.

    Raises
    ------
    BusyError
        Something else does.
    """
    _notebook.claim(run)


def release(run: object) -> None:
    """Say that it has ended."""
    _notebook.release(run)


def agent() -> Transport:
    """The notebook's warm agent."""
    return _notebook.transport()


def stand_in(transport: Transport | None) -> None:
    """Take the frames of traces to come from here; None: from the agent again."""
    _notebook.stand_in = transport


def last_trace() -> Trace | None:
    """The trace that ended last in this process."""
    return _notebook.last


def warm_up() -> None:
    """Start the agent in the background, so that the first trace finds it ready."""

    def start() -> None:
        # What goes wrong goes wrong again, and is raised, at the first trace.
        with contextlib.suppress(SkbnbError, OSError):
            _notebook.transport()

    threading.Thread(target=start, name="skbnb-warm-up", daemon=True).start()


def shut_down() -> None:
    """End this process's agent, if there is one."""
    _notebook.close()
