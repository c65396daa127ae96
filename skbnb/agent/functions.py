# SPDX-License-Identifier: Apache-2.0
"""What of the kernel can be counted: functions, tracepoints and system calls."""

from __future__ import annotations

import contextlib
import os
import re
from collections import Counter
from typing import Callable, Iterator, NamedTuple

from . import syscalls
from .symbols import KALLSYMS

__all__ = ["Countable", "Group", "functions", "perf_number", "tracepoints"]

# What the kernel calls a function in its table, and what it is no function by.
_SYMBOL = re.compile(rb"^([0-9a-f]{1,16}) [tTwW] (\S+)(?:\s\[(\w+)\])?$", re.M)
_NO_FUNCTION = re.compile(r"__pfx_|__cfi_|__SC[TK]__|__ftrace_invalid_|.*\.cold\b")

_HIDDEN = (
    "the kernel hides its symbols' addresses: run `sysctl kernel.kptr_restrict=1` "
    "as root"
)


class Countable(NamedTuple):
    """One thing that can be counted.

    Parameters
    ----------
    kind
        ``function``, ``tracepoint`` or ``syscall``.
    name
        A tracepoint's has its category before it: ``skb:kfree_skb``.
    module
        Where a function lies; empty for the kernel proper.
    places
        Addresses of a function, of which several can have one name, or the number of a
        system call.
    """

    kind: str
    name: str
    module: str = ""
    places: tuple[int, ...] = ()


class Group(NamedTuple):
    """All of one kind, functions that the kernel forbids, and why there are none."""

    found: list[Countable]
    barred: list[str]
    why: str = ""


def functions() -> Group:
    """The functions that kprobes can be attached to.

    Those that ftrace knows, where it is there: what is inlined, or marked notrace, is
    not among them. Without it, what the symbol table has.
    """
    symbols = _symbols()
    if ("register_kprobe", "") not in symbols:
        return Group([], [], "this kernel has no kprobes")
    if not any(symbols["register_kprobe", ""]):
        return Group([], [], _HIDDEN)
    barred = _barred()
    wanted = _known_to_ftrace() or {
        named: len(places)
        for named, places in symbols.items()
        if not _NO_FUNCTION.match(named[0])
    }
    found, forbidden = [], []
    for (name, module), number in wanted.items():
        places = symbols.get((name, module), ())
        # Where ftrace knows some of one name and not all, nobody says which.
        if len(places) != number or barred(places):
            forbidden.append(name)
        else:
            found.append(Countable("function", name, module, places))
    return Group(found, forbidden)


def _symbols() -> dict[tuple[str, str], tuple[int, ...]]:
    """Name and module -> addresses."""
    with open(KALLSYMS, "rb") as file:
        lines = _SYMBOL.findall(file.read())
    symbols: dict[tuple[str, str], tuple[int, ...]] = {}
    for address, *named in lines:
        name, module = (str(text, "ascii", "replace") for text in named)
        at = int(address, 16)
        symbols[name, module] = (*symbols.get((name, module), ()), at)
    return symbols


def _known_to_ftrace() -> Counter[tuple[str, str]]:
    """Name and module -> how many there are; none where ftrace does not tell."""
    found: Counter[tuple[str, str]] = Counter()
    for line in _read("tracefs", "available_filter_functions").splitlines():
        name, _, module = line.partition(" ")
        if not _NO_FUNCTION.match(name):
            found[name, module.strip("[]")] += 1
    return found


def _barred() -> Callable[[tuple[int, ...]], bool]:
    """Whether kprobes are forbidden at any of some addresses."""
    # 0xffffffff81000000-0xffffffff81000100\tname
    text = _read("debugfs", "kprobes/blacklist")
    starts = {int(at, 16) for at in re.findall(r"(?m)^0x([0-9a-f]{1,16})-", text)}
    return lambda places: any(place in starts for place in places)


def tracepoints() -> Group:
    """The tracepoints that raw programs can be attached to, with their categories."""
    names = _read("tracefs", "available_events").split()
    # System calls have no tracepoints of their own.
    found = [
        Countable("tracepoint", name)
        for name in sorted(set(names))
        if not name.startswith(("syscalls:", "ftrace:", "initcall:"))
    ]
    return Group(found, [], "" if found else "tracefs cannot be read here")


def perf_number(tracepoint: str) -> int | None:
    """What perf knows a tracepoint by, as ``raw_syscalls:sys_enter``."""
    text = _read("tracefs", f"events/{tracepoint.replace(':', '/')}/id")
    return int(text) if re.fullmatch(r"\d{1,9}\n?", text) else None


def _read(file_system: str, name: str) -> str:
    """A file of tracefs or of debugfs; empty where there is none."""
    for folder in _folders(file_system):
        try:
            fd = os.open(name, os.O_RDONLY, dir_fd=folder)
            with open(fd, encoding="ascii", errors="replace") as file:
                return file.read()
        except OSError:
            continue
        finally:
            os.close(folder)
    return ""


# Where it is mounted as a rule, where it cannot be opened by itself.
_MOUNTED = {
    "tracefs": ("/sys/kernel/tracing", "/sys/kernel/debug/tracing"),
    "debugfs": ("/sys/kernel/debug",),
}


def _folders(file_system: str) -> Iterator[int]:
    with contextlib.suppress(OSError):
        yield syscalls.open_file_system(file_system)
    for path in _MOUNTED[file_system]:
        try:
            yield os.open(path, os.O_PATH | os.O_DIRECTORY)
        except OSError:
            continue
