# SPDX-License-Identifier: Apache-2.0
"""``df.skb`` works on any selection of a trace's rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from skbnb import accessor, analysis, charts
from skbnb.views import FigureView
from tests.unit.frames import example, with_stacks


def test_tables() -> None:
    df = example(60, 5, failed=2)
    for name in ("processes", "reasons", "cost"):
        table = getattr(analysis, name)(df)
        pd.testing.assert_frame_equal(getattr(df.skb, name), table)
    pd.testing.assert_frame_equal(df.skb.timeline, analysis.timeline(df))


def test_plots_have_the_names_of_their_tables() -> None:
    names = {name for name in vars(accessor.Plots) if not name.startswith("_")}
    # The cost by reason has the proportions of the reasons; a breakdown's is the flow.
    tables = set(analysis.__all__) - {"NEEDS", "cost", "folded", "breakdown"}
    assert names == tables | {"flow"}
    df = with_stacks(example(60, 5))
    for name in names:
        view = getattr(df.skb.plot, name)()
        assert isinstance(view, FigureView)
        assert view.figure == FigureView(getattr(charts, name)(df)).figure


SELECTIONS: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "query": lambda df: df.query("comm == 'curl'"),
    "mask": lambda df: df[df["t"] > 0.005],
    "sorted": lambda df: df.sort_values("t", ascending=False),
    "index": lambda df: df.sample(frac=0.5, random_state=0).set_index("time"),
    "columns": lambda df: df[["kind", "comm", "t", "pid"]],
    "nothing": lambda df: df.head(0),
}


@pytest.mark.parametrize("name", SELECTIONS)
def test_any_selection(name: str) -> None:
    df = SELECTIONS[name](example(60, 5))
    assert df.skb.processes["clones"].sum() == len(df)
    assert df.skb.timeline["clones"].sum() == len(df)
    plot: Any = df.skb.plot
    for view in (plot.processes(), plot.timeline()):
        assert f"{len(df)} clones" in repr(view)
        assert "0 lost" in repr(view)


@pytest.mark.parametrize("column", analysis.NEEDS)
def test_a_frame_that_is_no_trace(column: str) -> None:
    df = example().drop(columns=column)
    with pytest.raises(
        AttributeError,
        match=f"^Can only use .skb with a trace's events: no column '{column}'$",
    ):
        df.skb  # noqa: B018
    assert not hasattr(df, "skb")
