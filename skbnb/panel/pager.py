# SPDX-License-Identifier: Apache-2.0
"""All rows, a page at a time, in any order."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets
import numpy as np
import pandas as pd

from ..schema import COLUMNS
from ..units import counted, printable
from ..views import CLASSES, STYLE
from .order import Order

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Pager"]

ROWS = 100

# What most people look for; the others are a click away.
_FIRST = (
    *("t", "count", "comm", "pid", "context", "kind", "reason", "detail"),
    *("owner_comm", "saddr", "sport", "daddr", "dport", "dev", "len", "fate"),
)
_FORMATS: dict[str, Callable[[Any], str]] = {
    "t": "{:.6f}".format,
    "life": "{:.6g}".format,
    **dict.fromkeys(("parent", "clone", "sk"), "{:#x}".format),
}
_TEXTS = {column.name: column.text for column in COLUMNS}
_STYLE = """
.skbnb-events { white-space: nowrap; max-height: 520px; overflow: auto; }
.skbnb-events thead th {
  position: sticky; top: 0; background: var(--jp-layout-color0, Canvas); cursor: help;
}
.skbnb-events th:first-child:not(.words) { text-align: right; }
"""
_WORDS = {"comm", "context", "kind", "reason", "detail", "owner_comm", "dev", "fate"}


class Pager:
    """A table of a hundred rows, and buttons to turn the pages."""

    def __init__(self) -> None:
        self._df = pd.DataFrame()
        self._chosen: NDArray[np.intp] = np.empty(0, np.intp)
        self._order = Order(self._chosen, None, down=False)
        self._page = 0
        self._sort = ipywidgets.Dropdown(description="sort by")
        self._down = ipywidgets.ToggleButton(
            description="largest first", layout=ipywidgets.Layout(width="auto")
        )
        self._all = ipywidgets.ToggleButton(
            description="all columns", layout=ipywidgets.Layout(width="auto")
        )
        self._where = ipywidgets.Label()
        self._table = ipywidgets.HTML(layout=ipywidgets.Layout(overflow="auto"))
        self._sort.observe(self._sorted, "value")
        self._down.observe(self._sorted, "value")
        self._all.observe(self._show, "value")
        turns = [self._button(*turn) for turn in _TURNS]
        row = [*turns, self._where, self._sort, self._down, self._all]
        wrap = ipywidgets.Layout(flex_flow="row wrap", align_items="center")
        self.widget = ipywidgets.VBox([ipywidgets.Box(row, layout=wrap), self._table])

    def _button(self, text: str, tooltip: str, step: float) -> ipywidgets.Button:
        button = ipywidgets.Button(
            description=text, tooltip=tooltip, layout=ipywidgets.Layout(width="64px")
        )
        button.on_click(lambda _: self._turn(step))
        return button

    @property
    def _pages(self) -> int:
        return max(-(-len(self._order) // ROWS), 1)

    def draw(self, df: pd.DataFrame, mask: NDArray[np.bool_] | None) -> None:
        """Show the first of these rows."""
        self._df = df
        self._chosen = np.arange(len(df)) if mask is None else np.flatnonzero(mask)
        if not self._sort.options:
            self._sort.options = list(df.columns)
            self._sort.value = "t"
        self._sorted()

    def _sorted(self, _: object = None) -> None:
        """Put the rows in order; those that are alike stay in the order of time."""
        name, down, self._page = self._sort.value, self._down.value, 0
        is_sorted = name is None or (name in ("t", "time") and not down)
        column = None if is_sorted else self._df[name]
        self._order = Order(self._chosen, column, down=down)
        self._show()

    def _turn(self, step: float) -> None:
        self._page = int(min(max(self._page + step, 0), self._pages - 1))
        self._show()

    def _show(self, _: object = None) -> None:
        first = self._page * ROWS
        rows = self._order.rows(first, first + ROWS)
        last = first + len(rows)
        self._where.value = (
            f"{first + 1:,} to {last:,} of {counted(len(self._order), 'event')}, "
            f"page {self._page + 1:,} of {self._pages:,}"
            if len(rows)
            else "no events"
        )
        columns = [
            name for name in self._df.columns if self._all.value or name in _FIRST
        ]
        self._table.value = _html(self._df[columns].take(rows))


_TURNS = (
    ("first", "First page", -np.inf),
    ("back", "Page before", -1),
    ("next", "Next page", 1),
    ("last", "Last page", np.inf),
)


def _html(df: pd.DataFrame) -> str:
    names = list(df.columns)
    head = "".join(
        f'<th scope="col"{_class(name)} title="{escape(_TEXTS.get(name, name))}">'
        f"{escape(name)}</th>"
        for name in names
    )
    columns = [_cells(df[name]) for name in names]
    body = "".join(
        "<tr>"
        + "".join(
            f"<td{_class(name)}>{cell}</td>"
            for name, cell in zip(names, cells, strict=True)
        )
        + "</tr>\n"
        for cells in zip(*columns, strict=True)
    )
    return (
        f"<style>{STYLE}{_STYLE}</style>"
        # Reached by the keyboard, whose arrows then scroll it.
        f'<div class="{CLASSES} skbnb-events" tabindex="0" role="region" '
        f'aria-label="events"><table><thead><tr>{head}</tr></thead>\n'
        f"<tbody>{body}</tbody></table></div>"
    )


def _class(name: str) -> str:
    return ' class="words"' if name in _WORDS else ""


def _cells(column: pd.Series[Any]) -> list[str]:
    text = _FORMATS.get(str(column.name), printable)
    return ["" if pd.isna(value) else escape(text(value)) for value in column]
