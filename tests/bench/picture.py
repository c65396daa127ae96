# SPDX-License-Identifier: Apache-2.0
"""Curves on logarithmic axes, as a static SVG: each has a straight line beside it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape

_WIDTH, _HEIGHT = 330, 264
# The bottom has room for six names, two in a row.
_LEFT, _TOP, _RIGHT, _BOTTOM = 52, 30, 10, 72
# Read on a light and on a dark page.
_COLOURS = ("#1f8fd0", "#d0721f", "#3a9e4c", "#b05fc0", "#8a8a2a", "#c04f5f")
_TEXT = "#7A7A7A"

# Of a size, what it took.
Curve = Sequence[tuple[float, float]]


def draw(panels: Mapping[str, Mapping[str, Curve]]) -> str:
    """Draw panels, two in a row: title -> curves by name, in seconds, bytes or so."""
    rows = math.ceil(len(panels) / 2)
    size = f"0 0 {2 * _WIDTH} {rows * _HEIGHT}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{size}" '
        f'font-family="sans-serif" font-size="11" fill="{_TEXT}">'
    ]
    names = dict.fromkeys(name for curves in panels.values() for name in curves)
    colours = dict(zip(names, _COLOURS, strict=False))
    for number, (title, curves) in enumerate(panels.items()):
        left, top = number % 2 * _WIDTH, number // 2 * _HEIGHT
        parts.append(f'<g transform="translate({left} {top})">')
        parts += _panel(title, curves, colours)
        parts.append("</g>")
    return "\n".join([*parts, "</svg>"]) + "\n"


def _panel(
    title: str, curves: Mapping[str, Curve], colours: Mapping[str, str]
) -> Iterator[str]:
    xs = [math.log10(x) for curve in curves.values() for x, _ in curve]
    ys = [math.log10(y) for curve in curves.values() for _, y in curve]
    across, up = _Axis(xs, _LEFT, _WIDTH - _RIGHT), _Axis(ys, _HEIGHT - _BOTTOM, _TOP)
    yield f'<text x="{_LEFT}" y="14" font-weight="bold">{escape(title)}</text>'
    for value in across.ticks:
        x = across.at(value)
        yield _line(x, _TOP, x, _HEIGHT - _BOTTOM, "#7A7A7A40")
        yield _label(x, _HEIGHT - _BOTTOM + 14, "middle", value)
    for value in up.ticks:
        y = up.at(value)
        yield _line(_LEFT, y, _WIDTH - _RIGHT, y, "#7A7A7A40")
        yield _label(_LEFT - 6, y + 4, "end", value)
    for number, (name, curve) in enumerate(curves.items()):
        colour = colours[name]
        yield from _curve(curve, across, up, colour)
        x = _LEFT + number % 2 * 135
        y = _HEIGHT - _BOTTOM + 30 + number // 2 * 13
        yield f'<text x="{x}" y="{y}" fill="{colour}">{escape(name)}</text>'


class _Axis:
    """Exponents of ten, from one whole one to another, and where they are."""

    def __init__(self, exponents: Sequence[float], first: float, last: float) -> None:
        low, high = math.floor(min(exponents)), math.ceil(max(exponents))
        self.ticks = range(low, max(high, low + 1) + 1)
        self._first, self._last = first, last

    def at(self, exponent: float) -> float:
        part = (exponent - self.ticks[0]) / (self.ticks[-1] - self.ticks[0])
        return round(self._first + part * (self._last - self._first), 1)


def _curve(curve: Curve, across: _Axis, up: _Axis, colour: str) -> Iterator[str]:
    places = [(math.log10(x), math.log10(y)) for x, y in curve]
    points = " ".join(f"{across.at(x)},{up.at(y)}" for x, y in places)
    stroke = f'fill="none" stroke="{colour}" stroke-width="2"'
    yield f'<polyline points="{points}" {stroke}/>'
    for x, y in places:
        yield f'<circle cx="{across.at(x)}" cy="{up.at(y)}" r="2.5" fill="{colour}"/>'
    # In proportion to its last point, as far down as there is room.
    x, y = places[-1]
    down = min(x - places[0][0], y - up.ticks[0])
    ends = (across.at(x - down), up.at(y - down), across.at(x), up.at(y))
    yield _line(*ends, colour, "4 3")


def _line(
    x1: float, y1: float, x2: float, y2: float, colour: str, dashes: str = ""
) -> str:
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="{colour}"{dashed}/>'


def _label(x: float, y: float, anchor: str, exponent: int) -> str:
    power = f'10<tspan dy="-4" font-size="8">{exponent}</tspan>'
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}">{power}</text>'
