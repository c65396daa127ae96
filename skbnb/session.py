# SPDX-License-Identifier: Apache-2.0
"""One tracing run, from attach to detach."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from typing import TYPE_CHECKING

from .config import Request
from .errors import AgentLostError
from .frames import Frames
from .recording import Recording
from .transport import Transport
from .wire import Kind

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator

__all__ = ["PATIENCE", "Session", "interrupts_held"]

# Seconds without a frame, while one is due, before the agent is given up.
PATIENCE = 120.0


class Session:
    """One trace, or one count: `start`, run what is to be traced, `stop`.

    Parameters
    ----------
    transport
        Where frames come from.
    request
        What is asked of it.
    record
        A file that gets the frames as they come, in the place of memory.
    waiting
        Called again and again while it attaches.

    Attributes
    ----------
    frames
        What has come so far.
    """

    def __init__(
        self,
        transport: Transport,
        request: Request,
        *,
        record: str | os.PathLike[str] | None = None,
        patience: float = PATIENCE,
        waiting: Callable[[], None] | None = None,
    ) -> None:
        self._transport = transport
        self._request = request
        self._waiting = waiting
        self._patience = patience
        self.frames = Frames()
        self._error: Exception | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._collect, name="skbnb", daemon=True)
        self._recording = None if record is None else Recording(record, self.frames)

    def start(self) -> None:
        """Attach; when this returns every clone from now on is recorded.

        Raises
        ------
        SkbnbError
            Why it cannot be; nothing is left attached.
        """
        with interrupts_held() as held:
            self._transport.start(self._request)
            self._thread.start()
            seen, since = 0, time.monotonic()
            while not self._ready.wait(0.1):
                if len(self.frames) != seen:
                    seen, since = len(self.frames), time.monotonic()
                if self._waiting:
                    self._waiting()
                if held or time.monotonic() - since > self._patience:
                    self._give_up("did not attach")
            if held:  # as it became ready: nobody would stop it
                self._give_up("did not attach")
        if not self.frames.first(Kind.READY):
            self._end_recording()
            raise self._error or AgentLostError("the agent ended before it attached")

    def stop(self) -> None:
        """Detach and wait for the last frame.

        An interrupt is held until then; a second one gives the agent up.
        """
        with interrupts_held() as held:
            self._transport.stop()
            seen, since = -1, time.monotonic()
            while self._thread.is_alive():
                self._thread.join(0.2)
                if len(self.frames) != seen:
                    seen, since = len(self.frames), time.monotonic()
                if len(held) > 1 or time.monotonic() - since > self._patience:
                    self._give_up("did not answer")
            self._end_recording()

    def _give_up(self, what: str) -> None:
        self._transport.close()
        self._thread.join()
        self._error = AgentLostError(f"the agent {what} in time")

    @property
    def truncated(self) -> str:
        """Why the frames end too early; empty if they do not."""
        return str(self._error.args[0]) if self._error else ""

    @property
    def complaint(self) -> str:
        """Why the recording does not have all frames; empty if it has."""
        return self._recording.complaint if self._recording else ""

    def _collect(self) -> None:
        try:
            for frame in self._transport.frames():
                if self._recording:
                    self._recording.take(frame)
                else:
                    self.frames.append(frame)
                if frame.kind is Kind.READY:
                    self._ready.set()
        except Exception as error:
            self._error = error
        finally:
            self._ready.set()

    def _end_recording(self) -> None:
        if self._recording:
            self._recording.close()


@contextlib.contextmanager
def interrupts_held() -> Iterator[list[int]]:
    """Hold Ctrl-C while something must be done in full, and deliver it afterwards.

    Gives the list that the signals are put into. Only the main thread is ever
    interrupted.
    """
    held: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield held
        return
    before = signal.signal(signal.SIGINT, lambda number, _: held.append(number))
    try:
        yield held
    finally:
        signal.signal(signal.SIGINT, before or signal.default_int_handler)
    if held:
        signal.raise_signal(signal.SIGINT)
