# SPDX-License-Identifier: Apache-2.0
"""The programs whose packets the lessons trace, each under a name of its own.

Run as ``python -I traffic.py PROGRAM ARGUMENT...``. Those that stay say a line when
they are ready, and end with their standard input. Standard library only.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

__all__ = ["PROGRAMS"]

LOOPBACK = "127.0.0.1"
GROUP = "239.1.2.3"

_ETH_P_ALL = 3
_SOL_PACKET, _PACKET_RX_RING = 263, 5


class _Pages(BaseHTTPRequestHandler):
    """``/N`` is a page of N bytes; a connection stays until the client closes it."""

    protocol_version = "HTTP/1.1"
    server_version, sys_version = "web-server", ""
    # Else the page might wait until the head is acknowledged.
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Send the head, and then the page."""
        size = int(self.path.strip("/"))
        self.send_response(200)
        self.send_header("Content-Length", str(size))
        self.end_headers()
        self.wfile.write(bytes(size))

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Server(HTTPServer):
    """Serves one connection at a time."""

    busy = threading.Lock()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection until it is closed."""
        with self.busy:
            super().process_request(request, client_address)


def web_server() -> None:
    """Serve pages; says its port, and a line for each that it reads, once it idles."""
    server = _Server((LOOPBACK, 0), _Pages)
    _say(server.server_port)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for _ in sys.stdin:
        with server.busy:
            _say("idle")


def sniffer() -> None:
    """Sniff loopback as tcpdump does, into a ring that nobody reads; needs root."""
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
    # struct tpacket_req: 2 blocks of 4 KiB, for 4 frames of 2 KiB.
    sock.setsockopt(_SOL_PACKET, _PACKET_RX_RING, struct.pack("IIII", 4096, 2, 2048, 4))
    sock.bind(("lo", _ETH_P_ALL))
    _say("sniffs")
    sys.stdin.read()


def udp_pair(datagrams: str) -> None:
    """Send datagrams to oneself, and read each."""
    receiver = _datagram_socket()
    receiver.bind((LOOPBACK, 0))
    sender = _datagram_socket()
    for _ in range(int(datagrams)):
        sender.sendto(b"hello", receiver.getsockname())
        receiver.recv(10)


def multicast(receivers: str, datagrams: str) -> None:
    """Send datagrams to a group that several sockets have joined, and read all."""
    joined, address = _group(int(receivers))
    sender = _multicast_sender()
    for _ in range(int(datagrams)):
        sender.sendto(b"hello", address)
        for receiver in joined:
            receiver.recv(10)


def flood(receivers: str, datagrams: str) -> None:
    """Do so as fast as it goes, and let nobody read; says how many ns it took."""
    _joined, address = _group(int(receivers))
    send = _multicast_sender().sendto
    began = time.perf_counter_ns()
    for _ in range(int(datagrams)):
        send(b"hello", address)
    _say(time.perf_counter_ns() - began)


def _group(receivers: int) -> tuple[list[socket.socket], tuple[str, int]]:
    """Sockets that have joined a group, and its address."""
    member = socket.inet_aton(GROUP) + socket.inet_aton(LOOPBACK)
    joined: list[socket.socket] = []
    port = 0
    for _ in range(receivers):
        receiver = _datagram_socket()
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        receiver.bind((GROUP, port))
        port = receiver.getsockname()[1]
        receiver.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
        joined.append(receiver)
    return joined, (GROUP, port)


def _multicast_sender() -> socket.socket:
    sender = _datagram_socket()
    interface = socket.inet_aton(LOOPBACK)
    sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, interface)
    return sender


def _datagram_socket() -> socket.socket:
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


def _say(word: object) -> None:
    print(word, flush=True)


PROGRAMS: dict[str, Callable[..., None]] = {
    "web-server": web_server,
    "sniffer": sniffer,
    "udp-pair": udp_pair,
    "multicast": multicast,
    "flood": flood,
}
"""Its name, to the kernel too (``comm``), and what it does."""


if __name__ == "__main__":
    _, name, *arguments = sys.argv
    Path("/proc/self/comm").write_text(name)
    PROGRAMS[name](*arguments)
    os._exit(0)  # whatever its threads do
