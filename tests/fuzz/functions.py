# SPDX-License-Identifier: Apache-2.0
"""What can be counted: the kernel's tables of functions and of tracepoints."""

from __future__ import annotations

import os
from random import Random

from skbnb.agent import functions
from tests.fuzz.mutate import changed_lines
from tests.fuzz.symbols import KALLSYMS, WORDS

REFUSALS = ()

_LISTS = {
    "kallsyms": KALLSYMS,
    "available_filter_functions": b"default_idle\nvfs_read\nvfs_write\nvfs_write\n"
    b"xt_find [x_tables]\nskb_clone\n",
    "kprobes/blacklist": b"0xffffffff81000010-0xffffffff81000020\tdefault_idle\n",
    "available_events": b"skb:kfree_skb\nnet:net_dev_queue\nsyscalls:sys_enter_read\n",
    "events/raw_syscalls/sys_enter/id": b"17\n",
}
_BETWEEN = b"\n\0\n"

_table = os.memfd_create("kallsyms")
# The other lists of the input that is being read.
_now: dict[str, bytes] = {}


def _read(file_system: str, name: str) -> str:
    return _now.get(name, b"").decode("ascii", "replace")


vars(functions).update(KALLSYMS=f"/proc/self/fd/{_table}", _read=_read)


def make(random: Random) -> bytes:
    """All lists, of which one or two were changed."""
    lists = dict(_LISTS)
    for _ in range(random.randint(1, 2)):
        name = random.choice(list(lists))
        lists[name] = changed_lines(random, lists[name], WORDS).replace(b"\0", b"")
    return _BETWEEN.join(lists.values())


def read(data: bytes) -> None:
    """What is found has a name, and a function as many places as have it."""
    _now.clear()
    # Before Python 3.10 zip() cannot be strict.
    _now.update(zip(_LISTS, data.split(_BETWEEN)))  # noqa: B905
    table = _now["kallsyms"]
    os.ftruncate(_table, 0)
    os.pwrite(_table, table, 0)
    group = functions.functions()
    assert group.found or group.why or group.barred or b"register_kprobe" in table
    for one in group.found:
        assert one.name
        assert all(0 <= place < 1 << 64 for place in one.places)
    assert all(one.name for one in functions.tracepoints().found)
    number = functions.perf_number("raw_syscalls:sys_enter")
    assert number is None or number >= 0
