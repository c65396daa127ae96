# SPDX-License-Identifier: Apache-2.0
"""The machine changes under a trace: its clock is set, a processor is taken away."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from skbnb.config import Config
from skbnb.session import Session
from skbnb.traces import Selection, Trace
from skbnb.transport import AgentTransport
from skbnb.views import receipt
from tests.live import traffic
from tests.live.traffic import apart
from tests.stock.agents import start_agent

# A guest is slow to compile.
_PATIENCE = 600.0

SECOND = Path("/sys/devices/system/cpu/cpu1/online")


@pytest.fixture(autouse=True, scope="module")
def guest() -> None:
    """Leave alone the clock and the processors of a machine that is used."""
    if "virtme" not in Path("/proc/cmdline").read_text():
        pytest.fail("this changes the machine: it is for a guest")


@pytest.fixture(scope="module")
def agent() -> Iterator[AgentTransport]:
    agent = start_agent()
    yield agent
    agent.close()


def begin(agent: AgentTransport, **options: Any) -> Session:
    here = threading.get_native_id(), os.getpid()
    session = Session(agent, Config(*here, **options), patience=_PATIENCE)
    session.start()
    return session


def end(session: Session) -> Trace:
    session.stop()
    everyone = Selection("all")
    return Trace(session.frames, selection=everyone, truncated=session.truncated)


def set_clock(seconds: float) -> None:
    """Set the machine's clock forward, or back."""
    time.clock_settime(time.CLOCK_REALTIME, time.time() + seconds)


@pytest.mark.parametrize("seconds", [3600.0, -900.0, -0.5])
def test_the_clock_is_set_meanwhile(agent: AgentTransport, seconds: float) -> None:
    session = begin(agent, probe="tracepoint")
    began = time.time()
    first = apart("timestamping", 3)
    set_clock(seconds)
    try:
        second = apart("timestamping", 3)
        trace = end(session)
    finally:
        set_clock(-seconds)
    events = trace.events
    about = events.attrs["skbnb"]
    assert about["clock_step"] == pytest.approx(seconds, abs=0.2)
    assert "WARNING: the clock went " in receipt(events)
    assert ("forward" if seconds > 0 else "back") in receipt(events)
    # All times are by the clock as it was, and so in order, and as far apart as they
    # were.
    mine = events[events["pid"].isin([first, second])]
    assert len(mine) == 6
    at = mine["time"].astype("int64") / 1e9
    assert at.is_monotonic_increasing
    assert at.min() >= began - 0.1
    apart_by_clock, apart_by_t = at.max() - at.min(), mine["t"].max() - mine["t"].min()
    assert apart_by_clock == pytest.approx(apart_by_t, abs=1e-3)
    # The next trace is by the clock as it is.
    trace = end(begin(agent, probe="tracepoint"))
    assert trace.events.attrs["skbnb"]["clock_step"] == 0


def send_on(cpu: int, count: int) -> subprocess.Popen[bytes]:
    """Let a process send on one processor."""
    sender = subprocess.Popen(
        [sys.executable, traffic.__file__, "timestamping_on", str(cpu), str(count)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert sender.stdin
    assert sender.stdout
    assert sender.stdout.readline() == b"ready\n"
    sender.stdin.write(b"go\n")
    sender.stdin.flush()
    return sender


@pytest.mark.parametrize("buffer", ["ring", "perf"])
def test_a_processor_is_taken_away_and_given_back(
    agent: AgentTransport, buffer: str
) -> None:
    count = 1_000
    session = begin(agent, probe="tracepoint", buffer=buffer)
    try:
        senders = [send_on(1, count)]
        SECOND.write_text("0")  # most likely in the middle
        senders += [send_on(0, count)]
        for sender in senders:
            sender.communicate()
    finally:
        SECOND.write_text("1")
    senders.append(send_on(1, count))
    senders[-1].communicate()
    trace = end(session)
    assert [sender.returncode for sender in senders] == [0, 0, 0]
    events = trace.events
    about = events.attrs["skbnb"]
    by_process = events["pid"].value_counts()
    seen = [int(by_process.get(sender.pid, 0)) for sender in senders]
    # Nobody else makes clones in a guest.
    assert sum(seen) + about["lost"] == 3 * count
    assert about["calls"] == about["emitted"] + about["lost"] == 3 * count
    assert about["emitted"] == about["captured"]
    assert about["unaccounted"] == about["missed"] == 0
    # A perf buffer that a processor had is not its own when it comes back.
    assert seen[:2] == [count, count]
    assert buffer == "perf" or about["lost"] == 0
    assert set(events["cpu"]) >= ({0, 1} if not about["lost"] else {0})
