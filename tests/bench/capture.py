# SPDX-License-Identifier: Apache-2.0
"""How many events a second reach a DataFrame, none lost, by skbnb and by other ways.

The load is synthetic (flood.c): two CPUs cannot make millions of clones a second. What
comes after it is the real thing: the ring and its accounting, the agent, the pipe, the
reader in this process and the DataFrame. Beside it, of the same load: BCC's callbacks
into a list of dicts, the handbook's two programs, bpftrace's lines, and as the limit a
C program that looks at nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import itertools
import os
import pickle
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any, NamedTuple, Protocol, cast

import pandas as pd

import skbnb
from skbnb import notebook, wire
from skbnb.agent.ring import Ring
from skbnb.transport import AGENT_PYTHON
from tests.bench.helper import Helper
from tests.bench.load import BATCH, SYSCALL
from tests.bench.measures import Line, Measure
from tests.live.bpftrace import WITH_TRACEFS
from tests.live.traffic import apart

HERE = Path(__file__).parent

_STRIDE = Ring.offset + wire.RECORD_SIZE


class About(NamedTuple):
    """A way to capture.

    Parameters
    ----------
    title
        In words.
    guess
        Where the search for its highest rate begins, in records/s.
    goal
        How many times as much skbnb is to sustain, at least; None: no goal.
    """

    title: str
    guess: float
    goal: float | None = None


WAYS = {
    "skbnb": About("skbnb", 3e6),
    "libbpf": About("libbpf's consumer in C, to /dev/null", 3e6, 0.8),
    "libbpf-keep": About("libbpf's consumer in C, into memory", 3e6),
    "bcc": About("BCC's callback, ring buffer", 2e5, 15),
    "bcc-perf": About("BCC's callback, perf buffer", 1.5e5, 15),
    "handbook-perf": About("handbook's program, perf buffer", 2e5, 30),
    "handbook-trace": About("handbook's program, trace buffer", 5e4, 30),
    "bpftrace": About("bpftrace's lines, parsed by pandas", 1e5, 15),
}

# The search for a rate: by what it goes up; and after one that was too high, how much
# of what came of that is offered next, but at least how much of itself: who has too
# much to do does less.
_STEP, _NEAR, _DOWN = 1.5, 0.92, 0.8

# Has nothing that a DataFrame could be made of.
WITHOUT_ROWS = ("libbpf", "libbpf-keep")


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

    def processors(self) -> dict[str, float]:
        """Seconds that its processes have had of one, by what they are; {}: unknown."""

    def close(self) -> None:
        """End the process that captures."""


def seconds_of(pid: int) -> float:
    """Seconds that a process, and its children that have ended, had of one."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks = sum(map(int, fields[11:15]))  # of proc_pid_stat(5), 14 to 17
    return ticks / os.sysconf("SC_CLK_TCK")


def agent_command(way: str, load_pid: int, *arguments: str) -> list[str]:
    """The distribution's Python, running a way's root side."""
    program = str(HERE / "flood_agent.py")
    return [AGENT_PYTHON, "-I", program, way, str(load_pid), *arguments]


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

    @property
    def size(self) -> int:
        """Bytes of what was captured."""
        return sum(len(frame.payload) for frame in self._trace.frames)

    def processors(self) -> dict[str, float]:
        """Those of the agent and of this process."""
        seconds = seconds_of(self._agent.pid)
        return {"the agent": seconds, "the notebook": time.process_time()}

    def close(self) -> None:
        """End the agent."""
        self._agent.close()


class Other:
    """One of flood_agent.py's. A list's way into this process is not counted."""

    def __init__(self, way: str, load_pid: int, *arguments: str) -> None:
        self._process = subprocess.Popen(
            agent_command(way, load_pid, *arguments),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # BCC prints a line for each moment in which it lost something.
            stderr=subprocess.DEVNULL,
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

    def processors(self) -> dict[str, float]:
        """That of the process."""
        return {"the consumer": seconds_of(self._process.pid)}

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


# A line with the four columns of the handbook for each record.
_SCRIPT = """
BEGIN {{ @count = 0; printf("started\\n"); }}
tracepoint:raw_syscalls:sys_enter /pid == {pid} && args->id == {syscall}/ {{
    $i = 0;
    while ($i < {batch}) {{
        @count++;
        printf("%llu %s %d %llu\\n", nsecs, comm, pid, @count);
        $i++;
    }}
}}
"""


class Bpftrace:
    """bpftrace, whose lines are parsed when it has ended."""

    def __init__(self, load_pid: int, folder: Path) -> None:
        known = {"syscall": SYSCALL[platform.machine()], "batch": BATCH}
        self._script = _SCRIPT.format(pid=load_pid, **known)
        self._path = folder / "lines"

    def start(self) -> None:
        """Begin."""
        with self._path.open("wb") as file:
            self._process = subprocess.Popen(
                [*WITH_TRACEFS, "bpftrace", "-e", self._script],
                stdout=file,
                stderr=subprocess.PIPE,
                env={**os.environ, "BPFTRACE_PERF_RB_PAGES": "4096"},
            )
        while b"started\n" not in self._path.read_bytes():
            assert self._process.poll() is None, self._process.communicate()
            time.sleep(0.01)

    def stop(self) -> Captured:
        """End."""
        self._process.send_signal(signal.SIGINT)
        self._process.communicate()
        # Before the first record it writes two lines, and after the last the count.
        lines, _, count = self._path.read_bytes().rpartition(b"\n\n\n@count: ")
        events = lines.count(b"\n") - 1
        return Captured(events, int(count) - events)

    def frame(self) -> pd.DataFrame:
        """Parse them."""
        names = ["ts", "comm", "pid", "count"]
        return pd.read_csv(self._path, sep=" ", names=names, skiprows=2, comment="@")

    def processors(self) -> dict[str, float]:
        """Its process has ended when it could be asked."""
        return {}

    def close(self) -> None:
        """Nothing runs."""


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
    """From the first record to the end of the last one's way, less what it always
    takes to end."""
    processors: dict[str, float] = field(default_factory=dict)
    """Of one, that each process had."""
    build: float = 0.0
    """From there to the DataFrame."""

    def __str__(self) -> str:
        """As a line of the progress."""
        return (
            f"{self.offered:,.0f}/s for {self.load:.1f} s, {self.lost:,} lost, "
            f"all there after {self.capture:.1f} s"
        )

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


@dataclass
class Runner:
    """A way by its name in `WAYS`, and the load that it captures.

    Attributes
    ----------
    ending
        Seconds that it takes to end, though nothing is left: a program may have to
        detach itself, and to leave. That is not held against its rate.
    """

    name: str
    way: Way
    load: Load
    ending: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        trial = self.capture(rate=10_000, seconds=0.3)
        self.ending = trial.capture - trial.load
        if self.has_rows:
            # What the first call of a library costs.
            self._frame()

    @property
    def has_rows(self) -> bool:
        """Whether there is something that a DataFrame can be made of."""
        return self.name not in WITHOUT_ROWS

    def capture(self, rate: float, seconds: float) -> Trial:
        """Offer records at a rate, and capture them.

        Raises
        ------
        AssertionError
            The records made are not those captured and those lost.
        """
        self.way.start()
        before = self._processors()
        began = time.perf_counter()
        made, took = self.load.make(rate, seconds)
        events, lost = self.way.stop()
        passed = time.perf_counter() - began - self.ending
        had = {what: t - before[what] for what, t in self._processors().items()}
        assert events + lost == made, f"{made} made, but {events} + {lost} captured"
        trial = Trial(rate, made / took, took, events, lost, max(passed, took), had)
        print(f"  {self.name}: {trial}", file=sys.stderr, flush=True)
        return trial

    def _processors(self) -> dict[str, float]:
        return {"the load": seconds_of(self.load.pid), **self.way.processors()}

    def highest_rate(self, guess: float, seconds: float) -> float:
        """A rate near the highest that is sustained for so long.

        Raises
        ------
        AssertionError
            Not even a thousandth of the guess is sustained.
        """
        low = 0.0
        trial = self.careful(guess, seconds)
        while trial.sustained and not trial.at_limit:
            low = trial.offered
            trial = self.careful(low * _STEP, seconds)
        while not trial.sustained:
            rate = _lower(trial, guess)
            if rate <= low:
                return low
            trial = self.capture(rate, seconds)
        return trial.offered

    def careful(self, rate: float, seconds: float) -> Trial:
        """Capture, and once more if it did not keep up: there may be other work."""
        trial = self.capture(rate, seconds)
        return trial if trial.sustained else self.capture(rate, seconds)

    def unlost(self, rate: float, seconds: float) -> Trial:
        """Capture at a rate, lower if need be so that nothing is lost."""
        trial = self.capture(rate, seconds)
        while trial.lost:
            trial = self.capture(_lower(trial, rate), seconds)
        return trial

    def to_frame(self, rate: float, seconds: float) -> Trial:
        """Capture at a rate, lower if need be, into a DataFrame.

        Raises
        ------
        AssertionError
            The DataFrame has not one row for each record made.
        """
        trial = self.unlost(rate, seconds)
        rows, build = self._frame()
        assert rows == trial.events, f"{rows} rows of {trial.events}"
        return replace(trial, build=build)

    def _frame(self) -> tuple[int, float]:
        """How many rows its DataFrame has, and the seconds that it takes to make."""
        if isinstance(self.way, Other):
            self.way.fetch()
        gc.collect()
        began = time.perf_counter()
        frame = self.way.frame()
        return len(frame), time.perf_counter() - began


def _lower(trial: Trial, first: float) -> float:
    """The rate to try after one that was too high."""
    rate = max(_NEAR * trial.capture_rate, _DOWN * trial.reached)
    assert rate > first / 1_000, "it sustains nothing"
    return rate


def way_of(name: str, load_pid: int, folder: Path) -> Way:
    """A way by its name in `WAYS`, running; the folder is for files of its own."""
    if name == "skbnb":
        return Skbnb(load_pid)
    if name == "bpftrace":
        return Bpftrace(load_pid, folder)
    if name not in WITHOUT_ROWS:
        return Other(name, load_pid)
    program = folder / "consumer"
    # By its name: its headers need not be there, and the library is with BCC.
    sources = [str(HERE / "consumer.c"), "-l:libbpf.so.1"]
    command = ["cc", "-O2", "-o", str(program), *sources]
    subprocess.run(command, check=True)
    keep = ("keep",) if name == "libbpf-keep" else ()
    return Other(name, load_pid, str(program), *keep)


@contextlib.contextmanager
def all_ways(names: Sequence[str]) -> Iterator[dict[str, Runner]]:
    """Every way at work on the same load, and ended again."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        load = Load()
        stack.callback(load.close)
        ways: dict[str, Runner] = {}
        for name in names:
            way = way_of(name, load.pid, Path(folder))
            stack.callback(way.close)
            ways[name] = Runner(name, way, load)
        yield ways


class Size(NamedTuple):
    """How much is measured."""

    ways: tuple[str, ...]
    rounds: int
    search: float
    """Seconds of each load in the search for a rate."""
    framed: float
    """Of each whose records become a DataFrame."""
    sustained: float
    """Of each that is captured only."""


FULL = Size(tuple(WAYS), 2, search=1, framed=0.7, sustained=10)
QUICK = Size(
    ("skbnb", "libbpf", "libbpf-keep", "bcc"), 1, search=0.3, framed=0.3, sustained=0.3
)


class Found(NamedTuple):
    """Trials of each way."""

    framed: dict[str, list[Trial]]
    """Into a DataFrame."""
    sustained: dict[str, list[Trial]]
    """Captured only."""
    pipe: list[float]
    """Records/s through a pipe."""


def run(size: Size) -> Found:
    """Every way at its highest rate, in turn, several times."""
    with all_ways(size.ways) as ways:
        rates = {
            name: way.highest_rate(WAYS[name].guess, size.search)
            for name, way in ways.items()
        }

        def framed(name: str) -> Trial:
            return ways[name].to_frame(rates[name], size.framed)

        def sustained(name: str) -> Trial:
            return ways[name].unlost(rates[name], size.sustained)

        with_rows = [name for name, way in ways.items() if way.has_rows]
        found = Found({name: [] for name in with_rows}, {name: [] for name in ways}, [])
        parts = ((found.framed, framed), (found.sustained, sustained))
        for _, (trials, attempt) in itertools.product(range(size.rounds), parts):
            for name, ours in trials.items():
                ours.append(attempt(name))
                rates[name] = ours[-1].offered
    found.pipe.extend(pipe_rate(size.framed) for _ in range(size.rounds))
    return found


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


def pipe_rate(seconds: float) -> float:
    """Records/s that come through a pipe into memory, while nothing else is done."""
    with subprocess.Popen(["cat", "/dev/zero"], stdout=subprocess.PIPE) as writer:
        pipe = cast("IO[bytes]", writer.stdout)
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, 1 << 20)
        kept = []
        began = time.perf_counter()
        while time.perf_counter() - began < seconds:
            kept.append(os.read(pipe.fileno(), 1 << 20))
        passed = time.perf_counter() - began
        writer.kill()
    return sum(map(len, kept)) / _STRIDE / passed


# ------------------------------------------------------------------ the table


def ratios(found: Found) -> list[Line]:
    """How many times as many events as each other way, and the goals."""
    captured = found.sustained
    lines = [
        Line(f"skbnb / {WAYS[name].title}: captured",
             ratio(captured["skbnb"], theirs, "capture_rate"),
             " x", 2 if name in WITHOUT_ROWS else 1,
             goal=WAYS[name].goal, at_least=True)
        for name, theirs in captured.items()
        if name != "skbnb"
    ]  # fmt: skip
    lines += [
        Line(f"skbnb / {WAYS[name].title}: to a DataFrame",
             ratio(found.framed["skbnb"], theirs, "rate"), " x")
        for name, theirs in found.framed.items()
        if name != "skbnb"
    ]  # fmt: skip
    return lines


def rates(found: Found, real: list[Real]) -> list[Line]:
    """Events a second."""
    parts = (
        ("captured", found.sustained, "capture_rate"),
        ("to a DataFrame", found.framed, "rate"),
    )
    measured = [
        (f"{WAYS[name].title}: {part}", tuple(getattr(one, what) for one in ours))
        for part, trials, what in parts
        for name, ours in trials.items()
        if ours
    ]
    measured.append(("as many bytes by a pipe into memory", tuple(found.pipe)))
    measured.append(
        ("real clones under skbnb's agent", tuple(one.rate for one in real))
    )
    return [
        Line(title, Measure(values), unit=" M/s", digits=3, scale=1e-6)
        for title, values in measured
    ]


# What the first is compared with, as what takes a record along and does little else.
BARE = ("skbnb", "libbpf", "libbpf-keep")


def processors(found: Found) -> list[Line]:
    """What each process takes of a processor: together they have all there are."""
    return [
        Line(f"{WAYS[name].title}: {what}, a record",
             Measure(tuple(one.processors[what] / one.events for one in trials)),
             " ns", 0, 1e9)
        for name, trials in ((name, found.sustained[name]) for name in BARE)
        for what in trials[0].processors
    ]  # fmt: skip


def notes(found: Found, real: list[Real]) -> list[str]:
    """What was checked, and what the numbers are of."""
    trials = [*found.framed.values(), *found.sustained.values()]
    made = sum(trial.events for ours in trials for trial in ours)
    ours = found.sustained["skbnb"] + found.framed["skbnb"]
    limited = sum(trial.at_limit for trial in ours)
    clones, due = sum(one.rows for one in real), sum(one.made for one in real)
    calls = sum(one.calls for one in real)
    return [
        f"Synthetic records, from tests/bench/flood.c: {made:,} captured for as many",
        "made, none lost, each way at the highest rate at which it loses none.",
        f"In {limited} of {len(ours)} trials not skbnb was the limit, but the load.",
        f"Real clones, UDP multicast to {RECEIVERS} receivers: {clones:,} rows for "
        f"{due:,} made;",
        f"on the whole machine {sum(one.captured for one in real):,} rows for "
        f"{calls:,} calls, {sum(one.lost for one in real):,} lost.",
    ]
