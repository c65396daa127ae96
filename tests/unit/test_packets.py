# SPDX-License-Identifier: Apache-2.0
"""Packets' bytes: from what stands behind each record to a capture file."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest

from skbnb.errors import OptionError
from skbnb.traces import Selection, Trace
from skbnb.views import receipt
from skbnb.wire import RECORD_SIZE, Kind, control
from tests.records import absent, frames, hello, record

ROOM = 64
STRIDE = 8 + RECORD_SIZE + 8 + ROOM

IPV4 = bytes.fromhex("4500001c000100004011f8c17f0000017f000001") + bytes.fromhex(
    "b1a3b1a300080000"
)
ETHERNET = bytes(12) + b"\x08\x00"


def behind(
    event: bytes, data: bytes = b"", length: int | None = None, link: int = 0
) -> bytes:
    """A record with a packet's bytes."""
    told = struct.pack("<IHH", len(data) if length is None else length, len(data), link)
    return event + told + data.ljust(ROOM, b"\0")


def trace(*records: bytes, **changes: Any) -> Trace:
    asked = {"snaplen": ROOM, "stride": STRIDE, **changes}
    replaced = {Kind.HELLO: control(Kind.HELLO, **hello(**asked))}
    made = [replaced.get(frame.kind, frame) for frame in frames(*records)]
    return Trace(made, selection=Selection("all"))


def sighting(**members: Any) -> bytes:
    return record(**absent(**{"kind": 3, **members}))


def blocks(path: Path) -> list[tuple[int, bytes]]:
    """The blocks of a pcapng file: type and body."""
    data, found = path.read_bytes(), []
    while data:
        kind, length = struct.unpack_from("<II", data)
        assert struct.unpack_from("<I", data, length - 4) == (length,)
        found.append((kind, data[8 : length - 4]))
        data = data[length:]
    return found


def options(data: bytes) -> dict[int, bytes]:
    found = {}
    while data:
        code, length = struct.unpack_from("<HH", data)
        found[code] = data[4 : 4 + length]
        data = data[4 + -(-length // 4) * 4 :]
    assert found.pop(0) == b""
    return found


def test_a_sighting_has_the_bytes_that_the_call_had_not() -> None:
    made = trace(
        behind(record(count=1, ts=2_000)),
        behind(record(count=2, ts=3_000), ETHERNET + IPV4, 42, 14),
        behind(record(count=3, ts=4_000)),
        behind(sighting(count=1, ts=5_000), ETHERNET + IPV4[:8], 1514, 14),
        behind(sighting(count=2, ts=6_000), b"another", 7),
    )
    events = made.events
    assert events["captured"].tolist()[:2] == [22, 42]
    assert events["packet"].tolist()[:2] == [3, 1]
    assert events[["captured", "packet"]].iloc[2].isna().all()
    assert made.packets[3] == (ETHERNET + IPV4[:8], 1514, 14)
    assert made.packets[1].data == ETHERNET + IPV4
    assert len(made.packets) == 5
    # Looked up row by row, it is put together once.
    assert made.packets is made.packets
    assert [packet.length for packet in made.packets[1:4]] == [42, 0, 1514]
    with pytest.raises(IndexError, match="no packet has the number 5"):
        made.packets[5]


def test_a_packet_is_found_in_every_frame() -> None:
    one, two = (
        trace(behind(record(count=n), bytes([n]) * n, n)).frames for n in (1, 2)
    )
    made = Trace([*one[:3], *two[2:]], selection=Selection("all"))
    assert [packet.data for packet in made.packets] == [b"\1", b"\2\2"]


def test_what_claims_more_than_there_is_room_for_has_the_room() -> None:
    forged = record() + struct.pack("<IHH", 9999, 9999, 0) + b"x" * ROOM
    made = trace(forged, behind(record(count=2), b"secret"))
    assert made.packets[0].data == b"x" * ROOM


def test_a_file_has_each_rows_packet_and_its_story(tmp_path: Path) -> None:
    made = trace(
        behind(record(count=1, ts=2_000), ETHERNET + IPV4, 1514, 14),
        behind(record(count=2, ts=3_000, dev=b"tun0"), IPV4, len(IPV4)),
        behind(record(count=3, ts=4_000), b"\0" * 20, 20),  # netlink's
        behind(record(count=4, ts=5_000)),
    )
    path = tmp_path / "x.pcapng"
    assert made.to_pcapng(path) == 2
    (_, section), lo, one, tun, two = blocks(path)
    assert struct.unpack_from("<IHHq", section) == (0x1A2B3C4D, 1, 0, -1)
    assert options(section[16:]) == {3: b"Linux 6.0.0-fake", 4: b"skbnb"}
    for (kind, body), link, name in ((lo, 1, b"lo"), (tun, 101, b"tun0")):
        assert kind == 1
        assert struct.unpack_from("<HHI", body) == (link, 0, 0)
        said = options(body[8:])
        assert (said[2], said[9]) == (name, b"\x09")
    for number, (kind, body), data, length in (
        (0, one, ETHERNET + IPV4, 1514),
        (1, two, IPV4, len(IPV4)),
    ):
        assert kind == 6
        interface, high, low, captured, whole = struct.unpack_from("<5I", body)
        assert (interface, captured, whole) == (number, len(data), length)
        assert high << 32 | low == 1_700_000_000_000_002_000 + 1_000 * number
        assert body[20 : 20 + len(data)] == data
        comment = options(body[20 + -(-len(data) // 4) * 4 :])[1].decode()
        assert comment.startswith(f"clone {number + 1}: ")
        assert "while curl 42 ran" in comment


def test_a_file_has_the_rows_that_are_chosen(tmp_path: Path) -> None:
    made = trace(
        *(
            behind(record(count=n, ts=2_000 + n), ETHERNET + IPV4, 42, 14)
            for n in (1, 2, 3)
        )
    )
    rows = made.events[made.events["count"] > 1]
    assert made.to_pcapng(tmp_path / "x", rows) == 2
    printed = subprocess.run(
        ["tcpdump", "-n", "-t", "-r", tmp_path / "x"], check=True, capture_output=True
    ).stdout.splitlines()
    assert printed == [b"IP 127.0.0.1.45475 > 127.0.0.1.45475: UDP, length 0"] * 2


def test_without_bytes_there_is_no_file(tmp_path: Path) -> None:
    made = Trace(frames(record()))
    assert "packet" not in made.events
    with pytest.raises(OptionError, match=r"kept no bytes.*--snaplen"):
        made.to_pcapng(tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_the_receipt_says_what_is_not_in_them() -> None:
    made = trace(behind(record()), bytes_missing="what is in pages")
    assert "at most 64 bytes of each packet, without what is in pages" in receipt(
        made.events
    )
