# SPDX-License-Identifier: Apache-2.0
"""What is counted piece by piece is what pandas counts at once."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from skbnb import grouping, threads
from skbnb.grouping import (
    Numbered,
    bins,
    combinations,
    ends,
    numbered,
    sums,
    with_numbers,
)


@pytest.fixture(params=[7, 1 << 18], ids=["pieces", "one piece"])
def pieces(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grouping, "_PIECE", request.param)
    # By several threads, too.
    monkeypatch.setattr(grouping, "_SHARE", request.param)
    monkeypatch.setattr(threads, "_WORTH_IT", 10)


def drawn(rows: int, names: int = 5) -> pd.DataFrame:
    rng = np.random.default_rng(rows)
    frame = pd.DataFrame(
        {
            "name": pd.Categorical.from_codes(
                rng.integers(-1, names, rows), pd.Index([f"n{i}" for i in range(names)])
            ),
            "pid": rng.integers(1, 40, rows).astype("u4"),
            "len": pd.array(rng.integers(0, 1500, rows), "UInt32"),
            "t": rng.random(rows).round(2),
        }
    )
    frame.loc[rng.random(rows) < 0.3, "len"] = pd.NA
    return frame


@pytest.mark.usefixtures("pieces")
@pytest.mark.parametrize("rows", [0, 1, 50, 1000])
# With so many names the combinations are more than there is room for.
@pytest.mark.parametrize("names", [5, 100, 60_000])
def test_combinations(rows: int, names: int) -> None:
    df = drawn(rows, names)
    columns = [numbered(df, "name"), numbered(df, "pid")]
    (name, pid), counts = combinations(columns)
    ours = {
        (columns[0].values[n] if n >= 0 else None, columns[1].values[p]): count
        for n, p, count in zip(name, pid, counts, strict=True)
    }
    by_pandas = df.groupby(["name", "pid"], dropna=False, observed=True).size()
    theirs = by_pandas.reset_index().itertuples(index=False)
    assert ours == {(None if pd.isna(n) else n, p): count for n, p, count in theirs}
    # Sorted, and what is absent is the last.
    order = np.lexsort([pid, np.where(name < 0, names, name)])
    assert (order == np.arange(len(order))).all()


# As many as numbers of one byte and of two have values, and half of that.
@pytest.mark.parametrize("cells", [1 << 7, 1 << 8, 1 << 15, 1 << 16])
@pytest.mark.parametrize("more", [-1, 0, 1])
def test_combinations_as_many_as_a_narrow_number_holds(cells: int, more: int) -> None:
    values = np.arange(cells + more - 1)
    column = Numbered(np.r_[-1, values, values[::-1]], values)
    (places,), rows = combinations([column])
    assert places.tolist() == [*values, -1]
    assert rows.tolist() == [2] * len(values) + [1]


@pytest.mark.usefixtures("pieces")
def test_sums_and_whether_anything_is_known() -> None:
    df = drawn(300)
    counted = (df["t"] < 0.6).to_numpy()
    df.loc[df["name"] == "n2", "len"] = pd.NA
    total, known = sums(numbered(df, "name"), df["len"], counted)
    theirs = df[counted].groupby("name", observed=False, dropna=False)["len"]
    assert total.tolist() == theirs.sum().tolist()
    assert known.tolist() == (theirs.count() > 0).tolist()
    assert not known[2]


@pytest.mark.usefixtures("pieces")
@pytest.mark.parametrize("sort", [True, False])
def test_ends(sort: bool) -> None:
    df = drawn(300)
    if sort:
        df = df.sort_values("t", kind="stable", ignore_index=True)
    process = numbered(df, "pid")
    first, last = ends(process, df["t"].to_numpy())
    by_time = df.sort_values("t", kind="stable").reset_index().groupby("pid")["index"]
    for number, pid in enumerate(process.values):
        assert first[number] == by_time.first()[pid]
        assert last[number] == by_time.last()[pid]


def test_ends_of_a_group_without_rows() -> None:
    df = with_numbers(drawn(300), "pid")
    rows = df[df["pid"].isin([1, 2])].sort_values("t")
    process = numbered(rows, "pid")
    for end in ends(process, rows["t"].to_numpy()):
        assert set(process.values[end >= 0]) == {1, 2}


@pytest.mark.usefixtures("pieces")
@pytest.mark.parametrize("base", [0.0, 5000.0])
def test_bins_of_values_far_from_zero(base: float) -> None:
    values = base + np.random.default_rng(3).random(200) / 1000
    start = bins(values, 1e-6)
    assert start.codes.min() == 0
    assert (start.values[start.codes] == (values / 1e-6).astype(np.int64)).all()
    assert len(bins(values[:0], 1e-6).values) == 0


def test_numbers_are_small_and_what_is_counted_stays_the_same() -> None:
    df = drawn(300)
    small = with_numbers(df, "pid")
    assert numbered(small, "pid").codes.itemsize == 1
    assert with_numbers(small, "pid") is small
    pids = [
        numbered(frame, "pid").values[combinations([numbered(frame, "pid")]).places[0]]
        for frame in (df, small)
    ]
    assert sorted(pids[0]) == sorted(pids[1])
