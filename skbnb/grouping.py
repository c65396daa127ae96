# SPDX-License-Identifier: Apache-2.0
"""Counts rows by what they have in several columns at once.

Rows are taken a piece at a time, so that whatever is made of them on the way stays in
the processor's cache: ten million rows take some hundredths of a second.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from .errors import OptionError
from .threads import at_once

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = [
    "Numbered",
    "Table",
    "bins",
    "category",
    "combinations",
    "ends",
    "has_one_of",
    "numbered",
    "pieces",
    "shares",
    "sums",
    "with_numbers",
]

_PIECE = 1 << 16
# Between two calls into numpy a thread needs the interpreter's lock, and wakes late
# where another has it: with smaller shares two threads take longer than one.
_SHARE = 1 << 18


class Numbered(NamedTuple):
    """A column as numbers.

    Attributes
    ----------
    codes
        Each row's number, of any integer dtype; -1 where the value is absent.
    values
        Each number's value.
    """

    codes: NDArray[Any]
    values: NDArray[Any]


def category(df: pd.DataFrame, column: str) -> pd.Categorical:
    """A column of names, as pandas' codes."""
    # Concatenating two traces may have taken the dtype away.
    return pd.Categorical(df[column])


def need(df: pd.DataFrame, *columns: str) -> None:
    """Raise OptionError unless the rows have these columns."""
    for column in columns:
        if column not in df:
            raise OptionError(
                f"these rows have no column {column!r}",
                "A trace via ring has it: take its rows with all columns.",
            )


def numbered(df: pd.DataFrame, column: str) -> Numbered:
    """A column of names, or of whole numbers that repeat and are never absent.

    Raises
    ------
    OptionError
        The rows have no such column.
    """
    need(df, column)
    values = df[column]
    if isinstance(values.dtype, pd.CategoricalDtype) or values.dtype.kind not in "iu":
        known = category(df, column)
        return Numbered(known.codes, known.categories.to_numpy())
    return Numbered(*pd.factorize(values.to_numpy()))


def with_numbers(df: pd.DataFrame, column: str) -> pd.DataFrame:
    """The same rows with a column as its codes, so that `numbered` has nothing to do.

    For a frame of which many things are counted.
    """
    if isinstance(df[column].dtype, pd.CategoricalDtype):
        return df
    codes, values = numbered(df, column)
    narrow = codes.astype(np.min_scalar_type(-len(values) - 1))
    return df.assign(**{column: pd.Categorical.from_codes(narrow, pd.Index(values))})


class Table(NamedTuple):
    """Combinations of the numbers of several columns, and the rows that have each.

    Attributes
    ----------
    places
        For each column, the number in every combination; -1 for absent. Sorted, by the
        first column first, with what is absent at last.
    rows
        How many rows have each: never none.
    """

    places: tuple[NDArray[np.intp], ...]
    rows: NDArray[np.int64]


def combinations(columns: Sequence[Numbered]) -> Table:
    """Count the rows that have each combination of values."""
    shape = [len(column.values) + 1 for column in columns]
    cells, rows = math.prod(shape), len(columns[0].codes)
    # A cell for each combination, unless that were many more than the rows.
    if cells <= max(rows, 1 << 16):

        def count(piece: slice) -> NDArray[np.int64]:
            return np.bincount(_keys(columns, shape, piece), minlength=cells)

        each = at_once(count, shares(rows, cells), rows)
        counts = sum(each, np.zeros(cells, np.int64))
        keys = np.flatnonzero(counts)
        counts = counts[keys]
    else:
        number, keys = pd.factorize(_keys(columns, shape, slice(None)), sort=True)
        counts = np.bincount(number)
    places = [place - 1 for place in np.unravel_index(keys, shape)]
    last = [place % size for place, size in zip(places, shape, strict=True)]
    order = np.lexsort(last[::-1])
    return Table(tuple(place[order] for place in places), counts[order])


def _keys(
    columns: Sequence[Numbered], shape: Sequence[int], piece: slice
) -> NDArray[Any]:
    """One number for those of all columns; what is absent, -1, is counted from 0."""
    cells = math.prod(shape)
    # The narrower, the more of them a processor calculates at once. It holds `cells`.
    dtype = np.min_scalar_type(-cells - 1) if cells < 1 << 31 else np.dtype(np.intp)
    keys = np.zeros(len(columns[0].codes[piece]), dtype)
    absent = 0
    for (codes, _), size in zip(columns, shape, strict=True):
        keys *= dtype.type(size)
        keys += codes[piece].astype(dtype, copy=False)
        absent = absent * size + 1
    keys += dtype.type(absent)
    return keys


def pieces(rows: int, least: int = 0) -> list[slice]:
    """Pieces of so many rows, each a cache's worth, but not smaller than `least`."""
    size = max(_PIECE, least)
    return [slice(start, start + size) for start in range(0, rows, size)]


def shares(rows: int, least: int = 0) -> list[slice]:
    """The same for several threads, each of which takes one after the other."""
    return pieces(rows, max(_SHARE, least))


def sums(
    group: Numbered, values: pd.Series[Any], counted: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Add up the values of the rows that count, and tell which groups have any.

    Parameters
    ----------
    group
        Of which each row is one.
    values
        Whole numbers, some of which may be absent.
    counted
        Which rows count.

    Returns
    -------
    tuple of numpy.ndarray
        A sum and whether anything is known for each group, and for rows of no group
        at last.
    """
    size = len(group.values) + 1
    array = values.array  # of a Series each piece would copy what is known of the trace

    def add(share: slice) -> NDArray[np.float64]:
        has = counted[share] & ~array[share].isna()
        numbers = array[share].to_numpy(np.float64, na_value=0)
        codes = group.codes[share].astype(np.intp) + 1
        return np.stack(
            [np.bincount(codes, numbers * has, size), np.bincount(codes, has, size)]
        )

    rows = len(values)
    each = at_once(add, shares(rows, size), rows)
    total, known = sum(each, np.zeros((2, size)))
    return np.roll(total, -1), np.roll(known > 0, -1)


def has_one_of(
    codes: NDArray[Any], wanted: NDArray[np.integer[Any]]
) -> NDArray[np.bool_]:
    """Say which codes are among a few; what is absent, -1, is not."""
    is_wanted = np.zeros(max(wanted.max(initial=-1), codes.max(initial=-1)) + 2, bool)
    is_wanted[wanted] = True
    found = np.empty(len(codes), np.bool_)
    for piece in pieces(len(codes)):
        found[piece] = is_wanted[codes[piece]]
    return found


def ends(
    group: Numbered, t: NDArray[np.float64]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The first and the last row of each group by time; -1 for one that has none."""
    order = None if (t[1:] >= t[:-1]).all() else np.argsort(t, kind="stable")
    codes = group.codes if order is None else group.codes[order]
    last = _last(codes, len(group.values))
    first = first_rows(codes, len(group.values))
    has = last >= 0
    if order is not None and len(order):
        first, last = np.where(has, order[first], -1), np.where(has, order[last], -1)
    return first, last


def first_rows(codes: NDArray[Any], groups: int) -> NDArray[np.intp]:
    """The first row of each group; -1 for one that has none."""
    backwards = _last(codes[::-1], groups)
    return np.where(backwards < 0, -1, len(codes) - 1 - backwards)


def _last(codes: NDArray[Any], groups: int) -> NDArray[np.intp]:
    """The last row of each group."""
    last = np.full(groups, -1)
    for piece in reversed(pieces(len(codes), groups)):
        here = np.full(groups, -1)
        # Of all that is written to one place, the last stays.
        here[codes[piece]] = np.arange(len(codes[piece])) + piece.start
        last = np.where(last < 0, here, last)
        if (last >= 0).all():
            break
    return last


def bins(values: NDArray[np.float64], width: float) -> Numbered:
    """Which bin each value lies in; the bins' values say how many widths from 0."""
    first = int(values.min(initial=np.inf) / width) if len(values) else 0
    codes = np.empty(len(values), np.int32)

    def place(share: slice) -> None:
        codes[share] = (values[share] / width).astype(np.int64) - first

    at_once(place, shares(len(values)), len(values))
    return Numbered(codes, np.arange(codes.max(initial=-1) + 1) + first)
