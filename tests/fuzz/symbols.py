# SPDX-License-Identifier: Apache-2.0
"""The kernel's symbol table and its list of modules: a function's place, and back."""

from __future__ import annotations

import os
from random import Random

from skbnb.agent import symbols
from skbnb.errors import ProbeError
from tests.fuzz.mutate import changed_lines

REFUSALS = (ProbeError,)

KALLSYMS = b"""\
0000000000000000 A fixed_percpu_data
ffffffff81000000 T _text
ffffffff81000010 T __cpuidle_text_start
ffffffff81000010 t default_idle
ffffffff81000020 T skb_clone
ffffffff81000028 t skb_clone.isra.0
ffffffff81000030 t __do_sys_getuid
ffffffff81000030 T __x64_sys_getuid
ffffffff81000034 T register_kprobe
ffffffff81000036 T vfs_read
ffffffff81000038 T vfs_write
ffffffff81000038 t vfs_write
ffffffff81000040 D some_data
ffffffff81000050 W weak
ffffffffc0000010 t nf_dup_ipv4\t[nf_dup_ipv4]
ffffffffc0000018 T xt_init\t[x_tables]
ffffffffc0008000 T xt_find\t[x_tables]
ffffffffa0000010 t bpf_prog_1234_main\t[bpf]
"""
_MODULES = b"""\
nf_dup_ipv4 16384 1 - Live 0xffffffffc0000000
x_tables 16384 1 - Live 0xffffffffc0008000 (E)
"""
WORDS = (
    *(b"", b" ", b"\t", b"\n", b"T", b"t", b"W", b"\xff", b"[x]", b"]\n", b"[", b"0"),
    *(b"0" * 16, b"f" * 16, b"f" * 17, b"f" * 40, b"-1", b"0x", b"ffffffff81000020"),
    *(b"skb_clone", b"skb_clone\n", b"register_kprobe\n", b"a" * 600),
)
_ADDRESSES = (0, 1, 0xFFFF_FFFF_8100_0010, 0xFFFF_FFFF_C000_8001, (1 << 64) - 1)

_table, _modules = (os.memfd_create(name) for name in ("kallsyms", "modules"))
symbols.KALLSYMS, symbols.MODULES = (f"/proc/self/fd/{fd}" for fd in (_table, _modules))


def make(random: Random) -> bytes:
    """Both, of which one was changed, with an empty line between."""
    table, modules = KALLSYMS, _MODULES
    if random.random() < 0.7:
        table = changed_lines(random, table, WORDS)
    else:
        modules = changed_lines(random, modules, WORDS)
    return table + b"\n\n" + modules


def read(data: bytes) -> None:
    """A place is in the table, and an address has one name."""
    table, _, modules = data.rpartition(b"\n\n")
    for fd, text in ((_table, table), (_modules, modules)):
        os.ftruncate(fd, 0)
        os.pwrite(fd, text, 0)
    known = symbols.Symbols()
    for name in ("skb_clone", "default_idle", "not_there"):
        bounds = known.bounds(name)
        assert bounds is None or bounds.start < bounds.end
    names = symbols.FunctionNames()
    for address in _ADDRESSES:
        function, module = names.name(address)
        assert function or not module
