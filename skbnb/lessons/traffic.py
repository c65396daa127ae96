# SPDX-License-Identifier: Apache-2.0
"""The programs whose packets the lessons trace, each under a name of its own.

Run as ``python -I traffic.py PROGRAM ARGUMENT...``. Those that stay say a line when
they are ready, and end with their standard input. Standard library only.
"""

from __future__ import annotations

import mmap
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
_SO_TIMESTAMPING, _TX_SOFTWARE, _SOFTWARE = 37, 1 << 1, 1 << 4


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

    def answer() -> None:
        for _ in sys.stdin:
            with server.busy:
                _say("idle")
        os._exit(0)

    # What serves is the main thread, whose id is the process's.
    threading.Thread(target=answer, daemon=True).start()
    server.serve_forever()


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
    """Do so as fast as it goes, and let nobody read; says the ns that it ran."""
    _joined, address = _group(int(receivers))
    send = _multicast_sender().sendto
    began = time.process_time_ns()
    for _ in range(int(datagrams)):
        send(b"hello", address)
    _say(time.process_time_ns() - began)


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


def racers(rounds: str) -> None:
    """Send from two processors at the same moment, again and again: one clone each."""
    board = memoryview(mmap.mmap(-1, 16)).cast("Q")  # the round that each is in
    cpus = sorted(os.sched_getaffinity(0))
    children = [
        _racer(number, cpus[number % len(cpus)], board, int(rounds))
        for number in (0, 1)
    ]
    for child in children:
        os.waitpid(child, 0)


def _racer(number: int, cpu: int, board: memoryview, rounds: int) -> int:
    child = os.fork()
    if child:
        return child
    _be(f"racer-{number}")
    os.sched_setaffinity(0, {cpu})
    receiver, sender = _datagram_socket(), _datagram_socket()
    receiver.bind((LOOPBACK, 0))
    # The time of sending comes back with a clone, made by who sends.
    sender.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPING, _TX_SOFTWARE | _SOFTWARE)
    send, address = sender.sendto, receiver.getsockname()
    for this in range(1, rounds + 1):
        board[number] = this
        spins = 0
        while board[1 - number] < this:
            spins += 1
            if spins % 1000 == 0:
                os.sched_yield()
        send(b"go", address)
    os._exit(0)


def browser(port: str, threads: str) -> None:
    """Fetch a page in each of several threads, one after the other."""
    for _ in range(int(threads)):
        thread = threading.Thread(target=_browse, args=(int(port),))
        thread.start()
        thread.join()


def _browse(port: int) -> None:
    _be("browser")  # a new Python names its threads otherwise
    with socket.create_connection((LOOPBACK, port)) as connection:
        connection.sendall(b"GET /10000 HTTP/1.1\r\n\r\n")
        page = connection.makefile("rb")
        while page.readline().strip():
            pass
        page.read(10_000)


def _be(name: str) -> None:
    Path("/proc/thread-self/comm").write_text(name)


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
    "racers": racers,
    "browser": browser,
}
"""Its name, to the kernel too (``comm``), and what it does."""


if __name__ == "__main__":
    _, name, *arguments = sys.argv
    _be(name)
    PROGRAMS[name](*arguments)
    os._exit(0)  # whatever its threads do
