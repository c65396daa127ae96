# SPDX-License-Identifier: Apache-2.0
"""Networks made for one test: namespaces, what joins them, and what is sent.

Nothing here sends of its own accord, now or five seconds later: there is no IPv6 with
its advertisements, and no neighbour is asked again whether it is still there. What a
probe sees is what the test did.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET = 0x4000_0000

# A neighbour, once known, is not asked whether it is still there.
_KNOWN_FOR_GOOD = {"delay_first_probe_time": 3600, "base_reachable_time_ms": 3_600_000}

# struct linger: on, for no time.
ABORT = struct.pack("ii", 1, 0)

_numbers = itertools.count()


def run(command: str) -> None:
    """Run a command, of words without spaces, that must succeed."""
    subprocess.run(command.split(), check=True, stdout=subprocess.DEVNULL)


class Namespace:
    """A network namespace, with its loopback up.

    Attributes
    ----------
    name : str
        As for ``ip netns``.
    """

    def __init__(self) -> None:
        self.name = _new_name()
        run(f"ip netns add {self.name}")
        for devices in ("all", "default"):
            self.set(f"net/ipv6/conf/{devices}/disable_ipv6", 1)
        self.ip("link set lo up")

    def delete(self) -> None:
        """Remove it; its devices go with it."""
        run(f"ip netns delete {self.name}")

    def rename(self) -> None:
        """Give it a new name, of the namespace that it was."""
        with self.entered():
            new = _new_name()
            run(f"ip netns attach {new} {threading.get_native_id()}")
        self.delete()
        self.name = new

    def ip(self, arguments: str) -> None:
        """Run ``ip`` in it."""
        run(f"ip -n {self.name} {arguments}")

    def tc(self, arguments: str) -> None:
        """Run ``tc`` in it."""
        run(f"tc -n {self.name} {arguments}")

    def run(self, command: str) -> None:
        """Run a command in it that must succeed."""
        run(" ".join(self.command(*command.split())))

    def set(self, key: str, value: int) -> None:
        """Set one of its sysctls."""
        with self.entered():
            Path("/proc/sys", key).write_text(str(value))

    def command(self, *command: str) -> list[str]:
        """What runs a command in it, as the same process."""
        return ["ip", "netns", "exec", self.name, *command]

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Have the calling thread in it: what it opens meanwhile stays in it."""
        with (
            open("/proc/thread-self/ns/net") as home,
            open(f"/run/netns/{self.name}") as there,
        ):
            _enter(there.fileno())
            try:
                yield
            finally:
                _enter(home.fileno())


def _new_name() -> str:
    return f"skbnb-{os.getpid()}-{next(_numbers)}"


def _enter(namespace: int) -> None:
    if _libc.setns(namespace, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


@contextlib.contextmanager
def namespaces(count: int) -> Iterator[list[Namespace]]:
    """Make namespaces, and remove them again."""
    made: list[Namespace] = []
    try:
        for _ in range(count):
            made.append(Namespace())
        yield made
    finally:
        for namespace in made:
            namespace.delete()


def join(left: Namespace, right: Namespace, port: str = "eth0") -> None:
    """Lay a wire: `port` in one namespace, ``eth0`` in the other, both up."""
    left.ip(f"link add {port} type veth peer name eth0 netns {right.name}")
    left.ip(f"link set {port} up")
    right.ip("link set eth0 up")


def address(number: int) -> str:
    """The address of host `number` in these networks."""
    return f"10.11.12.{number}"


BROADCAST = address(255)


def number_hosts(*hosts: Namespace, device: str = "eth0") -> None:
    """Give each host's device its address: 1, 2, 3 ..."""
    for number, host in enumerate(hosts, 1):
        for key, value in _KNOWN_FOR_GOOD.items():
            host.set(f"net/ipv4/neigh/{device}/{key}", value)
        host.ip(f"address add {address(number)}/24 broadcast + dev {device}")


@contextlib.contextmanager
def wire() -> Iterator[tuple[Namespace, Namespace]]:
    """Two hosts, numbered 1 and 2, on one wire."""
    with namespaces(2) as (left, right):
        join(left, right)
        number_hosts(left, right)
        yield left, right


# ------------------------------------------------------------------ what is sent

PORT = 8000


def fetch(
    size: int,
    address: str,
    client: Namespace | None = None,
    server: Namespace | None = None,
) -> None:
    """Let a curl process fetch `size` bytes from this process, to the last FIN.

    A namespace of None is the first one.
    """
    with _in(server), _listener(address) as listener:
        command = ["curl", "--silent", "--output", "/dev/null", _url(listener)]
        curl = subprocess.Popen(client.command(*command) if client else command)
        connection, _ = listener.accept()
    with connection:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += connection.recv(1 << 16)
        answer = f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode()
        connection.sendall(answer + bytes(size))
        # curl has closed its side: this one's end is then the last that is sent.
        assert connection.recv(1) == b""
    assert curl.wait() == 0


def _in(namespace: Namespace | None) -> contextlib.AbstractContextManager[None]:
    return namespace.entered() if namespace else contextlib.nullcontext()


def _listener(address: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return socket.create_server((address, PORT), family=family)


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def introduce(left: Namespace, right: Namespace) -> None:
    """Let hosts 1 and 2 find each other out, so that nothing has to wait for it."""
    with _datagram_socket(left) as one, _datagram_socket(right) as other:
        one.bind((address(1), PORT))
        other.bind((address(2), PORT))
        one.sendto(b"hello", other.getsockname())
        other.sendto(*other.recvfrom(10))
        assert one.recv(10) == b"hello"


def broadcast(count: int, sender: Namespace, *receivers: Namespace) -> None:
    """Send datagrams to a whole network, and receive each everywhere."""
    with contextlib.ExitStack() as stack:
        inboxes = [stack.enter_context(_datagram_socket(host)) for host in receivers]
        for inbox in inboxes:
            inbox.bind(("", PORT))
        outbox = stack.enter_context(_datagram_socket(sender))
        outbox.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        for _ in range(count):
            outbox.sendto(b"hello", (BROADCAST, PORT))
            for inbox in inboxes:
                assert inbox.recv(10) == b"hello"


@contextlib.contextmanager
def connection(
    client: Namespace, server: Namespace | None = None, to: str = "127.0.0.1"
) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Both ends of a connection within or between namespaces."""
    with (
        (server or client).entered(),
        socket.create_server((to, PORT)) as listener,
        client.entered(),
        socket.create_connection((to, PORT)) as near,
    ):
        far, _ = listener.accept()
        with far:
            yield near, far
            # Ended at once: what is never acknowledged would be sent again for minutes.
            for end in (near, far):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)


def send_all_twice(host: Namespace) -> None:
    """Send a copy of each datagram to host 2, by netfilter's TEE."""
    host.run(f"iptables -t mangle -A OUTPUT -p udp -j TEE --gateway {address(2)}")


def send_in_vain(host: Namespace, count: int) -> None:
    """Send datagrams to host 2, where nobody waits for them."""
    with _datagram_socket(host) as sender:
        for _ in range(count):
            sender.sendto(b"hello", (address(2), PORT))


def _datagram_socket(host: Namespace) -> socket.socket:
    with host.entered():
        return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


def connect_in_vain(host: Namespace, address: str, patience: float = 0.2) -> None:
    """Try to connect; TCP tries again after one second, if `patience` lasts."""
    with host.entered(), socket.socket() as vain:
        vain.settimeout(patience)
        with contextlib.suppress(TimeoutError):
            vain.connect((address, PORT))
