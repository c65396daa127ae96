# SPDX-License-Identifier: Apache-2.0
"""The kernel's table of system calls, in its memory and by its symbols."""

from __future__ import annotations

import os
import struct
from random import Random

from skbnb.agent import calls
from tests.fuzz.mutate import changed_bytes, changed_lines
from tests.fuzz.symbols import WORDS

REFUSALS = ()

_NAMES = ("read", "write", "open", "close", "stat", "ni_syscall", "getuid")
_START = 0xFFFF_FFFF_8100_0000
_TABLE = 0xFFFF_FFFF_8200_0000
_MACHINE = calls._Machine("__x64_sys_", _NAMES[:4])

_SYMBOLS = b"".join(
    b"%016x T __x64_sys_%s\n" % (_START + 64 * number, name.encode())
    for number, name in enumerate(_NAMES)
) + (
    b"%016x D sys_call_table\n" % (_TABLE + 128) + b"%016x R __start_rodata\n" % _TABLE
)
_MEMORY = bytes(128) + struct.pack(
    "=8Q", *(_START + 64 * number for number in (*range(7), 0))
)

_text = os.memfd_create("kallsyms")
vars(calls).update(
    KALLSYMS=f"/proc/self/fd/{_text}", _MACHINES={os.uname().machine: _MACHINE}
)


def make(random: Random) -> bytes:
    """The symbols and the memory, of which one was changed."""
    symbols, memory = _SYMBOLS, _MEMORY
    if random.random() < 0.7:
        symbols = changed_lines(random, symbols, WORDS)
    else:
        memory = changed_bytes(random, memory)
    return memory.ljust(192, b"\0")[:192] + symbols


def read(data: bytes) -> None:
    """Each call has a name and a number of its own."""
    memory, symbols = data[:192], data[192:]
    os.ftruncate(_text, 0)
    os.pwrite(_text, symbols, 0)

    def peek(address: int) -> bytes | None:
        # As the agent's own: so many bytes, or nothing, at an address of 64 bits.
        struct.pack("=Q", address)
        if not 0 <= address - _TABLE < len(memory):
            return None
        return memory[address - _TABLE :].ljust(calls.PIECE, b"\0")

    group = calls.system_calls(peek)
    numbers = [number for one in group.found for number in one.places]
    assert numbers == sorted(set(numbers))
    assert all(one.name.startswith("sys_") for one in group.found)
    assert group.found or group.why or symbols
