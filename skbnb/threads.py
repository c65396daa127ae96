# SPDX-License-Identifier: Apache-2.0
"""What threads do beside each other, and how long they wait for one another.

Several things at once are for work that numpy and pandas do without holding the
interpreter's lock.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["at_once", "short_turns"]

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


# Seconds that a thread which computes keeps the interpreter's lock from others: a tenth
# of Python's own. A reader waits for a turn before each megabyte: 200 MB/s with that.
_TURN = 0.0005


class _Turns:
    """How many want turns to be short; what they were before, and are now."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.wanted = 0
        self.before = self.now = 0.0


_turns = _Turns()


@contextlib.contextmanager
def short_turns() -> Iterator[None]:
    """Let threads that wait for the interpreter's lock have it sooner meanwhile.

    So that a reader of the agent's keeps up while the notebook computes. Whoever sets
    `sys.setswitchinterval` in the meantime is left with that.
    """
    with _turns.lock:
        if not _turns.wanted:
            _turns.before = sys.getswitchinterval()
            if _turns.before > _TURN:
                sys.setswitchinterval(_TURN)
            _turns.now = sys.getswitchinterval()
        _turns.wanted += 1
    try:
        yield
    finally:
        with _turns.lock:
            _turns.wanted -= 1
            if not _turns.wanted and sys.getswitchinterval() == _turns.now:
                # It is cut off at whole microseconds.
                sys.setswitchinterval(_turns.before + 5e-7)
