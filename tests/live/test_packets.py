# SPDX-License-Identifier: Apache-2.0
"""Packets' bytes are those that a sniffer has of them."""

from __future__ import annotations

import struct
import subprocess
from collections import Counter
from pathlib import Path

import pytest

import skbnb
from skbnb.errors import RequestError
from tests.live.traffic import Server, apart, curl, end_tcpdump, start_tcpdump

SNAPLEN = 300


def sniffed(path: Path) -> list[tuple[int, bytes]]:
    """The packets of tcpdump's file: the length of each, and its first bytes."""
    data, found = path.read_bytes()[24:], []
    while data:
        _, _, captured, length = struct.unpack_from("<4I", data)
        found.append((length, data[16 : 16 + captured]))
        data = data[16 + captured :]
    return found


def described(path: Path) -> list[str]:
    """What tcpdump says of a file's packets."""
    return subprocess.run(
        ["tcpdump", "-n", "-t", "-S", "-r", path],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()


def test_what_tcp_sends_is_what_a_sniffer_sees(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "sniffed"
    # (Told to keep fewer bytes, libpcap keeps two fewer than that.)
    options = ("--immediate-mode", "-U", "-Z", "root")
    sniffer = start_tcpdump(*options, "-w", str(path))
    with skbnb.trace(snaplen=SNAPLEN) as trace:
        curl(server.url)
        curl(server.url6)
    end_tcpdump(sniffer, path)
    sent = trace.events[trace.events["reason"] == "tcp-transmit"]
    packets = [trace.packets[number] for number in sent["packet"]]
    # Where all is slow, the last FIN may come after the trace.
    assert len(packets) == len(sent) >= 10
    theirs = [(length, data[:SNAPLEN]) for length, data in sniffed(path)]
    for packet in packets:
        # As often as it was sent.
        theirs.remove((packet.length, packet.data))
    assert trace.events.attrs["skbnb"]["bytes_missing"] == ""

    assert trace.to_pcapng(tmp_path / "ours", sent) == len(packets)
    assert not Counter(described(tmp_path / "ours")) - Counter(described(path))


def test_a_datagram_is_whole_and_what_is_longer_is_cut() -> None:
    # Ethernet, IP and UDP headers have 42 bytes, "hello" 5.
    for snaplen, text in ((47, b"hello"), (45, b"hel")):
        with skbnb.trace(snaplen=snaplen) as trace:
            apart("multicast", 3, 4)
        clones = trace.events[trace.events["kind"] == "clone"]
        packets = [trace.packets[number] for number in clones["packet"]]
        assert len(packets) == 8
        assert {(packet.length, packet.link) for packet in packets} == {(47, 14)}
        assert {packet.data[42:] for packet in packets} == {text}


def test_a_perf_buffer_has_no_room_for_bytes() -> None:
    with pytest.raises(RequestError, match=r"--snaplen needs a ring buffer"):
        with skbnb.trace(snaplen=64, buffer="perf"):
            pass
