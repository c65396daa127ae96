# SPDX-License-Identifier: Apache-2.0
"""Why, whose and where: each reason provoked, and all that is said of it."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator

import pandas as pd

import skbnb
from skbnb.agent import syscalls
from tests.live.traffic import Server, apart, curl, kernel, start_tcpdump
from tests.stock.networks import (
    Namespace,
    address,
    broadcast,
    connect_in_vain,
    join,
    namespaces,
    number_hosts,
    wire,
)

# Since then a tracepoint tells which socket has received a packet (sk_data_ready).
SEEN_RECEIVED = (6, 3)


def of_reason(trace: skbnb.Trace, reason: str) -> pd.DataFrame:
    events = trace.select("all")
    return events[events["reason"] == reason]


def only(events: pd.DataFrame, column: str) -> object:
    """The one value that a column has."""
    (value,) = events[column].unique()
    return value


def test_curl_and_its_server(server: Server) -> None:
    with skbnb.trace() as trace:
        curl(server.url)
    sent = of_reason(trace, "tcp-transmit")
    mine, theirs = sent[sent["comm"] == "curl"], sent[sent["pid"] == server.pid]
    assert len(sent) == len(mine) + len(theirs) == 6
    assert set(sent["context"]) == {"syscall"}
    assert mine["detail"].tolist() == ["SYN", "data", "FIN"]
    assert theirs["detail"].tolist() == ["data", "data", "FIN"]
    assert mine["payload"].tolist()[::2] == [0, 0]
    assert theirs["payload"].tolist()[1:] == [10_000, 0]
    assert only(mine, "owner_comm") == "curl"
    assert only(mine, "owner_pid") == only(mine, "pid")
    assert only(theirs, "owner_pid") == server.pid
    assert only(mine, "sk_inode") != only(theirs, "sk_inode")
    ends = mine[["saddr", "sport", "daddr", "dport"]].drop_duplicates().values.tolist()
    assert ends == [["127.0.0.1", ends[0][1], "127.0.0.1", server.port]]
    back = theirs[["daddr", "dport", "saddr", "sport"]].drop_duplicates()
    assert back.values.tolist() == ends


def test_a_sniffer_makes_clones_of_what_is_sent(server: Server) -> None:
    sniffer = start_tcpdump("-w", "/dev/null")
    with skbnb.trace() as trace:
        curl(server.url)
    sniffer.terminate()
    sniffer.communicate()
    taps = of_reason(trace, "tap-transmit")
    at_port = (taps["sport"] == server.port) | (taps["dport"] == server.port)
    # Every packet that is sent, with the ACKs.
    assert len(taps) > 6
    assert at_port.all()
    assert set(taps["context"]) <= {"syscall", "softirq"}
    assert len(of_reason(trace, "tcp-transmit")) == 6


def test_each_raw_socket_gets_its_own() -> None:
    with skbnb.trace() as trace:
        apart("ping_among_raw_sockets", 1, 3)
    clones = of_reason(trace, "raw-socket")
    assert len(clones) == 7
    assert only(clones, "context") == "softirq"
    # ping reads its socket; the others are never read, and then closed.
    owners = clones["owner_comm"].dropna()
    assert set(owners) == {"ping"}
    assert clones["sk_inode"].nunique() >= (2 if kernel() >= SEEN_RECEIVED else 1)


def test_several_receivers_of_a_multicast() -> None:
    with skbnb.trace() as trace:
        pid = apart("multicast", 4, 5)
    clones = of_reason(trace, "multicast-delivery")
    assert len(clones) == 15
    assert only(clones, "context") == "softirq"
    if kernel() >= SEEN_RECEIVED:
        assert only(clones, "owner_pid") == pid
        assert clones["sk_inode"].nunique() == 3  # the fourth gets the packet itself
    else:
        assert clones["owner_pid"].isna().all()
    assert only(clones, "daddr") == "239.1.2.3"
    assert only(clones, "dport") == 45_454


def test_a_transmit_timestamp() -> None:
    with skbnb.trace() as trace:
        pid = apart("timestamping", 5)
    clones = of_reason(trace, "tx-timestamp")
    assert len(clones) == 5
    assert only(clones, "context") == "syscall"
    assert only(clones, "owner_pid") == pid
    assert only(clones, "protocol") == "udp"


def test_two_netlink_monitors() -> None:
    with namespaces(1) as (host,), contextlib.ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(link_listener(host))
        with skbnb.trace() as trace:
            host.ip("link add br0 type bridge")
    clones = of_reason(trace, "netlink-multicast")
    # One for each listener but the last, of each message.
    assert len(clones) >= 1
    assert set(clones["context"]) <= {"syscall", "kthread"}
    assert clones["saddr"].isna().all()


@contextlib.contextmanager
def link_listener(host: Namespace) -> Iterator[None]:
    rtmgrp_link = 1
    with (
        host.entered(),
        socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as one,
    ):
        one.bind((0, rtmgrp_link))
        yield


def test_two_namespaces_on_a_bridge() -> None:
    with namespaces(4) as (bridge, *hosts):
        bridge.ip("link add br0 type bridge")
        bridge.ip("link set br0 up")
        for number, host in enumerate(hosts):
            join(bridge, host, port=f"port{number}")
            bridge.ip(f"link set port{number} master br0")
        number_hosts(*hosts)
        with skbnb.trace() as trace:
            broadcast(5, *hosts)
    floods = of_reason(trace, "bridge-flood")
    # Out of two other ports, and up to the bridge's own machine: two clones each.
    assert len(floods) >= 10
    data = floods[floods["protocol"] == "udp"]
    assert only(data, "saddr") == address(1)
    assert set(floods["caller"]) <= {"br_flood", "maybe_deliver", "deliver_clone"}


def test_a_connection_that_nobody_answers() -> None:
    # SYN, and a second later the same again.
    with wire() as (client, _):
        client.ip(
            f"neigh add {address(9)} lladdr 02:00:00:00:00:09 dev eth0 nud permanent"
        )
        with skbnb.trace() as trace:
            connect_in_vain(client, address(9), patience=1.5)
    sent = of_reason(trace, "tcp-transmit")
    sent = sent[sent["daddr"] == address(9)]
    assert sent["detail"].tolist() == ["SYN", "SYN again"]
    assert sent["context"].tolist() == ["syscall", "softirq"]
    assert set(sent["owner_pid"]) == {os.getpid()}
    assert only(sent, "sk_inode") is not pd.NA


def test_the_caller_is_found_while_another_program_comes_and_goes() -> None:
    # Where a clone is seen when it is allocated, by where its caller lay on the stack:
    # with another program on that tracepoint it lies elsewhere.
    program = syscalls.load_program(syscalls.PROG_TYPE_RAW_TRACEPOINT, syscalls.RETURN)
    with skbnb.trace() as trace:
        for _ in range(3):
            _timestamps_and_multicast()
            link = syscalls.attach_raw_tracepoint(program, "kmem_cache_alloc")
            _timestamps_and_multicast()
            os.close(link)
    os.close(program)
    reasons = trace.events["reason"].astype("str").value_counts().to_dict()
    assert reasons == {"tx-timestamp": 6 * 40, "multicast-delivery": 6 * 40}


def _timestamps_and_multicast() -> None:
    for _ in range(4):
        apart("timestamping", 10)
        apart("multicast", 3, 5)
