# SPDX-License-Identifier: Apache-2.0
"""What became of every call: calls = emitted + missed + lost, whoever is too slow."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from skbnb.agent.__main__ import KEPT_BUFFERS
from skbnb.config import Config
from skbnb.session import Session
from skbnb.traces import Selection, Trace
from skbnb.transport import AGENT_PYTHON, AgentTransport, agent_archive
from skbnb.wire import PARTS, Frame, Kind
from tests.ledger import Fault
from tests.live import traffic
from tests.live.bpftrace import Bpftrace
from tests.live.traffic import apart

CLONES = 10_000  # of each process; a ring of 1 MiB holds some 5,000 records
KEPT = KEPT_BUFFERS << 20  # for a reader that is late, where the ring has 1 MiB
PATIENCE = 60.0

WAYS: list[dict[str, Any]] = [
    {},
    {"buffer": "perf"},
    {"via": "perf"},
    {"max_events": 25_000},
]


class Stoppable(AgentTransport):
    """An agent whose frames are only read while `reads` is set."""

    def __init__(self, command: Sequence[str] | None = None) -> None:
        super().__init__(command)
        self.reads = threading.Event()
        self.reads.set()

    def frames(self) -> Iterator[Frame]:
        """Yield the frames of the running trace, when they are read."""
        for frame in super().frames():
            yield frame
            self.reads.wait()

    def is_waiting(self) -> bool:
        """Whether it waits for room in its pipe, by poll: else it sleeps in epoll."""
        where = Path(f"/proc/{self.pid}/wchan").read_text()
        return where.startswith(("poll_schedule_timeout", "do_poll", "do_sys_poll"))

    def is_attached(self) -> bool:
        """Whether any of its programs is run by the kernel."""
        try:
            paths = list(Path(f"/proc/{self.pid}/fdinfo").iterdir())
            return any("link_type:" in path.read_text() for path in paths)
        except FileNotFoundError:  # one was closed meanwhile
            return self.is_attached()

    def memory(self) -> int:
        """Bytes that are its own."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        (kilobytes,) = re.findall(r"^RssAnon:\s+(\d+) kB$", status, re.M)
        return int(kilobytes) << 10


@pytest.fixture
def agent() -> Iterator[Stoppable]:
    agent = Stoppable()
    yield agent
    agent.reads.set()
    agent.close()


@pytest.fixture(scope="module")
def counter() -> Iterator[AgentTransport]:
    counter = AgentTransport()
    yield counter
    counter.close()


def begin(agent: AgentTransport, **options: Any) -> Session:
    here = threading.get_native_id(), os.getpid()
    config = Config(*here, **{"ring_mib": 1, **options})
    session = Session(agent, config)
    session.start()
    return session


def end(session: Session) -> Trace:
    session.stop()
    return Trace(
        session.frames, selection=Selection("all"), truncated=session.truncated
    )


@contextlib.contextmanager
def counted(counter: AgentTransport) -> Iterator[list[Trace]]:
    """Count all calls by process meanwhile, in the kernel: an independent count."""
    session = begin(counter, via="count")
    found: list[Trace] = []
    try:
        yield found
    finally:
        found.append(end(session))


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


# By the number that is the command, of enum bpf_cmd of include/uapi/linux/bpf.h.
_ASKED = """
tracepoint:syscalls:sys_enter_bpf /pid == %d/ { @calls[args->cmd] = count(); }
"""
_OBJ_GET_INFO_BY_FD = 15


@pytest.mark.parametrize("via", ["ring", "perf", "trace", "count"])
def test_no_map_is_read_by_a_call_while_a_trace_runs(
    agent: Stoppable, via: str
) -> None:
    # Meanwhile the kernel would leave out programs of kprobes: see bpf/skb_count.h.
    session = begin(agent, via=via)
    with contextlib.closing(Bpftrace(_ASKED % agent.pid, int)) as asked:
        flood(0.5)  # enough for the agent to tell how far it is
        until(lambda: bool(asked.counts()))
        assert set(asked.counts()) == {_OBJ_GET_INFO_BY_FD}
    assert len(end(session).events)


def assert_adds_up(trace: Trace, counts: Trace, made: dict[int, int]) -> dict[str, Any]:
    """Each clone that was made is in a row or counted as lost, and nothing else is."""
    sums = counts.events.groupby("pid")["clones"].sum()
    assert {pid: sums[pid] for pid in made} == made
    events, about = trace.events, trace.events.attrs["skbnb"]
    assert not trace.truncated
    assert about["calls"] == about["emitted"] + about["missed"] + about["lost"]
    assert about["lost"] == sum(about["lost_by"].values())
    assert about["emitted"] == about["captured"]
    assert about["unaccounted"] == about["missed"] == 0
    mine = int(events["pid"].isin(made).sum())
    # Of those lost the ones of whoever else was there, who may have made none.
    others = about["lost"] - (sum(made.values()) - mine)
    theirs = int(sums.sum()) - sum(made.values()) - (about["captured"] - mine)
    assert 0 <= others <= theirs
    return dict(about)


def flood(seconds: float = 0.0) -> dict[int, int]:
    """Make clones on two processors; how many each process made."""
    made: dict[int, int] = {}
    since = time.monotonic()
    while len(made) < 6 or time.monotonic() - since < seconds:
        made.update(dict.fromkeys(traffic.on_two_processors(CLONES), CLONES))
    return made


def stop_the_reader(
    agent: Stoppable, counter: AgentTransport, options: dict[str, Any], seconds: float
) -> str:
    with counted(counter) as counts:
        session = begin(agent, **options)
        agent.reads.clear()
        before = agent.memory()
        made = flood(seconds)
        while agent.memory() - before < KEPT // 2:
            made.update(flood())
        for _ in range(2):  # more than there is room for
            made.update(flood())
        until(agent.is_waiting)
        assert agent.is_attached()
        # The records are many times as much.
        assert agent.memory() - before < KEPT + (4 << 20)
        agent.reads.set()
        trace = end(session)
        until(lambda: agent.memory() - before < 4 << 20)
    about = assert_adds_up(trace, counts[0], made)
    assert about["lost"] > 0
    if "max_events" in options:
        assert about["emitted"] <= options["max_events"]
        assert about["lost_by"]["limit"] > 0
    else:
        assert about["lost_by"]["reader"] > 0
        assert about["lost_by"]["limit"] == 0
    return _lost(about)


def _lost(about: dict[str, Any]) -> str:
    parts = ", ".join(f"{n:,} by {why}" for why, n in about["lost_by"].items() if n)
    return f"{about['lost']:,} of {about['calls']:,} clones, and said so: {parts}"


@pytest.mark.parametrize("options", WAYS, ids=str)
def test_a_reader_that_stops(
    agent: Stoppable, counter: AgentTransport, options: dict[str, Any], fault: Fault
) -> None:
    lost = stop_the_reader(agent, counter, options, 0)
    fault(f"The reader stopped until the agent waits ({_said(options)})", lost)


@pytest.mark.parametrize("options", WAYS[:3], ids=str)
def test_a_reader_that_is_late(
    agent: Stoppable, counter: AgentTransport, options: dict[str, Any], fault: Fault
) -> None:
    made: dict[int, int] = {}
    with counted(counter) as counts:
        session = begin(agent, **options)
        agent.reads.clear()
        before = agent.memory()
        while agent.memory() - before < KEPT // 2:
            # Little enough for the buffer, as long as the agent empties it.
            made[apart("flood", 51, 10)] = 500
        agent.reads.set()
        trace = end(session)
        until(lambda: agent.memory() - before < KEPT // 4)
    about = assert_adds_up(trace, counts[0], made)
    assert about["lost"] == 0
    lost = f"nothing of {about['calls']:,} clones"
    fault(f"The reader stopped, and went on before long ({_said(options)})", lost)


def _said(options: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in options.items()) or "ring"


# The first in every run, the others when there is time.
_SOME = [WAYS[0], *(pytest.param(way, marks=pytest.mark.soak) for way in WAYS[1:])]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("options", _SOME, ids=str)
def test_a_reader_that_stops_for_half_a_minute(
    agent: Stoppable, counter: AgentTransport, options: dict[str, Any], fault: Fault
) -> None:
    lost = stop_the_reader(agent, counter, options, 30)
    fault(f"The reader stopped for half a minute ({_said(options)})", lost)


@pytest.mark.parametrize("options", [*WAYS[:3], {"via": "trace"}], ids=str)
def test_an_agent_that_stops(
    agent: Stoppable, counter: AgentTransport, options: dict[str, Any], fault: Fault
) -> None:
    with counted(counter) as counts:
        session = begin(agent, **options)
        os.kill(agent.pid, signal.SIGSTOP)
        try:
            made = flood()
        finally:
            os.kill(agent.pid, signal.SIGCONT)
        trace = end(session)
    about = assert_adds_up(trace, counts[0], made)
    # From now on it is for the reader to be waited for, or not.
    assert about["lost_by"]["full"] > 0
    fault(f"The agent itself stopped for a while ({_said(options)})", _lost(about))


def test_sums_for_which_there_is_no_room(
    agent: AgentTransport, counter: AgentTransport
) -> None:
    with counted(counter) as counts:
        session = begin(agent, via="count")
        pid = apart("timestamping_under_names", 20_000)
        trace = end(session)
    about = trace.events.attrs["skbnb"]
    mine = int(trace.events.loc[trace.events["pid"] == pid, "clones"].sum())
    assert about["lost"] == about["lost_by"]["full"] >= 20_000 - 16_384
    assert 20_000 - about["lost"] <= mine <= 16_384
    assert about["calls"] == about["captured"] + about["lost"]
    assert about["calls"] <= counts[0].events.attrs["skbnb"]["calls"]
    assert about["unaccounted"] == 0


# ------------------------------------------------------------------ what must not wait


def stopped(agent: Stoppable, **options: Any) -> Session:
    """A trace whose agent waits for the reader."""
    session = begin(agent, **options)
    agent.reads.clear()
    while not agent.is_waiting():
        apart("flood", 51, 100)
    return session


def test_the_limit_of_time_holds_while_nobody_reads(agent: Stoppable) -> None:
    # That it was waiting when the time came has to be so, however slow all is.
    for seconds in (3.0, 15.0, 45.0):
        session = stopped(agent, max_seconds=seconds)
        waits = agent.is_attached()
        until(lambda: not agent.is_attached())
        assert agent.is_waiting()
        agent.reads.set()
        trace = end(session)
        about = trace.events.attrs["skbnb"]
        assert about["ended"] == "max_seconds"
        assert about["duration"] >= seconds
        assert about["unaccounted"] == 0
        if waits:
            break
    assert waits


def test_a_stop_is_obeyed_while_nobody_reads(agent: Stoppable) -> None:
    session = stopped(agent)
    agent.stop()
    until(lambda: not agent.is_attached())
    assert agent.is_waiting()
    agent.reads.set()
    trace = end(session)
    assert not trace.truncated
    about = trace.events.attrs["skbnb"]
    assert about["ended"] == "stop"
    assert about["captured"] == about["emitted"] > 0
    # And it is as good as before.
    trace = end(begin(agent))
    assert trace.events.attrs["skbnb"]["ended"] == "stop"


# One that was stopped for longer than its turn does not look for requests in the next.
_LONG_TURNS = """
import sys
sys.path.insert(0, sys.argv[1])
from skbnb.agent import __main__ as agent
agent.TICK_SECONDS = 60
sys.exit(agent.main())
"""


@pytest.fixture
def slow_agent() -> Iterator[Stoppable]:
    agent = Stoppable([AGENT_PYTHON, "-I", "-c", _LONG_TURNS, str(agent_archive())])
    yield agent
    agent.reads.set()
    agent.close()


def test_a_stop_that_is_there_before_the_agent_waits(slow_agent: Stoppable) -> None:
    agent = slow_agent
    session = begin(agent, ring_mib=16)
    agent.reads.clear()
    os.kill(agent.pid, signal.SIGSTOP)
    try:
        apart("flood", 51, 1000)
        agent.stop()
    finally:
        os.kill(agent.pid, signal.SIGCONT)
    until(agent.is_waiting)
    agent.reads.set()
    # Without a word more.
    until(lambda: session.frames.first(Kind.END) is not None)
    about = end(session).events.attrs["skbnb"]
    assert about["ended"] == "stop"
    assert about["captured"] == about["emitted"] > 0


def test_what_is_no_request_ends_it_between_two_frames(agent: Stoppable) -> None:
    session = stopped(agent)
    agent._stdin.write(b"hello\n")
    until(lambda: not agent.is_attached())
    agent.reads.set()
    trace = end(session)
    assert "not JSON" in trace.truncated
    assert len(trace.events) > 0


def test_the_end_of_requests_ends_it_though_nobody_reads(agent: Stoppable) -> None:
    stopped(agent)
    agent._stdin.close()
    until(lambda: agent._process.poll() is not None)
    assert agent._process.returncode == 0


def test_an_agent_that_nobody_can_read_from_ends(agent: Stoppable) -> None:
    end(begin(agent))
    agent._stdout.close()
    until(lambda: agent._process.poll() is not None)
    assert agent._process.returncode == 0


# A notebook whose child has inherited the pipes, and lives on.
ORPHAN = """
import os, subprocess, sys, threading
from skbnb.config import Config, start_request
from skbnb.transport import agent_command
from skbnb.wire import Kind, Reader
from tests.live.traffic import apart
pipe = subprocess.PIPE
agent = subprocess.Popen(agent_command(), stdin=pipe, stdout=pipe, bufsize=0)
config = Config(threading.get_native_id(), os.getpid(), ring_mib=1)
agent.stdin.write(start_request(config))
for frame in Reader(agent.stdout):
    if frame.kind is Kind.READY:
        break
pipes = agent.stdin.fileno(), agent.stdout.fileno()
heir = subprocess.Popen(["sleep", "600"], stdout=subprocess.DEVNULL, pass_fds=pipes)
apart("flood", 51, 400)
print(agent.pid, heir.pid, flush=True)
sys.stdin.readline()
"""


def test_the_notebooks_death_ends_it_though_its_pipes_live_on() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", ORPHAN], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as notebook:
        assert notebook.stdout
        agent, heir = map(int, notebook.stdout.readline().split())
        notebook.kill()
    try:
        until(lambda: not Path(f"/proc/{agent}").exists())
    finally:
        os.kill(heir, signal.SIGKILL)


# ------------------------------------------------------------------ where it runs


@pytest.mark.parametrize("options", WAYS[:3], ids=str)
def test_an_agent_that_is_moved_to_another_processor(
    agent: Stoppable, counter: AgentTransport, options: dict[str, Any], fault: Fault
) -> None:
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        pytest.fail("this needs two processors")
    made: dict[int, int] = {}
    with counted(counter) as counts:
        session = begin(agent, **options)
        for cpu in (cpus[0], cpus[1], cpus[0]):
            os.sched_setaffinity(agent.pid, {cpu})
            made.update(dict.fromkeys(traffic.on_two_processors(5_000), 5_000))
        trace = end(session)
    about = assert_adds_up(trace, counts[0], made)
    lost = _lost(about) if about["lost"] else f"nothing of {about['calls']:,} clones"
    what = "The agent moved from one processor to another and back"
    fault(f"{what} ({_said(options)})", lost)


def test_what_a_killed_agent_did_is_unknown(agent: Stoppable) -> None:
    session = begin(agent)
    apart("timestamping", 15)
    os.kill(agent.pid, signal.SIGKILL)
    about = end(session).events.attrs["skbnb"]
    unknown = ("calls", *PARTS[:2], "lost", "lost_by", "unaccounted", "clock_step")
    assert {name: about[name] for name in unknown} == dict.fromkeys(unknown)


def test_progress_tells_of_the_reader(agent: Stoppable) -> None:
    session = stopped(agent)
    apart("flood", 51, 400)
    agent.reads.set()
    until(lambda: told(session).get("lost_reader", 0) > 0)
    about = end(session).events.attrs["skbnb"]
    assert told(session)["lost_reader"] <= about["lost_by"]["reader"]


def told(session: Session) -> dict[str, Any]:
    frames = [frame for frame in session.frames if frame.kind is Kind.PROGRESS]
    return frames[-1].fields if frames else {}
