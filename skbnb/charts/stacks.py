# SPDX-License-Identifier: Apache-2.0
"""The ways through the kernel to skb_clone(), as an icicle."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from .. import analysis
from ..trees import grow
from ..units import counted, printable
from .model import Box, Icicle
from .palette import GREY, WAY, ink, of_reason, ranked
from .rows import subtitle

if TYPE_CHECKING:
    from ..trees import Node, Tree

__all__ = ["stacks"]

_MAX_BOXES = 400
_MAX_NAME = 80
_MAX_DEPTH = 64
# Of all clones: a narrower box is hard to see.
_MIN_BOX = 0.005


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
    boxes = tuple(ways.box(node) for node in tree.nodes)
    named = {slug: of_reason(slug) for slug in ranked(ways.shown)}
    rest = {"unknown or several reasons": GREY, "on the way": WAY}
    used = {box.colour for box in boxes}
    return Icicle(
        title="Clones by stack",
        subtitle=" · ".join([subtitle(df), *_cuts(tree)]),
        boxes=boxes,
        legend=(
            *((printable(name, 40), colour) for name, colour in named.items()),
            *((name, colour) for name, colour in rest.items() if colour in used),
        ),
    )


class _Ways:
    """The ways through the kernel: each one's functions, clones and reason."""

    def __init__(self, table: pd.DataFrame) -> None:
        table = table[table["clones"] > 0]
        self._paths = [stack.split(";") for stack in table["stack"]]
        self._clones = table["clones"].tolist()
        self._reasons = table.get("reason", pd.Series(pd.NA, table.index)).tolist()
        self._total = sum(self._clones)
        self.shown: set[str] = set()

    def tree(self) -> Tree:
        return grow(
            self._paths,
            self._clones,
            least=self._total * _MIN_BOX,
            most=_MAX_BOXES,
            deepest=_MAX_DEPTH,
        )

    def box(self, node: Node) -> Box:
        share = f"{node.weight / self._total:.1%} of all"
        texts = [f"{counted(node.weight, 'clone')}, {share}"]
        colour = WAY
        ends = [n for n in node.paths if len(self._paths[n]) == node.depth]
        if ends:
            reason = self._reason(ends)
            why = printable(reason, 40) if reason else "unknown why"
            texts.append(f"{sum(self._clones[n] for n in ends):,} made here: {why}")
            colour = of_reason(reason)
            self.shown |= {reason} - {""}
        return Box(
            printable(node.name, _MAX_NAME) if node.depth else "all",
            node.parent,
            row=node.depth,
            start=node.start,
            clones=node.weight,
            colour=colour,
            ink=ink(colour),
            hover="\n".join(texts),
        )

    def _reason(self, ends: list[int]) -> str:
        """The one reason of all these ways, or nothing."""
        reasons = {self._reasons[n] for n in ends}
        reason = reasons.pop() if len(reasons) == 1 else pd.NA
        return "" if pd.isna(reason) else str(reason)


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
