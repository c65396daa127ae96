# SPDX-License-Identifier: Apache-2.0
"""Work of a known size, for what tracing costs: how many clones it makes is fixed.

Run as ``python -m tests.bench.work``. A line on stdin is one of the functions of `WORK`
and how many times it does its work; the line that answers it the seconds that it took,
and those of a processor's time that this process had.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable

from tests.live.traffic import LOOPBACK, timestamping, udp


def clones(times: int) -> None:
    """Ask and answer over TCP, then send datagrams that ask for a timestamp.

    A fast clone for each question and each answer, three for the connection, and a slab
    clone for each datagram.
    """
    _ask_and_answer(times)
    timestamping(times)


def clones_of(times: int) -> int:
    """How many clones `clones` makes."""
    return 3 * times + 3


def _ask_and_answer(times: int) -> None:
    with (
        socket.create_server((LOOPBACK, 0)) as listener,
        socket.create_connection(listener.getsockname()) as client,
        listener.accept()[0] as server,
    ):
        for _ in range(times):
            client.send(b"?")
            server.recv(1)
            server.send(b"!")
            client.recv(1)


def datagrams(times: int) -> None:
    """Send datagrams to one receiver: packets, and no clone."""
    udp(times)


def pipes(times: int) -> None:
    """Make pipes and close them: slab objects, no packet, and no clone."""
    for _ in range(times):
        for end in os.pipe():
            os.close(end)


def bulk(times: int) -> None:
    """Send so many MiB over TCP, as fast as it goes, to another process."""
    block = bytes(1 << 20)
    with socket.create_server((LOOPBACK, 0)) as listener:
        receiver = os.fork()
        if not receiver:
            with socket.create_connection(listener.getsockname()) as end:
                room = bytearray(len(block))
                while end.recv_into(room):
                    pass
            os._exit(0)
        with listener.accept()[0] as end:
            for _ in range(times):
                end.sendall(block)
    os.waitpid(receiver, 0)


WORK: dict[str, Callable[[int], None]] = {
    "clones": clones,
    "datagrams": datagrams,
    "pipes": pipes,
    "bulk": bulk,
}


if __name__ == "__main__":
    for line in sys.stdin:
        name, count = line.split()
        began = time.perf_counter(), time.process_time()
        WORK[name](int(count))
        ended = time.perf_counter(), time.process_time()
        print(*(b - a for a, b in zip(began, ended, strict=True)), flush=True)
