# SPDX-License-Identifier: Apache-2.0
"""From frames to DataFrame: every value, every absence, every order."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import skbnb
from skbnb.errors import LossWarning, OptionError, StreamError, TruncatedWarning
from skbnb.notebook import warn
from skbnb.schema import COLUMNS, DERIVED, Has
from skbnb.traces import Selection, Trace
from skbnb.views import receipt
from skbnb.wire import BYTES_SIZE, PARTS, Frame, Kind, control
from tests.records import (
    STRIDE,
    absent,
    frames,
    hello,
    record,
    socket,
    stats,
    symbols,
    tap,
)

ALL = Selection("all")


def events(*records: bytes, **counts: Any) -> pd.DataFrame:
    return Trace(frames(*records, **counts), selection=ALL).events


def asked(*records: bytes) -> pd.DataFrame:
    """The same with all that can be asked for."""
    # With no room for a packet's bytes, but for their number.
    _, *rest = frames(*(one + bytes(BYTES_SIZE) for one in records))
    options = {"stacks": True, "also": "copy", "follow": True, "snaplen": 1}
    everything = hello(**options, stride=STRIDE + BYTES_SIZE)
    return Trace([control(Kind.HELLO, **everything), *rest], selection=ALL).events


def test_every_column_of_one_record() -> None:
    row = events(record()).iloc[0].to_dict()
    assert row == {
        "time": pd.Timestamp(1_700_000_000_000_002_000),
        "t": 1e-6,
        "count": 1,
        "comm": "curl",
        "pid": 42,
        "tid": 43,
        "uid": 1000,
        "cpu": 1,
        "scope": "cell",
        "context": "syscall",
        "kind": "clone",
        "path": "fast",
        "caller": "__tcp_transmit_skb",
        "reason": "tcp-transmit",
        "detail": "SYN",
        "payload": 0,
        "owner_pid": 42,
        "owner_comm": "curl",
        "parent": 0xFFFF888000001000,
        "origin": 1,
        "clone": 0xFFFF8880000010E0,
        "len": 74,
        "ethertype": "IPv4",
        "protocol": "tcp",
        "family": "inet",
        "saddr": "127.0.0.1",
        "sport": 40000,
        "daddr": "127.0.0.2",
        "dport": 8000,
        "address_source": "headers",
        "tcp_flags": "SYN",
        "seq": 0xFFFFFFFE,
        "dev": "lo",
        "ifindex": 1,
        "netns": 4026531840,
        "netns_name": "blue",
        "sk": 0xFFFF888000002000,
        "sk_inode": 4711,
        "sk_cookie": 77,
        "cgroup": f"/system.slice/docker-{'c0ffee' * 10}beef.scope",
        "container": "c0ffeec0ffee",
    }


def test_dtypes_are_the_schemas_also_when_empty() -> None:
    wanted = {column.name: column.dtype for column in COLUMNS}
    for frame in (asked(), asked(record()), asked(record(**absent()))):
        assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == wanted
        assert list(frame.columns) == [column.name for column in COLUMNS]
        for name in frame.select_dtypes("category"):
            assert frame[name].cat.categories.dtype == "str", name


# What cannot be said without it.
RESTS_ON: dict[Has | str | None, Has] = {
    Has.DETAIL: Has.TCP | Has.TCP_CB,
    "owner_pid": Has.SK,
    "sk_inode": Has.SK,
    "sk_cookie": Has.SK,
    "cgroup": Has.SK,
}


@pytest.mark.parametrize("bit", [bit for bit in Has if bit < DERIVED])
def test_what_was_not_seen_is_absent_and_never_zero(bit: Has) -> None:
    everything = int(~Has(0))
    row = events(record(present=everything & ~bit)).iloc[0]
    for column in COLUMNS:
        if column.option:
            continue
        lacking = column.has == bit or bool(RESTS_ON.get(column.has, Has(0)) & bit)
        assert pd.isna(row[column.name]) == lacking, column.name


def absent_columns(frame: pd.DataFrame) -> set[str]:
    return {str(name) for name in frame if frame[name].isna().all()}


def test_an_unknown_context_is_absent() -> None:
    assert absent_columns(events(record(context=0))) == {"context"}


OF_A_SOCKET = {c.name for c in COLUMNS if RESTS_ON.get(c.has) == Has.SK}


@pytest.mark.parametrize(
    ("changes", "lacking"),
    [
        ({"sk": 1}, OF_A_SOCKET),
        # Another socket at the same address.
        ({"sock_hash": 1}, OF_A_SOCKET),
        ({"pid": 0}, {"owner_pid", "owner_comm"}),
        ({"inode": 0}, {"sk_inode"}),
        ({"cookie": 0}, {"sk_cookie"}),
        ({"cgroup": 0}, {"cgroup", "container"}),
        # One that was gone when its path was looked up.
        ({"cgroup": 7778}, {"cgroup", "container"}),
    ],
)
def test_what_nobody_told_of_a_socket_is_absent(
    changes: dict[str, int], lacking: set[str]
) -> None:
    made = [
        Frame(Kind.SOCKETS, socket(**changes)) if frame.kind is Kind.SOCKETS else frame
        for frame in frames(record())
    ]
    assert absent_columns(Trace(made, selection=ALL).events) == lacking


def test_events_find_their_sockets() -> None:
    told = (
        socket(sk=1, pid=10) + socket(sk=2, pid=20) + socket(sk=2, sock_hash=9, pid=29)
    )
    keys = [(2, 0xABCD), (1, 0xABCD), (2, 9), (3, 0xABCD), (1, 9)]
    records = [
        record(ts=2_000 + i, count=i + 1, sk=sk, sock_hash=hashed)
        for i, (sk, hashed) in enumerate(keys)
    ]
    made = [
        Frame(Kind.SOCKETS, told) if frame.kind is Kind.SOCKETS else frame
        for frame in frames(*records)
    ]
    owners = Trace(made, selection=ALL).events["owner_pid"]
    assert owners.fillna(0).tolist() == [20, 10, 29, 0, 0]


def test_a_way_that_is_none_is_refused() -> None:
    _, *rest = frames(record())
    with pytest.raises(StreamError, match="a trace via 'hear', which is no way"):
        Trace([control(Kind.HELLO, **hello(via="hear")), *rest])


@pytest.mark.parametrize("ts", [1 << 62, 1 << 63, (1 << 64) - 1])
def test_an_impossible_time_is_refused(ts: int) -> None:
    with pytest.raises(StreamError, match="an impossible time"):
        events(record(ts=ts))


def test_half_a_socket_is_refused() -> None:
    made = [*frames(record()), Frame(Kind.SOCKETS, socket()[:-1])]
    with pytest.raises(StreamError, match="no whole number of sockets"):
        _ = Trace(made, selection=ALL).events


@pytest.mark.parametrize(
    ("flags", "span", "again", "detail", "payload"),
    [
        (0x02, 1, 0, "SYN", 0),
        (0x02, 11, 0, "SYN+data", 10),  # TCP Fast Open
        (0x18, 77, 0, "data", 77),
        (0x10, 65_000, 1, "data again", 65_000),
        (0x11, 1, 0, "FIN", 0),
        (0x19, 6, 0, "data+FIN", 5),
        (0x10, 0, 0, "nothing new", 0),
        (0x02, 1, 1, "SYN again", 0),
    ],
)
def test_what_tcp_sent(
    flags: int, span: int, again: int, detail: str, payload: int
) -> None:
    # Numbers begin again from 0 after 2**32.
    end = (0xFFFFFFFE + span) % 2**32
    row = events(record(tcp_flags=flags, end_seq=end, again=again)).iloc[0]
    assert (row["detail"], row["payload"]) == (detail, payload)


def test_ipv6_and_ipv4_addresses_do_not_mix() -> None:
    four = bytes([10, 0, 0, 1])
    six = four + bytes(12)
    frame = events(
        record(saddr=four, daddr=four),
        record(ts=3_000, count=2, saddr=six, daddr=bytes(15) + b"\1", family=10),
    )
    assert list(frame["saddr"]) == ["10.0.0.1", "a00:1::"]
    assert list(frame["daddr"]) == ["10.0.0.1", "::1"]
    assert list(frame["family"]) == ["inet", "inet6"]


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"<script>", "<script>"),
        (b"\x1b[31mred", "\\x1b[31mred"),
        (b"a\nb\tc", "a\\nb\\tc"),
        (b"\xff\xfe", "\\xff\\xfe"),
        ("\u202ergb".encode(), "\\u202ergb"),
        ("日本".encode(), "日本"),
        (b"fifteen-letters", "fifteen-letters"),
        (b"curl\0junk", "curl"),
        (b"", ""),
    ],
)
def test_names_are_hostile_input(raw: bytes, text: str) -> None:
    frame = events(record(comm=raw, dev=raw))
    assert frame["comm"][0] == text
    assert frame["dev"][0] == text


def test_numbers_without_a_name_stay_numbers() -> None:
    frame = events(record(ethertype=0x88CC, protocol=200, caller=0x1234, tcp_flags=0))
    row = frame.iloc[0]
    assert row[["ethertype", "protocol", "caller"]].tolist() == [
        "0x88cc",
        "200",
        "0x1234",
    ]
    assert row["tcp_flags"] == ""


def test_flags_are_said_as_usual() -> None:
    bits = {
        0x12: "SYN|ACK",
        0x11: "FIN|ACK",
        0x18: "PSH|ACK",
        0x14: "RST|ACK",
        0xC2: "SYN|ECE|CWR",
    }
    frame = events(*(record(ts=2_000 + i, tcp_flags=bit) for i, bit in enumerate(bits)))
    assert list(frame["tcp_flags"]) == list(bits.values())


def test_two_addresses_in_one_function_are_one_caller() -> None:
    made = frames(record(), record(ts=3_000, caller=0xFFFFFFFF81000020))
    made[4] = control(
        Kind.SYMBOLS,
        **symbols(functions={"0xffffffff81000010": "f", "0xffffffff81000020": "f"}),
    )
    frame = Trace(made, selection=ALL).events
    assert list(frame["caller"].cat.categories) == ["f"]


def test_rows_are_sorted_by_time() -> None:
    order = [5, 1, 4, 2, 3]
    frame = events(*(record(ts=1_000 + i, count=i, pid=i) for i in order))
    assert list(frame["pid"]) == sorted(order)
    assert frame["time"].is_monotonic_increasing
    assert list(frame["count"]) == sorted(order)


def slab(count: int, **members: Any) -> bytes:
    has = int(Has.CLONE | Has.CALLER)
    made = absent(
        count=count, present=has, clone=0xF00, caller=0xFFFFFFFF81000010, path=2
    )
    return record(**{**made, **members})


def sighting(count: int, **members: Any) -> bytes:
    has = int(~(Has.PARENT | Has.CALLER | Has.DEV))
    return record(
        **{"count": count, "present": has, "kind": 3, "path": 2, "pid": 7, **members}
    )


def test_a_sighting_fills_its_clone_and_is_no_row() -> None:
    frame = events(
        slab(1, ts=2_000),
        slab(2, ts=2_100),
        sighting(2, ts=2_200, len=99),
        slab(3, ts=2_300),
        sighting(77, ts=2_400),
        calls=3,
        sightings=2,
    )
    assert len(frame) == 3
    assert frame["len"].tolist() == [pd.NA, 99, pd.NA]
    assert frame["saddr"].isna().tolist() == [True, False, True]
    assert frame["dev"].isna().all()
    assert frame["parent"].isna().all()
    # Who ran when the clone was made, not when it was seen again.
    assert frame["pid"].tolist() == [42, 42, 42]
    assert frame.attrs["skbnb"]["captured"] == 3


def test_a_sighting_does_not_take_away_what_the_call_knew() -> None:
    known = slab(1, present=int(~Has(0)), dev=b"eth0", netns=5, len=1, sport=1)
    has = int(Has.CLONE | Has.LEN)
    row = events(known, sighting(1, present=has, len=99, sport=0), calls=1).iloc[0]
    assert (row["len"], row["dev"], row["netns"], row["sport"]) == (99, "eth0", 5, 1)


def test_only_sightings_are_no_rows() -> None:
    assert events(sighting(1), calls=0).empty


def test_an_agent_that_counted_before_counts_from_one() -> None:
    made = frames(record(count=101), record(ts=3_000, count=102))
    made[1] = control(Kind.READY, ts=1_000, base=100)
    assert Trace(made, selection=ALL).events["count"].tolist() == [1, 2]


def test_a_failed_call_is_a_row_of_its_own() -> None:
    row = events(slab(1, kind=2, present=int(Has.CALLER)), failed=1).iloc[0]
    assert row["kind"] == "failed"
    assert pd.isna(row["clone"])


SCOPES = [
    ({}, ["cell"] * 2),
    ({"scope": "cell"}, ["cell"] * 2),
    ({"scope": "notebook"}, ["cell", "cell", "notebook"]),
    ({"scope": "all"}, ["cell", "cell", "notebook", "other"]),
    ({"pid": 4}, ["other"]),
    ({"pid": 4, "scope": "cell"}, []),
    ({"comm": "nc"}, ["cell"]),
    ({"comm": "nobody"}, []),
]


@pytest.mark.parametrize(("options", "scopes"), SCOPES)
def test_selection(options: dict[str, Any], scopes: list[str]) -> None:
    made = frames(
        record(ts=2_000, scope=3, pid=1),
        record(ts=2_001, scope=3, pid=2, comm=b"nc"),
        record(ts=2_002, scope=2, pid=3),
        record(ts=2_003, scope=1, pid=4),
    )
    trace = Trace(made)
    frame = trace.select(**options)
    assert sorted(frame["scope"]) == scopes
    about = frame.attrs["skbnb"]
    assert len(frame) + sum(about["others"].values()) == about["captured"] == 4
    assert list(frame.index) == list(range(len(frame)))


def test_a_scope_that_is_none() -> None:
    with pytest.raises(OptionError, match="scope is 'galaxy'"):
        Selection("galaxy")  # type: ignore[arg-type]


def test_what_is_said_of_the_trace() -> None:
    frame = events(
        record(), calls=12, missed=2, lost_full=3, lost_limit=5, lost_reader=1
    )
    about = frame.attrs["skbnb"]
    for name, value in {
        "probe": "tracepoint",
        "kernel": "6.0.0-fake",
        "calls": 12,
        "emitted": 1,
        "captured": 1,
        "missed": 2,
        "lost": 9,
        "lost_by": {"full": 3, "limit": 5, "reader": 1},
        "unaccounted": 0,
        "clock_step": 0.0,
        "duration": 1.0,
        "truncated": "",
        "ended": "stop",
        "source": "live",
    }.items():
        assert about[name] == value, name
    assert frame.head(0).attrs["skbnb"] == about


@pytest.mark.parametrize(
    ("moved", "said"),
    [
        (3_600_000_000_000, 3600.0),
        (-50_000_000, -0.05),
        # What it takes to read two clocks is no step.
        (49_999_999, 0.0),
        (-49_999_999, 0.0),
    ],
)
def test_a_clock_that_is_set_meanwhile(moved: int, said: float) -> None:
    # An hour later by one clock; by the other, that and the step.
    hour = 3_600_000_000_000
    later = {
        "monotonic": hello()["monotonic"] + hour,
        "realtime": hello()["realtime"] + hour + moved,
    }
    frame = events(record(), **later)
    assert frame.attrs["skbnb"]["clock_step"] == said
    assert ("WARNING: the clock went" in receipt(frame)) == bool(said)
    assert frame["time"].equals(events(record())["time"])


def test_what_does_not_add_up_is_said() -> None:
    with pytest.warns(LossWarning, match="2 were sent and 1 came"):
        warn(Trace(frames(record(), calls=2)))
    with pytest.warns(LossWarning, match="^1 call unaccounted for$"):
        warn(Trace(frames(record(), calls=2, emitted=1)))
    with pytest.warns(LossWarning, match="4 of 9 clones lost: 1 ring full, 3 not read"):
        counts = {"calls": 9, "emitted": 5, "lost_full": 1, "lost_reader": 3}
        warn(Trace(frames(*[record()] * 5, **counts)))


def test_a_limit_that_was_asked_for_is_no_warning() -> None:
    warn(Trace(frames(record(), calls=5, lost_limit=4)))


def test_records_are_the_same_in_any_frames() -> None:
    records = [record(ts=2_000 + i, count=i + 1, pid=i % 5) for i in range(60)]
    whole = events(b"".join(records))
    for sizes in ([1], [7, 11], [59]):
        chunks, rest = [], records
        for size in itertools.cycle(sizes):
            if not rest:
                break
            chunks.append(b"".join(rest[:size]))
            rest = rest[size:]
        pd.testing.assert_frame_equal(
            events(*chunks, calls=1), whole, check_flags=False
        )


def test_at_most_160_bytes_a_row() -> None:
    count = 50_000
    rng = np.random.default_rng(1)
    one = bytearray(record() * count)
    view = np.frombuffer(one, "u1").reshape(count, -1)
    view[:, 8:16] = np.arange(2_000, 2_000 + count, dtype="<u8")[:, None].view("u1")
    # As bad as can be: every name and every address another one.
    for start in (56, 72, 88, 104):
        view[:, start : start + 8] = rng.integers(97, 122, (count, 8))
    stride = view.shape[1]
    chunk = stride * 10_000
    payloads = [bytes(one[i : i + chunk]) for i in range(0, len(one), chunk)]
    frame = events(*payloads, calls=count)
    assert len(frame) == count
    columns = sum(
        values.memory_usage(index=False)
        - (values.cat.categories.memory_usage() if values.dtype == "category" else 0)
        for _, values in frame.items()
    )
    assert columns / count <= 160


def test_what_is_done_to_a_frame_stays_in_it() -> None:
    trace = Trace(frames(record(), record(ts=3_000)), selection=ALL)
    before = trace.select("all").copy()
    mine = trace.select("all")
    mine.loc[0, "len"] = pd.NA
    mine.loc[0, "comm"] = pd.NA
    mine["pid"] += 1
    mine.attrs["skbnb"]["probe"] = "mine"
    for frame in (trace.events, trace.select("all")):
        pd.testing.assert_frame_equal(frame, before)
        assert frame.attrs["skbnb"]["probe"] == "tracepoint"


def test_save_and_load(tmp_path: Path) -> None:
    path = tmp_path / "trace.skbt"
    trace = Trace(frames(record(), record(ts=3_000, scope=1)))
    trace.save(path)
    loaded = skbnb.load(path)
    assert loaded.frames == trace.frames
    assert loaded.source == "recording"
    pd.testing.assert_frame_equal(loaded.events, trace.events, check_flags=False)


def test_a_recording_truncated_at_every_byte(tmp_path: Path) -> None:
    path = tmp_path / "trace.skbt"
    Trace(frames(record(), record(ts=3_000))).save(path)
    whole = path.read_bytes()
    seen = set()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.warns(TruncatedWarning, match="ends too early"):
            trace = skbnb.load(path)
        seen.add(len(trace.select("all")))
        assert trace.truncated
        assert trace.events.attrs["skbnb"]["lost"] in (None, 0)
    assert seen == {0, 1, 2}


@pytest.mark.parametrize("content", [b"PK\x03\x04", b"{}\n", b"\0" * 64])
def test_a_file_that_is_no_recording(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "trace.skbt"
    path.write_bytes(content)
    with pytest.raises(StreamError, match="not a skbnb stream"):
        skbnb.load(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StreamError, match="No such file"):
        skbnb.load(tmp_path / "none.skbt")


@pytest.mark.parametrize(
    "change",
    [
        {"stride": 100},
        {"stride": 0},
        {"stride": None},
        {"offset": -8},
        {"offset": 160},
        {"offset": True},
        {"probe": 5},
        {"probes": {"tracepoint": []}},
        {"kernel": None},
        {"realtime": 10**30},
        {"max_seconds": "1"},
    ],
)
def test_a_hello_that_lies_about_its_records(change: dict[str, Any]) -> None:
    made = frames(record())
    made[0] = control(Kind.HELLO, **hello(**change))
    with pytest.raises(StreamError):
        _ = Trace(made, selection=ALL).events


def test_events_without_a_beginning() -> None:
    with pytest.raises(StreamError, match="before a HELLO"):
        _ = Trace([Frame(Kind.EVENTS, record()), control(Kind.STATS, **stats())]).events


@pytest.mark.parametrize("name", ["kind", "path", "scope"])
def test_a_record_from_the_future(name: str) -> None:
    with pytest.raises(StreamError, match=f"unknown {name}"):
        events(record(**{name: 99}))


@pytest.mark.parametrize("name", ["calls", *PARTS, "began", "ended"])
@pytest.mark.parametrize("value", [None, "3", -1, 1.5, [], 10**30])
def test_a_stats_that_lies(name: str, value: Any) -> None:
    made = frames(record())
    made[-2] = control(Kind.STATS, **stats(**{name: value}))
    with pytest.raises(StreamError, match=f"a STATS frame with a bad '{name}'"):
        _ = Trace(made).events


HOSTILE = "\x1b[2J<b>\u202e"


@pytest.mark.parametrize(
    ("table", "key", "name", "column"),
    [
        ("functions", "0xffffffff81000010", HOSTILE, "caller"),
        ("netns", "4026531840", HOSTILE, "netns_name"),
        ("cgroups", "7777", f"/{HOSTILE}", "cgroup"),
        ("cgroups", "7777", f"/lxc/{HOSTILE}", "container"),
    ],
)
def test_names_that_the_agent_found_are_hostile_input(
    table: str, key: str, name: str, column: str
) -> None:
    made = frames(record())
    made[4] = control(Kind.SYMBOLS, **symbols(**{table: {key: name}}))
    shown = Trace(made, selection=ALL).events[column][0]
    assert shown.rpartition("/")[2] == "\\x1b[2J<b>\\u202e"


def containers(count: int) -> dict[str, str]:
    """Ids of control groups, and the path of each."""
    return {str(i + 1): f"/docker/{i:012}{'0' * 52}" for i in range(count)}


def in_places(count: int) -> pd.DataFrame:
    """As many records, each in a namespace and in a container of its own."""
    numbers = range(1, count + 1)
    made = frames(*(record(ts=2_000 + i, count=i, sk=i, netns=i) for i in numbers))
    sockets = b"".join(socket(sk=i, cgroup=i) for i in numbers)
    made[-5] = Frame(Kind.SOCKETS, sockets)
    netns = {str(i): f"ns{i}" for i in numbers}
    made[-4] = control(Kind.SYMBOLS, **symbols(netns=netns, cgroups=containers(count)))
    return Trace(made, selection=ALL).events


def test_each_event_has_its_own_place() -> None:
    frame = in_places(3)
    assert frame["netns_name"].tolist() == ["ns1", "ns2", "ns3"]
    assert frame["cgroup"].tolist() == list(containers(3).values())
    assert frame["container"].tolist() == [f"{i:012}" for i in range(3)]


def test_a_place_costs_a_byte_a_row() -> None:
    for count, size in ((100, 1), (200, 2)):
        frame = in_places(count)
        for name in ("netns_name", "cgroup", "container"):
            assert frame[name].cat.codes.to_numpy().itemsize == size


def test_only_some_places_have_names() -> None:
    made = frames(*(record(ts=2_000 + i, count=i + 1, netns=i + 1) for i in range(4)))
    made[-4] = control(Kind.SYMBOLS, **symbols(netns={"2": "blue", "4": "blue"}))
    names = Trace(made, selection=ALL).events["netns_name"]
    assert names.isna().tolist() == [True, False, True, False]
    assert list(names.cat.categories) == ["blue"]


@pytest.mark.parametrize("value", [None, [], "x", {"1": 2}, {"1": None}])
@pytest.mark.parametrize("name", ["functions", "netns", "cgroups"])
def test_a_symbols_that_lies(name: str, value: Any) -> None:
    made = frames(record())
    made[4] = control(Kind.SYMBOLS, **symbols(**{name: value}))
    with pytest.raises(StreamError, match=f"a SYMBOLS frame with a bad '{name}'"):
        _ = Trace(made, selection=ALL).events


def tapped(sockets: Any, more: Any = 0) -> Trace:
    return Trace(
        [
            control(Kind.TAPS, sockets=sockets, more=more)
            if frame.kind is Kind.TAPS
            else frame
            for frame in frames(record())
        ]
    )


def test_sniffers() -> None:
    told = [tap(), tap(pid=None, comm=None, further=1)]
    about = tapped(told, 3).events.attrs["skbnb"]
    assert about["sniffers"] == [tap(), tap(pid=None, comm=None)]
    assert about["more_sniffers"] == 3


def test_without_word_of_sniffers_they_are_unknown() -> None:
    made = [frame for frame in frames(record()) if frame.kind is not Kind.TAPS]
    about = Trace(made).events.attrs["skbnb"]
    assert about["sniffers"] is about["more_sniffers"] is None


def test_names_of_sniffers_are_hostile_input() -> None:
    about = tapped([tap(comm="\x1b[2J", dev="\u202e")]).events.attrs["skbnb"]
    (sniffer,) = about["sniffers"]
    assert (sniffer["comm"], sniffer["dev"]) == ("\\x1b[2J", "\\u202e")


LIES: dict[str, tuple[Any, ...]] = {
    "netns": (None, -1, 1.5, True, "1"),
    "ifindex": (None, -1),
    "dev": (1, ["lo"]),
    "protocol": ("3", None),
    "everywhere": (0, 1, None, "no"),
    "inode": (None, 10**30),
    "pid": ("1", -1, False),
    "comm": (1, {}),
}


@pytest.mark.parametrize(
    "sockets",
    [
        *(None, {}, ["lo"], [[]], [{}], [tap(), 5]),
        *([tap(**{name: lie})] for name, lies in LIES.items() for lie in lies),
    ],
)
def test_sniffers_that_are_none(sockets: Any) -> None:
    with pytest.raises(StreamError, match="TAPS frame"):
        _ = tapped(sockets).events


def test_a_number_of_sniffers_that_is_none() -> None:
    with pytest.raises(StreamError, match="a TAPS frame with a bad 'more'"):
        _ = tapped([], "many").events
