# SPDX-License-Identifier: Apache-2.0
"""The first bytes of a trace's packets, where they were asked for."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from . import pcapng
from .errors import OptionError
from .schema import BYTES, RECORD
from .wire import Payload

if TYPE_CHECKING:
    import os

__all__ = ["Packet", "Packets", "to_pcapng"]

# An Ethernet header, or one with VLAN tags in it.
_ETHERNET_HEADER = 14


class Packet(NamedTuple):
    """A packet's first bytes.

    Attributes
    ----------
    data
        From the link header on or, where there is none, from the network header on.
    length
        How many bytes the packet has.
    link
        How many of them the link header has.
    """

    data: bytes
    length: int
    link: int

    def as_captured(self) -> tuple[int, bytes, int] | None:
        """Link type, bytes and length for a capture file; None: they are no packet's.

        A link header that is not Ethernet's is left out, and the packets of other
        protocols than IP that have none, as netlink's, are not for such files.
        """
        if self.link >= _ETHERNET_HEADER:
            return pcapng.ETHERNET, self.data, self.length
        data = self.data[self.link :]
        if data and data[0] >> 4 in (4, 6):
            return pcapng.RAW_IP, data, self.length - self.link
        return None


class Packets(Sequence[Packet]):
    """The bytes behind every record of a trace, by the column ``packet``.

    Parameters
    ----------
    payloads
        Of the EVENTS frames.
    hello
        Fields of the HELLO.

    Raises
    ------
    OptionError
        Nobody asked for them.
    """

    def __init__(self, payloads: Sequence[Payload], hello: Mapping[str, Any]) -> None:
        if not hello.get("snaplen"):
            raise OptionError(
                "this trace kept no bytes of packets", "Trace with --snaplen 256."
            )
        self._payloads = payloads
        self._stride = hello["stride"]
        self._offset = hello["offset"] + RECORD.itemsize
        counts = (len(payload) // self._stride for payload in payloads)
        self._ends = list(itertools.accumulate(counts))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, number: Any) -> Any:
        """One packet; of a slice, a list of them."""
        if isinstance(number, slice):
            return [self[each] for each in range(*number.indices(len(self)))]
        if not 0 <= number < len(self):
            raise IndexError(f"no packet has the number {number}")
        frame = bisect.bisect_right(self._ends, number)
        first = self._ends[frame - 1] if frame else 0
        payload = self._payloads[frame]
        at = (number - first) * self._stride + self._offset
        told = np.frombuffer(payload, BYTES, 1, at)[0]
        begin = at + BYTES.itemsize
        # What is forged may claim more than a record has room for.
        room = self._stride - self._offset - BYTES.itemsize
        data = bytes(payload[begin : begin + min(int(told["captured"]), room)])
        return Packet(data, int(told["length"]), int(told["link"]))


_OF_INTERFACE = ("dev", "ifindex", "netns", "netns_name")
_OF_COMMENT = (
    *("kind", "count", "reason", "detail", "comm", "pid", "context"),
    *("owner_comm", "owner_pid"),
)


def to_pcapng(
    packets: Packets,
    df: pd.DataFrame,
    path: str | os.PathLike[str],
) -> int:
    """Write the packet of each row, with a comment that says who made it and why.

    Parameters
    ----------
    packets
        Of the trace.
    df
        Some of its rows.
    path
        The file.

    Returns
    -------
    int
        How many packets it has. Rows whose packet was not seen, or has neither an
        Ethernet nor an IP header, are left out.

    Raises
    ------
    OSError
        The file cannot be written.
    """
    about = df.attrs.get("skbnb", {})
    df = df[df["packet"].notna()].sort_values("time", kind="stable")
    numbers = df["packet"].tolist()
    times = df["time"].astype("datetime64[ns]").astype("int64").tolist()
    interfaces: dict[tuple[Any, ...], int] = {}
    written = 0
    with Path(path).open("wb") as file:
        writer = pcapng.Writer(file, f"Linux {about.get('kernel')}", "skbnb")
        rows = zip(
            numbers,
            times,
            _rows(df, _OF_INTERFACE),
            _rows(df, _OF_COMMENT),
            strict=True,
        )
        for number, time, device, call in rows:
            captured = packets[number].as_captured()
            if captured is None:
                continue
            link, data, length = captured
            key = (link, *device.values())
            if key not in interfaces:
                interfaces[key] = writer.interface(link, *_interface(device))
            writer.packet(interfaces[key], time, data, length, _comment(call))
            written += 1
    return written


def _rows(df: pd.DataFrame, names: Sequence[str]) -> Iterable[dict[str, Any]]:
    """Some columns of each row; None for what is absent."""
    columns = [df[name].astype("object") for name in names]
    known = [column.where(column.notna(), None).tolist() for column in columns]
    return (dict(zip(names, row, strict=True)) for row in zip(*known, strict=True))


def _interface(device: dict[str, Any]) -> tuple[str, str]:
    name = device["dev"] or (f"device {device['ifindex']}" if device["ifindex"] else "")
    space = device["netns_name"] or device["netns"]
    return name or "unknown", f"network namespace {space or 'unknown'}"


def _comment(call: dict[str, Any]) -> str:
    number = "" if call["count"] is None else f" {call['count']}"
    said = [f"{call['kind']}{number}: {call['reason'] or 'unknown'}"]
    said += [call["detail"]] if call["detail"] else []
    said.append(f"while {call['comm']} {call['pid']} ran")
    if call["context"]:
        said[-1] += f" ({call['context']})"
    if call["owner_pid"] is not None:
        said.append(f"socket of {call['owner_comm']} {call['owner_pid']}")
    return ", ".join(said)
