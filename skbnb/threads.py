# SPDX-License-Identifier: Apache-2.0
"""The same done with several things at once, on all processors that there are.

For work that numpy and pandas do without holding the interpreter's lock.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["at_once"]

_Thing = TypeVar("_Thing")
_Made = TypeVar("_Made")

# With fewer rows a thread takes longer to start than it has to work.
_WORTH_IT = 100_000


def at_once(
    work: Callable[[_Thing], _Made], things: Sequence[_Thing], rows: int
) -> list[_Made]:
    """What is made of each thing, in their order.

    Parameters
    ----------
    work
        Called with each.
    things
        All of them.
    rows
        How many rows there are: few are worked on one after the other.
    """
    workers = len(os.sched_getaffinity(0))
    if workers < 2 or rows < _WORTH_IT:
        return [work(thing) for thing in things]
    with ThreadPoolExecutor(workers, thread_name_prefix="skbnb") as pool:
        return list(pool.map(work, things))
