# SPDX-License-Identifier: Apache-2.0
"""Kernel symbols: where a function lies, and which function an address lies in."""

from __future__ import annotations

import bisect
import functools
import re
from typing import NamedTuple

from ..errors import ProbeError

KALLSYMS = "/proc/kallsyms"
MODULES = "/proc/modules"

# What these files have: anything else in them is left out.
_FUNCTION = re.compile(rb"^[0-9a-f]{16} [TtWw] [!-~]+(?:\t\[[!-~]+\])?$", re.M)
_MODULE = re.compile(rb"^(\S+) (\d{1,18}) \S+ \S+ (\S+) 0x([0-9a-f]{1,16})\b", re.M)

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
            rb"([0-9a-f]{1,16}) [tT] %s(?:\.(?:isra|constprop)\.\d+)*\n" % name
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
            rb"^([0-9a-f]{1,16}) ", self._text[position : position + 4096], re.M
        ):
            address = int(line.group(1), 16)
            if start < address <= start + _LONGEST:
                return address
        raise ProbeError("/proc/kallsyms is not in the order of addresses")


class FunctionNames:
    """Which function an address lies in, with the modules of today.

    The table's own lines, sorted: their addresses have one width, so that they are in
    order as text, and no line is read but those that are asked for.
    """

    def __init__(self) -> None:
        self._lines: list[bytes] = []
        self._modules: list[Module] | None = None
        self.refresh()

    def refresh(self, always: bool = False) -> None:
        """Read the table again if modules have come or gone since."""
        # In an old table what a new module does is done by the function before it.
        modules = _modules()
        if always or modules != self._modules:
            self._modules = modules
            homes = {m.name: range(m.start, m.start + m.size) for m in modules}
            with open(KALLSYMS, "rb") as file:
                lines = _FUNCTION.findall(file.read())
            self._lines = sorted(line for line in lines if _is_there(line, homes))

    def name(self, address: int) -> tuple[str, str]:
        """The function's name and its module; empty for none, or the kernel proper."""
        digits = b"%016x" % address
        after = bisect.bisect_right(self._lines, digits + b"~")
        if not after:
            return "", ""
        start = self._lines[after - 1][:16]
        first = bisect.bisect_left(self._lines, start)
        found = [line.split() for line in self._lines[first:after]]
        _, _, name, *module = min(found, key=lambda fields: _rank(fields[2]))
        return name.decode("ascii", "replace"), b"".join(module)[1:-1].decode("ascii")


def _rank(name: bytes) -> tuple[bool, bool, int, bytes]:
    """Of several names for one address: a function's rather than a section's."""
    is_mark = name.endswith((b"_start", b"_begin", b"_end"))
    return is_mark, not name.startswith(b"__x64_sys_"), len(name), name


@functools.lru_cache(maxsize=1)
def function_names() -> FunctionNames:
    """The table, which is large: one for all programs."""
    return FunctionNames()


def _is_there(line: bytes, homes: dict[bytes, range]) -> bool:
    """Whether what the table says of a module's function is still so.

    If anything is traced while a module is loaded, ftrace keeps the names of what ran
    only then, and the table shows them (ftrace_mod_get_kallsym() in
    kernel/trace/ftrace.c). Their place is soon another module's.
    """
    _, bracket, module = line.rpartition(b"\t[")
    home = homes.get(module[:-1]) if bracket else None
    return home is None or int(line[:16], 16) in home


class Module(NamedTuple):
    """A module: one that is still being loaded has functions that it will not keep."""

    name: bytes
    size: int
    state: bytes
    start: int


def _modules() -> list[Module]:
    """Those that are loaded; none where the kernel takes none."""
    try:
        with open(MODULES, "rb") as file:
            found = _MODULE.findall(file.read())
    except FileNotFoundError:
        return []
    return [
        Module(name, int(size), state, int(start, 16))
        for name, size, state, start in found
    ]
