# SPDX-License-Identifier: Apache-2.0
"""Known traffic gives the known number of clones, process by process."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

import skbnb
from tests.live.traffic import (
    Server,
    apart,
    curl,
    end_tcpdump,
    run,
    start_tcpdump,
)


def of(
    events: pd.DataFrame, comm: str | None = None, pid: int | None = None
) -> pd.DataFrame:
    chosen = events if comm is None else events[events["comm"] == comm]
    return chosen if pid is None else chosen[chosen["pid"] == pid]


def assert_complete(trace: skbnb.Trace) -> None:
    about = trace.events.attrs["skbnb"]
    assert about["lost"] == about["sightings_lost"] == about["unaccounted"] == 0
    assert about["captured"] == about["emitted"] == about["calls"]
    assert_numbered(trace)


def assert_numbered(trace: skbnb.Trace) -> None:
    # By the kernel, one by one: a gap would be a clone that is not here. One before
    # 5.12 cannot.
    numbers = trace.select("all")["count"]
    if numbers.notna().any():
        assert sorted(numbers) == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize("attempt", range(20))
def test_curl_makes_three_and_the_server_three(server: Server, attempt: int) -> None:
    with skbnb.trace() as trace:
        curl(server.url)
    assert_complete(trace)
    mine, theirs = of(trace.events, comm="curl"), of(trace.events, pid=server.pid)
    assert len(trace.events) == len(mine) + len(theirs)
    assert mine["tcp_flags"].tolist() == ["SYN", "PSH|ACK", "FIN|ACK"]
    # Head, body, end.
    assert theirs["tcp_flags"].tolist() == ["PSH|ACK", "PSH|ACK", "FIN|ACK"]


def assert_curls_columns(
    trace: skbnb.Trace, server: Server, loopback: str, port: int
) -> None:
    mine, theirs = of(trace.events, comm="curl"), of(trace.events, pid=server.pid)
    assert len(mine) == len(theirs) == 3
    for frame in (mine, theirs):
        assert set(frame["path"]) == {"fast"}
        assert set(frame["kind"]) == {"clone"}
        assert set(frame["caller"]) == {"__tcp_transmit_skb"}
        assert set(frame["saddr"]) == set(frame["daddr"]) == {loopback}
        assert set(frame["protocol"]) == {"tcp"}
        assert set(frame["dev"]) == {"lo"}
        assert set(frame["ifindex"]) == {1}
        assert set(frame["uid"]) == {0}
        assert frame["sk"].nunique() == 1
        assert (frame["clone"] - frame["parent"]).nunique() == 1
    assert set(mine["dport"]) == set(theirs["sport"]) == {port}
    assert set(mine["sport"]) == set(theirs["dport"])
    # The request's bytes lie between the SYN and the FIN; the body is 10,000 bytes.
    syn, _, fin = map(int, mine["seq"])
    head, body, end = map(int, theirs["seq"])
    assert (fin - syn - 1) % 2**32 == mine["len"].iloc[1] - mine["len"].iloc[2]
    assert (end - body) % 2**32 == 10_000
    assert (body - head) % 2**32 == theirs["len"].iloc[0] - theirs["len"].iloc[2]
    assert str(mine["netns"].iloc[0]) in str(Path("/proc/self/ns/net").readlink())


def test_every_column_of_a_curl_over_ipv4(server: Server) -> None:
    with skbnb.trace(scope="all") as trace:
        curl(server.url)
    assert_curls_columns(trace, server, "127.0.0.1", server.port)
    assert set(trace.events["family"]) == {"inet"}


def test_every_column_of_a_curl_over_ipv6(server: Server) -> None:
    with skbnb.trace(scope="all") as trace:
        curl(server.url6)
    assert_complete(trace)
    assert_curls_columns(trace, server, "::1", server.port6)
    assert set(trace.events["family"]) == {"inet6"}


@pytest.mark.parametrize(
    ("address", "caller", "protocol"),
    [
        ("127.0.0.1", "raw_local_deliver", "icmp"),
        ("::1", "raw6_local_deliver", "icmpv6"),
    ],
)
def test_ping(address: str, caller: str, protocol: str) -> None:
    with skbnb.trace(scope="all") as trace:
        run("ping", "-q", "-i", "0.01", "-c", "3", address)
    assert_complete(trace)
    pings = trace.events[trace.events["caller"] == caller]
    assert len(pings) == 3
    assert all(map(received_by("ping"), pings["comm"]))
    assert set(pings["path"]) == {"slab"}
    probe = trace.events.attrs["skbnb"]["probe"]
    assert pings["parent"].isna().all() == (probe == "tracepoint")
    # These come from the sighting, when ping reads its socket.
    assert set(pings["protocol"]) == {protocol}
    assert set(pings["saddr"]) == {address}
    assert pings["sport"].isna().all()


def received_by(sender: str) -> Callable[[str], bool]:
    """Whether a name is the sender's, or of the kernel's thread for a busy machine."""
    return lambda comm: comm.startswith((sender, "ksoftirqd/"))


def test_ping_among_raw_sockets() -> None:
    with skbnb.trace(scope="all") as trace:
        apart("ping_among_raw_sockets", 3, 3)
    assert_complete(trace)
    pings = trace.events[trace.events["caller"] == "raw_local_deliver"]
    assert len(pings) == 21
    assert set(pings["path"]) == {"slab"}


def test_udp_makes_none() -> None:
    with skbnb.trace() as trace:
        apart("udp", 10)
    assert_complete(trace)
    assert trace.events.empty


def test_multicast() -> None:
    with skbnb.trace(scope="all") as trace:
        apart("multicast", 4, 5)
    assert_complete(trace)
    # Each is inlined into the next on some kernel: 6.18 has the second, 7.3 the third.
    callers = ["__udp4_lib_mcast_deliver", "__udp4_lib_rcv", "udp_rcv"]
    received = trace.events[trace.events["caller"].isin(callers)]
    assert len(received) == 15
    assert set(received["path"]) == {"slab"}
    assert all(map(received_by("python"), received["comm"]))


def test_transmit_timestamps() -> None:
    with skbnb.trace() as trace:
        apart("timestamping", 5)
    assert_complete(trace)
    assert len(trace.events) == 5
    assert set(trace.events["caller"]) == {"__skb_tstamp_tx"}


def test_a_sniffer_gets_a_clone_of_every_packet_sent(server: Server) -> None:
    sniffer = start_tcpdump("-q", "--immediate-mode", "-l")
    with skbnb.trace(scope="all") as trace:
        curl(server.url)
    frames = [line for line in end_tcpdump(sniffer) if f".{server.port}" in line]
    events = trace.events
    at_port = (events["sport"] == server.port) | (events["dport"] == server.port)
    taps = events[at_port.fillna(False) & (events["caller"] == "dev_queue_xmit_nit")]
    assert len(events[events["path"] == "fast"]) == 6
    assert len(taps) == len(frames) > 6
    assert set(taps["path"]) == {"slab"}


CLONES = 200_000
RECEIVERS = 51


@pytest.mark.parametrize("buffer", ["ring", "perf"])
def test_none_is_lost_while_the_notebook_spins(buffer: str) -> None:
    pids: list[int] = []

    def flood() -> None:
        pids.append(apart("flood", RECEIVERS, CLONES // (RECEIVERS - 1)))

    with skbnb.trace(scope="all", buffer=buffer) as trace:
        thread = threading.Thread(target=flood)
        thread.start()
        spins = 0
        while not pids:
            spins += 1  # pure Python, holding the interpreter's lock
        thread.join()
    assert_complete(trace)
    assert len(of(trace.events, pid=pids[0])) == CLONES


@pytest.mark.parametrize(
    ("buffer", "full"), [("ring", "ring full"), ("perf", "buffer full")]
)
def test_a_full_buffer_is_counted_to_the_last_clone(buffer: str, full: str) -> None:
    # The agent is stopped, so that a buffer of 1 MiB overflows.
    from skbnb.transport import AgentTransport

    agent = AgentTransport()
    try:
        with (
            pytest.warns(skbnb.errors.LossWarning, match=f"lost: {full}"),
            skbnb.trace(
                scope="all", buffer=buffer, ring_mib=1, transport=agent
            ) as trace,
        ):
            subprocess.run(["kill", "-STOP", str(agent.pid)], check=True)
            pid = apart("flood", RECEIVERS, 400)
            subprocess.run(["kill", "-CONT", str(agent.pid)], check=True)
    finally:
        agent.close()
    about = trace.events.attrs["skbnb"]
    made = 400 * (RECEIVERS - 1)
    others = len(trace.events) - len(of(trace.events, pid=pid))
    assert about["captured"] + about["lost"] == about["calls"] == made + others
    assert about["captured"] == about["emitted"] == len(trace.events)
    assert about["lost"] == about["lost_by"]["full"] > 0


def test_max_events_keeps_the_first_and_counts_the_rest() -> None:
    with skbnb.trace(scope="all", max_events=7) as trace:
        apart("multicast", 4, 5)
    about = trace.events.attrs["skbnb"]
    assert len(trace.events) == 7
    assert_numbered(trace)
    assert about["emitted"] == 7
    assert about["calls"] == 7 + about["lost"]
    assert about["lost"] == about["lost_by"]["limit"] >= 8


def test_fast_clones_without_a_record_are_counted_once(server: Server) -> None:
    # They are seen more than once: when they are queued, and when they are freed.
    with skbnb.trace(scope="all", max_events=7) as trace:
        for _ in range(50):
            curl(server.url)
    about = trace.events.attrs["skbnb"]
    assert about["emitted"] == 7
    # Six of each fetch, and what others send meanwhile.
    assert 300 <= about["calls"] < 360


def test_max_seconds_stops_tracing_but_not_the_block() -> None:
    with skbnb.trace(max_seconds=0.2) as trace:
        time.sleep(0.5)
        apart("multicast", 4, 5)
    about = trace.events.attrs["skbnb"]
    assert trace.events.empty
    assert about["ended"] == "max_seconds"
    assert 0.2 <= about["duration"] < 0.5
    assert not trace.truncated


def test_one_agent_counts_every_trace_anew(server: Server) -> None:
    for _ in range(5):
        with skbnb.trace(scope="all") as trace:
            curl(server.url)
        assert_complete(trace)
        # Where all is slow, what a timer sends again may interrupt curl.
        mine = of(trace.events, comm="curl")
        assert (mine["context"] == "syscall").sum() == 3


def test_a_recording_is_the_live_trace(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "curl.skbt"
    with skbnb.trace(record=path) as trace:
        curl(server.url)
    loaded = skbnb.load(path)
    assert loaded.frames == trace.frames
    pd.testing.assert_frame_equal(loaded.events, trace.events, check_flags=False)
    with skbnb.trace(transport=skbnb.ReplayTransport(path)) as again:
        pass
    pd.testing.assert_frame_equal(again.events, trace.events, check_flags=False)
    assert again.events.attrs["skbnb"]["source"] == "recording"
