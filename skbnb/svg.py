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

from .charts import Icicle

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .charts import Axis, Box, Chart

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


def draw(chart: Chart | Icicle) -> str:
    """Draw a chart as one ``<svg>`` element, 700 pixels wide."""
    return _icicle(chart) if isinstance(chart, Icicle) else _chart(chart)


def _chart(chart: Chart) -> str:
    columns = chart.form == "columns"
    keys = [(series.name, series.colour) for series in chart.series if columns]
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


def _image(chart: Chart | Icicle, height: float, drawn: Iterable[str]) -> str:
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
    """One path for each process, however many marks it has."""
    below: defaultdict[float, float] = defaultdict(float)
    for series in plot.chart.series:
        points = list(zip(series.x, series.y, strict=True))
        if plot.chart.form == "bars":
            yield _filled(series.colour, "".join(_bar(plot, x, y) for x, y in points))
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
            yield _filled(series.colour, path)
        else:
            # A line of no length with round ends is a dot.
            mark = "m-3-3l6 6m0-6l-6 6" if series.failed else "h0"
            path = "".join(f"M{plot.x(x)} {plot.y(y)}{mark}" for x, y in points)
            yield (
                f'<path d="{path}" stroke="{series.colour}" stroke-opacity="0.85" '
                f'stroke-width="{2 if series.failed else 8}" stroke-linecap="round"/>'
            )


def _filled(colour: str, path: str) -> str:
    return f'<path d="{path}" fill="{colour}"/>'


def _bar(plot: _Plot, x: float, y: float) -> str:
    top, bottom = plot.y(y - 0.35), plot.y(y + 0.35)
    return f"M{plot.x(0)} {top}H{plot.x(x)}V{bottom}H{plot.x(0)}z"


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
