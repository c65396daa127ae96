# SPDX-License-Identifier: Apache-2.0
"""``skbnb uninstall-agent``: undo ``skbnb install-agent``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import installed

if TYPE_CHECKING:
    import argparse

__all__ = ["main"]


def main(_given: argparse.Namespace) -> int:
    """Remove the agent and the rule, and say so."""
    removed = installed.uninstall()
    for path in removed:
        print(f"removed {path}")
    if not removed:
        print("nothing was installed")
    return 0
