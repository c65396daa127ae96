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
from typing import Callable, Iterator

from ..errors import SkbnbError
from . import kept, layout
from .compiler import expand
from .loaded import Loaded
from .peek import Peeks

# Both lie at multiples of this (PUD_SIZE).
_STEP = 1 << 30
# How far below a known address they are looked for: as if there were 4 TiB of memory.
_STEPS = 4096
_PAGE = 4096
# Bytes that are compared.
_PEEK = 64

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
        # It needs no struct of the kernel's.
        text, flags = expand("peek.h", read_source), [f"-DPEEK_BYTES={_PEEK}"]
        loaded = Loaded(kept.compiled(text, flags, layout.Layout("btf", [])))
    except (SkbnbError, OSError):
        return None
    try:
        kernel = Peeks(loaded)
        direct = _direct(kernel)
        pages = _pages(kernel, direct)
    except (SkbnbError, OSError, LookupError):
        # There may be no /proc/self/pagemap, or no stacks that are mapped.
        return None
    finally:
        loaded.close()
    return {"MEMORY_START": direct, "PAGES_START": pages}


@functools.lru_cache(maxsize=1)
def hold_pagemap() -> int:
    """Open once and for all what tells physical addresses of this process's pages.

    It tells them to whoever had CAP_SYS_ADMIN when they opened it (fs/proc/task_mmu.c:
    pagemap_read()).
    """
    return os.open("/proc/self/pagemap", os.O_RDONLY | os.O_CLOEXEC)


def _pointer(kernel: Peeks, address: int) -> int:
    """The pointer at an address."""
    found = kernel.read(address)
    if found is None:
        raise LookupError(f"nothing at {address:#x}")
    pointer: int = struct.unpack_from("=Q", found)[0]
    return pointer


def _below(address: int) -> Iterator[int]:
    first = address // _STEP * _STEP
    return iter(range(first, first - _STEPS * _STEP, -_STEP))


def _direct(kernel: Peeks) -> int:
    """Where a page of ours, whose physical address is known, is found to be."""
    with mmap.mmap(-1, _PAGE) as page:
        known = os.urandom(_PEEK)
        page[: len(known)] = known
        frame = _frame(page)
        # A struct task_struct is in mapped memory, as all that is from a slab.
        for direct in _below(kernel.task()):
            if kernel.read(direct + frame * _PAGE) == known:
                return direct
    raise LookupError("no place has the page")


def _frame(page: mmap.mmap) -> int:
    """Number of the physical page."""
    place = ctypes.c_char.from_buffer(page)
    address = ctypes.addressof(place)
    del place
    (entry,) = struct.unpack("=Q", os.pread(hold_pagemap(), 8, address // _PAGE * 8))
    frame: int = entry & _FRAME
    if not frame:
        raise LookupError("the kernel does not tell where the page is")
    return frame


def _pages(kernel: Peeks, direct: int) -> int:
    """Where this task's stack is seen in its pages: first and fourth."""
    btf = layout.Btf()
    try:
        area = btf.place("task_struct", "stack_vm_area").byte
        pages_of = btf.place("vm_struct", "pages").byte
        stack_of = btf.place("task_struct", "stack").byte
        size = btf.size("page")
    finally:
        btf.close()
    task = kernel.task()
    stack = _pointer(kernel, task + stack_of)
    table = _pointer(kernel, _pointer(kernel, task + area) + pages_of)
    # What is far down a stack does not change while little is called.
    seen = {
        _pointer(kernel, table + 8 * number): kernel.read(stack + number * _PAGE)
        for number in (0, 3)
    }
    for pages in _below(min(seen)):
        places = {direct + (page - pages) // size * _PAGE: seen[page] for page in seen}
        if all(kernel.read(place) == known for place, known in places.items()):
            return pages
    raise LookupError("no place has the pages of the stack")
