# SPDX-License-Identifier: Apache-2.0
"""Ends, origins, stacks and copies: from records to the DataFrame and its families."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from skbnb.errors import OptionError, StreamError
from skbnb.names import Names
from skbnb.schema import Has
from skbnb.traces import Selection, Trace
from skbnb.views import receipt
from skbnb.wire import Frame, Kind, control, pack_stack, unpack_stacks
from tests.records import EVERYTHING, absent, frames, hello, record, symbols

ASKED = {"stacks": True, "also": "copy", "follow": True}


def trace(*records: bytes, stacks: bytes = b"", **changes: Any) -> pd.DataFrame:
    """The events of a trace that was asked for everything."""
    replaced = {
        Kind.HELLO: control(Kind.HELLO, **hello(**ASKED)),
        Kind.SYMBOLS: control(Kind.SYMBOLS, **symbols(**changes)),
    }
    made = [replaced.get(frame.kind, frame) for frame in frames(*records)]
    made.insert(-4, Frame(Kind.STACKS, stacks))
    return Trace(made, selection=Selection("all")).events


def end(kind: int, count: int, ts: int, **members: Any) -> bytes:
    """The end of a call's clone."""
    nothing = {"comm": b"", "pid": 0, "tid": 0, "scope": 0}
    return record(
        **absent(**{**nothing, "kind": kind, "count": count, "ts": ts, **members})
    )


CONSUMED, DROPPED, FREED = 6, 7, 8


def test_each_end_is_its_clones() -> None:
    events = trace(
        record(ts=2_000, count=1, path=2),
        record(ts=3_000, count=2, path=2, clone=2),
        record(ts=4_000, count=3, path=2, clone=3),
        end(DROPPED, 2, 3_500, drop_reason=7, present=Has.DROP_REASON),
        end(CONSUMED, 1, 2_002_000),
        drop_reasons={"7": "NO_SOCKET"},
    )
    assert events["fate"].tolist()[:2] == ["consumed", "dropped"]
    assert events["life"].tolist()[:2] == [0.002, 5e-7]
    assert events["drop_reason"].tolist()[1] == "NO_SOCKET"
    assert events[["fate", "life", "drop_reason"]].isna().values.tolist() == [
        [False, False, True],
        [False, False, False],
        [True, True, True],
    ]


def test_a_reason_without_a_name_is_its_number() -> None:
    dropped = {"drop_reason": 0x30001, "present": Has.DROP_REASON}
    events = trace(record(), end(DROPPED, 1, 9_000, **dropped))
    assert events["drop_reason"].tolist() == ["0x30001"]


def test_a_pair_is_freed_after_its_clone_is() -> None:
    fast, slab = (
        trace(record(path=path), end(FREED, 1, 9_000)).iloc[0] for path in (1, 2)
    )
    assert fast["fate"] == slab["fate"] == "freed"
    assert pd.isna(fast["life"])
    assert slab["life"] == pytest.approx(7e-6)


def test_what_had_its_place_taken_was_freed() -> None:
    events = trace(record(ts=2_000, count=1), record(ts=3_000, count=2))
    assert events["fate"].tolist()[0] == "freed"
    assert events["fate"].isna().tolist() == [False, True]
    assert events["life"].isna().all()


def test_the_end_of_a_lost_call_is_nobodys() -> None:
    events = trace(record(count=1), end(CONSUMED, 2, 9_000))
    assert len(events) == 1
    assert events["fate"].isna().all()


# ------------------------------------------------------------------ families


def cloned(count: int, parent: int, clone: int, origin: int) -> bytes:
    return record(
        ts=1_000 + count, count=count, parent=parent, clone=clone, origin=origin
    )


def test_a_clone_of_a_clone() -> None:
    family = trace(
        cloned(1, 0xA, 0xB, 1),
        cloned(2, 0xB, 0xC, 1),  # of the first's clone
        cloned(3, 0xB, 0xD, 1),
        cloned(4, 0xA, 0xE, 1),  # of the same as the first
        cloned(5, 0xF, 0xB, 5),  # another packet, where one was before
        cloned(6, 0xB, 0xC, 5),
    ).skb.family
    columns = ["family", "depth", "parent_gen", "clone_gen", "siblings", "children"]
    assert family[["count", *columns]].values.tolist() == [
        [1, 1, 1, 1, 1, 1, 2],
        [2, 1, 2, 1, 1, 1, 0],
        [3, 1, 2, 1, 1, 1, 0],
        [4, 1, 1, 1, 1, 1, 0],
        [5, 2, 1, 1, 2, 0, 1],
        [6, 2, 2, 2, 2, 0, 0],
    ]


def test_a_family_is_that_of_the_rows() -> None:
    events = trace(cloned(1, 0xA, 0xB, 1), cloned(2, 0xB, 0xC, 1))
    assert events.skb.family["depth"].tolist() == [1, 2]
    assert events.iloc[1:].skb.family["depth"].tolist() == [1]
    assert events.iloc[::-1].skb.family["depth"].tolist() == [1, 2]
    assert len(events.head(0).skb.family) == 0


def test_no_family_without_a_parent() -> None:
    unseen = EVERYTHING & ~(Has.PARENT | Has.ORIGIN)
    assert len(trace(record(present=unseen)).skb.family) == 0


def test_packets_of_calls_without_numbers_cannot_be_told_apart() -> None:
    by_time = {"count": 7 << 51, "origin": 7 << 51, "present": EVERYTHING & ~Has.COUNT}
    events = trace(record(**by_time))
    assert events["origin"].isna().all()
    with pytest.raises(OptionError, match="not numbered, so packets cannot be told"):
        events.skb.family  # noqa: B018


# ------------------------------------------------------------------ stacks

CALLER = 0xFFFFFFFF81000010
FUNCTIONS = {
    f"{CALLER:#x}": "__tcp_transmit_skb",
    "0x10": "skb_clone",
    "0x20": "tcp_write_xmit",
    "0x30": "entry;SYSCALL\x1b",
}


def test_stacks_go_from_the_outermost_to_the_caller() -> None:
    events = trace(
        record(stack=5),
        stacks=pack_stack(5, [0x10, CALLER, 0x20, 0x30, 0x40]),
        functions=FUNCTIONS,
        modules={"0x20": "tcp_mod"},
    )
    assert events["stack"].tolist() == [
        "0x40;entry:SYSCALL\\x1b;tcp_write_xmit [tcp_mod];__tcp_transmit_skb"
    ]


@pytest.mark.parametrize("addresses", [[0x30, 0x20], [0x10, 0x50], []])
def test_a_stack_that_does_not_lead_to_the_caller_is_none(addresses: list[int]) -> None:
    stacks = pack_stack(5, addresses)
    events = trace(record(stack=5), stacks=stacks, functions=FUNCTIONS)
    assert events["stack"].isna().all()


def test_without_a_caller_a_stack_begins_above_what_was_called() -> None:
    names = Names(FUNCTIONS, stacks={5: [0x30, 0x10, 0x20]})
    assert names.folded(5, 0) == "tcp_write_xmit"
    assert names.folded(6, 0) == ""
    hides = {"0x50": "kretprobe_trampoline", **FUNCTIONS}
    assert Names(hides, stacks={5: [0x10, 0x50]}).folded(5, 0) == ""


def test_stacks_that_end_too_early() -> None:
    whole = pack_stack(5, [1, 2]) + pack_stack(6, [])
    assert list(unpack_stacks(whole)) == [(5, (1, 2)), (6, ())]
    for size in (4, 8, 20, len(whole) - 1):
        with pytest.raises(StreamError, match="a STACKS frame that ends inside"):
            list(unpack_stacks(whole[:size]))


# ------------------------------------------------------------------ copies, addresses


def test_copies_are_no_clones() -> None:
    copied = {"path": 0, "present": EVERYTHING & ~Has.COUNT, "count": 1 << 60}
    events = trace(record(), record(kind=4, **copied), record(kind=5, **copied))
    assert events["kind"].tolist() == ["clone", "copy", "copy failed"]
    assert events["reason"].tolist() == ["tcp-transmit", *["tcp-transmit-copy"] * 2]
    assert events.skb.processes[["clones", "copies"]].values.tolist() == [[1, 1]]
    assert events.attrs["skbnb"]["captured"] == 1
    assert receipt(events).startswith("1 clone and 1 copy in")


@pytest.mark.parametrize(
    ("bits", "source"),
    [
        (Has.ADDRESSES, "headers"),
        (Has.ADDRESSES | Has.COMPANION, "headers"),
        (Has.ADDRESSES | Has.SOCKET_ADDRESSES, "socket"),
        (Has.ADDRESSES | Has.SOCKET_ADDRESSES | Has.COMPANION, "companion"),
        (Has.COMPANION, "none"),
        (Has(0), "none"),
    ],
)
def test_what_tells_the_addresses(bits: Has, source: str) -> None:
    assert trace(record(present=bits))["address_source"].tolist() == [source]


def test_headers_seen_later_are_better_than_the_sockets_addresses() -> None:
    by_socket = Has.ADDRESSES | Has.SOCKET_ADDRESSES | Has.COMPANION
    seen = {"kind": 3, "present": Has.ADDRESSES, "saddr": bytes([10, 0, 0, 1])}
    events = trace(record(present=by_socket), record(**seen))
    assert events["address_source"].tolist() == ["headers"]
    assert events["saddr"].tolist() == ["10.0.0.1"]
