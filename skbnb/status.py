# SPDX-License-Identifier: Apache-2.0
"""A line in a terminal that says how far a running trace is, over and over."""

from __future__ import annotations

import contextlib
import os
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TextIO

    from .progress import Progress
    from .wire import Frame

__all__ = ["StatusLine"]

SECONDS = 0.35
"""From one look to the next."""

# As ECMA-48 and DEC's VT100 have them. What a cell prints ends where the cursor is: the
# line stands below, and all from the cursor on is ours to clear.
_CLEAR = "\x1b[J"
_ROOM_BELOW = "\x1bD\x1bM"
_KEEP, _DOWN, _BACK = "\x1b7", "\x1b[B\r", "\x1b8"


class StatusLine:
    """Rewritten in place while a trace runs, until it is cleared.

    Parameters
    ----------
    progress
        Counts what comes.
    frames
        Gives what has come so far.
    stream
        A terminal; to anything else nothing is written.
    """

    def __init__(
        self,
        progress: Progress,
        frames: Callable[[], Sequence[Frame]],
        stream: TextIO,
    ) -> None:
        self._progress = progress
        self._frames = frames
        self._stream = stream
        self._ended = threading.Event()
        self._thread = threading.Thread(
            target=self._follow, name="skbnb-status", daemon=True
        )
        if stream.isatty():
            self._thread.start()

    def end(self) -> None:
        """Take the line away."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def _follow(self) -> None:
        # A terminal that is gone needs no line.
        with contextlib.suppress(OSError, ValueError):
            while not self._ended.wait(SECONDS):
                self._progress.take(self._frames())
                self._write(f"{_ROOM_BELOW}{_CLEAR}{_KEEP}{_DOWN}{self._line()}{_BACK}")
            self._write(_CLEAR)

    def _line(self) -> str:
        """As much of it as fits into one row of the terminal."""
        line = self._progress.line()
        room = (os.get_terminal_size(self._stream.fileno()).columns or 80) - 1
        return line if len(line) <= room else line[: room - 1] + "…"

    def _write(self, text: str) -> None:
        # At once, so that nothing of the cell's comes in between.
        self._stream.write(text)
        self._stream.flush()
