# SPDX-License-Identifier: Apache-2.0
"""Streams of every kind of trace, and of a count, whole and changed a little."""

from __future__ import annotations

import contextlib
import json
from random import Random
from typing import Any

from skbnb.wire import BYTES_SIZE, FIELDS, MAGIC, Frame, Kind, control, pack_stack
from tests import records
from tests.fuzz.mutate import changed_bytes, changed_json, packed_json
from tests.records import STRIDE

__all__ = ["VALID", "changed_stream", "packed"]


def _trace(hello: dict[str, Any], *middle: Frame, **stats: Any) -> list[Frame]:
    return [
        control(Kind.HELLO, **records.hello(**hello)),
        control(Kind.READY, ts=1_000, base=0),
        *middle,
        control(Kind.STATS, **records.stats(**stats)),
        control(Kind.END, why="stop"),
    ]


_NAMES = (
    Frame(Kind.SOCKETS, records.socket() + records.socket(sk=7, pid=9, comm=b"nc")),
    Frame(Kind.STACKS, pack_stack(5, [0xFFFFFFFF81000010, 1, 2]) + pack_stack(6, [])),
    control(
        Kind.SYMBOLS,
        **records.symbols(
            modules={"0x1": "nf_tables"}, drop_reasons={"2": "NOT_SPECIFIED"}
        ),
    ),
    control(Kind.TAPS, sockets=[records.tap(), records.tap(pid=None)], more=0),
)

# Calls of every kind, what later records say of them, and others' calls.
_CALLS: tuple[dict[str, Any], ...] = (
    {},
    {"count": 2, "ts": 2_100, "kind": 2, "path": 2, "scope": 1, "pid": 43},
    {"count": 3, "ts": 2_200, "kind": 4, "path": 2, "scope": 2, "family": 10},
    {"count": 4, "ts": 2_300, "kind": 1, "path": 2, "comm": b"ping", "protocol": 1},
    {"count": 4, "ts": 2_400, "kind": 3, "present": 0x3FFFF, "len": 99},
    {"count": 1, "ts": 2_500, "kind": 6},
    {"count": 4, "ts": 2_600, "kind": 7, "drop_reason": 2, "present": 0x3FFFF},
    {"count": 5, "ts": 2_050, "kind": 1, "saddr": bytes(range(16)), "sk": 7},
)
_PLAIN = [records.record(**members) for members in _CALLS]
_EVERYTHING: dict[str, Any] = {
    "stacks": True,
    "also": "copy",
    "follow": True,
    "snaplen": 24,
    "stride": STRIDE + BYTES_SIZE + 24,
}
# Room for 24 bytes, of which 20 were kept, of a packet of 74 with a link header.
_BYTES = (74).to_bytes(4, "little") + bytes((20, 0, 14, 0)) + bytes(range(24))
_HANDBOOK = b"".join(records.call(ts=2_000 + i, count=i + 1) for i in range(3))


VALID: tuple[list[Frame], ...] = (
    _trace({}, Frame(Kind.EVENTS, b"".join(_PLAIN)), *_NAMES),
    _trace(
        _EVERYTHING,
        *(Frame(Kind.EVENTS, one + _BYTES) for one in _PLAIN),
        control(Kind.PROGRESS, calls=3, lost_full=0, lost_limit=0, lost_reader=0),
        *_NAMES,
    ),
    _trace(
        {"via": "perf", "stride": 40, "offset": 0, "buffer": "perf"},
        Frame(Kind.EVENTS, _HANDBOOK),
        counted=3,
    ),
    _trace(
        {"via": "count", "buffer": ""},
        Frame(Kind.TALLIES, records.tally() + records.tally(pid=7, scope=1)),
    ),
    _trace({}, control(Kind.LOG, text="clang")),
    [
        control(Kind.FUNCTIONS, of="function", names=["f", "g [m]"], barred=[], why=""),
        control(Kind.READY, ts=1, base=0),
        control(Kind.ATTACHING, done=1, total=2),
        control(
            Kind.COUNTS,
            counts=[1, None],
            refused={"1": "gone"},
            how={"kprobe": "1"},
            compat=0,
            missed=0,
            began=1,
            ended=2,
        ),
        control(Kind.END, why="listed"),
        control(Kind.ERROR, code="probe", message="no", hint="none"),
    ],
)
"""Whole streams: five traces, and one that no trace is made of."""


def packed(frames: list[Frame]) -> bytes:
    """A stream of these frames."""
    return MAGIC + b"".join(frame.pack() for frame in frames)


def changed_stream(random: Random, frames: list[Frame]) -> bytes:
    """A stream with other fields, bytes or frames, or with bytes changed as a whole."""
    frames = list(frames)
    for _ in range(random.randint(1, 3)):
        at = random.randrange(len(frames))
        what = random.random()
        if what < 0.75:
            frames[at] = _changed_frame(random, frames[at])
        elif what < 0.85 and len(frames) > 1:
            del frames[at]
        elif what < 0.95:
            frames.insert(at, random.choice(random.choice(VALID)))
        else:
            frames.append(frames.pop(at))
    stream = packed(frames)
    return changed_bytes(random, stream) if random.random() < 0.15 else stream


def _changed_frame(random: Random, frame: Frame) -> Frame:
    if frame.kind in FIELDS and random.random() < 0.95:
        # It may have been changed before.
        with contextlib.suppress(ValueError, RecursionError):
            value = changed_json(random, json.loads(bytes(frame.payload)))
            return Frame(frame.kind, packed_json(value))
    return Frame(frame.kind, changed_bytes(random, bytes(frame.payload)))
