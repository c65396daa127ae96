# SPDX-License-Identifier: Apache-2.0
"""Where x86 has mapped all memory, and where it keeps the struct page of every page.

The kernel puts both at a random place when it boots (arch/x86/mm/kaslr.c) and tells
nobody: few kernels name variables in their symbol table. But both places are multiples
of a gigabyte, not far below addresses that are known, and what is read at the right one
is known, too. So they are looked for, and proved.
"""

from __future__ import annotations

import ctypes
import functools
import mmap
import os
import struct
from typing import Any, Callable, Iterator

from ..errors import SkbnbError
from . import layout, syscalls
from .compiler import compiled, import_bcc

# Both lie at multiples of this (PUD_SIZE).
_STEP = 1 << 30
# How far below a known address they are looked for: as if there were 4 TiB of memory.
_STEPS = 4096
_PAGE = 4096

# An entry of /proc/self/pagemap (Documentation/admin-guide/mm/pagemap.rst)
_FRAME = (1 << 55) - 1


@functools.lru_cache(maxsize=1)
def find(read_source: Callable[[str], str]) -> dict[str, int] | None:
    """Find both, as constants for bpf/skb_bytes.h.

    Parameters
    ----------
    read_source
        Gives the text of a file of ``bpf/``.

    Returns
    -------
    dict of str to int, or None
        ``MEMORY_START``, where physical memory is mapped from its first byte on, and
        ``PAGES_START``, where the first page's struct page is. None where they cannot
        be found, as on other machines than x86.
    """
    if os.uname().machine != "x86_64":
        return None
    try:
        kernel = _Kernel(read_source("peek.c"))
    except (SkbnbError, OSError):
        return None
    try:
        direct = _direct(kernel)
        pages = _pages(kernel, direct)
    except (SkbnbError, OSError, LookupError):
        # There may be no /proc/self/pagemap, or no stacks that are mapped.
        return None
    finally:
        kernel.close()
    return {"MEMORY_START": direct, "PAGES_START": pages}


class _Kernel:
    """The kernel's memory, read by a program of ours, 64 bytes at a time."""

    def __init__(self, source: str) -> None:
        self._bpf = compiled(source, [], layout.choose("auto"))
        program_type = import_bcc().BPF.RAW_TRACEPOINT
        self._program: int = self._bpf.load_func(b"on_peek", program_type).fd
        self._peeks: Any = self._bpf[b"peeks"]
        self.peek(0)
        self.task = int(self._peeks[0].task)

    def peek(self, address: int) -> bytes | None:
        """What is at an address, if anything is."""
        self._peeks[0] = self._peeks.Leaf(address)
        found = syscalls.run_program(self._program) == 0
        return bytes(self._peeks[0].at) if found else None

    def pointer(self, address: int) -> int:
        """The pointer at an address."""
        found = self.peek(address)
        if found is None:
            raise LookupError(f"nothing at {address:#x}")
        pointer: int = struct.unpack_from("=Q", found)[0]
        return pointer

    def close(self) -> None:
        """Unload the program."""
        self._bpf.cleanup()


def _below(address: int) -> Iterator[int]:
    first = address // _STEP * _STEP
    return iter(range(first, first - _STEPS * _STEP, -_STEP))


def _direct(kernel: _Kernel) -> int:
    """Where a page of ours, whose physical address is known, is found to be."""
    with mmap.mmap(-1, _PAGE) as page:
        known = os.urandom(64)
        page[: len(known)] = known
        frame = _frame(page)
        # A struct task_struct is in mapped memory, as all that is from a slab.
        for direct in _below(kernel.task):
            if kernel.peek(direct + frame * _PAGE) == known:
                return direct
    raise LookupError("no place has the page")


def _frame(page: mmap.mmap) -> int:
    """Number of the physical page."""
    place = ctypes.c_char.from_buffer(page)
    address = ctypes.addressof(place)
    del place
    with open("/proc/self/pagemap", "rb") as file:
        file.seek(address // _PAGE * 8)
        entry: int = struct.unpack("=Q", file.read(8))[0]
    return entry & _FRAME


def _pages(kernel: _Kernel, direct: int) -> int:
    """Where this task's stack is seen in its pages: first and fourth."""
    btf = layout.Btf()
    try:
        area = btf.place("task_struct", "stack_vm_area").byte
        pages_of = btf.place("vm_struct", "pages").byte
        stack_of = btf.place("task_struct", "stack").byte
        size = btf.size("page")
    finally:
        btf.close()
    stack = kernel.pointer(kernel.task + stack_of)
    table = kernel.pointer(kernel.pointer(kernel.task + area) + pages_of)
    # What is far down a stack does not change while little is called.
    seen = {
        kernel.pointer(table + 8 * number): kernel.peek(stack + number * _PAGE)
        for number in (0, 3)
    }
    for pages in _below(min(seen)):
        places = {direct + (page - pages) // size * _PAGE: seen[page] for page in seen}
        if all(kernel.peek(place) == known for place, known in places.items()):
            return pages
    raise LookupError("no place has the pages of the stack")
