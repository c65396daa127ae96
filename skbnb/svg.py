# SPDX-License-Identifier: Apache-2.0
"""Charts as static SVG: what a page shows where no script runs.

The page may be light or dark, which an image cannot know: all colours are read on both.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from .charts import Flow, Icicle, described

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .charts import Axis, Band, Box, Chart, Figure, Node

__all__ = ["draw"]

_WIDTH = 700
_ROW = 22
_LINE = 18
_TEXT = "#7A7A7A"
# The mean width of a character in the 12 px font; no font can be measured here.
_CHARACTER = 7


@dataclass(frozen=True, slots=True)
class _Plot:
    """A chart's rectangle between its axes, in pixels."""

    chart: Chart
    left: float
    top: float
    right: float
    bottom: float

    def x(self, value: float) -> float:
        part = _part(self.chart.x, value)
        return round(self.left + part * (self.right - self.left), 1)

    def y(self, value: float) -> float:
        # Rows are counted downwards, numbers upwards.
        part = _part(self.chart.y, value)
        part = part if self.chart.y.rows else 1 - part
        return round(self.top + part * (self.bottom - self.top), 1)


def draw(figure: Figure) -> str:
    """Draw a figure as one ``<svg>`` element, 700 pixels wide."""
    if isinstance(figure, Icicle):
        return _icicle(figure)
    return _flow(figure) if isinstance(figure, Flow) else _chart(figure)


def _chart(chart: Chart) -> str:
    keys = [(series.name, series.colour) for series in chart.series if chart.legend]
    legend, top = _legend(keys)
    rows = chart.y.rows
    plot = _Plot(
        chart,
        left=min(max(map(len, rows), default=8) * _CHARACTER + 16, 280),
        top=top,
        right=_WIDTH - 16,
        bottom=top + (_ROW * len(rows) if rows else 220),
    )
    return _image(chart, plot.bottom + 44, [*legend, *_grid(plot), *_marks(plot)])


def _icicle(icicle: Icicle) -> str:
    legend, top = _legend(icicle.legend)
    boxes = [_box(box, icicle.boxes[0].clones, top) for box in icicle.boxes]
    nothing = _text(_WIDTH / 2, top + 14, "no clones", "middle")
    height = top + _ROW * icicle.rows + 8
    return _image(icicle, height, [*legend, *(boxes or [nothing])])


def _image(chart: Figure, height: float, drawn: Iterable[str]) -> str:
    title, subtitle = escape(chart.title), escape(chart.subtitle)
    words = escape(described(chart))
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
            f'width="{_WIDTH}" height="{height}" role="img" fill="{_TEXT}" '
            'font-family="system-ui, sans-serif" font-size="12">',
            f"<title>{title}</title>",
            f"<desc>{words}</desc>",
            f'<text x="8" y="20" font-size="15" font-weight="600">{title}</text>',
            f'<text x="8" y="38">{subtitle}</text>',
            *drawn,
            "</svg>\n",
        ]
    )


def _part(axis: Axis, value: float) -> float:
    """How far along the axis, from 0 to 1."""
    return (value - axis.low) / (axis.high - axis.low)


def _text(x: float, y: float, text: str, anchor: str, room: float = math.inf) -> str:
    # Rather squeezed than cut: a name's end is its pid.
    squeeze = f' textLength="{room}" lengthAdjust="spacingAndGlyphs"'
    return (
        f'<text x="{x}" y="{y}" text-anchor="{anchor}"'
        f"{squeeze if len(text) * _CHARACTER > room else ''}>{escape(text)}</text>"
    )


def _legend(keys: Iterable[tuple[str, str]]) -> tuple[list[str], float]:
    """Names with their colours, in as many lines as it takes, and what is below."""
    x, y = 8.0, 48.0
    drawn: list[str] = []
    for name, colour in keys:
        width = len(name) * _CHARACTER + 32
        if x + width > _WIDTH and drawn:
            x, y = 8.0, y + _LINE
        drawn.append(_filled(colour, f"M{x} {y}h10v10h-10z"))
        drawn.append(_text(x + 15, y + 9, name, "start", _WIDTH - x - 23))
        x += width
    return drawn, y + 4 + (_LINE if drawn else 0)


def _ticks(axis: Axis) -> Iterator[tuple[float, str]]:
    for n in range(math.ceil(axis.low / axis.step), int(axis.high / axis.step) + 1):
        yield n * axis.step, f"{n * axis.step:,.10g}"


def _grid(plot: _Plot) -> Iterator[str]:
    """The axes: lines, numbers, names and titles."""
    chart, middle = plot.chart, (plot.top + plot.bottom) / 2
    lines = []
    for value, number in _ticks(chart.x):
        lines.append(f"M{plot.x(value)} {plot.top}V{plot.bottom}")
        yield _text(plot.x(value), plot.bottom + 16, number, "middle")
    for row, name in enumerate(chart.y.rows):
        yield _text(plot.left - 8, plot.y(row) + 4, name, "end", plot.left - 16)
    if not chart.y.rows:
        for value, number in _ticks(chart.y):
            lines.append(f"M{plot.left} {plot.y(value)}H{plot.right}")
            yield _text(plot.left - 8, plot.y(value) + 4, number, "end")
        yield (
            f'<g transform="translate(14 {middle}) rotate(-90)">'
            f"{_text(0, 0, chart.y.title, 'middle')}</g>"
        )
    yield f'<path d="{"".join(lines)}" stroke="{_TEXT}" stroke-opacity="0.3"/>'
    across = (plot.left + plot.right) / 2
    yield _text(across, plot.bottom + 36, chart.x.title, "middle")
    if not chart.series:
        yield _text(across, middle, "no clones", "middle")


def _marks(plot: _Plot) -> Iterator[str]:
    """One path for each series, however many marks it has."""
    yield from _FORMS[plot.chart.form](plot)


def _bars(plot: _Plot) -> Iterator[str]:
    before: defaultdict[float, float] = defaultdict(float)
    for series in plot.chart.series:
        path = ""
        for x, y in zip(series.x, series.y, strict=True):
            path += _bar(plot, before[y], before[y] + x, y)
            before[y] += x
        yield _filled(series.colour, path)
    for row, total in enumerate(plot.chart.totals):
        # Outside the bar, on whichever side it ends.
        away, anchor = (-5, "end") if total < 0 else (5, "start")
        number = plot.chart.x.number(total)
        yield _text(plot.x(total) + away, plot.y(row) + 4, number, anchor)


def _columns(plot: _Plot) -> Iterator[str]:
    below: defaultdict[float, float] = defaultdict(float)
    for series in plot.chart.series:
        path = ""
        for x, y in zip(series.x, series.y, strict=True):
            path += _column(plot, x, below[x], below[x] + y)
            below[x] += y
        yield _filled(series.colour, path)


def _dots(plot: _Plot) -> Iterator[str]:
    for series in plot.chart.series:
        # A line of no length with round ends is a dot.
        mark = _CROSS if series.failed else "h0"
        points = zip(series.x, series.y, strict=True)
        path = "".join(f"M{plot.x(x)} {plot.y(y)}{mark}" for x, y in points)
        yield _stroke(series.colour, path, 2 if series.failed else 8)


def _cells(plot: _Plot) -> Iterator[str]:
    """One path for each of a few shades, however many cells there are."""
    shades: defaultdict[int, str] = defaultdict(str)
    half, most = plot.chart.width / 2, plot.chart.most
    for series in plot.chart.series:
        for x, y, value in zip(series.x, series.y, series.values or (), strict=True):
            left, right = plot.x(x - half), plot.x(x + half)
            top, bottom = plot.y(y - 0.42), plot.y(y + 0.42)
            shade = math.ceil(value / most * _SHADES)
            shades[shade] += f"M{left} {top}H{right}V{bottom}H{left}z"
    colour = plot.chart.series[0].colour if plot.chart.series else _TEXT
    for shade, path in sorted(shades.items()):
        opacity = round(0.15 + 0.85 * shade / _SHADES, 2)
        yield f'<path d="{path}" fill="{colour}" fill-opacity="{opacity}"/>'


def _lives(plot: _Plot) -> Iterator[str]:
    for series in plot.chart.series:
        y, first, last = plot.y(series.y[0]), plot.x(series.x[0]), plot.x(series.x[-1])
        yield _stroke(series.colour, f"M{first} {y}h0", 8)
        end = f"M{last} {y}{_CROSS}" if series.failed else ""
        yield _stroke(series.colour, f"M{first} {y}H{last}{end}", 2)


_FORMS = {
    "bars": _bars,
    "columns": _columns,
    "dots": _dots,
    "cells": _cells,
    "lives": _lives,
}
_SHADES = 8
_CROSS = "m-3-3l6 6m0-6l-6 6"


def _stroke(colour: str, path: str, width: int) -> str:
    return (
        f'<path d="{path}" stroke="{colour}" stroke-opacity="0.85" '
        f'stroke-width="{width}" stroke-linecap="round" fill="none"/>'
    )


def _filled(colour: str, path: str) -> str:
    return f'<path d="{path}" fill="{colour}"/>'


def _bar(plot: _Plot, start: float, end: float, y: float) -> str:
    top, bottom = plot.y(y - 0.35), plot.y(y + 0.35)
    return f"M{plot.x(start)} {top}H{plot.x(end)}V{bottom}H{plot.x(start)}z"


def _column(plot: _Plot, x: float, low: float, high: float) -> str:
    half = plot.chart.width / 2
    left, right = plot.x(x - half), plot.x(x + half)
    return f"M{left} {plot.y(low)}V{plot.y(high)}H{right}V{plot.y(low)}z"


def _box(box: Box, total: int, top: float) -> str:
    """A box, as much of its name as it has room for, and the rest for the pointer."""
    scale = (_WIDTH - 16) / total
    # A pixel less than its share, and than a row: the page is seen between boxes.
    x, y = 8 + box.start * scale, top + box.row * _ROW
    width = box.clones * scale - 1
    room = int((width - 10) / _CHARACTER)
    name = box.name if len(box.name) <= room else box.name[: room - 1] + "…"
    text = f'<text x="{x + 4:.1f}" y="{y + 15}" fill="{box.ink}">{escape(name)}</text>'
    return (
        f"<g><title>{escape(box.name)}\n{escape(box.hover)}</title>"
        f'<path d="M{x:.1f} {y}h{width:.1f}v{_ROW - 1}h-{width:.1f}z" '
        f'fill="{box.colour}"/>'
        f"{text if room > 5 else ''}</g>"
    )


# ------------------------------------------------------------------ what flows

# Between two nodes, and the width of one.
_GAP, _NODE = 14, 12


def _flow(flow: Flow) -> str:
    layers = [
        [place for place, node in enumerate(flow.nodes) if node.layer == layer]
        for layer in range(len(flow.layers))
    ]
    most = max(map(len, layers), default=1)
    height = max(160, 30 * most)
    total = sum(flow.nodes[place].clones for place in layers[0]) or 1
    scale = (height - _GAP * (most - 1)) / total
    places = _stacked(flow, layers, scale, top=72)
    drawn = [
        _text(*_title_at(layer, len(layers)), title, _anchor(layer, len(layers)))
        for layer, title in enumerate(flow.layers)
    ]
    drawn += _bands(flow, places, scale)
    drawn += [
        _node(node, *places[place], node.clones * scale, len(layers))
        for place, node in enumerate(flow.nodes)
    ]
    nothing = [] if flow.nodes else [_text(_WIDTH / 2, 100, "no clones", "middle")]
    return _image(flow, 72 + height + 8, [*drawn, *nothing])


def _left(layer: int, layers: int) -> float:
    return 8 + layer * (_WIDTH - 16 - _NODE) / max(layers - 1, 1)


def _anchor(layer: int, layers: int) -> str:
    return "end" if layer == layers - 1 else "start"


def _title_at(layer: int, layers: int) -> tuple[float, float]:
    return _left(layer, layers) + (_NODE if layer == layers - 1 else 0), 62


def _stacked(
    flow: Flow, layers: list[list[int]], scale: float, top: float
) -> dict[int, tuple[float, float]]:
    """The upper left corner of each node."""
    corners = {}
    for number, layer in enumerate(layers):
        y = top
        for place in layer:
            corners[place] = _left(number, len(layers)), y
            y += flow.nodes[place].clones * scale + _GAP
    return corners


def _bands(
    flow: Flow, places: dict[int, tuple[float, float]], scale: float
) -> Iterator[str]:
    """The bands, in order from the top down at both of their ends."""
    leaves: defaultdict[int, float] = defaultdict(float)
    arrives: defaultdict[int, float] = defaultdict(float)
    for band in sorted(flow.bands, key=lambda band: (band.source, band.target)):
        (x, y), (to_x, to_y) = places[band.source], places[band.target]
        yield _band(
            band,
            (x + _NODE, y + leaves[band.source]),
            (to_x, to_y + arrives[band.target]),
            band.clones * scale,
        )
        leaves[band.source] += band.clones * scale
        arrives[band.target] += band.clones * scale


def _band(
    band: Band, left: tuple[float, float], right: tuple[float, float], thick: float
) -> str:
    (x, y), (to_x, to_y) = left, right
    middle = (x + to_x) / 2
    return (
        f"<g><title>{escape(band.hover)}</title>"
        f'<path d="M{x:.1f} {y:.1f}C{middle:.1f} {y:.1f} {middle:.1f} {to_y:.1f} '
        f"{to_x:.1f} {to_y:.1f}v{thick:.1f}C{middle:.1f} {to_y + thick:.1f} "
        f'{middle:.1f} {y + thick:.1f} {x:.1f} {y + thick:.1f}z" '
        f'fill="{band.colour}" fill-opacity="0.4"/></g>'
    )


def _node(node: Node, x: float, y: float, height: float, layers: int) -> str:
    last = node.layer == layers - 1
    at = x - 5 if last else x + _NODE + 5
    name = _text(at, y + height / 2 + 4, node.name, _anchor(node.layer, layers), 200)
    return (
        f"<g><title>{escape(node.name)}: {node.clones:,}</title>"
        f'<path d="M{x:.1f} {y:.1f}h{_NODE}v{max(height, 1):.1f}h-{_NODE}z" '
        f'fill="{node.colour}"/>{name}</g>'
    )
