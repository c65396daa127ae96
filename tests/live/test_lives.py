# SPDX-License-Identifier: Apache-2.0
"""Which packet is which, how it ended, what was copied, and by which way it came."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from pathlib import Path

import pandas as pd
import pytest

import skbnb
from skbnb.views import receipt
from tests.live.traffic import Server, apart, curl, deafen, kernel, start_tcpdump
from tests.stock.networks import (
    PORT,
    address,
    connection,
    introduce,
    namespaces,
    send_all_twice,
    send_in_vain,
    wire,
)


def of_kind(trace: skbnb.Trace, kind: str) -> pd.DataFrame:
    events = trace.select("all")
    return events[events["kind"] == kind]


def test_each_packet_of_a_connection_is_another(server: Server) -> None:
    # All on a few addresses: a pair is freed, and the next packet has its place.
    with skbnb.trace() as trace:
        for _ in range(5):
            curl(server.url)
    sent = trace.events[trace.events["reason"] == "tcp-transmit"]
    family = sent.skb.family
    assert len(family) == len(sent) >= 30
    assert family["family"].nunique() == len(sent)
    assert family["clone"].nunique() < len(sent)
    assert set(family["depth"]) == {1}
    assert not family["siblings"].any()


def test_a_sniffers_clone_is_a_clones_clone(server: Server) -> None:
    sniffer = start_tcpdump("-w", "/dev/null")
    with skbnb.trace() as trace:
        curl(server.url)
    sniffer.terminate()
    sniffer.communicate()
    family = trace.events.skb.family
    deep = family[family["depth"] == 2]
    if trace.events.attrs["skbnb"]["probe"] == "tracepoint":
        # Which does not see what a slab clone was made from.
        assert set(family["reason"]) == {"tcp-transmit"}
        return
    assert set(deep["reason"]) == {"tap-transmit"}
    above = family[family["reason"] == "tcp-transmit"]
    assert len(above) == len(deep) == 6
    assert set(deep["family"]) == set(above["family"])
    made = above.set_index(["clone", "clone_gen"])["family"]
    asked = pd.MultiIndex.from_frame(deep[["parent", "parent_gen"]])
    assert made.loc[asked].tolist() == deep["family"].tolist()


def test_every_datagram_is_a_family_of_its_own() -> None:
    # What is read is kept for reuse, and no tracepoint tells of it.
    with skbnb.trace() as trace:
        apart("multicast", 4, 200)
        apart("ping_among_raw_sockets", 50, 3)
    events = trace.events[trace.events["kind"] == "clone"]
    assert len(events) == 200 * 3 + 50 * (3 + 4)
    if trace.events.attrs["skbnb"]["probe"] == "tracepoint":
        assert events["parent"].isna().all()
        return
    family = events.skb.family
    assert len(family) == len(events)
    families = family.astype({"reason": "str"}).groupby("family")["reason"]
    assert (families.nunique() == 1).all()
    sizes = families.agg(["first", "size"]).value_counts().to_dict()
    # An answer is also for the ping that asked.
    assert sizes == {
        ("multicast-delivery", 3): 200,
        ("raw-socket", 3): 50,
        ("raw-socket", 4): 50,
    }


def test_what_is_read_is_consumed_and_what_is_not_is_dropped() -> None:
    with skbnb.trace(follow=True) as trace:
        apart("multicast", 4, 5)
        apart("ping_among_raw_sockets", 1, 3)
        time.sleep(0.5)  # a raw socket's queue is emptied after an RCU grace period
    read = trace.events[trace.events["reason"] == "multicast-delivery"]
    assert len(read) == 15
    # Since Linux 6.18 freed where no tracepoint says how, and perhaps later.
    assert set(read["fate"].dropna()) <= {"consumed", "freed"}
    assert (read["life"].dropna() > 0).all()
    left = trace.events[trace.events["reason"] == "raw-socket"]
    never = left[left["owner_comm"] != "ping"]
    assert len(never) >= 3
    assert set(never["fate"]) == {"dropped"}


def test_the_kernels_reason_for_a_drop() -> None:
    if kernel() < (5, 17):
        pytest.skip("the kernel tells no reason before Linux 5.17")
    with skbnb.trace(follow=True) as trace:
        apart("ping_beside_a_deaf_socket")
    clones = trace.events[trace.events["reason"] == "raw-socket"]
    dropped = clones[clones["drop_reason"] == "SOCKET_FILTER"]
    assert set(dropped["fate"]) == {"dropped"}
    assert len(dropped) >= 1


def test_what_still_lives_has_no_end() -> None:
    receiver = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    with receiver, skbnb.trace(follow=True) as trace:
        apart("ping_among_raw_sockets", 1, 0)
    clones = trace.events[trace.events["reason"] == "raw-socket"]
    lives = clones["fate"].isna()
    assert lives.any()
    assert clones.loc[lives, "life"].isna().all()


def test_copies_are_no_clones() -> None:
    with wire() as (client, server):
        introduce(client, server)
        send_all_twice(client)
        with skbnb.trace(also="copy") as trace:
            send_in_vain(client, 5)
        with skbnb.trace() as without:
            send_in_vain(client, 5)
    copies = of_kind(trace, "copy")
    assert len(copies) == trace.events.attrs["skbnb"]["copies"] == 5
    assert set(copies["reason"]) == {"tee"}
    assert set(copies["context"]) == {"syscall"}
    assert set(copies["daddr"]) == {address(2)}
    assert set(copies["dport"]) == {PORT}
    assert copies["count"].isna().all()
    assert trace.events.skb.reasons.set_index("reason")["copies"].to_dict()["tee"] == 5
    assert trace.events.skb.processes["clones"].sum() == len(of_kind(trace, "clone"))
    assert "0 clones and 5 copies in" in receipt(trace.events)
    assert set(without.events["kind"]) <= {"clone"}
    assert without.events.attrs["skbnb"]["copies"] == 0


def test_data_that_is_sent_again() -> None:
    with namespaces(1) as (host,), connection(host) as (near, far):
        deafen(near)
        port = near.getsockname()[1]
        with skbnb.trace() as trace:
            near.sendall(b"read")
            assert far.recv(10) == b"read"
            time.sleep(1)
    sent = trace.select("all")
    mine = (sent["dport"] == PORT) & (sent["sport"] == port)
    sent = sent[mine & (sent["reason"] == "tcp-transmit")]
    assert sent["detail"].tolist()[0] == "data"
    assert set(sent["detail"].iloc[1:]) == {"data again"}
    assert len(sent) >= 2
    assert set(sent["payload"]) == {4}
    assert set(sent["context"].iloc[1:]) == {"softirq"}
    assert set(sent["owner_pid"]) == {os.getpid()}


def test_a_packet_without_headers_has_its_sockets_addresses() -> None:
    with (
        wire() as (client, server),
        connection(client, server, address(2)) as (near, _),
    ):
        port = near.getsockname()[1]
        client.ip("address flush dev eth0")
        with skbnb.trace() as trace:
            with contextlib.suppress(OSError):
                near.sendall(b"nowhere to go")
            time.sleep(0.1)
    (row,) = trace.events[trace.events["payload"] == 13].to_dict("records")
    probe = trace.events.attrs["skbnb"]["probe"]
    wanted = "socket" if probe == "tracepoint" else "companion"
    assert row["address_source"] == wanted
    assert (row["saddr"], row["daddr"], row["dport"]) == (address(1), address(2), PORT)
    assert row["sport"] == port


def test_every_stack_ends_with_its_caller(server: Server) -> None:
    with skbnb.trace(stacks=True) as trace:
        curl(server.url)
        apart("multicast", 4, 5)
    events = trace.events
    assert events.attrs["skbnb"]["stacks_missing"] == 0
    assert events["stack"].notna().all()
    for stack, caller, context in zip(
        events["stack"], events["caller"], events["context"], strict=True
    ):
        frames = stack.split(";")
        assert frames[-1] == caller
        assert "entry_SYSCALL_64" in stack or "sys_" in stack or context != "syscall"
    mine = events[(events["comm"] == "curl") & (events["detail"] == "SYN")]
    (stack,) = mine["stack"]
    assert "tcp_v4_connect;tcp_connect" in stack


def test_the_context_is_what_the_stack_says(server: Server) -> None:
    with skbnb.trace(stacks=True, scope="all") as trace:
        curl(server.url)
        apart("multicast", 4, 5)
        apart("ping_among_raw_sockets", 3, 3)
    events = trace.events.dropna(subset="stack")
    is_softirq = events["stack"].str.contains(r"\b(?:handle_softirqs|__do_softirq);")
    assert is_softirq.any()
    assert not is_softirq.all()
    assert ((events["context"] == "softirq") == is_softirq).all()
    in_call = events["stack"].str.contains("entry_SYSCALL_64|el0_svc")
    assert set(events.loc[in_call & ~is_softirq, "context"]) == {"syscall"}


def test_a_trace_has_stacks_and_ends_only_if_it_was_asked_to() -> None:
    with skbnb.trace() as trace:
        apart("multicast", 2, 1)
    assert {"stack", "fate", "drop_reason", "life"}.isdisjoint(trace.events.columns)


def test_packets_handed_to_devices_are_counted() -> None:
    with namespaces(1) as (host,), host.entered():
        before = sent_by("lo")
        with skbnb.trace() as trace:
            apart("udp", 7)
        by_loopback = sent_by("lo") - before
        sent, everywhere = (
            trace.select(scope).attrs["skbnb"]["sent"] for scope in ("cell", "all")
        )
        # One of the cell's tasks may be interrupted to send what is not the cell's, but
        # by no device that only the cell knows.
        assert by_loopback == 7
        assert 7 <= sent <= 7 + everywhere - by_loopback
        assert trace.select(comm="nobody").attrs["skbnb"]["sent"] is None


def sent_by(device: str) -> int:
    """What a device of this thread's namespace says that it sent."""
    lines = Path("/proc/thread-self/net/dev").read_text().splitlines()
    (line,) = (line for line in lines if line.strip().startswith(f"{device}:"))
    return int(line.split()[10])
