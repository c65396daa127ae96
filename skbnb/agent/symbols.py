# SPDX-License-Identifier: Apache-2.0
"""Kernel symbols: where a function lies, and which function an address lies in."""

from __future__ import annotations

import functools
import re
from typing import NamedTuple

from ..errors import ProbeError
from .compiler import import_bcc

KALLSYMS = "/proc/kallsyms"
MODULES = "/proc/modules"

# A function is followed by the next symbol; no kernel function that we look up is
# longer.
_LONGEST = 1 << 16


class Bounds(NamedTuple):
    """The addresses of a function: start <= address < end."""

    start: int
    end: int


@functools.lru_cache(maxsize=1)
def kernel_symbols() -> Symbols:
    """The table, read once: the functions of the kernel proper do not move."""
    return Symbols()


class Symbols:
    """The kernel's symbol table (5 MB of text and more; reading it takes 50 ms)."""

    def __init__(self) -> None:
        with open(KALLSYMS, "rb") as file:
            self._text = file.read()

    def bounds(self, name: str) -> Bounds | None:
        """Where a function lies, also one with a suffix as ``.isra.0``; else None."""
        found = self._line_of(name.encode())
        if not found:
            return None
        start = int(found.group(1), 16)
        if not start:
            raise ProbeError(
                "the kernel hides its symbols' addresses (kernel.kptr_restrict)",
                "Run `sysctl kernel.kptr_restrict=1` as root.",
            )
        end = self._next_address(found.end(), start)
        return Bounds(start, end)

    def _line_of(self, name: bytes) -> re.Match[bytes] | None:
        # Finding the name first is ten times as fast as a pattern over the whole table.
        pattern = re.compile(
            rb"([0-9a-f]+) [tT] %s(?:\.(?:isra|constprop)\.\d+)*\n" % name
        )
        at = self._text.find(b" " + name)
        while at >= 0:
            found = pattern.match(self._text, self._text.rfind(b"\n", 0, at) + 1)
            if found:
                return found
            at = self._text.find(b" " + name, at + 1)
        return None

    def _next_address(self, position: int, start: int) -> int:
        # Symbols of the kernel proper stand in the order of their addresses; aliases
        # share one.
        for line in re.finditer(
            rb"^([0-9a-f]+) ", self._text[position : position + 4096], re.M
        ):
            address = int(line.group(1), 16)
            if start < address <= start + _LONGEST:
                return address
        raise ProbeError("/proc/kallsyms is not in the order of addresses")


class FunctionNames:
    """Which function an address lies in: BCC's table, with the modules of today."""

    def __init__(self) -> None:
        self._bcc = import_bcc()
        self._modules = _modules()
        self._table = self._bcc.SymbolCache(-1)
        self._table.resolve(0, False)  # reads it

    def refresh(self, always: bool = False) -> None:
        """Read the table again if modules have come or gone since."""
        # In an old table what a new module does is done by the function before it.
        modules = _modules()
        if always or modules != self._modules:
            self._bcc.lib.bcc_free_symcache(self._table.cache, -1)
            self._modules = modules
            self._table = self._bcc.SymbolCache(-1)

    def name(self, address: int) -> tuple[str, str]:
        """The function's name and its module; empty for none, or the kernel proper."""
        found = self._table.resolve(address, False)
        name, module = ((found[i] or b"").decode("ascii", "replace") for i in (0, 2))
        return name, "" if module == "kernel" else module


@functools.lru_cache(maxsize=1)
def function_names() -> FunctionNames:
    """The table, which is large: one for all programs."""
    return FunctionNames()


def _modules() -> list[tuple[bytes, bytes]]:
    """Name and address of each module; none where the kernel takes none."""
    try:
        with open(MODULES, "rb") as file:
            fields = [line.split() for line in file]
    except FileNotFoundError:
        return []
    return [(field[0], field[5]) for field in fields]
