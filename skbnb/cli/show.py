# SPDX-License-Identifier: Apache-2.0
"""``skbnb show``: a recording as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..traces import Selection, load
from ..views import text
from . import saving

if TYPE_CHECKING:
    import argparse

__all__ = ["main"]


def main(given: argparse.Namespace) -> int:
    """Print the calls, the tables and the receipt; or write them somewhere else."""
    trace = load(given.file).replace(Selection(given.scope, given.pid, given.comm))
    if given.output:
        saving.check(given.output, trace.outline.attrs["skbnb"]["snaplen"])
        saving.save(trace, given.output)
    else:
        print(text(trace.events), end="")
    return 0
