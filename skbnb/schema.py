# SPDX-License-Identifier: Apache-2.0
"""The record as a numpy dtype, and every column of the DataFrame described once.

``bpf/skb_event.h`` is the other half of this file; a test compiles it and compares
every offset, size and constant. The DataFrame's columns, README's table and the docs
are made from `COLUMNS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Any, Literal

import numpy as np

__all__ = [
    "BYTES",
    "COLUMNS",
    "DERIVED",
    "HANDBOOK",
    "RECORD",
    "SOCKET",
    "TALLY",
    "WITHIN",
    "Column",
    "Context",
    "Has",
    "Kind",
    "Path",
    "Scope",
    "columns_of",
    "markdown_table",
]


class Kind(IntEnum):
    """What a record is about (``enum skb_kind``)."""

    CLONE = 1
    FAILED = 2
    SIGHTING = 3
    COPY = 4
    COPY_FAILED = 5
    CONSUMED = 6
    DROPPED = 7
    FREED = 8


class Path(IntEnum):
    """Where the clone's ``struct sk_buff`` came from (``enum skb_path``)."""

    FAST = 1
    SLAB = 2


class Scope(IntEnum):
    """Whose task was running (``enum skb_scope``)."""

    OTHER = 1
    NOTEBOOK = 2
    CELL = 3


WITHIN = {
    "cell": (Scope.CELL,),
    "notebook": (Scope.CELL, Scope.NOTEBOOK),
    "all": tuple(Scope),
}
"""A scope that can be chosen (`config.SCOPES`) -> those of the records in it."""


class Context(IntEnum):
    """What the kernel was doing (``enum skb_context``)."""

    SYSCALL = 1
    SOFTIRQ = 2
    HARDIRQ = 3
    KTHREAD = 4


class Has(IntFlag):
    """Bits of a record's ``present`` member (``enum skb_present``).

    Those from `DERIVED` on are not of the record: they are about what is made of it.
    """

    PARENT = 1 << 0
    CLONE = 1 << 1
    SK = 1 << 2
    CALLER = 1 << 3
    LEN = 1 << 4
    ETHERTYPE = 1 << 5
    ADDRESSES = 1 << 6
    PORTS = 1 << 7
    TCP = 1 << 8
    IFINDEX = 1 << 9
    DEV = 1 << 10
    COUNT = 1 << 11
    TCP_CB = 1 << 12
    ORIGIN = 1 << 13
    STACK = 1 << 14
    DROP_REASON = 1 << 15
    SOCKET_ADDRESSES = 1 << 16
    COMPANION = 1 << 17
    DETAIL = 1 << 24


DERIVED = Has.DETAIL
"""The first bit that is not of the record."""

RECORD = np.dtype(
    [
        ("ts", "<u8"),
        ("count", "<u8"),
        ("parent", "<u8"),
        ("clone", "<u8"),
        ("sk", "<u8"),
        ("caller", "<u8"),
        ("origin", "<u8"),
        ("saddr", "V16"),
        ("daddr", "V16"),
        ("comm", "V16"),
        ("dev", "V16"),
        ("present", "<u4"),
        ("pid", "<u4"),
        ("tid", "<u4"),
        ("uid", "<u4"),
        ("len", "<u4"),
        ("ifindex", "<u4"),
        ("netns", "<u4"),
        ("seq", "<u4"),
        ("end_seq", "<u4"),
        ("sock_hash", "<u4"),
        ("stack", "<u4"),
        ("drop_reason", "<u4"),
        ("cpu", "<u2"),
        ("ethertype", "<u2"),
        ("sport", "<u2"),
        ("dport", "<u2"),
        ("kind", "u1"),
        ("path", "u1"),
        ("scope", "u1"),
        ("family", "u1"),
        ("protocol", "u1"),
        ("tcp_flags", "u1"),
        ("context", "u1"),
        ("again", "u1"),
    ]
)
"""``struct skb_event``, 184 bytes."""

SOCKET = np.dtype(
    [
        ("sk", "<u8"),
        ("sock_hash", "<u4"),
        ("pad", "V4"),
        ("cookie", "<u8"),
        ("cgroup", "<u8"),
        ("inode", "<u4"),
        ("pid", "<u4"),
        ("comm", "V16"),
    ]
)
"""``struct skb_socket_key`` and ``struct skb_socket``, 56 bytes."""

BYTES = np.dtype([("length", "<u4"), ("captured", "<u2"), ("link", "<u2")])
"""``struct skb_bytes``, 8 bytes without the packet's."""

HANDBOOK = np.dtype(
    [("ts", "<u8"), ("count", "<u8"), ("pid", "<u4"), ("pad", "V4"), ("comm", "V16")]
)
"""``struct handbook_event``, 40 bytes."""

TALLY = np.dtype([("pid", "<u4"), ("scope", "<u4"), ("comm", "V16"), ("calls", "<u8")])
"""``struct tally_key`` and the sum, 32 bytes."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the DataFrame.

    Parameters
    ----------
    name
        The column's name.
    dtype
        Its pandas dtype. ``category`` repeats little and is kept as codes; a
        capitalised integer (``UInt32``) can be absent (``pandas.NA``).
    text
        What it says, with its unit, in one sentence.
    field
        What it is made from: the record's member, or one that is derived from several.
    has
        The bit that says whether the member was seen, or a member that is 0 if it was
        not; None for what is always there.
    option
        What has to be asked for, or the DataFrame has no such column: the name of a
        member of `Config`. Empty for nothing.
    """

    name: str
    dtype: Literal[
        "datetime64[ns]", "float64", "uint32", "uint16",
        "category", "UInt64", "UInt32", "UInt16", "Float64",
    ]  # fmt: skip
    text: str
    field: str
    has: Has | str | None = None
    option: str = ""


COLUMNS: tuple[Column, ...] = (
    Column(
        "time",
        "datetime64[ns]",
        "When, by the wall clock (UTC) as it was when tracing began.",
        "ts",
    ),
    Column("t", "float64", "Seconds since tracing began, just before the cell.", "ts"),
    Column(
        "count",
        "UInt64",
        "This call's number in the trace, from 1, over the whole machine (Linux 5.12).",
        "count",
        Has.COUNT,
    ),
    Column(
        "comm",
        "category",
        "Name of the running thread (`comm`); `other` for all whom you may not see.",
        "comm",
    ),
    Column(
        "pid",
        "uint32",
        "Process id of the running task; with `--via trace` and `--via perf` its "
        "thread id. 0 for all whom you may not see.",
        "pid",
    ),
    Column("tid", "uint32", "Its thread id.", "tid"),
    Column("uid", "uint32", "Its real user id; 4294967295 if hidden.", "uid"),
    Column("cpu", "uint16", "CPU that it ran on.", "cpu"),
    Column(
        "scope",
        "category",
        "`cell`, `notebook` (the notebook's other threads and its server) or `other`.",
        "scope",
    ),
    Column(
        "context",
        "category",
        "`syscall`: the running task's own work; `softirq` or `hardirq`: it was only "
        "interrupted; `kthread`: a thread of the kernel's.",
        "context",
        "context",
    ),
    Column(
        "kind",
        "category",
        "`clone`, or `failed` if skb_clone() gave NULL; with `--also copy` also `copy` "
        "and `copy failed`.",
        "kind",
    ),
    Column(
        "path",
        "category",
        "`fast` (second half of a pair made beforehand) or `slab` (allocated now).",
        "path",
    ),
    Column(
        "caller",
        "category",
        "Kernel function that called skb_clone().",
        "caller",
        Has.CALLER,
    ),
    Column(
        "reason",
        "category",
        "Why that function clones: see `skbnb.reasons`.",
        "caller",
        Has.CALLER,
    ),
    Column(
        "detail",
        "category",
        "What TCP sent: `SYN`, `data`, `FIN`; `again` for a retransmission.",
        "detail",
        Has.DETAIL,
    ),
    Column("payload", "UInt32", "Bytes of data in it.", "payload", Has.DETAIL),
    Column(
        "owner_pid",
        "UInt32",
        "Process whose socket it belongs to: that used it last, or has it open.",
        "owner_pid",
        "owner_pid",
    ),
    Column("owner_comm", "category", "Its name.", "owner_comm", "owner_pid"),
    Column("parent", "UInt64", "Address of the skb cloned.", "parent", Has.PARENT),
    Column(
        "origin",
        "UInt64",
        "`count` of the call that first saw the parent: it made it, or cloned it.",
        "origin",
        Has.ORIGIN,
    ),
    Column("clone", "UInt64", "Address of the clone.", "clone", Has.CLONE),
    Column(
        "fate",
        "category",
        "How the clone ended: `consumed`, `dropped`, or `freed` (nobody says how).",
        "fate",
        "fate",
        "follow",
    ),
    Column(
        "drop_reason",
        "category",
        "Why it was dropped, in the kernel's words (Linux 5.17).",
        "drop_reason",
        Has.DROP_REASON,
        "follow",
    ),
    Column(
        "life", "Float64", "How long it lived, in seconds.", "life", "life", "follow"
    ),
    Column("len", "UInt32", "Length of the packet in bytes.", "len", Has.LEN),
    Column(
        "captured",
        "UInt16",
        "How many of its first bytes were kept.",
        "captured",
        "captured",
        "snaplen",
    ),
    Column(
        "packet",
        "UInt32",
        "Their number in `Trace.packets`.",
        "packet",
        "captured",
        "snaplen",
    ),
    Column(
        "ethertype",
        "category",
        "`IPv4`, `IPv6`, `ARP`, or the number in hex.",
        "ethertype",
        Has.ETHERTYPE,
    ),
    Column(
        "protocol",
        "category",
        "`tcp`, `udp`, `icmp` ..., or the IP protocol's number.",
        "protocol",
        Has.ADDRESSES,
    ),
    Column("family", "category", "`inet` or `inet6`.", "family", Has.ADDRESSES),
    Column("saddr", "category", "Source address.", "saddr", Has.ADDRESSES),
    Column("sport", "UInt16", "Source port.", "sport", Has.PORTS),
    Column("daddr", "category", "Destination address.", "daddr", Has.ADDRESSES),
    Column("dport", "UInt16", "Destination port.", "dport", Has.PORTS),
    Column(
        "address_source",
        "category",
        "What tells them: the packet's `headers`, or for want of these its `socket`, "
        "or the socket that the `companion` probe saw sending it; or `none`.",
        "address_source",
    ),
    Column(
        "tcp_flags",
        "category",
        "TCP flags, as `SYN` or `PSH|ACK`.",
        "tcp_flags",
        Has.TCP,
    ),
    Column("seq", "UInt32", "TCP sequence number.", "seq", Has.TCP),
    Column("dev", "category", "Name of the network device.", "dev", Has.DEV),
    Column("ifindex", "UInt32", "Its number.", "ifindex", Has.IFINDEX),
    Column(
        "netns", "UInt32", "Inode number of its network namespace.", "netns", Has.DEV
    ),
    Column(
        "netns_name",
        "category",
        "Its name, where it has one (`ip netns`).",
        "netns",
        Has.DEV,
    ),
    Column("sk", "UInt64", "Address of the packet's socket.", "sk", Has.SK),
    Column(
        "sk_inode", "UInt32", "Its inode, as in `/proc/PID/fd`.", "sk_inode", "sk_inode"
    ),
    Column(
        "sk_cookie",
        "UInt64",
        "Its cookie, as `ss -e` shows it.",
        "sk_cookie",
        "sk_cookie",
    ),
    Column(
        "cgroup",
        "category",
        "Path of its control group (version 2): that of the task that made it, or of "
        "the listening socket that it comes from.",
        "cgroup",
        "cgroup",
    ),
    Column(
        "container",
        "category",
        "Container that the control group is of, if any: its id as `docker ps` shows "
        "it, or its name (LXC, systemd-nspawn).",
        "cgroup",
        "cgroup",
    ),
    Column(
        "stack",
        "category",
        "The kernel's functions from the outermost to the caller, with `;` between.",
        "stack",
        Has.STACK,
        "stacks",
    ),
)
"""Every column, in order. At most 170 bytes a row together.

That is what the dtypes ask for: what can be absent has a byte more for each row.
"""


_OF_HANDBOOK = ("time", "t", "count", "comm", "pid", "kind")


def columns_of(hello: Mapping[str, Any]) -> list[Column]:
    """The columns of a trace's DataFrame.

    Parameters
    ----------
    hello
        The fields of its HELLO frame, or none of them.
    """
    asked = [c for c in COLUMNS if not c.option or hello.get(c.option)]
    if hello.get("via", "ring") == "ring":
        return asked
    return [column for column in asked if column.name in _OF_HANDBOOK]


def markdown_table() -> str:
    """The columns as a Markdown table: README's."""
    lines = ["| column | dtype | meaning |", "| --- | --- | --- |"]
    for column in COLUMNS:
        option = f" With `--{column.option}`." if column.option else ""
        # Even in code a bar would begin another cell.
        text = f"{column.text}{option}".replace("|", r"\|")
        lines.append(f"| `{column.name}` | {column.dtype} | {text} |")
    return "\n".join(lines) + "\n"
