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

__all__ = ["MOST", "PIECE_WORDS", "system_calls"]

MOST = 1024  # numbers; SYSTEM_CALLS of bpf/funccount.c
PIECE_WORDS = 2048  # of a piece of memory, there

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


def system_calls(read_words: Callable[[int], tuple[int, ...]]) -> Group:
    """The system calls of this kernel, by number.

    Parameters
    ----------
    read_words
        Gives `PIECE_WORDS` words of the kernel's memory from an address on; none where
        there is no memory.
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
    for words in _tables(text, first, read_words):
        if list(words[: len(first)]) == first:
            return Group(_named(words, first, functions), [])
    return Group([], [], "the kernel's table of system calls was not found")


def _functions(text: bytes, prefix: str) -> dict[int, str]:
    """Address -> name, without the prefix; ``ni_syscall`` for all that is not there."""
    found: dict[int, str] = {}
    pattern = rb"^([0-9a-f]+) [tTwW] %s(\w+)$" % prefix.encode()
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
    text: bytes, first: list[int], read_words: Callable[[int], tuple[int, ...]]
) -> Iterator[tuple[int, ...]]:
    """What is where the array may be: where the symbol table says, or is found."""
    named = re.search(rb"^([0-9a-f]+) [rRdD] sys_call_table$", text, re.M)
    if named:
        yield read_words(int(named.group(1), 16))
    begin = re.search(rb"^([0-9a-f]+) [rRdDtT] __start_rodata$", text, re.M)
    if not begin:
        return
    start = int(begin.group(1), 16)
    signature = struct.pack(f"={len(first)}Q", *first)
    for address in range(start, start + _FARTHEST, 8 * (PIECE_WORDS - len(first))):
        words = read_words(address)
        if not words:
            return
        at = struct.pack(f"={len(words)}Q", *words).find(signature)
        if at >= 0 and at % 8 == 0:
            yield read_words(address + at)


def _named(
    words: tuple[int, ...], first: list[int], functions: dict[int, str]
) -> list[Countable]:
    # Another array may follow, which begins alike.
    found = []
    for number, address in enumerate(words[:MOST]):
        again = number and list(words[number : number + len(first)]) == first
        if address not in functions or again:
            break
        name = functions[address]
        if name != "ni_syscall":
            found.append(Countable("syscall", f"sys_{name}", "", (number,)))
    return found
