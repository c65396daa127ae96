# SPDX-License-Identifier: Apache-2.0
"""Stacks add up as a table and as text, whatever the names in them are."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skbnb import accessor as accessor  # registers df.skb
from skbnb import analysis
from skbnb.errors import OptionError
from skbnb.units import printable
from tests.unit.frames import STACKS, example, with_stacks

some_stacks = st.lists(
    st.none() | st.lists(st.text(max_size=4), min_size=1, max_size=5).map(";".join),
    min_size=1,
    max_size=30,
)


def made(stacks: list[str | None], failed: int = 0) -> pd.DataFrame:
    df = example(len(stacks), 3, failed=min(failed, len(stacks)))
    return with_stacks(df, *stacks)


# ------------------------------------------------------------------ the table


def test_stacks() -> None:
    df = with_stacks(example(7, 2, failed=1))
    assert analysis.stacks(df).to_dict("records") == [
        {
            "stack": STACKS["__tcp_transmit_skb"],
            "clones": 3,
            "failed": 1,
            "fast": 3,
            "slab": 0,
            "bytes": 3000,
            "reason": "tcp-transmit",
            "depth": 10,
        },
        {
            "stack": STACKS["raw_local_deliver"],
            "clones": 3,
            "failed": 0,
            "fast": 0,
            "slab": 3,
            "bytes": 3000,
            "reason": "raw-socket",
            "depth": 12,
        },
    ]


def test_absent_stacks_are_one_row() -> None:
    table = analysis.stacks(made([None, "a;b", None, "a;b", None]))
    assert table["stack"].tolist() == ["unknown", "a;b"]
    assert table["clones"].tolist() == [3, 2]
    assert table["depth"].isna().tolist() == [True, False]


def test_a_reason_is_that_of_all_calls_or_absent() -> None:
    df = made(["a", "a", "b", "b", "c", "c", None, None])
    raw, tcp = "raw-socket", "tcp-transmit"
    df["reason"] = pd.Categorical([raw, raw, tcp, raw, None, tcp, raw, raw])
    found = analysis.stacks(df).set_index("stack")["reason"]
    assert found.dropna().to_dict() == {"a": "raw-socket", "unknown": "raw-socket"}
    assert set(found.index) == {"a", "b", "c", "unknown"}


@given(some_stacks, st.integers(0, 5))
def test_clones_and_failures_add_up(stacks: list[str | None], failed: int) -> None:
    df = made(stacks, failed)
    table = analysis.stacks(df)
    kind = df["kind"].value_counts()
    assert table["clones"].sum() == kind["clone"]
    assert table["failed"].sum() == kind["failed"]
    assert len(table) == len(set(stacks))
    assert table["clones"].is_monotonic_decreasing


def test_what_a_frame_lacks_its_table_lacks() -> None:
    df = with_stacks(example())[[*analysis.NEEDS, "stack"]]
    assert list(analysis.stacks(df)) == ["stack", "clones", "failed", "depth"]
    assert analysis.folded(df).count("\n") == 2


def test_an_empty_frame_gives_the_same_columns() -> None:
    full = with_stacks(example())
    empty = analysis.stacks(full.head(0))
    assert empty.empty
    assert empty.dtypes.to_dict() == analysis.stacks(full).dtypes.to_dict()
    assert analysis.folded(full.head(0)) == ""


def test_a_selection_has_its_own_stacks_only() -> None:
    df = with_stacks(example(60, 5))
    chosen = df[df["caller"] == "raw_local_deliver"]
    assert chosen.skb.stacks["stack"].tolist() == [STACKS["raw_local_deliver"]]


def test_frames_of_two_traces_together() -> None:
    df = pd.concat([made(["a;b"]), made(["a;b", "c", None]), example(2)])
    expected = [("unknown", 3), ("a;b", 2), ("c", 1)]
    table = analysis.stacks(df)
    assert list(zip(table["stack"], table["clones"], strict=True)) == expected


def test_the_frame_is_left_unchanged() -> None:
    df = with_stacks(example(50, 3, failed=2))
    before = df.copy(deep=True)
    analysis.stacks(df)
    analysis.folded(df, process=True)
    pd.testing.assert_frame_equal(df, before)


@pytest.mark.parametrize(
    "use",
    [
        lambda df: df.skb.stacks,
        lambda df: df.skb.folded(),
    ],
    ids=["stacks", "folded"],
)
def test_a_trace_without_stacks_says_how_to_make_one(
    use: Callable[[pd.DataFrame], Any],
) -> None:
    with pytest.raises(OptionError, match="this trace has no stacks") as raised:
        use(example())
    assert str(raised.value) == "this trace has no stacks. Trace with --stacks."


@pytest.mark.parametrize(
    "use",
    [analysis.stacks, lambda df: analysis.folded(df, process=True)],
    ids=["stacks", "folded"],
)
def test_a_million_rows_take_no_python_for_each(
    use: Callable[[pd.DataFrame], Any],
) -> None:
    df = with_stacks(example(1_000_000, 300))
    began = time.process_time()
    use(df)
    assert time.process_time() - began < 0.5


# ------------------------------------------------------------------ folded


def read(text: str) -> Counter[tuple[str, ...]]:
    """What flamegraph.pl reads, by its own pattern."""
    counts: Counter[tuple[str, ...]] = Counter()
    for line in text.splitlines():
        found = re.fullmatch(r"(.*)\s+?(\d+(?:\.\d*)?)", line)
        assert found, line
        counts[tuple(found[1].split(";"))] += int(found[2])
    return counts


def test_folded() -> None:
    df = made(["a;b", "a;b", "a;c [m]", None], failed=0)
    assert df.skb.folded() == "a;b 2\na;c [m] 1\nunknown 1\n"


def test_folded_by_process() -> None:
    df = made(["a;b", "a;b", "a;b", None])
    df["comm"] = pd.Categorical(["curl", "sh", "curl", "sh"])
    assert df.skb.folded(process=True) == "curl;a;b 2\nsh;a;b 1\nsh;unknown 1\n"


def test_failed_calls_are_not_folded() -> None:
    assert made(["a;b", "c"], failed=1).skb.folded() == "a;b 1\n"


@given(some_stacks, st.integers(0, 5))
def test_folded_stacks_are_read_as_they_were(
    stacks: list[str | None], failed: int
) -> None:
    df = made(stacks, failed)
    expected: Counter[tuple[str, ...]] = Counter()
    for stack in df["stack"][df["kind"] == "clone"]:
        names = ["unknown"] if pd.isna(stack) else stack.split(";")
        expected[tuple(map(printable, names))] += 1
    assert read(analysis.folded(df)) == expected


@given(some_stacks, st.lists(st.text(max_size=16), min_size=3, max_size=3))
def test_a_threads_name_is_one_function(
    stacks: list[str | None], names: list[str]
) -> None:
    df = made(stacks)
    df["comm"] = pd.Categorical(np.array(names, object)[np.arange(len(df)) % 3])
    plain: Counter[tuple[str, ...]] = Counter()
    for path, count in read(analysis.folded(df, process=True)).items():
        plain[path[1:]] += count
    assert plain == read(analysis.folded(df))
