# SPDX-License-Identifier: Apache-2.0
"""Paths that begin alike, merged into a tree of what is large enough to be seen."""

from __future__ import annotations

import heapq
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Node", "Tree", "grow"]


@dataclass(frozen=True, slots=True)
class Node:
    """One name, after one beginning.

    Attributes
    ----------
    name
        Empty for the root.
    parent
        Its parent's place among the nodes, which is before its own; -1 for the root.
    depth
        How many names lead to it, its own included.
    start, weight
        How much lies before it, from the left, and how much in it and below. Siblings
        follow each other, the heaviest first; what their parent has more is at its
        end.
    paths
        Numbers of the paths that pass it.
    """

    name: str
    parent: int
    depth: int
    start: int
    weight: int
    paths: list[int]


@dataclass(frozen=True, slots=True)
class Tree:
    """A tree, and what was cut from it.

    Attributes
    ----------
    nodes
        Every node after its parent.
    small, deep
        Weights of the branches that were cut for their size and for their depth.
    """

    nodes: tuple[Node, ...]
    small: tuple[int, ...]
    deep: tuple[int, ...]


def grow(
    paths: Sequence[Sequence[str]],
    weights: Sequence[int],
    *,
    least: float,
    most: int,
    deepest: int,
) -> Tree:
    """Merge paths that begin alike.

    Parameters
    ----------
    paths
        Names, from the root on.
    weights
        What each path weighs.
    least
        A branch of less weight is cut.
    most
        How many nodes there are, at most; the lightest branches are cut.
    deepest
        A branch is cut below this depth.

    Returns
    -------
    Tree
        Its root stands for all paths; without any there is none.
    """
    nodes: list[Node] = []
    small: list[int] = []
    deep: list[int] = []
    root = Node("", -1, 0, 0, sum(weights), list(range(len(paths))))
    # The heaviest first; a parent is no lighter than its child, and comes before it.
    waiting = [(-root.weight, 0, root)] if paths else []
    found = 1
    while waiting and len(nodes) < most:
        _, _, node = heapq.heappop(waiting)
        nodes.append(node)
        for child in _children(node, len(nodes) - 1, paths, weights):
            if child.depth > deepest:
                deep.append(child.weight)
            elif child.weight < least:
                small.append(child.weight)
            else:
                heapq.heappush(waiting, (-child.weight, found, child))
                found += 1
    small += [-negative for negative, _, _ in waiting]
    return Tree(tuple(nodes), tuple(small), tuple(deep))


def _children(
    node: Node, place: int, paths: Sequence[Sequence[str]], weights: Sequence[int]
) -> Iterator[Node]:
    """The next names of the paths that pass a node, the heaviest first."""
    passing: defaultdict[str, list[int]] = defaultdict(list)
    for number in node.paths:
        if len(paths[number]) > node.depth:
            passing[paths[number][node.depth]].append(number)
    weighed = [
        (sum(weights[number] for number in numbers), name, numbers)
        for name, numbers in passing.items()
    ]
    start = node.start
    for weight, name, numbers in sorted(weighed, key=lambda one: (-one[0], one[1])):
        yield Node(name, place, node.depth + 1, start, weight, numbers)
        start += weight
