# SPDX-License-Identifier: Apache-2.0
"""The frames of a trace, in memory or in a file that is mapped."""

from __future__ import annotations

import contextlib
import mmap
import os
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, overload

from .errors import StreamError
from .wire import HEADER, MAGIC, BufferReader, Frame, Kind, Payload, Reader

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Frames", "Payloads", "mapped", "opened"]

Read = Callable[[int, int], Payload]
"""Gives what stands in a file from one place to another."""

# Bytes of a map that are looked at before what was looked at is let go.
_RESIDENT = 32 << 20


class Frames(Sequence[Frame]):
    """Frames that came one by one, and may still do: those in a file, then the others.

    Of the former only their places are kept. The payloads of EVENTS are what ``read``
    gives, which may be views; all others are bytes.

    Parameters
    ----------
    frames
        Those that have come.

    Attributes
    ----------
    read
        How the file is read.
    in_file
        Bytes of EVENTS payloads in the file.
    """

    def __init__(self, frames: Iterable[Frame] = ()) -> None:
        self._kinds = bytearray()
        self._ends = array("Q")
        self._in_memory: list[Frame] = []
        self.read: Read = _unread
        self.in_file = 0
        for frame in frames:
            self.append(frame)

    def append(self, frame: Frame) -> None:
        """Keep a frame in memory; from then on no other is put into the file."""
        self._kinds.append(frame.kind)
        self._in_memory.append(frame)

    def put(self, kind: Kind, end: int) -> None:
        """Know of a frame that stands in the file, and ends there."""
        self._kinds.append(kind)
        if kind is Kind.EVENTS:
            self.in_file += end - self._start(len(self._ends))
        self._ends.append(end)

    def first(self, kind: Kind) -> Frame | None:
        """The first of a kind, if there is any."""
        place = self._kinds.find(kind)
        return None if place < 0 else self[place]

    def payloads(self, kind: Kind) -> Payloads:
        """The payloads of all frames of a kind."""
        # Not sooner: a notebook that loads the extension should not wait for it.
        import numpy as np

        kinds = np.frombuffer(bytes(self._kinds), "u1")
        return Payloads(self, np.flatnonzero(kinds == kind))

    def __len__(self) -> int:
        return len(self._ends) + len(self._in_memory)

    @overload
    def __getitem__(self, place: int) -> Frame: ...
    @overload
    def __getitem__(self, place: slice) -> list[Frame]: ...
    def __getitem__(self, place: int | slice) -> Frame | list[Frame]:
        if isinstance(place, slice):
            return [self[each] for each in range(*place.indices(len(self)))]
        number = place + len(self) if place < 0 else place
        if not 0 <= number < len(self):
            raise IndexError(f"no frame has the number {place}")
        if number >= len(self._ends):
            return self._in_memory[number - len(self._ends)]
        kind = Kind(self._kinds[number])
        payload = self.read(self._start(number), self._ends[number])
        return Frame(kind, payload if kind is Kind.EVENTS else bytes(payload))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(map(_are_same, self, other))

    __hash__ = None  # type: ignore[assignment]

    def _start(self, number: int) -> int:
        before = self._ends[number - 1] if number else len(MAGIC)
        return before + HEADER.size


def _are_same(one: Any, other: Any) -> bool:
    return bool(one == other)


def _unread(start: int, stop: int) -> Payload:
    raise AssertionError("there is no file")


class Payloads(Sequence[Payload]):
    """The payloads of some frames, each looked up when it is asked for."""

    def __init__(self, frames: Frames, places: NDArray[np.intp]) -> None:
        self._frames = frames
        self._places = places

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, place: int) -> Payload: ...
    @overload
    def __getitem__(self, place: slice) -> Payloads: ...
    def __getitem__(self, place: int | slice) -> Payload | Payloads:
        if isinstance(place, slice):
            return Payloads(self._frames, self._places[place])
        return self._frames[int(self._places[place])].payload


class _Map:
    """A file that is mapped: of what is read of it, little stays in memory."""

    def __init__(self, file: int) -> None:
        self._map = mmap.mmap(file, 0, access=mmap.ACCESS_READ)
        self.view = memoryview(self._map)
        self._looked_at = 0

    @contextlib.contextmanager
    def in_steps(self) -> Iterator[None]:
        """What is looked at meanwhile lies far apart: read nothing around it."""
        self._map.madvise(mmap.MADV_RANDOM)
        try:
            yield
        finally:
            self._map.madvise(mmap.MADV_NORMAL)

    def read(self, start: int, stop: int) -> Payload:
        # Whoever reads behind the end of the file is killed, by SIGBUS.
        if self._map.size() < stop:
            raise StreamError(
                "the recording has been made shorter since it was opened",
                "Open it again, and replace recordings instead of changing them.",
            )
        self.look_at(stop - start)
        return self.view[start:stop]

    def look_at(self, size: int) -> None:
        """Say that more is looked at, so that what was before is let go."""
        self._looked_at += size
        if self._looked_at > _RESIDENT:
            # It stays in the kernel's cache, and comes back if it is looked at again.
            self._map.madvise(mmap.MADV_DONTNEED)
            self._looked_at = size


def mapped(file: int) -> _Map | None:
    """A file's content without reading it; None: it is empty, or cannot be mapped."""
    try:
        return _Map(file)
    except (OSError, ValueError):
        return None


def opened(path: str | os.PathLike[str]) -> Frames:
    """The frames of a recording: mapped or, of what cannot be, as a pipe, read.

    Raises
    ------
    OSError
        The file cannot be read.
    StreamError
        It is no recording.
    """
    with open(path, "rb") as file:
        content = mapped(file.fileno())
        if content is None:
            return Frames(Reader(file))
    frames = Frames()
    frames.read = content.read
    reader = BufferReader(content.view)
    with content.in_steps():
        for frame in reader:
            content.look_at(len(frame.payload))
            frames.put(frame.kind, reader.at)
    return frames
