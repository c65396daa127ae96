# SPDX-License-Identifier: Apache-2.0
"""Counts that share no code with this project: bpftrace's."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Generic, TypeVar

Key = TypeVar("Key")

# A map that is empty is not printed: the other one ends each answer.
_READY = """
interval:ms:10 /!@ready/ { @ready = 1; printf("ready"); }
"""

# It looks for tracefs where it is mounted as a rule; where it is not, only for itself.
_MOUNT = """
mountpoint -q /sys/kernel/tracing || mount -t tracefs none /sys/kernel/tracing
exec "$@"
"""
WITH_TRACEFS = ("unshare", "--mount", "sh", "-c", _MOUNT, "sh")

# Seconds without a call that are taken for silence.
_SILENCE = 0.3

# Seconds that it may take to end.
_PATIENCE = 30


class Bpftrace(Generic[Key]):
    """bpftrace at work, until `close`.

    Parameters
    ----------
    program
        In its own words; it counts in ``@calls``.
    read
        Makes a key of what it writes of one.
    """

    def __init__(self, program: str, read: Callable[[str], Key]) -> None:
        self._key = read
        self._process = subprocess.Popen(
            [
                *WITH_TRACEFS,
                *("bpftrace", "-B", "none", "-f", "json", "-e", program + _READY),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        kind, attached = self._read()
        assert kind == "attached_probes"
        assert attached["probes"] >= 2
        assert self._read() == ("printf", "ready")

    @property
    def pid(self) -> int:
        """Its process id: what is before it on the command line becomes it."""
        return self._process.pid

    def _read(self) -> tuple[str, Any]:
        assert self._process.stdout
        for line in self._process.stdout:
            if line.strip():
                said = json.loads(line)
                return said["type"], said["data"]
        raise AssertionError("bpftrace ended")

    def counts(self) -> Counter[Key]:
        """Calls so far."""
        self._process.send_signal(signal.SIGUSR1)
        maps: dict[str, Any] = {}
        while "@ready" not in maps:
            maps |= self._read()[1]
        calls = maps.get("@calls", {})
        return Counter({self._key(key): number for key, number in calls.items()})

    def when_silent(self) -> Counter[Key]:
        """The counts, once nothing has been called for a while."""
        before = self.counts()
        while True:
            time.sleep(_SILENCE)
            now = self.counts()
            if now == before:
                return now
            before = now

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        try:
            self._process.communicate(timeout=_PATIENCE)
        except subprocess.TimeoutExpired:
            # It has been seen not to end, on a machine that had much else to do.
            self._process.kill()
            self._process.communicate()


# Even outside of the agent's bpf(2) calls, odd inside, and never again as before.
_CALLS = """
tracepoint:syscalls:sys_enter_bpf /pid == %(pid)d && !(@time & 1)/ { @time++; }
tracepoint:syscalls:sys_exit_bpf /pid == %(pid)d && @time & 1/ { @time++; }
%(probes)s { @calls[@time, probe] = count(); }
"""


def count_calls(agent: int, *probes: str) -> Bpftrace[tuple[int, str]]:
    """Count calls by function, or by tracepoint with its category.

    Parameters
    ----------
    agent
        Its process id. The time before the first of its bpf(2) calls is 0, that of the
        first 1, the time before the next 2, and so on.
    """
    return Bpftrace(
        _CALLS % {"pid": agent, "probes": ",".join(probes)}, _time_and_function
    )


def _time_and_function(key: str) -> tuple[int, str]:
    time, _, probe = key.partition(",")
    return int(time), probe.partition(":")[2]


_CLONES = "kretprobe:skb_clone { @calls[pid, retval == 0] = count(); }"


def count_clones() -> Bpftrace[tuple[int, bool]]:
    """Count calls of skb_clone() by process id and whether they failed."""
    # Its `pid` is the process id, too.
    return Bpftrace(_CLONES, _pid_and_failed)


def _pid_and_failed(key: str) -> tuple[int, bool]:
    pid, failed = map(int, key.split(","))
    return pid, bool(failed)
