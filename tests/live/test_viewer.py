# SPDX-License-Identifier: Apache-2.0
"""An ordinary user sees in full what is theirs, and of others that there was something.

What the agent gives is looked at byte by byte: a notebook could leave anything out.
"""

from __future__ import annotations

import itertools
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

import skbnb
from skbnb.views import receipt
from tests.live import machines
from tests.live.machines import PYTHON, USERS, Machine
from tests.live.traffic import Server

# The name and the packets of another user's process.
NAME, TEXT, COUNT = "secretive", "TOP-SECRET", 17

TRAFFIC = "tests/live/traffic.py"


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    """One with an agent and a rule for a group that both users are in."""
    with machines.machine() as made:
        done = made.skbnb("install-agent", "--sudoers", "tracers")
        assert done.returncode == 0, done.stderr
        yield made
        made.run("rm", "-f", "/etc/skbnb.toml")


@pytest.fixture
def settings(machine: Machine) -> Iterator[None]:
    """They are gone afterwards."""
    yield
    machine.run("rm", "-f", "/etc/skbnb.toml")


_numbers = itertools.count()


class Traced:
    """What a user's trace of the whole machine has, while both users send."""

    def __init__(self, machine: Machine, folder: Path, *options: str) -> None:
        path = f"/opt/home/plain/{next(_numbers)}.skbt"
        others = machine.command(
            PYTHON, TRAFFIC, "timestamping_as", NAME, str(COUNT), TEXT, user="second"
        )
        code = (
            "import sys, subprocess, tests.live.traffic as t\n"
            "print('ready', flush=True); sys.stdin.readline()\n"
            "t.timestamping(5, 'MINE-ALONE')\n"
        )
        tracing = subprocess.Popen(
            machine.command(
                *(PYTHON, "-m", "skbnb", "run", "--scope", "all", *options),
                *("-o", path, "--", PYTHON, "-c", code),
                user="plain",
            ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert tracing.stdout
        assert tracing.stdout.readline() == "ready\n", tracing.communicate()
        assert subprocess.run(others).returncode == 0
        _, self.said = tracing.communicate("go\n")
        assert tracing.returncode == 0, self.said
        copy = folder / "trace.skbt"
        whole = subprocess.run(machine.command("cat", path), stdout=subprocess.PIPE)
        copy.write_bytes(whole.stdout)
        self.bytes = whole.stdout
        self.trace = skbnb.load(copy)

    @property
    def events(self) -> pd.DataFrame:
        return self.trace.select("all")

    @property
    def mine(self) -> pd.DataFrame:
        return self.events[self.events["uid"] == USERS["plain"]]

    @property
    def others(self) -> pd.DataFrame:
        return self.events[self.events["pid"] == 0]


EVERYTHING = ("--snaplen", "64", "--stacks", "--follow", "--also", "copy")


def test_others_are_counted_and_not_named(machine: Machine, tmp_path: Path) -> None:
    found = Traced(machine, tmp_path, *EVERYTHING)
    mine, others = found.mine, found.others
    assert len(mine) == 5
    assert len(others) >= COUNT
    assert len(mine) + len(others) == len(found.events)
    # Of mine all is there.
    assert mine["daddr"].tolist() == ["127.0.0.1"] * 5
    assert (mine["owner_pid"] == mine["pid"]).all()
    assert (mine["captured"] > 0).all()
    assert b"MINE-ALONE" in found.bytes
    # And of others who and what in no form.
    assert set(others["comm"]) == {"other"}
    assert set(others["uid"]) == {0xFFFFFFFF}
    assert (others["tid"] == 0).all()
    hidden = ["saddr", "daddr", "sport", "dport", "len", "dev", "netns", "sk", "family"]
    hidden += ["owner_pid", "owner_comm", "sk_inode", "sk_cookie", "tcp_flags", "seq"]
    hidden += ["captured", "ethertype", "protocol", "ifindex", "cgroup", "payload"]
    assert others[hidden].isna().all().all()
    for text in (NAME, TEXT, NAME[:8]):
        assert text.encode() not in found.bytes
    # But that there was something, and why.
    assert (others["reason"] == "tx-timestamp").sum() >= COUNT
    about = found.events.attrs["skbnb"]
    assert about["sees"] == "own"
    assert about["calls"] == about["captured"] + about["lost"]
    told = f"you see your own in full, and {len(others):,} only as other"
    assert told in receipt(found.events)
    assert told in found.said


def test_the_kernels_addresses_are_not_told(machine: Machine, tmp_path: Path) -> None:
    found = Traced(machine, tmp_path, "--stacks")
    (symbols,) = (f.json for f in found.trace.frames if f.kind.name == "SYMBOLS")
    told = {name: int(address, 16) for address, name in symbols["functions"].items()}
    real: dict[str, int] = {}
    for line in Path("/proc/kallsyms").read_text().splitlines():
        address, _, name = line.split()[:3]
        real.setdefault(name, int(address, 16))
    # Shifted by the same number that nobody knows, and so still of use.
    shifts = {told[name] - real[name] >> 16 for name in told if name in real}
    assert len(shifts) <= 3
    assert 0 not in shifts
    # Where the kernel keeps its objects: nothing that looks like it is among them.
    starts = {int(value) >> 40 for value in found.mine["sk"].dropna()}
    assert not starts & {value >> 40 for value in root_sockets(machine, tmp_path)}


def root_sockets(machine: Machine, folder: Path) -> list[int]:
    with skbnb.trace(scope="all") as trace:
        done = machine.run(PYTHON, TRAFFIC, "timestamping", "1")
        assert done.returncode == 0
    return [int(value) for value in trace.events["sk"].dropna()]


def test_the_other_ways(machine: Machine, tmp_path: Path) -> None:
    found = Traced(machine, tmp_path, "--via", "count")
    sums = found.events.groupby("comm", observed=True)["clones"].sum()
    assert sums["other"] >= COUNT
    assert found.events.loc[found.events["pid"] != 0, "clones"].sum() == 5
    assert NAME.encode() not in found.bytes


def test_a_handbooks_second_program(machine: Machine, tmp_path: Path) -> None:
    found = Traced(machine, tmp_path, "--via", "perf")
    events = found.trace.events
    assert (events["pid"] == 0).sum() >= COUNT
    assert (events["pid"] != 0).sum() == 5
    assert NAME.encode() not in found.bytes


def test_the_trace_pipe_is_everyones(machine: Machine) -> None:
    done = machine.skbnb("run", "--via", "trace", "--", "true", user="plain")
    assert done.returncode == 125
    assert "the trace pipe has what everyone's programs print" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.usefixtures("settings")
@pytest.mark.parametrize("who", ["plain", "%tracers"])
def test_an_administrator_may_show_more(
    machine: Machine, tmp_path: Path, who: str
) -> None:
    machine.write("/etc/skbnb.toml", f'see_all = ["nobody", "{who}"]\n')
    found = Traced(machine, tmp_path, "--snaplen", "64")
    theirs = found.events[found.events["comm"] == NAME]
    assert len(theirs) == COUNT
    assert set(theirs["uid"]) == {USERS["second"]}
    assert set(theirs["caller"]) == {"__skb_tstamp_tx"}
    assert set(theirs["owner_comm"]) == {NAME}
    assert TEXT.encode() in found.bytes
    assert found.events.attrs["skbnb"]["sees"] == "all"


UNSAFE = [
    ('see_all = ["plain"]\n', "chown plain", "can be changed by others than root"),
    ('see_all = ["plain"]\n', "chmod o+w", "can be changed by others than root"),
    ('see_all = ["plain"]\n', "chmod g+w", "can be changed by others than root"),
    ("see_all = plain\n", "true", "line 1: see_all is no number"),
    ("\n\nsee = []\n", "true", "line 3: there is no setting 'see'"),
]


@pytest.mark.usefixtures("settings")
@pytest.mark.parametrize(("text", "change", "why"), UNSAFE)
def test_settings_that_are_not_to_be_trusted(
    machine: Machine, text: str, change: str, why: str
) -> None:
    machine.write("/etc/skbnb.toml", text)
    machine.run("sh", "-c", f"{change} /etc/skbnb.toml")
    done = machine.skbnb("run", "--", "true", user="plain")
    assert done.returncode == 125
    assert why in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.usefixtures("settings")
def test_limits(machine: Machine, server: Server) -> None:
    def run(*options: str, user: str = "plain") -> subprocess.CompletedProcess[str]:
        fetch = ("curl", "-s", "-o", "/dev/null", server.url)
        return machine.skbnb("run", *options, "--", *fetch, user=user)

    code = "import skbnb\nwith skbnb.trace(ring_mib=128): print('it ran')"
    refused = machine.run(PYTHON, "-c", code, user="plain")
    assert "ring_mib is 128, and a user may have at most 64 here" in refused.stderr
    assert "it ran" not in refused.stdout
    machine.write("/etc/skbnb.toml", "max_events = 2 # of all users\nmax_seconds=60\n")
    refused = run("--max-seconds", "61")
    assert refused.returncode == 125
    assert "max_seconds is 61.0, and a user may have at most 60" in refused.stderr
    limited = run()
    assert limited.returncode == 0
    assert " lost: limit of 2 events" in limited.stderr
    # None of this is for root.
    assert "limit of" not in run("--max-seconds", "61", user="root").stderr


AGENT = ("sudo", "-n", "--", "/usr/bin/python3", "-I", "/opt/skbnb/agent.pyz")


def test_another_users_notebook(machine: Machine) -> None:
    config = skbnb.config.Config(cell_tid=1, notebook_pid=1)
    request = skbnb.config.start_request(config).decode()
    done = machine.run(*AGENT, user="plain", text=request)
    (error,) = re.findall(r'\{"code".*\}', done.stdout)
    assert json.loads(error)["message"] == "process 1 is not yours"
    assert done.returncode == 1


def test_what_whoever_asks_says_of_himself(machine: Machine, tmp_path: Path) -> None:
    command = ("env", "SUDO_UID=0", "SUDO_USER=root", *AGENT)
    config = skbnb.config.Config(cell_tid=1, notebook_pid=1)
    request = skbnb.config.start_request(config).decode()
    done = machine.run(*command, user="plain", text=request)
    assert "process 1 is not yours" in done.stdout
