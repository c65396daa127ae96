# SPDX-License-Identifier: Apache-2.0
"""How time and memory grow with a trace, beside a straight line.

Run as a script, with numbers of calls, processes and sockets, it is the process that is
measured: each line that it writes is a step, its seconds, and the memory that it added
at most, in bytes. With a recording instead, it goes through that one from disk.
"""

from __future__ import annotations

import math
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import skbnb
from skbnb.traces import Selection, Trace
from tests import large
from tests.bench import capture, long
from tests.bench.helper import CHECKOUT
from tests.bench.measures import Line, Measure
from tests.bench.picture import draw

PICTURE = CHECKOUT / "docs" / "static" / "growth.svg"

# Records a second, which every step of the way keeps up with.
_RATE = 500_000

# What grows, with what does not: calls, processes and sockets.
_CALLS, _PROCESSES, _SOCKETS = 300_000, 400, 5_000


class Size(NamedTuple):
    """How far it is measured.

    Parameters
    ----------
    captured, calls, processes, sockets
        The numbers that there are of each.
    recorded
        Calls of recordings on disk.
    """

    captured: tuple[int, ...]
    calls: tuple[int, ...]
    processes: tuple[int, ...]
    sockets: tuple[int, ...]
    recorded: tuple[int, ...]


def powers(first: int, last: int) -> tuple[int, ...]:
    """Powers of ten, from one exponent to another."""
    return tuple(10**n for n in range(first, last + 1))


FULL = Size(powers(3, 7), powers(3, 7), powers(0, 4), powers(0, 5), powers(5, 6))
# Some 40 GB on disk, and minutes to write them.
WHOLE = FULL._replace(recorded=powers(5, 8))
QUICK = Size(powers(3, 4), powers(3, 4), (1, 100), (1, 100), (10**4,))


class Point(NamedTuple):
    """A step at one size."""

    size: int
    seconds: float
    memory: float
    """Bytes that it added at most."""


Curves = dict[str, list[Point]]


def run(size: Size) -> Curves:
    """Measure everything: what grows with what -> how it grew."""
    curves: Curves = {"capture, by calls": _captured(size.captured)}
    for by, numbers in (
        ("calls", size.calls),
        ("processes", size.processes),
        ("sockets", size.sockets),
    ):
        for number in numbers:
            shape = {"calls": _CALLS, "processes": _PROCESSES, "sockets": _SOCKETS}
            shape[by] = number
            for step, point in _steps(number, *map(str, shape.values())):
                curves.setdefault(f"{step}, by {by}", []).append(point)
    for number in size.recorded:
        for step, point in _from_disk(number):
            curves.setdefault(f"{step}, by calls", []).append(point)
    return curves


def _steps(number: int, *arguments: str) -> Iterator[tuple[str, Point]]:
    done = subprocess.run(
        [sys.executable, "-m", __name__, *arguments],
        check=True,
        capture_output=True,
        text=True,
        cwd=CHECKOUT,
    )
    for line in done.stdout.splitlines():
        step, seconds, memory = line.rsplit(" ", 2)
        yield step, Point(number, float(seconds), float(memory))


def _from_disk(calls: int) -> Iterator[tuple[str, Point]]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.skbt"
        long.write(calls, path)
        yield from _steps(calls, str(path))


def _captured(numbers: Sequence[int]) -> list[Point]:
    """Processor time of the agent and of this process, for so many calls."""
    with capture.all_ways(("skbnb",)) as ways:
        return [_capture(ways["skbnb"], number) for number in numbers]


def _capture(runner: capture.Runner, number: int) -> Point:
    way = runner.way
    assert isinstance(way, capture.Skbnb)
    trial = runner.capture(_RATE, number / _RATE)
    assert not trial.lost
    spent = trial.processors["the agent"] + trial.processors["the notebook"]
    return Point(trial.events, spent, way.size)


# ------------------------------------------------------------------ what is measured


def main(*arguments: str) -> None:
    """Do each step, and say what it took."""
    if len(arguments) == 1:
        _measure_recording(arguments[0])
    else:
        _measure(*map(int, arguments))


def _measure(calls: int, processes: int, sockets: int) -> None:
    shape = large.Machine(processes=processes, conversations=sockets)
    frames = list(large.frames(calls, shape))
    # What only the first call of a library costs.
    _figures(Trace(large.frames(10, shape), selection=Selection("all")).events)
    df = told("DataFrame", lambda: Trace(frames, selection=Selection("all")).events)
    told("figures", lambda: _figures(df))


def _figures(df: Any) -> None:
    for name in ("processes", "reasons", "timeline"):
        getattr(df.skb.plot, name)()._repr_mimebundle_()


def _measure_recording(path: str) -> None:
    trace = told("load", lambda: skbnb.load(path).replace(Selection("all")))
    told("a second of it", lambda: trace.between(30, 31))


def told(name: str, step: Callable[[], Any]) -> Any:
    """Do one of them."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak is this step's
    before = _memory("VmRSS")
    began = time.perf_counter()
    made = step()
    seconds = time.perf_counter() - began
    print(name, f"{seconds:.6f}", _memory("VmHWM") - before, flush=True)
    return made


def _memory(which: str) -> int:
    found = re.search(rf"{which}:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) * 1024


# ------------------------------------------------------------------ what is told


def exponent(points: Sequence[Point]) -> float:
    """How the time grows at the end: 1 is a straight line, 0 not at all."""
    first, last = points[-2:]
    return math.log(last.seconds / first.seconds) / math.log(last.size / first.size)


def lines(curves: Curves) -> list[Line]:
    """The lines of the table: the largest of each, and how it grew."""
    found = []
    for name, points in curves.items():
        last = points[-1]
        what = f"{name}: {last.size:,}"
        found += [
            Line(what, Measure((last.seconds,)), " s", 3),
            Line("  memory", Measure((last.memory,)), " MB", 1, 1e-6),
        ]
        if len(points) > 1:
            text = "  grows in its last step as the power"
            found.append(Line(text, Measure((exponent(points),)), "", 2))
    return found


def picture(curves: Curves) -> str:
    """A static SVG of them all: time by each that grows, and memory by calls."""

    def panel(by: str, of: Callable[[Point], float]) -> dict[str, list[Any]]:
        return {
            name.partition(",")[0]: [(one.size, max(of(one), 1e-6)) for one in points]
            for name, points in curves.items()
            if name.endswith(f"by {by}") and len(points) > 1
        }

    return draw(
        {
            "Seconds, by calls": panel("calls", lambda one: one.seconds),
            "Bytes, by calls": panel("calls", lambda one: max(one.memory, 1)),
            "Seconds, by processes": panel("processes", lambda one: one.seconds),
            "Seconds, by sockets": panel("sockets", lambda one: one.seconds),
        }
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
