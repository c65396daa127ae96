# SPDX-License-Identifier: Apache-2.0
"""A count of calls that shares no code with this project: bpftrace's."""

from __future__ import annotations

import json
import signal
import subprocess
from collections import Counter
from typing import Any

# A map that is empty is not printed: the other one ends each answer.
_PROGRAM = """
%s { @calls[probe] = count(); }
interval:ms:10 /!@ready/ { @ready = 1; printf("ready"); }
"""

# It looks for tracefs where it is mounted as a rule; where it is not, only for itself.
_WITH_TRACEFS = """
mountpoint -q /sys/kernel/tracing || mount -t tracefs none /sys/kernel/tracing
exec "$@"
"""


class Bpftrace:
    """bpftrace at work, until `close`.

    Parameters
    ----------
    probes
        What it counts, in its own words: ``kprobe:vfs_*``.
    """

    def __init__(self, *probes: str) -> None:
        program = _PROGRAM % ",".join(probes)
        self._process = subprocess.Popen(
            [
                *("unshare", "--mount", "sh", "-c", _WITH_TRACEFS, "sh"),
                *("bpftrace", "-B", "none", "-f", "json", "-e", program),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        kind, _ = self._read()
        assert kind == "attached_probes"
        assert self._read() == ("printf", "ready")

    def _read(self) -> tuple[str, Any]:
        assert self._process.stdout
        for line in self._process.stdout:
            if line.strip():
                said = json.loads(line)
                return said["type"], said["data"]
        raise AssertionError("bpftrace ended")

    def counts(self) -> Counter[str]:
        """Calls so far: by function, or by tracepoint with its category."""
        self._process.send_signal(signal.SIGUSR1)
        maps: dict[str, Any] = {}
        while "@ready" not in maps:
            maps |= self._read()[1]
        return Counter(
            {
                probe.partition(":")[2]: calls
                for probe, calls in maps.get("@calls", {}).items()
            }
        )

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.communicate()
