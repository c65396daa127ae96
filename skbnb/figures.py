# SPDX-License-Identifier: Apache-2.0
"""Plotly figures of a trace's DataFrame; the only module that imports plotly.

Plotly reads tags, entities and TeX in every text and fills in ``%{...}``, and a process
chooses its own name: all text passes `_escape`. Numbers go to the browser in
plain lists: some viewers cannot read plotly's packed arrays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from . import charts

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["TEMPLATE", "draw", "processes", "timeline"]

# Seen alike on white and on black: the page behind the figure is not ours.
_TEXT = "#7A7A7A"
_LINE = "rgba(128, 128, 128, 0.3)"

_AXIS: dict[str, Any] = {
    "gridcolor": _LINE,
    "linecolor": _LINE,
    "zeroline": False,
    "automargin": True,
    "title": {"standoff": 8, "font": {"size": 12}},
}

TEMPLATE = go.layout.Template(
    layout={
        "font": {"family": "system-ui, sans-serif", "size": 12, "color": _TEXT},
        "title": {
            "font": {"size": 15, "weight": 600},
            "subtitle": {"font": {"size": 12, "weight": "normal"}},
            "x": 0,
            "xref": "container",
            "y": 1,
            "yref": "container",
            "yanchor": "top",
            "pad": {"t": 8, "l": 8},
        },
        "paper_bgcolor": "rgba(0, 0, 0, 0)",
        "plot_bgcolor": "rgba(0, 0, 0, 0)",
        "margin": {"l": 12, "r": 16, "t": 64, "b": 48},
        "xaxis": _AXIS,
        "yaxis": {**_AXIS, "ticklabelstandoff": 6},
        "hoverlabel": {"align": "left", "namelength": -1},
        "legend": {
            "orientation": "h",
            "y": -0.2,
            "yanchor": "top",
            "x": 0,
            "traceorder": "normal",
        },
        "barmode": "stack",
        "bargap": 0.3,
    }
)
"""What all figures share."""


def processes(df: pd.DataFrame) -> go.Figure:
    """Draw the clones of each process, as bars."""
    return draw(charts.processes(df))


def timeline(df: pd.DataFrame) -> go.Figure:
    """Draw when each process made clones: dots, or columns if they are too many."""
    return draw(charts.timeline(df))


def draw(chart: charts.Chart | charts.Icicle) -> go.Figure:
    """Draw any chart."""
    figure = _icicle(chart) if isinstance(chart, charts.Icicle) else _chart(chart)
    figure.update_layout(
        template=TEMPLATE,
        title={
            "text": _escape(chart.title),
            "subtitle": {"text": _escape(chart.subtitle)},
        },
    )
    if not figure.data:
        figure.add_annotation(
            text="no clones",
            x=0.5,
            y=0.5,
            xref="paper",
            yref="paper",
            yanchor="bottom",
            showarrow=False,
        )
    return figure


def _chart(chart: charts.Chart) -> go.Figure:
    trace = {"bars": _bar, "dots": _dots, "columns": _columns}[chart.form]
    return go.Figure(
        data=[trace(series, chart) for series in chart.series],
        layout={
            "xaxis": _axis(chart.x),
            "yaxis": _axis(chart.y),
            "height": 130 + 24 * len(chart.y.rows) if chart.y.rows else 400,
            "showlegend": chart.form == "columns",
        },
    )


def _icicle(icicle: charts.Icicle) -> go.Figure:
    hidden = {"visible": False, "fixedrange": True}
    figure = go.Figure(
        layout={
            "height": 130 + 22 * icicle.rows,
            "xaxis": hidden,
            "yaxis": hidden,
            "dragmode": False,
            "modebar": {"remove": ["select", "lasso"]},
            "legend": {"y": 0, "itemclick": False, "itemdoubleclick": False},
            "uniformtext": {"minsize": 10, "mode": "hide"},
        }
    )
    boxes = icicle.boxes
    if not boxes:
        return figure
    figure.add_icicle(
        ids=[str(place) for place in range(len(boxes))],
        parents=[str(box.parent) if box.row else "" for box in boxes],
        labels=[_escape(box.name) for box in boxes],
        values=[box.clones for box in boxes],
        branchvalues="total",
        sort=False,
        marker={"colors": [box.colour for box in boxes]},
        textinfo="label",
        textfont={"color": [box.ink for box in boxes]},
        hovertext=[_escape(box.hover) for box in boxes],
        hoverinfo="label+text",
        tiling={"orientation": "v", "pad": 1},
        leaf={"opacity": 1},
        pathbar={"visible": False},
    )
    for name, colour in icicle.legend:
        # An icicle has no legend: this is a trace of no marks, for its key.
        figure.add_scatter(
            x=[None],
            y=[None],
            name=_escape(name),
            mode="markers",
            marker={"color": colour, "symbol": "square", "size": 10},
            showlegend=True,
        )
    return figure


def _escape(text: str) -> str:
    """Text in plotly's language that is shown as it stands."""
    # The ampersand first: the others become entities. $ begins TeX, % a template.
    for character in "&<>$%":
        text = text.replace(character, f"&#{ord(character)};")
    return text.replace("\n", "<br>")


def _axis(axis: charts.Axis) -> dict[str, Any]:
    made: dict[str, Any] = {"title": {"text": _escape(axis.title)}}
    made["range"] = [axis.low, axis.high]
    if axis.whole:
        made["tickformat"] = ","
        made["dtick"] = 1 if axis.step == 1 else None
    if axis.rows:
        made["range"].reverse()  # the first row is the uppermost
        made["tickvals"] = list(range(len(axis.rows)))
        made["ticktext"] = [_escape(row) for row in axis.rows]
    return made


def _common(series: charts.Series) -> dict[str, Any]:
    return {
        "name": _escape(series.name),
        "x": series.x,
        "y": series.y,
        "hovertext": [_escape(text) for text in series.hover],
        "hoverinfo": "text+name",
    }


def _bar(series: charts.Series, chart: charts.Chart) -> go.Bar:
    return go.Bar(
        **_common(series),
        orientation="h",
        marker={"color": series.colour},
        text=list(map(chart.x.number, series.x)),
        textposition="outside",
        cliponaxis=False,
    )


def _columns(series: charts.Series, chart: charts.Chart) -> go.Bar:
    return go.Bar(**_common(series), width=chart.width, marker={"color": series.colour})


def _dots(series: charts.Series, chart: charts.Chart) -> go.Scatter:
    symbol = "x" if series.failed else "circle"
    return go.Scatter(
        **_common(series),
        mode="markers",
        marker={"color": series.colour, "symbol": symbol, "size": 8, "opacity": 0.85},
    )
