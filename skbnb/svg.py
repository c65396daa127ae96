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

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .charts import Axis, Chart, Series

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


def draw(chart: Chart) -> str:
    """Draw a chart as one ``<svg>`` element, 700 pixels wide."""
    legend = _legend(chart) if chart.form == "columns" else []
    rows = chart.y.rows
    top = 52 + (legend[-1][1] + _LINE if legend else 0)
    plot = _Plot(
        chart,
        left=min(max(map(len, rows), default=8) * _CHARACTER + 16, 280),
        top=top,
        right=_WIDTH - 16,
        bottom=top + (_ROW * len(rows) if rows else 220),
    )
    height = plot.bottom + 44
    title, subtitle = escape(chart.title), escape(chart.subtitle)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
            f'width="{_WIDTH}" height="{height}" role="img" fill="{_TEXT}" '
            'font-family="system-ui, sans-serif" font-size="12">',
            f"<title>{title}</title>",
            f"<desc>{subtitle}</desc>",
            f'<text x="8" y="20" font-size="15" font-weight="600">{title}</text>',
            f'<text x="8" y="38">{subtitle}</text>',
            *(_key(*item) for item in legend),
            *_grid(plot),
            *_marks(plot),
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


def _legend(chart: Chart) -> list[tuple[float, float, Series]]:
    """Where each name stands, from left to right in as many lines as it takes."""
    x, y = 8.0, 0.0
    placed: list[tuple[float, float, Series]] = []
    for series in chart.series:
        width = len(series.name) * _CHARACTER + 32
        if x + width > _WIDTH and placed:
            x, y = 8.0, y + _LINE
        placed.append((x, y, series))
        x += width
    return placed


def _key(x: float, y: float, series: Series) -> str:
    square = _filled(series, f"M{x} {y + 48}h10v10h-10z")
    return square + _text(x + 15, y + 57, series.name, "start", _WIDTH - x - 23)


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
    """One path for each process, however many marks it has."""
    below: defaultdict[float, float] = defaultdict(float)
    for series in plot.chart.series:
        points = list(zip(series.x, series.y, strict=True))
        if plot.chart.form == "bars":
            yield _filled(series, "".join(_bar(plot, x, y) for x, y in points))
            for x, y in points:
                # Outside the bar, on whichever side it ends.
                away, anchor = (-5, "end") if x < 0 else (5, "start")
                number = plot.chart.x.number(x)
                yield _text(plot.x(x) + away, plot.y(y) + 4, number, anchor)
        elif plot.chart.form == "columns":
            path = ""
            for x, y in points:
                path += _column(plot, x, below[x], below[x] + y)
                below[x] += y
            yield _filled(series, path)
        else:
            # A line of no length with round ends is a dot.
            mark = "m-3-3l6 6m0-6l-6 6" if series.failed else "h0"
            path = "".join(f"M{plot.x(x)} {plot.y(y)}{mark}" for x, y in points)
            yield (
                f'<path d="{path}" stroke="{series.colour}" stroke-opacity="0.85" '
                f'stroke-width="{2 if series.failed else 8}" stroke-linecap="round"/>'
            )


def _filled(series: Series, path: str) -> str:
    return f'<path d="{path}" fill="{series.colour}"/>'


def _bar(plot: _Plot, x: float, y: float) -> str:
    top, bottom = plot.y(y - 0.35), plot.y(y + 0.35)
    return f"M{plot.x(0)} {top}H{plot.x(x)}V{bottom}H{plot.x(0)}z"


def _column(plot: _Plot, x: float, low: float, high: float) -> str:
    half = plot.chart.width / 2
    left, right = plot.x(x - half), plot.x(x + half)
    return f"M{left} {plot.y(low)}V{plot.y(high)}H{right}V{plot.y(low)}z"
