# SPDX-License-Identifier: Apache-2.0
"""Drain a BPF ring buffer in bulk: slices of mapped memory, no Python per event.

The layout is that of ``kernel/bpf/ringbuf.c``: a page with the consumer's position, a
page with the producer's, and the data mapped twice in a row, so that no slice ever
wraps. Each record has an eight-byte header before it (``struct bpf_ringbuf_hdr``): its
length with the busy and discard bits at the top, and a page offset. Our records are all
of one size, so the headers stand at a constant stride and one strided slice shows
whether any is still being written.
"""

from __future__ import annotations

import mmap
from typing import Callable

from .maps import Map

_HEADER_SIZE = 8


class Ring:
    """The reader's end of one ring.

    Parameters
    ----------
    records
        The ring.
    size
        Its data area in bytes, a power of two.
    record_size
        Size of each record in bytes, without its header; a multiple of eight.
    """

    offset = _HEADER_SIZE

    def __init__(self, records: Map, size: int, record_size: int) -> None:
        fd = records.fd
        self.fds = [fd]
        self.stride = _HEADER_SIZE + record_size
        self._size = size
        page = mmap.PAGESIZE
        self._consumer = memoryview(mmap.mmap(fd, page, mmap.MAP_SHARED)).cast("Q")
        view = memoryview(
            mmap.mmap(fd, page + 2 * size, mmap.MAP_SHARED, mmap.PROT_READ, offset=page)
        )
        self._producer = view[:8].cast("Q")
        self._data = view[page:]

    def drain(self, sink: Callable[[memoryview], None], most: int) -> int:
        """Hand what is committed to `sink`, in slices of at most `most` bytes.

        Returns after one pass over what was there when it was called, so that a
        producer that never rests cannot hold the caller.

        Returns
        -------
        int
            The number of records handed over.
        """
        available = (self._producer[0] - self._consumer[0]) // self.stride
        most //= self.stride
        taken = 0
        while taken < available:
            count = self._drain_slice(sink, min(available - taken, most))
            if not count:
                break
            taken += count
        return taken

    def _drain_slice(self, sink: Callable[[memoryview], None], count: int) -> int:
        consumed = self._consumer[0]
        start = consumed % self._size
        block = self._data[start : start + count * self.stride]
        # The fourth byte of each header holds the busy and the discard bit.
        busy = bytes(block[3 :: self.stride])
        if busy.count(0) != count:
            count = len(busy) - len(busy.lstrip(b"\0"))
        if count:
            sink(block[: count * self.stride])
            self._consumer[0] = consumed + count * self.stride
        return count

    @property
    def is_filling(self) -> bool:
        """Whether a quarter of it is full."""
        return self._producer[0] - self._consumer[0] > self._size // 4

    def close(self) -> None:
        """Give its memory back."""
        for view in (self._consumer, self._producer, self._data):
            view.release()

    def skip(self) -> None:
        """Forget what is in the ring: what an earlier trace left there."""
        self._consumer[0] = self._producer[0]
