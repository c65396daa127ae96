# SPDX-License-Identifier: Apache-2.0
"""How many events a second reach a DataFrame, none lost.

The load is synthetic (flood.c): two CPUs cannot make millions of clones a second. What
comes after it is the real thing: the ring and its accounting, the agent, the pipe, the
reader in this process and the DataFrame. Beside it, on the same records: BCC's callback
into a list of dicts, and a DataFrame of that.
"""

from __future__ import annotations

import contextlib
import gc
import pickle
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, NamedTuple, Protocol, cast

import pandas as pd

import skbnb
from skbnb import notebook, wire
from skbnb.agent.ring import Ring
from skbnb.transport import AGENT_PYTHON
from tests.bench.helper import Helper
from tests.bench.measures import Line, Measure
from tests.live.traffic import apart

HERE = Path(__file__).parent

_STRIDE = Ring.offset + wire.RECORD_SIZE

# Where the search for each way's highest rate begins, in records/s.
GUESSES = {"skbnb": 3e6, "bcc": 2e5, "bcc-four": 3.5e5}


class Captured(NamedTuple):
    """What came of one load."""

    events: int
    lost: int


class Way(Protocol):
    """One way to capture."""

    def start(self) -> None:
        """Begin; every record made from now on counts."""

    def stop(self) -> Captured:
        """End when all that was made has been received or lost."""

    def frame(self) -> pd.DataFrame:
        """Make the DataFrame of it."""

    def close(self) -> None:
        """End the process that captures."""


def agent_command(way: str, load_pid: int) -> list[str]:
    """The distribution's Python, running a way's root side."""
    return [AGENT_PYTHON, "-I", str(HERE / "flood_agent.py"), way, str(load_pid)]


class Skbnb:
    """skbnb's agent, wire, reader and `Trace`."""

    def __init__(self, load_pid: int) -> None:
        self._agent = skbnb.AgentTransport(agent_command("skbnb", load_pid))

    def start(self) -> None:
        """Begin."""
        self._tracing = notebook.trace(scope="all", transport=self._agent)
        self._trace = self._tracing.begin()

    def stop(self) -> Captured:
        """End."""
        self._tracing.end()
        received = lost = 0
        for frame in self._trace.frames:
            if frame.kind is wire.Kind.EVENTS:
                received += len(frame.payload)
            elif frame.kind is wire.Kind.STATS:
                lost = sum(frame.json[name] for name in wire.LOST)
        return Captured(received // _STRIDE, lost)

    def frame(self) -> pd.DataFrame:
        """Make the DataFrame."""
        return self._trace.events

    def close(self) -> None:
        """End the agent."""
        self._agent.close()


class Callback:
    """BCC's callback. The list's way into this process is not counted."""

    def __init__(self, way: str, load_pid: int) -> None:
        self._process = subprocess.Popen(
            agent_command(way, load_pid),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._requests = cast("IO[bytes]", self._process.stdin)
        self._answers = cast("IO[bytes]", self._process.stdout)
        self._rows: list[dict[str, Any]] = []

    def _say(self, word: str) -> None:
        self._requests.write(f"{word}\n".encode())
        self._requests.flush()

    def start(self) -> None:
        """Begin."""
        self._say("start")
        assert self._answers.readline() == b"started\n"

    def stop(self) -> Captured:
        """End."""
        self._say("stop")
        return Captured(*map(int, self._answers.readline().split()))

    def fetch(self) -> None:
        """Bring the list into this process."""
        self._say("rows")
        self._rows = pickle.load(self._answers)

    def frame(self) -> pd.DataFrame:
        """Make the DataFrame."""
        return pd.DataFrame(self._rows)

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


class Load(Helper):
    """The process that asks for records."""

    def __init__(self) -> None:
        super().__init__([sys.executable, str(HERE / "load.py")])

    def make(self, rate: float, seconds: float) -> tuple[int, float]:
        """As `tests.bench.load.flood`."""
        made, took = self.ask(rate, seconds)
        return int(made), float(took)


@dataclass(frozen=True)
class Trial:
    """One load, captured in one way. Times in seconds."""

    offered: float
    """Records/s that were to be made."""
    reached: float
    """Records/s that were made."""
    load: float
    """For how long they were made."""
    events: int
    lost: int
    capture: float
    """From the first record to the end of the last one's way."""
    build: float = 0.0
    """From there to the DataFrame."""

    @property
    def sustained(self) -> bool:
        """Nothing lost, and little left in the ring when the load ended."""
        return not self.lost and self.capture < 1.15 * self.load

    @property
    def at_limit(self) -> bool:
        """The load could not reach the rate, so capturing was not the limit."""
        return self.reached < 0.97 * self.offered

    @property
    def capture_rate(self) -> float:
        """Events/s until they are all in memory."""
        return self.events / self.capture

    @property
    def rate(self) -> float:
        """Events/s until they are a DataFrame."""
        return self.events / (self.capture + self.build)


def capture(way: Way, load: Load, rate: float, seconds: float) -> Trial:
    """Offer records at a rate, and capture them.

    Raises
    ------
    AssertionError
        The records made are not those captured and those lost.
    """
    way.start()
    began = time.perf_counter()
    made, took = load.make(rate, seconds)
    events, lost = way.stop()
    passed = time.perf_counter() - began
    assert events + lost == made, f"{made} made, but {events} + {lost} captured"
    return Trial(rate, made / took, took, events, lost, passed)


def careful(way: Way, load: Load, rate: float, seconds: float) -> Trial:
    """Capture, and once more if it did not keep up: this machine may do other work."""
    trial = capture(way, load, rate, seconds)
    return trial if trial.sustained else capture(way, load, rate, seconds)


def highest_rate(way: Way, load: Load, guess: float, seconds: float) -> float:
    """A rate near the highest that is sustained: up from a guess, then down."""
    trial = careful(way, load, guess, seconds)
    while trial.sustained and not trial.at_limit:
        trial = careful(way, load, trial.offered * 1.2, seconds)
    while not trial.sustained:
        trial = careful(way, load, trial.offered * 0.92, seconds)
    return trial.offered


def to_frame(way: Way, load: Load, rate: float, seconds: float) -> Trial:
    """Capture at a rate, lower if need be so that nothing is lost, into a DataFrame.

    Raises
    ------
    AssertionError
        The DataFrame has not one row for each record made.
    """
    trial = careful(way, load, rate, seconds)
    while trial.lost:
        trial = careful(way, load, trial.offered * 0.92, seconds)
    if isinstance(way, Callback):
        way.fetch()
    gc.collect()
    began = time.perf_counter()
    frame = way.frame()
    build = time.perf_counter() - began
    assert len(frame) == trial.events, f"{len(frame)} rows of {trial.events} events"
    return replace(trial, build=build)


@contextlib.contextmanager
def all_ways(names: tuple[str, ...]) -> Iterator[tuple[Load, dict[str, Way]]]:
    """Everything running, and ended again."""
    with contextlib.ExitStack() as stack:
        load = Load()
        stack.callback(load.close)
        ways: dict[str, Way] = {}
        for name in names:
            ways[name] = (
                Skbnb(load.pid) if name == "skbnb" else Callback(name, load.pid)
            )
            stack.callback(ways[name].close)
        yield load, ways


def run(names: tuple[str, ...], rounds: int, seconds: float) -> dict[str, list[Trial]]:
    """Every way at its highest rate, in turn, several times."""
    with all_ways(names) as (load, ways):
        rates = {
            name: highest_rate(way, load, GUESSES[name], seconds)
            for name, way in ways.items()
        }
        for name, way in ways.items():
            # Untouched memory and first calls of a library cost time once.
            to_frame(way, load, rates[name], seconds)
        trials: dict[str, list[Trial]] = {name: [] for name in names}
        for _ in range(rounds):
            for name, way in ways.items():
                trials[name].append(to_frame(way, load, rates[name], seconds))
                rates[name] = trials[name][-1].offered
    return trials


def ratio(ours: list[Trial], theirs: list[Trial], what: str) -> Measure:
    """How many times as much, round by round."""
    pairs = zip(ours, theirs, strict=True)
    return Measure(tuple(getattr(a, what) / getattr(b, what) for a, b in pairs))


# ------------------------------------------------------------------ a real load


class Real(NamedTuple):
    """A real load under the real agent."""

    rate: float
    """Its clones/s."""
    made: int
    """Clones that it must have made."""
    rows: int
    """Of these, rows in the DataFrame."""
    calls: int
    """Calls that the kernel counted, of all processes."""
    captured: int
    """Of these, rows."""
    lost: int


RECEIVERS = 51


def real_load(datagrams: int) -> Real:
    """Send datagrams to 51 multicast receivers: 50 clones each.

    Raises
    ------
    AssertionError
        A clone was neither captured nor counted as lost.
    """
    with skbnb.trace(scope="all") as trace:
        pid = apart("flood", RECEIVERS, datagrams)
    about = trace.events.attrs["skbnb"]
    rows = trace.events[trace.events["pid"] == pid]
    real = Real(
        rate=float(len(rows) / (rows["t"].iloc[-1] - rows["t"].iloc[0])),
        made=datagrams * (RECEIVERS - 1),
        rows=len(rows),
        calls=about["calls"],
        captured=about["captured"],
        lost=about["lost"],
    )
    assert real.captured + real.lost == real.calls, real
    assert real.rows == real.made or real.lost, real
    return real


# ------------------------------------------------------------------ the table

TITLES = {
    "skbnb": "skbnb",
    "bcc": "BCC's callback",
    "bcc-four": "BCC's callback, 4 members of 32",
}
PARTS = {"rate": "to a DataFrame", "capture_rate": "capture alone"}


def ratios(trials: dict[str, list[Trial]]) -> list[Line]:
    """How many times as many events as each other way, and the goal."""
    return [
        Line(
            f"skbnb / {TITLES[name]}: {part}",
            ratio(trials["skbnb"], theirs, what),
            unit=" x",
            goal=10 if name == "bcc" else None,
            at_least=True,
        )
        for name, theirs in trials.items()
        if name != "skbnb"
        for what, part in PARTS.items()
    ]


def rates(trials: dict[str, list[Trial]], real: list[Real]) -> list[Line]:
    """Events a second."""
    found = [
        (f"{TITLES[name]}: {part}", tuple(getattr(trial, what) for trial in ours))
        for name, ours in trials.items()
        for what, part in PARTS.items()
    ]
    found.append(("real clones under skbnb's agent", tuple(one.rate for one in real)))
    return [
        Line(title, Measure(values), unit=" M/s", digits=2, scale=1e-6)
        for title, values in found
    ]


def notes(trials: dict[str, list[Trial]], real: list[Real]) -> list[str]:
    """What was checked, and what the numbers are of."""
    rows = sum(trial.events for ours in trials.values() for trial in ours)
    limited = all(trial.at_limit for trial in trials["skbnb"])
    clones, calls = sum(one.rows for one in real), sum(one.calls for one in real)
    return [
        f"Synthetic records, from tests/bench/flood.c: {rows:,} rows for as many made,",
        "none lost, each way at the highest rate at which it loses none."
        + (" The load, not skbnb, was the limit." if limited else ""),
        f"Real clones, UDP multicast to {RECEIVERS} receivers: {clones:,} rows for as "
        f"many made;",
        f"on the whole machine {sum(one.captured for one in real):,} rows for "
        f"{calls:,} calls, {sum(one.lost for one in real):,} lost.",
    ]
