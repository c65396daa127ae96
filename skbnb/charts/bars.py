# SPDX-License-Identifier: Apache-2.0
"""Counts as bars: by process and reason, by reason, and what changed."""

from __future__ import annotations

import pandas as pd

from .. import analysis
from ..grouping import with_numbers
from ..units import counted, printable
from .model import Axis, Chart, Series
from .palette import FEWER, MORE, PALETTE, of_reason, ranked
from .rows import Ranking, row_axis, subtitle, tally_text

__all__ = ["changes", "functions", "processes", "reasons"]

_MAX_ROWS = 30


def processes(df: pd.DataFrame) -> Chart:
    """Chart the clones of each process, as bars of a part for each reason."""
    df = with_numbers(df, "pid")
    ranking = Ranking(analysis.processes(df), _MAX_ROWS)
    tallies = ranking.tallies()
    parts = analysis.breakdown(df, [name for name in ("pid", "reason") if name in df])
    reason = parts.get("reason", pd.Series("unknown", parts.index))
    clones = parts["clones"].groupby([reason, ranking.rows(parts["pid"])]).sum()

    def marks(slug: str) -> Series:
        of_row = clones[slug]
        name = printable(slug, 60)
        return Series(
            name,
            of_reason(slug),
            x=of_row.tolist(),
            y=of_row.index.tolist(),
            hover=[
                f"{ranking.names[row]}: {counted(n, 'clone')}, {name}\n"
                f"in all {tally_text(tallies[row])}"
                for row, n in of_row.items()
            ],
        )

    return _bars(
        "Clones by process",
        subtitle(df),
        tuple(marks(slug) for slug in ranked(clones.index.unique(0))),
        ranking.axis(),
        [tally["clones"] for tally in tallies],
        ranking.keys,
    )


def reasons(df: pd.DataFrame) -> Chart:
    """Chart the clones that were made for each reason, as bars."""
    df = with_numbers(df, "pid")
    table = analysis.reasons(df).head(_MAX_ROWS).to_dict("records")
    names = [printable(tally["reason"], 60) for tally in table]
    series = tuple(
        Series(
            name,
            of_reason(tally["reason"]),
            [tally["clones"]],
            [row],
            [f"{tally['why']}\n{tally_text(tally)}"],
        )
        for row, (name, tally) in enumerate(zip(names, table, strict=True))
    )
    totals = [tally["clones"] for tally in table]
    return _bars("Clones by reason", subtitle(df), series, row_axis(names), totals)


# Kind of what is counted -> its noun.
_COUNTED = {
    "function": "function",
    "tracepoint": "tracepoint",
    "syscall": "system call",
}


def functions(table: pd.DataFrame, subtitle: str) -> Chart:
    """Chart what was called most, as bars, with a colour for each kind.

    Parameters
    ----------
    table
        `Counts.table`.
    subtitle
        How much was counted.
    """
    shown = table.head(_MAX_ROWS).to_dict("records")
    kinds = [kind for kind in _COUNTED if any(row["kind"] == kind for row in shown)]
    series = []
    for kind in kinds:
        rows = [place for place, row in enumerate(shown) if row["kind"] == kind]
        counts = [int(shown[place]["count"]) for place in rows]
        series.append(
            Series(
                _COUNTED[kind],
                PALETTE[list(_COUNTED).index(kind)],
                [float(n) for n in counts],
                [float(place) for place in rows],
                [
                    f"{printable(shown[place]['func'], 60)}: {counted(n, 'call')}"
                    for place, n in zip(rows, counts, strict=True)
                ],
            )
        )
    totals = [int(row["count"]) for row in shown]
    x = Axis("calls", 0, max([1, *totals]) * 1.15, whole=True)
    return Chart(
        "bars",
        "Calls by function",
        subtitle,
        x,
        row_axis([printable(row["func"], 60) for row in shown]),
        tuple(series),
        totals=tuple(totals),
        legend=len(kinds) > 1,
    )


def _bars(
    title: str,
    subtitle: str,
    series: tuple[Series, ...],
    y: Axis,
    totals: list[float],
    keys: tuple[int, ...] = (),
) -> Chart:
    # The number at a bar's end needs some room.
    x = Axis("clones", 0, max([1, *totals]) * 1.15, whole=True)
    return Chart(
        "bars",
        title,
        subtitle,
        x,
        y,
        series,
        totals=tuple(totals),
        keys=keys,
        legend=bool(keys),
    )


def changes(table: pd.DataFrame, subtitle: str) -> Chart:
    """Chart how many more or fewer clones were made for each reason, as bars.

    Parameters
    ----------
    table
        `Comparison.reasons`.
    subtitle
        What was compared.
    """
    shown = table.head(_MAX_ROWS).to_dict("records")
    names = [printable(row["reason"], 60) for row in shown]
    series = tuple(
        Series(
            name,
            MORE if row["change"] > 0 else FEWER,
            [row["change"]],
            [number],
            [f"{row['why']}\na: {row['a']:,}, b: {row['b']:,}"],
        )
        for number, (name, row) in enumerate(zip(names, shown, strict=True))
    )
    totals = [row["change"] for row in shown]
    ends = [0, *totals]
    # The numbers at the bars' ends need some room, on either side.
    room = max(max(ends) - min(ends), 1) * 0.15
    low, high = min(ends) - room, max(ends) + room
    x = Axis("more or fewer clones", low, high, whole=True, signed=True)
    return Chart(
        "bars",
        "Change by reason",
        subtitle,
        x,
        row_axis(names),
        series,
        totals=tuple(totals),
    )
