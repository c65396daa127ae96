# SPDX-License-Identifier: Apache-2.0
"""Drain perf buffers in bulk: for kernels without a BPF ring buffer.

One buffer for each CPU, in the layout of ``include/uapi/linux/perf_event.h``: a page
with the positions, and data of a power-of-two size that each sample is copied to. Our
samples are all of one size, so as a rule a buffer is one strided slice; where the
kernel dropped samples it puts a record about that in between, and at the end of the
data a sample may be in two parts.
"""

from __future__ import annotations

import mmap
import os
import struct
from typing import Callable, Iterator

from . import syscalls
from .maps import Map

# struct perf_event_header, and the u32 before the raw data of a sample.
_HEADER_SIZE = 8
_SIZE_SIZE = 4
_SAMPLE = 9  # PERF_RECORD_SAMPLE

# struct perf_event_mmap_page, in 64-bit words
_DATA_HEAD, _DATA_TAIL = 128, 129


class PerfBuffers:
    """The reader's end of every CPU's buffer.

    Parameters
    ----------
    records
        The map, of type ``BPF_MAP_TYPE_PERF_EVENT_ARRAY``.
    size
        Bytes for all CPUs together.
    record_size
        Size of each record in bytes; a multiple of eight.
    """

    offset = _HEADER_SIZE + _SIZE_SIZE

    def __init__(self, records: Map, size: int, record_size: int) -> None:
        # The kernel fills a sample up to a multiple of eight.
        self.stride = (self.offset + record_size + 7) // 8 * 8
        cpus = _online_cpus()
        each = 1 << (size // len(cpus)).bit_length() - 1
        self._buffers = [_Buffer(cpu, max(each, mmap.PAGESIZE)) for cpu in cpus]
        for buffer in self._buffers:
            records.set(*(struct.pack("=I", n) for n in (buffer.cpu, buffer.fd)))

    @property
    def fds(self) -> list[int]:
        """What to poll."""
        return [buffer.fd for buffer in self._buffers]

    def drain(self, sink: Callable[[memoryview], None], most: int) -> int:
        """Hand what is there to `sink`, CPU by CPU, in slices of at most `most` bytes.

        Returns
        -------
        int
            The number of records handed over.
        """
        return sum(b.drain(sink, self.stride, most) for b in self._buffers)

    @property
    def is_filling(self) -> bool:
        """Whether a quarter of any of them is full."""
        return any(buffer.is_filling for buffer in self._buffers)

    def close(self) -> None:
        """Give the buffers back."""
        for fd in self.fds:
            os.close(fd)

    def skip(self) -> None:
        """Forget what is in the buffers."""
        for buffer in self._buffers:
            buffer.skip()


def _online_cpus() -> list[int]:
    with open("/sys/devices/system/cpu/online") as file:
        ranges = [part.split("-") for part in file.read().split(",")]
    return [cpu for r in ranges for cpu in range(int(r[0]), int(r[-1]) + 1)]


class _Buffer:
    """One CPU's."""

    def __init__(self, cpu: int, size: int) -> None:
        self.cpu = cpu
        self.fd = syscalls.open_perf_buffer(cpu, size // 8)
        self._size = size
        view = memoryview(mmap.mmap(self.fd, mmap.PAGESIZE + size, mmap.MAP_SHARED))
        self._positions = view[: mmap.PAGESIZE].cast("Q")
        self._data = view[mmap.PAGESIZE :]

    def drain(self, sink: Callable[[memoryview], None], stride: int, most: int) -> int:
        taken = 0
        end = self._positions[_DATA_HEAD]
        while self._positions[_DATA_TAIL] < end:
            at = self._positions[_DATA_TAIL]
            start = at % self._size
            whole = min(end - at, self._size - start, most) // stride
            whole = self._samples(start, whole, stride)
            if whole:
                sink(self._data[start : start + whole * stride])
                self._positions[_DATA_TAIL] = at + whole * stride
                taken += whole
                continue
            # What is about dropped samples (those are counted where they are dropped),
            # or a sample in two parts.
            if self._data[start] == _SAMPLE:
                sink(memoryview(b"".join(self._parts(start, stride))))
                taken += 1
            self._positions[_DATA_TAIL] = at + self._length(start)
        return taken

    @property
    def is_filling(self) -> bool:
        head, tail = self._positions[_DATA_HEAD], self._positions[_DATA_TAIL]
        return head - tail > self._size // 4

    def _samples(self, start: int, count: int, stride: int) -> int:
        """How many of `count` records in a row are samples."""
        types = bytes(self._data[start : start + count * stride : stride])
        if types.count(_SAMPLE) == count:
            return count
        return len(types) - len(types.lstrip(bytes([_SAMPLE])))

    def _length(self, start: int) -> int:
        # Headers are aligned to their size, so they are never in two parts.
        return int.from_bytes(self._data[start + 6 : start + 8], "little")

    def _parts(self, start: int, stride: int) -> Iterator[memoryview]:
        first = self._data[start : start + stride]
        yield first
        yield self._data[: stride - len(first)]

    def skip(self) -> None:
        self._positions[_DATA_TAIL] = self._positions[_DATA_HEAD]
