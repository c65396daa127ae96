# SPDX-License-Identifier: Apache-2.0
"""The way to the reader, who may be late: what its pipe has no room for is kept."""

from __future__ import annotations

import mmap
import os

__all__ = ["Outlet"]


class Outlet:
    """Our end of the reader's pipe, and what waits in memory for room in it.

    The memory of the kernel's buffer is taken for as long as an agent is there; this
    from when somebody was late to when what is kept is limited anew.

    Parameters
    ----------
    fd
        The pipe's.
    """

    def __init__(self, fd: int) -> None:
        # A reader that is stopped must stop nothing but what it reads.
        os.set_blocking(fd, False)
        self.fd = fd
        self._start = self._kept = 0
        self.limit(0)

    def __len__(self) -> int:
        """Bytes that are kept."""
        return self._kept

    def limit(self, most: int) -> None:
        """Allow so many bytes to be kept from now on, when there are none."""
        assert not self._kept
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        self._memory = mmap.mmap(-1, max(most, mmap.PAGESIZE), flags)
        self._most = most

    def write(self, data: memoryview) -> memoryview:
        """Write what is kept and then `data`, while there is room; give the rest."""
        self.flush()
        return data if self._kept else self._write(data)

    def flush(self) -> None:
        """Write of what is kept what there is room for."""
        if not self._kept:
            return
        with memoryview(self._memory) as memory:
            while self._kept:
                first = memory[self._start : self._start + self._kept]
                written = len(first) - len(self._write(first))
                if not written:
                    return
                self._start = (self._start + written) % self._most
                self._kept -= written
        self._start = 0  # what has been written to before is faster to write to

    def _write(self, data: memoryview) -> memoryview:
        try:
            while data:
                data = data[os.write(self.fd, data) :]
        except BlockingIOError:
            pass
        return data

    def keep(self, data: memoryview) -> bool:
        """Keep a copy of `data` to be written later, unless that is too much."""
        if self._kept + len(data) > self._most:
            return False
        end = (self._start + self._kept) % self._most
        before_the_end = data[: self._most - end]
        self._memory[end : end + len(before_the_end)] = before_the_end
        self._memory[: len(data) - len(before_the_end)] = data[len(before_the_end) :]
        self._kept += len(data)
        return True

    def end(self, data: bytes) -> None:
        """Write everything, however long that takes, and close the pipe."""
        os.set_blocking(self.fd, True)
        self.write(memoryview(data))
        os.close(self.fd)
