# SPDX-License-Identifier: Apache-2.0
"""The two first programs of a handbook: a line of text for each call, or a struct."""

from __future__ import annotations

import secrets
from typing import Callable, Mapping, Sequence

from ..config import Config
from ..wire import HANDBOOK
from .perf import PerfBuffers
from .probes import Probe
from .program import Buffered, Program, Sink
from .tracepipe import TracePipe
from .viewer import Viewer

__all__ = ["Printer", "Sender"]


class _FirstProgram(Program):
    """What both have: a counter of their own, which calls can be lost from."""

    def attach(self, config: Config) -> dict[str, int]:
        """Attach, with the counter at 0."""
        return {**super().attach(config), "counted": 0}

    def _prepare(self, config: Config, before: Mapping[str, int]) -> None:
        self.maps["counter"].clear()

    def counters(self) -> dict[str, int]:
        """The kernel's counters, and the program's own."""
        counted = super().counters()
        # Not while it is at work: see what bpf/skb_count.h says of `counters`.
        if not self._attached:
            values = (value for _, value in self.maps["counter"].items())
            counted["counted"] = sum(int.from_bytes(one, "little") for one in values)
        return counted


class Printer(_FirstProgram):
    """By ``bpf_trace_printk()``, read from the trace pipe."""

    loses_unseen = True
    # Its mark is another one each time.
    is_kept = False
    stride = HANDBOOK.size

    @classmethod
    def source(cls, probe: Probe) -> str:
        """One for all probes."""
        return "handbook_trace.c"

    def _flags(
        self, config: Config, read_source: Callable[[str], str]
    ) -> Sequence[str]:
        mark = secrets.randbits(64)
        self._pipe = TracePipe(b"skbnb %x" % mark)
        return (f"-DMARK={mark}ULL",)

    @property
    def fds(self) -> Sequence[int]:
        """That of the pipe."""
        return self._pipe.fds

    def drain(self, sink: Sink, most: int) -> int:
        """Hand the lines to `sink`, as structs."""
        return self._pipe.drain(sink, most)

    def rest(self, sink: Sink, most: int) -> None:
        """Read on until nothing more can come, and give the pipe back."""
        self._pipe.end(sink)

    def attach(self, config: Config) -> dict[str, int]:
        """Take the pipe, and attach."""
        self._pipe.open()
        try:
            return super().attach(config)
        except BaseException:
            self._pipe.close()
            raise

    @property
    def is_behind(self) -> bool:
        """Whether the pipe was left with lines in it."""
        return self._pipe.is_behind

    def counters(self) -> dict[str, int]:
        """The kernel's counters; all calls without a line that has come are lost."""
        counted = super().counters()
        counted["emitted"] = self._pipe.lines
        counted["lost"] = counted["calls"] - counted["emitted"]
        counted["foreign"] = self._pipe.foreign
        return counted

    def lost(self) -> int:
        """Calls without a line that has come."""
        return self.counters()["lost"]

    def close(self) -> None:
        """Give the pipe back, too."""
        self._pipe.close()
        super().close()


class Sender(_FirstProgram, Buffered):
    """By ``perf_submit()``, read from the perf buffers."""

    buffer_name = "perf"

    @classmethod
    def source(cls, probe: Probe) -> str:
        """One for all probes."""
        return "handbook_perf.c"

    def __init__(
        self,
        probe: Probe,
        config: Config,
        read_source: Callable[[str], str],
        viewer: Viewer,
    ) -> None:
        super().__init__(probe, config, read_source, viewer)
        records = self.maps["records"]
        self._read_from(PerfBuffers(records, config.ring_mib << 20, HANDBOOK.size))

    @classmethod
    def key(cls, probe: Probe, config: Config) -> tuple[object, ...]:
        """The buffers have a size."""
        return (*super().key(probe, config), config.ring_mib)

    def _prepare(self, config: Config, before: Mapping[str, int]) -> None:
        super()._prepare(config, before)
        self._reader.skip()
