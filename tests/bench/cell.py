# SPDX-License-Identifier: Apache-2.0
"""What ``%%skbclone`` adds to the time of an empty cell, in a real notebook kernel."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator
from unittest.mock import patch

from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

import skbnb
from notebooks.run import jupyter_environment
from tests.bench.measures import Line, Measure

EMPTY = "pass"
QUIET = "%%skbclone -q\npass"
SHOWN = "%%skbclone\npass"


@contextlib.contextmanager
def kernel() -> Iterator[BlockingKernelClient]:
    """A fresh notebook kernel, which has run one cell."""
    with contextlib.ExitStack() as stack:
        private = stack.enter_context(tempfile.TemporaryDirectory(prefix="skbnb-"))
        stack.enter_context(patch.dict(os.environ, jupyter_environment(private)))
        manager = KernelManager(
            kernel_name="python3", transport="ipc", ip=f"{private}/kernel"
        )
        manager.start_kernel()
        stack.callback(manager.shutdown_kernel)
        client = manager.client()
        client.start_channels()
        stack.callback(client.stop_channels)
        client.wait_for_ready(timeout=60)
        seconds_of(client, EMPTY)
        yield client


def seconds_of(client: BlockingKernelClient, cell: str) -> float:
    """How long a cell takes, from its request to the kernel's rest."""
    began = time.perf_counter()
    reply = client.execute_interactive(
        cell, timeout=60, output_hook=lambda message: None
    )
    took = time.perf_counter() - began
    assert reply["content"]["status"] == "ok", reply["content"]
    return took


def added(client: BlockingKernelClient, cell: str, rounds: int) -> Measure:
    """What a cell takes beyond an empty one: alternating, and each way round."""
    seconds_of(client, cell)
    differences = []
    for number in range(rounds):
        order = (EMPTY, cell) if number % 2 else (cell, EMPTY)
        took = {text: seconds_of(client, text) for text in order}
        differences.append(took[cell] - took[EMPTY])
    return Measure(tuple(differences))


def cold(times: int) -> Measure:
    """The first cell of a kernel, right after ``%load_ext``, beyond an empty one."""
    differences = []
    for _ in range(times):
        with kernel() as client:
            empty = seconds_of(client, EMPTY)
            seconds_of(client, "%load_ext skbnb")
            differences.append(seconds_of(client, QUIET) - empty)
    return Measure(tuple(differences))


def begin_and_end(rounds: int) -> tuple[Measure, Measure]:
    """The two parts of an empty trace, in this process."""
    begins, ends = [], []
    for _ in range(rounds + 1):
        tracing = skbnb.trace()
        times = [time.perf_counter()]
        tracing.begin()
        times.append(time.perf_counter())
        tracing.end()
        times.append(time.perf_counter())
        begins.append(times[1] - times[0])
        ends.append(times[2] - times[1])
        # Attaching right after a detach would wait for the kernel to be done with that
        # (an RCU grace period), which no one's next cell does.
        time.sleep(0.1)
    # The first one starts the agent.
    return Measure(tuple(begins[1:])), Measure(tuple(ends[1:]))


def run(rounds: int, cold_times: int, *, judged: bool) -> list[Line]:
    """Measure everything; what the table says, with verdicts if it is `judged`."""
    first = cold(cold_times)
    with kernel() as client:
        seconds_of(client, "%load_ext skbnb")
        quiet = added(client, QUIET, rounds)
        shown = added(client, SHOWN, rounds)
    begin, end = begin_and_end(rounds)
    goals = (1.0, 0.03) if judged else (None, None)
    return [
        Line(f"first cell after %load_ext, quiet ({cold_times} kernels)", first,
             " ms", 0, 1e3, goals[0]),
        Line(f"later cells, quiet ({rounds})", quiet, " ms", 1, 1e3, goals[1]),
        Line(f"later cells, shown ({rounds})", shown, " ms", 1, 1e3),
        Line("of these, from start to attached", begin, " ms", 1, 1e3),
        Line("of these, from stop to the last frame", end, " ms", 1, 1e3),
    ]  # fmt: skip
