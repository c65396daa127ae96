# SPDX-License-Identifier: Apache-2.0
"""Makes synthetic clones at a given rate, by a syscall for which flood.c emits records.

Run as a script. A line on stdin is a rate in records/s and a number of seconds; the
line that answers it the number of records asked for and the seconds that it took.
"""

from __future__ import annotations

import os
import sys
import time

BATCH = 64
"""Records of each syscall."""

# getppid() by machine: nothing else in this program calls it.
SYSCALL = {"x86_64": 110, "aarch64": 173}

_PAUSE = 0.0005


def flood(rate: float, seconds: float) -> tuple[int, float]:
    """Make records at this rate, or as fast as it goes where that is slower.

    Returns
    -------
    tuple of int and float
        The number of records, and the seconds.
    """
    calls = 0
    began = time.monotonic()
    while (passed := time.monotonic() - began) < seconds:
        due = int(passed * rate / BATCH) - calls
        if not due:
            time.sleep(_PAUSE)
        for _ in range(min(due, 64)):
            os.getppid()
            calls += 1
    return calls * BATCH, passed


if __name__ == "__main__":
    for line in sys.stdin:
        print(*flood(*map(float, line.split())), flush=True)
