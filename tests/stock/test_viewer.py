# SPDX-License-Identifier: Apache-2.0
"""What an ordinary user may not see does not leave the kernel, by each probe."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from skbnb.config import Config
from skbnb.session import Session
from skbnb.traces import Selection, Trace
from skbnb.wire import Kind
from tests.live import traffic
from tests.stock.agents import PROBES, start_agent

USER = 4242
NAME, TEXT, COUNT = "secretive", "TOP-SECRET", 17


@pytest.fixture
def process() -> Iterator[int]:
    """A process of the user's, in the place of their notebook."""
    # What it is run by need not be readable for them.
    sleeper = subprocess.Popen(["sleep", "infinity"], user=USER)
    yield sleeper.pid
    sleeper.kill()
    sleeper.wait()


@pytest.mark.parametrize("probe", PROBES)
def test_others_are_counted_and_not_named(process: int, probe: str) -> None:
    agent = start_agent(SUDO_UID=str(USER))
    config = Config(
        cell_tid=process,
        notebook_pid=process,
        probe=probe,
        stacks=True,
        also="copy",
        follow=True,
        snaplen=64,
    )
    session = Session(agent, config, patience=600)
    session.start()
    traffic.apart("timestamping_as", NAME, COUNT, TEXT)
    traffic.apart("timestamping_by", USER, 5, "MINE-ALONE")
    session.stop()
    agent.close()
    trace = Trace(session.frames, selection=Selection("all"))
    events = trace.events
    mine, others = events[events["uid"] == USER], events[events["pid"] == 0]
    assert len(mine) == 5
    assert len(mine) + len(others) == len(events)
    assert (others["reason"] == "tx-timestamp").sum() >= COUNT
    assert mine["daddr"].tolist() == ["127.0.0.1"] * 5
    assert (mine["owner_pid"] == mine["pid"]).all()
    assert set(others["comm"]) == {"other"}
    hidden = ["saddr", "dport", "len", "dev", "sk", "owner_pid", "captured"]
    assert others[hidden].isna().all().all()
    payloads = b"".join(bytes(frame.payload) for frame in session.frames)
    assert b"MINE-ALONE" in payloads
    for text in (NAME, TEXT):
        assert text.encode() not in payloads
    # Nor where the kernel keeps anything.
    (symbols,) = (f.json for f in session.frames if f.kind is Kind.SYMBOLS)
    told = [int(address, 16) for address in symbols["functions"]]
    assert told
    assert all(address >> 30 not in _areas_of_text() for address in told)


def _areas_of_text() -> set[int]:
    """Where functions lie, a GiB each."""
    lines = Path("/proc/kallsyms").read_text().splitlines()
    return {int(line.split()[0], 16) >> 30 for line in lines}
