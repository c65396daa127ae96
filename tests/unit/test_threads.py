# SPDX-License-Identifier: Apache-2.0
"""How long threads wait for one another."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from skbnb.threads import short_turns


@pytest.fixture(params=[0.005, 0.001, 0.0001])
def before(request: pytest.FixtureRequest) -> Iterator[float]:
    was = sys.getswitchinterval()
    sys.setswitchinterval(request.param)
    yield sys.getswitchinterval()
    sys.setswitchinterval(was)


def test_turns_are_short_until_the_last_has_ended(before: float) -> None:
    short = pytest.approx(min(before, 0.0005), abs=1e-6)
    first, second = short_turns(), short_turns()
    with first:
        assert sys.getswitchinterval() == short
        second.__enter__()
        assert sys.getswitchinterval() == short
    assert sys.getswitchinterval() == short
    second.__exit__(None, None, None)
    assert sys.getswitchinterval() == before


def test_turns_are_as_before_after_an_error(before: float) -> None:
    with pytest.raises(KeyError), short_turns():
        raise KeyError
    assert sys.getswitchinterval() == before


@pytest.mark.usefixtures("before")
def test_turns_that_are_set_meanwhile_stay() -> None:
    with short_turns():
        sys.setswitchinterval(0.002)
    assert sys.getswitchinterval() == pytest.approx(0.002)
