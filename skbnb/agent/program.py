# SPDX-License-Identifier: Apache-2.0
"""One probe's programs: compiled and loaded once, attached only while a trace runs."""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import re
import tempfile
import time
from typing import Any, Callable, Iterator

from ..config import Config
from ..errors import BccError, LayoutError, ProbeError
from ..wire import RECORD_SIZE
from . import kheaders, layout, messages, scope
from .attach import KINDS, Attachment
from .probes import FOLLOW_TASKS, Probe
from .ring import Ring
from .symbols import Symbols, kernel_symbols

# enum counter of bpf/skb_common.h, in order.
COUNTERS = (
    "calls",
    "lost",
    "limited",
    "failed",
    "sightings",
    "sightings_lost",
    "tasks_lost",
    "entered",
    "returned",
)

_NO_LIMIT = (1 << 64) - 1


def import_bcc() -> Any:
    """The distribution's bcc, told apart from PyPI's package of that name."""
    try:
        import bcc
    except ImportError as error:
        raise BccError(
            f"{os.path.realpath('/proc/self/exe')} has no BCC ({error})"
        ) from None
    if not hasattr(bcc, "BPF"):
        raise BccError(
            f"the module bcc at {getattr(bcc, '__file__', '?')} is not BCC but PyPI's "
            "package of that name",
            "Run `pip uninstall bcc`, then install python3-bpfcc (Debian, Ubuntu), "
            "python3-bcc (Fedora) or python-bcc (Arch).",
        )
    return bcc


class Program:
    """A probe, compiled and loaded.

    Parameters
    ----------
    probe
        Which.
    ring_mib
        Size of its ring.
    read_source
        Gives the text of a file of ``bpf/``.
    """

    def __init__(
        self, probe: Probe, ring_mib: int, read_source: Callable[[str], str]
    ) -> None:
        self.probe = probe
        self.ring_mib = ring_mib
        self._bcc = import_bcc()
        size = ring_mib << 20
        flags = [
            f"-DRING_PAGES={size // mmap.PAGESIZE}",
            *_symbol_flags(probe, kernel_symbols()),
            *kheaders.user_include_flags(),
            "-Wno-everything",
        ]
        if probe.trial:
            # BCC keeps the maps of what fails to load, and ours are large.
            self._compile(read_source(probe.trial), flags).cleanup()
        self._bpf = self._compile(expand(probe.source, read_source), flags)
        # What BCC attaches on its own account while it compiles.
        self._attached = [
            a for a in probe.attachments if not KINDS[a.kind].program_type
        ]
        self.detach()
        for attachment in FOLLOW_TASKS + probe.attachments:
            self._load(attachment)
        self.ring = Ring(self._bpf[b"ring"].map_fd, size, RECORD_SIZE)
        self._settings = self._bpf[b"settings"]
        self._counters = self._bpf[b"counters"]
        # The first lookup reads the whole symbol table: not when a trace ends.
        self._bcc.BPF.ksym(0)

    def _compile(self, text: str, flags: list[str]) -> Any:
        try:
            layout_flags = layout.from_btf()
        except LayoutError as no_btf:
            try:
                layout_flags = layout.from_headers()
            except LayoutError as no_headers:
                raise LayoutError(
                    f"{no_btf.args[0]} and {no_headers.args[0]}", no_headers.hint
                ) from None
            return self._bpf_of(text, flags + layout_flags)
        with stub_headers():
            return self._bpf_of(text, flags + layout_flags)

    def _bpf_of(self, text: str, flags: list[str]) -> Any:
        try:
            return self._bcc.BPF(text=text, cflags=flags)
        except Exception as error:
            said = messages.take_error() or str(error)
            raise ProbeError(f"does not load: {said}") from error

    def _load(self, attachment: Attachment) -> None:
        program_type = KINDS[attachment.kind].program_type
        if program_type is None:
            return
        try:
            self._bpf.load_func(
                attachment.function.encode(), getattr(self._bcc.BPF, program_type)
            )
        except Exception as error:
            raise ProbeError(f"does not load: {error}") from error

    def attach(self, config: Config) -> dict[str, int]:
        """Attach everything for a trace and give the counters as they stood then.

        Raises
        ------
        ProbeError
            With the reason; nothing is left attached.
        """
        before = self.counters()
        limit = before["calls"] + config.max_events if config.max_events else _NO_LIMIT
        self._settings[0] = self._settings.Leaf(limit, self._wakeup_mask())
        self._bpf[b"callers"].clear()
        self.ring.skip()
        try:
            self._follow(config)
            for attachment in self.probe.attachments:
                self._attach(attachment)
        except BaseException:
            self.detach()
            raise
        return before

    def try_out(self) -> None:
        """Attach the probe and detach it.

        Raises
        ------
        ProbeError
            With the reason why it cannot be.
        """
        try:
            for attachment in self.probe.attachments:
                self._attach(attachment)
        finally:
            self.detach()

    def _wakeup_mask(self) -> int:
        # Wake the reader when about an eighth of the ring has filled: 2 ** n calls,
        # less one.
        return (
            1 << ((self.ring_mib << 20) // self.ring.stride // 8).bit_length() - 1
        ) - 1

    def _follow(self, config: Config) -> None:
        # Look again until nothing is new: a task made between the look and the update
        # is missed by both, one made after the update is followed in the kernel.
        tasks = self._bpf[b"tasks"]
        tasks.clear()
        for attachment in FOLLOW_TASKS:
            self._attach(attachment)
        known: set[int] = set()
        while True:
            seeds = scope.seeds(config.cell_tid, config.notebook_pid)
            fresh = seeds.keys() - known
            if not fresh:
                return
            for tid in fresh:
                tasks[ctypes.c_uint32(tid)] = ctypes.c_uint8(seeds[tid])
            known |= fresh

    def _attach(self, attachment: Attachment) -> None:
        kind, target, function = attachment
        try:
            KINDS[kind].attach(self._bpf, target.encode(), function.encode())
        except Exception as error:
            raise ProbeError(f"does not attach to {target}: {error}") from error
        self._attached.append(attachment)

    def detach(self) -> None:
        """Detach whatever is attached, the clones' own programs first."""
        while self._attached:
            kind, target, function = self._attached.pop()
            KINDS[kind].detach(self._bpf, target.encode(), function.encode())

    def counters(self) -> dict[str, int]:
        """The kernel's counters, since the program was loaded."""
        return {name: self._counters[i].value for i, name in enumerate(COUNTERS)}

    def functions(self) -> dict[str, str]:
        """Every caller's address in hex -> the function that it lies in."""
        named = {}
        for address in self._bpf[b"callers"]:
            symbol = self._bcc.BPF.ksym(address.value).decode("ascii", "replace")
            if symbol != "[unknown]":
                named[f"{address.value:#x}"] = symbol
        return named


def _symbol_flags(probe: Probe, symbols: Symbols) -> list[str]:
    for symbol, lack in probe.needs:
        if symbols.bounds(symbol) is None:
            raise ProbeError(lack)
    clone = symbols.bounds("skb_clone")
    if clone is None:
        raise ProbeError("the kernel's symbol table has no skb_clone()")
    constants = {"SKB_CLONE_START": clone.start, "SKB_CLONE_END": clone.end}
    for name, symbol in (
        ("TCP_WFREE", "tcp_wfree"),
        ("TCP_TRANSMIT_SKB", "__tcp_transmit_skb"),
    ):
        bounds = symbols.bounds(symbol)
        if bounds:
            constants[name] = bounds.start
    return [f"-D{name}={value}ULL" for name, value in constants.items()]


@contextlib.contextmanager
def stub_headers() -> Iterator[None]:
    """Point BCC at stub headers for as long as it compiles."""
    with tempfile.TemporaryDirectory(prefix="skbnb-") as folder:
        kheaders.write(folder)
        os.environ["BCC_KERNEL_SOURCE"] = folder
        try:
            yield
        finally:
            del os.environ["BCC_KERNEL_SOURCE"]


def expand(name: str, read_source: Callable[[str], str]) -> str:
    """One text of a C file and the files of ``bpf/`` that it includes.

    BCC rewrites only the main file, so includes cannot be left to clang; ``#line``
    keeps its messages right.
    """
    lines = [f'#line 1 "bpf/{name}"']
    for number, line in enumerate(read_source(name).splitlines(), 1):
        include = re.match(r'#include "(\w+\.h)"', line)
        if include:
            lines.append(expand(include.group(1), read_source))
            lines.append(f'#line {number + 1} "bpf/{name}"')
        else:
            lines.append(line)
    return "\n".join(lines)


def clock() -> dict[str, int]:
    """The monotonic and the wall clock at one moment, in ns: the best of five."""
    tries = []
    for _ in range(5):
        before = time.monotonic_ns()
        realtime = time.time_ns()
        after = time.monotonic_ns()
        tries.append((after - before, (before + after) // 2, realtime))
    _, monotonic, realtime = min(tries)
    return {"monotonic": monotonic, "realtime": realtime}
