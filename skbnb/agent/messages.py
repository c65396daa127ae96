# SPDX-License-Identifier: Apache-2.0
"""What clang and BCC print: kept in memory, so that stdout belongs to frames."""

from __future__ import annotations

import os

_MOST = 16384


def capture() -> int:
    """Send what is printed to memory from now on; give the descriptor stdout had."""
    frames = os.dup(1)
    memory = os.memfd_create("skbnb-messages")
    os.dup2(memory, 1)
    os.dup2(memory, 2)
    return frames


def take() -> str:
    """What was printed since the last call, or the end of it."""
    size = os.fstat(2).st_size
    text = os.pread(2, _MOST, max(0, size - _MOST)).decode("utf-8", "replace")
    os.ftruncate(2, 0)
    os.lseek(2, 0, os.SEEK_SET)
    return text


def take_error() -> str:
    """Of what was printed: clang's first error, else the last line, else nothing.

    The verifier's last line is the one before its statistics.
    """
    lines = [line.strip() for line in take().split("\n")]
    lines = [line for line in lines if line and not line.startswith("processed ")]
    errors = [line for line in lines if "error: " in line]
    return (errors[:1] or lines[-1:] or [""])[0]
