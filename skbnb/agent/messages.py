# SPDX-License-Identifier: Apache-2.0
"""What clang and BCC print: kept in memory, so that stdout belongs to frames."""

from __future__ import annotations

import os


def capture() -> int:
    """Send what is printed to memory from now on; give the descriptor stdout had."""
    frames = os.dup(1)
    memory = os.memfd_create("skbnb-messages")
    os.dup2(memory, 1)
    os.dup2(memory, 2)
    return frames


def last_error() -> str:
    """The first error that clang printed, else the last line of all; empty if none."""
    size = os.fstat(2).st_size
    text = os.pread(2, 16384, max(0, size - 16384)).decode("utf-8", "replace")
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    errors = [line for line in lines if "error: " in line]
    return (errors[:1] or lines[-1:] or [""])[0]
