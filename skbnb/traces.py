# SPDX-License-Identifier: Apache-2.0
"""What was recorded, unchanged, and the DataFrame made from it.

Everything here is vectorised: the records are taken apart column by column, and only
distinct values (names, addresses) are ever turned into Python objects.
"""

from __future__ import annotations

import functools
import ipaddress
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from . import accessor as accessor  # registers df.skb
from .config import SCOPES
from .errors import BusyError, OptionError, StreamError, TruncatedWarning
from .schema import COLUMNS, RECORD, Kind, Path, Scope
from .units import printable
from .views import TraceView
from .wire import MAGIC, Frame, Reader
from .wire import Kind as FrameKind

__all__ = ["Selection", "Trace", "load"]

Fields = dict[str, npt.NDArray[Any]]

# Bytes of records that are worth the copy into one piece.
_BATCH = 1 << 20


@dataclass(frozen=True, slots=True)
class Selection:
    """Which of the events a DataFrame holds.

    Parameters
    ----------
    scope
        ``cell``, ``notebook`` (the cell and the notebook around it) or ``all``. None:
        ``cell``, or ``all`` where a process is chosen.
    pid
        Only this process.
    comm
        Only threads of this name.
    """

    scope: Literal["cell", "notebook", "all"] | None = None
    pid: int | None = None
    comm: str | None = None

    def __post_init__(self) -> None:
        if self.scope is not None and self.scope not in SCOPES:
            raise OptionError(f"scope is {self.scope!r:.40}, not {', '.join(SCOPES)}")

    @property
    def effective_scope(self) -> str:
        """The scope that is meant."""
        chosen = self.pid is not None or self.comm is not None
        return self.scope or ("all" if chosen else "cell")

    @property
    def filters(self) -> str:
        """The other conditions, in words."""
        given = (("pid", self.pid), ("comm", self.comm))
        return ", ".join(
            f"{name} {value}" for name, value in given if value is not None
        )

    def mask(self, events: pd.DataFrame) -> npt.NDArray[np.bool_]:
        """Which rows of all events are chosen."""
        chosen = np.ones(len(events), bool)
        if self.effective_scope != "all":
            inside = (
                ["cell"] if self.effective_scope == "cell" else ["cell", "notebook"]
            )
            chosen &= events["scope"].isin(inside).to_numpy()
        if self.pid is not None:
            chosen &= events["pid"].to_numpy() == self.pid
        if self.comm is not None:
            chosen &= (events["comm"] == self.comm).to_numpy()
        return chosen


class Trace:
    """One trace: the frames as they came.

    Parameters
    ----------
    frames
        From HELLO to END; None while the trace is running, until `fill`.
    selection
        Which events `events` holds.
    source
        ``live`` or ``recording``.
    truncated
        Why the frames end without END, if it is known.

    Attributes
    ----------
    selection, source
        As given.
    """

    def __init__(
        self,
        frames: Iterable[Frame] | None,
        *,
        selection: Selection | None = None,
        source: Literal["live", "recording"] = "live",
        truncated: str = "",
    ) -> None:
        self.selection = selection or Selection()
        self.source = source
        self._frames: tuple[Frame, ...] | None = None
        if frames is not None:
            self.fill(frames, truncated)

    def fill(self, frames: Iterable[Frame], truncated: str = "") -> None:
        """Give the trace its frames, once."""
        self._frames = tuple(frames)
        ended = any(frame.kind is FrameKind.END for frame in self._frames)
        self.truncated = "" if ended else truncated or "the stream has no end"

    @property
    def frames(self) -> tuple[Frame, ...]:
        """The frames as they came.

        Raises
        ------
        BusyError
            The trace is still running.
        """
        if self._frames is None:
            raise BusyError("this trace is still running", "Let its block or cell end.")
        return self._frames

    @functools.cached_property
    def events(self) -> pd.DataFrame:
        """The events of the selection, one row per clone, sorted by time."""
        chosen = self.selection.mask(self._all)
        events = self._all[chosen].reset_index(drop=True)
        events.attrs["skbnb"] = self._about(chosen)
        return events

    def select(
        self,
        scope: Literal["cell", "notebook", "all"] | None = None,
        *,
        pid: int | None = None,
        comm: str | None = None,
    ) -> pd.DataFrame:
        """Other events of the same trace: everything was recorded.

        Parameters
        ----------
        scope, pid, comm
            As in `Selection`.

        Returns
        -------
        pandas.DataFrame
            As `events`.
        """
        return self.replace(Selection(scope, pid, comm)).events

    def replace(self, selection: Selection) -> Trace:
        """The same trace with another selection."""
        other = Trace(
            self.frames,
            selection=selection,
            source=self.source,
            truncated=self.truncated,
        )
        other.__dict__["_all"] = self._all
        return other

    def save(self, path: str | FilePath) -> None:
        """Write the frames to a ``.skbt`` file.

        Raises
        ------
        OSError
            The file cannot be written.
        """
        with open(path, "wb") as file:
            file.write(MAGIC)
            for frame in self.frames:
                file.write(frame.pack())

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        bundle: dict[str, Any] = TraceView(self.events)._repr_mimebundle_(**kwargs)
        return bundle

    def __repr__(self) -> str:
        state = "running" if self._frames is None else f"{len(self.events)} events"
        return f"<skbnb.Trace: {state}, scope {self.selection.effective_scope}>"

    def _control(self, kind: FrameKind) -> dict[str, Any]:
        return next((f.fields for f in self.frames if f.kind is kind), {})

    def _about(self, chosen: npt.NDArray[np.bool_]) -> dict[str, Any]:
        hello, stats = self._control(FrameKind.HELLO), self._control(FrameKind.STATS)
        outside = self._all["scope"][~chosen].value_counts()
        known = bool(stats)
        return {
            "probe": hello.get("probe"),
            "coverage": hello.get("coverage", ""),
            "probes": hello.get("probes", {}),
            "kernel": hello.get("kernel"),
            "source": self.source,
            "scope": self.selection.effective_scope,
            "filters": self.selection.filters,
            "others": {str(k): int(v) for k, v in outside.items() if v},
            "captured": len(self._all),
            "calls": stats.get("calls"),
            "emitted": stats["calls"] - stats["lost"] - stats["limited"]
            if known
            else None,
            "lost": stats.get("lost"),
            "limited": stats.get("limited"),
            "failed": stats.get("failed"),
            "sightings_lost": stats.get("sightings_lost"),
            "tasks_lost": stats.get("tasks_lost"),
            "max_events": hello.get("max_events"),
            "max_seconds": hello.get("max_seconds"),
            "duration": (stats["ended"] - stats["began"]) / 1e9 if known else None,
            "truncated": self.truncated,
            "ended": self._control(FrameKind.END).get("why", "truncated"),
        }

    @functools.cached_property
    def _all(self) -> pd.DataFrame:
        hello, ready = self._control(FrameKind.HELLO), self._control(FrameKind.READY)
        payloads = [f.payload for f in self.frames if f.kind is FrameKind.EVENTS]
        if not payloads:
            fields = _extract([], RECORD.itemsize, 0)
        elif not (hello and ready):
            raise StreamError("events before a HELLO and a READY")
        else:
            fields = _extract(payloads, hello["stride"], hello["offset"])
        fields["count"] -= np.uint64(ready.get("base", 0))
        fields = _in_order(_join_sightings(fields))
        functions = self._control(FrameKind.SYMBOLS).get("functions", {})
        offset = hello.get("realtime", 0) - hello.get("monotonic", 0)
        return _frame(fields, functions, ready.get("ts", 0), offset)


def load(path: str | FilePath) -> Trace:
    """Open a recording.

    A file that ends too early loads as far as it goes, with a `TruncatedWarning`.

    Raises
    ------
    StreamError
        The file cannot be read, or is no recording.
    """
    try:
        with open(path, "rb") as file:
            frames = list(Reader(file))
    except OSError as error:
        raise StreamError(f"cannot read {path}: {error.strerror}") from None
    trace = Trace(frames, source="recording", selection=Selection())
    if trace.truncated:
        warnings.warn(
            f"{path} ends too early ({trace.truncated}): it is shown as far as it goes",
            TruncatedWarning,
            stacklevel=2,
        )
    return trace


# ------------------------------------------------------------------ records to columns


def _batches(payloads: Sequence[bytes]) -> Iterator[bytes]:
    # Frames of a quiet trace hold a record or two each: join them. Those of a busy one
    # hold thousands: leave them as they are.
    batch: list[bytes] = []
    size = 0
    for payload in payloads:
        if batch and size + len(payload) > _BATCH:
            yield b"".join(batch) if len(batch) > 1 else batch[0]
            batch, size = [], 0
        batch.append(payload)
        size += len(payload)
    yield b"".join(batch) if len(batch) != 1 else batch[0]


def _extract(payloads: Sequence[bytes], stride: int, offset: int) -> Fields:
    """Each member of all records as an array of its own, in the order they came."""
    if not (offset >= 0 and offset + RECORD.itemsize <= stride):
        raise StreamError(f"records of {stride} bytes are no records of this ABI")
    payloads = [_whole(payload, stride) for payload in payloads]
    total = sum(len(payload) // stride for payload in payloads)
    names = [name for name in RECORD.names or () if name != "pad"]
    fields: Fields = {name: np.empty(total, RECORD[name]) for name in names}
    done = 0
    for batch in _batches(payloads):
        count = len(batch) // stride
        if not count:
            continue
        records = np.ndarray(count, RECORD, batch, offset, stride)
        for name in names:
            fields[name][done : done + count] = records[name]
        done += count
    return fields


def _whole(payload: bytes, stride: int) -> bytes:
    # The last frame of a truncated stream may end inside a record.
    rest = len(payload) % stride
    return payload[:-rest] if rest else payload


# What a sighting says of the clone it is of.
_SIGHTED = (
    "sk", "saddr", "daddr", "dev", "len", "ifindex", "netns", "seq",
    "ethertype", "sport", "dport", "family", "protocol", "tcp_flags",
)  # fmt: skip


def _join_sightings(fields: Fields) -> Fields:
    """The calls alone, with what sightings say of them filled in."""
    kinds = fields["kind"]
    if kinds.size and not np.isin(kinds, [int(kind) for kind in Kind]).all():
        raise StreamError("a record of unknown kind")
    is_sighting = kinds == Kind.SIGHTING
    if not is_sighting.any():
        return fields
    sightings = {name: values[is_sighting] for name, values in fields.items()}
    calls = {name: values[~is_sighting] for name, values in fields.items()}
    if not calls["count"].size:
        return calls
    order = np.argsort(calls["count"], kind="stable")
    place = np.searchsorted(calls["count"], sightings["count"], sorter=order)
    at = order[np.minimum(place, len(order) - 1)]
    # The call's own record may have been lost.
    found = calls["count"][at] == sightings["count"]
    for name in _SIGHTED:
        calls[name][at[found]] = sightings[name][found]
    calls["present"][at[found]] |= sightings["present"][found]
    return calls


def _in_order(fields: Fields) -> Fields:
    ts = fields["ts"]
    if (ts[1:] >= ts[:-1]).all():
        return fields
    order = np.argsort(ts, kind="stable")
    return {name: values[order] for name, values in fields.items()}


def _frame(
    fields: Fields, functions: dict[str, str], began: int, offset: int
) -> pd.DataFrame:
    present = fields["present"]
    made = _Maker(fields, functions)
    columns: dict[str, Any] = {
        "time": (fields["ts"].astype("i8") + offset).view("M8[ns]"),
        "t": (fields["ts"].astype("i8") - began) / 1e9,
    }
    for column in COLUMNS[len(columns) :]:
        absent = (present & column.has) == 0 if column.has else None
        if column.dtype == "category":
            columns[column.name] = made.categories(column.field, absent)
        elif absent is None:
            columns[column.name] = fields[column.field].astype(column.dtype, copy=False)
        else:
            columns[column.name] = pd.arrays.IntegerArray(fields[column.field], absent)
    return pd.DataFrame(columns, copy=False)


class _Maker:
    """Makes categoricals: codes by hashing integers, text only for what is distinct."""

    def __init__(self, fields: Fields, functions: dict[str, str]) -> None:
        self._fields = fields
        self._functions = functions
        self._text: dict[str, Callable[[Any], str]] = {
            "comm": _name,
            "dev": _name,
            "caller": lambda address: printable(
                functions.get(f"{address:#x}", f"{address:#x}")
            ),
            "ethertype": lambda number: ETHERTYPES.get(number, f"0x{number:04x}"),
            "protocol": lambda number: PROTOCOLS.get(number, str(number)),
            "family": lambda number: FAMILIES.get(number, str(number)),
            "tcp_flags": _flags,
            "scope": lambda number: Scope(number).name.lower(),
            "kind": lambda number: Kind(number).name.lower(),
            "path": lambda number: Path(number).name.lower() if number else "",
        }

    def categories(
        self, field: str, absent: npt.NDArray[np.bool_] | None
    ) -> pd.Categorical:
        if field in ("saddr", "daddr"):
            codes, firsts = _factorize_address(self._fields, field)
            texts = [self._address(field, i) for i in firsts]
        elif self._fields[field].dtype.kind == "V":
            codes, firsts = _factorize_bytes(self._fields[field])
            texts = [
                self._text[field](self._fields[field][i].tobytes()) for i in firsts
            ]
        else:
            codes, uniques = pd.factorize(self._fields[field])
            texts = [self._text[field](int(value)) for value in uniques]
        if absent is not None:
            codes = np.where(absent, -1, codes)
        return _categorical(codes, texts, _FIXED.get(field))

    def _address(self, field: str, i: int) -> str:
        packed = self._fields[field][i].tobytes()
        return str(
            ipaddress.IPv6Address(packed)
            if self._fields["family"][i] == 10
            else ipaddress.IPv4Address(packed[:4])
        )


def _categorical(
    codes: npt.NDArray[Any], texts: Sequence[str], fixed: Sequence[str] | None
) -> pd.Categorical:
    # Different values can have one text (two addresses in one function), and values
    # that are absent everywhere have none: number the texts that are used.
    used = np.zeros(len(texts) + 1, bool)
    used[codes] = True  # what is absent, -1, is the last
    wanted: list[str] = list(fixed or []) or list(
        dict.fromkeys(t for t, u in zip(texts, used[:-1], strict=True) if u)
    )
    number = {text: i for i, text in enumerate(wanted)}
    table = np.array(
        [number.get(text, -1) for text in texts] + [-1],
        dtype=np.min_scalar_type(-len(wanted) - 1),
    )
    return pd.Categorical.from_codes(
        table[codes], categories=pd.Index(wanted, dtype="str")
    )


def _factorize_bytes(
    values: npt.NDArray[Any],
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Codes of sixteen bytes each, and the first row of each code."""
    # They are two integers; factorizing those is exact and ten times as fast.
    halves = values.view("<u8").reshape(-1, 2)
    codes = _codes(np.ascontiguousarray(halves[:, 0]))
    # All zeros where names are short and addresses IPv4.
    if halves[:, 1].any():
        codes = _codes_of_pairs(codes, _codes(np.ascontiguousarray(halves[:, 1])))
    return codes, _firsts(codes)


def _factorize_address(
    fields: Fields, field: str
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    codes, firsts = _factorize_bytes(fields[field])
    family = fields["family"]
    if (family == family[:1]).all():
        return codes, firsts
    codes = _codes_of_pairs(codes, family)
    return codes, _firsts(codes)


def _codes(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Numbers of the distinct values, from 0 as they appear."""
    return pd.factorize(values)[0]


def _codes_of_pairs(
    left: npt.NDArray[Any], right: npt.NDArray[Any]
) -> npt.NDArray[Any]:
    return _codes(left * (int(right.max(initial=0)) + 1) + right)


def _firsts(codes: npt.NDArray[Any]) -> npt.NDArray[Any]:
    highest = np.maximum.accumulate(codes)
    return np.searchsorted(highest, np.arange(highest[-1] + 1 if len(codes) else 0))


# ------------------------------------------------------------------ values to text

ETHERTYPES = {0x0800: "IPv4", 0x0806: "ARP", 0x86DD: "IPv6"}
FAMILIES = {2: "inet", 10: "inet6"}
PROTOCOLS = {
    1: "icmp", 2: "igmp", 4: "ipip", 6: "tcp", 17: "udp", 33: "dccp", 41: "ipv6", 47:
    "gre", 50: "esp", 51: "ah", 58: "icmpv6", 89: "ospf", 132: "sctp", 136: "udplite",
}  # fmt: skip

_FIXED: dict[str, Sequence[str]] = {
    "scope": [scope.name.lower() for scope in reversed(Scope)],
    "kind": ["clone", "failed"],
    "path": ["fast", "slab"],
    "family": list(FAMILIES.values()),
}

# Bits of byte 13 of the TCP header, in the order in which they are said.
_TCP_FLAGS = (
    (0x02, "SYN"), (0x01, "FIN"), (0x04, "RST"), (0x08, "PSH"),
    (0x20, "URG"), (0x40, "ECE"), (0x80, "CWR"), (0x10, "ACK"),
)  # fmt: skip


def _flags(byte: int) -> str:
    return "|".join(name for bit, name in _TCP_FLAGS if byte & bit)


def _name(raw: bytes) -> str:
    """Text of a name from the kernel, with what does not print written out."""
    return printable(raw.partition(b"\0")[0].decode("utf-8", "backslashreplace"))
