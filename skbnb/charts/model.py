# SPDX-License-Identifier: Apache-2.0
"""What a figure is before it is drawn: axes, marks, boxes and bands, all plain text.

Whoever draws escapes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..units import nice

__all__ = ["Axis", "Band", "Box", "Chart", "Figure", "Flow", "Icicle", "Node", "Series"]


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis: what it measures, in which unit, and its ends.

    An axis of rows has `rows`, their names, at 0, 1, 2 ... from the top down; on a
    `whole` one there is nothing between two whole numbers; what a `signed` one
    measures is more or less than before.

    Attributes
    ----------
    scale
        On an axis of time, how many of its units a second has.
    """

    title: str
    low: float
    high: float
    rows: tuple[str, ...] = ()
    whole: bool = False
    signed: bool = False
    scale: float = 1.0

    @property
    def step(self) -> float:
        """From one tick to the next, for eight ticks or fewer."""
        step = nice((self.high - self.low) / 8)
        return max(step, 1.0) if self.whole else step

    def number(self, value: float) -> str:
        """The number at a bar's end."""
        sign = "+" if self.signed and value else ""
        return f"{value:{sign},.{'0f' if self.whole else '10g'}}"


@dataclass(frozen=True, slots=True)
class Series:
    """The marks of one colour, with one name.

    Attributes
    ----------
    x, y
        Where they are. A bar of `x` lies behind those of earlier series in its row; a
        column stands on the middle of its bin, `x`, and is `y` high; a cell lies in the
        middle of its bin; a life is two marks and the line between them.
    hover
        What each says more, in lines.
    values
        Of cells: how much is in each, which is how dark it is.
    failed
        They are calls that failed, and become crosses.
    """

    name: str
    colour: str
    x: list[float]
    y: list[float]
    hover: list[str]
    values: list[float] | None = None
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    """A figure with axes.

    Attributes
    ----------
    form
        Bars lie, stacked, in rows; columns stand, stacked and `width` wide; cells lie
        in rows, `width` wide; lives are lines.
    totals
        What stands at the ends of the bars of each row.
    keys
        The process of each row, -1 for several; empty where rows are something else.
    legend
        Whether the colours are explained.
    """

    form: Literal["bars", "dots", "columns", "cells", "lives"]
    title: str
    subtitle: str
    x: Axis
    y: Axis
    series: tuple[Series, ...]
    width: float = 1.0
    totals: tuple[float, ...] = ()
    keys: tuple[int, ...] = ()
    legend: bool = False

    @property
    def most(self) -> float:
        """The greatest of the cells' values."""
        return max(
            (max(one.values, default=0) for one in self.series if one.values), default=0
        )


@dataclass(frozen=True, slots=True)
class Box:
    """A function in an icicle, below the one that called it.

    Attributes
    ----------
    parent
        The caller's place among the boxes, which is before its own; -1 for the root.
    row
        From 0, the root's, downwards.
    start, clones
        How many clones are left of it, and how many in it.
    ink
        What is read on its colour.
    """

    name: str
    parent: int
    row: int
    start: int
    clones: int
    colour: str
    ink: str
    hover: str


@dataclass(frozen=True, slots=True)
class Icicle:
    """A figure of what called what.

    Attributes
    ----------
    boxes
        The root, as wide as all clones, and then each after the one above it.
    legend
        What each colour says.
    """

    title: str
    subtitle: str
    boxes: tuple[Box, ...]
    legend: tuple[tuple[str, str], ...]

    @property
    def rows(self) -> int:
        """How many rows its boxes take."""
        return max((box.row for box in self.boxes), default=0) + 1


@dataclass(frozen=True, slots=True)
class Node:
    """One of the things in a layer of a flow.

    Attributes
    ----------
    layer
        From 0, the leftmost.
    clones
        How many pass it.
    """

    name: str
    layer: int
    clones: int
    colour: str


@dataclass(frozen=True, slots=True)
class Band:
    """What flows from a node to one of the next layer.

    Attributes
    ----------
    source, target
        Their places among the nodes.
    """

    source: int
    target: int
    clones: int
    colour: str
    hover: str


@dataclass(frozen=True, slots=True)
class Flow:
    """A figure of what goes where, layer by layer: a Sankey diagram."""

    title: str
    subtitle: str
    layers: tuple[str, ...]
    nodes: tuple[Node, ...]
    bands: tuple[Band, ...]


Figure = Chart | Icicle | Flow
"""Any figure."""
