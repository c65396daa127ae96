# SPDX-License-Identifier: Apache-2.0
"""Counts of kernel functions agree with bpftrace's of the same functions."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import skbnb
from skbnb.errors import OptionError
from skbnb.transport import AGENT_PYTHON, AgentTransport, agent_archive
from tests.live.test_funccount import agreeing, calls_of
from tests.live.traffic import run

BLACKLIST = Path("/sys/kernel/debug/kprobes/blacklist")


# An agent that lists a function which is not there, compiles no probe of skb_clone(),
# and attaches kprobes one by one if it is told to.
_AGENT = """
import sys
sys.path.insert(0, sys.argv[1])
from skbnb.agent import __main__ as agent, functions, funccount, syscalls

def listed():
    nowhere = functions.Countable("function", "nowhere", "", (0xffffffffffff0000,))
    group = functions.functions()
    return group._replace(found=[nowhere, *group.found])

def refuse(*_):
    raise OSError(95, "EOPNOTSUPP")

agent.PROBES = ()
funccount.functions = listed
if sys.argv[2] == "kprobe":
    syscalls.attach_many_kprobes = refuse
sys.exit(agent.main())
"""


@pytest.fixture(scope="module", params=["best", "kprobe"])
def agent(request: pytest.FixtureRequest) -> Iterator[AgentTransport]:
    """An agent that attaches as it likes best, or kprobes one by one."""
    command = [AGENT_PYTHON, "-I", "-c", _AGENT, str(agent_archive()), request.param]
    made = AgentTransport(command)
    yield made
    made.close()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own: one above another would call it, and count twice."""
    run("mount", "-t", "tmpfs", "none", str(tmp_path))
    yield tmp_path
    run("umount", str(tmp_path))


def files(folder: Path, number: int) -> None:
    """Open, write, read, stat, rename and unlink so many files."""
    for name in map(str, range(number)):
        path = folder / name
        path.write_bytes(b"x")
        path.read_bytes()
        path.stat()
        path.rename(folder / "other")
        (folder / "other").unlink()


def test_functions_agree_with_bpftrace(agent: AgentTransport, folder: Path) -> None:
    with agreeing(agent, "kprobe:vfs_*", "vfs_*", mostly="vfs_rename"):
        files(folder, 200)


def test_a_fixed_number_of_calls(agent: AgentTransport, folder: Path) -> None:
    with skbnb.funccount("vfs_rename", "vfs_unlink", transport=agent) as counts:
        files(folder, 300)
    assert calls_of(counts)["vfs_rename"] == 300
    # Nobody else unlinks here but what runs beside the tests.
    assert 300 <= calls_of(counts)["vfs_unlink"] < 320


def test_a_count_of_functions_and_tracepoints_and_system_calls(
    agent: AgentTransport,
) -> None:
    with skbnb.funccount(
        "__x64_sys_getsid", "sys_getsid", "t:raw_syscalls:sys_enter", transport=agent
    ) as counts:
        for _ in range(500):
            os.getsid(0)
    calls = calls_of(counts)
    assert calls["__x64_sys_getsid"] == calls["sys_getsid"] == 500
    assert calls["raw_syscalls:sys_enter"] > 500


def test_functions_that_the_kernel_forbids_are_not_attached(
    agent: AgentTransport,
) -> None:
    barred = {line.split("\t")[1] for line in BLACKLIST.read_text().splitlines()}
    assert "do_int3" in barred or "exc_int3" in barred
    name = "do_int3" if "do_int3" in barred else "exc_int3"
    with (
        pytest.raises(OptionError),
        skbnb.funccount(name, transport=agent),
    ):
        pytest.fail("the block ran")
    assert agent.usable


def test_one_that_cannot_be_traced_does_not_spoil_the_rest(
    agent: AgentTransport, folder: Path
) -> None:
    with skbnb.funccount("vfs_*", "nowhere", transport=agent) as counts:
        files(folder, 10)
    assert list(counts.about["refused"]) == ["nowhere"]
    assert "1 could not be traced: nowhere (" in counts.receipt()
    assert calls_of(counts)["vfs_rename"] == 10
