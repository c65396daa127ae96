# SPDX-License-Identifier: Apache-2.0
"""Traffic whose clones are known beforehand; each function runs in a process of its
own.

Run as ``python traffic.py FUNCTION ARGUMENT...``.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import http.server
import os
import resource
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from tests.stock.networks import Namespace

GROUP = "239.1.2.3"
LOOPBACK = "127.0.0.1"


class Server(NamedTuple):
    """The web server of the `server` fixture."""

    pid: int
    port: int
    port6: int

    @property
    def url(self) -> str:
        """Its 10 KB over IPv4."""
        return f"http://127.0.0.1:{self.port}/body"

    @property
    def url6(self) -> str:
        """The same over IPv6."""
        return f"http://[::1]:{self.port6}/body"


def run(*command: str) -> None:
    """Run a command that must succeed."""
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def apart(function: str, *arguments: object) -> int:
    """Run one of this file's functions in a process of its own; give its process id."""
    command = [sys.executable, __file__, function, *map(str, arguments)]
    process = subprocess.Popen(command)
    assert process.wait() == 0
    return process.pid


def curl(url: str) -> int:
    """Fetch a page, and wait until both sides are closed; give curl's pid."""
    process = subprocess.Popen(["curl", "-s", url, "-o", "/dev/null"])
    assert process.wait() == 0
    port = urlsplit(url).port
    assert port
    deadline = time.monotonic() + 30
    while _is_open(port):
        assert time.monotonic() < deadline, f"a socket of {url} stays open"
        time.sleep(0.01)
    return process.pid


def _is_open(port: int) -> bool:
    """Whether a TCP connection of that port has something to send yet."""
    time_wait, listens = "06", "0A"
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            _, *ends, state = line.split()[:4]
            at_port = port in (int(end.rpartition(":")[2], 16) for end in ends)
            if at_port and state not in (time_wait, listens):
                return True
    return False


def start_tcpdump(
    *options: str, host: Namespace | None = None
) -> subprocess.Popen[str]:
    """Start a sniffer, on loopback unless told, and wait until it listens."""
    command = ["tcpdump", "-i", "lo", "-n", *options]
    command = host.command(*command) if host else command
    pipe = subprocess.PIPE
    sniffer = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True)
    assert sniffer.stderr
    while "listening on" not in sniffer.stderr.readline():
        assert sniffer.poll() is None, "tcpdump ended"
    return sniffer


def end_tcpdump(sniffer: subprocess.Popen[str], path: Path | None = None) -> list[str]:
    """End a sniffer of loopback when it has told all that was sent before.

    Give the lines that it printed, if it does not write to a file at once (``-U``).
    """
    last_port, last_word, lines = 9, b"that was all", list[str]()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(last_word, (LOOPBACK, last_port))
    if path:
        deadline = time.monotonic() + 30
        while last_word not in path.read_bytes():
            assert time.monotonic() < deadline, "tcpdump does not see what is sent"
            time.sleep(0.01)
    else:
        assert sniffer.stdout
        while f" > {LOOPBACK}.{last_port}: UDP" not in (line := next(sniffer.stdout)):
            lines.append(line)
    sniffer.terminate()
    sniffer.communicate()
    return lines


def serve(folder: str) -> None:
    """Serve a folder over IPv4 and IPv6, and print both ports."""
    handler = functools.partial(Quiet, directory=folder)
    for family, address in ((socket.AF_INET, LOOPBACK), (socket.AF_INET6, "::1")):
        server_class = http.server.ThreadingHTTPServer
        kind = type("Server", (server_class,), {"address_family": family})
        server = kind((address, 0), handler)
        print(server.server_port, flush=True)
        threading.Thread(target=server.serve_forever).start()


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves without a log."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def udp(count: int) -> None:
    """Send datagrams to one receiver: no clone."""
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.bind((LOOPBACK, 0))
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for _ in range(count):
        sender.sendto(b"x", receiver.getsockname())
        receiver.recv(10)


def _multicast_receivers(count: int, port: int) -> list[socket.socket]:
    receivers = []
    for _ in range(count):
        receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        receiver.bind((GROUP, port))
        member = socket.inet_aton(GROUP) + socket.inet_aton(LOOPBACK)
        receiver.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
        receivers.append(receiver)
    return receivers


def _multicast_sender() -> socket.socket:
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    loopback = socket.inet_aton(LOOPBACK)
    sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, loopback)
    return sender


def multicast(receivers: int, datagrams: int) -> None:
    """Send datagrams to several receivers, and read them all: receivers - 1 clones
    each.

    The multicast route of loopback itself adds none: one receiver gets the original.
    """
    sockets = _multicast_receivers(receivers, 45_454)
    sender = _multicast_sender()
    for _ in range(datagrams):
        sender.sendto(b"hello", (GROUP, 45_454))
        for receiver in sockets:
            assert receiver.recv(10) == b"hello"


def flood(receivers: int, datagrams: int) -> None:
    """As `multicast`, as fast as it goes, and nobody reads."""
    sockets = _multicast_receivers(receivers, 45_455)
    sender = _multicast_sender()
    for _ in range(datagrams):
        sender.sendto(b"x", (GROUP, 45_455))
    del sockets


def _timestamped(sender: socket.socket) -> None:
    """Let each datagram of a socket ask for a transmit timestamp."""
    so_timestamping, tx_software, software = 37, 1 << 1, 1 << 4
    sender.setsockopt(
        socket.SOL_SOCKET, so_timestamping, struct.pack("I", tx_software | software)
    )


def timestamping(count: int, text: str = "x") -> None:
    """Send datagrams that ask for a transmit timestamp: one clone each.

    Made by the sending task itself, on however busy a machine; where clones are made on
    reception, by whichever task that interrupts, or by ksoftirqd.
    """
    udp = socket.AF_INET, socket.SOCK_DGRAM
    with socket.socket(*udp) as receiver, socket.socket(*udp) as sender:
        receiver.bind((LOOPBACK, 0))
        _timestamped(sender)
        for _ in range(count):
            sender.sendto(text.encode(), receiver.getsockname())
            receiver.recv(10)
            sender.recvmsg(10, 1000, socket.MSG_ERRQUEUE)


def _connected(listener: socket.socket) -> tuple[socket.socket, socket.socket]:
    """Both ends of a connection that sends what it is given at once."""
    near = socket.create_connection(listener.getsockname())
    far, _ = listener.accept()
    for end in (near, far):
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Ended at once, so that no port is kept busy for a minute.
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return near, far


def talk_twice(count: int) -> None:
    """One clone of data for each word of a talk, and as many more when a line comes."""
    with socket.create_server((LOOPBACK, 0)) as listener:
        near, far = _connected(listener)
    for said in ("half", "whole"):
        for _ in range(count):
            near.send(b"x")
            far.recv(10)
        print(said, flush=True)
        sys.stdin.readline()


def interrupting(seconds: int) -> None:
    """Send without a pause, while the kernel sends for others when its timer says so.

    So a process makes clones, and interrupts that it does not expect make others.
    """
    so_max_pacing_rate, bytes_per_second = 47, 1_000_000
    with socket.create_server((LOOPBACK, 0)) as listener:
        near, far = _connected(listener)
        paced = [_connected(listener) for _ in range(2)]
        for sender, receiver in paced:
            sender.setsockopt(socket.SOL_SOCKET, so_max_pacing_rate, bytes_per_second)
            sender.setblocking(False)
            receiver.setblocking(False)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            near.send(b"x")
            far.recv(1)
            for sender, receiver in paced:
                with contextlib.suppress(BlockingIOError):
                    sender.send(bytes(100_000))
                with contextlib.suppress(BlockingIOError):
                    receiver.recv(100_000)


def timestamping_steadily(rate: int, seconds: int) -> None:
    """So many clones in a second, for so many seconds; print how many that were."""
    udp = socket.AF_INET, socket.SOCK_DGRAM
    made, begin, ticks = 0, time.monotonic(), 100
    with socket.socket(*udp) as receiver, socket.socket(*udp) as sender:
        receiver.bind((LOOPBACK, 0))
        sender.connect(receiver.getsockname())
        _timestamped(sender)
        for tick in range(seconds * ticks):
            for _ in range(rate // ticks):
                sender.send(b"x")
                receiver.recv(10)
                sender.recvmsg(10, 1000, socket.MSG_ERRQUEUE)
                made += 1
            # Where it was held up it catches up.
            time.sleep(max(0.0, begin + (tick + 1) / ticks - time.monotonic()))
    print(made)


def many_sockets(count: int) -> None:
    """One clone of data by each of so many sockets; print what is known of each."""
    limit = count + 100
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    with socket.create_server((LOOPBACK, 0)) as listener:
        pairs = [_connected(listener) for _ in range(count // 2)]
    for near, far in pairs:
        for one, other in ((near, far), (far, near)):
            one.send(b"x")
            other.recv(10)
            ports = one.getsockname()[1], other.getsockname()[1]
            print(os.fstat(one.fileno()).st_ino, *ports)


def timestamping_as(name: str, count: int, text: str = "x") -> None:
    """The same by a thread of this name."""
    pr_set_name = 15
    ctypes.CDLL(None).prctl(pr_set_name, name.encode(), 0, 0, 0)
    timestamping(count, text)


def timestamping_as_known(name: str, count: int) -> None:
    """As `timestamping_as`; after the first the kernel's tracing knows the name.

    It notes the names of two tasks when one makes room for the other, once after each
    event (tracing_record_taskinfo_sched_switch() in kernel/trace/trace.c).
    """
    timestamping_as(name, 1)
    time.sleep(0.05)
    timestamping(count - 1)


def timestamping_under_names(count: int) -> None:
    """The same by a thread that takes another name for each datagram."""
    for number in range(count):
        timestamping_as(f"n{number}", 1)


def timestamping_by(uid: int, count: int, text: str = "x") -> None:
    """The same by another user."""
    os.setuid(uid)
    timestamping(count, text)


def timestamping_on(cpu: int, count: int) -> None:
    """The same on this processor, when a line comes."""
    os.sched_setaffinity(0, {cpu})
    print("ready", flush=True)
    sys.stdin.readline()
    timestamping(count)


def on_two_processors(count: int) -> list[int]:
    """Send so many datagrams on each of two processors at once; give the processes."""
    cpus = sorted(os.sched_getaffinity(0))[:2]
    senders = [
        subprocess.Popen(
            [sys.executable, __file__, "timestamping_on", str(cpu), str(count)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for cpu in cpus
    ]
    for sender in senders:
        assert sender.stdout
        assert sender.stdout.readline() == b"ready\n"
    for sender in senders:
        assert sender.stdin
        sender.stdin.write(b"go\n")
        sender.stdin.flush()
    for sender in senders:
        sender.communicate()
        assert sender.returncode == 0
    return [sender.pid for sender in senders]


def ping_among_raw_sockets(count: int, sockets: int) -> None:
    """Ping loopback while other raw ICMP sockets are open: each gets every packet."""
    others = [
        socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        for _ in range(sockets)
    ]
    run("ping", "-q", "-i", "0.01", "-c", str(count), LOOPBACK)
    del others


def kernel() -> tuple[int, int]:
    """The running kernel's version."""
    major, minor = os.uname().release.split(".")[:2]
    return int(major), int(minor)


def deafen(sock: socket.socket) -> None:
    """Let a socket receive nothing from now on: a BPF filter that accepts no byte."""
    return_nothing = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0))
    so_attach_filter, place = 26, ctypes.addressof(return_nothing)
    program = struct.pack("HxxxxxxQ", 1, place)  # struct sock_fprog
    sock.setsockopt(socket.SOL_SOCKET, so_attach_filter, program)


def ping_beside_a_deaf_socket() -> None:
    """Ping loopback while a raw ICMP socket's filter drops every packet."""
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as deaf:
        deafen(deaf)
        run("ping", "-q", "-c", "1", LOOPBACK)


if __name__ == "__main__":
    name, *arguments = sys.argv[1:]
    globals()[name](*(int(a) if a.isdigit() else a for a in arguments))
