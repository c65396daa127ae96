# SPDX-License-Identifier: Apache-2.0
"""The pcapng file format: what Wireshark and tcpdump open.

References
----------
M. Tuexen et al., "PCAP Now Generic (pcapng) Capture File Format",
draft-ietf-opsawg-pcapng, IETF.
"""

from __future__ import annotations

import struct
from typing import BinaryIO

__all__ = ["ETHERNET", "RAW_IP", "Writer"]

# Link-layer header types, as at tcpdump.org/linktypes.html
ETHERNET = 1
RAW_IP = 101

_SECTION, _INTERFACE, _PACKET = 0x0A0D0D0A, 1, 6
_BYTE_ORDER = 0x1A2B3C4D
_LENGTH_UNKNOWN = -1
_NO_LIMIT = 0  # to the bytes that are kept of a packet
_NANOSECONDS = bytes([9])  # 10 to the power of -9

# Options
_END, _COMMENT = 0, 1
_OS, _APPLICATION = 3, 4  # of a section
_NAME, _DESCRIPTION, _RESOLUTION = 2, 3, 9  # of an interface

_LONGEST = 0xFFFF


class Writer:
    """Write one section of packets to a file.

    Parameters
    ----------
    file
        Opened for writing bytes.
    system, application
        What captured them.
    """

    def __init__(self, file: BinaryIO, system: str, application: str) -> None:
        self._file = file
        self._interfaces = 0
        head = struct.pack("<IHHq", _BYTE_ORDER, 1, 0, _LENGTH_UNKNOWN)
        named = _option(_OS, system.encode())
        named += _option(_APPLICATION, application.encode())
        self._block(_SECTION, head + named + _option(_END))

    def interface(self, link: int, name: str, description: str) -> int:
        """Name a device; gives its number.

        Parameters
        ----------
        link
            What its packets begin with: `ETHERNET` or `RAW_IP`.
        name, description
            Text for people.
        """
        options = _option(_NAME, name.encode())
        options += _option(_DESCRIPTION, description.encode())
        options += _option(_RESOLUTION, _NANOSECONDS) + _option(_END)
        self._block(_INTERFACE, struct.pack("<HHI", link, 0, _NO_LIMIT) + options)
        self._interfaces += 1
        return self._interfaces - 1

    def packet(
        self, interface: int, time: int, data: bytes, length: int, comment: str
    ) -> None:
        """Write a packet.

        Parameters
        ----------
        interface
            Number of its device.
        time
            Nanoseconds since 1970.
        data
            Its first bytes.
        length
            How many it has.
        comment
            Text for people.
        """
        head = struct.pack(
            "<5I", interface, time >> 32, time & 0xFFFFFFFF, len(data), length
        )
        options = _option(_COMMENT, comment.encode()) + _option(_END)
        self._block(_PACKET, head + _padded(data) + options)

    def _block(self, kind: int, body: bytes) -> None:
        # Its length stands at both ends, so that a file can be read backwards.
        length = struct.pack("<I", len(body) + 12)
        self._file.write(struct.pack("<I", kind) + length + body + length)


def _option(code: int, value: bytes = b"") -> bytes:
    value = value[:_LONGEST]
    return struct.pack("<HH", code, len(value)) + _padded(value)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
