# SPDX-License-Identifier: Apache-2.0
"""Numbers, durations and names as people read them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skbnb.units import counted, duration, listed, nice, printable, si


@pytest.mark.parametrize(
    ("seconds", "says"),
    [
        (0, "0 s"),
        (0.00012, "120 µs"),
        (0.013, "0.013 s"),
        (0.9996, "1 s"),
        (12.34, "12.3 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 0 s"),
        (65, "1 min 5 s"),
        (3599.7, "1 h 0 min"),
        (7265, "2 h 1 min"),
    ],
)
def test_duration(seconds: float, says: str) -> None:
    assert duration(seconds) == says


@pytest.mark.parametrize(
    ("names", "says"),
    [
        ([], ""),
        (["a"], "a"),
        (["a", "b"], "a and b"),
        (["a", "b", "c"], "a, b and c"),
        (["a", "b", "c", "d", "e"], "a, b, c and 2 more"),
        (["x"] * 1003, "x, x, x and 1,000 more"),
    ],
)
def test_listed(names: list[str], says: str) -> None:
    assert listed(names, 3) == says


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (12_345, "12.3 kB"),
        (999_600, "1 MB"),
        (2**64 - 1, "18.4 EB"),
    ],
)
def test_si(number: float, says: str) -> None:
    assert si(number, "B") == says


@pytest.mark.parametrize(
    ("number", "noun", "says"),
    [
        (0, "clone", "0 clones"),
        (1, "clone", "1 clone"),
        (1, "process", "1 process"),
        (1234, "process", "1,234 processes"),
    ],
)
def test_counted(number: int, noun: str, says: str) -> None:
    assert counted(number, noun) == says


@given(st.floats(1e-9, 1e15))
def test_nice_is_the_next_round_number(least: float) -> None:
    found = nice(least)
    assert least * (1 - 1e-6) <= found <= least * 2.5 * (1 + 1e-6)
    leading = found / 10 ** math.floor(math.log10(found * 1.000001))
    assert min(abs(leading - n) for n in (1, 2, 5)) < 1e-6


@given(st.text())
def test_printable_is(text: str) -> None:
    assert printable(text).isprintable()
    assert len(printable(text, 10)) <= 10


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("curl", "curl"),
        ("naïve 進程", "naïve 進程"),
        ("\x1b[31m", "\\x1b[31m"),
        ("a\nb", "a\\nb"),
        ("\u202egnp", "\\u202egnp"),
        ("\x9b2J", "\\x9b2J"),
    ],
)
def test_printable_writes_out_what_is_not(text: str, says: str) -> None:
    assert printable(text) == says
