# SPDX-License-Identifier: Apache-2.0
"""Every phrase of the receipt, and the same truth on terminal and page."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any

import pandas as pd
import pytest

from skbnb import charts, views
from skbnb.reasons import describe
from skbnb.views import FigureView, TraceView
from tests.unit.frames import example

HOSTILE = ("<img src=x oner", "<b>bold</b>", "&lt;x", "a\"'b", "\x1b[31m\n\u202e")


# ------------------------------------------------------------------ the receipt


def lost(**causes: int) -> dict[str, Any]:
    """What a trace says of itself that lost so many calls by these causes."""
    by = {"full": 0, "limit": 0, "reader": 0, **causes}
    return {"lost": sum(causes.values()), "lost_by": by}


def test_the_receipt_of_a_trace_that_went_well() -> None:
    assert views.receipt(example(others={"notebook": 2, "other": 5})) == (
        "6 clones in 0.013 s by 2 processes · probe tracepoint, sees every clone · "
        "captured 6 of 6, 0 lost · outside the cell: 2 notebook, 5 other"
    )


@pytest.mark.parametrize(
    ("attrs", "phrase"),
    [
        ({"duration": 65.2}, "in 1 min 5 s by"),
        ({"duration": None}, "in unknown time by"),
        ({"coverage": ""}, "probe tracepoint, sees every clone"),
        (
            {"coverage": "fast clones of protocols other than TCP."},
            "probe tracepoint, misses: fast clones of protocols other than TCP ·",
        ),
        ({"probe": None}, "probe unknown, misses: unknown"),
        ({"source": "recording"}, "recorded on 6.18.44"),
        ({"source": "recording", "kernel": None}, "recorded on an unknown kernel"),
        ({"captured": 13, "calls": 1234}, "captured 13 of 1,234, 0 lost"),
        ({"calls": None}, "captured 6 of unknown"),
        (lost(full=1200), "WARNING: 1,200 lost: ring full"),
        (lost(reader=7), "WARNING: 7 lost: not read in time"),
        (
            lost(full=3, limit=1000, reader=7),
            "WARNING: 1,010 lost: 3 ring full, 1,000 limit of 1,000,000 events, 7 not "
            "read in time",
        ),
        (lost(limit=37), "captured 6 of 6, 37 lost: limit of 1,000,000 events ·"),
        ({**lost(limit=37), "max_events": None}, ", 37 lost: limit reached"),
        ({"emitted": 7}, "WARNING: 7 were sent and 6 came"),
        ({"unaccounted": -1}, "WARNING: -1 calls unaccounted for"),
        (
            {"clock_step": 3600.5},
            "WARNING: the clock went 1 h 0 min forward meanwhile, and `time` as before",
        ),
        ({"clock_step": -0.25}, "WARNING: the clock went 0.25 s back meanwhile"),
        ({"lost": None}, "WARNING: lost unknown"),
        ({"truncated": True, "ended": "lost agent"}, "TRUNCATED: lost agent"),
        ({"truncated": "the stream has no end"}, "TRUNCATED: the stream has no end"),
        (
            {"ended": "max_seconds", "max_seconds": 2.0},
            "stopped after 2 s by --max-seconds",
        ),
        ({"filters": "pid 42"}, "only pid 42"),
        ({"filters": "pid 42", "others": {"cell": 3}}, "left out: 3 cell"),
        (
            {"scope": "notebook", "others": {"other": 3}},
            "outside the notebook: 3 other",
        ),
        ({"sightings_lost": 12}, "12 clones without addresses: ring full"),
        ({"tasks_lost": 1}, "WARNING: scope unknown of 1 new task"),
        ({"missed": 3}, "WARNING: 3 missed: the probe was busy"),
        (
            {"skipped": 2, "probe": "tracepoint"},
            "at most 2 clones unseen: the probe was busy",
        ),
        (
            {"skipped": 2, "probe": "kprobe"},
            "at most 2 clones less known: the probe was busy",
        ),
        ({"copies_lost": 1, "stacks_missing": 2}, "WARNING: lost 1 copy, 2 stacks"),
        ({"copies_missed": 2}, "WARNING: lost 2 copies"),
        ({"ends_lost": 3}, "WARNING: lost 3 clone's ends"),
        ({"untracked": 4}, "WARNING: 4 packets not followed"),
    ],
)
def test_each_phrase_is_there_when_it_is_true_and_only_then(
    attrs: dict[str, Any], phrase: str
) -> None:
    assert phrase in views.receipt(example(**attrs)) + " ·"
    usual = views.receipt(example())
    assert (phrase in usual) == (attrs.items() <= example().attrs["skbnb"].items())


@pytest.mark.parametrize(
    ("df", "beginning"),
    [
        (example(0), "0 clones in 0.013 s by 0 processes ·"),
        (example(1, 1), "1 clone in 0.013 s by 1 process ·"),
        (
            example(2, 1, failed=1),
            "1 clone and 1 failed call in 0.013 s by 1 process ·",
        ),
        (example(6000, 1200), "6,000 clones in 0.013 s by 1,200 processes ·"),
        # A selection: fewer rows than were captured.
        (example().query("pid == 1000"), "3 clones in 0.013 s by 1 process ·"),
    ],
)
def test_the_receipt_counts_the_frames_rows(df: pd.DataFrame, beginning: str) -> None:
    assert views.receipt(df).startswith(beginning)


def test_what_is_unknown_is_never_zero() -> None:
    df = example()
    df.attrs.clear()
    assert views.receipt(df) == (
        "6 clones in unknown time by 2 processes · probe unknown, misses: unknown · "
        "captured unknown of unknown, WARNING: lost unknown"
    )


def test_failed_calls_that_are_shown_are_not_said_twice() -> None:
    df = example(6, 2, failed=2)
    assert "in all" not in views.receipt(df)
    df.attrs["skbnb"]["failed"] = 5
    assert "5 failed calls in all" in views.receipt(df)


def test_the_receipt_is_one_line_whatever_a_recording_says() -> None:
    df = example(
        coverage="\x1b[2J\n<script>",
        kernel="6\r\n",
        source="recording",
        filters="\u202e",
    )
    line = views.receipt(df)
    assert line.isprintable()
    assert "<script>" not in views.html(df)


# ------------------------------------------------------------------ text


def test_text_has_the_handbooks_columns() -> None:
    lines = views.text(example(3, 2, failed=1)).splitlines()
    assert [line.split() for line in lines[:4]] == [
        ["TIME(s)", "COMM", "PID", "COUNT"],
        ["0.000000", "curl", "1000", "1"],
        ["0.006500", "python3", "1001", "2"],
        ["0.013000", "curl", "1000", "3", "failed"],
    ]
    starts = [lines[0].index(word) for word in ("COMM", "PID", "COUNT")]
    assert [lines[1].index(word) for word in ("curl", "1000")] == starts[:2]


def test_text_says_how_much_it_leaves_out() -> None:
    lines = views.text(example(1274, 45)).splitlines()
    assert len([line for line in lines if re.match(r"\d\.\d{6} ", line)]) == 40
    assert "... 1,234 more" in lines
    assert "... 15 more, with 420 clones: see df.skb.processes" in lines
    assert max(map(len, lines[:-1])) <= 80  # the receipt is one line


def test_text_ends_with_the_receipt() -> None:
    df = example()
    assert " ".join(views.text(df).split("\n\n")[-1].split()) == views.receipt(df)


def test_text_of_no_events_is_the_receipt() -> None:
    assert " ".join(views.text(example(0)).split()) == views.receipt(example(0))


def test_nothing_in_text_reaches_the_terminals_controls() -> None:
    made = views.text(example(50, 5, names=HOSTILE))
    assert made.replace("\n", "").isprintable()
    assert "\\x1b[31m\\n\\u202e" in made
    assert len(made.splitlines()) == len(views.text(example(50, 5)).splitlines())


# ------------------------------------------------------------------ HTML


class Reader(HTMLParser):
    """What an element holds, and which elements and attributes there are."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.path: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.path.append(tag)
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.path.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append((self.path[-1], data))


def test_html_is_a_table_for_everyone() -> None:
    df = example()
    page = Reader(views.html(df))
    assert page.path == []
    assert ("caption", "Clones by process") in page.texts
    assert [attrs["scope"] for tag, attrs in page.tags if tag == "th"] == [
        *["col"] * 7,
        *["row"] * 2,
        *["col"] * 3,
        *["row"] * df["reason"].nunique(),
    ]
    assert ("p", views.receipt(df)) in page.texts
    assert [text for tag, text in page.texts if tag == "td"] == [
        *("1000", "3", "0", "3", "0", "3 kB"),
        *("1001", "3", "0", "0", "3", "3 kB"),
        *("3", describe("tcp-transmit")),
        *("3", describe("raw-socket")),
    ]


def test_html_holds_no_script_and_fetches_nothing() -> None:
    page = Reader(views.html(example(200, 45, names=HOSTILE, lost=3)))
    assert {tag for tag, _ in page.tags} <= {
        *("div", "style", "p", "strong", "table", "caption", "thead", "tbody", "tfoot"),
        *("tr", "th", "td"),
    }
    assert {name for _, attrs in page.tags for name in attrs} <= {
        *("class", "style", "scope", "colspan")
    }
    assert "url(" not in views.html(example())


def test_html_shows_names_as_they_stand() -> None:
    page = Reader(views.html(example(5, 5, names=HOSTILE)))
    names = [text for tag, text in page.texts if tag == "th"][7:]
    assert names[: len(HOSTILE)] == [*HOSTILE[:-1], "\\x1b[31m\\n\\u202e"]


def test_html_bars_are_as_long_as_the_counts() -> None:
    df = example(8, 2).query("pid == 1000 or t < 0.003")  # 4 and 1
    assert re.findall(r"background-size: (\d+)px", views.html(df)) == ["160", "40"]


def test_html_says_how_many_processes_it_leaves_out() -> None:
    df = example(100, 45)
    page = Reader(views.html(df))
    rows = [tag for tag, attrs in page.tags if attrs.get("scope") == "row"]
    assert len(rows) == 30 + df["reason"].nunique()
    assert ("td", "... 15 more, with 30 clones: see df.skb.processes") in page.texts


def test_html_marks_warnings() -> None:
    page = Reader(views.html(example(**lost(full=1200), truncated="gone <away>")))
    assert [text for tag, text in page.texts if tag == "strong"] == [
        "WARNING: 1,200 lost: ring full",
        "TRUNCATED: gone <away>",
    ]


def test_html_of_no_events_has_no_table() -> None:
    page = Reader(views.html(example(0)))
    assert "table" not in {tag for tag, _ in page.tags}
    assert page.texts[-1] == ("p", views.receipt(example(0)))


# ------------------------------------------------------------------ bundles

SMALL = example()[["t", "comm", "pid", "kind"]]


@pytest.mark.parametrize("df", [example(), example(0), SMALL, example().head(1)])
def test_a_trace_is_one_bundle(df: pd.DataFrame) -> None:
    assert TraceView(df)._repr_mimebundle_() == {
        "text/plain": views.text(df),
        "text/html": views.html(df),
    }
    assert repr(TraceView(df)) == views.text(df)


def test_a_trace_of_every_column_alone_is_shown_without_it() -> None:
    needed = {"t", "comm", "pid", "kind"}
    for name in set(example()) - needed:
        TraceView(example().drop(columns=name))._repr_mimebundle_()


@pytest.mark.parametrize("chart", [charts.processes, charts.timeline])
def test_a_figure_is_one_bundle(chart: Any) -> None:
    bundle = FigureView(chart(example()))._repr_mimebundle_()
    assert list(bundle) == [
        *("application/vnd.plotly.v1+json", "image/svg+xml", "text/plain")
    ]
    figure = bundle["application/vnd.plotly.v1+json"]
    assert figure["config"] == {
        "showSendToCloud": False,
        "displaylogo": False,
        "modeBarButtonsToRemove": ["select2d", "lasso2d"],
    }
    assert {trace["name"] for trace in figure["data"][:2]} == {
        *("tcp-transmit", "raw-socket")
    }
    assert json.loads(json.dumps(bundle)) == bundle
    assert bundle["image/svg+xml"].startswith("<svg ")
    assert bundle["text/plain"].endswith(": 6 clones of 2 processes · 0 lost")
    assert "\n" not in bundle["text/plain"]


def test_what_is_done_to_the_figure_shows() -> None:
    view = FigureView(charts.timeline(example()))
    view.figure.update_layout(height=777)
    view.figure.add_scatter(x=pd.Series([1.0, 2.0]), y=[0, 1])
    figure = view._repr_mimebundle_()["application/vnd.plotly.v1+json"]
    assert figure["layout"]["height"] == 777
    assert len(figure["data"]) == 3


@pytest.mark.parametrize("view", [TraceView(SMALL), FigureView(charts.timeline(SMALL))])
def test_include_and_exclude(view: TraceView | FigureView) -> None:
    everything = view._repr_mimebundle_()
    assert list(view._repr_mimebundle_(include={"text/plain"})) == ["text/plain"]
    assert view._repr_mimebundle_(exclude={"text/plain"}).keys() == (
        everything.keys() - {"text/plain"}
    )
    assert view._repr_mimebundle_(include=[], exclude=None) == everything
