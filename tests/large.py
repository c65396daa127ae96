# SPDX-License-Identifier: Apache-2.0
"""Large traces: as many calls as wanted, of a machine with much going on.

Who calls is drawn from a few thousand conversations, most of the calls from a few of
them: a process, its socket, addresses, a device, and the function that clones. All is
packed records, so what is measured with these is the way that real ones go.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from skbnb.reasons import REASONS
from skbnb.schema import RECORD, SOCKET, Context, Has, Kind, Path, Scope
from skbnb.traces import Selection, Trace
from skbnb.wire import Frame, control, pack_stack
from skbnb.wire import Kind as FrameKind
from tests.records import STRIDE, hello, stats, symbols

Records = npt.NDArray[Any]

# Calls of a frame: with a sighting and an end for each it still may be sent.
_FRAME = 7_000
_BEGAN = 1_000
_FUNCTIONS = 0xFFFF_FFFF_8100_0000
_SLAB = 0xFFFF_8880_0000_0000
_SKB = 256
# Packets that are there at the same time: their addresses are used over and over.
_PACKETS = 20_000
_EVERYWHERE = Has.CALLER | Has.COUNT | Has.CLONE | Has.PARENT | Has.ORIGIN | Has.SK
_OF_PACKET = Has.LEN | Has.ETHERTYPE | Has.ADDRESSES | Has.PORTS | Has.IFINDEX | Has.DEV
_OF_TCP = Has.TCP | Has.TCP_CB


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What there is on the machine that is traced.

    Parameters
    ----------
    processes, reasons, devices, conversations
        How many.
    ways
        Of the kernel's stacks to each function that clones.
    seconds
        How long it is traced.
    name
        What names begin with: those of processes, devices, control groups and, where
        they are not of the kernel, functions.
    follow, stacks
        As `Config` has them.
    """

    processes: int = 400
    reasons: int = 40
    devices: int = 12
    conversations: int = 5_000
    ways: int = 8
    seconds: float = 60.0
    name: str = "worker"
    follow: bool = False
    stacks: bool = False


def trace(calls: int, machine: Machine | None = None, *, seed: int = 1) -> Trace:
    """A trace of so many calls, with everything selected."""
    made = frames(calls, machine or Machine(), seed=seed)
    return Trace(made, selection=Selection("all"))


def frames(calls: int, machine: Machine, *, seed: int = 1) -> Iterator[Frame]:
    """A whole trace of so many calls; the same for the same seed."""
    rng = np.random.default_rng(seed)
    talks = _conversations(machine, rng)
    said = hello(stacks=machine.stacks, follow=machine.follow)
    yield control(FrameKind.HELLO, **said)
    yield control(FrameKind.READY, ts=_BEGAN, base=0)
    for first in range(0, calls, _FRAME):
        number = np.arange(first, min(first + _FRAME, calls))
        records = _records(number, calls, machine, talks, rng)
        wide = np.zeros((len(records), STRIDE), "u1")
        wide[:, STRIDE - RECORD.itemsize :] = records.view("u1").reshape(
            len(records), -1
        )
        yield Frame(FrameKind.EVENTS, wide.tobytes())
    yield Frame(FrameKind.SOCKETS, _sockets(talks).tobytes())
    if machine.stacks:
        yield Frame(FrameKind.STACKS, b"".join(_stacks(machine)))
    yield control(FrameKind.SYMBOLS, **_symbols(machine, talks))
    ended = _BEGAN + int(machine.seconds * 1e9)
    yield control(FrameKind.STATS, **stats(calls=calls, ended=ended))
    yield control(FrameKind.END, why="stop")


# ------------------------------------------------------------------ who there is


def _zipf(number: int, of: int, rng: np.random.Generator) -> npt.NDArray[np.intp]:
    """Draw from the numbers up to `of`: the first of them most often."""
    odds = np.cumsum(1 / np.arange(1, of + 1))
    drawn = np.searchsorted(odds / odds[-1], rng.random(number))
    return np.minimum(drawn, of - 1)


def _names(number: npt.NDArray[Any], name: str, width: int = 16) -> Records:
    texts = [f"{one}{name}"[: width - 1].encode() for one in range(number.max() + 1)]
    known: Records = np.array(texts, f"S{width}").view(f"V{width}")[number]
    return known


def _conversations(machine: Machine, rng: np.random.Generator) -> Records:
    """A record for each conversation: what all of its calls have in common."""
    count = machine.conversations
    talks = np.zeros(count, RECORD)
    process = np.r_[
        np.arange(min(machine.processes, count)),
        _zipf(max(count - machine.processes, 0), machine.processes, rng),
    ]
    caller = _zipf(count, machine.reasons, rng)
    device = _zipf(count, machine.devices, rng)
    is_tcp = rng.random(count) < 0.7
    talks["pid"] = 1_000 + process
    talks["comm"] = _names(process % 97, machine.name)
    talks["uid"] = process % 7 * 1000
    talks["scope"] = np.array([*Scope], "u1")[process % 3]
    talks["context"] = np.array([*Context], "u1")[_zipf(count, 4, rng)]
    talks["caller"] = _FUNCTIONS + 0x1000 * caller.astype("u8")
    talks["path"] = np.where(is_tcp, Path.FAST, Path.SLAB)
    talks["sk"] = _SLAB + 0x10000 * np.arange(count, dtype="u8")
    talks["sock_hash"] = np.arange(count)
    talks["ifindex"] = device + 1
    talks["dev"] = _names(device, machine.name[:12])
    talks["netns"] = 4026531840 + device % 5
    is_new = rng.random(count) < 0.3
    talks["family"] = np.where(is_new, 10, 2)
    talks["ethertype"] = np.where(is_new, 0x86DD, 0x0800)
    for name in ("saddr", "daddr"):
        address = np.zeros((count, 4), "<u4")
        address[:, 0] = 10 + 256 * rng.integers(0, 4_000, count)
        address[is_new, 2:] = rng.integers(0, 4_000, (np.count_nonzero(is_new), 2))
        talks[name] = address.view("V16")[:, 0]
    talks["sport"] = rng.integers(32768, 61000, count)
    talks["dport"] = np.array([80, 443, 53, 8000, 5432])[_zipf(count, 5, rng)]
    talks["protocol"] = np.where(is_tcp, 6, 17)
    talks["present"] = _EVERYWHERE | _OF_PACKET | np.where(is_tcp, _OF_TCP, 0)
    if machine.stacks:
        way = rng.integers(0, machine.ways, count)
        talks["stack"] = 1 + caller * machine.ways + way
        talks["present"] |= np.uint32(Has.STACK)
    return talks


def _sockets(talks: Records) -> Records:
    known = np.zeros(len(talks), SOCKET)
    for name in ("sk", "sock_hash", "pid", "comm"):
        known[name] = talks[name]
    known["cookie"] = known["inode"] = 1 + np.arange(len(talks))
    known["cgroup"] = 1 + talks["pid"] % 50
    return known


def _symbols(machine: Machine, talks: Records) -> dict[str, Any]:
    callers = [symbol for reason in REASONS for symbol in reason.symbols[:1]]
    names = dict(enumerate(callers[: machine.reasons]))
    functions = {
        f"{_FUNCTIONS + 0x1000 * number:#x}": names.get(
            number, f"f{number}_{machine.name}"
        )
        for number in range(machine.reasons)
    } | {
        f"{_FUNCTIONS + 1 + frame:#x}": f"way{frame}_{machine.name}"
        for frame in range(16 * machine.ways)
    }
    return symbols(
        functions=functions,
        drop_reasons={str(number): f"REASON_{number}" for number in range(20)},
        netns={str(4026531840 + n): f"{machine.name}{n}" for n in range(5)},
        cgroups={
            str(1 + n): f"/{machine.name}.slice/docker-{n:012x}{n:052x}.scope"
            for n in range(50)
        },
    )


def _stacks(machine: Machine) -> Iterator[bytes]:
    for caller in range(machine.reasons):
        for way in range(machine.ways):
            above = [_FUNCTIONS + 1 + (way * 16 + depth) for depth in range(15)]
            yield pack_stack(
                1 + caller * machine.ways + way,
                [_FUNCTIONS + 0x1000 * caller, *above],
            )


# ------------------------------------------------------------------ what they do


def _records(
    number: npt.NDArray[Any],
    calls: int,
    machine: Machine,
    talks: Records,
    rng: np.random.Generator,
) -> Records:
    """The records of some calls, in the order in which the kernel sends them."""
    made = talks[_zipf(len(number), len(talks), rng)]
    between = machine.seconds * 1e9 / calls
    # CPUs overtake each other now and then.
    late = 3 * rng.random(len(number)) * (rng.random(len(number)) < 0.01)
    made["ts"] = _BEGAN + (number + late) * between
    made["count"] = number + 1
    made["tid"] = made["pid"] + 10_000 * rng.integers(0, 4, len(number))
    made["cpu"] = rng.integers(0, 16, len(number))
    made["parent"] = _SLAB + 2 * _SKB * (number % _PACKETS).astype("u8")
    made["clone"] = made["parent"] + np.uint64(_SKB)
    # One in ten is a clone of a packet that was cloned shortly before.
    again = rng.random(len(number)) < 0.1
    made["origin"] = np.where(again & (number > 0), number, number + 1)
    made["parent"][again] -= np.uint64(2 * _SKB)
    made["kind"] = np.where(rng.random(len(number)) < 0.001, Kind.FAILED, Kind.CLONE)
    made["len"] = np.array([66, 74, 1514, 9014])[_zipf(len(number), 4, rng)]
    made["seq"] = number * 1448 % (1 << 32)
    made["end_seq"] = made["seq"] + made["len"] - 66
    made["tcp_flags"] = np.array([0x18, 0x10, 0x02, 0x11])[_zipf(len(number), 4, rng)]
    made["again"] = rng.random(len(number)) < 0.01
    return _later(made, machine, rng)


def _later(calls: Records, machine: Machine, rng: np.random.Generator) -> Records:
    """The same with what is learnt of the calls' clones afterwards."""
    made = [calls]
    # Where a slab clone was is told by the next tracepoint that it passes.
    sighted = calls["path"] == Path.SLAB
    sightings = calls[sighted]
    sightings["kind"] = Kind.SIGHTING
    sightings["present"] &= np.uint32(_OF_PACKET | _OF_TCP | Has.COUNT)
    made.append(sightings)
    calls["present"][sighted] &= ~np.uint32(_OF_PACKET | _OF_TCP)
    if machine.follow:
        ends = calls[rng.random(len(calls)) < 0.95]
        ends["kind"] = np.array([Kind.CONSUMED, Kind.DROPPED, Kind.FREED])[
            _zipf(len(ends), 3, rng)
        ]
        ends["ts"] += (rng.exponential(50_000, len(ends))).astype("u8")
        ends["drop_reason"] = rng.integers(2, 20, len(ends))
        is_dropped = ends["kind"] == Kind.DROPPED
        ends["present"] = Has.COUNT | np.where(is_dropped, Has.DROP_REASON, 0)
        made.append(ends)
    together = np.concatenate(made)
    return together[np.argsort(together["ts"], kind="stable")]
