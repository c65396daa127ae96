# SPDX-License-Identifier: Apache-2.0
"""How often skb_clone() is called, by a kprobe that tells of itself what it missed.

Programs can be left out: bpftrace's, which is as much interrupted as those that are
tested, does not tell of it. This one runs no program.
"""

from __future__ import annotations

import subprocess

from skbnb.traces import Trace
from tests.live.bpftrace import WITH_TRACEFS
from tests.live.traffic import kernel
from tests.stock.sides import calls

_EVENT = "skbnb_test"
_COUNT = f"""
cd /sys/kernel/tracing
echo 'p:{_EVENT} skb_clone' >> kprobe_events
echo 1 > events/kprobes/{_EVENT}/enable
while read line
do
    grep {_EVENT} kprobe_profile
done
echo 0 > events/kprobes/{_EVENT}/enable
echo '-:{_EVENT}' >> kprobe_events
"""

# How often something is sent, until no clone of it interrupts a program: then it is
# seen by all of them.
TRIES = 8

# Since when the kernel tells of all that a probe does not see: see skbnb/wire.py.
TOLD_SINCE = {"fentry": (5, 12), "kprobe": (6, 7)}


class Hits:
    """It at work, until `close`."""

    def __init__(self) -> None:
        pipe = subprocess.PIPE
        command = [*WITH_TRACEFS, "sh", "-ec", _COUNT]
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
        self.total()

    def total(self) -> int:
        """Calls so far."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        _, hits, missed = self._process.stdout.readline().split()
        return int(hits) + int(missed)

    def close(self) -> None:
        """End it."""
        self._process.communicate()
        assert self._process.returncode == 0


def assert_accounted(trace: Trace, made: int) -> None:
    """Each of the calls that were made is in a row or counted as missed."""
    about = trace.events.attrs["skbnb"]
    seen = calls(trace.events).total()
    assert about["captured"] == about["emitted"] == seen
    assert about["calls"] == seen + about["missed"]
    if about["probe"] not in TOLD_SINCE:
        assert seen <= made <= seen + about["skipped"]
    elif kernel() >= TOLD_SINCE[about["probe"]]:
        assert about["calls"] == made
    else:
        assert about["calls"] <= made
