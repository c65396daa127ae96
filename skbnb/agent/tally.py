# SPDX-License-Identifier: Apache-2.0
"""Calls that are only added up, in the kernel, by process."""

from __future__ import annotations

import struct
from typing import Mapping, Sequence

from ..config import Config
from ..wire import TALLY
from .attach import Attachment
from .probes import FOLLOW_TASKS, Probe
from .program import Program, Sink

__all__ = ["Tally"]

_KEY = struct.Struct("=II16s")  # struct tally_key of bpf/skb_event.h


class Tally(Program):
    """A sum for each process, name and scope."""

    @classmethod
    def source(cls, probe: Probe) -> str:
        """One for all probes."""
        return "tally.c"

    def _needed(self) -> Sequence[Attachment]:
        return FOLLOW_TASKS + self.probe.calls

    _sums: Sequence[tuple[int, int, bytes, int]] = ()

    def attach(self, config: Config) -> dict[str, int]:
        """Attach, with no sums."""
        return {**super().attach(config), "emitted": 0}

    def _prepare(self, config: Config, before: Mapping[str, int]) -> None:
        self._sums = ()
        self.maps["tallies"].clear()
        self._follow_tasks(config)

    def rest(self, sink: Sink, most: int) -> None:
        """Read the sums, after `detach`."""
        self._sums = [
            (*_KEY.unpack(key), sum(struct.unpack(f"={len(values) // 8}Q", values)))
            for key, values in self.maps["tallies"].items()
        ]

    def tallies(self) -> list[bytes]:
        """The sums that were read, packed."""
        return [TALLY.pack(*one) for one in self._sums]

    def counters(self) -> dict[str, int]:
        """The kernel's counters, and the calls that the sums add up to."""
        return {**super().counters(), "emitted": sum(one[-1] for one in self._sums)}
