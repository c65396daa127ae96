# SPDX-License-Identifier: Apache-2.0
"""What a stock kernel can be without: a working trace, or one line with the cause."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import skbnb
from skbnb.errors import LayoutError, ProbeError
from skbnb.transport import AGENT_PYTHON, AgentTransport
from tests.live.test_faults import Start, agent_run_by, fails, in_a_namespace
from tests.live.traffic import Server, apart, curl

__all__ = ["agent_run_by"]

_WITHOUT_COMPANION = """
import os, sys
sys.path.insert(0, sys.argv[2])
from skbnb.agent import __main__ as agent, program
agent.PROBES = ()
attach = program.attach
program.attach = lambda bpf, one: (
    os.open(os.devnull, os.O_RDONLY)
    if one.target == "__tcp_transmit_skb"
    else attach(bpf, one)
)
sys.exit(agent.main())
"""

KPTR_RESTRICT = Path("/proc/sys/kernel/kptr_restrict")


@pytest.fixture
def hidden_symbols() -> Iterator[None]:
    """kernel.kptr_restrict=2: addresses are hidden from root, too."""
    before = KPTR_RESTRICT.read_text()
    KPTR_RESTRICT.write_text("2\n")
    yield
    KPTR_RESTRICT.write_text(before)


@pytest.mark.usefixtures("hidden_symbols")
def test_hidden_symbols_are_named_as_the_cause() -> None:
    error = fails(AgentTransport(), probe="auto")
    assert type(error) is ProbeError
    assert str(error) == (
        "no probe works on this kernel (fentry, kprobe, tracepoint: the kernel hides "
        "its symbols' addresses (kernel.kptr_restrict)). Run `sysctl "
        "kernel.kptr_restrict=1` as root."
    )


@pytest.mark.parametrize("probe", ["fentry", "kprobe"])
def test_what_a_companion_does_not_see(
    agent_run_by: Start, server: Server, probe: str
) -> None:
    # As when the kernel leaves a run of it out, because an interrupt found it at work.
    agent = agent_run_by([AGENT_PYTHON, "-c", _WITHOUT_COMPANION])
    with skbnb.trace(probe=probe, transport=agent) as trace:
        curl(server.url)
    mine = trace.events[trace.events["comm"] == "curl"]
    assert set(mine["address_source"]) == {"headers"}
    assert mine["detail"].tolist() == ["SYN", "data", "FIN"]
    assert mine["payload"].tolist()[::2] == [0, 0]
    assert set(mine["dport"]) == {server.port}


def test_neither_btf_nor_headers(agent_run_by: Start) -> None:
    error = fails(agent_run_by(in_a_namespace("mount -t tmpfs none /sys/kernel/btf")))
    assert type(error) is LayoutError
    assert "this kernel has no BTF" in str(error)
    assert "Install the running kernel's headers" in str(error)


def test_kprobes_need_no_tracefs(agent_run_by: Start) -> None:
    agent = agent_run_by(
        in_a_namespace(
            "mount -t tmpfs none /sys/kernel/debug",
            "mount -t tmpfs none /sys/kernel/tracing",
        )
    )
    with skbnb.trace(probe="kprobe", transport=agent) as trace:
        apart("timestamping", 15)
    assert len(trace.events) == 15
