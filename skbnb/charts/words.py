# SPDX-License-Identifier: Apache-2.0
"""What a figure shows, in words: for those who do not see it."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from .model import Chart, Flow

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .model import Figure, Icicle

__all__ = ["described"]

_MOST = 10


def described(figure: Figure) -> str:
    """A figure's title, subtitle and greatest numbers, as plain text.

    ``Clones by process: 6 clones of 2 processes · 0 lost. curl 42: 3, python 41: 3.``
    """
    subtitle = f": {figure.subtitle}" if figure.subtitle else ""
    numbers = sorted(_numbers(figure), key=lambda one: -abs(one[1]))
    words = [f"{name}: {number:,.10g}" for name, number in numbers[:_MOST]]
    more = len(numbers) - _MOST
    words += [f"and {more:,} more"] if more > 0 else []
    return f"{figure.title}{subtitle}. " + (f"{', '.join(words)}." if words else "")


def _numbers(figure: Figure) -> Iterable[tuple[str, float]]:
    """What is counted by name: rows, columns, nodes or innermost functions."""
    if isinstance(figure, Chart):
        return _of_chart(figure)
    if isinstance(figure, Flow):
        return [
            (f"{figure.layers[node.layer]} {node.name}", node.clones)
            for node in figure.nodes
        ]
    return _of_icicle(figure)


def _of_chart(chart: Chart) -> Iterable[tuple[str, float]]:
    if chart.form == "lives" or not chart.series:
        return []
    if chart.totals:
        return list(zip(chart.y.rows, chart.totals, strict=True))
    counts: defaultdict[str, float] = defaultdict(float)
    for series in chart.series:
        for place, y in enumerate(series.y):
            if chart.form == "columns":
                counts[series.name] += y
            else:
                number = series.values[place] if series.values else 1
                counts[chart.y.rows[int(y)]] += number
    return counts.items()


def _of_icicle(icicle: Icicle) -> Iterable[tuple[str, float]]:
    # The ends of all ways: no clone is in two of them.
    callers = {box.parent for box in icicle.boxes}
    counts: defaultdict[str, float] = defaultdict(float)
    for place, box in enumerate(icicle.boxes):
        if place not in callers:
            counts[box.name] += box.clones
    return counts.items()
