# SPDX-License-Identifier: Apache-2.0
"""Records and frames made by hand: what a kernel would say, known to the last byte."""

from __future__ import annotations

import struct
from typing import Any

from skbnb.wire import ABI, PARTS, RECORD_SIZE, Frame, Kind, control

STRIDE = RECORD_SIZE + 8

# struct skb_event, as struct sees it: the standard library alone reads and writes it
# here, so that these records do not rest on the numpy dtype that they test.
_RECORD = struct.Struct("<7Q16s16s16s16s12I4H8B")
MEMBERS = (
    "ts", "count", "parent", "clone", "sk", "caller", "origin",
    "saddr", "daddr", "comm", "dev",
    "present", "pid", "tid", "uid", "len", "ifindex", "netns", "seq", "end_seq",
    "sock_hash", "stack", "drop_reason",
    "cpu", "ethertype", "sport", "dport",
    "kind", "path", "scope", "family", "protocol", "tcp_flags", "context", "again",
)  # fmt: skip

# All that a clone's record can say; it was not dropped yet.
EVERYTHING = (1 << 15) - 1

CURL = {
    "ts": 2_000,
    "count": 1,
    "parent": 0xFFFF888000001000,
    "clone": 0xFFFF8880000010E0,
    "sk": 0xFFFF888000002000,
    "caller": 0xFFFFFFFF81000010,
    "origin": 1,
    "saddr": bytes([127, 0, 0, 1]),
    "daddr": bytes([127, 0, 0, 2]),
    "comm": b"curl",
    "dev": b"lo",
    "present": EVERYTHING,
    "pid": 42,
    "tid": 43,
    "uid": 1000,
    "len": 74,
    "ifindex": 1,
    "netns": 4026531840,
    "seq": 0xFFFFFFFE,
    "end_seq": 0xFFFFFFFF,
    "sock_hash": 0xABCD,
    "stack": 5,
    "drop_reason": 0,
    "cpu": 1,
    "ethertype": 0x0800,
    "sport": 40000,
    "dport": 8000,
    "kind": 1,
    "path": 1,
    "scope": 3,
    "family": 2,
    "protocol": 6,
    "tcp_flags": 2,
    "context": 1,
    "again": 0,
}


def record(**changes: Any) -> bytes:
    """One record with its ring header: curl's SYN, with these members changed."""
    values = {**CURL, **changes}
    return bytes(8) + _RECORD.pack(*(values[name] for name in MEMBERS))


def absent(**members: Any) -> dict[str, Any]:
    """The members of a record whose probe saw nothing else than these."""
    nothing = {
        name: b"" if isinstance(value, bytes) else 0 for name, value in CURL.items()
    }
    kept = {name: CURL[name] for name in ("ts", "comm", "pid", "tid", "kind", "scope")}
    return {**nothing, **kept, **members}


def call(**changes: Any) -> bytes:
    """What a handbook's program says of curl's SYN, with these members changed."""
    values = {"ts": 2_000, "count": 1, "pid": 43, "comm": b"curl", **changes}
    return struct.pack("<QQI4x16s", *values.values())


def tally(**changes: Any) -> bytes:
    """The sum of curl's clones, with these members changed."""
    values = {"pid": 42, "scope": 3, "comm": b"curl", "calls": 3, **changes}
    return struct.pack("<II16sQ", *values.values())


def socket(**changes: Any) -> bytes:
    """What is known of curl's socket, with these members changed."""
    values: dict[str, Any] = {
        "sk": CURL["sk"],
        "sock_hash": CURL["sock_hash"],
        "cookie": 77,
        "cgroup": 7777,
        "inode": 4711,
        "pid": 42,
        "comm": b"curl",
        **changes,
    }
    return struct.pack("<QI4xQQII16s", *values.values())


EVENTS_PAYLOAD = b"".join(
    record(ts=2_000 + i, count=i + 1, pid=42 + i % 2) for i in range(3)
)


def hello(**changes: Any) -> dict[str, Any]:
    """The fields of a HELLO."""
    fields: dict[str, Any] = {
        "abi": ABI,
        "version": "0.1.0",
        "stride": STRIDE,
        "offset": 8,
        "sees": "all",
        "kernel": "6.0.0-fake",
        "machine": "x86_64",
        "probe": "tracepoint",
        "coverage": "",
        "via": "ring",
        "probes": {"tracepoint": "attached"},
        "buffer": "ring",
        "buffer_why": "",
        "layout": "btf",
        "skb_size": 256,
        "stacks": False,
        "also": "nothing",
        "follow": False,
        "snaplen": 0,
        "bytes_missing": "",
        "ring_mib": 32,
        "max_events": None,
        "max_seconds": None,
        "monotonic": 1_000,
        "realtime": 1_700_000_000_000_001_000,
    }
    return {**fields, **changes}


def stats(**changes: Any) -> dict[str, Any]:
    """The fields of a STATS that adds up, but for what these changes say."""
    fields: dict[str, Any] = {
        "calls": 3,
        **dict.fromkeys(PARTS, 0),
        "failed": 0,
        "sightings": 0,
        "sightings_lost": 0,
        "tasks_lost": 0,
        "skipped": 0,
        "copies": 0,
        "copies_lost": 0,
        "copies_missed": 0,
        "ends_lost": 0,
        "untracked": 0,
        "stacks_collided": 0,
        "stacks_failed": 0,
        "sent_other": 5,
        "sent_notebook": 2,
        "sent_cell": 3,
        "counted": 0,
        "foreign": 0,
        "began": 1_000,
        "ended": 1_000_001_000,
        "monotonic": 1_000,
        "realtime": 1_700_000_000_000_001_000,
        **changes,
    }
    counts = [fields[name] for name in ("calls", *PARTS[1:])]
    if "emitted" not in changes and all(type(count) is int for count in counts):
        fields["emitted"] = max(0, counts[0] - sum(counts[1:]))
    return fields


def symbols(**changes: Any) -> dict[str, Any]:
    """The fields of a SYMBOLS."""
    fields: dict[str, Any] = {
        "functions": {"0xffffffff81000010": "__tcp_transmit_skb"},
        "modules": {},
        "drop_reasons": {},
        "netns": {"4026531840": "blue"},
        "cgroups": {"7777": f"/system.slice/docker-{'c0ffee' * 10}beef.scope"},
    }
    return {**fields, **changes}


def tap(**changes: Any) -> dict[str, Any]:
    """A sniffer on loopback, as a TAPS frame has it, with these fields changed."""
    fields: dict[str, Any] = {
        "netns": CURL["netns"],
        "ifindex": 1,
        "dev": "lo",
        "protocol": 3,
        "everywhere": False,
        "inode": 4712,
        "pid": 4711,
        "comm": "tcpdump",
    }
    return {**fields, **changes}


def frames(*records: bytes, **counts: Any) -> list[Frame]:
    """A whole trace of these records."""
    return [
        control(Kind.HELLO, **hello()),
        control(Kind.READY, ts=1_000, base=0),
        *(Frame(Kind.EVENTS, r) for r in records),
        Frame(Kind.SOCKETS, socket()),
        control(Kind.SYMBOLS, **symbols()),
        control(Kind.TAPS, sockets=[tap()], more=0),
        control(Kind.STATS, **stats(**{"calls": len(records), **counts})),
        control(Kind.END, why="stop"),
    ]
