# SPDX-License-Identifier: Apache-2.0
"""A panel's pages: each draws the rows that are chosen, when it is looked at."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING, Any, Protocol

import ipywidgets
import numpy as np

from .. import analysis, charts
from ..errors import OptionError
from ..grouping import with_numbers
from ..units import counted, printable
from ..views import FigureView
from .pager import Pager

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd
    from numpy.typing import NDArray

    from ..charts import Figure

__all__ = ["PAGES", "Page", "chosen"]

# Sorting out who came of whom takes longer than a person waits.
_MAX_FAMILIES_OF = 200_000
_MAX_FAMILIES = 200


class Page(Protocol):
    """A page: what it is made of, and how it is drawn."""

    widget: ipywidgets.Widget

    def draw(self, df: pd.DataFrame, mask: NDArray[np.bool_] | None) -> None:
        """Draw these rows of a frame; None: all."""


def chosen(
    df: pd.DataFrame, mask: NDArray[np.bool_] | None, columns: Iterable[str]
) -> pd.DataFrame:
    """The chosen rows, of the columns that there are: few columns are copied fast."""
    narrow = df[[name for name in columns if name in df]]
    if mask is None:
        return narrow
    rows = np.flatnonzero(mask)
    # A range of time, or all there is: these are seen where they are.
    if len(rows) and rows[-1] - rows[0] + 1 == len(rows):
        return narrow.iloc[rows[0] : rows[-1] + 1]
    return narrow.take(rows)


def show(output: ipywidgets.Output, view: FigureView) -> None:
    """Show a figure in place of what is shown."""
    # To assign is all that draws anew: JupyterLab lets updates of displays be.
    bundle = view._repr_mimebundle_()
    output.outputs = ({"output_type": "display_data", "data": bundle, "metadata": {}},)


Make = Callable[["pd.DataFrame"], "Figure"]


class Figures:
    """Figures, one below the other."""

    def __init__(self, *figures: tuple[Make, tuple[str, ...]]) -> None:
        self._figures = figures
        self._outputs = [ipywidgets.Output() for _ in figures]
        self.widget = ipywidgets.VBox(self._outputs)

    def draw(self, df: pd.DataFrame, mask: NDArray[np.bool_] | None) -> None:
        """Draw each figure that the trace has something for."""
        columns = dict.fromkeys(name for _, names in self._figures for name in names)
        rows = with_numbers(chosen(df, mask, columns), "pid")
        for (make, names), output in zip(self._figures, self._outputs, strict=True):
            if names[-1] in df:
                show(output, FigureView(make(rows)))


class Packets:
    """The family of a packet: which clones it has, and how they ended."""

    def __init__(self) -> None:
        self._choice = ipywidgets.Dropdown(
            description="packet", layout=ipywidgets.Layout(width="auto")
        )
        self._choice.observe(self._draw_one, "value")
        self._output = ipywidgets.Output()
        self._note = ipywidgets.HTML()
        self._df: pd.DataFrame | None = None
        self.widget = ipywidgets.VBox([self._note, self._choice, self._output])

    def draw(self, df: pd.DataFrame, mask: NDArray[np.bool_] | None) -> None:
        """Offer the families of these rows, the largest first."""
        number = len(df) if mask is None else np.count_nonzero(mask)
        options: list[tuple[str, int]] = []
        try:
            if number > _MAX_FAMILIES_OF:
                raise OptionError(
                    f"of {number:,} events no families are sorted out",
                    f"Choose {_MAX_FAMILIES_OF:,} or fewer.",
                )
            self._df = chosen(df, mask, _OF_FAMILIES)
            table = analysis.family(self._df)
            options = _families(table)
            more = table["family"].nunique() - len(options)
            text = f"The {len(options):,} largest of all families." if more else ""
            if not options:
                text = "No clone here has a parent that this probe could see."
        except OptionError as error:
            text = str(error)
        self._note.value = f"<p>{escape(text)}</p>" if text else ""
        # Once, at the end: other options may have the same value, or another.
        self._choice.unobserve(self._draw_one, "value")
        self._choice.options = options
        self._choice.value = options[0][1] if options else None
        self._choice.layout.display = "" if options else "none"
        self._choice.observe(self._draw_one, "value")
        self._draw_one()

    def _draw_one(self, _: object = None) -> None:
        number = self._choice.value
        if number is None or self._df is None:
            self._output.outputs = ()
        else:
            show(self._output, FigureView(charts.family(self._df, number)))


_OF_FAMILIES = (
    *("t", "count", "comm", "pid", "kind", "reason", "parent", "origin", "clone"),
    *("fate", "drop_reason", "life"),
)


def _families(table: pd.DataFrame) -> list[tuple[str, int]]:
    """The largest families, each with its first clone."""
    first = table.drop_duplicates("family").set_index("family")
    first["clones"] = table["family"].value_counts()
    largest = first.sort_values("clones", ascending=False, kind="stable")
    largest = largest.head(_MAX_FAMILIES)
    return list(
        zip(
            map(_first_clone, largest.itertuples()), largest.index.tolist(), strict=True
        )
    )


def _first_clone(row: Any) -> str:
    who = f"{printable(row.comm, 40)} {row.pid}"
    clones = counted(row.clones, "clone")
    return f"{row.t:.6f} s: {clones}, first of {who}, {printable(row.reason)}"


_COUNTS = ("t", "comm", "pid", "kind", "path", "len", "reason")
_TIMES = ("t", "comm", "pid", "kind", "count", "len", "caller", "reason")
_WHY = ("t", "comm", "pid", "kind", "reason", "dev")
_STACKS = ("t", "comm", "pid", "kind", "reason", "stack")

PAGES: dict[str, Callable[[], Page]] = {
    "Processes": lambda: Figures((charts.processes, _COUNTS)),
    "Timeline": lambda: Figures((charts.timeline, _TIMES)),
    "Why": lambda: Figures((charts.flow, _WHY), (charts.stacks, _STACKS)),
    "Packets": Packets,
    "Events": Pager,
}
"""Title -> what makes the page, in the order of the tabs."""
