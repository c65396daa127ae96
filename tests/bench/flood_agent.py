# SPDX-License-Identifier: Apache-2.0
"""The root side of each way to capture what flood.c emits.

Run by the distribution's Python as ``flood_agent.py WAY LOAD_PID``. The way `skbnb` is
skbnb's own agent with flood.c as its probe. The ways of `CALLBACKS` collect a list of
dicts as BCC's documentation shows, and take lines on stdin: `start`, `stop`, which is
answered by the numbers of rows and of lost records, and `rows`, answered by the pickled
list.
"""

from __future__ import annotations

import ctypes
import os
import pickle
import re
import select
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parents[1]
sys.path.insert(0, str(CHECKOUT))


from skbnb.agent import __main__ as agent  # noqa: E402
from skbnb.agent.probes import Probe  # noqa: E402
from skbnb.agent.program import Program  # noqa: E402
from skbnb.agent.symbols import Symbols  # noqa: E402
from skbnb.config import Config  # noqa: E402
from tests.bench import load  # noqa: E402

Row = dict[str, Any]


def flood_probe(pid: int) -> Probe:
    """A probe that sees the records that process `pid` asks for."""

    def constants(symbols: Symbols) -> list[str]:
        caller = symbols.bounds("__tcp_transmit_skb")
        assert caller
        return [
            f"-DTCP_TRANSMIT_SKB={caller.start}ULL",
            f"-DLOAD_PID={pid}",
            f"-DLOAD_SYSCALL={load.SYSCALL[os.uname().machine]}",
            f"-DLOAD_BATCH={load.BATCH}",
        ]

    return Probe(
        name="flood",
        source="flood.c",
        tracepoints=(("sys_enter", "on_syscall"),),
        constants=constants,
        coverage="",
    )


def read_source(name: str) -> str:
    """The text of a C file: from beside this one, or of the project."""
    folder = HERE if (HERE / name).exists() else CHECKOUT / "bpf"
    return (folder / name).read_text()


def serve_skbnb(probe: Probe) -> int:
    """Be skbnb's agent."""
    with patch.multiple(
        agent, PROBES=(probe,), candidates=lambda _: (probe,), read_source=read_source
    ):
        return agent.main()


# ------------------------------------------------------------------ BCC's own way


def all_members(event: Any) -> Row:
    """What skbnb's DataFrame is made from, as a person would write it."""
    return {
        "ts": event.ts,
        "count": event.count,
        "parent": event.parent,
        "clone": event.clone,
        "sk": event.sk,
        "caller": event.caller,
        "saddr": bytes(event.saddr),
        "daddr": bytes(event.daddr),
        "comm": event.comm.decode(),
        "dev": event.dev.decode(),
        "present": event.present,
        "pid": event.pid,
        "tid": event.tid,
        "uid": event.uid,
        "len": event.len,
        "ifindex": event.ifindex,
        "netns": event.netns,
        "seq": event.seq,
        "cpu": event.cpu,
        "ethertype": event.ethertype,
        "sport": event.sport,
        "dport": event.dport,
        "kind": event.kind,
        "path": event.path,
        "scope": event.scope,
        "family": event.family,
        "protocol": event.protocol,
        "tcp_flags": event.tcp_flags,
    }


def four_members(event: Any) -> Row:
    """The least that answers who cloned, and when."""
    return {
        "ts": event.ts,
        "count": event.count,
        "comm": event.comm.decode(),
        "pid": event.pid,
    }


CALLBACKS: dict[str, Callable[[Any], Row]] = {
    "bcc": all_members,
    "bcc-four": four_members,
}


def event_class() -> type[ctypes.Structure]:
    """``struct skb_event``, which BCC cannot deduce: it does not know ``__u64``."""
    types = {f"__u{bits}": getattr(ctypes, f"c_uint{bits}") for bits in (8, 16, 32, 64)}
    types["char"] = ctypes.c_char
    members = re.findall(
        r"^\t(__u\d+|char) (\w+)(?:\[(\d+)\])?;", read_source("skb_event.h"), re.M
    )
    fields = [
        (name, types[kind] * int(length) if length else types[kind])
        for kind, name, length in members
    ]
    return type("Event", (ctypes.Structure,), {"_fields_": fields})


def serve_bcc(probe: Probe, row_of: Callable[[Any], Row]) -> int:
    """Collect rows through BCC's callback, trace by trace."""
    program = Program(probe, Config.ring_mib, read_source)
    bpf = program._bpf
    rows: list[Row] = []

    def callback(_context: Any, data: Any, _size: int) -> None:
        rows.append(row_of(bpf["ring"].event(data)))

    bpf["ring"]._event_class = event_class()
    bpf["ring"].open_ring_buffer(callback)
    config = Config(cell_tid=os.getppid(), notebook_pid=os.getppid())
    for line in sys.stdin:
        if line == "start\n":
            rows.clear()
            before = program.attach(config)
            print("started", flush=True)
            while not select.select([sys.stdin], [], [], 0)[0]:
                bpf.ring_buffer_poll(10)
        elif line == "stop\n":
            program.detach()
            bpf.ring_buffer_consume()
            print(len(rows), program.counters()["lost"] - before["lost"], flush=True)
        else:
            pickle.dump(rows, sys.stdout.buffer)
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    way, load_pid = sys.argv[1:]
    chosen = flood_probe(int(load_pid))
    serve = serve_skbnb if way == "skbnb" else serve_bcc
    rest = () if way == "skbnb" else (CALLBACKS[way],)
    sys.exit(serve(chosen, *rest))
