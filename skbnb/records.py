# SPDX-License-Identifier: Apache-2.0
"""From packed records to the DataFrame of events.

Everything here is vectorised: the records are taken apart column by column, and only
distinct values (names, addresses) are ever turned into Python objects.
"""

from __future__ import annotations

import itertools
import socket
import threading
from collections.abc import (
    Callable,
    Collection,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from .encoding import Encoded, encode
from .errors import StreamError
from .grouping import first_rows, pieces, shares
from .names import Names
from .payloads import Form, name_of
from .reasons import copy_reason_of, reason_of
from .schema import (
    DERIVED,
    RECORD,
    SOCKET,
    Column,
    Context,
    Has,
    Kind,
    Path,
    Scope,
    columns_of,
)
from .threads import at_once
from .units import printable
from .wire import Payload

__all__ = [
    "CALLS",
    "ENDS",
    "Batch",
    "Fields",
    "Source",
    "Told",
    "Whole",
    "are",
    "batch_of",
    "check",
    "check_kinds",
    "extract",
    "groups",
    "rows_frame",
]

Fields = dict[str, npt.NDArray[Any]]
Records = npt.NDArray[Any]

_END_OF_TIME = 1 << 62  # ns

# Names and addresses, of each of which one column is made.
_WIDE = [name for name in RECORD.names or () if RECORD[name].kind == "V"]

# Bytes of records that are worth the copy into one piece.
_BATCH = 1 << 20

# What is made of several members, or comes from another record or table.
MADE = (
    *("detail", "payload", "address_source", "fate", "life"),
    *("owner_pid", "owner_comm", "sk_inode", "sk_cookie", "cgroup", "packet"),
)


@dataclass(frozen=True)
class Told:
    """What the other frames of a trace say of its records.

    Parameters
    ----------
    hello, ready
        The fields of these frames; they may be empty.
    names
        What the numbers in the records are called.
    sockets
        Payload of the SOCKETS frames.
    """

    hello: Mapping[str, Any]
    ready: Mapping[str, Any]
    names: Names
    sockets: bytes = b""

    @property
    def base(self) -> int:
        """The number of the last call before the trace."""
        return int(self.ready.get("base", 0))

    @property
    def began(self) -> int:
        """When tracing began, in ns of the monotonic clock."""
        return int(self.ready.get("ts", 0))

    @property
    def offset(self) -> int:
        """From that clock to the wall clock, in ns."""
        return int(self.hello.get("realtime", 0) - self.hello.get("monotonic", 0))


class Source(Protocol):
    """Records: calls, and what later ones say of them."""

    def calls(self) -> Fields:
        """All members of the records that are rows, in order of arrival."""

    def later(self, kinds: Collection[Kind], names: Sequence[str]) -> Fields:
        """Some members of the records of other kinds that say something of a row."""

    def reused(self, rows: Fields) -> npt.NDArray[np.bool_]:
        """Of which rows, sorted by time, the clone's address is a later call's, too."""


class Whole:
    """All records of a trace.

    Parameters
    ----------
    payloads
        Of the EVENTS frames.
    form
        How they are read.

    Raises
    ------
    StreamError
        These are no records.
    """

    def __init__(self, payloads: Sequence[Payload], form: Form) -> None:
        # One without records, so that there is one.
        self._batches = [batch_of(payloads[:0], form)]
        for group in groups(payloads):
            before = self._batches[-1].end
            self._batches.append(batch_of(payloads[group], form, before))
        check_kinds(self._batches)

    def calls(self) -> Fields:
        """As `Source` has it."""
        names = self._batches[0].records.dtype.names or ()
        return self.later(CALLS, names)

    def later(self, kinds: Collection[Kind], names: Sequence[str]) -> Fields:
        """As `Source` has it."""
        return extract(self._batches, [are(kinds, b) for b in self._batches], names)

    def reused(self, rows: Fields) -> npt.NDArray[np.bool_]:
        """As `Source` has it."""
        return pd.Series(rows["clone"]).duplicated(keep="last").to_numpy()


def rows_frame(source: Source, told: Told) -> pd.DataFrame:
    """A row for each call, with the columns of `schema.COLUMNS`, sorted by time.

    Raises
    ------
    StreamError
        These are no records.
    """
    fields = _in_order(_join(source))
    check(fields)
    if told.hello.get("follow"):
        _fill_reused(fields, source.reused(fields))
    _derive(fields, told.base)
    sockets = _sockets(told.sockets)
    _join_sockets(fields, sockets)
    return _frame(columns_of(told.hello), fields, sockets, told)


class Batch(NamedTuple):
    """Some records as they came, a cache's worth.

    Parameters
    ----------
    records
        All members of them.
    kinds
        What each is about: the member that is looked at most, by itself.
    first
        How many records there are before them in the trace.
    """

    records: Records
    kinds: npt.NDArray[np.uint8]
    first: int

    @property
    def end(self) -> int:
        """How many there are with them."""
        return self.first + len(self.records)


def groups(payloads: Sequence[Payload]) -> Iterator[slice]:
    """Which payloads are looked at together."""
    # Frames of a quiet trace hold a record or two each: join them. Those of a busy one
    # hold thousands: leave them as they are.
    first = size = 0
    for number, payload in enumerate(payloads):
        if size and size + len(payload) > _BATCH:
            yield slice(first, number)
            first, size = number, 0
        size += len(payload)
    if size:
        yield slice(first, len(payloads))


def batch_of(payloads: Sequence[Payload], form: Form, first: int = 0) -> Batch:
    """The records of some payloads."""
    whole = [_whole(payload, form.stride) for payload in payloads]
    joined = whole[0] if len(whole) == 1 else b"".join(whole)
    records = form.records(joined) if len(joined) else np.empty(0, form.record)
    return Batch(records, np.ascontiguousarray(records["kind"]), first)


def are(kinds: Collection[Kind], batch: Batch) -> npt.NDArray[np.bool_]:
    """Which records are of some kinds."""
    wanted = np.zeros(256, bool)
    wanted[list(kinds)] = True
    chosen: npt.NDArray[np.bool_] = wanted[batch.kinds]
    return chosen


def extract(
    batches: Sequence[Batch],
    chosen: Sequence[npt.NDArray[np.bool_]],
    names: Iterable[str],
) -> Fields:
    """Members of the chosen records, each as an array, in order of arrival."""
    ends = np.cumsum([0, *map(np.count_nonzero, chosen)])
    record = batches[0].records.dtype
    fields: Fields = {name: np.empty(ends[-1], record[name]) for name in names}
    if "captured" in fields:
        fields["packet"] = np.empty(ends[-1], "u4")

    def copy(number: int) -> None:
        start, end = ends[number], ends[number + 1]
        if start == end:
            return
        rows, found = chosen[number], batches[number].records
        if end - start != len(found):
            # Records are copied fastest where numpy does not know what is in them.
            found = found.view(f"V{record.itemsize}")[rows].view(record)
        for name in names:
            fields[name][start:end] = found[name]
        if "packet" in fields:
            fields["packet"][start:end] = batches[number].first + np.flatnonzero(rows)

    at_once(copy, range(len(batches)), ends[-1])
    return fields


def _whole(payload: Payload, stride: int) -> Payload:
    # The last frame of a truncated stream may end inside a record.
    rest = len(payload) % stride
    return payload[:-rest] if rest else payload


def check_kinds(batches: Iterable[Batch]) -> None:
    """Raise StreamError where there is a record of no kind that we know."""
    found = np.zeros(256, bool)
    for batch in batches:
        found[batch.kinds] = True
    found[list(Kind)] = False
    if found.any():
        raise StreamError("a record of unknown kind")


def check(calls: Fields | Records) -> None:
    """Raise StreamError where a call has a value of no meaning."""
    rows = len(calls["ts"])
    at_once(partial(_check_piece, calls), shares(rows), rows)


def _check_piece(calls: Fields | Records, piece: slice) -> None:
    for name, values in _MEANT.items():
        known = np.zeros(256, bool)
        known[list(values)] = True
        if not known[calls[name][piece]].all():
            raise StreamError(f"a record of unknown {name}")
    # As the clocks of other frames, with which it is added up.
    if calls["ts"][piece].max(initial=0) >= _END_OF_TIME:
        raise StreamError("a record of an impossible time")


# 0 is unknown.
_MEANT = {"path": {0, *Path}, "scope": {*Scope}, "context": {0, *Context}}

# A record of each of these is a row.
CALLS = (Kind.CLONE, Kind.FAILED, Kind.COPY, Kind.COPY_FAILED)

# One of each of these says how a clone ended.
ENDS = (Kind.CONSUMED, Kind.DROPPED, Kind.FREED)

# What a sighting can say of the clone it is of: the members of each bit.
_SIGHTED = {
    Has.SK: ("sk", "sock_hash"),
    Has.LEN: ("len",),
    Has.ETHERTYPE: ("ethertype",),
    Has.ADDRESSES: ("family", "protocol", "saddr", "daddr"),
    Has.PORTS: ("sport", "dport"),
    Has.TCP: ("tcp_flags", "seq"),
    Has.TCP_CB: ("end_seq", "again"),
    Has.IFINDEX: ("ifindex",),
    Has.DEV: ("dev", "netns"),
}


def _join(source: Source) -> Fields:
    """The calls alone, with what later records say of their clones filled in."""
    calls = source.calls()
    count = calls["count"].size
    calls["fate"] = np.zeros(count, "u1")
    calls["life"] = np.zeros(count, "f8")
    if not count:
        return calls
    order = np.argsort(calls["count"], kind="stable")
    ordered = calls["count"][order]

    def rows(later: Fields) -> tuple[npt.NDArray[np.intp], Fields]:
        numbers = later["count"]
        at, found = np.empty(len(numbers), np.intp), np.empty(len(numbers), bool)

        def find(piece: slice) -> None:
            place = np.searchsorted(ordered, numbers[piece]).clip(max=count - 1)
            np.equal(ordered[place], numbers[piece], out=found[piece])
            at[piece] = order[place]

        at_once(find, shares(len(numbers)), len(numbers))
        # The call's own record may have been lost.
        if found.all():
            return at, later
        return at[found], {name: values[found] for name, values in later.items()}

    sighted = ["count", "present", *itertools.chain.from_iterable(_SIGHTED.values())]
    sighted += ["captured"] if "captured" in calls else []
    _fill_sighted(calls, *rows(source.later([Kind.SIGHTING], sighted)))
    ended = ("count", "present", "ts", "kind", "drop_reason")
    _fill_ends(calls, *rows(source.later(ENDS, ended)))
    return calls


def _fill_reused(calls: Fields, again: npt.NDArray[np.bool_]) -> None:
    """What has no end but whose address was another clone's later was freed."""
    made = (calls["present"] & Has.CLONE) != 0
    calls["fate"][made & again & (calls["fate"] == 0)] = Kind.FREED


def _fill_sighted(calls: Fields, at: npt.NDArray[np.intp], sightings: Fields) -> None:
    headers = (sightings["present"] & Has.ADDRESSES) != 0
    calls["present"][at[headers]] &= ~np.uint32(Has.SOCKET_ADDRESSES)
    if "captured" in calls:
        first = (calls["captured"][at] == 0) & (sightings["captured"] != 0)
        for name in ("captured", "packet"):
            calls[name][at[first]] = sightings[name][first]

    def fill(bit: Has) -> None:
        said = (sightings["present"] & bit) != 0
        for name in _SIGHTED[bit]:
            calls[name][at[said]] = sightings[name][said]

    at_once(fill, list(_SIGHTED), len(at))
    calls["present"][at] |= sightings["present"]


def _fill_ends(calls: Fields, at: npt.NDArray[np.intp], ends: Fields) -> None:
    calls["fate"][at] = ends["kind"]
    calls["drop_reason"][at] = ends["drop_reason"]
    calls["present"][at] |= ends["present"]
    # The first half of a pair is freed after the second, which is then not known.
    known = (ends["kind"] != Kind.FREED) | (calls["path"][at] != Path.FAST)
    life = (ends["ts"] - calls["ts"][at]).astype("i8") / 1e9
    calls["life"][at] = np.where(known, life, 0)


def _derive(fields: Fields, base: int) -> None:
    """What rests on several members, and the numbers of calls from the trace's first.

    What TCP sent is a number for `_detail`, and what tells the addresses one of
    `_ADDRESS_SOURCES`.
    """
    rows = len(fields["ts"])
    for name, dtype in (("payload", "u4"), ("detail", "u1"), ("address_source", "u1")):
        fields[name] = np.empty(rows, dtype)

    def derive(piece: slice) -> None:
        _derive_piece({name: values[piece] for name, values in fields.items()}, base)

    at_once(derive, shares(rows), rows)


def _derive_piece(fields: Fields, base: int) -> None:
    for number in ("count", "origin"):
        fields[number] -= np.uint64(base)
    flags = fields["tcp_flags"]
    span = fields["end_seq"] - fields["seq"]
    payload = span - (flags & _FIN).astype("u4") - ((flags & _SYN) >> 1)
    again = fields["again"] != 0
    fields["payload"][:] = payload
    fields["detail"][:] = flags & (_SYN | _FIN) | (payload > 0) << 2 | again << 3
    present = fields["present"]
    present &= np.uint32(DERIVED - 1)
    known = present & (Has.TCP | Has.TCP_CB) == Has.TCP | Has.TCP_CB
    present |= np.where(known, np.uint32(Has.DETAIL), np.uint32(0))
    # Numbers of calls that the kernel could not count: see number_by_time().
    by_time = fields["origin"] >= np.uint64(1 << 50)
    present[by_time] &= ~np.uint32(Has.ORIGIN)
    # Of three bits, one number.
    fields["address_source"][:] = (present & Has.ADDRESSES) >> 6 | (
        present & _OF_SOCKET
    ) >> 15


def _sockets(payload: bytes) -> npt.NDArray[Any]:
    """Those that were told, and at last one of which nothing is known."""
    if len(payload) % SOCKET.itemsize:
        raise StreamError("a SOCKETS frame that holds no whole number of sockets")
    return np.concatenate([np.frombuffer(payload, SOCKET), np.zeros(1, SOCKET)])


def _join_sockets(fields: Fields, sockets: npt.NDArray[Any]) -> None:
    """Which socket each event's is, and what of it is a number."""
    count, rows = len(sockets) - 1, len(fields["sk"])
    mine = fields["socket"] = np.empty(rows, np.int32)
    codes, firsts = encode(fields["sk"], fields["sock_hash"], out=mine)
    # Of those that the events have, and of those that were told, which are the same.
    told, distinct = encode(
        *(
            np.concatenate([sockets[name][:count], fields[name][firsts]])
            for name in ("sk", "sock_hash")
        )
    )
    place = np.full(len(distinct), count, np.int32)
    place[told[:count]] = np.arange(count)
    place = place[told[count:]]
    known = {
        name: np.ascontiguousarray(sockets[member])
        for name, member in _OF_SOCKET_NUMBERS.items()
    }
    for name, values in known.items():
        fields[name] = np.empty(rows, values.dtype)

    def join(piece: slice) -> None:
        has = (fields["present"][piece] & Has.SK) != 0
        mine[piece] = np.where(has, place[codes[piece]], count)
        for name, values in known.items():
            fields[name][piece] = values[mine[piece]]

    at_once(join, shares(rows), rows)


# Column -> the socket's member that it is.
_OF_SOCKET_NUMBERS = {"owner_pid": "pid", "sk_inode": "inode", "sk_cookie": "cookie"}
_OF_SOCKET_NAMES = {"owner_comm": "comm", "cgroup": "cgroup", "container": "cgroup"}


def _in_order(fields: Fields) -> Fields:
    ts = fields["ts"]
    if (ts[1:] >= ts[:-1]).all():
        return fields
    order = np.argsort(ts, kind="stable")
    # CPUs overtake each other now and then: most records are where they belong.
    moved = np.flatnonzero(order != np.arange(len(order)))
    place = order[moved]
    for values in fields.values():
        values[moved] = values[place]
    return fields


def _frame(
    columns: Sequence[Column], fields: Fields, sockets: Records, told: Told
) -> pd.DataFrame:
    made = _Maker(fields, sockets, told)
    rows = len(fields["ts"])
    made.absences = dict(
        at_once(made.absence, list({column.has for column in columns}), rows)
    )
    # The memory of these is used again for the others.
    order = sorted(columns, key=lambda column: column.field not in _WIDE)
    values = dict(at_once(made.column, order, rows))
    return pd.DataFrame({one.name: values[one.name] for one in columns}, copy=False)


class _Maker:
    """Makes columns, of which several can be made at the same time.

    Of categoricals only what is distinct is turned into text. A value without a text,
    None, is absent.

    Attributes
    ----------
    absences
        What says whether a value is there -> the rows in which it is not; None for
        what is always there. To be set before columns are made.
    """

    absences: Mapping[Has | str | None, npt.NDArray[np.bool_] | None]

    def __init__(self, fields: Fields, sockets: Records, told: Told) -> None:
        self._fields = fields
        self._sockets = sockets
        self._told = told
        self._rooms = threading.local()
        names = told.names
        # Of two members: this one, and the caller.
        self._text_by_caller: dict[str, tuple[str, Callable[[int, int], str]]] = {
            "stack": ("stack", names.folded),
            "reason": (
                "kind",
                lambda kind, caller: _reason(kind, names.function(caller)),
            ),
        }
        self._text: dict[str, Callable[[Any], str | None]] = {
            "comm": name_of,
            "owner_comm": name_of,
            "dev": name_of,
            "caller": names.function,
            "fate": lambda number: Kind(number).name.lower() if number else "",
            "drop_reason": names.drop_reason,
            "netns_name": names.namespace,
            "cgroup": names.cgroup,
            "container": names.container,
            "address_source": _ADDRESS_SOURCES.__getitem__,
            "detail": _detail,
            "context": lambda number: Context(number).name.lower() if number else "",
            "ethertype": lambda number: ETHERTYPES.get(number, f"0x{number:04x}"),
            "protocol": lambda number: PROTOCOLS.get(number, str(number)),
            "family": lambda number: FAMILIES.get(number, str(number)),
            "tcp_flags": _flags,
            "scope": lambda number: Scope(number).name.lower(),
            "kind": lambda number: Kind(number).name.lower().replace("_", " "),
            "path": lambda number: Path(number).name.lower() if number else "",
        }

    def absence(
        self, has: Has | str | None
    ) -> tuple[Has | str | None, npt.NDArray[np.bool_] | None]:
        """An item of `absences`."""
        if has is None:
            return None, None
        fields = self._fields
        if has in _OF_SOCKET_NAMES.values():
            return has, (self._sockets[has] == 0)[fields["socket"]]
        if isinstance(has, str):
            return has, np.equal(fields[has], 0)
        present = fields["present"]
        absent = np.empty(len(present), bool)
        for piece in pieces(len(present)):
            np.equal(present[piece] & has, 0, out=absent[piece])
        return has, absent

    def column(self, column: Column) -> tuple[str, Any]:
        """Its name and values.

        What names and addresses are made from is gone then: no other column needs it.
        """
        values = self._values(column)
        if column.field in _WIDE:
            del self._fields[column.field]
        return column.name, values

    def _values(self, column: Column) -> Any:
        if column.field == "ts":
            return self._moments(column)
        absent = self.absences[column.has]
        if column.dtype == "category":
            return self._categories(column, absent)
        values = np.ascontiguousarray(self._fields[column.field])
        if absent is None:
            return values.astype(column.dtype, copy=False)
        is_float = column.dtype == "Float64"
        nullable = pd.arrays.FloatingArray if is_float else pd.arrays.IntegerArray
        # A mask of its own: pandas writes into it.
        return nullable(values, absent.copy())

    def _moments(self, column: Column) -> npt.NDArray[Any]:
        ts = self._fields["ts"].view("i8")
        if column.name == "time":
            return (ts + self._told.offset).view("M8[ns]")
        seconds = np.empty(len(ts))
        for piece in pieces(len(ts)):
            seconds[piece] = (ts[piece] - self._told.began) / 1e9
        return seconds

    def _categories(
        self, column: Column, absent: npt.NDArray[np.bool_] | None
    ) -> pd.Categorical:
        encoded, text = self._encoded(column)
        return _categorical(encoded, absent, text, _FIXED.get(column.name))

    def _encoded(self, column: Column) -> tuple[Encoded, Callable[[int], str | None]]:
        """A column by its distinct values, and what gives the text of a row's."""
        if column.name in _OF_SOCKET_NAMES:
            return self._encoded_of_socket(column)
        values = self._fields[column.field]
        text = self._text.get(column.name)
        if column.name in self._text_by_caller:
            field, text_of_both = self._text_by_caller[column.name]
            values, caller = self._fields[field], self._fields["caller"]

            def of_both(row: int) -> str | None:
                return text_of_both(int(values[row]), int(caller[row])) or None

            return self._encode(values, caller), of_both
        if text is None:
            halves = _halves(values)
            return self._encode(*halves, self._fields["family"]), partial(
                self._address, column.field
            )
        return self._encode(*_halves(values)), lambda row: text(values[row].item())

    def _encoded_of_socket(
        self, column: Column
    ) -> tuple[Encoded, Callable[[int], str | None]]:
        sockets, text = self._fields["socket"], self._text[column.name]
        values = np.ascontiguousarray(self._sockets[_OF_SOCKET_NAMES[column.name]])
        # Of many sockets few have another owner, or place.
        numbers, distinct = encode(*_halves(values))
        codes = numbers[sockets]
        firsts = first_rows(codes, len(distinct))
        return Encoded(codes, firsts), lambda row: text(values[sockets[row]].item())

    def _encode(self, *columns: npt.NDArray[Any]) -> Encoded:
        """As `encode`, in room that is this thread's, until it is asked again."""
        if not hasattr(self._rooms, "codes"):
            self._rooms.codes = np.empty(len(columns[0]), np.int32)
        return encode(*columns, out=self._rooms.codes)

    def _address(self, field: str, i: int) -> str:
        packed = self._fields[field][i].tobytes()
        if self._fields["family"][i] == _INET6:
            return socket.inet_ntop(socket.AF_INET6, packed)
        return socket.inet_ntop(socket.AF_INET, packed[:4])


def _categorical(
    encoded: Encoded,
    absent: npt.NDArray[np.bool_] | None,
    text_of: Callable[[int], str | None],
    fixed: Sequence[str] | None,
) -> pd.Categorical:
    codes, firsts = encoded
    # Different values can have one text: two addresses in one function.
    known = np.argsort(firsts, kind="stable")[np.count_nonzero(firsts < 0) :]
    texts = [text_of(row) for row in firsts[known].tolist()]
    wanted: list[str] = list(fixed or dict.fromkeys(t for t in texts if t is not None))
    number: dict[str | None, int] = {text: i for i, text in enumerate(wanted)}
    table: npt.NDArray[Any] = np.full(
        len(firsts), -1, np.min_scalar_type(-len(wanted) - 1)
    )
    table[known] = [number.get(text, -1) for text in texts]
    numbers = np.empty(len(codes), table.dtype)
    for piece in pieces(len(codes)):
        here = numbers[piece]
        np.take(table, codes[piece], out=here, mode="clip")
        if absent is not None:
            # Of what is absent all bits are set, which is -1.
            np.bitwise_or(here, np.negative(absent[piece].view(np.int8)), out=here)
    if not fixed:
        # What the first row with a value says settles it for nearly all.
        used = np.zeros(len(wanted) + 1, bool)
        used[numbers[firsts[known]]] = True  # what is absent, -1, is the last
        if not used[:-1].all():
            wanted, numbers = _only_used(wanted, numbers, used)
    few = len(wanted) <= _FEW
    dtype = _dtype_of_few(tuple(wanted)) if few else _dtype(wanted)
    return pd.Categorical.from_codes(numbers, dtype=dtype, validate=False)


def _dtype(texts: Iterable[str]) -> pd.CategoricalDtype:
    return pd.CategoricalDtype(pd.Index([*texts], dtype="str"))


# How many texts are few, as nearly all columns of a small trace have: to make their
# dtype anew takes longer than all else.
_FEW = 16
_dtype_of_few = lru_cache(maxsize=256)(_dtype)


def _only_used(
    texts: list[str], numbers: npt.NDArray[Any], used: npt.NDArray[np.bool_]
) -> tuple[list[str], npt.NDArray[Any]]:
    """Leave out the texts that stand only where the value is absent.

    Parameters
    ----------
    texts
        All of them.
    numbers
        Each row's text, by its place; -1 where it is absent.
    used
        Which texts are known to be in a row; and one more.
    """
    for piece in pieces(len(numbers)):
        used[numbers[piece]] = True
    kept = np.flatnonzero(used[:-1])
    if len(kept) == len(texts):
        return texts, numbers
    table = np.full(len(used), -1, np.min_scalar_type(-len(kept) - 1))
    table[kept] = np.arange(len(kept))
    renumbered = np.empty(len(numbers), table.dtype)
    for piece in pieces(len(numbers)):
        renumbered[piece] = table[numbers[piece]]
    return [texts[number] for number in kept.tolist()], renumbered


def _halves(values: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
    """Whole numbers as they are, and sixteen bytes as such."""
    if values.dtype.kind != "V":
        return [values]
    first, second = values.view("<u8").reshape(-1, 2).T
    # All zeros where names are short and addresses IPv4.
    return [first, second] if second.any() else [first]


# ------------------------------------------------------------------ values to text

ETHERTYPES = {0x0800: "IPv4", 0x0806: "ARP", 0x86DD: "IPv6"}
_INET6 = 10
FAMILIES = {2: "inet", _INET6: "inet6"}
PROTOCOLS = {
    1: "icmp", 2: "igmp", 4: "ipip", 6: "tcp", 17: "udp", 33: "dccp", 41: "ipv6", 47:
    "gre", 50: "esp", 51: "ah", 58: "icmpv6", 89: "ospf", 132: "sctp", 136: "udplite",
}  # fmt: skip

_OF_SOCKET = Has.SOCKET_ADDRESSES | Has.COMPANION
# By what is known: 1 any addresses, 2 they are a socket's, 4 the companion's.
_ADDRESS_SOURCES = (
    *("none", "headers", "none", "socket", "none", "headers", "none", "companion"),
)

_FIXED: dict[str, Sequence[str]] = {
    "context": [context.name.lower() for context in Context],
    "scope": [scope.name.lower() for scope in reversed(Scope)],
    "kind": ["clone", "failed", "copy", "copy failed"],
    "path": ["fast", "slab"],
    "fate": ["consumed", "dropped", "freed"],
    "address_source": ["headers", "socket", "companion", "none"],
    "family": list(FAMILIES.values()),
}

# Bits of byte 13 of the TCP header, in the order in which they are said.
_TCP_FLAGS = (
    (0x02, "SYN"), (0x01, "FIN"), (0x04, "RST"), (0x08, "PSH"),
    (0x20, "URG"), (0x40, "ECE"), (0x80, "CWR"), (0x10, "ACK"),
)  # fmt: skip


_SYN, _FIN = 0x02, 0x01


def _detail(code: int) -> str:
    """Words for what `_derive` found."""
    said = [w for bit, w in ((_SYN, "SYN"), (4, "data"), (_FIN, "FIN")) if code & bit]
    what = "+".join(said) or "nothing new"
    return f"{what} again" if code & 8 else what


def _reason(kind: int, caller: str) -> str:
    is_copy = kind in (Kind.COPY, Kind.COPY_FAILED)
    return printable(copy_reason_of(caller) if is_copy else reason_of(caller))


def _flags(byte: int) -> str:
    return "|".join(name for bit, name in _TCP_FLAGS if byte & bit)
