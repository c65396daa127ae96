# SPDX-License-Identifier: Apache-2.0
"""What is sent, in what network: every way that packets come to be cloned."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from tests.live.traffic import apart, deafen, start_tcpdump
from tests.stock.networks import (
    Namespace,
    address,
    broadcast,
    connect_in_vain,
    connection,
    fetch,
    introduce,
    join,
    namespaces,
    number_hosts,
    run,
    wire,
)

Traffic = Callable[[], object]


class Workload(NamedTuple):
    """Traffic, and the network that it needs.

    Parameters
    ----------
    name
        What it is.
    prepare
        Makes its network for as long as it lasts, and gives the traffic.
    clones
        Calls of skb_clone() that it makes.
    caller
        What a caller's name begins with: kernels inline one function or another.
    exact
        Just so many, on any kernel. Otherwise these or more: TCP's share depends on
        timing, and a broadcast's on the kernel.
    sighted
        Its clones pass a tracepoint, on any kernel. Since Linux 6.18 what a UDP socket
        has received passes none when it is read and freed (commit 6471658dc66c, "udp:
        use skb_attempt_defer_free()").
    """

    name: str
    prepare: Callable[[], AbstractContextManager[Traffic]]
    clones: int
    caller: str | tuple[str, ...]
    exact: bool = False
    sighted: bool = True


SMALL, BULK = 10_000, 100_000_000


@contextlib.contextmanager
def on_loopback(
    function: Callable[..., object], *arguments: object
) -> Iterator[Traffic]:
    """The first namespace as it is."""
    yield lambda: function(*arguments)


def ping(address: str) -> None:
    """Three echoes, and their answers."""
    run(f"ping -q -i 0.01 -c 3 {address}")


def curl_under_tcpdump() -> None:
    """A tap on the loopback; it ends before the last delayed ACK could be cloned."""
    tap = start_tcpdump("-w", "/dev/null")
    fetch(SMALL, "127.0.0.1")
    tap.send_signal(signal.SIGINT)
    tap.communicate()


@contextlib.contextmanager
def netlink_monitors() -> Iterator[Traffic]:
    """Three listeners to hear of a link that comes and goes."""
    with namespaces(1) as (host,), contextlib.ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(_monitor(host))

        def make_a_link() -> None:
            host.ip("link add br0 type bridge")
            host.ip("link delete br0")

        yield make_a_link


@contextlib.contextmanager
def _monitor(host: Namespace) -> Iterator[None]:
    process = subprocess.Popen(
        host.command("ip", "monitor", "link"), stdout=subprocess.DEVNULL
    )
    try:
        while not _listens(process.pid):
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait()


def _listens(pid: int) -> bool:
    """Whether a process has a netlink socket that is in a group."""
    sockets = Path(f"/proc/{pid}/net/netlink").read_text().splitlines()[1:]
    rows = [line.split() for line in sockets]
    return any(int(row[2]) == pid and int(row[3], 16) for row in rows)


@contextlib.contextmanager
def bridge_of_four_ports() -> Iterator[Traffic]:
    """A switch that floods what is for all, and what is for someone unknown."""
    with namespaces(5) as (switch, *hosts):
        switch.ip("link add br0 type bridge")
        switch.ip("link set br0 up")
        for number, host in enumerate(hosts):
            join(switch, host, f"port{number}")
            switch.ip(f"link set port{number} master br0")
        number_hosts(*hosts)
        yield among(*hosts)


def among(client: Namespace, server: Namespace, *others: Namespace) -> Traffic:
    """Datagrams to all, and a fetch from one."""
    introduce(client, server)

    def traffic() -> None:
        broadcast(3, client, server, *others)
        fetch(SMALL, address(2), client, server)

    return traffic


@contextlib.contextmanager
def vlan() -> Iterator[Traffic]:
    """Frames that pass two devices: a vlan's, and the one below it."""
    with namespaces(2) as hosts:
        join(hosts[0], hosts[1])
        for host in hosts:
            host.ip("link add link eth0 name vlan5 type vlan id 5")
            host.ip("link set vlan5 up")
        number_hosts(*hosts, device="vlan5")
        yield among(*hosts)


@contextlib.contextmanager
def iptables_drop(chain: str) -> Iterator[Traffic]:
    """A SYN that is dropped on its way out of its host, or into the other."""
    with wire() as hosts:
        host = hosts[chain == "INPUT"]
        host.run(f"iptables -A {chain} -p tcp -j DROP")
        introduce(*hosts)
        yield partial(connect_in_vain, hosts[0], address(2))


@contextlib.contextmanager
def data_sent_again() -> Iterator[Traffic]:
    """A connection one side of which never hears that its data arrived."""
    with namespaces(1) as (host,):

        def traffic() -> None:
            with connection(host) as (near, far):
                deafen(near)
                near.sendall(b"read")
                assert far.recv(10) == b"read"
                time.sleep(1)

        yield traffic


@contextlib.contextmanager
def netem_duplicate() -> Iterator[Traffic]:
    """A queue that sends everything twice."""
    with wire() as hosts:
        hosts[0].tc("qdisc add dev eth0 root netem duplicate 100%")
        yield among(*hosts)


@contextlib.contextmanager
def tc_mirred() -> Iterator[Traffic]:
    """A classifier that mirrors what comes and goes to a third host."""
    with wire() as hosts, namespaces(1) as (third,):
        join(hosts[0], third, "copy")
        hosts[0].tc("qdisc add dev eth0 clsact")
        for way in ("ingress", "egress"):
            mirror = "matchall action mirred egress mirror dev copy"
            hosts[0].tc(f"filter add dev eth0 {way} {mirror}")
        yield among(*hosts)


@contextlib.contextmanager
def macvlan() -> Iterator[Traffic]:
    """Two hosts that share the device of a third."""
    with namespaces(4) as (outside, lower, *inside):
        join(outside, lower)
        for host in inside:
            macvlan = f"netns {host.name} type macvlan mode bridge"
            lower.ip(f"link add link eth0 name mac0 {macvlan}")
            # Made below, it could not have a name that is taken there.
            host.ip("link set mac0 name eth0")
            host.ip("link set eth0 up")
        number_hosts(outside, *inside)
        yield among(outside, *inside)


def _on_loopback(*traffic: Any) -> Callable[[], AbstractContextManager[Traffic]]:
    return partial(on_loopback, *traffic)


TCP = "__tcp_transmit_skb"

WORKLOADS = (
    Workload("curl over IPv4", _on_loopback(fetch, SMALL, "127.0.0.1"), 5, TCP),
    Workload("curl over IPv6", _on_loopback(fetch, SMALL, "::1"), 5, TCP),
    # No clone has 128 KiB.
    Workload("100 MB bulk", _on_loopback(fetch, BULK, "127.0.0.1"), BULK >> 17, TCP),
    Workload(
        "ping over IPv4",
        _on_loopback(ping, "127.0.0.1"),
        3,
        "raw_local_deliver",
        exact=True,
    ),
    Workload(
        "ping over IPv6",
        _on_loopback(ping, "::1"),
        3,
        "raw6_local_deliver",
        exact=True,
    ),
    Workload(
        "curl under tcpdump",
        _on_loopback(curl_under_tcpdump),
        12,
        "dev_queue_xmit_nit",
    ),
    Workload(
        "three raw sockets",
        _on_loopback(apart, "ping_among_raw_sockets", 3, 3),
        21,
        "raw_local_deliver",
        exact=True,
    ),
    Workload(
        "multicast to four receivers",
        _on_loopback(apart, "multicast", 4, 5),
        15,
        ("udp_rcv", "__udp4_lib_"),
        exact=True,
        sighted=False,
    ),
    Workload(
        "SO_TIMESTAMPING",
        _on_loopback(apart, "timestamping", 5),
        5,
        "__skb_tstamp_tx",
        exact=True,
    ),
    Workload("netlink monitors", netlink_monitors, 2, "netlink_broadcast"),
    # Five of TCP, and of each datagram one for the sender and one for every port but
    # its own.
    Workload("bridge of four ports", bridge_of_four_ports, 17, "br_"),
    Workload("vlan", vlan, 8, TCP),
    Workload("iptables drop on OUTPUT", partial(iptables_drop, "OUTPUT"), 1, TCP),
    Workload("iptables drop on INPUT", partial(iptables_drop, "INPUT"), 1, TCP),
    Workload("data sent again", data_sent_again, 4, TCP),
    Workload("netem duplicate", netem_duplicate, 14, "netem_"),
    Workload("tc mirred", tc_mirred, 21, "tcf_mirred_"),
    Workload("macvlan", macvlan, 14, "macvlan_"),
)
