# SPDX-License-Identifier: Apache-2.0
"""Numbers distinct values, so that the rest of the work is done once for each of them.

What repeats is found by a hash that is looked up in one table, small enough for a
processor's cache, for all rows of a piece at once. Whatever two values meet in one slot
of it are told apart by comparing, and pandas numbers the few that had to give way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from .grouping import pieces

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["Encoded", "encode"]

_SLOT_BITS = 16  # at most: for few rows there are four or more slots for each
# Odd, and without a pattern: multiplied by one the highest bits depend on all others.
_MULTIPLIERS = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9)


class Encoded(NamedTuple):
    """Rows by their number.

    Attributes
    ----------
    codes
        Each row's number, the same for the same values.
    firsts
        The first row of each number; -1 of a number that no row has.
    """

    codes: NDArray[Any]
    firsts: NDArray[np.intp]


def encode(*columns: NDArray[Any], out: NDArray[np.int32] | None = None) -> Encoded:
    """Number the distinct rows of one or more columns of whole numbers, at most three.

    Parameters
    ----------
    *columns
        All of one length, of any dtypes of unsigned integers.
    out
        Room for the codes, of that length; it need not be used. Memory that was
        written to before takes a fraction of the time.
    """
    if len(columns) == 1 and columns[0].itemsize == 1:
        return _encode_bytes(columns[0])
    rows = len(columns[0])
    table = _Table(len(columns), min(_SLOT_BITS, rows.bit_length() + 2))
    codes = np.empty(rows, np.int32) if out is None else out
    left = [
        table.encode([column[piece] for column in columns], piece.start, codes[piece])
        for piece in pieces(len(codes))
    ]
    rest = np.concatenate([np.empty(0, np.intp), *left])
    if not len(rest):
        return Encoded(codes, np.array(table.firsts, np.intp))
    more, firsts = _encode_by_pandas([column[rest] for column in columns])
    codes[rest] = more + len(table.firsts)
    return Encoded(codes, np.concatenate([table.firsts, rest[firsts]]))


class _Table:
    """The values that have come so far, each in the slot that its hash says."""

    def __init__(self, columns: int, bits: int) -> None:
        self._bits = bits
        slots = 1 << bits
        self._number = np.full(slots, -1, np.int32)
        self._values = [np.zeros(slots, np.uint64) for _ in range(columns)]
        self.firsts: list[int] = []

    def encode(
        self, columns: Sequence[NDArray[Any]], start: int, codes: NDArray[np.int32]
    ) -> NDArray[np.intp]:
        """Fill in the codes of a piece; give the rows whose slot is another's."""
        slot = _hashed(columns, self._bits)
        np.take(self._number, slot, out=codes)
        fresh = np.flatnonzero(codes < 0)
        if len(fresh):
            self._add(columns, start, slot, fresh)
            np.take(self._number, slot, out=codes)
        differ = np.zeros(len(slot), np.bool_)
        for values, column in zip(self._values, columns, strict=True):
            differ |= values.take(slot) != column
        return np.flatnonzero(differ) + start

    def _add(
        self,
        columns: Sequence[NDArray[Any]],
        start: int,
        slot: NDArray[np.intp],
        fresh: NDArray[np.intp],
    ) -> None:
        slots, first = np.unique(slot[fresh], return_index=True)
        order = np.argsort(first)
        slots, rows = slots[order], fresh[first[order]]
        self._number[slots] = np.arange(len(slots)) + len(self.firsts)
        for values, column in zip(self._values, columns, strict=True):
            values[slots] = column[rows]
        self.firsts += (rows + start).tolist()


def _hashed(columns: Sequence[NDArray[Any]], bits: int) -> NDArray[np.intp]:
    """A number of so many bits for each row."""
    mixed = np.zeros(len(columns[0]), np.uint64)
    for column, multiplier in zip(columns, _MULTIPLIERS, strict=False):
        mixed ^= column * np.uint64(multiplier)
    mixed >>= np.uint64(64 - bits)
    return mixed.view(np.intp)


def _encode_by_pandas(columns: Sequence[NDArray[Any]]) -> Encoded:
    codes, uniques = pd.factorize(columns[0])
    for column in columns[1:]:
        other, values = pd.factorize(column)
        codes, uniques = pd.factorize(codes * len(values) + other)
    firsts = np.full(len(uniques), -1)
    firsts[codes[::-1]] = np.arange(len(codes))[::-1]
    return Encoded(codes, firsts)


def _encode_bytes(values: NDArray[np.uint8]) -> Encoded:
    """Those of one byte, which are numbers already."""
    firsts = np.full(256, -1)
    is_new = np.ones(256, np.bool_)
    for piece in pieces(len(values)):
        here = values[piece]
        if not is_new.take(here).any():
            continue
        for number in np.flatnonzero((np.bincount(here, minlength=256) > 0) & is_new):
            firsts[number] = piece.start + np.argmax(here == number)
            is_new[number] = False
    return Encoded(values, firsts)
