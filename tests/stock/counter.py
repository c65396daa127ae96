# SPDX-License-Identifier: Apache-2.0
"""A count of skb_clone() that shares no code with this project: bpftrace's."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections import Counter
from typing import Any

# `pid` is the process id there, too. A map that is empty is not printed: the other one
# ends each answer.
_PROGRAM = """
kretprobe:skb_clone { @calls[pid, retval == 0] = count(); }
interval:ms:10 /!@ready/ { @ready = 1; printf("ready"); }
"""

# Seconds without a call that are taken for silence.
_SILENCE = 0.3


class CloneCounter:
    """bpftrace at work, until `close`."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            ["bpftrace", "-B", "none", "-f", "json", "-e", _PROGRAM],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._read() == ("attached_probes", {"probes": 2})
        assert self._read() == ("printf", "ready")

    def _read(self) -> tuple[str, Any]:
        assert self._process.stdout
        for line in self._process.stdout:
            if line.strip():
                said = json.loads(line)
                return said["type"], said["data"]
        raise AssertionError("bpftrace ended")

    def counts(self) -> Counter[tuple[int, bool]]:
        """Calls so far, by process id and whether they failed."""
        self._process.send_signal(signal.SIGUSR1)
        maps: dict[str, Any] = {}
        while "@ready" not in maps:
            maps |= self._read()[1]
        counts: Counter[tuple[int, bool]] = Counter()
        for key, calls in maps.get("@calls", {}).items():
            pid, failed = map(int, key.split(","))
            counts[pid, bool(failed)] = calls
        return counts

    def when_silent(self) -> Counter[tuple[int, bool]]:
        """The counts, once nothing has been cloned for a while."""
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
        self._process.communicate()
