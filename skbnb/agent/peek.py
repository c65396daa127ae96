# SPDX-License-Identifier: Apache-2.0
"""Read the kernel's memory, by a program of ours that is attached to nothing."""

from __future__ import annotations

import os
from typing import Any

from . import syscalls

__all__ = ["Peeks"]


class Peeks:
    """The kernel's memory, some bytes at a time (since Linux 5.10).

    Parameters
    ----------
    bpf
        A ``bcc.BPF`` object of a text that has ``bpf/peek.h`` in it, whose
        ``PEEK_BYTES`` says how many bytes.

    Raises
    ------
    OSError
        The kernel does not take the program.
    """

    def __init__(self, bpf: Any) -> None:
        self._peeks = bpf[b"peeks"]
        kind = syscalls.PROG_TYPE_RAW_TRACEPOINT
        self._program = syscalls.load_program(kind, bpf.dump_func(b"on_peek"))

    def read(self, address: int) -> bytes | None:
        """What is at an address, if anything is."""
        found = syscalls.run_program(self._program, address) == 0
        return bytes(self._peeks[0].at) if found else None

    def task(self) -> int:
        """Address of the ``struct task_struct`` of this thread."""
        syscalls.run_program(self._program, 0)
        return int(self._peeks[0].task)

    def close(self) -> None:
        """Unload the program."""
        os.close(self._program)
