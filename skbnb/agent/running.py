# SPDX-License-Identifier: Apache-2.0
"""A trace that is running: until when, and what has become of its calls."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from ..config import Config
from ..wire import LOST, PARTS
from .program import Program, Sink

__all__ = ["Running"]

# How long calls that were under way on another CPU may take to be a record, or lost.
_SETTLE_SECONDS = 1.0


@dataclass
class Running:
    """One trace, from when it is attached to when it has been told.

    What the counts mean is said once, at `wire.PARTS`.

    Attributes
    ----------
    before
        The counters as they stood when it was attached.
    namespaces
        Names of network namespaces, as they were then.
    began, ended
        Monotonic, ns; 0: not yet.
    why
        Why it was detached; empty: it is not.
    told
        The counts that the notebook knows of.
    next_progress
        When it may be told again.
    """

    program: Program
    config: Config
    before: dict[str, int]
    namespaces: dict[str, str]
    began: int
    ended: int = 0
    why: str = ""
    told: dict[str, int | None] = field(default_factory=dict)
    next_progress: float = 0.0
    # Lost so far, when a write began to wait for the reader.
    _lost_before: int | None = None
    _lost_by_reader: int = 0
    _waited: bool = False

    @property
    def deadline(self) -> float:
        """When it has to be detached, by `time.monotonic`."""
        return self.began / 1e9 + (self.config.max_seconds or float("inf"))

    def detach(self, why: str) -> None:
        """End it, once: from now on it costs nothing. What is left is handed over."""
        if not self.why:
            self.program.detach()
            self.ended = time.monotonic_ns()
            self.why = why

    def drain(self, sink: Sink, most: int) -> None:
        """Hand over what is there."""
        self._waited = False
        self.program.drain(sink, most)
        if not (self._waited or self.program.is_behind):
            self._caught_up()

    def wait(self) -> None:
        """Note that a write waits for the reader, in the middle of `drain` or later."""
        self._waited = True
        if self._lost_before is None:
            self._lost_before = self.program.lost()

    def _caught_up(self) -> None:
        # Until then there was no room because the reader made us wait.
        if self._lost_before is not None:
            self._lost_by_reader += self.program.lost() - self._lost_before
            self._lost_before = None

    def so_far(self) -> dict[str, int | None]:
        """What a PROGRESS frame says."""
        account = self._account()
        said: dict[str, int | None] = {name: account[name] for name in ("calls", *LOST)}
        if self.program.loses_unseen:
            said["lost_full"] = None
        return said

    def settle(self, sink: Sink, most: int) -> dict[str, int]:
        """Hand over all that is left, and give the account, after `detach`."""
        give_up = time.monotonic() + _SETTLE_SECONDS
        while True:
            self.program.rest(sink, most)
            account = self._account()
            # A call may still be under way on another CPU.
            adds_up = account["calls"] == sum(account[name] for name in PARTS)
            if adds_up or time.monotonic() > give_up:
                return account
            time.sleep(0.001)

    def _account(self) -> dict[str, int]:
        """What a STATS frame says of calls, and what else was counted."""
        after = self.program.counters()
        counts = {name: after[name] - self.before[name] for name in after}
        lost = counts.pop("lost")
        reader = self._lost_by_reader
        if self._lost_before is not None:
            reader += after["lost"] - self._lost_before
        reader = max(0, min(reader, lost))
        unseen = counts.pop("calls_skipped")
        missed = counts.pop("entered") - counts.pop("returned") + unseen
        return {
            **counts,
            "calls": counts["calls"] + missed,
            "missed": missed,
            "lost_full": lost - reader,
            "lost_limit": counts.pop("limited"),
            "lost_reader": reader,
            "copies_missed": counts.pop("copies_entered")
            - counts.pop("copies_returned")
            + counts.pop("copies_skipped"),
        }
