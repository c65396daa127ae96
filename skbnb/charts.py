# SPDX-License-Identifier: Apache-2.0
"""What a figure shows, decided once: `figures` draws it with plotly and `svg` without.

Text is plain here; whoever draws escapes it. Rows and colours follow the rank of a
process in `analysis.processes`, so a process looks the same in every chart of a frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from . import analysis
from .facts import Facts
from .trees import grow
from .units import counted, nice, printable, si

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable

    from numpy.typing import NDArray

    from .trees import Node, Tree

__all__ = [
    "Axis",
    "Box",
    "Chart",
    "Icicle",
    "Series",
    "changes",
    "processes",
    "reasons",
    "stacks",
    "timeline",
]

# Of Okabe and Ito's eight colours, the six that are seen on white and on black.
_PALETTE = ("#0072B2", "#D55E00", "#009E73", "#E69F00", "#56B4E9", "#CC79A7")
_GREY = "#8C8C8C"
_WAY = "#B8B8B8"

_MAX_ROWS = 30
_MAX_DOTS = 2000
_MAX_BOXES = 400
_MAX_NAME = 80
_MAX_DEPTH = 64
# Of all clones: a narrower box is hard to see.
_MIN_BOX = 0.005


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis: what it measures, in which unit, and its ends.

    An axis of processes has `rows`, their names, at 0, 1, 2 ... from the top down; on a
    `whole` one there is nothing between two whole numbers; what a `signed` one
    measures is more or less than before.
    """

    title: str
    low: float
    high: float
    rows: tuple[str, ...] = ()
    whole: bool = False
    signed: bool = False

    @property
    def step(self) -> float:
        """From one tick to the next, for eight ticks or fewer."""
        step = nice((self.high - self.low) / 8)
        return max(step, 1.0) if self.whole else step

    def number(self, value: float) -> str:
        """The number at a bar's end."""
        return f"{value:+,}" if self.signed and value else f"{value:,}"


@dataclass(frozen=True, slots=True)
class Series:
    """The marks of one process, or of several that share a row.

    Attributes
    ----------
    x, y
        Where they are. A bar ends at `x`; a column stands on the middle of its bin,
        `x`, and is `y` high.
    hover
        What each says more, in lines.
    failed
        They are calls that failed, and become crosses.
    """

    name: str
    colour: str
    x: list[float]
    y: list[float]
    hover: list[str]
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    """A figure, before it is drawn.

    Attributes
    ----------
    form
        Bars lie, one to a row; columns stand, stacked and `width` wide.
    """

    form: Literal["bars", "dots", "columns"]
    title: str
    subtitle: str
    x: Axis
    y: Axis
    series: tuple[Series, ...]
    width: float = 1.0


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
    """

    name: str
    parent: int
    row: int
    start: int
    clones: int
    colour: str
    hover: str

    @property
    def ink(self) -> str:
        """Black or white: which is read better on its colour."""
        return "#FFFFFF" if self.colour == _PALETTE[0] else "#000000"


@dataclass(frozen=True, slots=True)
class Icicle:
    """A figure of what called what, before it is drawn.

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


def processes(df: pd.DataFrame) -> Chart:
    """Chart the clones of each process, as bars."""
    ranking = _Ranking(analysis.processes(df), _MAX_ROWS)
    tallies = ranking.tallies()
    series = tuple(
        Series(name, _colour(row), [tally["clones"]], [row], [_tally_text(tally)])
        for row, (name, tally) in enumerate(zip(ranking.names, tallies, strict=True))
    )
    return _bars("Clones by process", df, series, ranking.axis())


def reasons(df: pd.DataFrame) -> Chart:
    """Chart the clones that were made for each reason, as bars."""
    table = analysis.reasons(df).head(_MAX_ROWS)
    series = tuple(
        Series(
            printable(tally["reason"], 60),
            _colour(row),
            [tally["clones"]],
            [row],
            [f"{tally['why']}\n{_tally_text(tally)}"],
        )
        for row, tally in enumerate(table.to_dict("records"))
    )
    rows = tuple(one.name for one in series) or ("",)
    return _bars("Clones by reason", df, series, Axis("", -0.5, len(rows) - 0.5, rows))


def _bars(title: str, df: pd.DataFrame, series: tuple[Series, ...], y: Axis) -> Chart:
    most = max((one.x[0] for one in series), default=0)
    # The number at a bar's end needs some room.
    x = Axis("clones", 0, max(most, 1) * 1.15, whole=True)
    return Chart("bars", title, _subtitle(df), x, y, series)


def changes(table: pd.DataFrame, subtitle: str) -> Chart:
    """Chart how many more or fewer clones were made for each reason, as bars.

    Parameters
    ----------
    table
        `Comparison.reasons`.
    subtitle
        What was compared.
    """
    shown = table.head(_MAX_ROWS)
    series = tuple(
        Series(
            printable(row["reason"], 60),
            _PALETTE[1] if row["change"] > 0 else _PALETTE[0],
            [row["change"]],
            [number],
            [f"{row['why']}\na: {row['a']:,}, b: {row['b']:,}"],
        )
        for number, row in enumerate(shown.to_dict("records"))
    )
    rows = tuple(one.name for one in series) or ("",)
    ends = [0, *shown["change"].tolist()]
    # The numbers at the bars' ends need some room, on either side.
    room = max(max(ends) - min(ends), 1) * 0.15
    low, high = min(ends) - room, max(ends) + room
    x = Axis("more or fewer clones", low, high, whole=True, signed=True)
    y = Axis("", -0.5, len(rows) - 0.5, rows)
    return Chart("bars", "Change by reason", subtitle, x, y, series)


def stacks(df: pd.DataFrame) -> Icicle:
    """Chart the ways through the kernel to skb_clone(), merged where they begin alike.

    A function that called skb_clone() has the colour of its reason.

    Raises
    ------
    OptionError
        The trace has no stacks.
    """
    # What is not drawn need not be added up.
    df = df.drop(columns=["path", "len"], errors="ignore")
    ways = _Ways(analysis.stacks(df))
    tree = ways.tree()
    colours = _reason_colours(df)
    boxes = tuple(ways.box(node, colours) for node in tree.nodes)
    used = {box.colour for box in boxes}
    named = {**colours, "another or unknown reason": _GREY, "on the way": _WAY}
    return Icicle(
        title="Clones by stack",
        subtitle=" · ".join([_subtitle(df), *_cuts(tree)]),
        boxes=boxes,
        legend=tuple(
            (printable(name, 40), colour)
            for name, colour in named.items()
            if colour in used
        ),
    )


def _reason_colours(df: pd.DataFrame) -> dict[str, str]:
    """The colours of the reasons that have one, as in the chart of reasons."""
    if "reason" not in df:
        return {}
    first = analysis.reasons(df)["reason"].head(len(_PALETTE))
    return {reason: _colour(rank) for rank, reason in enumerate(first)}


class _Ways:
    """The ways through the kernel: each one's functions, clones and reason."""

    def __init__(self, table: pd.DataFrame) -> None:
        table = table[table["clones"] > 0]
        self._paths = [stack.split(";") for stack in table["stack"]]
        self._clones = table["clones"].tolist()
        self._reasons = table.get("reason", pd.Series(pd.NA, table.index)).tolist()
        self._total = sum(self._clones)

    def tree(self) -> Tree:
        return grow(
            self._paths,
            self._clones,
            least=self._total * _MIN_BOX,
            most=_MAX_BOXES,
            deepest=_MAX_DEPTH,
        )

    def box(self, node: Node, colours: dict[Any, str]) -> Box:
        share = f"{node.weight / self._total:.1%} of all"
        texts = [f"{counted(node.weight, 'clone')}, {share}"]
        colour = _WAY
        ends = [n for n in node.paths if len(self._paths[n]) == node.depth]
        if ends:
            reasons = {self._reasons[n] for n in ends}
            reason = reasons.pop() if len(reasons) == 1 else pd.NA
            why = "unknown why" if pd.isna(reason) else printable(reason, 40)
            texts.append(f"{sum(self._clones[n] for n in ends):,} made here: {why}")
            colour = colours.get(reason, _GREY)
        return Box(
            printable(node.name, _MAX_NAME) if node.depth else "all",
            node.parent,
            row=node.depth,
            start=node.start,
            clones=node.weight,
            colour=colour,
            hover="\n".join(texts),
        )


def _cuts(tree: Tree) -> list[str]:
    """What the figure leaves out, and how much that is."""
    cuts = []
    if tree.small:
        clones = counted(max(tree.small), "clone")
        cuts.append(f"left out: branches of up to {clones}, {sum(tree.small):,} in all")
    if tree.deep:
        clones = counted(sum(tree.deep), "clone")
        cuts.append(f"left out: functions below the {_MAX_DEPTH}th, of {clones}")
    return cuts


def timeline(df: pd.DataFrame) -> Chart:
    """Chart when each process made clones: as dots, or columns if they are too many."""
    df = df[df["kind"].isin(["clone", "failed"])]
    return _dots(df) if len(df) <= _MAX_DOTS else _columns(df)


def _dots(df: pd.DataFrame) -> Chart:
    ranking = _Ranking(analysis.processes(df), _MAX_ROWS)
    scale, unit = _time_unit(df)
    x = (df["t"].to_numpy() * scale).round(6)
    row = ranking.rows(df["pid"])
    failed = (df["kind"] == "failed").to_numpy(np.bool_)
    hover = np.array(_call_texts(df, x, unit), dtype=np.object_)

    def marks(number: int, is_failed: bool) -> Series:
        chosen = (row == number) & (failed == is_failed)
        at = x[chosen].tolist()
        name = ranking.names[number] + (" (failed)" if is_failed else "")
        return Series(
            name,
            _colour(number),
            x=at,
            y=[number] * len(at),
            hover=hover[chosen].tolist(),
            failed=is_failed,
        )

    every = (marks(n, f) for n in range(len(ranking.names)) for f in (False, True))
    return Chart(
        "dots",
        title="Clones over time",
        subtitle=_subtitle(df),
        x=_time_axis(x, unit),
        y=ranking.axis(),
        series=tuple(series for series in every if series.x),
    )


def _columns(df: pd.DataFrame) -> Chart:
    ranking = _Ranking(analysis.processes(df), len(_PALETTE))
    scale, unit = _time_unit(df)
    bins = analysis.timeline(df)
    width = float(bins["width"].max() * scale) if len(bins) else 1.0
    x = (bins["t"].to_numpy() * scale + width / 2).round(6)
    stacks = bins["clones"].groupby([ranking.rows(bins["pid"]), x]).sum()

    def marks(number: int) -> Series:
        stack = stacks[number]
        at, clones = stack.index.tolist(), stack.tolist()
        hover = [
            f"{counted(n, 'clone')}\n{a - width / 2:.6g} to {a + width / 2:.6g} {unit}"
            for a, n in zip(at, clones, strict=True)
        ]
        return Series(ranking.names[number], _colour(number), at, clones, hover)

    highest = max(stacks.groupby(level=1).sum(), default=1)
    each = f"{width:.6g} {unit}"
    return Chart(
        "columns",
        title="Clones over time",
        subtitle=f"{_subtitle(df)} · binned, {each} each",
        x=_time_axis(x, unit, margin=width / 2),
        y=Axis(f"clones per {each}", 0, highest * 1.05, whole=True),
        series=tuple(marks(number) for number in stacks.index.unique(0)),
        width=width,
    )


class _Ranking:
    """A chart's rows: the processes with the most clones, and one for all others."""

    def __init__(self, table: pd.DataFrame, most: int) -> None:
        # A row for a single other process had better name it.
        self._cut = most if len(table) > most + 1 else len(table)
        self._table = table
        others = len(table) - self._cut
        named = table.head(self._cut)
        self.names = [
            f"{printable(comm, 60)} {pid}"
            for comm, pid in zip(named["comm"], named["pid"], strict=True)
        ]
        if others:
            self.names.append(f"{others:,} other processes")

    def rows(self, pids: pd.Series[int]) -> NDArray[np.intp]:
        """Each process's row."""
        rank: NDArray[np.intp] = pd.Index(self._table["pid"]).get_indexer(pids)
        return rank.clip(max=self._cut)

    def tallies(self) -> list[dict[Hashable, Any]]:
        """The counts in the table, added up by row."""
        counts = self._table.columns.intersection(
            ["clones", "failed", "fast", "slab", "bytes"]
        )
        by_row = self._table[counts].groupby(self.rows(self._table["pid"]))
        return by_row.sum(min_count=1).to_dict("records")

    def axis(self) -> Axis:
        rows = tuple(self.names) or ("",)
        return Axis("", -0.5, len(rows) - 0.5, rows)


def _colour(row: int) -> str:
    return _PALETTE[row] if row < len(_PALETTE) else _GREY


def _subtitle(df: pd.DataFrame) -> str:
    facts = Facts.of(df)
    of = f"{counted(facts.clones, 'clone')} of {counted(facts.processes, 'process')}"
    failed = f"{facts.failures:,} failed" if facts.failures else ""
    return " · ".join(filter(None, (of, failed, facts.loss)))


def _tally_text(tally: dict[Hashable, Any]) -> str:
    lines = [counted(tally["clones"], "clone")]
    if "fast" in tally:
        lines.append(f"{tally['fast']:,} fast, {tally['slab']:,} slab")
    if pd.notna(tally.get("bytes", pd.NA)):
        lines.append(si(tally["bytes"], "B"))
    if tally.get("copies"):
        lines.append(counted(tally["copies"], "copy"))
    if tally["failed"]:
        lines.append(f"{tally['failed']:,} failed")
    return "\n".join(lines)


def _call_texts(df: pd.DataFrame, x: Iterable[float], unit: str) -> list[str]:
    """What is known of each call: when, its number, its length, its caller."""
    texts = [f"{at:.6g} {unit}" for at in x]
    known: dict[str, Callable[[Any], str]] = {
        "count": "call {:,}".format,
        "len": "{:,} bytes".format,
        "caller": lambda name: printable(name, 32),
    }
    for column, text in known.items():
        if column in df:
            texts = [
                before if pd.isna(value) else f"{before}, {text(value)}"
                for before, value in zip(texts, df[column], strict=True)
            ]
    return texts


def _time_unit(df: pd.DataFrame) -> tuple[float, str]:
    """How many of which unit a second has, so that an axis has short numbers."""
    last = df["t"].max() if len(df) else 1.0
    return next(
        (scale, unit)
        for least, scale, unit in ((1, 1.0, "s"), (1e-3, 1e3, "ms"), (0, 1e6, "µs"))
        if last >= least
    )


def _time_axis(x: NDArray[np.float64], unit: str, margin: float = 0.0) -> Axis:
    title = f"time since the cell began ({unit})"
    if not len(x):
        return Axis(title, 0.0, 1.0)
    low, high = float(x.min()) - margin, float(x.max()) + margin
    # From the beginning, unless most of the axis would be empty.
    low = 0.0 if low < high / 2 or low == high else low
    space = (high - low or 1.0) * 0.02
    return Axis(title, low - space, high + space)
