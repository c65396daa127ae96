# SPDX-License-Identifier: Apache-2.0
"""A file that gets the frames of a trace as they come, and gives them back."""

from __future__ import annotations

import contextlib
import os
import stat
import threading
from typing import TYPE_CHECKING

from . import files
from .errors import OptionError
from .frames import Frames, mapped
from .units import si
from .wire import MAGIC, Frame, Payload, pack_header

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Recording"]


class Recording:
    """What is written to it is not kept in memory: it is read from the file again.

    When nothing more can be written, the file ends with the last whole frame, and the
    frames from there on are kept in memory. So are all of them where the file is a pipe
    or a device, of which nothing can be read again.

    Parameters
    ----------
    path
        The file; one that is there is replaced.
    frames
        Get to know all frames, wherever they are.

    Attributes
    ----------
    complaint
        Why the file does not have all frames; empty if it has.

    Raises
    ------
    OptionError
        There cannot be such a file.
    """

    def __init__(self, path: str | os.PathLike[str], frames: Frames) -> None:
        self._path = path
        self._frames = frames
        self.complaint = ""
        try:
            self._file = files.new(path)
        except OSError as error:
            raise OptionError(
                f"cannot write {path}: {error.strerror}", "Choose another file."
            ) from None
        self._is_kept = stat.S_ISREG(os.fstat(self._file.fileno()).st_mode)
        self._reading = threading.Lock()
        self._end = 0
        self._in_memory = 0
        if self._is_kept:
            frames.read = self._read

    def take(self, frame: Frame) -> None:
        """Write a frame, or keep it."""
        if self.complaint:
            self._keep(frame)
            return
        begin = b"" if self._end else MAGIC
        header = pack_header(frame.kind, len(frame.payload))
        try:
            self._write([begin, header, frame.payload])
        except OSError as error:
            self._stop(error)
            self._keep(frame)
            return
        self._end += len(begin) + len(header) + len(frame.payload)
        if self._is_kept:
            self._frames.put(frame.kind, self._end)
        else:
            self._frames.append(frame)

    def close(self) -> None:
        """Write no more, and map what was written."""
        if self._file.closed:
            return
        if self.complaint:
            self.complaint += (
                f"; the last {si(self._in_memory, 'B')} are in memory only, from where "
                "trace.save() writes the whole trace elsewhere"
            )
        content = mapped(self._file.fileno()) if self._is_kept else None
        if content:
            self._frames.read = content.read
        elif self._is_kept and self._end:
            return  # there are file systems that cannot: read it as before
        try:
            with self._reading:
                self._file.close()
        except OSError as error:
            self._stop(error)

    def _keep(self, frame: Frame) -> None:
        self._in_memory += len(frame.payload)
        self._frames.append(frame)

    def _stop(self, error: OSError) -> None:
        self.complaint = f"recording to {self._path} ended early: {error.strerror}"
        if self._is_kept and not self._file.closed:
            # So that the last frame is whole.
            with contextlib.suppress(OSError):
                os.ftruncate(self._file.fileno(), self._end)

    def _write(self, pieces: Sequence[Payload]) -> None:
        left = [memoryview(piece) for piece in pieces if piece]
        while left:
            written = os.writev(self._file.fileno(), left)
            while left and written >= len(left[0]):
                written -= len(left.pop(0))
            if left:
                left[0] = left[0][written:]

    def _read(self, start: int, stop: int) -> Payload:
        with self._reading:
            if not self._file.closed:
                return os.pread(self._file.fileno(), stop - start, start)
        return self._frames.read(start, stop)  # it is mapped now
