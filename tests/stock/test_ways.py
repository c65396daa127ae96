# SPDX-License-Identifier: Apache-2.0
"""All ways to have the calls say the same of the same curl, by each probe."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from skbnb.config import WAYS, Config
from skbnb.facts import FIRST_PROGRAMS
from skbnb.session import Session
from skbnb.traces import Selection, Trace
from skbnb.transport import AgentTransport
from tests.live.bpftrace import Bpftrace
from tests.live.traffic import Server, apart, curl
from tests.stock.agents import PROBES, start_agent
from tests.stock.hits import TRIES, Hits

# A guest is slow to compile.
_PATIENCE = 600.0

Agents = dict[str, AgentTransport]
Counted = Bpftrace[tuple[int, bool]]


@pytest.fixture(scope="module")
def by_way() -> Iterator[Agents]:
    """An agent for each way: one trace at a time is all that each can do."""
    started = {via: start_agent() for via in WAYS}
    yield started
    for agent in started.values():
        agent.close()


@contextlib.contextmanager
def traced(agents: Agents, probe: str) -> Iterator[dict[str, Trace]]:
    """Trace in all ways at once; gives the traces, which are full at the end."""
    traces: dict[str, Trace] = {}
    with contextlib.ExitStack() as stack:
        for via, agent in agents.items():
            config = Config(
                cell_tid=threading.get_native_id(),
                notebook_pid=os.getpid(),
                probe=probe,
                via=via,
            )
            session = Session(agent, config, patience=_PATIENCE)
            session.start()
            traces[via] = Trace(None, selection=Selection("all"))
            stack.callback(_end, session, traces[via])
        yield traces


def _end(session: Session, trace: Trace) -> None:
    session.stop()
    trace.fill(session.frames, session.truncated)


def calls(trace: Trace, member: str = "pid") -> Counter[int]:
    """How many calls each process made."""
    events = trace.events
    if trace.via == "count":
        sums = events.groupby("pid")["clones"].sum()
        return Counter(dict(zip(sums.index.tolist(), sums.tolist(), strict=True)))
    return Counter(events[member])


@pytest.mark.parametrize("probe", PROBES)
def test_the_same_curl(
    by_way: Agents, server: Server, counter: Counted, hits: Hits, probe: str
) -> None:
    for _ in range(TRIES):
        before, hit_before = counter.when_silent(), hits.total()
        with traced(by_way, probe) as traces:
            curl(server.url)
        independent = counter.when_silent() - before
        if independent.total() == hits.total() - hit_before:
            break
    by_process = Counter({pid: n for (pid, _), n in independent.items()})
    assert sorted(by_process.values()) == [3, 3]
    ring = traces["ring"].events
    process_of = dict(zip(ring["tid"].tolist(), ring["pid"].tolist(), strict=True))
    for via, trace in traces.items():
        about = trace.events.attrs["skbnb"]
        assert (about["probe"], about["lost"]) == (probe, 0)
        found = calls(trace)
        assert about["calls"] == found.total() + about["missed"]
        if via in FIRST_PROGRAMS:
            found = Counter(map(process_of.__getitem__, found.elements()))
        assert_same(found, by_process, about)


def assert_same(
    found: Counter[int], there: Counter[int], about: dict[str, Any]
) -> None:
    """Nothing is missing but what the kernel says that it left out."""
    assert found <= there
    assert there.total() - found.total() <= about["missed"] + about["skipped"]


@pytest.mark.parametrize("probe", PROBES)
def test_a_thousand(by_way: Agents, probe: str) -> None:
    with traced(by_way, probe) as traces:
        pid = apart("timestamping", 1_000)
    for via, trace in traces.items():
        about = trace.events.attrs["skbnb"]
        # What the trace buffer has no room for is overwritten.
        lost = about["lost"] if via == "trace" else 0
        assert about["calls"] == calls(trace).total() + lost + about["missed"]
        assert about["lost"] == lost
        assert_same(calls(trace) + Counter({pid: lost}), Counter({pid: 1_000}), about)
