# SPDX-License-Identifier: Apache-2.0
"""What charts have in common: rows of processes, times, and words for numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .. import analysis
from ..facts import Facts
from ..units import counted, printable, si
from .model import Axis

if TYPE_CHECKING:
    from collections.abc import Hashable

    from numpy.typing import NDArray

__all__ = ["Ranking", "row_axis", "subtitle", "tally_text", "time_axis", "time_unit"]


class Ranking:
    """A chart's rows: the processes with the most clones, and one for all others."""

    def __init__(self, table: pd.DataFrame, most: int) -> None:
        # A row for a single other process had better name it.
        self._cut = most if len(table) > most + 1 else len(table)
        self._table = table
        others = len(table) - self._cut
        named = table.head(self._cut)
        self.keys = tuple(named["pid"].tolist())
        self.names = [
            f"{printable(comm, 60)} {pid}"
            for comm, pid in zip(named["comm"], named["pid"], strict=True)
        ]
        if others:
            self.names.append(f"{others:,} other processes")
            self.keys += (-1,)

    @classmethod
    def of(cls, df: pd.DataFrame, most: int) -> Ranking:
        """The rows for a trace's processes, without tallies of anything else."""
        return cls(analysis.processes(df[[*analysis.NEEDS]]), most)

    def rows(self, pids: pd.Series[int]) -> NDArray[np.intp]:
        """Each process's row."""
        rank: NDArray[np.intp] = pd.Index(self._table["pid"]).get_indexer(pids)
        return rank.clip(max=self._cut)

    def tallies(self) -> list[dict[Hashable, Any]]:
        """The counts in the table, added up by row."""
        counts = self._table.columns.intersection(
            ["clones", "failed", "copies", "fast", "slab", "bytes"]
        )
        by_row = self._table[counts].groupby(self.rows(self._table["pid"]))
        return by_row.sum(min_count=1).to_dict("records")

    def axis(self) -> Axis:
        """The axis of the rows."""
        return row_axis(self.names)


def row_axis(names: list[str]) -> Axis:
    """An axis of rows, of which there is at least one."""
    rows = tuple(names) or ("",)
    return Axis("", -0.5, len(rows) - 0.5, rows)


def subtitle(df: pd.DataFrame) -> str:
    """How many clones of how many processes a figure shows, and what is missing."""
    facts = Facts.of(df)
    of = f"{counted(facts.clones, 'clone')} of {counted(facts.processes, facts.noun)}"
    failed = f"{facts.failures:,} failed" if facts.failures else ""
    return " · ".join(filter(None, (of, failed, facts.loss)))


def tally_text(tally: dict[Hashable, Any]) -> str:
    """Counts in lines: clones, their paths and bytes, copies, and what failed."""
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


def time_unit(df: pd.DataFrame) -> tuple[float, str]:
    """How many of which unit a second has, so that an axis has short numbers."""
    last = max(df["t"].max(), 0.0) if len(df) else 1.0
    return next(
        (scale, unit)
        for least, scale, unit in ((1, 1.0, "s"), (1e-3, 1e3, "ms"), (0, 1e6, "µs"))
        if last >= least
    )


def time_axis(
    x: NDArray[np.float64], scale: float, unit: str, margin: float = 0.0
) -> Axis:
    """An axis of times in a unit, of which a second has `scale`."""
    title = f"time since the cell began ({unit})"
    if not len(x):
        return Axis(title, 0.0, 1.0, scale=scale)
    low, high = float(x.min()) - margin, float(x.max()) + margin
    # From the beginning, unless most of the axis would be empty.
    low = min(low, 0.0) if low < high / 2 or low == high else low
    space = (high - low or 1.0) * 0.02
    return Axis(title, low - space, high + space, scale=scale)
