# SPDX-License-Identifier: Apache-2.0
"""``skbnb`` in a shell: trace a command, look at a recording, ask what is missing."""

from .entry import main

__all__ = ["main"]
