# SPDX-License-Identifier: Apache-2.0
"""The same traffic with and without sniffers: who they are, and nothing guessed."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import skbnb
from skbnb.agent import taps
from skbnb.agent.viewer import ROOT
from tests.live.traffic import LOOPBACK, Server, curl, run, start_tcpdump
from tests.stock.networks import Namespace, address, namespaces, wire

ALL, IPV4, NOTHING = 0x0003, 0x0800, 0


@contextlib.contextmanager
def tcpdump(*options: str, host: Namespace | None = None) -> Iterator[str]:
    """Have a sniffer; give its name and process id."""
    sniffer = start_tcpdump("-w", "/dev/null", *options, host=host)
    try:
        yield f"tcpdump {sniffer.pid}"
    finally:
        sniffer.terminate()
        sniffer.communicate()


@contextlib.contextmanager
def packet_socket(protocol: int, dev: str = "") -> Iterator[socket.socket]:
    """Have a packet socket of this process, on one device or on all."""
    number = socket.htons(protocol)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, number) as one:
        if dev:
            one.bind((dev, protocol))
        yield one


MY_NAME = Path("/proc/self/comm").read_text().strip()
ME = f"{MY_NAME} {os.getpid()}"


def traced(server: Server, pages: int = 1) -> pd.DataFrame:
    """The clones of what a server and its curls say to each other."""
    with skbnb.trace(scope="all") as trace:
        for _ in range(pages):
            curl(server.url)
    return of(server, trace)


def pinged() -> pd.DataFrame:
    """The clones of three pings: however slow a machine is, none is sent again."""
    with skbnb.trace(scope="all") as trace:
        run("ping", "-q", "-i", "0.01", "-c", "3", LOOPBACK)
    events = trace.events
    return events[events["protocol"] == "icmp"]


def of(server: Server, trace: skbnb.Trace) -> pd.DataFrame:
    events = trace.events
    ours = (events["sport"] == server.port) | (events["dport"] == server.port)
    return events[ours.fillna(False)]


def transmitted(events: pd.DataFrame) -> pd.DataFrame:
    """Those that were made for sniffers of what was sent."""
    return events[events["reason"] == "tap-transmit"]


def sniffers(events: pd.DataFrame) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = events.attrs["skbnb"]["sniffers"]
    return found


def said(before: pd.DataFrame, after: pd.DataFrame) -> str:
    """What is said of those clones."""
    sentences = skbnb.compare(before, after).sentences
    (line,) = [line for line in sentences if "tap-transmit" in line]
    return line


def test_the_sniffer_is_named(server: Server) -> None:
    before = traced(server)
    with tcpdump() as name:
        after = traced(server)
    more = len(transmitted(after))
    assert more > 6
    all_of_it = f"{more} clones, all tap-transmit: {name}"
    assert said(before, after) == f"+{all_of_it} sniffs lo."
    assert said(after, before) == f"-{all_of_it} sniffed lo."
    compared = skbnb.compare(before, after)
    assert compared.reasons["change"].tolist() == [more, 0]
    assert compared.processes["change"].sum() == more
    assert compared.devices["change"].sum() == more
    assert not any("WARNING" in line for line in compared.sentences)


def test_the_sniffer_of_pings_is_named() -> None:
    before = pinged()
    with tcpdump() as name:
        after = pinged()
    # Each request and each answer, once.
    assert said(before, after) == f"+6 clones, all tap-transmit: {name} sniffs lo."
    assert said(after, before) == f"-6 clones, all tap-transmit: {name} sniffed lo."


def test_all_that_is_told_of_a_sniffer() -> None:
    with packet_socket(ALL, "lo") as one:
        inode = os.fstat(one.fileno()).st_ino
        with skbnb.trace() as trace:
            pass
    assert [s for s in sniffers(trace.events) if s["inode"] == inode] == [
        {
            "netns": os.stat("/proc/self/ns/net").st_ino,
            "ifindex": socket.if_nametoindex("lo"),
            "dev": "lo",
            "protocol": ALL,
            "everywhere": False,
            "inode": inode,
            "pid": os.getpid(),
            "comm": MY_NAME,
        }
    ]


def test_all_who_sniff_are_named(server: Server) -> None:
    before = traced(server)
    with tcpdump() as one, tcpdump() as other, packet_socket(ALL):
        after = traced(server)
    assert f": {one} and {other} sniff lo, and {ME} sniffs every device." in (
        said(before, after)
    )


def test_who_was_there_before_is_not_named_for_who_came(server: Server) -> None:
    with tcpdump() as old:
        before = traced(server)
        assert said(before, traced(server, 2)).endswith(f": {old} sniffs lo in both.")
        with tcpdump() as new:
            after = traced(server, 2)
    assert said(before, after).endswith(f": {new} sniffs lo.")


def test_a_sniffer_that_came_while_tracing(server: Server) -> None:
    before = traced(server)
    with contextlib.ExitStack() as sniffing:
        with skbnb.trace(scope="all") as trace:
            name = sniffing.enter_context(tcpdump())
            curl(server.url)
    assert said(before, of(server, trace)).endswith(f": {name} sniffs lo.")


def test_a_sniffer_that_went_while_tracing(server: Server) -> None:
    before = traced(server)
    with contextlib.ExitStack() as sniffing:
        name = sniffing.enter_context(tcpdump())
        with skbnb.trace(scope="all") as trace:
            curl(server.url)
            sniffing.close()
    assert said(before, of(server, trace)).endswith(f": {name} sniffs lo.")


def test_a_sniffer_that_nobody_saw(server: Server) -> None:
    before = traced(server)
    with skbnb.trace(scope="all") as trace, tcpdump():
        curl(server.url)
    after = of(server, trace)
    # Where the packets were, a probe may not see.
    known = transmitted(after)["dev"].notna().all()
    what = "something sniffs lo." if known else "something sniffs."
    assert said(before, after).endswith(f" clones, all tap-transmit: {what}")


@pytest.mark.parametrize("protocol", [IPV4, NOTHING])
def test_who_gets_nothing_that_is_sent_is_not_named(
    server: Server, protocol: int
) -> None:
    before = traced(server)
    with packet_socket(protocol), packet_socket(protocol, "lo"):
        assert transmitted(traced(server)).empty
        with tcpdump() as name:
            after = traced(server)
    assert said(before, after).endswith(f"tap-transmit: {name} sniffs lo.")
    mine = [s["protocol"] for s in sniffers(after) if s["pid"] == os.getpid()]
    assert mine == [protocol] * 2 if protocol else mine == []


def test_a_filter_does_not_spare_the_clone(server: Server) -> None:
    before = traced(server)
    with tcpdump("port", "9") as name:
        after = traced(server)
    assert len(transmitted(after)) > 6
    assert said(before, after).endswith(f"tap-transmit: {name} sniffs lo.")


def test_a_sniffer_of_all_devices_of_another_namespace() -> None:
    # Before Linux 6.15 it has this one's packets cloned, too.
    before = pinged()
    with namespaces(1) as (host,), tcpdump("-i", "any", host=host) as name:
        after = pinged()
    (sniffer,) = [s for s in sniffers(after) if name == f"{s['comm']} {s['pid']}"]
    taps = transmitted(after)
    assert sniffer["everywhere"] == (len(taps) > 0)
    if sniffer["everywhere"]:
        there = (
            ", from another network namespace" if taps["netns"].notna().all() else ""
        )
        assert said(before, after) == (
            f"+6 clones, all tap-transmit: {name} sniffs every device{there}."
        )
    else:
        assert skbnb.compare(before, after).reasons["change"].tolist() == [0]


def test_a_device_of_another_namespace_has_its_name() -> None:
    with wire() as (here, _):
        ping = f"ping -q -c 1 {address(2)}"
        here.run(ping)  # who has that address is known from now on
        with skbnb.trace(scope="all") as before:
            here.run(ping)
        with tcpdump("-i", "eth0", host=here) as name:
            with skbnb.trace(scope="all") as after:
                here.run(ping)
    (sniffer,) = [s for s in sniffers(after.events) if name.endswith(f" {s['pid']}")]
    assert sniffer["dev"] == "eth0"
    assert f": {name} sniffs eth0." in said(before.events, after.events)


def test_sockets_beyond_number() -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(taps.MOST):
            stack.enter_context(packet_socket(IPV4))
        stack.enter_context(packet_socket(ALL, "lo"))
        with skbnb.trace() as trace:
            pass
    assert len(sniffers(trace.events)) == taps.MOST
    assert trace.events.attrs["skbnb"]["more_sniffers"] >= 1
    # Those that cost most are among them.
    assert sniffers(trace.events)[0]["protocol"] == ALL


def test_who_holds_a_socket_is_looked_up_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    def spy(path: str) -> list[str]:
        asked.append(path)
        return listdir(path)

    listdir = os.listdir
    monkeypatch.setattr(os, "listdir", spy)
    seen = taps.Taps(ROOT)
    with packet_socket(ALL, "lo"):
        seen.look()
        del asked[:]
        seen.look()
    # The processes, and the files of those that held one.
    assert set(asked) == {"/proc", *(f"/proc/{pid}/fd" for pid in holders(seen))}
    assert os.getpid() in holders(seen)


def holders(seen: taps.Taps) -> list[int]:
    told = seen.told(os.getpid())["sockets"]
    assert isinstance(told, list)
    return [one["pid"] for one in told if one["pid"]]
