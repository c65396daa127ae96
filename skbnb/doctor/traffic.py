# SPDX-License-Identifier: Apache-2.0
"""Traffic over loopback, whose clones are known beforehand."""

from __future__ import annotations

import socket
import struct

__all__ = ["CALLER", "send"]

_LOOPBACK = "127.0.0.1"
# include/uapi/asm-generic/socket.h, include/uapi/linux/net_tstamp.h
_SO_TIMESTAMPING = 37
_TX_SOFTWARE, _SOFTWARE = 1 << 1, 1 << 4
_PATIENCE = 5.0  # seconds

CALLER = "__skb_tstamp_tx"
"""The kernel function that clones what `send` sends (net/core/skbuff.c)."""


def send(datagrams: int) -> None:
    """Send datagrams that ask when they were sent: each is cloned once, to tell.

    The calling thread makes the clones itself, on however busy a machine.

    Raises
    ------
    OSError
        Loopback does not carry them.
    """
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        receiver.bind((_LOOPBACK, 0))
        receiver.settimeout(_PATIENCE)
        asked = struct.pack("I", _TX_SOFTWARE | _SOFTWARE)
        sender.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPING, asked)
        for _ in range(datagrams):
            sender.sendto(b"skbnb", receiver.getsockname())
            receiver.recv(16)
