# SPDX-License-Identifier: Apache-2.0
"""The calls of a running trace as lines, of which only so many are made at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..payloads import Form, name_of
from ..schema import RECORD, Has, Kind
from ..views import CALL_TITLES, call_line
from ..wire import Frame
from ..wire import Kind as FrameKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from ..traces import Selection

__all__ = ["Lines"]

# Kinds of records that are calls, and what a table calls them.
_CALLS = {
    Kind.CLONE: "clone",
    Kind.FAILED: "failed",
    Kind.COPY: "copy",
    Kind.COPY_FAILED: "copy failed",
}


class Lines:
    """The handbook's columns: TIME(s), COMM, PID and COUNT.

    The time is that since the first call shown. More than `most` calls at a time are
    counted and not shown.

    Parameters
    ----------
    selection
        Which calls are shown.
    most
        How many of those that have come since the last `take`.
    """

    def __init__(self, selection: Selection, most: int = 100) -> None:
        self._selection = selection
        self._most = most
        self._seen = 0
        self._form, self._base = Form(), 0
        self._first: int | None = None

    @property
    def begun(self) -> bool:
        """Whether there has been any."""
        return self._first is not None

    def take(self, frames: Sequence[Frame]) -> list[str]:
        """Lines for what is new since the last call; with titles above the first."""
        new = frames[self._seen :]
        self._seen += len(new)
        found = [calls for calls in map(self._calls, new) if len(calls)]
        if not found:
            return []
        calls = np.concatenate(found)
        lines = [] if self._first is not None else [CALL_TITLES]
        shown = calls[np.argsort(calls["ts"], kind="stable")][: self._most]
        if self._first is None:
            self._first = int(shown["ts"][0])
        lines += self._lines(shown)
        more = len(calls) - len(shown)
        return [*lines, f"... {more:,} more"] if more else lines

    def _calls(self, frame: Frame) -> NDArray[Any]:
        """The records of a frame that are calls of the selection."""
        if frame.kind is FrameKind.HELLO:
            self._form = Form.of(frame.fields)
        elif frame.kind is FrameKind.READY:
            self._base = frame.fields["base"]
        if frame.kind is not FrameKind.EVENTS:
            return np.empty(0, RECORD)
        records = self._form.records(frame.payload)
        is_call = np.isin(records["kind"], list(_CALLS))
        return records[is_call & self._selection.of_records(records)]

    def _lines(self, calls: NDArray[Any]) -> Iterator[str]:
        assert self._first is not None
        columns = (calls[name].tolist() for name in ("ts", "pid", "count"))
        numbered = (calls["present"] & Has.COUNT).astype(np.bool_).tolist()
        names = [name.tobytes() for name in calls["comm"]]
        for ts, pid, count, known, name, kind in zip(
            *columns, numbered, names, calls["kind"].tolist(), strict=True
        ):
            number = str(count - self._base) if known else "-"
            t = (ts - self._first) / 1e9
            yield call_line(t, name_of(name), pid, number, _CALLS[kind])
