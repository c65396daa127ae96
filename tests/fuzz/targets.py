# SPDX-License-Identifier: Apache-2.0
"""What is fuzzed: each row is a module here, with `make`, `read` and `REFUSALS`.

``make(random)`` gives an input; ``read(data)`` reads it, raises one of `REFUSALS` or
sees that what it read is consistent. All else that `read` raises is a mistake of ours.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["TARGETS", "Target"]


class Target(NamedTuple):
    """One reader of what others may have written.

    Parameters
    ----------
    what
        In words, for people.
    brief
        How many inputs it gets in every test run.
    soak
        And in ``make soak``.
    as_root
        Whether it is the agent's, and so runs in the distribution's Python.
    """

    what: str
    brief: int
    soak: int
    as_root: bool = False


TARGETS = {
    "wire": Target("frames of a stream, and their fields", 3_000, 350_000),
    "recording": Target("a recording, to its tables and packets", 250, 20_000),
    "request": Target("requests to the agent", 4_000, 350_000, as_root=True),
    "settings": Target("the administrator's settings", 3_000, 100_000, as_root=True),
    "symbols": Target("the kernel's symbol table", 2_000, 80_000, as_root=True),
    "functions": Target("lists of what can be counted", 2_000, 60_000, as_root=True),
    "system_calls": Target("the table of system calls", 1_000, 40_000, as_root=True),
    "btf": Target("the kernel's types", 1_500, 60_000, as_root=True),
}
