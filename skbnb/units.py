# SPDX-License-Identifier: Apache-2.0
"""Numbers, durations and names as people read them.

A process chooses its own name, so a name is hostile until it has passed `printable`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["counted", "duration", "listed", "nice", "printable", "si"]


def printable(text: object, width: int = 1000) -> str:
    r"""Make text safe for a terminal, and no wider than this many characters.

    Control characters, and those that turn the direction of the text around them, come
    out as Python writes them: ``\x1b``, ``\u202e``.
    """
    safe = str(text)
    if not safe.isprintable():
        safe = "".join(
            c if c.isprintable() else c.encode("unicode_escape").decode() for c in safe
        )
    return safe if len(safe) <= width else safe[: width - 1] + "…"


def counted(number: int, noun: str) -> str:
    """A number with its noun: ``1 clone``, ``1,234 clones``, ``2 copies``."""
    plural = noun + ("es" if noun.endswith("s") else "s")
    plural = noun[:-1] + "ies" if noun.endswith("y") else plural
    return f"{number:,} {noun if number == 1 else plural}"


def listed(names: Sequence[str], most: int = 10) -> str:
    """Names as people list them: ``a``, ``a and b``, ``a, b and 7 more``."""
    rest = len(names) - most
    names = [*names[:most], f"{rest:,} more"] if rest > 0 else names
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def duration(seconds: float) -> str:
    """A duration: ``120 µs``, ``0.013 s``, ``12.3 s``, ``1 min 5 s``, ``2 h 0 min``."""
    if 0 < seconds < 0.001:
        return f"{seconds * 1e6:.3g} µs"
    if seconds < 59.95:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60:,} h {minutes % 60} min"


def si(number: float, unit: str) -> str:
    """A number in three digits, with an SI prefix: ``999 B``, ``12.3 kB``."""
    prefixes = iter(("", "k", "M", "G", "T", "P", "E"))
    prefix = next(prefixes)
    # Not 1000: 999,600 B are 1 MB, and not 1e+03 kB.
    while number >= 999.5:
        number /= 1000
        prefix = next(prefixes)
    return f"{number:.3g} {prefix}{unit}"


def nice(least: float) -> float:
    """The next round number: 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(least))
    # A rounding error must not double a number that is round already.
    return next(n * power for n in (1, 2, 5, 10) if n * power >= least * (1 - 1e-9))
