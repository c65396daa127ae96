# SPDX-License-Identifier: Apache-2.0
"""Calls that are only added up, in the kernel, by process."""

from __future__ import annotations

from typing import Iterator, Mapping, Sequence

from ..config import Config
from ..wire import TALLY
from .attach import Attachment
from .probes import FOLLOW_TASKS, Probe
from .program import Program

__all__ = ["Tally"]


class Tally(Program):
    """A sum for each process, name and scope."""

    @classmethod
    def source(cls, probe: Probe) -> str:
        """One for all probes."""
        return "tally.c"

    def _loaded(self) -> Sequence[Attachment]:
        return FOLLOW_TASKS + self.probe.calls

    def _prepare(self, config: Config, before: Mapping[str, int]) -> None:
        self._bpf[b"tallies"].clear()
        self._follow_tasks(config)

    def tallies(self) -> Iterator[bytes]:
        """The sums, packed."""
        for key, per_cpu in self._bpf[b"tallies"].items():
            yield TALLY.pack(key.pid, key.scope, key.comm, sum(per_cpu))
