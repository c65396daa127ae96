# SPDX-License-Identifier: Apache-2.0
"""Traces of a handbook's programs, and sums: what they fill, and what they cannot."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import skbnb
from skbnb.accessor import Plots
from skbnb.cli.lines import Lines
from skbnb.comparison import compare
from skbnb.config import Config
from skbnb.errors import OptionError, StreamError
from skbnb.progress import Progress
from skbnb.schema import HANDBOOK, TALLY
from skbnb.traces import Selection, Trace
from skbnb.views import TraceView, html, receipt
from skbnb.wire import HANDBOOK as HANDBOOK_WIRE
from skbnb.wire import TALLY as TALLY_WIRE
from skbnb.wire import Frame, Kind, control
from tests import records

# Two threads, three calls, of which two have the same number.
CALLS = (
    records.call(),
    records.call(ts=3_000, count=2),
    records.call(ts=2_500, count=2, pid=44, comm=b"<b>\n"),
)


def trace(via: str, *payloads: bytes, **counts: Any) -> Trace:
    hello = records.hello(
        via=via, stride=len(payloads[0]) if payloads else 40, offset=0
    )
    kind = Kind.TALLIES if via == "count" else Kind.EVENTS
    stats = records.stats(**{"calls": len(payloads), **counts})
    frames = [
        control(Kind.HELLO, **hello),
        control(Kind.READY, ts=1_000, base=0),
        *(Frame(kind, payload) for payload in payloads),
        control(Kind.STATS, **stats),
        control(Kind.END, why="stop"),
    ]
    return Trace(frames)


def test_both_sides_have_the_same_structs() -> None:
    assert HANDBOOK.itemsize == HANDBOOK_WIRE.size
    assert TALLY.itemsize == TALLY_WIRE.size
    assert TALLY_WIRE.unpack(records.tally())[:2] == (42, 3)


@pytest.mark.parametrize("via", ["trace", "perf"])
def test_what_a_handbooks_program_fills(via: str) -> None:
    events = trace(via, *CALLS).events
    assert list(events.columns) == ["time", "t", "count", "comm", "pid", "kind"]
    assert events["pid"].tolist() == [43, 44, 43]
    assert events["count"].tolist() == [1, 2, 2]
    assert events["comm"].tolist() == ["curl", "<b>\\n", "curl"]
    full = Trace(records.frames(records.record())).events
    for name in events:
        if name != "comm":
            assert events[name].dtype == full[name].dtype


@pytest.mark.parametrize("via", ["trace", "perf"])
def test_what_it_says_of_itself(via: str) -> None:
    said = receipt(
        trace(via, *CALLS, calls=5, lost_full=2, counted=4, foreign=4).events
    )
    assert "3 clones in 1 s by 2 threads" in said
    assert f"via {via}: the whole machine, pid is the thread's" in said
    assert "4 lines of others left out" in said
    assert "WARNING: it counted 4 of 5 calls" in said
    assert "captured 3 of 5, WARNING: 2 lost: " in said
    assert "outside" not in said


def test_what_nobody_asked_is_unknown() -> None:
    about = trace("perf", *CALLS).events.attrs["skbnb"]
    unknown = {
        *("failed", "sightings_lost", "copies", "copies_lost", "ends_lost"),
        *("untracked", "stacks_missing", "sent", "sniffers"),
    }
    assert {name for name in unknown if about[name] is None} == unknown
    shown = repr(TraceView(trace("perf", *CALLS).events))
    assert "FAILED" not in shown


def test_sums() -> None:
    made = trace(
        "count",
        records.tally() + records.tally(pid=50, scope=1, calls=7, comm=b"$x$ <i>"),
        records.tally(pid=51, scope=2, calls=4),
        calls=15,
        lost_full=1,
    )
    assert made.events.to_dict("list") == {
        "comm": ["curl"],
        "pid": [42],
        "scope": ["cell"],
        "clones": [3],
    }
    assert made.select("all")["clones"].tolist() == [7, 4, 3]
    assert made.select(pid=50)["comm"].tolist() == ["$x$ <i>"]
    said = receipt(made.events)
    assert "3 clones in 1 s by 1 process" in said
    assert "captured 14 of 15, WARNING: 1 lost: no room for its process" in said
    assert "outside the cell: 4 notebook, 7 other" in said
    assert "&lt;i&gt;" in html(made.select("all"))
    assert "curl" in repr(TraceView(made.events))


@pytest.mark.parametrize("via", ["trace", "perf", "count"])
def test_nothing_came(via: str) -> None:
    made = trace(via)
    assert made.events.empty
    assert "0 clones" in receipt(made.events)
    assert html(made.events)
    with pytest.raises(OptionError, match="too little for the panel"):
        made.panel()


@pytest.mark.parametrize("via", ["trace", "perf"])
def test_scope_is_unknown(via: str) -> None:
    made = trace(via, *CALLS)
    assert len(made.select("all")) == 3
    assert made.select(pid=44)["count"].tolist() == [2]
    for scope in ("cell", "notebook"):
        with pytest.raises(OptionError, match="whose the clones are is unknown"):
            made.select(scope)
        with pytest.raises(OptionError, match="whose the clones are is unknown"):
            skbnb.trace(via=via, scope=scope)


OPTIONS = (
    *(("buffer", "perf"), ("stacks", True), ("also", "copy"), ("follow", True)),
    *(("snaplen", 64), ("max_events", 10)),
)


@pytest.mark.parametrize("via", ["trace", "perf", "count"])
@pytest.mark.parametrize(("name", "value"), OPTIONS)
def test_options_of_records(via: str, name: str, value: object) -> None:
    with pytest.raises(OptionError, match=f"{name} is for records"):
        Config(cell_tid=1, notebook_pid=1, via=via, **{name: value})  # type: ignore[arg-type]


def test_bad_sums() -> None:
    with pytest.raises(StreamError, match="no whole number of sums"):
        _ = trace("count", records.tally()[:-1]).events
    with pytest.raises(StreamError, match="unknown scope"):
        _ = trace("count", records.tally(scope=9)).events


@pytest.mark.parametrize("via", ["trace", "perf"])
def test_tables_and_figures(via: str, tmp_path: Path) -> None:
    events = trace(via, *CALLS).events
    assert events.skb.processes["clones"].tolist() == [2, 1]
    assert events.skb.timeline["clones"].sum() == 3
    plots = Plots(events)
    for view in (plots.processes(), plots.timeline()):
        assert view.figure.data
        assert "<svg" in view._repr_mimebundle_()["image/svg+xml"]
    events.skb.to_html(tmp_path / "page.html")
    events.skb.to_csv(tmp_path / "rows.csv")
    events.skb.to_perfetto(tmp_path / "tracks.json")
    slices = json.loads((tmp_path / "tracks.json").read_text())["traceEvents"]
    assert [one["tid"] for one in slices if one["ph"] == "X"] == [43, 44, 43]
    again = pd.read_csv(tmp_path / "rows.csv")
    assert again["count"].tolist() == [1, 2, 2]


LACKING: dict[str, Callable[[pd.DataFrame], object]] = {
    "reasons": lambda rows: rows.skb.reasons,
    "cost": lambda rows: rows.skb.cost,
    "family": lambda rows: rows.skb.family,
    "stacks": lambda rows: rows.skb.stacks,
    "breakdown": lambda rows: rows.skb.breakdown(["reason"]),
    "compare": lambda rows: compare(rows, rows),
    "plot.reasons": lambda rows: Plots(rows).reasons(),
    "plot.flow": lambda rows: Plots(rows).flow(),
    "plot.family": lambda rows: Plots(rows).family(),
}


@pytest.mark.parametrize("name", LACKING)
def test_what_needs_more_columns(name: str) -> None:
    with pytest.raises(OptionError, match=r"no column|no stacks"):
        LACKING[name](trace("perf", *CALLS).events)


@pytest.mark.parametrize("via", ["trace", "perf"])
def test_while_it_runs(via: str) -> None:
    _, *rest = trace(via, b"".join(CALLS), calls=3).frames
    hello = control(Kind.HELLO, **records.hello(via=via, stride=40, offset=0))
    frames = (hello, *rest)
    progress = Progress(Selection("all"))
    lost = {"lost_full": None, "lost_limit": 0, "lost_reader": 0}
    progress.take([*frames, control(Kind.PROGRESS, calls=3, **lost)])
    assert progress.clones == 3
    assert "lost unknown" in progress.line()
    lines = Lines(Selection("all")).take(frames)
    assert [line.split()[-1] for line in lines[1:]] == ["1", "2", "2"]
