# SPDX-License-Identifier: Apache-2.0
"""``skbnb show``: a recording as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..traces import load
from ..views import text

if TYPE_CHECKING:
    import argparse

__all__ = ["main"]


def main(given: argparse.Namespace) -> int:
    """Print the calls, the tables and the receipt."""
    trace = load(given.file)
    print(text(trace.select(given.scope, pid=given.pid, comm=given.comm)), end="")
    return 0
