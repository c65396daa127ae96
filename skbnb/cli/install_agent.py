# SPDX-License-Identifier: Apache-2.0
"""``skbnb install-agent``: let people trace who are not root."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from .. import installed
from ..transport import archive_content

if TYPE_CHECKING:
    import argparse

__all__ = ["main"]


def main(given: argparse.Namespace) -> int:
    """Install the agent; write the rule for sudo, or print it."""
    if given.sudoers:
        installed.check_group(given.sudoers)
    print(f"installed {installed.install(archive_content())}")
    who = f"%{given.sudoers}" if given.sudoers else os.environ.get("SUDO_USER", "root")
    text = installed.rule(who)
    if given.sudoers:
        print(f"written {installed.write_rule(text)}: the group {given.sudoers} can")
        print("trace with skbnb, and sees what everybody on this machine sends")
        return 0
    installed.check_rule(text)
    print(f"a rule for sudo, which --sudoers GROUP writes to {installed.RULE}:\n")
    print(text, end="")
    return 0
