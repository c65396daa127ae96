# SPDX-License-Identifier: Apache-2.0
"""What is valid, changed a little: bytes, lines of text, and JSON.

Each function takes the random numbers to use, so that an input is known by its number.
Standard library only: what fuzzes the agent runs in the agent's Python.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

__all__ = [
    "changed_bytes",
    "changed_json",
    "changed_lines",
    "changed_numbers",
    "packed_json",
]

# Around which sizes, signs and widths change.
_EDGES = tuple(
    sorted(
        {0, 1, 2, 3, 7, 8, 16, 255, 256, 1000}
        | {(1 << bits) + more for bits in (7, 8, 15, 16, 31, 32) for more in (-1, 0, 1)}
        | {(1 << 62) - 1, 1 << 62, (1 << 63) - 1, 1 << 63, (1 << 64) - 1}
    )
)


def _some(random: Random, data: bytearray) -> tuple[int, int]:
    """Begin and end of a part, short as a rule."""
    start = random.randrange(len(data) + 1)
    return start, min(len(data), start + random.choice((1, 4, 8, 64, len(data))))


def _flip(random: Random, data: bytearray) -> None:
    data[random.randrange(len(data))] ^= 1 << random.randrange(8)


def _number(random: Random, data: bytearray) -> None:
    """Write a number where one may stand: most are aligned."""
    width = random.choice((1, 2, 4, 8))
    at = random.randrange(len(data))
    at -= at % width if random.random() < 0.8 else 0
    # Small ones are ids of what is there, and lengths.
    value = random.choice(_EDGES) if random.random() < 0.5 else random.randrange(64)
    piece = (value & ((1 << 8 * width) - 1)).to_bytes(width, "little")
    data[at : at + width] = piece[: len(data) - at]


def _cut(random: Random, data: bytearray) -> None:
    start, end = _some(random, data)
    del data[start:end]


def _repeat(random: Random, data: bytearray) -> None:
    start, end = _some(random, data)
    at = random.randrange(len(data) + 1)
    data[at:at] = data[start:end]


def _insert(random: Random, data: bytearray) -> None:
    at = random.randrange(len(data) + 1)
    data[at:at] = bytes(random.randrange(256) for _ in range(random.randrange(1, 9)))


def _end(random: Random, data: bytearray) -> None:
    del data[random.randrange(len(data)) :]


_CHANGES: tuple[Callable[[Random, bytearray], None], ...] = (
    *(_flip, _flip, _number, _number, _number, _number),
    *(_cut, _repeat, _insert, _end),
)


def changed_bytes(random: Random, data: bytes, most: int = 3) -> bytes:
    """These bytes with one change, or up to `most`."""
    changed = bytearray(data)
    for _ in range(random.randint(1, most)):
        if changed:
            random.choice(_CHANGES)(random, changed)
    return bytes(changed)


def changed_numbers(random: Random, data: bytes, most: int = 3) -> bytes:
    """These bytes with other numbers in them, and as long as before."""
    changed = bytearray(data)
    for _ in range(random.randint(1, most)):
        _number(random, changed)
    return bytes(changed)


def changed_lines(random: Random, text: bytes, words: Sequence[bytes]) -> bytes:
    """A text with lines moved, left out, repeated, garbled, or with other words."""
    lines = text.splitlines(keepends=True) or [b""]
    for _ in range(random.randint(1, 4)):
        at, other = random.randrange(len(lines)), random.randrange(len(lines))
        what = random.randrange(6)
        if what == 0:
            lines[at], lines[other] = lines[other], lines[at]
        elif what == 1 and len(lines) > 1:
            del lines[at]
        elif what == 2:
            lines.insert(other, lines[at])
        elif what == 3:
            lines[at] = changed_bytes(random, lines[at])
        else:
            found = lines[at].split(b" ")
            found[random.randrange(len(found))] = random.choice(words)
            lines[at] = b" ".join(found)
    return b"".join(lines)


def _deep(random: Random) -> Any:
    value: Any = 1
    for _ in range(random.choice((3, 200, random.randrange(900, 1100)))):
        value = [value] if random.random() < 0.5 else {"a": value}
    return value


_LEAVES: tuple[Any, ...] = (
    *(None, True, False, 0.5, -0.0, 1e308, float("nan"), float("inf")),
    *("", "x", "auto", "é", "\ud800", "\0", "\x1b[31m", "\u202e", "x" * 5000),
    *([], {}, [None], {"": None}, [[]], {"1": "x"}, -1, 1 << 70, 10**400),
    *_EDGES,
)


def changed_json(random: Random, value: Any) -> Any:
    """A value that JSON can tell, with something in it replaced, gone or new."""
    inside = isinstance(value, (dict, list)) and value and random.random() < 0.9
    if not inside:
        return _deep(random) if random.random() < 0.05 else random.choice(_LEAVES)
    if isinstance(value, list):
        at = random.randrange(len(value))
        return [*value[:at], changed_json(random, value[at]), *value[at + 1 :]]
    name = random.choice(list(value))
    changed = {**value, name: changed_json(random, value[name])}
    if random.random() < 0.1:
        del changed[name]
    if random.random() < 0.1:
        changed[random.choice(list(value)) + random.choice("x \0")] = value[name]
    return changed


def packed_json(value: Any) -> bytes:
    """A value as JSON; what nests too deeply for the encoder as `null`."""
    try:
        return json.dumps(value).encode()
    except RecursionError:
        return b"null"
