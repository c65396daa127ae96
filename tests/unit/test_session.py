# SPDX-License-Identifier: Apache-2.0
"""A session and an agent in every mood: nothing hangs, nothing that arrived is lost."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import skbnb
from skbnb import notebook
from skbnb.config import Config
from skbnb.errors import (
    AbiError,
    AgentLostError,
    BusyError,
    LossWarning,
    OptionError,
    PrivilegeError,
    ProbeError,
    SkbnbError,
    StreamError,
    TruncatedWarning,
)
from skbnb.session import Session
from skbnb.traces import Selection, Trace
from skbnb.transport import AgentTransport
from skbnb.wire import ABI

FAKE = Path(__file__).parents[1] / "fake_agent.py"
CONFIG = Config(cell_tid=threading.get_native_id(), notebook_pid=os.getpid())
EVERYTHING = Selection("all")


@pytest.fixture
def agents() -> Iterator[list[AgentTransport]]:
    made: list[AgentTransport] = []
    yield made
    for agent in made:
        agent.kill()
        agent.close()


@pytest.fixture
def agent(
    request: pytest.FixtureRequest, agents: list[AgentTransport]
) -> AgentTransport:
    agents.append(AgentTransport([sys.executable, "-I", str(FAKE), request.param]))
    return agents[0]


def mood(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("agent", [name], indirect=True)


def run(agent: AgentTransport) -> Trace:
    with skbnb.trace(transport=agent, scope="all") as trace:
        pass
    return trace


def assert_one_line(error: SkbnbError) -> None:
    assert "\n" not in str(error)
    assert error.hint in str(error)
    assert error._render_traceback_() == [f"{type(error).__name__}: {error}"]


@mood("good")
def test_good_twice_on_one_agent(agent: AgentTransport) -> None:
    for _ in range(2):
        trace = run(agent)
        assert len(trace.events) == 3
        assert not trace.truncated
    assert agent.usable


@mood("slow")
def test_slow_is_waited_for(agent: AgentTransport) -> None:
    assert len(run(agent).events) == 3


@mood("full_ring")
def test_losses_are_counted_and_warned_of(agent: AgentTransport) -> None:
    with pytest.warns(LossWarning, match="7 of 10 clones lost"):
        trace = run(agent)
    about = trace.events.attrs["skbnb"]
    assert (about["captured"], about["emitted"], about["lost"]) == (3, 3, 7)


@mood("dies")
def test_killed_in_the_middle_keeps_what_came(agent: AgentTransport) -> None:
    with pytest.warns(TruncatedWarning, match="signal 9"):
        trace = run(agent)
    assert len(trace.events) == 3
    assert "signal 9" in trace.truncated
    assert trace.events.attrs["skbnb"]["lost"] is None
    assert skbnb.last is trace
    assert not agent.usable


@mood("garbage")
def test_garbage_keeps_what_came(agent: AgentTransport) -> None:
    with pytest.warns(TruncatedWarning, match="unknown kind"):
        trace = run(agent)
    assert len(trace.events) == 3
    assert not agent.usable


@pytest.mark.parametrize(
    ("agent", "error", "words"),
    [
        ("dies_first", AgentLostError, "status 3: cannot allocate memory"),
        ("old_abi", AbiError, f"ABI {ABI - 1}, this skbnb reads ABI {ABI}"),
        ("refuses", ProbeError, "no probe works .a: b.. Do c."),
        ("sudo_refuses", PrivilegeError, "a password is required"),
        ("not_a_stream", StreamError, "begins with b'Tracebac'"),
    ],
    indirect=["agent"],
)
def test_what_ends_before_it_began(
    agent: AgentTransport, error: type[SkbnbError], words: str
) -> None:
    ran = False
    with pytest.raises(error, match=words) as caught, skbnb.trace(transport=agent):
        ran = True
    assert not ran
    assert type(caught.value) is error
    assert_one_line(caught.value)
    assert not agent.usable


@mood("silent")
def test_one_that_never_attaches(agent: AgentTransport) -> None:
    lone = Session(agent, CONFIG, patience=0.3)
    with pytest.raises(AgentLostError, match=r"did not attach in time"):
        lone.start()


@mood("stops_answering")
def test_one_that_stops_answering(agent: AgentTransport) -> None:
    lone = Session(agent, CONFIG, patience=0.3)
    lone.start()
    lone.stop()
    assert "did not answer in time" in lone.truncated
    assert len(Trace(lone.frames, selection=EVERYTHING).events) == 3


@mood("ignores_eof")
def test_one_that_ignores_the_end_of_its_stdin(agent: AgentTransport) -> None:
    assert len(run(agent).events) == 3
    began = time.monotonic()
    agent.close()
    assert time.monotonic() - began < 15
    assert not agent.usable


@mood("interrupted")
def test_an_interrupt_while_it_stops_loses_nothing(agent: AgentTransport) -> None:
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with pytest.raises(KeyboardInterrupt), skbnb.trace(transport=agent, scope="all"):
        pass
    assert skbnb.last is not None
    assert len(skbnb.last.events) == 3
    assert not skbnb.last.truncated


@mood("good")
def test_a_failing_block_keeps_its_trace(agent: AgentTransport) -> None:
    with pytest.raises(ZeroDivisionError), skbnb.trace(transport=agent, scope="all"):
        _ = 1 / 0
    assert skbnb.last is not None
    assert len(skbnb.last.events) == 3


def test_two_traces_at_once_are_refused(agents: list[AgentTransport]) -> None:
    for _ in range(2):
        agents.append(AgentTransport([sys.executable, "-I", str(FAKE), "good"]))
    with skbnb.trace(transport=agents[0], scope="all") as first:
        with pytest.raises(BusyError) as caught, skbnb.trace(transport=agents[1]):
            pass
        with pytest.raises(BusyError, match="still running"):
            _ = first.events
    assert_one_line(caught.value)
    assert len(first.events) == 3
    assert len(run(agents[1]).events) == 3


@mood("good")
def test_recording_while_it_runs(agent: AgentTransport, tmp_path: Path) -> None:
    path = tmp_path / "a.skbt"
    with skbnb.trace(transport=agent, scope="all", record=path) as trace:
        pass
    assert skbnb.load(path).select("all").equals(trace.events)


def test_a_recording_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="cannot write") as caught:
        notebook.trace(record=tmp_path / "no" / "a.skbt").begin()
    assert_one_line(caught.value)


@mood("good")
def test_a_full_disk_ends_the_recording_only(agent: AgentTransport) -> None:
    with pytest.warns(RuntimeWarning, match="No space left"):
        with skbnb.trace(transport=agent, scope="all", record="/dev/full") as trace:
            pass
    assert len(trace.events) == 3
    assert not trace.truncated


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"pid": 1 << 22}, "no process has the id 4194304"),
        ({"pid": 1 << 70}, "no process has the id"),
        ({"scope": "everything"}, "scope is 'everything'"),
        ({"probe": "magic"}, "probe is 'magic'"),
        ({"max_events": 0}, "max_events is 0"),
        ({"max_seconds": -1}, "max_seconds is -1"),
        ({"ring_mib": 3}, "ring_mib is 3"),
    ],
)
def test_options_of_no_use(options: dict[str, object], words: str) -> None:
    with pytest.raises(OptionError, match=words) as caught:
        skbnb.trace(**options)  # type: ignore[arg-type]
    assert_one_line(caught.value)


def test_a_forked_child_does_not_hold_the_agent(agents: list[AgentTransport]) -> None:
    agents.append(AgentTransport([sys.executable, "-I", str(FAKE), "good"]))
    run(agents[0])
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writer)
        os.read(reader, 1)
        os._exit(0)
    try:
        began = time.monotonic()
        agents[0].close()
        assert time.monotonic() - began < 4
    finally:
        os.close(writer)
        os.close(reader)
        os.waitpid(child, 0)


def test_the_environment_names_the_transport(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SKBNB_AGENT", "nonsense")
    with pytest.raises(OptionError, match="SKBNB_AGENT is 'nonsense'"), skbnb.trace():
        pass
    monkeypatch.setenv("SKBNB_AGENT", f"replay:{tmp_path / 'none.skbt'}")
    with pytest.raises(StreamError, match="cannot read"), skbnb.trace():
        pass
    notebook.shut_down()
