# SPDX-License-Identifier: Apache-2.0
"""What an administrator wrote, who may have mistyped it."""

from __future__ import annotations

import re
from random import Random

from skbnb.agent.settings import Settings, parse
from tests.fuzz.mutate import changed_bytes, changed_lines

REFUSALS = (ValueError,)

_SAID = re.compile(r"line \d+: |it (?:has more|is not UTF-8)")

_VALID = b"""\
# Who sees all, and how much others may ask for.
see_all = ["alice", "%tracers"]  # a group
max_events = 1000
max_seconds=60

max_ring_mib = 16
max_functions = 10
"""
_WORDS = (
    *(b"", b"=", b"[", b'["bob"]', b"[" * 2000, b'"', b"#", b"\n", b"\r\n", b"\0"),
    *(b"0", b"-1", b"1e9", b"9" * 5000, b"true", b"null", b"NaN", b"\xff", b"5"),
    *(b"see_all", b"max_events\n", b'["\\u0000"]', b'["%"]\n', b"[]\n"),
)


def make(random: Random) -> bytes:
    """Settings with other words, lines or bytes."""
    if random.random() < 0.7:
        return changed_lines(random, _VALID, _WORDS)
    return changed_bytes(random, _VALID)


def read(data: bytes) -> None:
    """What is taken has the types that it is used with; what is not, has a place."""
    try:
        settings = parse(data)
    except ValueError as error:
        said = str(error)
        if not _SAID.match(said) or not said.isprintable():
            raise AssertionError(f"it says {said!r}") from error
        raise
    numbers = settings[1:]
    assert all(type(number) is int and number > 0 for number in numbers)
    assert all(type(name) is str and name.isascii() for name in settings.see_all)
    assert settings == Settings(*settings)
