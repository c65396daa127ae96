# SPDX-License-Identifier: Apache-2.0
"""Detached means gone: no program, map, link or kprobe is left in the kernel."""

from __future__ import annotations

import ctypes
import errno
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from skbnb.transport import AgentTransport
from tests.stock.agents import PROBES, start_agent
from tests.stock.sides import traced

CHECKOUT = Path(__file__).parents[2]
KPROBES = Path("/sys/kernel/debug/kprobes/list")

# Kind, and id or line.
Object = tuple[str, object]

# Of libbpf: give the next id after one.
NEXT_ID = {
    "program": "bpf_prog_get_next_id",
    "map": "bpf_map_get_next_id",
    "link": "bpf_link_get_next_id",
    "btf": "bpf_btf_get_next_id",
}


def in_the_kernel() -> Counter[Object]:
    """Every BPF object and kprobe that there is."""
    lib = ctypes.CDLL("libbpf.so.1", use_errno=True)
    found: Counter[Object] = Counter()
    for kind, function in NEXT_ID.items():
        last = ctypes.c_uint32(0)
        while getattr(lib, function)(last, ctypes.byref(last)) == 0:
            found[kind, last.value] += 1
        assert ctypes.get_errno() == errno.ENOENT
    # One line for each, and those of two tools are alike.
    found.update(("kprobe", line) for line in KPROBES.read_text().splitlines())
    return found


def assert_nothing_but(expected: Counter[Object]) -> None:
    # The kernel frees a moment later.
    deadline = time.monotonic() + 20
    while left := in_the_kernel() - expected:
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


def assert_as_many_as(expected: Counter[Object]) -> None:
    # Not the same ones: before Linux 5.13 an fentry program is loaded anew each time.
    deadline = time.monotonic() + 20
    while numbers(in_the_kernel()) != numbers(expected):
        assert time.monotonic() < deadline, numbers(in_the_kernel() - expected)
        time.sleep(0.1)


def numbers(objects: Counter[Object]) -> Counter[str]:
    """How many there are of each kind."""
    return Counter(kind for kind, _ in objects.elements())


# While a probe is attached, for copies, too. Seven programs and maps are those that all
# probes have.
KPROBES_OF = {"fentry": 0, "kprobe": 7, "tracepoint": 0}


def assert_attached(objects: Counter[Object], probe: str) -> None:
    number = numbers(objects)
    assert number["kprobe"] == KPROBES_OF[probe]
    assert number["program"] >= 7
    assert number["map"] >= 7


def objects_of(pid: int) -> Counter[Object]:
    """The BPF objects that a process has open."""
    kinds = {"prog_id": "program", "map_id": "map", "link_id": "link"}
    found: set[Object] = set()
    for path in Path(f"/proc/{pid}/fdinfo").iterdir():
        for key, value in re.findall(r"^(\w+_id):\s+(\d+)$", path.read_text(), re.M):
            if key in kinds:
                found.add((kinds[key], int(value)))
    return Counter(found)


@pytest.mark.parametrize("probe", PROBES)
def test_a_warm_agent_is_attached_nowhere(
    probe: str, agents: dict[str, AgentTransport]
) -> None:
    with traced({probe: agents[probe]}):
        pass
    warm = in_the_kernel()
    with traced({probe: agents[probe]}):
        attached = in_the_kernel()
        ours = attached - warm | objects_of(agents[probe].pid)
        assert_attached(ours, probe)
    assert_as_many_as(warm)


@pytest.mark.parametrize("probe", PROBES)
def test_nothing_is_left_after_the_agent(
    probe: str, agents: dict[str, AgentTransport]
) -> None:
    # The warm one: it takes long to compile another.
    agent, agents[probe] = agents[probe], start_agent()
    with traced({probe: agent}):
        pass
    warm = in_the_kernel()
    with traced({probe: agent}) as traces:
        attached = in_the_kernel()
        ours = attached - warm | objects_of(agent.pid)
        assert_attached(ours, probe)
        os.kill(agent.pid, signal.SIGKILL)
    assert traces[probe].truncated
    agent.close()
    assert_nothing_but(attached - ours)


@pytest.mark.parametrize("how", ["its end", "its death"])
@pytest.mark.parametrize("probe", PROBES)
def test_nothing_is_left_after_the_notebook(probe: str, how: str) -> None:
    before = in_the_kernel()
    notebook = subprocess.Popen(
        [sys.executable, "-m", "tests.stock.agents", probe],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=CHECKOUT,
    )
    try:
        assert notebook.stdout
        assert notebook.stdout.readline() == "attached\n"
        assert_attached(in_the_kernel() - before, probe)
        if how == "its death":
            notebook.kill()
        notebook.communicate("\n" if how == "its end" else None)
        assert_nothing_but(before)
    finally:
        notebook.kill()
        notebook.communicate()
