# SPDX-License-Identifier: Apache-2.0
"""Comparisons add up, name what changed, and guess nothing."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import skbnb
from skbnb import svg
from skbnb.comparison import Comparison, compare
from skbnb.errors import OptionError
from skbnb.reasons import describe
from skbnb.traces import Trace
from skbnb.views import FigureView
from skbnb.wire import Kind
from tests.records import CURL, frames, record, tap
from tests.unit.frames import example
from tests.unit.test_figures import HOSTILE
from tests.unit.test_views import Reader

PARTS = {"reasons": "reason", "processes": "comm", "devices": "dev"}
ABSENT = {"reason": "unknown", "comm": "(unknown process)", "dev": "no device"}

NETNS, ELSEWHERE = CURL["netns"], 1


def made(rows: list[tuple[str | None, ...]], **attrs: Any) -> pd.DataFrame:
    """A frame of these rows: kind, reason, comm, dev."""
    columns = ("kind", "reason", "comm", "dev")
    df = pd.DataFrame({name: pd.Series(dtype="object") for name in columns})
    if rows:
        df = pd.DataFrame(rows, columns=list(columns))
    df = df.astype("category")
    for name, number in (("netns", NETNS), ("ifindex", 1)):
        df[name] = pd.Series(number, df.index, dtype="UInt32")
    df.attrs["skbnb"] = {**example(0).attrs["skbnb"], **attrs}
    return df


def traced(tcp: int = 6, taps: int = 0, dev: str | None = "lo", **a: Any) -> Any:
    """A trace of curl, with some clones of TCP's and some for sniffers."""
    rows: list[tuple[str | None, ...]] = [("clone", "tcp-transmit", "curl", "lo")] * tcp
    return made(rows + [("clone", "tap-transmit", "curl", dev)] * taps, **a)


def first(a: Any, b: Any) -> str:
    return compare(a, b).sentences[0]


# ------------------------------------------------------------------ numbers

NAMES = st.sampled_from(["curl", "nc", "python3", None])
ROWS = st.lists(
    st.tuples(
        st.sampled_from(["clone", "clone", "failed"]),
        st.sampled_from(["tcp-transmit", "tap-transmit", "unknown (f)", "mine", None]),
        NAMES,
        st.sampled_from(["lo", "eth0", None]),
    ),
    max_size=40,
)


@given(ROWS, ROWS, st.integers(0, 40))
def test_tables_hold_what_the_frames_do(
    one: list[tuple[str | None, ...]], other: list[tuple[str | None, ...]], kept: int
) -> None:
    # A selection keeps the categories of the whole.
    a, b = made(one).head(kept), made(other)
    made_of = compare(a, b)
    clones = [df[df["kind"] == "clone"] for df in (a, b)]
    for name, column in PARTS.items():
        table = getattr(made_of, name)
        for side, df in zip("ab", clones, strict=True):
            counts = df[column].astype("object").fillna(ABSENT[column]).value_counts()
            there = table[table[side] > 0]
            assert there.set_index(column)[side].to_dict() == counts.to_dict()
        assert table["change"].tolist() == (table["b"] - table["a"]).tolist()
        assert table["change"].sum() == len(clones[1]) - len(clones[0])
        assert (table[["a", "b"]].sum(axis=1) > 0).all()
        assert table["change"].abs().is_monotonic_decreasing
    assert all(s.endswith((".", ".reasons")) for s in made_of.sentences)
    repr(made_of)


@given(ROWS, ROWS)
def test_the_other_way_round_is_the_opposite(
    one: list[tuple[str | None, ...]], other: list[tuple[str | None, ...]]
) -> None:
    there, back = compare(made(one), made(other)), compare(made(other), made(one))
    for name, column in PARTS.items():
        left = getattr(there, name).set_index(column)
        right = getattr(back, name).set_index(column).reindex(left.index)
        assert left["change"].tolist() == (-right["change"]).tolist()


@given(ROWS)
def test_a_trace_is_like_itself(rows: list[tuple[str | None, ...]]) -> None:
    df = made(rows)
    clones = int((df["kind"] == "clone").sum())
    noun = "clone" if clones == 1 else "clones"
    assert compare(df, df.iloc[::-1]).sentences == [
        f"No change: {clones} {noun} in both."
    ]


def test_dtypes_are_the_same_also_when_nothing_was_cloned() -> None:
    full, empty = compare(example(), example(9)), compare(example(0), example(0))
    for name in PARTS:
        there, none = getattr(full, name), getattr(empty, name)
        assert none.empty
        assert none.dtypes.astype(str).to_dict() == there.dtypes.astype(str).to_dict()
    assert empty.sentences == ["No change: 0 clones in both."]


def test_every_reason_is_in_words() -> None:
    table = compare(example(6, 3), example(9, 3)).reasons
    assert table["why"].tolist() == [describe(r) for r in table["reason"]]


def test_frames_are_left_unchanged() -> None:
    a, b = example(50, 3, failed=2), traced(taps=3)
    before = a.copy(deep=True), b.copy(deep=True)
    compare(a, b)
    pd.testing.assert_frame_equal(a, before[0])
    pd.testing.assert_frame_equal(b, before[1])


def test_frames_of_two_traces_together() -> None:
    # Different categories: pandas makes the column one of objects.
    both = pd.concat([example(4), example(4, names=("wget",))])
    table = compare(example(4), both).processes
    assert table["change"].sum() == 4


def test_a_million_rows_take_no_python_for_each() -> None:
    a, b = example(1_000_000, 300), example(500_000, 301)
    began = time.process_time()
    compare(a, b)
    # Some 0.05 s; a Python call for each row would take ten times this limit.
    assert time.process_time() - began < 0.5


# ------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (None, "b is NoneType, and no trace"),
        ("curl.skbt", "b is str, and no trace"),
        (pd.Series([1]), "b is Series, and no trace"),
        (example().drop(columns="reason"), "b has no column 'reason'"),
        (example().drop(columns="kind"), "b has no column 'kind'"),
        (example()[["comm", "kind", "reason"]], "b has no column 'dev'"),
        (pd.DataFrame(), "b has no column 'kind'"),
    ],
)
def test_what_is_no_trace(bad: Any, why: str) -> None:
    with pytest.raises(OptionError) as caught:
        compare(example(), bad)
    assert str(caught.value) == (
        f"{why}. Compare traces, or rows of their events: skbnb.compare(before, after)."
    )
    with pytest.raises(OptionError, match=f"^{why.replace('b', 'a', 1)}"):
        compare(bad, example())


def test_columns_that_only_help_may_lack() -> None:
    b = traced(taps=3, sniffers=[tap()])
    needed = b[["kind", "reason", "comm", "dev"]]
    assert first(traced(), needed) == first(traced(), b)


def test_traces_and_their_events_are_alike() -> None:
    a, b = Trace(frames(record())), Trace(frames(record(), record(ts=3_000)))
    events: Any = a.events
    by_traces, by_frames = skbnb.compare(a, b), events.skb.compare(b.events)
    assert by_traces.sentences == by_frames.sentences
    assert repr(by_traces) == repr(by_frames)
    assert by_traces.sentences[0].startswith("+1 clone, all tcp-transmit: TCP keeps")


# ------------------------------------------------------------------ sentences

KEEPS = describe("tcp-transmit")


def test_all_by_one_reason() -> None:
    assert compare(traced(6), traced(1)).sentences == [
        f"-5 clones, all tcp-transmit: {KEEPS}",
        "a: 6 clones in 0.013 s; b: 1 clone in 0.013 s.",
        "By process: -5 curl.",
        "By device: -5 lo.",
    ]


def test_most_by_one_reason() -> None:
    assert compare(traced(), traced(8, 10)).sentences[:2] == [
        "+12 clones, most (+10) tap-transmit: something sniffs lo.",
        f"+2 tcp-transmit: {KEEPS}",
    ]


@pytest.mark.parametrize(
    ("tcp", "taps", "says"),
    [
        (0, 10, "+4 clones, for 2 reasons."),  # one more, the other less
        (16, 10, "+20 clones, for 2 reasons."),  # half is not most
        (2, 4, "6 clones in both, but not for the same reasons."),
    ],
)
def test_by_several_reasons(tcp: int, taps: int, says: str) -> None:
    sentences = compare(traced(), traced(tcp, taps)).sentences
    assert sentences[0] == says
    assert sorted(sentences[1:3]) == sorted(
        [
            f"{tcp - 6:+} tcp-transmit: {KEEPS}",
            f"{taps:+} tap-transmit: something sniffs lo.",
        ]
    )


def test_by_other_processes_for_the_same_reasons() -> None:
    a, b = example(6, 1), example(6, 1, names=("wget",))
    assert compare(a, b).sentences == [
        "6 clones in both, for the same reasons.",
        "a: 6 clones in 0.013 s; b: 6 clones in 0.013 s.",
        "By process: -6 curl and +6 wget.",
    ]


def test_more_reasons_than_are_said() -> None:
    rows = [("clone", f"unknown (f{n})", "curl", "lo") for n in range(7)]
    sentences = compare(made([]), made([*rows])).sentences
    assert sentences[0] == "+7 clones, for 7 reasons."
    assert sentences[6] == "2 more reasons: see .reasons"


def test_both_durations_are_said_where_they_differ() -> None:
    a, b = example(seconds=0.2), example(seconds=7.0)
    assert compare(a, b).sentences == [
        "No change: 6 clones in both.",
        "a: 6 clones in 0.2 s; b: 6 clones in 7 s.",
    ]
    del b.attrs["skbnb"]["duration"]
    assert "b: 6 clones in unknown time." in compare(a, b).sentences[1]


def test_failed_calls_are_no_clones() -> None:
    a, b = example(8, 1, failed=2), example(6, 1)
    assert compare(a, b).sentences == [
        "No change: 6 clones in both.",
        "Failed calls: 2 in a, 0 in b.",
    ]


@pytest.mark.parametrize(
    ("attrs", "doubt"),
    [
        ({"probe": "fentry"}, "probe tracepoint in a, fentry in b"),
        ({"probe": None}, "probe tracepoint in a, unknown in b"),
        ({"scope": "all"}, "scope cell in a, all in b"),
        ({"filters": "comm \x1b"}, "filters none in a, comm \\x1b in b"),
        ({"lost": 1200}, "1,200 lost in b"),
        ({"lost": None}, "unknown how many lost in b"),
        ({"missed": 1, "lost": 2}, "2 lost in b; 1 missed in b"),
        ({"truncated": "killed"}, "b is truncated"),
    ],
)
def test_what_makes_counts_hard_to_compare(attrs: dict[str, Any], doubt: str) -> None:
    sentences = compare(example(), example(**attrs)).sentences
    assert sentences[1:] == [f"WARNING: the counts may not be comparable: {doubt}."]


def test_frames_that_say_nothing_of_their_traces() -> None:
    a, b = example(), example()
    a.attrs.clear()
    b.attrs.clear()
    assert compare(a, b).sentences == [
        "No change: 6 clones in both.",
        "WARNING: the counts may not be comparable: unknown how many lost in a; "
        "unknown how many lost in b.",
    ]


# ------------------------------------------------------------------ sniffers


def after(
    *sniffers: dict[str, Any] | None, dev: str | None = "lo", **attrs: Any
) -> Any:
    return traced(taps=12, dev=dev, sniffers=[*sniffers], **attrs)


def who(a: Any, b: Any) -> str:
    begun, _, clause = first(a, b).partition("tap-transmit: ")
    assert re.fullmatch(r"[+-]\d+ clones, all ", begun)
    return clause


def test_the_sniffer_is_named() -> None:
    assert first(traced(), after(tap())) == (
        "+12 clones, all tap-transmit: tcpdump 4711 sniffs lo."
    )


def test_the_sniffer_that_went_is_named() -> None:
    assert who(after(tap()), traced()) == "tcpdump 4711 sniffed lo."


@pytest.mark.parametrize(
    ("sniffers", "says"),
    [
        ([], "something sniffs lo."),
        ([tap(ifindex=2, dev="eth0")], "something sniffs lo."),
        ([tap(netns=ELSEWHERE)], "something sniffs lo."),
        # One that gets only what is received, as a DHCP client's may.
        ([tap(protocol=0x0800)], "something sniffs lo."),
        ([tap(pid=None, comm=None)], "something sniffs lo."),
        ([tap(dev=None)], "tcpdump 4711 sniffs lo."),
        ([tap(ifindex=0, dev=None)], "tcpdump 4711 sniffs every device."),
        (
            [tap(netns=ELSEWHERE, ifindex=0, dev=None)],
            "something sniffs lo.",
        ),
        (
            [tap(netns=ELSEWHERE, ifindex=0, dev=None, everywhere=True)],
            "tcpdump 4711 sniffs every device, from another network namespace.",
        ),
        (
            [tap(), tap(inode=1, pid=8, comm="dumpcap"), tap(inode=2)],
            "dumpcap 8 and tcpdump 4711 sniff lo.",
        ),
        (
            [tap(), tap(inode=1, ifindex=0, dev=None, pid=8, comm="dhclient")],
            "tcpdump 4711 sniffs lo, and dhclient 8 sniffs every device.",
        ),
        (
            [tap(), tap(inode=1, ifindex=0, dev=None)],
            "tcpdump 4711 sniffs lo and every device.",
        ),
    ],
)
def test_all_who_may_be_it_are_named(sniffers: list[Any], says: str) -> None:
    assert who(traced(), after(*sniffers)) == says


def test_who_was_there_before_is_named_only_if_nobody_came() -> None:
    old = tap(inode=1, pid=8, comm="dhclient")
    before = traced(sniffers=[old])
    assert who(before, after(old, tap())) == "tcpdump 4711 sniffs lo."
    assert who(before, after(old)) == "dhclient 8 sniffs lo in both."


def test_where_the_device_is_unknown_every_sniffer_may_be_it() -> None:
    nowhere = after(tap(), tap(inode=1, ifindex=2, dev=None, pid=8), dev=None)
    nowhere["netns"] = nowhere["ifindex"] = pd.array([pd.NA] * len(nowhere), "UInt32")
    assert (
        who(traced(), nowhere)
        == "tcpdump 8 sniffs device 2, and tcpdump 4711 sniffs lo."
    )
    nowhere.attrs["skbnb"]["sniffers"] = []
    assert who(traced(), nowhere) == "something sniffs."


def test_only_devices_with_more_clones_count() -> None:
    rows = [("clone", "tap-transmit", "curl", dev) for dev in ["lo", "eth0", "eth1"]]
    more = [("clone", "tap-transmit", "curl", dev) for dev in ["eth0", "eth1"] * 3]
    a, b = made([*rows]), made([*rows, *more], sniffers=[tap()])
    number = {"lo": 1, "eth0": 2, "eth1": 3}
    for df in (a, b):
        df["ifindex"] = df["dev"].astype("str").map(number).astype("UInt32")
    assert who(a, b) == "something sniffs eth0 and eth1."
    b.attrs["skbnb"]["sniffers"].append(tap(ifindex=3, dev="eth1"))
    assert who(a, b) == "something sniffs eth0, and tcpdump 4711 sniffs eth1."


def test_clones_for_a_packet_socket_itself_may_be_of_one_protocol() -> None:
    rows = [("clone", "tap-socket", "curl", "lo")] * 3
    b = made([*rows], sniffers=[tap(protocol=0x0800, comm="networkd", pid=9)])
    assert first(made([]), b) == "+3 clones, all tap-socket: networkd 9 sniffs lo."


def test_sniffers_without_end_are_counted() -> None:
    crowd = [tap(inode=n, pid=n, comm="x") for n in range(200)]
    clause = who(traced(), after(*crowd, more_sniffers=1000))
    assert clause.startswith("x 0, x 1, ")
    assert clause.endswith(
        "x 9 and 190 more sniff lo, and 1,000 more packet sockets might."
    )


def test_recordings_that_do_not_tell_of_sniffers(tmp_path: Path) -> None:
    path = tmp_path / "old.skbt"
    Trace([frame for frame in frames(record()) if frame.kind is not Kind.TAPS]).save(
        path
    )
    old = skbnb.load(path)
    assert old.events.attrs["skbnb"]["sniffers"] is None
    assert compare(old, old).sentences == ["No change: 1 clone in both."]
    assert who(traced(sniffers=None), after(tap())) == "tcpdump 4711 sniffs lo."
    assert who(traced(), traced(taps=12, sniffers=None)) == "something sniffs lo."


# ------------------------------------------------------------------ as people see it


def test_text() -> None:
    assert repr(compare(traced(), after(tap()))) == (
        "+12 clones, all tap-transmit: tcpdump 4711 sniffs lo.\n"
        "a: 6 clones in 0.013 s; b: 18 clones in 0.013 s.\n"
        "By process: +12 curl.\n"
        "By device: +12 lo.\n"
        "\n"
        "REASON        A   B  CHANGE\n"
        "tap-transmit  0  12     +12\n"
        "tcp-transmit  6   6       0\n"
        "\n"
        "COMM  A   B  CHANGE\n"
        "curl  6  18     +12\n"
        "\n"
        "DEV  A   B  CHANGE\n"
        "lo   6  18     +12\n"
    )


def hostile() -> Comparison:
    names = (*HOSTILE, "WARNING: none")
    rows = [("clone", "tap-transmit", name, name) for name in names]
    sniffers = [tap(comm=name, dev=name, pid=pid) for pid, name in enumerate(names)]
    return compare(
        made([]), made([*rows], sniffers=sniffers, probe="<b>\x1b", truncated="<i>")
    )


def test_text_of_hostile_names() -> None:
    assert repr(hostile()).replace("\n", "").isprintable()
    assert all(sentence.isprintable() for sentence in hostile().sentences)
    assert max(map(len, repr(hostile()).splitlines())) <= 80


def test_html_of_hostile_names() -> None:
    page = Reader(hostile()._repr_mimebundle_()["text/html"])
    assert page.path == []
    assert {tag for tag, _ in page.tags} <= {
        *("div", "style", "p", "strong", "table", "caption", "thead", "tbody", "tfoot"),
        *("tr", "th", "td"),
    }
    assert {name for _, attrs in page.tags for name in attrs} <= {
        *("class", "scope", "colspan")
    }
    shown = [text for tag, text in page.texts if tag == "th"]
    assert set(HOSTILE[:-1]) <= set(shown)
    assert "".join(text for tag, text in page.texts if tag in ("p", "strong")) == (
        "".join(hostile().sentences)
    )


def test_html_is_a_table_for_everyone() -> None:
    page = Reader(compare(traced(), after(tap()))._repr_mimebundle_()["text/html"])
    texts = [text for tag, text in page.texts if tag in ("caption", "th", "td")]
    assert texts[:13] == [
        "Clones by reason",
        *("reason", "a", "b", "change"),
        *("tap-transmit", "0", "12", "+12"),
        *("tcp-transmit", "6", "6", "0"),
    ]


def test_tables_say_how_much_they_leave_out() -> None:
    a, b = example(30, 15, names=tuple("abcdefghijklmno")), example(0)
    shown = compare(a, b)
    assert "... 5 more, 5 of them changed: see .processes" in repr(shown)
    page = Reader(shown._repr_mimebundle_()["text/html"])
    assert ("td", "... 5 more, 5 of them changed: see .processes") in page.texts


def test_include_and_exclude() -> None:
    made_of = compare(traced(), traced(taps=1))
    assert list(made_of._repr_mimebundle_(include={"text/html"})) == ["text/html"]
    assert list(made_of._repr_mimebundle_(exclude={"text/html"})) == ["text/plain"]


def test_bars_go_both_ways() -> None:
    view = compare(traced(6, 2), traced(1, 14)).plot()
    assert isinstance(view, FigureView)
    assert repr(view) == "Change by reason: a: 8 clones · b: 15 clones"
    *bars, totals = view.figure.data
    held = {bar.name: bar.x[0] for bar in bars}
    assert held == {"tap-transmit": 12, "tcp-transmit": -5}
    assert totals.text == (" +12 ", " -5 ")
    low, high = view.figure.layout.xaxis.range
    assert low < -5
    assert high > 12
    drawn = view._repr_mimebundle_()["image/svg+xml"]
    ends = re.findall(r"M([\d.]+) [\d.]+H([\d.]+)V", drawn)
    (zero, right), (same, left) = (map(float, pair) for pair in ends[:2])
    assert left < zero == same < right
    assert (right - zero) / (zero - left) == pytest.approx(12 / 5, rel=0.02)
    for number, anchor in (("+12", "start"), ("-5", "end")):
        assert re.search(rf'text-anchor="{anchor}">{re.escape(number)}<', drawn)


@pytest.mark.parametrize(
    ("a", "b", "says"),
    [(example(0), example(0), True), (traced(), traced(), False)],
)
def test_a_chart_of_no_change(a: Any, b: Any, says: bool) -> None:
    view = compare(a, b).plot()
    assert ("no clones" in svg.draw(view._chart)) == says
    assert "nan" not in svg.draw(view._chart)
    assert bool(view.figure.layout.annotations) == says


def test_categories_of_any_width() -> None:
    # Codes of one, two and four bytes.
    for names in (100, 1000, 40_000):
        codes = np.arange(names)
        df = made([("clone", "tcp-transmit", "curl", "lo")] * names)
        df["comm"] = pd.Categorical.from_codes(codes, pd.Index(codes.astype("str")))
        table = compare(df.iloc[:-1], df).processes
        assert len(table) == names
        assert table["change"].tolist() == [1] + [0] * (names - 1)
        assert table["comm"][0] == str(names - 1)
