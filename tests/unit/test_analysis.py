# SPDX-License-Identifier: Apache-2.0
"""Tables add up, whatever was done to the frame before."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from skbnb import analysis, schema
from skbnb.reasons import describe
from tests.unit.frames import example

Table = Callable[[pd.DataFrame], pd.DataFrame]

TABLES = [analysis.processes, analysis.reasons, analysis.timeline, analysis.cost]

every = pytest.mark.parametrize("table", TABLES)


def test_the_example_has_exactly_the_columns_of_a_trace() -> None:
    for df in (example(), example(0)):
        dtypes = {name: str(dtype) for name, dtype in df.dtypes.items()}
        usual = (column for column in schema.COLUMNS if not column.option)
        assert dtypes == {column.name: column.dtype for column in usual}


def test_processes() -> None:
    df = example(7, 2, failed=1)
    assert analysis.processes(df).to_dict("records") == [
        {
            "comm": "curl",
            "pid": 1000,
            "clones": 3,
            "failed": 1,
            "copies": 0,
            "fast": 3,
            "slab": 0,
            "bytes": 3000,
            "first": 0.0,
            "last": 0.013,
            "scope": "cell",
        },
        {
            "comm": "python3",
            "pid": 1001,
            "clones": 3,
            "failed": 0,
            "copies": 0,
            "fast": 0,
            "slab": 3,
            "bytes": 3000,
            "first": pytest.approx(0.013 / 6),
            "last": pytest.approx(0.013 * 5 / 6),
            "scope": "cell",
        },
    ]


def test_processes_are_sorted_by_clones_and_then_by_time() -> None:
    df = example(7, 3).sort_values("t", ascending=False)
    assert analysis.processes(df)["pid"].tolist() == [1000, 1001, 1002]
    assert analysis.processes(df.query("t > 0"))["pid"].tolist() == [1001, 1002, 1000]


def test_a_process_has_the_name_and_the_scope_of_its_last_call() -> None:
    df = example(4, 1)
    df["comm"] = pd.Categorical(["sh", "sh", "sh", "curl"])
    df["scope"] = pd.Categorical(["notebook", "notebook", "cell", "cell"])
    for rows in (df, df.iloc[::-1], df.sample(frac=1, random_state=1)):
        table = analysis.processes(rows)
        assert table[["comm", "scope"]].values.tolist() == [["curl", "cell"]]
        assert set(analysis.timeline(rows)["comm"]) == {"curl"}


def test_bytes_are_absent_where_no_length_is_known() -> None:
    df = example(6, 3, failed=1)
    df.loc[[0, 1, 3], "len"] = pd.NA
    # 1000 has one known of two, 1001 none, 1002 one; its other call failed.
    total = analysis.processes(df).set_index("pid")["bytes"]
    assert total.dtype == "UInt64"
    assert total.isna().to_dict() == {1000: True, 1001: False, 1002: False}
    assert total.dropna().to_dict() == {1001: 1000, 1002: 1000}


def test_sums_of_bytes_are_not_those_of_32_bits() -> None:
    df = example(1000, 1)
    df["len"] = pd.array([2**32 - 1] * 1000, "UInt32")
    assert analysis.processes(df)["bytes"].tolist() == [1000 * (2**32 - 1)]


def test_what_a_frame_lacks_its_table_lacks() -> None:
    df = example()[list(analysis.NEEDS)]
    assert list(analysis.processes(df)) == [
        *("comm", "pid", "clones", "failed", "copies", "first", "last")
    ]
    assert len(analysis.timeline(df)) == 6


@every
def test_an_empty_frame_gives_the_same_columns(table: Table) -> None:
    empty, full = table(example(0)), table(example())
    assert empty.empty
    assert empty.dtypes.astype(str).to_dict() == full.dtypes.astype(str).to_dict()


@every
def test_a_table_leaves_the_frame_unchanged(table: Table) -> None:
    df = example(50, 3, failed=2)
    before = df.copy(deep=True)
    table(df)
    pd.testing.assert_frame_equal(df, before)


@pytest.mark.parametrize("table", [analysis.processes, analysis.timeline])
@pytest.mark.parametrize("processes", [1, 7, 500])
def test_sums_equal_the_frames_counts(table: Table, processes: int) -> None:
    df = example(5000, processes, failed=321).sample(frac=0.5, random_state=2)
    clones = df[df["kind"] == "clone"]
    made = table(df)
    assert made["clones"].sum() == len(clones)
    by_pid = made.groupby("pid")["clones"].sum()
    by_pid = by_pid[by_pid > 0]
    assert by_pid.to_dict() == clones["pid"].value_counts().to_dict()


def test_counts_by_path_and_kind_equal_the_frames() -> None:
    df = example(5000, 9, failed=321)
    table = analysis.processes(df)
    clones = df[df["kind"] == "clone"]
    assert table["failed"].sum() == 321
    assert table["fast"].sum() == (clones["path"] == "fast").sum()
    assert table["slab"].sum() == (clones["path"] == "slab").sum()
    assert table["bytes"].sum() == clones["len"].sum()


@every
def test_frames_of_two_traces_together(table: Table) -> None:
    # Different categories: pandas makes the column one of objects.
    df = pd.concat([example(4), example(4, names=("wget",))])
    assert df["comm"].dtype == object or df["comm"].dtype == "str"
    assert table(df)["clones"].sum() == 8


@pytest.mark.parametrize("seconds", [1e-6, 0.013, 1.0, 7.7, 3600.0])
@pytest.mark.parametrize("bins", [1, 10, 100])
def test_bins_are_round_and_hold_their_events(seconds: float, bins: int) -> None:
    df = example(1000, 1, seconds=seconds)
    table = analysis.timeline(df, bins)
    (width,) = table["width"].unique()
    assert f"{width:.0e}"[0] in "125"
    assert width == pytest.approx(float(f"{width:.0e}"))
    assert len(table) <= bins + 1
    assert table["t"].is_monotonic_increasing
    # Each event is in the bin that covers its time.
    edges = np.append(table["t"], table["t"].iloc[-1] + width) - 1e-9 * width
    assert np.histogram(df["t"], edges)[0].tolist() == table["clones"].tolist()


def test_no_bins() -> None:
    with pytest.raises(ValueError, match="bins must be at least 1, not 0"):
        analysis.timeline(example(), 0)


@every
def test_a_million_rows_take_no_python_for_each(table: Table) -> None:
    df = example(1_000_000, 300)
    began = time.process_time()
    table(df)
    # Some 0.03 s; a Python call for each row would take ten times this limit.
    assert time.process_time() - began < 0.5


def test_reasons() -> None:
    df = example(60, 5, failed=2)
    table = analysis.reasons(df)
    assert table["clones"].sum() == 58
    assert table["failed"].sum() == 2
    assert (table["fast"] + table["slab"] == table["clones"]).all()
    assert set(table["reason"]) == set(df["reason"])
    for row in table.itertuples():
        mine = df[df["reason"] == row.reason]
        assert row.processes == mine["pid"].nunique()
        assert row.why == describe(str(row.reason))


def test_a_reason_that_nobody_saw_is_unknown() -> None:
    df = example(6, 2)
    df["reason"] = df["reason"].where(df["t"] > 0)
    table = analysis.reasons(df).set_index("reason")
    assert table.loc["unknown", "clones"] == 1
    assert table["clones"].sum() == 6


def test_reasons_of_nothing() -> None:
    assert analysis.reasons(example(0, 0)).empty


def test_cost() -> None:
    df = example(7, 2, failed=1, skb_size=232, sent=4)
    assert analysis.cost(df).to_dict("records") == [
        {
            "reason": "tcp-transmit",
            "clones": 3,
            "slab": 0,
            "bytes": 3000,
            "allocated": 0,
            "per_packet": 0.75,
            "why": describe("tcp-transmit"),
        },
        {
            "reason": "raw-socket",
            "clones": 3,
            "slab": 3,
            "bytes": 3000,
            "allocated": 696,
            "per_packet": 0.75,
            "why": describe("raw-socket"),
        },
    ]


@pytest.mark.parametrize("attrs", [{}, {"skb_size": None, "sent": None}, {"sent": 0}])
def test_a_cost_that_is_unknown_is_not_0(attrs: dict[str, Any]) -> None:
    df = example(7, 2, **attrs)
    table = analysis.cost(df)
    assert table[["allocated", "per_packet"]].isna().all(axis=None)
    assert table.dtypes.to_dict() == (
        analysis.cost(example(skb_size=232, sent=7)).dtypes.to_dict()
    )
    total = table.sum(numeric_only=True, min_count=1)
    assert total[["clones", "slab"]].tolist() == [7, 3]
    assert total[["allocated", "per_packet"]].isna().all()
    df.attrs.clear()
    assert analysis.cost(df).equals(table)


def test_costs_add_up_to_those_of_the_trace() -> None:
    df = example(5000, 9, failed=321, skb_size=232, sent=1000)
    total = analysis.cost(df).sum(numeric_only=True, min_count=1)
    clones = df[df["kind"] == "clone"]
    slab = (clones["path"] == "slab").sum()
    assert total.to_dict() == pytest.approx(
        {
            "clones": 4679,
            "slab": slab,
            "bytes": 4_679_000,
            "allocated": slab * 232,
            "per_packet": 4.679,
        }
    )


def test_what_was_not_cloned_costs_nothing() -> None:
    assert analysis.cost(example(5, failed=5)).empty


def test_what_a_frame_lacks_its_cost_lacks() -> None:
    df = example(skb_size=232).drop(columns=["path", "len"])
    assert list(analysis.cost(df)) == ["reason", "clones", "per_packet", "why"]
