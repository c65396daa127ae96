# SPDX-License-Identifier: Apache-2.0
"""Every caller of skb_clone() has one reason, and each reason can be read."""

from __future__ import annotations

import collections
import csv
import re
from pathlib import Path

import pytest

from skbnb.reasons import (
    COPY_REASONS,
    REASONS,
    Reason,
    copy_reason_of,
    describe,
    reason_of,
)

CALLERS = Path(__file__).parents[1] / "data" / "skb_clone_callers.tsv"


def compiled_callers() -> list[str]:
    lines = CALLERS.read_text().splitlines()
    rows = csv.DictReader(
        (line for line in lines if not line.startswith("#")), delimiter="\t"
    )
    return [row["symbol"] for row in rows]


def test_every_compiled_caller_has_a_reason() -> None:
    symbols = compiled_callers()
    assert len(symbols) == 250
    assert not [symbol for symbol in symbols if reason_of(symbol).startswith("unknown")]


@pytest.mark.parametrize("table", [REASONS, COPY_REASONS], ids=["clone", "copy"])
def test_no_symbol_has_two_reasons(table: tuple[Reason, ...]) -> None:
    counts = collections.Counter(s for reason in table for s in reason.symbols)
    assert max(counts.values()) == 1


def test_slugs_are_distinct() -> None:
    every = REASONS + COPY_REASONS
    assert len({reason.slug for reason in every}) == len(every)
    assert len({reason.text for reason in every}) == len(every)


@pytest.mark.parametrize(
    "reason", REASONS + COPY_REASONS, ids=lambda reason: reason.slug
)
def test_each_reason_is_whole(reason: Reason) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", reason.slug)
    assert re.fullmatch(r"[A-Z]([^.!?]|\.(?=\d))*\.", reason.text), "one sentence"
    assert len(reason.text) <= 110
    assert reason.example
    assert not reason.example.endswith(".")
    for place in reason.source.split("; "):
        assert re.fullmatch(r"[\w/-]+\.[ch]: \w+\(\)(, \w+\(\))*", place)
    assert reason.symbols
    # A suffix would never be found: it is stripped before the lookup.
    assert all(re.fullmatch(r"\w+", symbol) for symbol in reason.symbols)


@pytest.mark.parametrize(
    ("symbol", "slug"),
    [
        ("__tcp_transmit_skb", "tcp-transmit"),
        ("raw_local_deliver", "raw-socket"),
        ("raw6_local_deliver", "raw-socket"),
        ("__udp4_lib_mcast_deliver", "multicast-delivery"),
        ("__udp4_lib_rcv", "multicast-delivery"),
        ("udp_rcv", "multicast-delivery"),
        ("dev_queue_xmit_nit", "tap-transmit"),
        ("maybe_deliver", "bridge-flood"),
        ("__skb_tstamp_tx", "tx-timestamp"),
        ("tcf_mirred_act", "tc-mirred"),
        ("netem_enqueue", "netem-duplicate"),
        ("netlink_broadcast_filtered", "netlink-multicast"),
    ],
)
def test_well_known_callers(symbol: str, slug: str) -> None:
    assert reason_of(symbol) == slug


@pytest.mark.parametrize(
    "suffix",
    [
        ".isra.0",
        ".constprop.0",
        ".part.12",
        ".cold",
        ".part.0.isra.0",
        ".constprop.0.isra.0.cold",
        ".llvm.1234567890123456789",
    ],
)
def test_suffixes_do_not_matter(suffix: str) -> None:
    assert reason_of("br_flood" + suffix) == "bridge-flood"
    assert reason_of("frobnicate" + suffix) == "unknown (frobnicate)"


@pytest.mark.parametrize(
    "symbol",
    [
        "frobnicate",
        "tcp_transmit_skb_",  # almost is not enough
        "raw_local_deliver.other.0",
        "raw_local_deliver.isra.0x",
        "0xffffffff81e43730",  # no symbol: an address
        "",
    ],
)
def test_what_is_not_known_is_not_guessed(symbol: str) -> None:
    assert reason_of(symbol) == f"unknown ({symbol})"


def test_describe() -> None:
    assert describe("netlink-multicast").startswith("Not network traffic: ")
    for reason in REASONS:
        assert describe(reason_of(reason.symbols[0])) == reason.text
    for reason in COPY_REASONS:
        assert describe(copy_reason_of(reason.symbols[0])) == reason.text
    assert "clones packets" in describe(reason_of("frobnicate"))
    assert "copies packets" in describe(copy_reason_of("frobnicate"))
    with pytest.raises(KeyError):
        describe("frobnicate")
    assert describe("unknown") == "Nobody saw which function asked."
