# SPDX-License-Identifier: Apache-2.0
"""An hour at ten thousand clones a second: nothing is lost, and memory stays as it was.

``SKBNB_SECONDS`` and ``SKBNB_RATE`` make it shorter or slower, to try the test itself.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import skbnb
from skbnb.payloads import Form
from skbnb.schema import Context, Kind, Scope
from skbnb.transport import AgentTransport
from skbnb.wire import LOST
from skbnb.wire import Kind as FrameKind
from tests.ledger import Fault
from tests.live import traffic
from tests.live.leftovers import Watch

SECONDS = int(os.environ.get("SKBNB_SECONDS", "3600"))
RATE = int(os.environ.get("SKBNB_RATE", "10000"))

# Both have what they need when a tenth has passed; what then still comes is this much
# at most, where the trace itself is gigabytes.
SETTLED, GROWTH = 0.1, 16 << 10  # KiB


def resident(pid: int) -> int:
    """KiB of memory that a process has, but for files that are mapped."""
    status = Path(f"/proc/{pid}/status").read_text()
    (size,) = re.findall(r"(?m)^RssAnon:\s+(\d+) kB$", status)
    return int(size)


class Samples(threading.Thread):
    """What two processes have, a hundred times while the trace runs."""

    def __init__(self, *pids: int) -> None:
        super().__init__(daemon=True)
        self._pids = pids
        self.ended = threading.Event()
        self.sizes: list[list[int]] = []

    def run(self) -> None:
        """Look until it has ended."""
        while not self.ended.wait(SECONDS / 100):
            self.sizes.append([resident(pid) for pid in self._pids])

    def growth(self) -> list[int]:
        """By how many KiB each has grown since both had settled."""
        settled = self.sizes[int(len(self.sizes) * SETTLED) :]
        return [max(sizes) - sizes[0] for sizes in zip(*settled, strict=True)]


@pytest.mark.soak
@pytest.mark.timeout(SECONDS * 3 + 3600)
def test_an_hour(watch: Watch, fault: Fault, tmp_path: Path) -> None:
    agent = AgentTransport()
    file = tmp_path / "hour.skbt"
    command = [sys.executable, traffic.__file__, "timestamping_steadily"]
    with skbnb.trace(transport=agent, record=file) as trace:
        watch.look()
        samples = Samples(agent.pid, os.getpid())
        samples.start()
        done = subprocess.run(
            [*command, str(RATE), str(SECONDS)], stdout=subprocess.PIPE, check=True
        )
        samples.ended.set()
        samples.join()
    agent.close()
    made = int(done.stdout)
    assert made == RATE * SECONDS
    of_agent, of_notebook = samples.growth()
    size = file.stat().st_size
    print(
        f"{made:,} clones, {size:,} bytes, agent +{of_agent} KiB, "
        f"notebook +{of_notebook} KiB"
    )
    captured, stats = counted(trace)
    file.unlink()
    assert sum(stats[name] for name in LOST) == stats["missed"] == 0
    assert captured == made
    assert of_agent < GROWTH
    assert of_notebook < GROWTH
    fault(
        f"{SECONDS:,} seconds at {RATE:,} clones a second, left on disk",
        f"nothing: {captured:,} of {made:,} clones captured; the agent's memory grew "
        f"by {of_agent:,} KiB and the notebook's by {of_notebook:,}, with "
        f"{size >> 20:,} MiB on disk",
    )


def counted(trace: skbnb.Trace) -> tuple[int, dict[str, int]]:
    """The cell's clones, record by record, and what the agent counted."""
    captured, hello, stats = 0, {}, {}
    for frame in trace.frames:
        if frame.kind is FrameKind.HELLO:
            hello = frame.fields
        elif frame.kind is FrameKind.EVENTS:
            records = Form.of(hello).records(frame.payload)
            # Not what others sent, which was cloned when the sender was interrupted.
            mine = (records["scope"] == Scope.CELL) & (
                records["context"] == Context.SYSCALL
            )
            captured += int(((records["kind"] == Kind.CLONE) & mine).sum())
        elif frame.kind is FrameKind.STATS:
            stats = frame.fields
    return captured, stats
