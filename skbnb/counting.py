# SPDX-License-Identifier: Apache-2.0
"""One count of calls, of functions, tracepoints and system calls: begin and end."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from . import notebook
from .config import Counting as CountRequest
from .config import Listing
from .errors import OptionError, StreamError, TruncatedWarning
from .patterns import Catalogue, Choice, Countable, choose, read
from .session import Session, interrupts_held
from .transport import ReplayTransport, Transport
from .units import counted, printable
from .wire import Frame, Kind

if TYPE_CHECKING:
    from types import TracebackType

    from .counts import Counts

__all__ = ["LIMIT", "Counting", "funccount"]

LIMIT = 1000

Progress = Callable[[int, int], None]


class Counting:
    """A count of calls, as a context manager; made by `funccount`."""

    def __init__(
        self,
        patterns: Sequence[str],
        limit: int,
        is_regex: bool,
        transport: Transport | None,
        progress: Progress,
    ) -> None:
        read(patterns, limit, is_regex)
        self._patterns = patterns
        self._limit = limit
        self._is_regex = is_regex
        self._transport = transport
        self._progress = progress
        self._told = 0
        self._session: Session | None = None
        self._choice = Choice([], [], {})
        self._wanted: list[Countable] = []

    def begin(self) -> Counts:
        """Attach, and give what `end` fills.

        Raises
        ------
        BusyError
            A trace or a count is running in this notebook already.
        OptionError
            The patterns match nothing, or too much.
        SkbnbError
            Why it cannot be.
        """
        from .counts import Counts

        notebook.claim(self)
        try:
            transport = self._transport or notebook.agent()
            if isinstance(transport, ReplayTransport):
                raise OptionError(
                    "there is no kernel to count in: SKBNB_AGENT names a recording",
                    "Unset it.",
                )
            self._choose(transport)
            request = CountRequest(self._choice.numbers)
            self._session = Session(transport, request, waiting=self._tell)
            self._session.start()
            self._tell()
        except BaseException:
            notebook.release(self)
            raise
        self.counts = Counts()
        return self.counts

    def _choose(self, transport: Transport) -> None:
        # Anew each time: modules come and go.
        listing = Session(transport, Listing())
        listing.start()
        listing.stop()
        catalogue = Catalogue.of(listing.frames)
        self._choice = choose(self._patterns, catalogue, self._limit, self._is_regex)
        self._wanted = [catalogue.names[number] for number in self._choice.numbers]

    def _tell(self) -> None:
        """Say how far attaching is, where that takes long."""
        assert self._session
        frames = self._session.frames
        attaching = [frame for frame in frames if frame.kind is Kind.ATTACHING]
        if attaching and frames[-1].kind is Kind.READY:
            self._progress(len(self._wanted), len(self._wanted))
        elif len(attaching) > self._told:
            self._told = len(attaching)
            said = attaching[-1].fields
            self._progress(said["done"], said["total"])

    def end(self) -> Counts:
        """Detach, and fill the counts."""
        assert self._session
        with interrupts_held():
            self._session.stop()
            notebook.release(self)
            self.counts.fill(self._wanted, self._about())
        return self.counts

    def _about(self) -> dict[str, Any]:
        assert self._session
        truncated = self._session.truncated
        said = _counts(self._session.frames, len(self._wanted))
        if said is None and not truncated:
            truncated = "the stream has no counts"
        barred = dict.fromkeys(self._choice.barred, "the kernel forbids it")
        return {
            "patterns": list(self._patterns),
            "counts": said["counts"] if said else [None] * len(self._wanted),
            "refused": {
                **{
                    self._wanted[int(slot)].name: printable(why, 200)
                    for slot, why in (said["refused"] if said else {}).items()
                },
                **barred,
            },
            "unmet": self._choice.unmet,
            "how": {k: int(v) for k, v in said["how"].items()} if said else {},
            "compat": said["compat"] if said else None,
            "missed": said["missed"] if said else None,
            "duration": (said["ended"] - said["began"]) / 1e9 if said else None,
            "truncated": truncated,
        }

    def __enter__(self) -> Counts:
        return self.begin()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        warn(self.end())


def warn(counts: Counts) -> None:
    """Say what is missing from counts that nobody displays."""
    if counts.about["truncated"]:
        warnings.warn(
            f"nothing was counted: {counts.about['truncated']}",
            TruncatedWarning,
            stacklevel=3,
        )


def _counts(frames: Sequence[Frame], number: int) -> dict[str, Any] | None:
    said = next((frame.fields for frame in frames if frame.kind is Kind.COUNTS), None)
    if said is None:
        return None
    good = len(said["counts"]) == number and all(
        count is None or (type(count) is int and count >= 0) for count in said["counts"]
    )
    slots = {str(slot) for slot in range(number)}
    if not good or not slots >= said["refused"].keys():
        raise StreamError("a COUNTS frame with bad counts")
    return said


def in_terminal(done: int, total: int) -> None:
    """Say how far attaching is, in one line of a terminal that goes at its end."""
    if not sys.stderr.isatty():
        return
    line = f"attaching: {done:,} of {counted(total, 'function')}"
    sys.stderr.write(f"\r{line}" if done < total else f"\r{' ' * 60}\r")
    sys.stderr.flush()


def funccount(
    *patterns: str,
    regex: bool = False,
    limit: int = LIMIT,
    transport: Transport | None = None,
    progress: Progress | None = None,
) -> Counting:
    """Count calls of kernel functions while a ``with`` block runs, machine-wide.

    ::

        with skbnb.funccount("vfs_*", "sys_read") as counts:
            ...
        counts.table

    Parameters
    ----------
    patterns
        Globs of kernel functions (``vfs_*``, also ``p:vfs_*``), of system calls
        (``sys_*``) and of tracepoints (``t:skb:*``).
    regex
        Whether they are regular expressions, which are searched for.
    limit
        The most functions that they may match.
    transport
        What counts; by default the notebook's warm agent.
    progress
        Called with how many are attached, and of how many, where attaching takes long;
        by default a line in the terminal.

    Returns
    -------
    Counting
        A context manager that gives `Counts`, filled when the block ends.

    Raises
    ------
    OptionError
        A pattern is malformed.
    """
    return Counting(patterns, limit, regex, transport, progress or in_terminal)
