# SPDX-License-Identifier: Apache-2.0
"""Kernel symbols: where a function lies, and which function an address lies in."""

from __future__ import annotations

import re
from typing import NamedTuple

from ..errors import ProbeError

KALLSYMS = "/proc/kallsyms"

# A function is followed by the next symbol; no kernel function that we look up is
# longer.
_LONGEST = 1 << 16


class Bounds(NamedTuple):
    """The addresses of a function: start <= address < end."""

    start: int
    end: int


class Symbols:
    """The kernel's symbol table as it is now (5 MB of text; reading it takes 50 ms)."""

    def __init__(self) -> None:
        with open(KALLSYMS, "rb") as file:
            self._text = file.read()

    def bounds(self, name: str) -> Bounds | None:
        """Where a function lies, also one with a suffix as ``.isra.0``; else None."""
        pattern = (
            rb"^([0-9a-f]+) [tT] %s(?:\.(?:isra|constprop)\.\d+)*\n" % name.encode()
        )
        found = re.search(pattern, self._text, re.MULTILINE)
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
