# SPDX-License-Identifier: Apache-2.0
"""A part of a trace is the same rows of the whole, value for value."""

from __future__ import annotations

import datetime
import math
import subprocess
import sys
import tracemalloc
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import skbnb
from skbnb import parts, records
from skbnb.errors import OptionError, StreamError
from skbnb.moments import Moment
from skbnb.traces import Selection, Trace
from skbnb.wire import Frame, Kind, control
from tests import large
from tests.records import STRIDE, frames, hello, record, tally
from tests.unit import test_packets, test_ways

ALL = Selection("all")


def assert_same(part: pd.DataFrame, whole: pd.DataFrame) -> None:
    """Equal values, dtypes and ``attrs``; the categories that there are may differ."""
    assert part.attrs == whole.attrs
    pd.testing.assert_frame_equal(
        part, whole.reset_index(drop=True), check_categorical=False
    )
    for name in whole.select_dtypes("category"):
        assert set(part[name].cat.categories) <= set(whole[name].cat.categories)
        assert part[name].cat.categories.dtype == "str"


def assert_whole(pieces: list[pd.DataFrame], whole: pd.DataFrame) -> None:
    """The pieces, one after the other, are the whole."""
    start = 0
    for piece in pieces:
        assert_same(piece, whole.iloc[start : start + len(piece)])
        start += len(piece)
    assert start == len(whole)


# Few values of each, so that they meet: ties in time, calls that overtake each other,
# an address that is used again, and numbers twice, as no kernel gives them.
TIMES = st.integers(1_000, 1_012)
NUMBERS = st.integers(1, 8) | st.integers((1 << 50) - 1, (1 << 50) + 2)
MADE = st.builds(
    record,
    ts=TIMES,
    count=NUMBERS,
    clone=st.integers(1, 3),
    kind=st.integers(1, 8),
    path=st.integers(0, 2),
    scope=st.integers(1, 3),
    pid=st.integers(1, 2),
    comm=st.sampled_from([b"curl", b"nc"]),
    len=st.integers(0, 99),
    present=st.integers(0, (1 << 18) - 1),
    sk=st.sampled_from([0xFFFF888000002000, 5]),
)
SELECTIONS = st.builds(
    Selection,
    st.sampled_from(["cell", "notebook", "all", None]),
    st.none() | st.integers(1, 2),
    st.none() | st.sampled_from(["curl", "nc", "x"]),
)
MOMENTS = (
    st.none()
    | st.integers(-2, 14).map(lambda ns: ns / 1e9)
    | st.floats(-1e-8, 2e-8)
    | st.integers(-2, 14).map(lambda ns: pd.Timestamp(1_700_000_000_000_001_000 + ns))
)


def traced(payloads: list[list[bytes]], selection: Selection, follow: bool) -> Trace:
    _, *rest = frames(*(b"".join(payload) for payload in payloads))
    said = hello(follow=follow)
    return Trace([control(Kind.HELLO, **said), *rest], selection=selection)


def inside(
    events: pd.DataFrame, start: Moment | None, stop: Moment | None
) -> pd.DataFrame:
    """The same by pandas."""
    rows = np.ones(len(events), np.bool_)
    for moment, compare in ((start, "ge"), (stop, "lt")):
        if moment is not None:
            column = "time" if isinstance(moment, pd.Timestamp) else "t"
            rows &= getattr(events[column], compare)(moment).to_numpy()
    return events[rows]


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of at most two records, unless one payload has more."""
    monkeypatch.setattr(records, "_BATCH", 2 * STRIDE)
    monkeypatch.setattr(parts, "_UNSETTLED", 3)


PAYLOADS = st.lists(st.lists(MADE, min_size=1, max_size=4), max_size=8)


@settings(max_examples=80, deadline=None)
@given(PAYLOADS, SELECTIONS, st.booleans(), MOMENTS, MOMENTS)
def test_a_part_is_the_same_rows(
    payloads: list[list[bytes]],
    selection: Selection,
    follow: bool,
    start: Moment | None,
    stop: Moment | None,
) -> None:
    whole = traced(payloads, selection, follow).events
    trace = traced(payloads, selection, follow)
    assert_same(trace.between(start, stop), inside(whole, start, stop))
    assert_same(trace.outline, whole.head(0))
    assert repr(trace) == repr(traced(payloads, selection, follow).replace(selection))
    assert f" {len(whole)} events" in repr(trace)


@settings(max_examples=50, deadline=None)
@given(PAYLOADS, SELECTIONS, st.booleans(), st.integers(1, 9))
def test_partitions_are_all_rows_so_many_at_a_time(
    payloads: list[list[bytes]], selection: Selection, follow: bool, rows: int
) -> None:
    whole = traced(payloads, selection, follow).events
    pieces = list(traced(payloads, selection, follow).partitions(rows))
    assert [len(piece) for piece in pieces[:-1]] == [rows] * (len(pieces) - 1)
    assert len(pieces) == max(math.ceil(len(whole) / rows), 1)
    assert_whole(pieces, whole)


def test_what_was_recorded_later_is_told_of_its_row() -> None:
    clone = {"clone": 0xF00, "path": 2}
    made = traced(
        [
            [record(count=1, ts=2_000, **clone)],
            [record(count=2, ts=3_000, **clone)],
            [record(count=3, ts=9_000, **clone)],
            # Long after: what is learnt of the first one, and the end of the third.
            [record(count=1, ts=9_500, kind=3, len=99)],
            [record(count=3, ts=9_900, kind=6, **clone)],
        ],
        ALL,
        follow=True,
    )
    first = made.between(stop=1.5e-6)
    assert first[["count", "len", "fate"]].values.tolist() == [[1, 99, "freed"]]
    (last,) = made.between(start=5e-6)[["count", "fate", "life"]].values.tolist()
    assert last == [3, "consumed", 9e-7]


def test_packets_are_found_by_the_rows_of_a_part() -> None:
    made = test_packets.trace(
        *(
            test_packets.behind(record(count=n, ts=2_000 + n), bytes([n]) * n, n)
            for n in range(1, 9)
        )
    )
    part = made.between(1.005e-6)
    assert [made.packets[n].data for n in part["packet"]] == [
        bytes([n]) * n for n in range(5, 9)
    ]
    assert_same(part, made.events[4:])


@pytest.mark.parametrize("via", ["trace", "perf"])
def test_a_first_programs_calls(via: str) -> None:
    made, whole = (test_ways.trace(via, *test_ways.CALLS) for _ in range(2))
    assert_same(made.between(1.2e-6, 1.9e-6), inside(whole.events, 1.2e-6, 1.9e-6))
    assert_whole(list(made.partitions(2)), whole.events)


def test_sums_have_no_time_but_are_written() -> None:
    made = test_ways.trace("count", tally(), tally(pid=7), calls=6)
    with pytest.raises(OptionError, match="has sums, and no times"):
        made.between(0, 1)
    assert [len(piece) for piece in made.partitions(1)] == [1, 1]
    assert made.outline.attrs == made.events.attrs


@pytest.mark.parametrize(
    "moment",
    [
        pd.Timestamp(1_700_000_000_000_001_005),
        pd.Timestamp(1_700_000_000_000_001_005, tz="UTC").tz_convert("Asia/Tokyo"),
        np.datetime64(1_700_000_000_000_001_005, "ns"),
        "2023-11-14 22:13:20.000001005",
        "2023-11-14T23:13:20.000001005+01:00",
        5e-9,
        np.float64(5e-9),
    ],
    ids=repr,
)
def test_the_same_moment_in_many_ways(moment: Moment) -> None:
    made = traced([[record(ts=1_000 + n, count=n) for n in range(10)]], ALL, False)
    assert made.between(moment)["count"].tolist() == [5, 6, 7, 8, 9]
    assert made.between(stop=moment)["count"].tolist() == [0, 1, 2, 3, 4]


def test_a_moment_of_the_standard_librarys() -> None:
    made = traced([[record(ts=2_000), record(ts=3_000, count=2)]], ALL, False)
    moment = datetime.datetime(2023, 11, 14, 22, 13, 20, 3, datetime.UTC)
    assert made.between(moment)["count"].tolist() == [2]
    assert made.between(0)["count"].tolist() == [1, 2]
    assert made.between(-math.inf, math.inf)["count"].tolist() == [1, 2]


@pytest.mark.parametrize(
    "moment", [math.nan, pd.NaT, "soon", [], object(), "9999-01-01"]
)
def test_what_is_no_moment(moment: Any) -> None:
    with pytest.raises(OptionError, match="is no point in time"):
        traced([[record()]], ALL, False).between(moment)


@pytest.mark.parametrize("rows", [0, -1])
def test_no_rows_at_a_time(rows: int) -> None:
    with pytest.raises(OptionError, match=f"rows is {rows}"):
        next(traced([[record()]], ALL, False).partitions(rows))


@pytest.mark.parametrize("name", ["kind", "path", "scope", "context"])
def test_a_record_from_the_future_is_refused_wherever_it_is(name: str) -> None:
    made = traced([[record()], [record(ts=9_000, count=2, **{name: 99})]], ALL, False)
    with pytest.raises(StreamError, match=f"unknown {name}"):
        made.between(stop=1.5e-6)


def test_events_without_a_beginning() -> None:
    with pytest.raises(StreamError, match="before a HELLO"):
        Trace([Frame(Kind.EVENTS, record())]).between(0)


def test_a_large_trace_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "_BATCH", 1 << 20)
    machine = large.Machine(follow=True, stacks=True)
    whole = large.trace(16_000, machine).events
    trace = large.trace(16_000, machine)
    assert_whole(list(trace.partitions(4_999)), whole)
    edges = [None, 0.5, 7.25, 31.0, whole["t"].iloc[-2], None]
    assert_whole([trace.between(a, b) for a, b in pairwise(edges)], whole)


def test_to_look_at_a_part_takes_little_memory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(records, "_BATCH", 1 << 20)
    path = tmp_path / "a.skbt"
    large.trace(200_000, large.Machine(follow=True)).save(path)
    tracemalloc.start()
    trace = skbnb.load(path)
    assert len(trace.replace(ALL).between(1.0, 2.0)) > 3_000
    for part in trace.replace(ALL).partitions(10_000):
        assert len(part) == 10_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # All records have 85 MB, and all columns 32.
    assert path.stat().st_size > 80_000_000
    assert peak < 25_000_000


PEAK = """\
import re, resource, sys
from pathlib import Path
import pandas, pyarrow.parquet, skbnb

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

skbnb.load(sys.argv[1]).replace(skbnb.traces.Selection("all")).between(0, 0.1)
Path("/proc/self/clear_refs").write_text("5")  # the peak from here on
before = peak()
trace = skbnb.load(sys.argv[2]).replace(skbnb.traces.Selection("all"))
trace.to_parquet(sys.argv[3], rows=20_000)
print(peak() - before)
"""


def test_a_process_that_writes_a_large_trace_stays_small(tmp_path: Path) -> None:
    machine = large.Machine(follow=True)
    small, big = tmp_path / "small.skbt", tmp_path / "big.skbt"
    large.trace(1_000, machine).save(small)
    large.trace(600_000, machine).save(big)
    done = subprocess.run(
        [sys.executable, "-c", PEAK, small, big, tmp_path / "parts"],
        check=True,
        capture_output=True,
        text=True,
    )
    size_kb = big.stat().st_size / 1024
    assert size_kb > 240_000
    # What is mapped counts, too. Of each part there are 20,000 rows.
    assert int(done.stdout) < size_kb / 2
