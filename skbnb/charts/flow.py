# SPDX-License-Identifier: Apache-2.0
"""Whose packets were cloned, why, and where they were: a Sankey diagram."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .. import analysis
from ..grouping import with_numbers
from ..units import counted, printable
from .model import Band, Flow, Node
from .palette import WAY, of_reason, ranked
from .rows import Ranking, subtitle

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["flow"]

# In each layer: more cannot be read.
_MAX_NODES = 12


def flow(df: pd.DataFrame) -> Flow:
    """Chart how many clones of which process had which reason, and on which device."""
    df = with_numbers(df, "pid")
    parts = analysis.breakdown(df, ["pid", "reason", "dev"])
    clones = parts["clones"].to_numpy()
    ranking = Ranking.of(df, _MAX_NODES)
    layers = [
        _Layer(ranking.names, ranking.rows(parts["pid"])),
        _Layer.of_names(parts["reason"], clones, "reasons"),
        _Layer.of_names(parts["dev"], clones, "devices"),
    ]
    layers = [layer.without_empty(clones) for layer in layers]
    first = np.cumsum([0, *(len(layer.names) for layer in layers)])
    nodes = tuple(
        Node(name, number, int(count), of_reason(name) if number == 1 else WAY)
        for number, layer in enumerate(layers)
        for name, count in zip(layer.names, layer.totals(clones), strict=True)
    )
    bands: list[Band] = []
    for number, (left, right) in enumerate(itertools.pairwise(layers)):
        reason = right if number == 0 else left
        for (a, b), n in _pairs(left.place, right.place, clones):
            of = reason.names[b if number == 0 else a]
            text = f"{left.names[a]} → {right.names[b]}: {counted(n, 'clone')}"
            source, target = int(first[number] + a), int(first[number + 1] + b)
            bands.append(Band(source, target, n, of_reason(of), text))
    return Flow(
        "Clones by process, reason and device",
        subtitle(df),
        ("process", "reason", "device"),
        nodes,
        tuple(bands),
    )


class _Layer:
    """Names, in order, and which of them each row has."""

    def __init__(self, names: Sequence[str], place: NDArray[np.intp]) -> None:
        self.names = list(names)
        self.place = place

    @classmethod
    def of_names(
        cls, column: pd.Series[str], clones: NDArray[np.int64], what: str
    ) -> _Layer:
        """The names with the most clones, and one for the others."""
        total = pd.Series(clones).groupby(column.to_numpy()).sum()
        total = total.sort_values(ascending=False, kind="stable")
        cut = _MAX_NODES if len(total) > _MAX_NODES + 1 else len(total)
        shown = ranked(total.index[:cut])
        place = pd.Index(shown).get_indexer(pd.Index(column))
        names = [printable(name, 60) for name in shown]
        if len(total) > cut:
            names.append(f"{len(total) - cut:,} other {what}")
        return cls(names, np.where(place < 0, len(shown), place))

    def without_empty(self, clones: NDArray[np.int64]) -> _Layer:
        """The same without names that no clone has."""
        has = self.totals(clones) > 0
        place = np.cumsum(has) - 1
        names = [name for name, kept in zip(self.names, has, strict=True) if kept]
        return _Layer(names, place[self.place] if len(place) else self.place)

    def totals(self, clones: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many clones each name has."""
        totals = np.zeros(len(self.names), np.int64)
        np.add.at(totals, self.place, clones)
        return totals


def _pairs(
    left: NDArray[np.intp], right: NDArray[np.intp], clones: NDArray[np.int64]
) -> list[tuple[tuple[int, int], int]]:
    """How many clones each pair of places has."""
    pairs, which = np.unique(np.stack([left, right]), axis=1, return_inverse=True)
    totals = np.bincount(which, clones, pairs.shape[1]).astype(np.int64)
    return [
        ((a, b), n) for a, b, n in zip(*pairs.tolist(), totals.tolist(), strict=True)
    ]
