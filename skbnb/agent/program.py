# SPDX-License-Identifier: Apache-2.0
"""One C file for one probe: loaded once, attached only while a trace runs."""

from __future__ import annotations

import contextlib
import os
import struct
import time
from collections import Counter
from typing import Callable, ClassVar, Iterator, Mapping, Sequence

from ..config import Config
from ..errors import LayoutError, ProbeError
from . import kept, layout, scope, syscalls
from .attach import Attachment, attach, load, try_out
from .buffers import Reader
from .compiler import compiled, expand
from .loaded import Loaded
from .objects import Object
from .probes import FOLLOW_TASKS, Probe
from .symbols import Symbols, kernel_symbols
from .viewer import Viewer

Sink = Callable[[memoryview], None]

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
    "copies_entered",
    "copies_returned",
    "ends_lost",
    "untracked",
    "stacks_collided",
    "stacks_failed",
    "sent_other",
    "sent_notebook",
    "sent_cell",
)

_LOST = COUNTERS.index("lost")

# Runs of programs that the kernel left out, by what each of them means: a call that is
# not counted, a copy that is not, or less known of something, which may be a call.
SKIPS = ("calls_skipped", "copies_skipped", "skipped")

# Of `KINDS`, those that can be hit without that their program is run or skipped.
_TELLING = ("kprobe", "kretprobe")

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


class Program:
    """One way to trace, by one probe.

    Parameters
    ----------
    probe
        Which.
    config
        What of it is fixed when a program is loaded: see `key`.
    read_source
        Gives the text of a file of ``bpf/``.
    viewer
        Who looks.

    Attributes
    ----------
    buffer_name, buffer_why
        What carries records, and why it is not the better one; empty for nothing.
    bytes_missing
        What is left out of the packets' bytes; empty for nothing.
    loses_unseen
        Whether it is only known at the end how many calls were lost.
    maps
        What it shares with the kernel, by the names that the C files have for it.
    is_kept
        Whether the next agent can do with what was compiled for this one.
    counts_anew
        Whether each trace's calls are numbered from 1.
    """

    buffer_name = ""
    buffer_why = ""
    bytes_missing = ""
    loses_unseen: ClassVar[bool] = False
    is_kept: ClassVar[bool] = True
    counts_anew: ClassVar[bool] = True
    stride = offset = 0

    def __init__(
        self,
        probe: Probe,
        config: Config,
        read_source: Callable[[str], str],
        viewer: Viewer,
    ) -> None:
        self.probe = probe
        self._viewer = viewer
        self.layout = layout.choose(config.layout)
        self._attached: list[tuple[int, Attachment]] = []
        self._unseen: Counter[str] = Counter()
        constants = symbol_constants(probe, kernel_symbols())
        constants.update(viewer.constants())
        flags = [*self._flags(config, read_source), *defines(constants)]
        flags.append(f"-DPROBE_{probe.name.upper()}")
        if syscalls.has_fetching_atomics():
            flags.append("-DATOMICS_FETCH")
        text = expand(self.source(probe), read_source)
        with _reasons():
            try_out(self._needed())
        compile_ = kept.compiled if self.is_kept else compiled
        made = compile_(text, flags, self.layout)
        with _reasons():
            self._loaded = self._load(made)
        self.maps = self._loaded.maps
        attachments = (*self._needed(), *probe.copies)
        self._skips = {one.function: one.skips for one in attachments}
        self._counters = self.maps["counters"].numbers()

    @classmethod
    def key(cls, probe: Probe, config: Config) -> tuple[object, ...]:
        """What one program serves: traces with the same key."""
        return (config.via, probe.name, config.layout)

    # What the ways differ in.

    @classmethod
    def source(cls, probe: Probe) -> str:
        """Its file in ``bpf/``."""
        raise NotImplementedError

    def _flags(
        self, config: Config, read_source: Callable[[str], str]
    ) -> Sequence[str]:
        """For clang, beside what all have."""
        return ()

    def _needed(self) -> Sequence[Attachment]:
        """What is loaded, to be attached later."""
        return self.probe.calls

    def _wanted(self, config: Config) -> Sequence[Attachment]:
        """What a trace attaches, in order."""
        return self.probe.calls

    def _prepare(self, config: Config, before: Mapping[str, int]) -> None:
        """Forget what an earlier trace left, before anything is attached."""

    @property
    def fds(self) -> Sequence[int]:
        """What to poll."""
        return ()

    def drain(self, sink: Sink, most: int) -> int:
        """Hand what is there to `sink`, and tell how many records that was."""
        return 0

    @property
    def is_behind(self) -> bool:
        """Whether `drain` left there what had been there when it was called."""
        return False

    @property
    def is_filling(self) -> bool:
        """Whether there will be no room for calls, if nothing is handed over soon."""
        return True

    def rest(self, sink: Sink, most: int) -> None:
        """Hand over what is left, after `detach`."""
        while self.drain(sink, most):
            pass

    # What they have in common.

    def _load(self, made: Object) -> Loaded:
        loaded = Loaded(made)
        try:
            for attachment in self._needed():
                load(loaded, attachment)
        except BaseException:
            loaded.close()
            raise
        return loaded

    def attach(self, config: Config) -> dict[str, int]:
        """Attach everything for a trace and give the counters as they stood then.

        Raises
        ------
        ProbeError
            With the reason; nothing is left attached.
        """
        before = self.counters()
        try:
            self._prepare(config, before)
            for attachment in self._wanted(config):
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
            for attachment in self._needed():
                self._attach(attachment)
        finally:
            self.detach()

    def _follow_tasks(self, config: Config) -> None:
        # Look again until nothing is new: a task made between the look and the update
        # is missed by both, one made after the update is followed in the kernel.
        tasks = self.maps["tasks"]
        tasks.clear()
        for attachment in FOLLOW_TASKS:
            self._attach(attachment)
        known: set[int] = set()
        while True:
            ids = config.cell_tid, config.notebook_pid
            seeds = scope.seeds(*ids, self._viewer.sees)
            fresh = seeds.keys() - known
            if not fresh:
                return
            for tid in fresh:
                tasks.set(struct.pack("=I", tid), bytes([seeds[tid]]))
            known |= fresh

    def _attach(self, attachment: Attachment) -> None:
        try:
            self._attached.append((attach(self._loaded, attachment), attachment))
        except OSError as error:
            if attachment.optional and isinstance(error, FileNotFoundError):
                return
            raise ProbeError(
                f"does not attach to {attachment.target}: {error.strerror}"
            ) from error

    def detach(self) -> None:
        """Detach whatever is attached, the clones' own programs first."""
        while self._attached:
            fd, attachment = self._attached.pop()
            self._unseen[attachment.skips] += _missed(fd, attachment)
            os.close(fd)

    def counters(self) -> dict[str, int]:
        """The kernel's counters, since the program was loaded."""
        counted = dict(zip(COUNTERS, self._counters))
        counted["emitted"] = counted["counted"] = counted["foreign"] = 0
        return {**counted, **self._skipped()}

    def _skipped(self) -> dict[str, int]:
        skipped = Counter(self._unseen)
        for fd, attachment in self._attached:
            skipped[attachment.skips] += _missed(fd, attachment)
        for function, fd in self._loaded.programs.items():
            skipped[self._skips.get(function, "skipped")] += syscalls.skipped_runs(fd)
        return {name: skipped[name] for name in SKIPS}

    def lost(self) -> int:
        """Of the counters, how many calls the kernel had no room for."""
        lost: int = self._counters[_LOST]
        return lost

    def close(self) -> None:
        """Unload everything."""
        self.detach()
        self._loaded.close()


def _missed(fd: int, attachment: Attachment) -> int:
    """How often a probe was hit and its program not even asked for."""
    return syscalls.missed_runs(fd) if attachment.kind in _TELLING else 0


@contextlib.contextmanager
def _reasons() -> Iterator[None]:
    """Say of what the kernel does not take that a probe does not load."""
    try:
        yield
    except OSError as error:
        raise ProbeError(f"does not load: {error.strerror}") from error
    except LayoutError as error:
        raise ProbeError(f"does not load: {error.args[0]}", error.hint) from error


class Buffered(Program):
    """A way whose programs write into a buffer, which `_reader` reads."""

    _reader: Reader

    def _read_from(self, reader: Reader) -> None:
        self._reader = reader
        self.stride, self.offset = reader.stride, reader.offset
        self._emitted = 0

    def _calls_in(self, block: memoryview) -> int:
        """How many calls these records are of."""
        return len(block) // self.stride

    @property
    def fds(self) -> Sequence[int]:
        """Those of the buffer."""
        return self._reader.fds

    def drain(self, sink: Sink, most: int) -> int:
        """Hand what is committed to `sink`."""

        def hand_over(block: memoryview) -> None:
            sink(block)
            self._emitted += self._calls_in(block)

        return self._reader.drain(hand_over, most)

    @property
    def is_filling(self) -> bool:
        """Whether a quarter of the buffer is full."""
        return self._reader.is_filling

    def counters(self) -> dict[str, int]:
        """The kernel's counters, and how many calls were handed over."""
        return {**super().counters(), "emitted": self._emitted}

    def close(self) -> None:
        """Give the buffer's memory back, too."""
        self._reader.close()
        super().close()


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
