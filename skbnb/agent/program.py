# SPDX-License-Identifier: Apache-2.0
"""One probe's programs: compiled and loaded once, attached only while a trace runs."""

from __future__ import annotations

import ctypes
import os
import time
from typing import Any, Callable, Iterable, Mapping

from ..config import Config
from ..errors import ProbeError
from ..wire import BYTES_SIZE, RECORD_SIZE
from . import buffers, layout, memory, owners, scope, syscalls
from .attach import Attachment, attach, load
from .compiler import compiled, expand
from .probes import FOLLOW_TASKS, Probe
from .symbols import Symbols, function_names, kernel_symbols

# enum counter of bpf/skb_count.h, in order.
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
    "copies",
    "copies_lost",
    "ends_lost",
    "untracked",
    "stacks_collided",
    "stacks_failed",
    "sent_other",
    "sent_notebook",
    "sent_cell",
)

# enum option of bpf/skb_count.h
_FOLLOW, _COPY = 1, 2

# constant -> the kernel function whose bounds it tells, or another name of it.
_FUNCTIONS = {
    "SKB_CLONE": ("skb_clone",),
    "COPY": ("skb_copy",),
    "PSKB_COPY": ("__pskb_copy_fclone",),
    "ALLOC_SKB": ("__alloc_skb",),
    "TCP_WFREE": ("tcp_wfree",),
    "TCP_TRANSMIT_SKB": ("__tcp_transmit_skb",),
    # The first, since Linux 6.10, is called by the other.
    "SOFTIRQ": ("handle_softirqs", "__do_softirq"),
}

_IN_PAGES = "what TCP and sendfile() keep in pages, which are not to be found here"

_NO_LIMIT = (1 << 64) - 1


class Program:
    """A probe, compiled and loaded.

    Parameters
    ----------
    probe
        Which.
    config
        What of it is fixed when a program is loaded: see `key`.
    read_source
        Gives the text of a file of ``bpf/``.
    """

    def __init__(
        self, probe: Probe, config: Config, read_source: Callable[[str], str]
    ) -> None:
        self.probe = probe
        self.size = config.ring_mib << 20
        self.buffer = buffers.choose(config.buffer, self.size, config.snaplen)
        self.layout = layout.choose(config.layout)
        constants = symbol_constants(probe, kernel_symbols())
        flags = [*self.buffer.flags, *defines(constants)]
        if syscalls.has_fetching_atomics():
            flags.append("-DATOMICS_FETCH")
        if config.stacks:
            flags.append("-DSTACKS")
        self.bytes_missing = ""
        if config.snaplen:
            flags.append(f"-DSNAPLEN={config.snaplen}")
            found = memory.find(read_source)
            self.bytes_missing = _IN_PAGES if found is None else ""
            flags += defines(found or {})
        if probe.trial:
            # BCC keeps the maps of what fails to load, and ours are large.
            compiled(read_source(probe.trial), flags, self.layout).cleanup()
        text = expand(probe.source, read_source)
        self._bpf = compiled(text, flags, self.layout)
        self._attached: list[int] = []
        for attachment in FOLLOW_TASKS + probe.attachments:
            self._load(attachment)
        records = self._bpf[b"records"].map_fd
        self.reader = self.buffer.reader(records, self.size, _record_size(config))
        self._settings = self._bpf[b"settings"]
        self._counters = self._bpf[b"counters"]
        self._stacks: Any = self._bpf[b"stacks"] if config.stacks else None
        # The first lookup reads the whole symbol table: not when a trace ends.
        function_names()

    @staticmethod
    def key(probe: Probe, config: Config) -> tuple[object, ...]:
        """What one program serves: traces with the same key."""
        how = config.ring_mib, config.buffer, config.layout
        return (probe.name, *how, config.stacks, config.snaplen)

    def _load(self, attachment: Attachment) -> None:
        try:
            load(self._bpf, attachment)
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
        options = _FOLLOW * config.follow | _COPY * (config.also == "copy")
        self._settings[0] = self._settings.Leaf(limit, self._wakeup_mask(), options)
        self._forget()
        try:
            self._follow_tasks(config)
            for attachment in self._attachments(config):
                self._attach(attachment)
        except BaseException:
            self.detach()
            raise
        return before

    def _attachments(self, config: Config) -> tuple[Attachment, ...]:
        probe = self.probe
        return probe.attachments + (probe.copies if config.also == "copy" else ())

    def _forget(self) -> None:
        # What an earlier trace left.
        self.reader.skip()
        for name in (b"callers", b"sockets", b"living"):
            table = self._bpf[name]
            sizes = (ctypes.sizeof(kind) for kind in (table.Key, table.Leaf))
            syscalls.empty_map(table.map_fd, *sizes)
        named = self._bpf[b"named"]
        named[0] = named.Leaf()
        if self._stacks:
            for key in list(self._stacks):
                del self._stacks[key]

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
        return (1 << (self.size // self.reader.stride // 8).bit_length() - 1) - 1

    def _follow_tasks(self, config: Config) -> None:
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
        try:
            self._attached.append(attach(self._bpf, attachment))
        except OSError as error:
            if attachment.optional and isinstance(error, FileNotFoundError):
                return
            raise ProbeError(
                f"does not attach to {attachment.target}: {error.strerror}"
            ) from error

    def detach(self) -> None:
        """Detach whatever is attached, the clones' own programs first."""
        while self._attached:
            os.close(self._attached.pop())

    def counters(self) -> dict[str, int]:
        """The kernel's counters, since the program was loaded."""
        counted = {name: self._counters[i].value for i, name in enumerate(COUNTERS)}
        loaded = self._bpf.funcs.values()
        counted["skipped"] = sum(syscalls.skipped_runs(one.fd) for one in loaded)
        return counted

    def sockets(self) -> tuple[list[bytes], set[int]]:
        """The sockets that records name, each its key and its value.

        And the ids of the control groups that they are in.
        """
        found = [(bytes(key), value) for key, value in self._bpf[b"sockets"].items()]
        unused = {value.inode for _, value in found if value.inode and not value.pid}
        held_by = owners.holders(unused, owners.processes()) if unused else {}
        for _, value in found:
            if value.inode in held_by:
                value.pid, value.comm = held_by[value.inode]
        cgroups = {value.cgroup for _, value in found if value.cgroup}
        return [key + bytes(value) for key, value in found], cgroups

    def gone_cgroups(self, ids: set[int]) -> dict[int, bytes]:
        """Id -> path of those of these control groups that were removed in a trace."""
        table = self._bpf[b"gone_cgroups"]
        keys = [key for key in map(table.Key, ids) if key in table]
        return {key.value: table[key].text for key in keys}

    def stacks(self) -> dict[int, list[int]]:
        """The kernel stacks by their ids: addresses, innermost first."""
        found = self._stacks.items() if self._stacks else ()
        # What is not used of each is zero.
        return {key.value: [ip for ip in value.ip if ip] for key, value in found}

    def functions(
        self, addresses: Iterable[int]
    ) -> tuple[dict[str, str], dict[str, str]]:
        """Where every caller and these addresses lie: address in hex -> function.

        And the same -> module, where it is in one.
        """
        names = function_names()
        # BPF programs, which come and go, are on stacks only.
        names.refresh(always=self._stacks is not None)
        callers = (address.value for address in self._bpf[b"callers"])
        found = {f"{a:#x}": names.name(a) for a in {*callers, *addresses}}
        return (
            {address: name for address, (name, _) in found.items() if name},
            {address: module for address, (_, module) in found.items() if module},
        )

    def close(self) -> None:
        """Unload everything."""
        self.detach()
        self.reader.close()
        self._bpf.cleanup()


def _record_size(config: Config) -> int:
    """Bytes of a record and the packet's bytes behind it, which fill up to eight."""
    bytes_size = BYTES_SIZE + (config.snaplen + 7) // 8 * 8 if config.snaplen else 0
    return RECORD_SIZE + bytes_size


def defines(constants: Mapping[str, int]) -> list[str]:
    """Constants as compiler flags."""
    return [f"-D{name}={value}ULL" for name, value in constants.items()]


def symbol_constants(probe: Probe, symbols: Symbols) -> dict[str, int]:
    """Where the functions and variables lie that the C files ask for.

    Raises
    ------
    ProbeError
        The probe cannot do without one that is not there.
    """
    for symbol, lack in probe.needs:
        if symbols.bounds(symbol) is None:
            raise ProbeError(lack)
    if symbols.bounds("skb_clone") is None:
        raise ProbeError("the kernel's symbol table has no skb_clone()")
    constants = {}
    for name, functions in _FUNCTIONS.items():
        bounds = next(filter(None, map(symbols.bounds, functions)), None)
        if bounds:
            constants[f"{name}_START"], constants[f"{name}_END"] = bounds
    if os.uname().machine == "x86_64":
        # THREAD_SIZE of arch/x86/include/asm/page_64_types.h
        size = 32768 if symbols.bounds("kasan_report") else 16384
        constants["X86_STACK_SIZE"] = size
    return constants


def skb_size() -> int | None:
    """Bytes that the slab allocator takes for each struct sk_buff, if it tells."""
    try:
        with open("/proc/slabinfo") as file:
            fields = [line.split() for line in file]
    except OSError:
        return None
    sizes = (int(f[3]) for f in fields if f[0] == "skbuff_head_cache")
    return next(sizes, None)


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
