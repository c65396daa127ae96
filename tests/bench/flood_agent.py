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
from skbnb.agent.attach import Attachment  # noqa: E402
from skbnb.agent.probes import Probe  # noqa: E402
from skbnb.agent.recorder import Recorder  # noqa: E402
from skbnb.agent.viewer import ROOT  # noqa: E402
from skbnb.config import Config  # noqa: E402
from tests.bench import load  # noqa: E402

Row = dict[str, Any]


FLOOD = Probe(
    name="flood",
    source="flood.c",
    needs=(),
    trial="",
    attachments=(Attachment("raw_tracepoint", "sys_enter", "on_syscall"),),
    copies=(),
    calls=(),
    coverage="",
)


def source_reader(pid: int) -> Callable[[str], str]:
    """Give a reader of C files, of which flood.c obeys process `pid`."""
    defined = {
        "LOAD_PID": pid,
        "LOAD_SYSCALL": load.SYSCALL[os.uname().machine],
        "LOAD_BATCH": load.BATCH,
    }

    def read(name: str) -> str:
        if name != FLOOD.source:
            return (CHECKOUT / "bpf" / name).read_text()
        lines = [f"#define {name} {value}" for name, value in defined.items()]
        return "\n".join([*lines, (HERE / name).read_text()])

    return read


def serve_skbnb(read_source: Callable[[str], str]) -> int:
    """Be skbnb's agent."""
    with patch.multiple(
        agent, PROBES=(FLOOD,), candidates=lambda _: (FLOOD,), read_source=read_source
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
        "origin": event.origin,
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
        "end_seq": event.end_seq,
        "sock_hash": event.sock_hash,
        "stack": event.stack,
        "drop_reason": event.drop_reason,
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
        "context": event.context,
        "again": event.again,
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
    header = (CHECKOUT / "bpf" / "skb_event.h").read_text()
    _, _, body = header.partition("\nstruct skb_event {\n")
    body, _, _ = body.partition("\n};")
    members = re.findall(r"^\t(__u\d+|char) (\w+)(?:\[(\d+)\])?;", body, re.M)
    fields = [
        (name, types[kind] * int(length) if length else types[kind])
        for kind, name, length in members
    ]
    return type("Event", (ctypes.Structure,), {"_fields_": fields})


def serve_bcc(read_source: Callable[[str], str], row_of: Callable[[Any], Row]) -> int:
    """Collect rows through BCC's callback, trace by trace."""
    config = Config(cell_tid=os.getppid(), notebook_pid=os.getppid())
    program = Recorder(FLOOD, config, read_source, ROOT)
    bpf = program._bpf
    rows: list[Row] = []

    def callback(_context: Any, data: Any, _size: int) -> None:
        rows.append(row_of(bpf["records"].event(data)))

    bpf["records"]._event_class = event_class()
    bpf["records"].open_ring_buffer(callback)
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
    reader = source_reader(int(load_pid))
    serve = serve_skbnb if way == "skbnb" else serve_bcc
    rest = () if way == "skbnb" else (CALLBACKS[way],)
    sys.exit(serve(reader, *rest))
