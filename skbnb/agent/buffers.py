# SPDX-License-Identifier: Apache-2.0
"""What carries records from the kernel to the agent: a ring, or else perf buffers."""

from __future__ import annotations

import mmap
from typing import NamedTuple, Union

from ..errors import RequestError
from . import syscalls
from .compiler import import_bcc
from .perf import PerfBuffers
from .ring import Ring

Reader = Union[Ring, PerfBuffers]


class Buffer(NamedTuple):
    """One kind of buffer.

    Parameters
    ----------
    name
        As in ``--buffer``.
    why
        Why it is not the better one; empty if it is, or was asked for.
    flags
        What tells the C files of it.
    reader
        Its other end, made of the map, the size of all of it in bytes, and the size of
        a record.
    """

    name: str
    why: str
    flags: tuple[str, ...]
    reader: type[Reader]


def _ring_lacks() -> str:
    """Why there can be no ring buffer; empty where there can be one."""
    if not syscalls.has_ring_buffer():
        return "the kernel has no BPF ring buffer (Linux 5.8 or newer has)"
    if not hasattr(import_bcc().table, "BPF_MAP_TYPE_RINGBUF"):
        return "this BCC knows no ring buffer (0.16 or newer does)"
    return ""


def choose(name: str, size: int, snaplen: int) -> Buffer:
    """The buffer for a ``--buffer`` value.

    Raises
    ------
    RequestError
        It was asked for by name and cannot be, or cannot hold packets' bytes.
    """
    lack = "" if name == "perf" else _ring_lacks()
    if name == "ring" and lack:
        raise RequestError(lack, "Leave --buffer away, or say --buffer perf.")
    if (name == "perf" or lack) and snaplen:
        raise RequestError(
            f"--snaplen needs a ring buffer: {lack or '--buffer perf asks for others'}",
            "Leave --snaplen away.",
        )
    if name == "perf" or lack:
        return Buffer("perf", lack, ("-DBUFFER_PERF",), PerfBuffers)
    return Buffer("ring", "", (f"-DRING_PAGES={size // mmap.PAGESIZE}",), Ring)
