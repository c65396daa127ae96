# SPDX-License-Identifier: Apache-2.0
"""What is chosen is what the expression that is shown chooses."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import skbnb.accessor  # noqa: F401
from skbnb.filters import UNKNOWN, Filter, contains
from tests.unit.frames import example

DF = example(300, 7, names=("curl", "python3", "a'b\"]", "\\x"), seconds=2.0)
DF["dev"] = pd.Categorical([None, "lo", "eth0"] * 100)
DF["dport"] = pd.array([443, None, 80] * 100, "UInt16")
DF.loc[DF.index % 5 == 0, "scope"] = "cell"


def by_expression(wanted: Filter) -> pd.DataFrame:
    chosen = eval(wanted.expression("frame"), {"frame": DF})
    assert isinstance(chosen, pd.DataFrame)
    return chosen


@pytest.mark.parametrize(
    ("wanted", "rows"),
    [
        (Filter(), 300),
        (Filter(scope="cell"), 300),
        (Filter(scope="notebook"), 300),
        (Filter(pid=1002), 43),
        (Filter(pid=2**40), 0),
        (Filter(reason="raw-socket"), 86),
        (Filter(reason="no such reason"), 0),
        (Filter(dev="lo"), 100),
        (Filter(dev=UNKNOWN), 100),
        (Filter(since=1.0, until=1.0), 0),
        (Filter(until=0.0), 1),
        (Filter(text="443"), 100),
        (Filter(text="ETH"), 100),
        (Filter(text="a'b\"]"), 43 + 42),
        (Filter(text="\\x"), 43),
        (Filter(text=".*"), 0),
        (Filter(text="9" * 30), 0),
        (Filter(pid=1000, dev="lo"), 14),
    ],
)
def test_each_condition(wanted: Filter, rows: int) -> None:
    mask = wanted.mask(DF)
    chosen = DF if mask is None else DF[mask]
    assert len(chosen) == rows
    pd.testing.assert_frame_equal(chosen, by_expression(wanted))


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=20))
def test_any_text_is_looked_for_and_never_run(text: str) -> None:
    wanted = Filter(text=text, reason=text or None)
    mask = wanted.mask(DF)
    chosen = DF if mask is None else DF[mask]
    pd.testing.assert_frame_equal(chosen, by_expression(wanted))


def test_the_expression_is_pandas() -> None:
    wanted = Filter(scope="cell", pid=7, reason=UNKNOWN, since=0.5)
    assert wanted.expression("skbnb.last.select('all')") == (
        "skbnb.last.select('all')[lambda df: df['scope'].eq('cell') & "
        "df['pid'].eq(7) & df['reason'].isna() & df['t'].ge(0.5)]"
    )


def test_text_in_a_selection_of_rows_and_columns() -> None:
    some = DF[DF["pid"] == 1000][["comm", "dev"]]
    found = contains(some, "eth0")
    assert found.index.equals(some.index)
    assert np.array_equal(found, some["dev"] == "eth0")
