# SPDX-License-Identifier: Apache-2.0
"""The root side of what the cost of skbnb's programs is compared with.

Run by the distribution's Python as ``cost_agent.py WAY PROBE``: a way of `WAYS`, and
the probe of skbnb's in whose place it stands. It loads its programs, and takes lines on
stdin: `start` attaches them; `stop` detaches them and is answered by the numbers of
clones that were collected and lost, 0 where nobody counts them.
"""

from __future__ import annotations

import contextlib
import os
import select
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parents[1]
sys.path.insert(0, str(CHECKOUT))


from skbnb.agent import layout  # noqa: E402
from skbnb.agent.attach import Attachment, attach, load  # noqa: E402
from skbnb.agent.compiler import compiled, expand  # noqa: E402
from skbnb.agent.probes import FOLLOW_TASKS, PROBES, Probe  # noqa: E402
from skbnb.agent.program import defines, symbol_constants  # noqa: E402
from skbnb.agent.symbols import kernel_symbols  # noqa: E402

# Of each CPU's perf buffer: room for all clones of one load.
ROW_PAGES = 2048


class Way(NamedTuple):
    """Programs in the place of skbnb's.

    Parameters
    ----------
    source
        Their file, beside this one.
    flags
        For clang.
    attachments
        What they attach to, where skbnb's are a probe's.
    """

    source: str
    flags: tuple[str, ...]
    attachments: Callable[[Probe], tuple[Attachment, ...]]


def everywhere(probe: Probe) -> tuple[Attachment, ...]:
    """Where skbnb's programs are attached."""
    return FOLLOW_TASKS + probe.attachments


def at_clones(_probe: Probe) -> tuple[Attachment, ...]:
    """Where clones are seen, and nothing else."""
    if kernel_symbols().bounds("register_kprobe"):
        return (Attachment("kprobe", "skb_clone", "on_clone"),)
    return (
        Attachment("raw_tracepoint", "kmem_cache_alloc", "on_alloc"),
        Attachment("raw_tracepoint", "net_dev_queue", "on_queue"),
    )


WAYS = {
    "empty": Way("bare.c", (), everywhere),
    "context": Way("bare.c", ("-DBARE_CONTEXT",), everywhere),
    "handbook": Way("handbook.c", (), at_clones),
}


def read_source(name: str) -> str:
    """The text of a C file: of ours, else of skbnb's."""
    own = HERE / name
    return (own if own.exists() else CHECKOUT / "bpf" / name).read_text()


def loaded(way: Way, probe: Probe) -> Any:
    """A way's programs, loaded."""
    flags = [*way.flags, *defines(symbol_constants(probe, kernel_symbols()))]
    if probe.name == "fentry":
        flags.append("-DBARE_TRAMPOLINES")
    bpf = compiled(expand(way.source, read_source), flags, layout.choose("auto"))
    for attachment in way.attachments(probe):
        load(bpf, attachment)
    return bpf


def attached(bpf: Any, attachments: tuple[Attachment, ...]) -> contextlib.ExitStack:
    """What holds the programs in place."""
    with contextlib.ExitStack() as stack:
        for attachment in attachments:
            # Where it is not optional, skbnb has not taken this probe.
            with contextlib.suppress(FileNotFoundError):
                stack.callback(os.close, attach(bpf, attachment))
        return stack.pop_all()


class Rows:
    """What a way sends, through BCC's callback into a list; of most ways nothing."""

    def __init__(self, bpf: Any, way: Way) -> None:
        self._bpf = bpf
        self._rows: list[dict[str, Any]] = []
        self._lost = 0
        self._are_sent = way is WAYS["handbook"]
        if self._are_sent:
            bpf[b"rows"].open_perf_buffer(self._add, ROW_PAGES, self._lose)

    def _add(self, _cpu: int, data: Any, _size: int) -> None:
        row = self._bpf[b"rows"].event(data)
        self._rows.append(
            {
                "ts": row.ts,
                "count": row.count,
                "pid": row.pid,
                "comm": row.comm.decode("utf-8", "replace"),
            }
        )

    def _lose(self, _cpu: int, count: int) -> None:
        self._lost += count

    def clear(self) -> None:
        """Forget what came."""
        self._rows.clear()
        self._lost = 0

    def collect(self) -> None:
        """Take what comes until there is a line on stdin, and what came before it."""
        while self._are_sent and not select.select([sys.stdin], [], [], 0)[0]:
            self._bpf.perf_buffer_poll(10)

    def counts(self) -> tuple[int, int]:
        """How many came, and how many were lost."""
        if self._are_sent:
            self._bpf.perf_buffer_consume()
        return len(self._rows), self._lost


def serve(way: Way, probe: Probe) -> None:
    """Attach and detach until stdin ends."""
    bpf = loaded(way, probe)
    rows = Rows(bpf, way)
    holding = contextlib.ExitStack()
    for line in sys.stdin:
        if line == "start\n":
            rows.clear()
            holding = attached(bpf, way.attachments(probe))
            print("started", flush=True)
            rows.collect()
        else:
            holding.close()
            print(*rows.counts(), flush=True)


if __name__ == "__main__":
    named, taken = sys.argv[1:]
    serve(WAYS[named], next(probe for probe in PROBES if probe.name == taken))
