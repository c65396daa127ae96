# SPDX-License-Identifier: Apache-2.0
"""What a clone costs by each probe, beside other programs, on one emulated processor.

Where the emulator's clock counts instructions the kernel's statistics of a program's
time do, too.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from skbnb.transport import AgentTransport
from tests.bench import bpf_stats
from tests.bench.cost import (
    Skbnb,
    Trial,
    Way,
    Worker,
    attempt,
    programs_of,
    title_of,
)
from tests.bench.measures import Line, Measure, table
from tests.bench.work import clones_of
from tests.live.bpftrace import Bpftrace, count_clones
from tests.stock.agents import PROBES, start_agent

TIMES, ROUNDS = 100, 3

# How skbnb is to trace -> the words for it.
VIAS = {
    "ring": "skbnb",
    "count": "skbnb, sums",
    "perf": "a handbook's program, perf buffer",
    "trace": "a handbook's program, trace buffer",
}


class Counter:
    """bpftrace, which counts clones by process."""

    def __init__(self) -> None:
        self._counter: Bpftrace[tuple[int, bool]] = count_clones()
        self.pid = self._counter.pid
        self._before = 0

    def start(self) -> None:
        """It is attached all the time."""
        self._before = self._counter.when_silent().total()

    def stop(self) -> int:
        """How many clones it has counted since."""
        return self._counter.when_silent().total() - self._before

    def close(self) -> None:
        """End it."""
        self._counter.close()


@pytest.fixture(scope="module")
def agent() -> Iterator[AgentTransport]:
    agent = start_agent()
    yield agent
    agent.close()


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    worker = Worker()
    yield worker
    worker.close()


def measured(way: Way, worker: Worker) -> list[Trial]:
    """Clones made with a way attached, after a few by which it gets warm."""
    attempt(way, worker, "clones", 10)
    trials = [attempt(way, worker, "clones", TIMES) for _ in range(ROUNDS)]
    assert all(trial.clones >= clones_of(TIMES) for trial in trials)
    return trials


def by_program(trials: list[Trial]) -> list[Line]:
    """Each program's part of a clone's cost, the dearest first."""
    lines = []
    for name in sorted(programs_of(trials), key=lambda name: -share(trials[0], name)):
        cost = Measure(tuple(share(trial, name) for trial in trials))
        runs = trials[0].programs[name].count / trials[0].clones
        title = f"{title_of(name)}, {runs:.1f} runs"
        lines.append(Line(title, cost, " instructions", 0))
    return lines


def share(trial: Trial, program: str) -> float:
    """What the runs of a program cost for each clone."""
    return trial.programs[program].ns / trial.clones


def test_cost_of_a_clone(agent: AgentTransport, worker: Worker) -> None:
    found: dict[str, list[Trial]] = {}
    with bpf_stats.enabled():
        counter = Counter()
        found["bpftrace, kretprobe, a sum for each process"] = measured(counter, worker)
        counter.close()
        for probe in PROBES:
            for via, words in VIAS.items():
                way = Skbnb(agent, {"probe": probe, "via": via})
                found[f"{words}, {probe}"] = measured(way, worker)
    lines = []
    for name, trials in found.items():
        costs = [trial.per_clone for trial in trials]
        lines.append(Line(name, Measure(tuple(costs)), " instructions", 0))
        base = found[f"skbnb, {name.rpartition(', ')[2]}"] if "handbook" in name else []
        if base:
            ratio = [
                ours.per_clone / cost for ours, cost in zip(base, costs, strict=True)
            ]
            lines.append(Line("  skbnb / it", Measure(tuple(ratio)), " x", 2))
    print(table(f"Cost of a clone ({ROUNDS} rounds of {clones_of(TIMES)})", lines))
    for probe in PROBES:
        print(table(f"Of these, skbnb, {probe}", by_program(found[f"skbnb, {probe}"])))
    assert all(trial.ns > 0 for trials in found.values() for trial in trials)
