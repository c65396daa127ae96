# SPDX-License-Identifier: Apache-2.0
"""What tracing costs in the kernel: the time in BPF programs, and what work loses.

Nanoseconds are those of the kernel's own statistics (bpf_stats.py), of the programs of
one process only: skbnb's agent, or one that stands in its place (cost_agent.py). They
leave out what it takes to get to a program and back, which the time that the work takes
has in it; and they hold one reading of the clock, which an empty program's have, too.

On a shared machine nanoseconds are worth little by themselves: see the ratios.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import skbnb
from skbnb import notebook
from skbnb.agent.probes import FOLLOW_TASKS, PROBES
from skbnb.transport import AGENT_PYTHON
from tests.bench import bpf_stats
from tests.bench.bpf_stats import Runs
from tests.bench.helper import Helper
from tests.bench.measures import Line, Measure
from tests.bench.work import clones_of

HERE = Path(__file__).parent

# Ways to trace -> the options of skbnb.trace(): each is compared with the first.
VARIANTS: dict[str, dict[str, Any]] = {
    "skbnb": {},
    "skbnb with stacks": {"stacks": True},
    "skbnb with followers": {"follow": True},
    "skbnb with copies": {"also": "copy"},
    "skbnb with 128 bytes of each packet": {"snaplen": 128},
    "sums": {"via": "count"},
    "a handbook's program, by perf buffer": {"via": "perf"},
    "a handbook's program, by trace buffer": {"via": "trace"},
}

# What the kernel is left to finish after a detach, in seconds.
_PAUSE = 0.05


class Way(Protocol):
    """Programs that are attached while work is done."""

    pid: int
    """Process that holds them."""

    def start(self) -> None:
        """Attach them."""

    def stop(self) -> int:
        """Detach them, and give the number of clones they saw; 0 if none counts."""


class Nothing:
    """No program."""

    pid = os.getpid()

    def start(self) -> None:
        """Attach nothing."""

    def stop(self) -> int:
        """Detach nothing."""
        return 0


class Skbnb:
    """skbnb, with some options."""

    def __init__(self, agent: skbnb.AgentTransport, options: dict[str, Any]) -> None:
        self.pid = agent.pid
        self._agent = agent
        self._options = options

    def start(self) -> None:
        """Begin a trace."""
        self._tracing = notebook.trace(
            scope="all", transport=self._agent, **self._options
        )
        self._tracing.begin()

    def stop(self) -> int:
        """End it."""
        about = self._tracing.end().events.attrs["skbnb"]
        # The trace buffer has room for what is read at once.
        assert not about["lost"] or about["via"] == "trace", about
        calls: int = about["calls"]
        return calls


class Other(Helper):
    """One of cost_agent.py's ways."""

    def __init__(self, way: str, probe: str) -> None:
        super().__init__([AGENT_PYTHON, "-I", str(HERE / "cost_agent.py"), way, probe])

    def start(self) -> None:
        """Attach its programs."""
        self.ask("start")

    def stop(self) -> int:
        """Detach them."""
        self.ask("stop")
        return 0


# A network of its own: whoever listens on the machine's loopback has every packet
# there cloned.
_APART = ("unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$0" "$@"')


class Worker(Helper):
    """The process that works."""

    def __init__(self) -> None:
        super().__init__([*_APART, sys.executable, "-m", "tests.bench.work"])

    def do(self, work: str, times: int) -> tuple[float, float]:
        """Work, and give the seconds that it took, and those on a processor."""
        seconds, task = map(float, self.ask(work, times))
        return seconds, task


@dataclass(frozen=True)
class Trial:
    """Work done once, with some programs attached."""

    programs: dict[str, Runs]
    """What each did."""
    clones: int
    """How many they saw; 0 where none counts."""
    seconds: float
    """That the work took."""
    task: float = 0.0
    """Of these, what the worker had of a processor."""

    @property
    def ns(self) -> int:
        """Nanoseconds in all of them."""
        return sum(ran.ns for ran in self.programs.values())

    @property
    def per_clone(self) -> float:
        """Nanoseconds in all of them for each clone."""
        return self.ns / self.clones

    @property
    def share(self) -> float:
        """Their part of one CPU's time."""
        return self.ns / self.seconds / 1e9

    def per_run(self, name: str) -> float:
        """Nanoseconds of one run of a program."""
        return self.programs[name].ns / self.programs[name].count

    def rate(self, name: str) -> float:
        """Runs/s of a program."""
        return self.programs[name].count / self.seconds

    def share_of(self, name: str) -> float:
        """A program's part of one CPU's time."""
        return self.programs[name].ns / self.seconds / 1e9

    def multiple(self, other: Trial) -> float:
        """How many times as long these took as the same runs of another way's."""
        both = self.programs.keys() & other.programs.keys()
        ours = sum(self.programs[name].ns for name in both)
        theirs = sum(self.programs[name].count * other.per_run(name) for name in both)
        return ours / theirs

    def if_empty(self, empty: Trial) -> float:
        """Nanoseconds that as many runs of empty programs take for each clone."""
        return self.per_clone / self.multiple(empty)


Trials = dict[str, list[Trial]]


def attempt(way: Way, worker: Worker, work: str, times: int) -> Trial:
    """Do work while a way's programs are attached.

    Raises
    ------
    AssertionError
        A way that counts clones has not seen all that the work makes.
    """
    way.start()
    before = bpf_stats.runs(way.pid)
    seconds, task = worker.do(work, times)
    programs = bpf_stats.runs_since(before, way.pid)
    clones = way.stop()
    made = clones_of(times) if work == "clones" else 0
    assert not clones or clones >= made, f"{made} clones made, {clones} seen"
    return Trial(programs, clones, seconds, task)


def in_turn(
    ways: dict[str, Way], worker: Worker, work: str, times: int, rounds: int
) -> Trials:
    """Every way, in turn, several times; each round begins with another."""
    names = list(ways)
    trials: Trials = {name: [] for name in names}
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            trials[name].append(attempt(ways[name], worker, work, times))
            time.sleep(_PAUSE)
    return trials


@contextlib.contextmanager
def all_ways() -> Iterator[tuple[Worker, dict[str, Way]]]:
    """Everything running, warm, and ended again."""
    with contextlib.ExitStack() as stack:
        worker = Worker()
        stack.callback(worker.close)
        agent = skbnb.AgentTransport()
        stack.callback(agent.close)
        ways: dict[str, Way] = {"nothing": Nothing()}
        for name, options in VARIANTS.items():
            ways[name] = Skbnb(agent, options)
        probe = probe_of(agent)
        for name in ("empty", "context"):
            other = Other(name, probe)
            stack.callback(other.close)
            ways[name] = other
        for way in ways.values():
            attempt(way, worker, "clones", 10)
        yield worker, ways


def probe_of(agent: skbnb.AgentTransport) -> str:
    """The probe that this kernel takes."""
    with skbnb.trace(transport=agent) as trace:
        pass
    name: str = trace.events.attrs["skbnb"]["probe"]
    return name


class Size(NamedTuple):
    """How much is done."""

    rounds: int
    """With the kernel's statistics."""
    timed_rounds: int
    """Without them."""
    times: dict[str, int]
    """How many times each work is done."""


FULL = Size(
    5, 9, {"clones": 6_000, "datagrams": 20_000, "pipes": 30_000, "bulk": 1_000}
)
QUICK = Size(1, 2, {"clones": 500, "datagrams": 2_000, "pipes": 3_000, "bulk": 100})


class Found(NamedTuple):
    """All that was measured."""

    cloning: Trials
    """While clones are made."""
    idle: dict[str, Trials]
    """While none is: by work."""
    timed: dict[str, Trials]
    """The same without statistics, which cost time themselves."""


# At least so much is left of the throughput of a transfer when it is traced.
BULK = 0.97
OF_BULK = ("skbnb", "empty", "sums")

# Work that clones nothing -> how many times as long as empty programs ours may run.
IDLE = {"datagrams": 3, "pipes": 1.2}


def run(size: Size) -> Found:
    """Measure everything."""
    with all_ways() as (worker, ways):
        counting = {name: way for name, way in ways.items() if name != "nothing"}
        bare = {name: ways[name] for name in ("skbnb", "empty", "context")}
        beside = {name: ways[name] for name in ("nothing", "skbnb", "empty")}

        def measured(ways: dict[str, Way], work: str, rounds: int) -> Trials:
            return in_turn(ways, worker, work, size.times[work], rounds)

        with bpf_stats.enabled():
            cloning = measured(counting, "clones", size.rounds)
            idle = {work: measured(bare, work, size.rounds) for work in IDLE}
        timed = {
            work: measured(ways_, work, size.timed_rounds)
            for work, ways_ in (
                *((work, beside) for work in IDLE),
                ("bulk", {name: ways[name] for name in ("nothing", *OF_BULK)}),
                ("clones", {name: ways[name] for name in ("nothing", *VARIANTS)}),
            )
        }
    return Found(cloning, idle, timed)


# ------------------------------------------------------------------ the tables


class Table(NamedTuple):
    """Lines that answer one question."""

    title: str
    lines: list[Line]
    notes: list[str]


def over_rounds(of: Callable[..., float], *trials: Sequence[Trial]) -> Measure:
    """Something of every trial, or of those of several ways in the same round."""
    return Measure(tuple(map(of, *trials)))


def title_of(program: str) -> str:
    """What a program of skbnb's is attached to, and its name."""
    targets = {
        attachment.target: None
        for probe in PROBES
        for attachment in probe.attachments
        if attachment.function[:15] == program
    }
    return f"{', '.join(targets)} ({program})" if targets else program


def programs_of(*ways: Sequence[Trial]) -> list[str]:
    """Programs that ran in every trial of all these ways, by their titles.

    Not those that follow tasks: they run when any process forks or is gone.
    """
    common = set.intersection(*(set(one.programs) for ours in ways for one in ours))
    common -= {attachment.function for attachment in FOLLOW_TASKS}
    return sorted(common, key=title_of)


def of_programs(
    trials: Sequence[Trial],
    what: str,
    of: Callable[[Trial, str], float],
    unit: str,
    digits: int = 0,
    scale: float = 1,
) -> list[Line]:
    """Something of each program."""
    return [
        Line(
            f"{title_of(name)}, {what}",
            Measure(tuple(of(one, name) for one in trials)),
            unit,
            digits,
            scale,
        )
        for name in programs_of(trials)
    ]


def of_empty_ones(ours: Sequence[Trial], empty: Sequence[Trial]) -> list[Line]:
    """How many times as long as an empty one each program runs."""
    return [
        Line(
            f"{title_of(name)}, a run / an empty one's",
            Measure(
                tuple(
                    one.per_run(name) / other.per_run(name)
                    for one, other in zip(ours, empty, strict=True)
                )
            ),
            " x",
        )
        for name in programs_of(ours, empty)
    ]


def a_clone(trials: Trials) -> list[Line]:
    """What all programs take for each clone, in each way."""

    def ratio(one: Trial, other: Trial) -> float:
        return one.per_clone / other.per_clone

    ours = trials["skbnb"]
    each = [
        Line(f"{name}, a clone", over_rounds(lambda one: one.per_clone, trials[name]),
             " ns", 0)
        for name in VARIANTS
    ]  # fmt: skip
    variants = [
        Line(
            f"{name} / skbnb, a clone", over_rounds(ratio, trials[name], ours), " x", 2
        )
        for name in VARIANTS
        if name != "skbnb"
    ]
    return [
        *each,
        *variants,
        Line("skbnb / empty programs, the same runs",
             over_rounds(Trial.multiple, ours, trials["empty"]), " x"),
        Line("as many runs of empty programs, a clone",
             over_rounds(Trial.if_empty, ours, trials["empty"]), " ns", 0),
    ]  # fmt: skip


HANDBOOK = "a handbook's program, by perf buffer"

# Way -> how much of the cost of the handbook's program it may have.
_GOALS = {"skbnb": 1.0, "sums": 0.5}


def beside_the_handbook(found: Found) -> list[Line]:
    """What a clone costs, beside the handbook's program: two ways to measure it."""

    def of_programs_(one: Trial, other: Trial) -> float:
        return one.per_clone / other.per_clone

    timed = found.timed["clones"]

    def beyond(one: Trial, nothing: Trial, other: Trial) -> float:
        return (one.task - nothing.task) / (other.task - nothing.task)

    lines = []
    for name, goal in _GOALS.items():
        ours, theirs = (found.cloning[way] for way in (name, HANDBOOK))
        what = f"{name} / {HANDBOOK}"
        lines += [
            Line(f"{what}: time in programs",
                 over_rounds(of_programs_, ours, theirs), " x", 2, goal=goal),
            Line(f"{what}: the task's time",
                 over_rounds(beyond, timed[name], timed["nothing"], timed[HANDBOOK]),
                 " x", 2, goal=goal),
        ]  # fmt: skip

    def at_least(one: Trial, empty: Trial, other: Trial) -> float:
        return one.if_empty(empty) / other.per_clone

    trials = (found.cloning[way] for way in ("skbnb", "empty", HANDBOOK))
    what = f"as many empty programs as skbnb's / {HANDBOOK}: time in programs"
    return [*lines, Line(what, over_rounds(at_least, *trials), " x", 2)]


def of_the_task(size: Size, found: Found) -> list[Line]:
    """What tracing adds to the time of a task that clones, for each clone."""
    timed, made = found.timed["clones"], clones_of(size.times["clones"])

    def beyond(one: Trial, nothing: Trial) -> float:
        return (one.task - nothing.task) / made * 1e9

    return [
        Line(f"{name}, a clone", over_rounds(beyond, timed[name], timed["nothing"]),
             " ns", 0)
        for name in VARIANTS
    ]  # fmt: skip


def of_bulk(found: Found) -> list[Line]:
    """What is left of the throughput of a transfer."""
    timed = found.timed["bulk"]

    def left(one: Trial, nothing: Trial) -> float:
        return nothing.seconds / one.seconds

    return [
        Line(f"throughput with {name} / with nothing attached",
             over_rounds(left, timed[name], timed["nothing"]), " x", 3,
             goal=BULK if name == "skbnb" else None, at_least=True)
        for name in OF_BULK
    ]  # fmt: skip


def while_idle(work: str, found: Found) -> list[Line]:
    """What programs take from work that clones nothing."""
    timed, counted = found.timed[work], found.idle[work]
    ours, empty = counted["skbnb"], counted["empty"]

    def ratio(one: Trial, other: Trial) -> float:
        return one.seconds / other.seconds

    lines = [
        *(
            Line(f"time with {name} / with nothing attached",
                 over_rounds(ratio, timed[name], timed["nothing"]), " x", 3)
            for name in ("skbnb", "empty")
        ),
        Line("skbnb / empty programs, the same runs",
             over_rounds(Trial.multiple, ours, empty), " x", goal=IDLE[work]),
        Line("all programs, of one CPU", over_rounds(lambda one: one.share, ours),
             " %", 1, 100),
        *of_programs(ours, "a run", Trial.per_run, " ns"),
        *of_empty_ones(ours, empty),
    ]  # fmt: skip
    return [replace(line, what=f"{work}: {line.what}") for line in lines]


# What is told apart: in words, the work, the way, and the program. What the way's
# program takes beyond an empty one.
PARTS = (
    ("finding the context, in a system call", "datagrams", "context", "on_queue"),
    ("finding the context, in a softirq", "datagrams", "context", "on_receive"),
    ("the hook on kmem_cache_free", "pipes", "skbnb", "on_free_object"),
    ("the hook on kmem_cache_alloc", "pipes", "skbnb", "on_alloc"),
)


def parts(found: Found) -> list[Line]:
    """What parts of a program take beyond an empty one."""
    lines = []
    for what, work, way, program in PARTS:
        ours, empty = found.idle[work][way], found.idle[work]["empty"]
        # Other probes have no hook on kmem_cache_alloc.
        if program in programs_of(ours, empty):
            beyond = tuple(
                one.per_run(program) - other.per_run(program)
                for one, other in zip(ours, empty, strict=True)
            )
            lines.append(Line(what, Measure(beyond), " ns"))
    return lines


def skipped(found: Found) -> str:
    """How often skbnb's programs did not run.

    What one would have seen then is neither recorded nor counted as lost.
    """
    runs: Counter[str] = Counter()
    skips: Counter[str] = Counter()
    for trials in (found.cloning, *found.idle.values()):
        for trial in trials["skbnb"]:
            for name, ran in trial.programs.items():
                runs[name] += ran.count
                skips[name] += ran.skipped
    which = ", ".join(f"{name} {count:,}" for name, count in (+skips).most_common())
    return (
        "Not run, because it was running on that CPU already: "
        f"{which or 'none'} (of {runs.total():,} runs)."
    )


def others(work: str, found: Found) -> str:
    """What spoils work that clones nothing."""
    trials = found.idle[work]["skbnb"] + found.timed[work]["skbnb"]
    return f"Clones that others made meanwhile: {sum(one.clones for one in trials):,}."


def tables(size: Size, found: Found) -> list[Table]:
    """All that is said."""
    ours = found.cloning["skbnb"]
    done = size.times
    return [
        Table(
            f"Kernel time in BPF programs for a clone ({size.rounds} rounds, in turn)",
            a_clone(found.cloning),
            [
                f"Work: {done['clones']:,} questions and answers over TCP, two fast "
                "clones each,",
                f"then {done['clones']:,} datagrams with a timestamp, a slab clone "
                "each.",
                "A handbook's programs are those of --via perf and --via trace, and "
                "sums those of",
                "--via count.",
                skipped(found),
            ],
        ),
        Table(
            f"The same as a task's time, beyond that without a trace "
            f"({size.timed_rounds} rounds)",
            of_the_task(size, found),
            [],
        ),
        Table("Beside the handbook's program", beside_the_handbook(found), []),
        Table(
            f"A transfer of {done['bulk']:,} MiB over loopback "
            f"({size.timed_rounds} rounds)",
            of_bulk(found),
            [],
        ),
        Table(
            "The same, by program; most run for every packet or slab object, cloned or "
            "not",
            [
                *of_programs(ours, "a run", Trial.per_run, " ns"),
                *of_empty_ones(ours, found.cloning["empty"]),
                *of_programs(ours, "runs", Trial.rate, " k/s", 1, 1e-3),
                *of_programs(ours, "of one CPU", Trial.share_of, " %", 2, 100),
            ],
            [],
        ),
        *(
            Table(
                f"While nothing is cloned: {done[work]:,} {work} "
                f"({size.timed_rounds} rounds for the time)",
                while_idle(work, found),
                [others(work, found)],
            )
            for work in IDLE
        ),
        Table("Parts of programs, beyond an empty one", parts(found), []),
    ]
