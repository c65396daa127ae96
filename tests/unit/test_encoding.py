# SPDX-License-Identifier: Apache-2.0
"""Numbers of distinct values are those that pandas gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from skbnb import encoding, grouping
from skbnb.encoding import encode

Column = npt.NDArray[Any]


@pytest.fixture(params=[7, 1 << 15], ids=["pieces", "one piece"], autouse=True)
def pieces(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grouping, "_PIECE", request.param)


@pytest.fixture(params=[2, 16], ids=["crowded", "roomy"])
def slots(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """As few slots as that many distinct values never meet in."""
    monkeypatch.setattr(encoding, "_SLOT_BITS", request.param)


def drawn(rows: int, distinct: int, dtype: str) -> Column:
    rng = np.random.default_rng(rows + distinct)
    most = np.iinfo(dtype).max
    values = rng.integers(0, most, distinct, dtype, endpoint=True)
    values[:1] = most
    chosen: Column = values[rng.integers(0, distinct, rows)]
    return chosen


def expected(*columns: Column) -> list[int]:
    """Where the first row stands that is the same, as pandas says of rows as tuples."""
    codes, uniques = pd.factorize(pd.MultiIndex.from_arrays(columns))
    firsts = pd.Series(codes).drop_duplicates().index.to_numpy()
    assert len(firsts) == len(uniques)
    first: list[int] = firsts[codes].tolist()
    return first


def found(*columns: Column) -> list[int]:
    """The same as `encode` says."""
    codes, firsts = encode(*columns)
    numbers = np.unique(codes)
    assert (firsts >= 0).sum() == len(numbers)
    first: list[int] = firsts[codes].tolist()
    return first


@pytest.mark.usefixtures("slots")
@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "u8"])
@pytest.mark.parametrize("distinct", [1, 3, 60])
def test_one_column(dtype: str, distinct: int) -> None:
    column = drawn(500, distinct, dtype)
    assert found(column) == expected(column)


@pytest.mark.usefixtures("slots")
@pytest.mark.parametrize(
    "dtypes", [("u8", "u8"), ("u1", "u8"), ("u8", "u4"), ("u8", "u8", "u1")]
)
def test_rows_of_several_columns(dtypes: tuple[str, ...]) -> None:
    columns = [drawn(500, 5 + i, dtype) for i, dtype in enumerate(dtypes)]
    assert found(*columns) == expected(*columns)


@pytest.mark.usefixtures("slots")
@pytest.mark.parametrize("dtype", ["u1", "u2", "u8"])
def test_no_rows(dtype: str) -> None:
    assert found(np.empty(0, dtype)) == []


def test_columns_that_lie_in_each_other() -> None:
    both = drawn(500, 40, "u8").reshape(-1, 2)
    assert found(*both.T) == expected(*both.T)


def test_values_that_differ_in_one_bit() -> None:
    column = np.uint64(1) << np.arange(64, dtype="u8")
    assert found(np.tile(column, 3)) == [*range(64)] * 3


def test_room_that_was_written_to_before() -> None:
    column = drawn(500, 40, "u8")
    room = np.full(500, 7, np.int32)
    codes, firsts = encode(column, out=room)
    assert codes is room
    assert firsts[codes].tolist() == expected(column)
