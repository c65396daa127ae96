# SPDX-License-Identifier: Apache-2.0
"""The names of system calls, as the running kernel has them in its own table.

The table is an array of pointers to functions, by the numbers of the calls; the symbol
table tells the functions' names. Many kernels do not tell where the array itself is: it
is then found by its first pointers.
"""

from __future__ import annotations

import os
import re
import struct
from typing import Callable, Iterator, NamedTuple

from .functions import Countable, Group
from .symbols import KALLSYMS

__all__ = ["MOST", "PIECE", "system_calls"]

MOST = 1024  # numbers; SYSTEM_CALLS of bpf/funccount.c
PIECE = 16 << 10  # bytes of memory that are read at once

# The kernel's read-only data: as far as the array is looked for.
_FARTHEST = 64 << 20


class _Machine(NamedTuple):
    """What one machine's functions begin with, and which are the first four."""

    prefix: str
    first: tuple[str, ...]


_MACHINES = {
    "x86_64": _Machine("__x64_sys_", ("read", "write", "open", "close")),
    "aarch64": _Machine(
        "__arm64_sys_", ("io_setup", "io_destroy", "io_submit", "io_cancel")
    ),
}


def system_calls(read: Callable[[int], bytes | None]) -> Group:
    """The system calls of this kernel, by number.

    Parameters
    ----------
    read
        Gives `PIECE` bytes of the kernel's memory from an address on, if there are any.
    """
    machine = _MACHINES.get(os.uname().machine)
    if not machine:
        return Group([], [], f"not on this machine ({os.uname().machine})")
    with open(KALLSYMS, "rb") as file:
        text = file.read()
    functions = _functions(text, machine.prefix)
    try:
        first = [_address(functions, name) for name in machine.first]
    except KeyError as name:
        return Group([], [], f"the symbol table has no {machine.prefix}{name.args[0]}")
    if not all(first):
        return Group([], [], "the kernel hides its symbols' addresses")
    signature = struct.pack(f"={len(first)}Q", *first)
    for table in _tables(text, signature, read):
        if table and table.startswith(signature):
            return Group(_named(table, signature, functions), [])
    return Group([], [], "the kernel's table of system calls was not found")


def _functions(text: bytes, prefix: str) -> dict[int, str]:
    """Address -> name, without the prefix; ``ni_syscall`` for all that is not there."""
    found: dict[int, str] = {}
    pattern = rb"^([0-9a-f]{1,16}) [tTwW] %s(\w+)$" % prefix.encode()
    for address, name in re.findall(pattern, text, re.M):
        place = int(address, 16)
        if found.get(place) != "ni_syscall":
            found[place] = name.decode()
    return found


def _address(functions: dict[int, str], wanted: str) -> int:
    for address, name in functions.items():
        if name == wanted:
            return address
    raise KeyError(wanted)


def _tables(
    text: bytes, signature: bytes, read: Callable[[int], bytes | None]
) -> Iterator[bytes | None]:
    """What is where the array may be: where the symbol table says, or is found."""
    named = re.search(rb"^([0-9a-f]{1,16}) [rRdD] sys_call_table$", text, re.M)
    if named:
        yield read(int(named.group(1), 16))
    begin = re.search(rb"^([0-9a-f]{1,16}) [rRdDtT] __start_rodata$", text, re.M)
    if not begin:
        return
    start = int(begin.group(1), 16)
    for address in range(start, start + _FARTHEST, PIECE - len(signature)):
        piece = read(address)
        if piece is None:
            return
        at = piece.find(signature)
        if at >= 0 and at % 8 == 0:
            yield read(address + at)


def _named(
    table: bytes, signature: bytes, functions: dict[int, str]
) -> list[Countable]:
    # Another array may follow, which begins alike.
    found = []
    for number, (address,) in enumerate(struct.iter_unpack("=Q", table[: 8 * MOST])):
        again = number and table.startswith(signature, 8 * number)
        if address not in functions or again:
            break
        name = functions[address]
        if name != "ni_syscall":
            found.append(Countable("syscall", f"sys_{name}", "", (number,)))
    return found
