# SPDX-License-Identifier: Apache-2.0
"""The panel: controls, and below them pages that show what the controls choose."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets

from ..views import TraceView, marked, receipt
from .clicks import Clicks
from .closing import close
from .controls import Controls
from .pages import PAGES, chosen

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from ..filters import Filter
    from ..traces import Trace

__all__ = ["Panel"]

# The readout of a slider is made for shorter numbers. What plotly writes beside its
# marks is grey, to be read on any page: here the page says which colour is read best.
_STYLE = """
.skbnb-panel .widget-readout { min-width: 130px; }
.skbnb-panel .js-plotly-plot :is(.infolayer, .xtick, .ytick, .cbaxis) text,
.skbnb-panel .js-plotly-plot :is(.textpoint text, text.node-label) {
  fill: var(--jp-ui-font-color1, #7a7a7a) !important;
}
.skbnb-panel .js-plotly-plot text.node-label {
  text-shadow: none !important;
}
"""

# What the name means, once there are more traces than this.
_LAST = "import skbnb  # skbnb.last: this trace, until another one ends"


class Panel:
    """Widgets to look through a trace with.

    Where there are no widgets, in a terminal or on a page made of a notebook, it shows
    what the trace shows.

    Parameters
    ----------
    trace
        Which one.
    name
        What it is called in the expression that the panel shows.
    keep
        Called with the chosen rows when a person wants to go on with them; gives the
        name that they can be found under.

    Attributes
    ----------
    events
        The chosen rows.
    filter
        What chooses them.
    """

    def __init__(
        self,
        trace: Trace,
        *,
        name: str = "trace",
        keep: Callable[[pd.DataFrame], str] | None = None,
    ) -> None:
        self._trace = trace
        self._name = name
        self._keep = keep
        self._df = trace.select("all")
        self._receipt = marked(receipt(self._df))
        scope = trace.selection.effective_scope
        self._controls = Controls(self._df, scope, self._changed)
        self._pages = [make() for make in PAGES.values()]
        self._tab = ipywidgets.Tab(
            [page.widget for page in self._pages], titles=list(PAGES)
        )
        self._tab.observe(self._draw, "selected_index")
        self._clicks = Clicks()
        self._clicks.observe(self._clicked, "chosen")
        self._said = ipywidgets.HTML()
        self._expression = ipywidgets.HTML(layout=ipywidgets.Layout(flex="1 1 300px"))
        self._button = ipywidgets.Button(
            description="Keep these rows",
            tooltip="Have them as a DataFrame, to go on with in the next cell",
            layout=ipywidgets.Layout(display="" if keep else "none"),
        )
        self._button.on_click(self._kept)
        below = ipywidgets.Layout(flex_flow="row wrap", align_items="center")
        self.widget = ipywidgets.VBox(
            [
                *(self._said, self._controls.widget, self._tab),
                ipywidgets.Box([self._expression, self._button], layout=below),
                self._clicks,
            ]
        )
        self.widget.add_class("skbnb-panel")
        self._changed()

    @property
    def filter(self) -> Filter:
        """What the controls say."""
        return self._controls.filter

    @filter.setter
    def filter(self, wanted: Filter) -> None:
        self._controls.set(wanted)

    @property
    def events(self) -> pd.DataFrame:
        """The chosen rows, with every column."""
        return chosen(self._df, self._mask, self._df.columns)

    @property
    def expression(self) -> str:
        """Gives the same rows, in any cell."""
        return self.filter.expression(f"{self._name}.select('all')")

    def close(self) -> None:
        """Take the widgets away, here and on the page."""
        close(self.widget)

    # ---------------------------------------------------------------- what happens

    def _changed(self) -> None:
        self._mask: NDArray[np.bool_] | None = self.filter.mask(self._df)
        self._drawn: set[int] = set()
        total = len(self._df)
        number = total if self._mask is None else int(self._mask.sum())
        self._said.value = (
            f"<style>{_STYLE}</style><p><b>{number:,}</b> of {total:,} events · "
            f"{self._receipt}</p>"
        )
        lines = [_LAST] if self._name == "skbnb.last" else []
        lines.append(self.expression)
        self._expression.value = "<br>".join(
            f"<code>{escape(line)}</code>" for line in lines
        )
        self._draw()

    def _draw(self, _: object = None) -> None:
        """Draw the page that is looked at, if it shows something else."""
        page = self._tab.selected_index or 0
        if page not in self._drawn:
            self._drawn.add(page)
            self._pages[page].draw(self._df, self._mask)

    def _clicked(self, change: dict[str, Any]) -> None:
        """Filter by what was chosen in a figure; a process again takes it back."""
        chosen = change["new"]  # by the page's script: it may be anything
        key = chosen.get("key")
        if isinstance(key, int) and key > 0:
            self._controls.change(pid=None if self.filter.pid == key else key)
        elif "since" in chosen:
            ends = chosen["since"], chosen.get("until")
            if all(isinstance(end, (int, float, type(None))) for end in ends):
                self._controls.change(since=ends[0], until=ends[1])

    def _kept(self, _: object) -> None:
        if self._keep:
            name = self._keep(self.events)
            self._button.description = f"Kept as {name}"

    def static(self, **kwargs: Any) -> dict[str, Any]:
        """What is shown where there are no widgets."""
        return TraceView(self._trace.events)._repr_mimebundle_(**kwargs)

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        return {**self.widget._repr_mimebundle_(**kwargs), **self.static(**kwargs)}
