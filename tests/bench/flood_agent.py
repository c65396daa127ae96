# SPDX-License-Identifier: Apache-2.0
"""The root side of each way to capture what flood.c emits.

Run by the distribution's Python as ``flood_agent.py WAY LOAD_PID ARGUMENT...``. The way
`skbnb` is skbnb's own agent with flood.c as its probe. Those of `OTHERS` take lines on
stdin: `start`, `stop`, which is answered by the numbers of rows and of lost records,
and `rows`, answered by the pickled list. Most collect a list of dicts as BCC's
documentation shows.
"""

from __future__ import annotations

import ctypes
import os
import pickle
import re
import select
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parents[1]
sys.path.insert(0, str(CHECKOUT))


from skbnb.agent import __main__ as agent  # noqa: E402
from skbnb.agent import layout, syscalls  # noqa: E402
from skbnb.agent.attach import Attachment, attach, load  # noqa: E402
from skbnb.agent.compiler import (  # noqa: E402
    compiled,
    expand,
    import_bcc,
    stub_headers,
)
from skbnb.agent.kheaders import user_include_flags  # noqa: E402
from skbnb.agent.loaded import Loaded  # noqa: E402
from skbnb.agent.maps import Map  # noqa: E402
from skbnb.agent.probes import Probe  # noqa: E402
from skbnb.agent.program import COUNTERS, defines, symbol_constants  # noqa: E402
from skbnb.agent.recorder import Recorder  # noqa: E402
from skbnb.agent.symbols import kernel_symbols  # noqa: E402
from skbnb.agent.viewer import ROOT  # noqa: E402
from skbnb.config import Config  # noqa: E402
from tests.bench.load import BATCH, SYSCALL  # noqa: E402

Row = dict[str, Any]


FLOOD = Probe(
    name="flood",
    source="flood.c",
    needs=(),
    attachments=(Attachment("raw_tracepoint", "sys_enter", "on_syscall"),),
    copies=(),
    calls=(),
    coverage="",
)


# Name -> the file that stands in its place.
OURS = {FLOOD.source: FLOOD.source, "on_clone.h": "flood_on_clone.h"}


def source_reader(pid: int) -> Callable[[str], str]:
    """Give a reader of C files, of which ours obey process `pid`."""
    defined = {
        "LOAD_PID": pid,
        "LOAD_SYSCALL": SYSCALL[os.uname().machine],
        "LOAD_BATCH": BATCH,
    }

    def read(name: str) -> str:
        if name not in OURS:
            return (CHECKOUT / "bpf" / name).read_text()
        lines = [f"#define {name} {value}" for name, value in defined.items()]
        return "\n".join([*lines, (HERE / OURS[name]).read_text()])

    return read


def serve_skbnb(read_source: Callable[[str], str]) -> int:
    """Be skbnb's agent."""
    with patch.multiple(
        agent, PROBES=(FLOOD,), candidates=lambda _: (FLOOD,), read_source=read_source
    ):
        return agent.main()


# ------------------------------------------------------------------ BCC's own ways


def by_bcc(text: str, records: Map | None = None) -> Any:
    """A ``bcc.BPF`` object, whose map `records` is this one.

    Parameters
    ----------
    text
        Declares the map.
    records
        The map; None where there is none.
    """
    flags = [*user_include_flags(), "-Wno-everything"]
    with stub_headers():
        bpf = import_bcc().BPF(text=text, cflags=flags)
    if records:
        bpf["records"].map_fd = records.fd
    return bpf


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


class HandbookEvent(ctypes.Structure):
    """``struct handbook_event``."""

    _fields_ = (
        ("ts", ctypes.c_uint64),
        ("count", ctypes.c_uint64),
        ("pid", ctypes.c_uint32),
        ("pad", ctypes.c_uint32),
        ("comm", ctypes.c_char * 16),
    )


class Way:
    """A way to capture, trace by trace, into `rows`.

    Parameters
    ----------
    read_source
        Gives the text of a C file.
    """

    def __init__(self, read_source: Callable[[str], str]) -> None:
        self.rows: list[Row] = []

    def start(self) -> None:
        """Begin."""
        raise NotImplementedError

    def poll(self) -> None:
        """Take what is there, or wait a little."""
        raise NotImplementedError

    def stop(self) -> tuple[int, int]:
        """End; how many rows there are, and how many records were lost."""
        raise NotImplementedError


class Callback(Way):
    """BCC's callback on skbnb's records, from the ring buffer or the perf buffers."""

    buffer = "ring"
    _text = "BPF_RINGBUF_OUTPUT(records, 1);"
    row_of = staticmethod(all_members)

    def __init__(self, read_source: Callable[[str], str]) -> None:
        super().__init__(read_source)
        here = os.getppid()
        self._config = Config(here, here, buffer=self.buffer)
        self._program = Recorder(FLOOD, self._config, read_source, ROOT)
        self._bpf = by_bcc(self._text, self._program.maps["records"])
        records = self._bpf["records"]
        records._event_class = event_class()

        def take(_context: Any, data: Any, _size: int) -> None:
            self.rows.append(self.row_of(records.event(data)))

        if self.buffer == "ring":
            records.open_ring_buffer(take)
            self._take = self._bpf.ring_buffer_consume
            self._wait = self._bpf.ring_buffer_poll
        else:
            # As much memory as a ring buffer has, for all processors together.
            pages = (self._config.ring_mib << 20) // os.sysconf("SC_PAGESIZE")
            records.open_perf_buffer(take, page_cnt=pages // (os.cpu_count() or 1))
            self._take = lambda: self._bpf.perf_buffer_poll(0)
            self._wait = self._bpf.perf_buffer_poll

    def start(self) -> None:
        """Attach."""
        self._before = self._program.attach(self._config)

    def poll(self) -> None:
        """Let BCC call back."""
        self._wait(10)

    def stop(self) -> tuple[int, int]:
        """Detach, and take what is left."""
        self._program.detach()
        self._take()
        lost = self._program.counters()["lost"] - self._before["lost"]
        return len(self.rows), lost


class PerfCallback(Callback):
    """The same from perf buffers."""

    buffer = "perf"
    _text = "BPF_PERF_OUTPUT(records);"


class Handbook(Way):
    """One of the handbook's programs."""

    source = ""

    def __init__(self, read_source: Callable[[str], str]) -> None:
        super().__init__(read_source)
        flags = defines(symbol_constants(FLOOD, kernel_symbols()))
        flags.append("-DMARK=1ULL")
        text = expand(self.source, read_source)
        self._programs = Loaded(compiled(text, flags, layout.choose("auto")))
        load(self._programs, FLOOD.attachments[0])
        self._prepare()

    def _prepare(self) -> None:
        raise NotImplementedError

    def _counted(self, name: str) -> int:
        return self._programs.maps["counters"].numbers()[COUNTERS.index(name)]

    def start(self) -> None:
        """Attach."""
        self._calls = self._counted("calls")
        self._link = attach(self._programs, FLOOD.attachments[0])

    def stop(self) -> tuple[int, int]:
        """Detach."""
        os.close(self._link)
        self._rest()
        made = self._counted("calls") - self._calls
        return len(self.rows), made - len(self.rows)

    def _rest(self) -> None:
        raise NotImplementedError


class HandbookPerf(Handbook):
    """By perf buffers and a callback."""

    source = "handbook_perf.c"

    def _prepare(self) -> None:
        text = "BPF_PERF_OUTPUT(records);"
        self._bpf = by_bcc(text, self._programs.maps["records"])
        records = self._bpf["records"]
        records._event_class = HandbookEvent

        def take(_cpu: int, data: Any, _size: int) -> None:
            event = records.event(data)
            self.rows.append(
                {
                    "ts": event.ts,
                    "comm": event.comm.decode(),
                    "pid": event.pid,
                    "count": event.count,
                }
            )

        records.open_perf_buffer(take, page_cnt=4096)

    def poll(self) -> None:
        """Let BCC call back."""
        self._bpf.perf_buffer_poll(10)

    def _rest(self) -> None:
        self._bpf.perf_buffer_poll(0)


class HandbookTrace(Handbook):
    """By lines of text in the trace buffer, and ``trace_fields()``."""

    source = "handbook_trace.c"
    _last = b"that was all"

    def _prepare(self) -> None:
        root = syscalls.open_file_system("tracefs")

        def opened(name: str, flags: int) -> int:
            return os.open(name, flags, dir_fd=root)

        self._bpf = by_bcc("int unused(void *ctx) { return 0; }")
        # What BCC opens where tracefs is mounted.
        self._bpf.tracefile = os.fdopen(opened("trace_pipe", os.O_RDONLY), "rb")
        self._marker = opened("trace_marker", os.O_WRONLY)

    def start(self) -> None:
        """Attach."""
        super().start()
        self._ended = False
        self._told = threading.Lock()
        threading.Thread(
            target=self._end_when_asked, args=(self._told,), daemon=True
        ).start()

    def _end_when_asked(self, told: threading.Lock) -> None:
        # Whoever waits for a line looks for nothing else.
        select.select([sys.stdin], [], [])
        self._tell_end(told)

    def _tell_end(self, told: threading.Lock) -> None:
        # Once: whoever waits for no line may have taken the word first.
        if told.acquire(blocking=False):
            os.write(self._marker, self._last + b"\n")

    def poll(self) -> None:
        """Take a line."""
        name, pid, _cpu, _flags, ts, text = self._bpf.trace_fields()
        self._ended |= text == self._last
        if text.startswith(b"skbnb "):
            count = int(text.rpartition(b" ")[2])
            row = {"ts": ts, "comm": name.decode(), "pid": pid, "count": count}
            self.rows.append(row)

    def _rest(self) -> None:
        self._tell_end(self._told)
        while not self._ended:
            self.poll()


class Consumer(Way):
    """libbpf's own consumer, in a C program: the limit."""

    def __init__(self, read_source: Callable[[str], str], *command: str) -> None:
        super().__init__(read_source)
        here = os.getppid()
        self._path, *self._arguments = command
        self._config = Config(here, here)
        self._program = Recorder(FLOOD, self._config, read_source, ROOT)

    def start(self) -> None:
        """Start it, and attach."""
        ring = self._program.maps["records"].fd
        self._process = subprocess.Popen(
            [self._path, str(ring), *self._arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[ring],
        )
        assert self._process.stdout
        # What an earlier one left is taken by attaching, before it looks.
        self._before = self._program.attach(self._config)
        assert self._process.stdout.readline() == b"started\n"

    def poll(self) -> None:
        """Leave it alone."""
        select.select([sys.stdin], [], [])

    def stop(self) -> tuple[int, int]:
        """Detach, and let it take what is left."""
        self._program.detach()
        told, _ = self._process.communicate(b"stop\n")
        lost = self._program.counters()["lost"] - self._before["lost"]
        return int(told), lost


OTHERS: dict[str, Callable[..., Way]] = {
    "bcc": Callback,
    "bcc-perf": PerfCallback,
    "handbook-perf": HandbookPerf,
    "handbook-trace": HandbookTrace,
    "libbpf": Consumer,
    "libbpf-keep": Consumer,
}


def serve(way: Way) -> int:
    """Capture, trace by trace."""
    for line in sys.stdin:
        if line == "start\n":
            way.rows.clear()
            way.start()
            print("started", flush=True)
            while not select.select([sys.stdin], [], [], 0)[0]:
                way.poll()
        elif line == "stop\n":
            print(*way.stop(), flush=True)
        else:
            pickle.dump(way.rows, sys.stdout.buffer)
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    name, load_pid, *arguments = sys.argv[1:]
    reader = source_reader(int(load_pid))
    if name == "skbnb":
        sys.exit(serve_skbnb(reader))
    sys.exit(serve(OTHERS[name](reader, *arguments)))
