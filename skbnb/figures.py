# SPDX-License-Identifier: Apache-2.0
"""Plotly figures of a trace's DataFrame; the only module that imports plotly.

Plotly reads tags, entities and TeX in every text and fills in ``%{...}``, and a process
chooses its own name: all text passes `_escape`. Numbers go to the browser in
plain lists: some viewers cannot read plotly's packed arrays.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from . import charts

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["CONFIG", "TEMPLATE", "draw", "named", "to_page"]

# Plotly's toolbar would offer to upload the data. JupyterLab has its own way to fit
# figures to the page: a responsive one can end up without any height there.
CONFIG = {
    "showSendToCloud": False,
    "displaylogo": False,
    # To select marks does nothing here; to drag chooses a range.
    "modeBarButtonsToRemove": ["select2d", "lasso2d"],
}

# Seen alike on white and on black: the page behind the figure is not ours.
_TEXT = "#7A7A7A"
_LINE = "rgba(128, 128, 128, 0.3)"

_AXIS: dict[str, Any] = {
    "gridcolor": _LINE,
    "linecolor": _LINE,
    "zeroline": False,
    "automargin": True,
    "title": {"standoff": 8, "font": {"size": 12}},
    # Where all labels are hidden, as in a page that is still to be laid out, plotly
    # draws the title infinitely far above.
    "ticklabeloverflow": "allow",
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
            "yref": "container",
            "y": 0,
            "yanchor": "bottom",
            "x": 0,
            "traceorder": "normal",
        },
        "barmode": "stack",
        "bargap": 0.3,
    }
)
"""What all figures share."""


def draw(chart: charts.Figure) -> go.Figure:
    """Draw any figure."""
    if isinstance(chart, charts.Icicle):
        figure = _icicle(chart)
    elif isinstance(chart, charts.Flow):
        figure = _flow(chart)
    else:
        figure = _chart(chart)
    figure.update_layout(
        template=TEMPLATE,
        title={
            "text": _escape(chart.title),
            "subtitle": {"text": _escape(chart.subtitle)},
        },
        # For whoever names the figure to those who do not see it, or listens to what is
        # chosen in it. Plotly itself shows nothing of this.
        meta={**(figure.layout.meta or {}), "words": charts.described(chart)},
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


def to_page(made: Sequence[charts.Figure]) -> str:
    """Figures as HTML with scripts in it, and none to fetch."""
    return "\n".join(
        named(
            charts.described(chart),
            draw(chart).to_html(
                full_html=False,
                include_plotlyjs=not number,
                config={**CONFIG, "responsive": True},
            ),
        )
        for number, chart in enumerate(made)
    )


def named(words: str, drawn: str) -> str:
    """HTML of a figure with a name for those who do not see it."""
    return f'<div role="figure" aria-label="{escape(words)}">{drawn}</div>'


def _chart(chart: charts.Chart) -> go.Figure:
    figure = go.Figure(
        data=_cells(chart)
        if chart.form == "cells"
        else [_FORMS[chart.form](series, chart) for series in chart.series],
        layout={
            "xaxis": _axis(chart.x),
            # To zoom into rows is of no use: dragging chooses a range of time.
            "yaxis": {**_axis(chart.y), "fixedrange": bool(chart.y.rows)},
            "height": _height(chart),
            "showlegend": chart.legend and bool(chart.series),
            "meta": {"form": chart.form, "scale": chart.x.scale, "keys": chart.keys},
        },
    )
    if chart.totals:
        figure.add_trace(_totals(chart))
    return figure


def _height(chart: charts.Chart) -> int:
    if not chart.y.rows:
        return 400
    # The legend's lines, as many as there may be where the page is narrow.
    legend = 24 * -(-len(chart.series) // 3) if chart.legend else 0
    return 130 + 24 * len(chart.y.rows) + legend


def _totals(chart: charts.Chart) -> go.Scatter:
    # A stacked bar's own text stands beside its last part.
    return go.Scatter(
        x=chart.totals,
        y=list(range(len(chart.totals))),
        text=[f" {chart.x.number(total)} " for total in chart.totals],
        textposition=[
            "middle left" if total < 0 else "middle right" for total in chart.totals
        ],
        mode="text",
        hoverinfo="skip",
        cliponaxis=False,
        showlegend=False,
    )


def _flow(flow: charts.Flow) -> go.Figure:
    most = max((len(layer) for layer in _layers(flow)), default=1)
    # Room for the titles of the layers, between the figure's and the nodes.
    layout = {"height": 180 + 30 * most, "margin": {"t": 92}}
    figure = go.Figure(layout=layout)
    if not flow.nodes:
        return figure
    figure.add_sankey(
        arrangement="fixed",
        valueformat=",",
        node={
            "label": [_escape(node.name) for node in flow.nodes],
            "color": [node.colour for node in flow.nodes],
            "hovertemplate": "%{label}: %{value}<extra></extra>",
            "line": {"width": 0},
            "thickness": 14,
            **_corners(flow),
        },
        link={
            "source": [band.source for band in flow.bands],
            "target": [band.target for band in flow.bands],
            "value": [band.clones for band in flow.bands],
            "color": [_faint(band.colour) for band in flow.bands],
            "label": [_escape(band.hover) for band in flow.bands],
            "hovertemplate": "%{label}<extra></extra>",
        },
    )
    for number, title in enumerate(flow.layers):
        figure.add_annotation(
            text=title,
            x=number / (len(flow.layers) - 1),
            y=1,
            xref="paper",
            yref="paper",
            yanchor="bottom",
            xanchor=("left", "center", "right")[number],
            showarrow=False,
        )
    return figure


def _layers(flow: charts.Flow) -> list[list[charts.Node]]:
    return [
        [node for node in flow.nodes if node.layer == layer]
        for layer in range(len(flow.layers))
    ]


def _corners(flow: charts.Flow) -> dict[str, list[float]]:
    """Where each node is: in the order given, from the top down."""
    x, y = [], []
    for number, layer in enumerate(_layers(flow)):
        total = sum(node.clones for node in layer)
        above = 0.0
        for node in layer:
            x.append(min(max(number / (len(flow.layers) - 1), 0.001), 0.999))
            y.append(min(max((above + node.clones / 2) / total, 0.001), 0.999))
            above += node.clones
    return {"x": x, "y": y}


def _faint(colour: str) -> str:
    red, green, blue = _rgb(colour)
    return f"rgba({red}, {green}, {blue}, 0.45)"


def _rgb(colour: str) -> tuple[int, int, int]:
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return red, green, blue


def _icicle(icicle: charts.Icicle) -> go.Figure:
    hidden = {"visible": False, "fixedrange": True}
    figure = go.Figure(
        layout={
            "height": 130 + 22 * icicle.rows,
            "xaxis": hidden,
            "yaxis": hidden,
            "dragmode": False,
            "modebar": {"remove": ["select", "lasso"]},
            "legend": {"itemclick": False, "itemdoubleclick": False},
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
        "hoverinfo": "text",
    }


def _bar(series: charts.Series, chart: charts.Chart) -> go.Bar:
    return go.Bar(**_common(series), orientation="h", marker={"color": series.colour})


def _columns(series: charts.Series, chart: charts.Chart) -> go.Bar:
    return go.Bar(**_common(series), width=chart.width, marker={"color": series.colour})


def _cells(chart: charts.Chart) -> list[go.Heatmap]:
    """All cells as one trace; where there is nothing, the page is seen."""
    if not chart.series:
        return []
    # Every bin, those that are empty, too: else its neighbours would fill it.
    first = min(min(series.x) for series in chart.series)
    last = max(max(series.x) for series in chart.series)
    places = [
        first + place * chart.width
        for place in range(round((last - first) / chart.width) + 1)
    ]
    shape = range(len(chart.y.rows))
    values: list[list[float | None]] = [[None] * len(places) for _ in shape]
    hover: list[list[str]] = [[""] * len(places) for _ in shape]
    for series in chart.series:
        marks = zip(series.x, series.y, series.values or (), series.hover, strict=True)
        for x, y, value, text in marks:
            place = round((x - first) / chart.width)
            values[int(y)][place] = value
            hover[int(y)][place] = _escape(text)
    red, green, blue = _rgb(chart.series[0].colour)
    return [
        go.Heatmap(
            x=places,
            y=list(shape),
            z=values,
            zmin=0,
            zmax=chart.most,
            colorscale=[
                [0, f"rgba({red}, {green}, {blue}, 0.15)"],
                [1, f"rgb({red}, {green}, {blue})"],
            ],
            colorbar={"title": {"text": "clones"}, "thickness": 12, "outlinewidth": 0},
            hovertext=hover,
            hoverinfo="text",
            hoverongaps=False,
            ygap=3,
        )
    ]


def _dots(series: charts.Series, chart: charts.Chart) -> go.Scatter:
    symbol = "x" if series.failed else "circle"
    return go.Scatter(
        **_common(series),
        mode="markers",
        marker={"color": series.colour, "symbol": symbol, "size": 8, "opacity": 0.85},
    )


def _lives(series: charts.Series, chart: charts.Chart) -> go.Scatter:
    end = "x" if series.failed else "line-ns-open"
    return go.Scatter(
        **_common(series),
        mode="lines+markers",
        line={"color": series.colour, "width": 2},
        marker={
            "color": series.colour,
            "symbol": ["circle", end][: len(series.x)],
            "size": [8, 9][: len(series.x)],
        },
    )


_FORMS = {"bars": _bar, "columns": _columns, "dots": _dots, "lives": _lives}
