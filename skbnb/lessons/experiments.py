# SPDX-License-Identifier: Apache-2.0
"""What is measured again when an answer is checked: known traffic inside a trace."""

from __future__ import annotations

import contextlib
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .. import notebook
from ..errors import LessonError
from . import programs, shelf, stage
from .traffic import GROUP

if TYPE_CHECKING:
    import pandas as pd

    from ..traces import Trace

__all__ = [
    "EXPERIMENTS",
    "Experiment",
    "Measured",
    "live",
    "measure",
    "measure_twice",
    "own",
]

Traffic = Callable[[], None]


class Experiment(NamedTuple):
    """Traffic that can be made again and again.

    Parameters
    ----------
    words
        What happens, as a clause.
    prepared
        Makes all that must be there before the trace, and gives what then sends.
    daddr
        To where packets are its own, too, whatever task their clones interrupted.
    via
        What the kernel gives: one of `config.WAYS`.
    comms
        Names of its own threads, where the kernel gives no more.
    """

    words: str
    prepared: Callable[[], AbstractContextManager[Traffic]]
    daddr: str = ""
    via: str = "ring"
    comms: tuple[str, ...] = ()


@dataclass(frozen=True)
class Measured:
    """An experiment's trace, and what the exercises ask of it.

    Parameters
    ----------
    events
        Its rows, those of the experiment only.
    source
        Where it was measured, in words.
    """

    events: pd.DataFrame
    source: str

    @property
    def about(self) -> dict[str, Any]:
        """What the trace says of itself."""
        about: dict[str, Any] = self.events.attrs["skbnb"]
        return about

    def rows(self, **where: str) -> pd.DataFrame:
        """The clones that have these values in these columns."""
        chosen = self.events
        for column, value in {"kind": "clone", **where}.items():
            chosen = chosen[(chosen[column] == value).to_numpy(np.bool_)]
        return chosen

    def count(self, **where: str) -> int:
        """How many these are."""
        return len(self.rows(**where))

    @property
    def others(self) -> int:
        """How many were not made because TCP sent something."""
        return self.count() - self.count(reason="tcp-transmit")

    @property
    def sent(self) -> int:
        """How many packets were handed to a device."""
        return int(self.about["sent"] or 0)


def measure(name: str, probe: str = "") -> Measured:
    """Make an experiment again; or take it from a recording, where the lesson does.

    Parameters
    ----------
    name
        Which of `EXPERIMENTS`.
    probe
        By which probe; empty for the best, or for that of the recording.
    """
    lesson = stage.current() or stage.begin(stage.LESSONS[0])
    if lesson.recording:
        recording = lesson.recording.by(probe)
        trace = recording.trace(shelf.EXPERIMENTS, name)
        return Measured(own(name, trace), stage.recorded(recording))
    trace = live(name, probe=probe or "auto")
    events = own(name, trace)
    return Measured(events, stage.measured(events.attrs["skbnb"]["probe"]))


def measure_twice(traffic: Traffic) -> tuple[Measured, Measured]:
    """Trace someone's own traffic twice.

    On recordings nothing is run: the two are those that the lesson shows.
    """
    lesson = stage.current() or stage.begin(stage.LESSONS[-1])
    if lesson.recording:
        source = f"{stage.recorded(lesson.recording)}: your function was not run"
        names = ("first", "second")
        traces = [lesson.recording.trace(stage.LESSONS[-1], name) for name in names]
    else:
        source = ""
        traces = [_traced(traffic) for _ in range(2)]
    first, second = (
        Measured(
            trace.events, source or stage.measured(trace.events.attrs["skbnb"]["probe"])
        )
        for trace in traces
    )
    return first, second


def _traced(traffic: Traffic) -> Trace:
    with notebook.trace() as trace:
        traffic()
    return trace


def own(name: str, trace: Trace) -> pd.DataFrame:
    """The rows of a trace that an experiment made."""
    experiment = EXPERIMENTS[name]
    if experiment.daddr:
        events = trace.select("all")
        mine = (events["scope"] == "cell") | (events["daddr"] == experiment.daddr)
    elif experiment.comms:
        events = trace.events
        mine = events["comm"].isin(experiment.comms)
    else:
        return trace.events
    return events[mine.to_numpy(np.bool_)].reset_index(drop=True)


def live(name: str, **options: Any) -> Trace:
    """Make an experiment on the running kernel; options as for `skbnb.trace`."""
    experiment = EXPERIMENTS[name]
    with (
        experiment.prepared() as traffic,
        notebook.trace(via=experiment.via, **options) as trace,
    ):
        traffic()
    return trace


# ------------------------------------------------------------------ the traffic


@contextlib.contextmanager
def _fetching(*sizes: int, sniffers: int = 0) -> Iterator[Traffic]:
    """One curl that fetches pages of these sizes."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(programs.serve())
        for _ in range(sniffers):
            stack.enter_context(programs.Program("sniffer", root=True))
        urls = [server.page(size) for size in sizes]

        def traffic() -> None:
            curl(*urls)
            server.settle()

        yield traffic


@contextlib.contextmanager
def _refused() -> Iterator[Traffic]:
    """A curl that asks in vain, at a port that is kept from all others."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}/"
        yield partial(curl, url, status=_REFUSED)


_REFUSED = 7  # curl's exit status: failed to connect


def curl(*urls: str, status: int = 0) -> None:
    """Fetch pages over one connection, and past any proxy; must end with `status`."""
    outputs = [word for url in urls for word in ("-o", "/dev/null", url)]
    command = ["curl", "--silent", "--noproxy", "*", *outputs]
    try:
        done = subprocess.run(command, check=False)
    except FileNotFoundError:
        raise LessonError("there is no curl here", "Install curl.") from None
    if done.returncode != status:
        raise LessonError(f"curl failed, with status {done.returncode}", "Try again.")


@contextlib.contextmanager
def _fetching_apart() -> Iterator[Traffic]:
    """Two curls, one after the other."""
    with programs.serve() as server:

        def traffic() -> None:
            for _ in range(2):
                curl(server.url)
                server.settle()

        yield traffic


@contextlib.contextmanager
def _browsing(threads: int) -> Iterator[Traffic]:
    """One process, several threads, each of which fetches a page."""
    with programs.serve() as server:

        def traffic() -> None:
            programs.run("browser", server.port, threads)
            server.settle()

        yield traffic


def _running(name: str, *arguments: object) -> AbstractContextManager[Traffic]:
    return contextlib.nullcontext(lambda: print(programs.run(name, *arguments), end=""))


EXPERIMENTS = {
    "fetch": Experiment(
        "curl fetches a page of 10,000 bytes", partial(_fetching, 10_000)
    ),
    "fetch-two": Experiment(
        "curl fetches two pages of 10,000 bytes, over one connection",
        partial(_fetching, 10_000, 10_000),
    ),
    "fetch-big": Experiment(
        "curl fetches a page of 3,000,000 bytes", partial(_fetching, 3_000_000)
    ),
    "fetch-sniffed-twice": Experiment(
        "curl fetches a page of 10,000 bytes while two sniffers listen on lo",
        partial(_fetching, 10_000, sniffers=2),
    ),
    "refused": Experiment(
        "curl asks for a page at a port where nobody listens", _refused
    ),
    "fetch-apart": Experiment(
        "curl fetches a page of 10,000 bytes, and another curl does so again",
        _fetching_apart,
        via="perf",
        comms=("curl", "web-server"),
    ),
    "browse": Experiment(
        "a program fetches a page in each of 5 threads",
        partial(_browsing, 5),
        via="perf",
        comms=("browser",),
    ),
    "race": Experiment(
        "two processes send 1,000 datagrams each, at the same moments",
        partial(_running, "racers", 1000),
        via="count",
        comms=("racer-0", "racer-1"),
    ),
    "udp": Experiment(
        "a program sends 10 datagrams to itself", partial(_running, "udp-pair", 10)
    ),
    "multicast": Experiment(
        "a program sends 5 datagrams to a group that 4 of its sockets have joined",
        partial(_running, "multicast", 4, 5),
        daddr=GROUP,
    ),
}
"""What can be measured, by name."""
