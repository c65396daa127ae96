# SPDX-License-Identifier: Apache-2.0
"""When clones were made, by process: dots, or cells if they are too many."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .. import analysis
from ..grouping import with_numbers
from ..units import counted, printable
from .model import Chart, Series
from .palette import PALETTE, of_reason, ranked
from .rows import Ranking, subtitle, time_axis, time_unit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

__all__ = ["timeline"]

_MAX_ROWS = 30
_MAX_DOTS = 2000


def timeline(df: pd.DataFrame) -> Chart:
    """Chart when each process made clones: as dots, or cells if they are too many."""
    calls = (df["kind"] == "clone") | (df["kind"] == "failed")
    df = df if calls.all() else df[calls]
    return _dots(df) if len(df) <= _MAX_DOTS else _cells(df)


def _dots(df: pd.DataFrame) -> Chart:
    ranking = Ranking.of(df, _MAX_ROWS)
    scale, unit = time_unit(df)
    x = (df["t"].to_numpy() * scale).round(6)
    row = ranking.rows(df["pid"])
    failed = (df["kind"] == "failed").to_numpy(np.bool_)
    hover = np.array(_call_texts(df, x, unit), dtype=np.object_)
    reason = _reasons(df)

    def marks(slug: str, is_failed: bool) -> Series:
        chosen = (reason == slug) & (failed == is_failed)
        rows = row[chosen].tolist()
        return Series(
            printable(slug, 60) + (" (failed)" if is_failed else ""),
            of_reason(slug),
            x=x[chosen].tolist(),
            y=rows,
            hover=hover[chosen].tolist(),
            failed=is_failed,
        )

    every = (marks(r, f) for r in ranked(np.unique(reason)) for f in (False, True))
    return Chart(
        "dots",
        title="Clones over time",
        subtitle=subtitle(df),
        x=time_axis(x, scale, unit),
        y=ranking.axis(),
        series=tuple(series for series in every if series.x),
        keys=ranking.keys,
        legend="reason" in df,
    )


def _reasons(df: pd.DataFrame) -> NDArray[Any]:
    if "reason" not in df:
        return np.full(len(df), "unknown", np.object_)
    return df["reason"].astype("object").fillna("unknown").to_numpy(np.object_)


def _cells(df: pd.DataFrame) -> Chart:
    df = with_numbers(df, "pid")
    ranking = Ranking.of(df, _MAX_ROWS)
    scale, unit = time_unit(df)
    bins = analysis.timeline(df)
    width = float(bins["width"].max() * scale) if len(bins) else 1.0
    x = (bins["t"].to_numpy() * scale + width / 2).round(6)
    cells = bins["clones"].groupby([ranking.rows(bins["pid"]), x]).sum()

    def marks(row: int) -> Series:
        of_row = cells[row]
        at, clones = of_row.index.tolist(), of_row.tolist()
        return Series(
            ranking.names[row],
            PALETTE[0],
            x=at,
            y=[row] * len(at),
            hover=[
                f"{counted(n, 'clone')}\n"
                f"{a - width / 2:.6g} to {a + width / 2:.6g} {unit}"
                for a, n in zip(at, clones, strict=True)
            ],
            values=clones,
        )

    each = f"{width:.6g} {unit}"
    return Chart(
        "cells",
        title="Clones over time",
        subtitle=f"{subtitle(df)} · binned, {each} each, "
        f"up to {max(cells, default=0):,} clones in one",
        x=time_axis(x, scale, unit, margin=width / 2),
        y=ranking.axis(),
        series=tuple(marks(row) for row in cells.index.unique(0)),
        width=width,
        keys=ranking.keys,
    )


def _call_texts(df: pd.DataFrame, x: Iterable[float], unit: str) -> list[str]:
    """What is known of each call: when, its number, its length, why or its caller."""
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
