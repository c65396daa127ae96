# SPDX-License-Identifier: Apache-2.0
"""Three probes and a counter that is not ours see the same calls, and the same in each.

All of them are attached at once, so that they see the very same calls; in this they
also prove that they do not disturb each other.
"""

from __future__ import annotations

import functools
import itertools
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from skbnb.traces import Trace
from skbnb.transport import AgentTransport
from tests.live.bpftrace import Bpftrace
from tests.live.traffic import apart
from tests.stock.agents import PROBES
from tests.stock.hits import TRIES, Hits, assert_accounted
from tests.stock.networks import (
    address,
    fetch,
    introduce,
    run,
    send_all_twice,
    send_in_vain,
    wire,
)
from tests.stock.sides import (
    Difference,
    Said,
    calls,
    differences,
    known_to_one,
    said,
    traced,
)
from tests.stock.workloads import WORKLOADS, Workload

Agents = dict[str, AgentTransport]
Clones = Bpftrace[tuple[int, bool]]

# What a sighting says of a slab clone.
OF_THE_PACKET = {
    *("len", "ethertype", "protocol", "family"),
    *("saddr", "sport", "daddr", "dport"),
}

# Where the clone, or the copy, is no half of a pair.
SINGLE = ("slab", None)

# The probes are detached one after another: only the last may see a clone's end.
LATER = set(itertools.product(("fate", "drop_reason"), ("fast", "slab", None)))

# What it knows of the task is of the one that queues the packet.
OF_THE_TASK = {"comm", "pid", "tid", "uid", "cpu", "scope", "context"}


def undisturbed(agents: Agents, traffic: Callable[[], object]) -> dict[str, Trace]:
    """Trace what does `traffic` until no call interrupted a probe at work."""
    for _ in range(TRIES):
        with traced(agents) as traces:
            traffic()
        about = [trace.events.attrs["skbnb"] for trace in traces.values()]
        if not any(one["missed"] or one["copies_missed"] for one in about):
            break
    return traces


@pytest.mark.parametrize("probe", PROBES)
def test_the_probe_attaches(probe: str, agents: Agents) -> None:
    # By itself, and first, because this compiles it.
    with traced({probe: agents[probe]}) as traces:
        fetch(1, "127.0.0.1")
    assert_complete(traces[probe])
    assert set(traces[probe].events["caller"]) == {"__tcp_transmit_skb"}


def attempt(
    workload: Workload, agents: Agents, counter: Clones, hits: Hits
) -> tuple[dict[str, Trace], Counter[tuple[int, bool]], int]:
    """Trace a workload by all probes, each of which accounts for every call.

    Gives the traces, what the counter saw, and how many calls there were.
    """
    with workload.prepare() as traffic:
        before, hit_before = counter.when_silent(), hits.total()
        with traced(agents) as traces:
            traffic()
            counter.when_silent()
        counted, made = counter.counts() - before, hits.total() - hit_before
    for trace in traces.values():
        assert_accounted(trace, made)
    return traces, counted, made


def assert_complete(trace: Trace) -> None:
    about = trace.events.attrs["skbnb"]
    assert not trace.truncated
    assert about["captured"] == about["emitted"] == about["calls"] > 0
    never = ("lost", "unaccounted", "sightings_lost", "tasks_lost", "missed")
    assert {name: about[name] for name in never} == dict.fromkeys(never, 0)


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.name)
def test_agreement(
    workload: Workload, agents: Agents, counter: Clones, hits: Hits
) -> None:
    for _ in range(TRIES):
        traces, counted, made = attempt(workload, agents, counter, hits)
        seen = [calls(trace.events) for trace in traces.values()]
        if counted.total() == made and all(one == counted for one in seen):
            break
    assert seen == [counted] * len(traces)
    assert made == counted.total() >= workload.clones
    assert made == workload.clones or not workload.exact
    for trace in traces.values():
        assert_complete(trace)
        # Also of a module that was loaded after the probe.
        callers = trace.events["caller"].dropna()
        assert callers.str.startswith(workload.caller).any() or hidden()
        assert not callers.str.contains("trampoline").any()
    of = {probe: said(trace.events) for probe, trace in traces.items()}
    for left, right in itertools.combinations(PROBES, 2):
        assert of[left].keys() == of[right].keys()
        differ = disagreements(of[left], of[right], agents)
        assert [one for one in differ if not says_less(one, right)] == []
    assert known_to_one(of["fentry"], of["kprobe"]) <= hidden() | LATER
    unknown = {"parent"} if workload.sighted else {"parent", *OF_THE_PACKET}
    assert (
        known_to_one(of["kprobe"], of["tracepoint"])
        <= {(column, path) for column in unknown for path in SINGLE} | hidden() | LATER
    )


def test_copies(agents: Agents) -> None:
    with wire() as hosts:
        introduce(*hosts)
        send_all_twice(hosts[0])
        traces = undisturbed(agents, lambda: send_in_vain(hosts[0], 5))
    copied = {}
    for probe, trace in traces.items():
        events = trace.events[trace.events["kind"] == "copy"]
        # Told by the stack alone, on which `kprobe` hides who copies.
        unseen = probe == "tracepoint" and hidden()
        number = 0 if unseen else 5
        assert len(events) == trace.events.attrs["skbnb"]["copies"] == number
        assert set(events["reason"].dropna()) <= {"tee"}
        copied[probe] = said(events)
    assert_same(copied["fentry"], copied["kprobe"], agents)
    if not hidden():
        assert copied["kprobe"].keys() == copied["tracepoint"].keys()
        assert disagreements(copied["kprobe"], copied["tracepoint"], agents) == []


def disagreements(left: Said, right: Said, agents: Agents) -> list[Difference]:
    """Differences, but for whose the tracing itself is, where a packet interrupts it.

    An agent is a child of the cell's to the others, and not to itself; and of the
    threads that this process has some were there before one trace and not another.
    """
    tracing = {os.getpid(), *(agent.pid for agent in agents.values())}
    return [
        one
        for one in differences(left, right)
        if not (one.column == "scope" and left[one.call]["pid"] in tracing)
    ]


def says_less(one: Difference, probe: str) -> bool:
    """Whether this probe says that a clone ended where the other says how.

    Since Linux 6.18 `tracepoint` does not say how those ended that UDP received.
    """
    return (one.column, one.right, probe) == ("fate", "freed", "tracepoint")


@functools.cache
def hidden() -> set[tuple[str, object]]:
    """What the counter's own kretprobe hides where the unwinder cannot see through it.

    It can since Linux 5.15, which gave the trampoline another name.
    """
    symbols = Path("/proc/kallsyms").read_text()
    hides = " kretprobe_trampoline\n" in symbols
    columns = ("caller", "reason", "context", "stack")
    paths = ("fast", "slab", None)
    return set(itertools.product(columns, paths)) if hides else set()


def assert_same(left: Said, right: Said, agents: Agents) -> None:
    assert left.keys() == right.keys()
    assert disagreements(left, right, agents) == []
    assert known_to_one(left, right) <= hidden() | LATER


# ------------------------------------------- where `tracepoint` cannot agree


def test_tracepoint_knows_no_parent_of_a_slab_clone(agents: Agents) -> None:
    traces = undisturbed(agents, lambda: apart("multicast", 4, 5))
    for probe, trace in traces.items():
        assert set(trace.events["path"]) == {"slab"}
        assert set(trace.events["parent"].isna()) == {probe == "tracepoint"}


def test_tracepoint_takes_who_queues_a_packet_for_who_sent_it(agents: Agents) -> None:
    # The SYN is cloned by curl, and then waits for its neighbour's answer. Its sender
    # sleeps when that comes, and someone else sends it.
    with wire() as (client, server):
        server.tc("qdisc add dev eth0 root netem delay 100ms")

        def fetch_of_a_stranger() -> None:
            client.run("ip neigh flush dev eth0")
            fetch(1, address(2), client, server)

        traces = undisturbed(agents, fetch_of_a_stranger)
    of = {probe: said(trace.events) for probe, trace in traces.items()}
    assert_same(of["fentry"], of["kprobe"], agents)
    assert of["kprobe"].keys() == of["tracepoint"].keys()
    differ = disagreements(of["kprobe"], of["tracepoint"], agents)
    assert "pid" in {one.column for one in differ} <= OF_THE_TASK
    (call,) = {one.call for one in differ}
    assert of["kprobe"][call]["tcp_flags"] == "SYN"
    assert of["kprobe"][call]["comm"] == "curl"


def test_tracepoint_misses_fast_clones_of_tipc(agents: Agents) -> None:
    # TIPC clones what it looks for neighbours with, at once and every second.
    # A guest's modules are in its first process's root, and not in a test's.
    run("chroot /proc/1/root modprobe tipc")
    with wire() as (host, _):

        def look_for_neighbours() -> None:
            host.run("tipc bearer enable media eth device eth0")
            host.run("tipc bearer disable media eth device eth0")

        traces = undisturbed(agents, look_for_neighbours)
    of = {probe: said(trace.events) for probe, trace in traces.items()}
    assert_same(of["fentry"], of["kprobe"], agents)
    assert of["tracepoint"].keys() < of["kprobe"].keys()
    for call in of["kprobe"].keys() - of["tracepoint"].keys():
        assert of["kprobe"][call]["path"] == "fast"
        assert str(of["kprobe"][call]["caller"]).startswith("tipc_")
    assert "TIPC" in traces["tracepoint"].events.attrs["skbnb"]["coverage"]
