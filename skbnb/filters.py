# SPDX-License-Identifier: Apache-2.0
"""Choosing rows of a trace's DataFrame, and the pandas expression that does the same.

A condition is a call of one pandas method on one column. What is shown and what is done
are both made from it, so they cannot differ.
"""

from __future__ import annotations

import functools
import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from .grouping import has_one_of
from .schema import WITHIN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["UNKNOWN", "Condition", "Filter", "contains"]

UNKNOWN = ""
"""For `Filter.reason` and `Filter.dev`: rows where it is absent."""


class Condition(NamedTuple):
    """A method of a column, or of ``df.skb``, that says which rows are meant.

    Parameters
    ----------
    column
        Its name; empty for ``df.skb``.
    method
        The method's name.
    arguments
        What it is called with: of types whose ``repr()`` is their source.
    """

    column: str
    method: str
    arguments: tuple[Any, ...] = ()

    def __str__(self) -> str:
        source = f"df[{self.column!r}]" if self.column else "df.skb"
        arguments = ", ".join(map(repr, self.arguments))
        return f"{source}.{self.method}({arguments})"

    def mask(self, df: pd.DataFrame) -> pd.Series[bool]:
        """Say of each row of a frame whether it is meant."""
        owner = df[self.column] if self.column else df.skb
        return getattr(owner, self.method)(*self.arguments)  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which rows are chosen: those that meet every condition given.

    Parameters
    ----------
    scope
        ``cell``, ``notebook`` (the cell's and the notebook's) or ``all``, as is None.
    pid, comm
        This process, and threads of this name.
    reason, dev
        Rows with this value; `UNKNOWN` for those with none.
    since, until
        Seconds since tracing began, both included.
    text
        What stands in any of their columns: see `contains`.
    """

    scope: str | None = None
    pid: int | None = None
    comm: str | None = None
    reason: str | None = None
    dev: str | None = None
    since: float | None = None
    until: float | None = None
    text: str = ""

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """The conditions, as pandas has them."""
        return tuple(self._conditions())

    def _conditions(self) -> Iterator[Condition]:
        if self.scope not in (None, "all"):
            names = [scope.name.lower() for scope in WITHIN[self.scope]]
            # With one name eq() takes a tenth of the time.
            among = ("eq", (names[0],)) if len(names) == 1 else ("isin", (names,))
            yield Condition("scope", *among)
        for column, chosen in (("pid", self.pid), ("comm", self.comm)):
            if chosen is not None:
                yield Condition(column, "eq", (chosen,))
        for column, value in (("reason", self.reason), ("dev", self.dev)):
            if value is not None:
                known = ("eq", (value,)) if value != UNKNOWN else ("isna", ())
                yield Condition(column, *known)
        if self.since is not None:
            yield Condition("t", "ge", (self.since,))
        if self.until is not None:
            yield Condition("t", "le", (self.until,))
        if self.text:
            yield Condition("", "contains", (self.text,))

    def mask(self, df: pd.DataFrame) -> NDArray[np.bool_] | None:
        """Say of each row of a frame whether it is chosen; None: every one is."""
        masks = [condition.mask(df).to_numpy(np.bool_) for condition in self.conditions]
        return functools.reduce(operator.and_, masks) if masks else None

    def expression(self, frame: str) -> str:
        """The same as an expression of pandas.

        Parameters
        ----------
        frame
            An expression for the frame.
        """
        conditions = " & ".join(map(str, self.conditions))
        return f"{frame}[lambda df: {conditions}]" if conditions else frame


def contains(df: pd.DataFrame, text: str) -> pd.Series[bool]:
    """Say which rows have a text in any column.

    Parameters
    ----------
    df
        Rows of a trace.
    text
        Is looked for in all names, addresses and words, upper case or lower; a whole
        number also as what a column of whole numbers has, as a port or a process id.
    """
    found = np.zeros(len(df), np.bool_)
    for name in df.columns:
        column = df[name]
        if isinstance(column.dtype, pd.CategoricalDtype):
            found |= _has_text(column, text)
            if found.all():
                break
        elif text.isdecimal() and pd.api.types.is_integer_dtype(column.dtype):
            found |= column.eq(int(text)).to_numpy(np.bool_, na_value=False)
    return pd.Series(found, df.index)


def _has_text(column: pd.Series[Any], text: str) -> NDArray[np.bool_]:
    # A few categories, and not as many words as there are rows.
    words = column.cat.categories.astype("str")
    codes = np.flatnonzero(words.str.contains(text, case=False, regex=False))
    if not len(codes):
        return np.zeros(len(column), np.bool_)
    return has_one_of(column.cat.codes.to_numpy(), codes)
