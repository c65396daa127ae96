# SPDX-License-Identifier: Apache-2.0
"""What the frames of a trace hold, found once for all that is selected of it."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from .config import WAYS
from .errors import StreamError
from .names import Names
from .parts import Index
from .payloads import Form
from .records import Told, Whole, rows_frame
from .tallies import tallies_frame
from .wire import Kind

if TYPE_CHECKING:
    import pandas as pd

    from .frames import Frames, Payloads

__all__ = ["Content"]


class Content:
    """Tables, each made when it is first asked for.

    Parameters
    ----------
    frames
        Of a whole trace.

    Attributes
    ----------
    frames
        As given.
    """

    def __init__(self, frames: Frames) -> None:
        self.frames = frames

    def fields(self, kind: Kind) -> dict[str, Any]:
        """Those of the first control frame of a kind; none, if there is no such one."""
        frame = self.frames.first(kind)
        return frame.fields if frame else {}

    @property
    def events(self) -> Payloads:
        """The payloads that hold records.

        Raises
        ------
        StreamError
            Nobody has said how they are read.
        """
        payloads = self.frames.payloads(Kind.EVENTS)
        if payloads and not (self.told.hello and self.told.ready):
            raise StreamError("events before a HELLO and a READY")
        return payloads

    @functools.cached_property
    def told(self) -> Told:
        """What the other frames say."""
        stacks = self.frames.payloads(Kind.STACKS)
        return Told(
            self.fields(Kind.HELLO),
            self.fields(Kind.READY),
            Names.of(self.fields(Kind.SYMBOLS), stacks),
            b"".join(self.frames.payloads(Kind.SOCKETS)),
        )

    @functools.cached_property
    def rows(self) -> pd.DataFrame:
        """All rows."""
        if self.via == "count":
            return tallies_frame(self.frames.payloads(Kind.TALLIES))
        return rows_frame(Whole(self.events, Form.of(self.told.hello)), self.told)

    @functools.cached_property
    def index(self) -> Index:
        """Where which records are."""
        hello = self.told.hello
        follow = bool(hello.get("follow"))
        return Index(self.events, Form.of(hello), follow=follow)

    @property
    def via(self) -> str:
        """What the kernel gave for each call: as in `skbnb.config.Config`."""
        via: str = self.fields(Kind.HELLO).get("via", "ring")
        if via not in WAYS:
            raise StreamError(f"a trace via {via!r:.40}, which is no way to trace")
        return via
