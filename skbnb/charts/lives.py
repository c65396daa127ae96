# SPDX-License-Identifier: Apache-2.0
"""A packet and its clones: who came of whom, and how long each lived."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .. import analysis
from ..units import counted, duration, printable
from .model import Chart, Series
from .palette import GREY, of_reason
from .rows import row_axis, time_axis, time_unit

if TYPE_CHECKING:
    from collections.abc import Hashable

__all__ = ["family"]

_MAX_ROWS = 40


def family(df: pd.DataFrame, number: int = 1) -> Chart:
    """Chart one family of `analysis.family`: a line for the life of each packet.

    A packet whose end nobody saw is a mark without a line.

    Parameters
    ----------
    df
        Rows of a trace.
    number
        The family's.

    Raises
    ------
    OptionError
        The kernel could not number its calls, so packets cannot be told apart.
    """
    table = analysis.family(df)
    members = _in_order(table[table["family"] == number])
    shown = members[:_MAX_ROWS]
    scale, unit = time_unit(df)
    began = [clone["t"] * scale for clone in shown]
    first = min(began, default=0.0)
    series = [_packet(first, shown)] if shown else []
    series += [_clone(row, clone, scale) for row, clone in enumerate(shown, 1)]
    names = ["the packet", *(_name(clone) for clone in shown)] if shown else []
    x = np.array([at for one in series for at in one.x], np.float64)
    more = len(members) - len(shown)
    left_out = [f"left out: {counted(more, 'clone')}"] if more else []
    lines = ["a line is a life"] if any(len(one.x) > 1 for one in series) else []
    return Chart(
        "lives",
        title=f"A packet and its clones (family {number})",
        subtitle=" · ".join([counted(len(members), "clone"), *lines, *left_out]),
        x=time_axis(x, scale, unit),
        y=row_axis(names),
        series=tuple(series),
    )


def _in_order(table: pd.DataFrame) -> list[dict[Hashable, Any]]:
    """The clones, each followed by its own."""
    below: dict[tuple[int, int], list[dict[Hashable, Any]]] = {}
    made = set(zip(table["clone"], table["clone_gen"], strict=True))
    roots: list[dict[Hashable, Any]] = []
    for clone in table.to_dict("records"):
        parent = clone["parent"], clone["parent_gen"]
        (below.setdefault(parent, []) if parent in made else roots).append(clone)
    order = []
    pending = roots[::-1]
    while pending:
        clone = pending.pop()
        order.append(clone)
        pending += below.get((clone["clone"], clone["clone_gen"]), [])[::-1]
    return order


def _packet(began: float, clones: list[dict[Hashable, Any]]) -> Series:
    at = f"skb {clones[0]['parent']:#x}"
    return Series("the packet", GREY, [began], [0.0], [f"{at}\nfirst cloned here"])


def _clone(row: int, clone: dict[Hashable, Any], scale: float) -> Series:
    began, life = clone["t"], clone.get("life", pd.NA)
    reason = _known(clone, "reason")
    at = [began] if pd.isna(life) else [began, began + life]
    end = "its end was not seen" if pd.isna(life) else _end(clone, life)
    text = (
        f"call {clone['count']}, skb {clone['clone']:#x}\n"
        f"{printable(clone['comm'], 60)} {clone['pid']}: {reason}\n{end}"
    )
    return Series(
        f"call {clone['count']}",
        of_reason(reason),
        x=[round(when * scale, 6) for when in at],
        y=[float(row)] * len(at),
        hover=[text] * len(at),
        failed=_known(clone, "fate") == "dropped",
    )


def _end(clone: dict[Hashable, Any], life: float) -> str:
    why = _known(clone, "drop_reason")
    because = f" ({printable(why, 60)})" if why != "unknown" else ""
    return f"{_known(clone, 'fate')}{because} after {duration(life)}"


def _known(clone: dict[Hashable, Any], name: str) -> str:
    value = clone.get(name, pd.NA)
    return "unknown" if pd.isna(value) else str(value)


def _name(clone: dict[Hashable, Any]) -> str:
    return "└ " * int(clone["depth"]) + _known(clone, "reason")
