# SPDX-License-Identifier: Apache-2.0
"""Read the kernel's memory, by a program of ours that is attached to nothing."""

from __future__ import annotations

from . import syscalls
from .loaded import Loaded

__all__ = ["Peeks"]


class Peeks:
    """The kernel's memory, some bytes at a time (since Linux 5.10).

    Parameters
    ----------
    loaded
        Of a text that has ``bpf/peek.h`` in it, whose ``PEEK_BYTES`` says how many
        bytes.

    Raises
    ------
    OSError
        The kernel does not take the program.
    """

    def __init__(self, loaded: Loaded) -> None:
        self._peeks = loaded.maps["peeks"]
        self._program = loaded.load("on_peek", syscalls.PROG_TYPE_RAW_TRACEPOINT)

    def read(self, address: int) -> bytes | None:
        """What is at an address, if anything is."""
        found = syscalls.run_program(self._program, address) == 0
        return self._peek()[8:] if found else None

    def task(self) -> int:
        """Address of the ``struct task_struct`` of this thread."""
        syscalls.run_program(self._program, 0)
        return int.from_bytes(self._peek()[:8], "little")

    def _peek(self) -> bytes:
        """The struct peek."""
        return self._peeks.get(bytes(4)) or b""
