# SPDX-License-Identifier: Apache-2.0
"""Where packets were: names of namespaces, control groups, and the containers' ids."""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

import skbnb
from skbnb.traces import Trace
from tests.live import traffic
from tests.live.traffic import Server, curl
from tests.stock.networks import Namespace, fetch, namespaces, run

CHECKOUT = Path(__file__).parents[2]
STAMPS = (sys.executable, traffic.__file__, "timestamping", "5")
# Fetches something over a loopback that is not up yet.
ALONE = (
    *(sys.executable, "-c"),
    "from tests.stock.networks import *; run('ip link set lo up');"
    "fetch(1000, '127.0.0.1')",
)
ID = "0123456789abcdef" * 4

_numbers = itertools.count()


def said(events: pd.DataFrame, *columns: str) -> set[tuple[object, ...]]:
    """What stands in these columns; None for what is absent."""
    values = events[list(columns)].astype(object)
    values = values.where(values.notna(), None)
    return set(values.itertuples(index=False, name=None))


# ------------------------------------------------------------------ namespaces


def fetch_inside(host: Namespace) -> None:
    fetch(1000, "127.0.0.1", client=host, server=host)


def sent_by_tcp(trace: Trace) -> pd.DataFrame:
    events = trace.select("notebook")  # others may send meanwhile
    return events[events["reason"] == "tcp-transmit"]


def numbers_and_names(trace: Trace) -> set[tuple[object, ...]]:
    return said(sent_by_tcp(trace), "netns", "netns_name")


def number_of(host: Namespace) -> int:
    return os.stat(f"/run/netns/{host.name}").st_ino


def test_two_namespaces_have_their_names() -> None:
    with namespaces(2) as hosts:
        with skbnb.trace() as trace:
            for host in hosts:
                fetch_inside(host)
        expected = {(number_of(host), host.name) for host in hosts}
    assert numbers_and_names(trace) == expected


def test_a_namespace_that_ends_in_the_cell_keeps_its_name() -> None:
    host = Namespace()
    number = number_of(host)
    with skbnb.trace() as trace:
        fetch_inside(host)
        host.delete()
    assert numbers_and_names(trace) == {(number, host.name)}


def test_a_namespace_that_begins_in_the_cell_has_its_name() -> None:
    with skbnb.trace() as trace:
        host = Namespace()
        fetch_inside(host)
    expected = {(number_of(host), host.name)}
    host.delete()
    assert numbers_and_names(trace) == expected


def test_a_number_that_had_two_names_has_none() -> None:
    # As when the kernel gives the number of one that has ended to another, which no
    # test can ask it for.
    host = Namespace()
    with skbnb.trace() as trace:
        fetch_inside(host)
        host.rename()
        fetch_inside(host)
    number = number_of(host)
    host.delete()
    assert numbers_and_names(trace) == {(number, None)}


def test_a_namespace_without_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(CHECKOUT))
    with skbnb.trace() as trace:
        traffic.run("unshare", "--net", *ALONE)
    ((number, name),) = numbers_and_names(trace)
    assert number not in (None, os.stat("/proc/self/ns/net").st_ino)
    assert name is None


# ------------------------------------------------------------------ control groups


@pytest.fixture(scope="module")
def groups(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the machine has its control groups of version 2, or the tests theirs."""
    with open("/proc/self/mountinfo") as file:
        fields = [line.split() for line in file]
    mounts = [Path(f[4]) for f in fields if f[f.index("-") + 1] == "cgroup2"]
    if mounts:
        yield mounts[0]
        return
    folder = tmp_path_factory.mktemp("cgroup2")
    run(f"mount -t cgroup2 none {folder}")
    yield folder
    run(f"umount {folder}")


@contextlib.contextmanager
def group(groups: Path, below: str = "") -> Iterator[Path]:
    """Make a control group, and one below it."""
    outer = groups / f"skbnb-{os.getpid()}-{next(_numbers)}"
    inner = outer / below
    inner.mkdir(parents=True)
    try:
        yield inner
    finally:
        for folder in (inner, outer):
            if folder.exists():
                folder.rmdir()


def run_in(folder: Path, *command: str) -> int:
    """Run a command in a control group; give its process id."""
    script = f'echo $$ > "{folder}/cgroup.procs" && exec "$@"'
    process = subprocess.Popen(["sh", "-c", script, "sh", *command])
    assert process.wait() == 0
    return process.pid


def groups_and_containers(trace: Trace, pid: int) -> set[tuple[object, ...]]:
    # Not by their reason, which a kretprobe on skb_clone() hides before Linux 5.15.
    stamps = trace.select("all", pid=pid)
    assert len(stamps) == 5
    return said(stamps, "cgroup", "container")


def path_of(folder: Path, groups: Path) -> str:
    return f"/{folder.relative_to(groups)}"


def test_a_socket_is_in_the_control_group_of_its_maker(groups: Path) -> None:
    with group(groups) as folder, group(groups, "b c\x1b\u202e") as odd:
        with skbnb.trace() as trace:
            pids = [run_in(one, *STAMPS) for one in (folder, odd)]
        expected = path_of(folder, groups)
        outer = path_of(odd.parent, groups)
    assert groups_and_containers(trace, pids[0]) == {(expected, None)}
    assert groups_and_containers(trace, pids[1]) == {(f"{outer}/b c\\x1b\\u202e", None)}


def test_the_root_is_a_control_group_too(groups: Path) -> None:
    with skbnb.trace() as trace:
        pid = run_in(groups, *STAMPS)
    assert groups_and_containers(trace, pid) == {("/", None)}


@pytest.mark.parametrize("ends", [False, True])
def test_a_container(groups: Path, ends: bool) -> None:
    with group(groups, f"docker-{ID}.scope") as folder:
        with skbnb.trace() as trace:
            pid = run_in(folder, *STAMPS)
            if ends:  # as with docker run --rm
                folder.rmdir()
                folder.parent.rmdir()
        expected = path_of(folder, groups)
    assert groups_and_containers(trace, pid) == {(expected, ID[:12])}


def test_one_agent_knows_what_ended_in_an_earlier_trace(groups: Path) -> None:
    for _ in range(2):
        with group(groups, f"docker-{ID}.scope") as folder, skbnb.trace() as trace:
            pid = run_in(folder, *STAMPS)
            folder.rmdir()
        assert groups_and_containers(trace, pid) == {(path_of(folder, groups), ID[:12])}


def test_a_path_too_long_to_keep_is_unknown_and_not_cut(groups: Path) -> None:
    for length, known in ((510, True), (511, False)):
        with group(groups) as outer:
            rest = length - len(path_of(outer, groups)) - 1
            folder = outer / ("a" * 250) / ("b" * (rest - 251))
            folder.mkdir(parents=True)
            assert len(path_of(folder, groups)) == length
            with skbnb.trace() as trace:
                pid = run_in(folder, *STAMPS)
                folder.rmdir()
                folder.parent.rmdir()
        path = path_of(folder, groups) if known else None
        assert groups_and_containers(trace, pid) == {(path, None)}


def test_an_accepted_socket_is_in_the_listeners_group(
    groups: Path, server: Server
) -> None:
    own = Path("/proc/self/cgroup").read_text().partition("0::")[2].strip()
    with group(groups) as folder:
        (folder / "cgroup.procs").write_text(str(server.pid))
        try:
            with skbnb.trace() as trace:
                curl(server.url)
        finally:
            (groups / "cgroup.procs").write_text(str(server.pid))
    sent = sent_by_tcp(trace)
    # Moving a process does not move what it has made.
    assert set(sent["cgroup"]) == {own}
    assert set(sent["pid"] == server.pid) == {True, False}
