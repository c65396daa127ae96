# SPDX-License-Identifier: Apache-2.0
"""Much at once, and the world changing under it: counts stay right, nothing is left."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pandas as pd
import pytest

import skbnb
from skbnb.transport import AgentTransport
from tests.ledger import Fault
from tests.live import machines, traffic
from tests.live.leftovers import Watch
from tests.live.machines import PYTHON, USERS
from tests.live.test_places import number_of
from tests.stock.networks import Namespace

PROCESSES = 20_000
SOCKETS, OWNERS = 10_000, 4
NETWORKS, EACH = 20, 10

TRAFFIC = [sys.executable, traffic.__file__]


@pytest.fixture
def agent(watch: Watch) -> Iterator[AgentTransport]:
    """One that ends before it is looked for what it left."""
    agent = AgentTransport()
    yield agent
    agent.close()


def stamps(events: pd.DataFrame) -> pd.DataFrame:
    """Clones for transmit timestamps: what this file's traffic makes."""
    return events[events["caller"] == "__skb_tstamp_tx"]


def words(events: pd.DataFrame) -> pd.DataFrame:
    """Clones of TCP's data, of which each was sent once."""
    return events[events["detail"] == "data"]


@pytest.fixture
def storm(tmp_path: Path) -> Path:
    """The program of storm.c."""
    source, binary = Path(__file__).with_name("storm.c"), tmp_path / "storm"
    subprocess.run(["cc", "-O1", "-Wall", "-o", binary, source], check=True)
    return binary


def test_twenty_thousand_processes(
    agent: AgentTransport, storm: Path, watch: Watch, fault: Fault
) -> None:
    with skbnb.trace(transport=agent) as trace:
        watch.look()
        done = subprocess.run([storm, str(PROCESSES)], stdout=subprocess.PIPE)
    assert int(done.stdout) == PROCESSES
    everything = stamps(trace.select("all"))
    mine = everything[everything["comm"] == "storm"]
    about = trace.events.attrs["skbnb"]
    # Each has its own clone, and each process was followed to it.
    assert len(mine) + about["lost"] >= PROCESSES
    assert len(mine) <= PROCESSES
    assert about["tasks_lost"] == 0
    assert set(mine["scope"]) == {"cell"}
    assert about["lost"] == 0
    assert len(stamps(trace.events)) == len(mine)
    fault(
        f"{PROCESSES:,} processes in one cell, up to 250 at a time, one clone each",
        f"nothing: {len(mine):,} clones, all the cell's; no process was missed",
    )


def test_ten_thousand_sockets(
    agent: AgentTransport, watch: Watch, fault: Fault
) -> None:
    command = [*TRAFFIC, "many_sockets", str(SOCKETS // OWNERS)]
    with skbnb.trace(transport=agent) as trace:
        watch.look()
        owners = [
            subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            for _ in range(OWNERS)
        ]
        printed = [owner.communicate()[0] for owner in owners]
    expected = {
        (owner.pid, *map(int, line.split()))
        for owner, lines in zip(owners, printed, strict=True)
        for line in lines.splitlines()
    }
    assert len(expected) == SOCKETS
    assert trace.events.attrs["skbnb"]["lost"] == 0
    events = words(trace.events)
    assert set(events["saddr"]) == set(events["daddr"]) == {"127.0.0.1"}
    assert set(events["owner_comm"]) == {Path(sys.executable).name}
    columns = ["owner_pid", "sk_inode", "sport", "dport"]
    found = list(events[columns].itertuples(index=False, name=None))
    assert len(found) == SOCKETS
    assert set(found) == expected
    fault(
        f"{SOCKETS:,} sockets of {OWNERS} processes in one cell, one clone each",
        "nothing: each clone has its socket's owner, inode, address and ports",
    )


def test_networks_destroyed_in_the_middle(
    agent: AgentTransport, watch: Watch, fault: Fault
) -> None:
    hosts = [Namespace() for _ in range(NETWORKS)]
    named = {number_of(host): host.name for host in hosts}
    with skbnb.trace(transport=agent) as trace, ExitStack() as stack:
        watch.look()
        senders = [
            stack.enter_context(
                subprocess.Popen(
                    host.command(*TRAFFIC, "talk_twice", str(EACH)),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                )
            )
            for host in hosts
        ]
        for sender, host in zip(senders, hosts, strict=True):
            assert sender.stdout
            assert sender.stdout.readline() == b"half\n"
            host.delete()
        # Each lives on without a name until its last process ends.
        for sender in senders:
            sender.communicate(b"\n\n")
            assert sender.returncode == 0
    events = words(trace.events)
    found = events.groupby(["netns", "netns_name"], observed=True).size()
    assert found.to_dict() == dict.fromkeys(named.items(), 2 * EACH)
    assert trace.events.attrs["skbnb"]["lost"] == 0
    fault(
        f"{NETWORKS} network namespaces destroyed while {EACH} of the "
        f"{2 * EACH} clones in each were still to come",
        f"nothing: {2 * NETWORKS * EACH} clones, each with its namespace's name",
    )


SCRIPT = """
import subprocess, sys, skbnb
with skbnb.trace() as trace:
    print("tracing", flush=True)
    input()
    subprocess.run([sys.executable, "tests/live/traffic.py", "timestamping", "50"],
                   check=True)
    print("sent", flush=True)
    input()
mine = trace.events
print((mine["caller"] == "__skb_tstamp_tx").sum(), mine.attrs["skbnb"]["lost"])
"""


def test_two_users_at_once(watch: Watch, fault: Fault) -> None:
    with machines.machine() as machine:
        done = machine.skbnb("install-agent", "--sudoers", "tracers")
        assert done.returncode == 0, done.stderr
        notebooks = [
            subprocess.Popen(
                machine.command(PYTHON, "-c", SCRIPT, user=user),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for user in USERS
        ]
        # Both trace while both send.
        for said in ("tracing\n", "sent\n"):
            for notebook in notebooks:
                assert notebook.stdout
                assert notebook.stdout.readline() == said
            watch.look()
            for notebook in notebooks:
                assert notebook.stdin
                notebook.stdin.write("\n")
                notebook.stdin.flush()
        for notebook in notebooks:
            printed, _ = notebook.communicate()
            assert printed == "50 0\n"
            assert notebook.returncode == 0
    fault(
        "Two users trace at once, each with 50 clones in their cell",
        "nothing: each has their own 50",
    )
