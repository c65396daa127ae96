# SPDX-License-Identifier: Apache-2.0
"""Which rows stand on one page of an order, found without putting all in order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Order"]


class Order:
    """Rows in the order of what a column has, as pandas sorts them.

    Those that are alike stay as they are, and absent values come last, in either
    direction.

    Parameters
    ----------
    rows
        Which rows.
    column
        Of all rows of the frame; None: the rows are in order.
    down
        The largest first; not where there is no column.
    """

    def __init__(
        self, rows: NDArray[np.intp], column: pd.Series[Any] | None, *, down: bool
    ) -> None:
        self._rows = rows
        self._keys: NDArray[Any] | None = None
        self._absent = np.empty(0, np.intp)
        self._known = np.empty(0, np.intp)
        if column is not None:
            self._keys, is_absent = _keys(column, rows)
            if down:
                is_float = self._keys.dtype.kind == "f"
                self._keys = -self._keys if is_float else ~self._keys
            if is_absent.any():
                self._absent, self._known = map(np.flatnonzero, (is_absent, ~is_absent))
                self._keys = self._keys[self._known]

    def __len__(self) -> int:
        return len(self._rows)

    def rows(self, first: int, last: int) -> NDArray[np.intp]:
        """The rows from one place in the order to before another."""
        return self._rows[self._places(first, min(last, len(self)))]

    def _places(self, first: int, last: int) -> NDArray[np.intp]:
        """The same as places among the rows."""
        if self._keys is None or first >= last:
            return np.arange(first, last)
        known = len(self._keys)
        found = _smallest(self._keys, first, min(last, known))
        if len(self._absent):
            found = self._known[found]
        beyond = slice(max(first - known, 0), max(last - known, 0))
        return np.concatenate([found, self._absent[beyond]])


def _keys(
    column: pd.Series[Any], rows: NDArray[np.intp]
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Numbers in the order of what some rows have, and which have nothing."""
    values = column if len(rows) == len(column) else column.take(rows)
    absent = values.isna().to_numpy()
    if isinstance(column.dtype, pd.CategoricalDtype):
        # Its codes are small numbers, but in no order of their own.
        names = column.cat.categories.astype("str")
        rank = np.empty(len(names) + 1, np.min_scalar_type(len(names)))
        rank[names.argsort()] = np.arange(len(names))
        return rank[values.cat.codes.to_numpy()], absent
    if values.dtype.kind == "M":
        return values.to_numpy().view("i8"), absent
    return values.to_numpy(values.dtype.type, na_value=0), absent


def _smallest(keys: NDArray[Any], first: int, last: int) -> NDArray[np.intp]:
    """Where the keys are that stand from one place to before another once sorted."""
    if first >= last:
        return np.empty(0, np.intp)
    low, high = np.partition(keys, (first, last - 1))[[first, last - 1]]
    lowest = np.flatnonzero(keys == low)[first - np.count_nonzero(keys < low) :]
    between = np.flatnonzero((keys > low) & (keys < high))
    between = between[np.argsort(keys[between], kind="stable")]
    # There may be millions of these, of which the first few are wanted.
    highest = np.flatnonzero(keys == high)[: last - first] if high > low else lowest[:0]
    return np.concatenate([lowest, between, highest])[: last - first]
