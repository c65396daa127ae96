# SPDX-License-Identifier: Apache-2.0
"""Rows of a part of a trace, for which only that part of its records is read.

What is known beforehand of all records is an index: a few numbers for each megabyte of
them, found in one pass.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from .payloads import Form
from .records import (
    CALLS,
    ENDS,
    Batch,
    Fields,
    are,
    batch_of,
    check,
    check_kinds,
    extract,
    groups,
)
from .schema import Kind
from .wire import Payload

__all__ = ["BEGIN", "END", "Choose", "Index", "Key", "Part"]

Mask = npt.NDArray[np.bool_]
Choose = Callable[[npt.NDArray[Any]], Mask]
"""Says which records are wanted, whether they are calls or not."""

_LATER = (Kind.SIGHTING, *ENDS)
_MOST = (1 << 64) - 1
# Numbers of calls that the kernel could not count lie far beyond the others.
_BY_TIME = 1 << 50

# For each piece: its payloads, how many records and calls are before it, how many calls
# it has, and the smallest and the largest ``ts`` of these and ``count`` of these and of
# later records: of those below `_BY_TIME`, and of the others.
_PIECE = np.dtype(
    [
        *((name, "u8") for name in ("start", "stop", "first", "arrival", "rows")),
        ("ts", "u8", (2,)),
        ("called", "u8", (2, 2)),
        ("later", "u8", (2, 2)),
    ]
)
_LAST = np.dtype([("clone", "u8"), ("ts", "u8"), ("arrival", "u8")])
# More than there are packets on most machines at a time.
_UNSETTLED = 1 << 20


class Key(NamedTuple):
    """A place in the order of rows: by time, and by arrival where that is the same."""

    ts: int
    arrival: int


BEGIN, END = Key(0, 0), Key(_MOST, _MOST)


class Index:
    """What there is where in a trace.

    Parameters
    ----------
    payloads
        Of the EVENTS frames.
    form
        How they are read.
    follow
        Whether it is to be known which addresses were used again.

    Attributes
    ----------
    tally : numpy.ndarray of shape (256, 4)
        How many calls there are of each kind and scope.

    Raises
    ------
    StreamError
        These are no records.
    """

    def __init__(
        self, payloads: Sequence[Payload], form: Form, *, follow: bool = False
    ) -> None:
        self._payloads = payloads
        self._form = form
        self._last = _LastCalls() if follow else None
        self.tally = np.zeros((256, 4), np.int64)
        self._pieces = np.array([*self._look()], _PIECE)

    def _look(self) -> Iterator[tuple[Any, ...]]:
        first = arrival = 0
        for group in groups(self._payloads):
            batch = batch_of(self._payloads[group], self._form, first)
            check_kinds([batch])
            is_call = are(CALLS, batch)
            calls = {name: batch.records[name][is_call] for name in _OF_CALLS}
            check(calls)
            self.tally += _tally(calls)
            if self._last:
                self._last.add(calls, arrival)
            later = batch.records["count"][are(_LATER, batch)]
            rows = len(calls["ts"])
            yield (
                *(group.start, group.stop, first, arrival, rows),
                *(_ends(calls["ts"]), _spans(calls["count"]), _spans(later)),
            )
            first, arrival = batch.end, arrival + rows
        if self._last:
            self._last.settle()

    def batch(self, piece: Any) -> Batch:
        """The records of a piece."""
        if piece is None:
            return batch_of(self._payloads[:0], self._form)
        group = slice(int(piece["start"]), int(piece["stop"]))
        return batch_of(self._payloads[group], self._form, int(piece["first"]))

    def called_between(self, since: Key, until: Key) -> npt.NDArray[Any]:
        """The pieces that have a call from there to there."""
        pieces = self._pieces[self._pieces["rows"] > 0]
        ts = pieces["ts"]
        return pieces[(ts[:, 1] >= since.ts) & (ts[:, 0] <= until.ts)]

    def with_numbers(self, of: str, counts: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The pieces that may have one of these numbers.

        Parameters
        ----------
        of
            ``called`` or ``later``: which records are to have it.
        counts
            The numbers.
        """
        have, want = self._pieces[of], np.array(_spans(counts), "u8")
        overlap = (have[..., 0] <= want[:, 1]) & (have[..., 1] >= want[:, 0])
        return self._pieces[overlap.any(axis=1)]

    def count(self, choose: Choose) -> npt.NDArray[np.int64]:
        """As `tally`, of those calls that are chosen."""
        tally = np.zeros_like(self.tally)
        for piece in self._pieces:
            batch = self.batch(piece)
            chosen = are(CALLS, batch) & choose(batch.records)
            calls = {name: batch.records[name][chosen] for name in ("kind", "scope")}
            tally += _tally(calls)
        return tally

    def reused(self, rows: Fields) -> Mask:
        """Of which rows the clone's address is that of a later call, too."""
        assert self._last
        return self._last.before(rows)

    def cuts(self, rows: int, choose: Choose | None) -> Iterator[tuple[Key, Key]]:
        """Where to cut so that each part has so many rows, and the last one the rest.

        Parameters
        ----------
        rows
            How many.
        choose
            Which records count; None: all.
        """
        begin, filled = BEGIN, 0
        waiting = np.empty(0, "u8"), np.empty(0, "u8")
        for piece, settled_at in zip(self._pieces, self._rest_begins(), strict=True):
            batch = self.batch(piece)
            is_call, arrival = _calls(batch, piece)
            wanted = is_call & choose(batch.records) if choose else is_call
            ts = np.concatenate([waiting[0], batch.records["ts"][wanted]])
            arrival = np.concatenate([waiting[1], arrival[wanted]])
            settled = ts <= settled_at
            waiting = ts[~settled], arrival[~settled]
            filled += int(np.count_nonzero(settled))
            if filled <= rows:
                continue
            ts, arrival = ts[settled], arrival[settled]
            order = np.lexsort((arrival, ts))
            while filled > rows:
                filled -= rows
                place = order[len(order) - filled]
                cut = Key(int(ts[place]), int(arrival[place]))
                yield begin, cut
                begin = cut
        yield begin, END

    def _rest_begins(self) -> npt.NDArray[Any]:
        """For each piece, the smallest ``ts`` of a call in those after it."""
        begins = np.append(self._pieces["ts"][:, 0], np.uint64(_MOST))[1:]
        return np.minimum.accumulate(begins[::-1])[::-1]


class Part:
    """Records of some rows of a trace, and what later ones say of them.

    It is a `records.Source`, and what it gives of a row is what all records would give.

    Parameters
    ----------
    index
        Of the trace.
    since, until
        From where to where, the latter not included.
    choose
        Which of the calls there; None: all.
    """

    def __init__(
        self, index: Index, since: Key, until: Key, choose: Choose | None = None
    ) -> None:
        self._index = index
        self._since = since
        self._until = until
        self._choose = choose
        self._counts = np.empty(0, "u8")

    def calls(self) -> Fields:
        """As `records.Source` has it; and ``arrival``."""
        names = self._index.batch(None).records.dtype.names or ()
        found, whole = [self._nothing(names)], set()
        found[0]["arrival"] = np.empty(0, "u8")
        for piece in self._index.called_between(self._since, self._until):
            batch = self._index.batch(piece)
            is_call, arrival = _calls(batch, piece)
            mine = is_call & self._is_inside(batch.records["ts"], arrival)
            if self._choose:
                mine &= self._choose(batch.records)
            if mine.any():
                found.append(extract([batch], [mine], names))
                found[-1]["arrival"] = arrival[mine]
            if np.count_nonzero(mine) == piece["rows"]:
                whole.add(int(piece["start"]))
        fields = _together(found)
        self._counts = self._own_numbers(fields, whole)
        return fields

    def _is_inside(self, ts: npt.NDArray[Any], arrival: npt.NDArray[Any]) -> Mask:
        since, until = self._since, self._until
        from_here = (ts > since.ts) | (ts == since.ts) & (arrival >= since.arrival)
        to_there = (ts < until.ts) | (ts == until.ts) & (arrival < until.arrival)
        inside: Mask = from_here & to_there
        return inside

    def _own_numbers(self, fields: Fields, whole: Collection[int]) -> npt.NDArray[Any]:
        """Numbers of our calls, but where the same is an earlier call's: of that one.

        Calls of a kernel have different numbers; only a forged stream has not.
        """
        counts, at = np.unique(fields["count"], return_index=True)
        ours = fields["arrival"][at]
        first = ours.copy()
        for piece in self._index.with_numbers("called", counts):
            if int(piece["start"]) in whole:
                continue
            batch = self._index.batch(piece)
            is_call, arrival = _calls(batch, piece)
            place, found = _places(counts, batch.records["count"][is_call])
            np.minimum.at(first, place[found], arrival[is_call][found])
        own: npt.NDArray[Any] = counts[first == ours]
        return own

    def later(self, kinds: Collection[Kind], names: Sequence[str]) -> Fields:
        """As `records.Source` has it."""
        found = [self._nothing(names)]
        for piece in self._index.with_numbers("later", self._counts):
            batch = self._index.batch(piece)
            mine = are(kinds, batch)
            _, ours = _places(self._counts, batch.records["count"][mine])
            mine[mine] = ours
            if ours.any():
                found.append(extract([batch], [mine], names))
        return _together(found)

    def _nothing(self, names: Sequence[str]) -> Fields:
        """No records, so that their members are known."""
        batch = self._index.batch(None)
        return extract([batch], [np.zeros(0, np.bool_)], names)

    def reused(self, rows: Fields) -> Mask:
        """As `records.Source` has it."""
        return self._index.reused(rows)


# What is looked at of each call for the index.
_OF_CALLS = ("kind", "path", "scope", "context", "ts", "count", "clone")


class _LastCalls:
    """For each address of a clone, the last call that gave it: by time, then arrival.

    So many addresses as a kernel has for packets, however long the trace is.
    """

    def __init__(self) -> None:
        self._found = [np.empty(0, _LAST)]
        self._unsettled = 0

    def add(self, calls: Fields, arrival: int) -> None:
        """Take in the calls of a piece."""
        made = np.empty(len(calls["ts"]), _LAST)
        made["clone"], made["ts"] = calls["clone"], calls["ts"]
        made["arrival"] = np.arange(arrival, arrival + len(made))
        last = _last(made[np.argsort(made["ts"], kind="stable")])
        self._found.append(last)
        self._unsettled += len(last)
        if self._unsettled > _UNSETTLED:
            self.settle()

    def settle(self) -> None:
        """Forget all but the last call for each address."""
        found = np.concatenate(self._found)
        last = _last(found[np.lexsort((found["arrival"], found["ts"]))])
        self._found = [last[np.argsort(last["clone"])]]
        self._unsettled = 0

    def before(self, rows: Fields) -> Mask:
        """Which rows are before the last call for their address."""
        (known,) = self._found
        place, found = _places(known["clone"], rows["clone"])
        last = known[place]
        same = rows["ts"] == last["ts"]
        before = (rows["ts"] < last["ts"]) | same & (rows["arrival"] < last["arrival"])
        earlier: Mask = found & before
        return earlier


def _tally(calls: Fields) -> npt.NDArray[np.int64]:
    place = calls["kind"].astype(np.intp) * 4 + calls["scope"]
    counts: npt.NDArray[np.int64] = np.bincount(place, minlength=1024)
    return counts.reshape(256, 4)


def _last(calls: npt.NDArray[Any]) -> npt.NDArray[Any]:
    again = pd.Series(calls["clone"]).duplicated(keep="last").to_numpy()
    last: npt.NDArray[Any] = calls[~again]
    return last


def _together(found: list[Fields]) -> Fields:
    """The members of several pieces, which are let go on the way."""
    names = [*found[0]]
    return {
        name: np.concatenate([piece.pop(name) for piece in found]) for name in names
    }


def _calls(batch: Batch, piece: Any) -> tuple[Mask, npt.NDArray[Any]]:
    """Which records are calls, and for each of those how many calls are before it."""
    is_call = are(CALLS, batch)
    arrival = np.cumsum(is_call, dtype="u8") + piece["arrival"] - np.uint64(1)
    return is_call, arrival


def _places(
    known: npt.NDArray[Any], values: npt.NDArray[Any]
) -> tuple[npt.NDArray[np.intp], Mask]:
    """Where values stand among sorted ones, and which of them do."""
    if not len(known):
        return np.zeros(len(values), np.intp), np.zeros(len(values), np.bool_)
    place = np.searchsorted(known, values).clip(max=len(known) - 1)
    return place, known[place] == values


def _ends(values: npt.NDArray[Any]) -> tuple[int, int]:
    """The smallest and the largest; of none, what is nowhere between."""
    return int(values.min(initial=_MOST)), int(values.max(initial=0))


def _spans(counts: npt.NDArray[Any]) -> tuple[tuple[int, int], tuple[int, int]]:
    by_time = counts >= np.uint64(_BY_TIME)
    return _ends(counts[~by_time]), _ends(counts[by_time])
