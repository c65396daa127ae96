# SPDX-License-Identifier: Apache-2.0
"""The panel without a browser: what it shows is what its filter chooses."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ipywidgets import Widget
from ipywidgets.widgets import widget as widgets

from skbnb.filters import UNKNOWN, Filter
from skbnb.panel import Live, Panel
from skbnb.progress import Progress
from skbnb.traces import Selection
from tests.unit.frames import example, with_stacks
from tests.unit.test_figures import HOSTILE
from tests.unit.test_progress import BEGIN, records


class Traced:
    """As much of a trace as a panel asks for."""

    def __init__(self, df: pd.DataFrame) -> None:
        self.events = df
        self.selection = Selection("all")

    def select(self, scope: str) -> pd.DataFrame:
        assert scope == "all"
        return self.events


@pytest.fixture
def open_widgets() -> Iterator[set[str]]:
    before = set(widgets._instances)
    yield before
    for name in set(widgets._instances) - before:
        widgets._instances[name].close()


def panel_of(df: pd.DataFrame, **options: Any) -> Panel:
    return Panel(Traced(df), **options)  # type: ignore[arg-type]


def example_with_devices(rows: int = 500) -> pd.DataFrame:
    df = with_stacks(example(rows, 7, names=HOSTILE, seconds=2.0))
    df["dev"] = pd.Categorical(np.array(["lo", "eth0", None])[np.arange(rows) % 3])
    df.loc[df.index % 4 == 0, "comm"] = df["comm"].iloc[0]
    return df


def titles(panel: Panel) -> list[str]:
    return list(panel._tab.titles)


def look_at(panel: Panel, title: str) -> Any:
    number = titles(panel).index(title)
    panel._tab.selected_index = number
    return panel._pages[number]


def html_of(widget: Widget) -> Iterator[str]:
    """All HTML that is in a widget."""
    pending = [widget]
    while pending:
        one = pending.pop()
        pending += getattr(one, "children", ())
        if type(one).__name__ == "HTML":
            yield one.value


def test_the_pages(open_widgets: set[str]) -> None:
    panel = panel_of(example_with_devices())
    assert titles(panel) == ["Processes", "Timeline", "Why", "Packets", "Events"]
    for title in titles(panel):
        look_at(panel, title)
    for output in (w for w in widgets._instances.values() if hasattr(w, "outputs")):
        assert len(json.dumps(output.outputs)) < 500_000


@pytest.mark.parametrize(
    "wanted",
    [
        Filter(),
        Filter(scope="cell"),
        Filter(pid=1003),
        Filter(reason="raw-socket", dev="eth0"),
        Filter(dev=UNKNOWN),
        Filter(since=0.5, until=1.0),
        Filter(text="<b>bold"),
        Filter(pid=1001, reason="tap-transmit", text="lo"),
    ],
)
def test_what_is_chosen_is_what_the_expression_gives(
    wanted: Filter, open_widgets: set[str]
) -> None:
    trace = Traced(example_with_devices())
    panel = Panel(trace)  # type: ignore[arg-type]
    panel.filter = wanted
    by_expression = eval(panel.expression, {"trace": trace})
    pd.testing.assert_frame_equal(panel.events, by_expression)
    assert f"<b>{len(by_expression):,}</b> of 500 events" in panel._said.value
    pager = look_at(panel, "Events")
    assert pager._table.value.count("<tr>") == 1 + min(len(by_expression), 100)


def test_the_controls_and_the_filter_are_the_same(open_widgets: set[str]) -> None:
    panel = panel_of(example_with_devices())
    panel._controls._pid.value = 1002
    panel._controls._text.value = " lo "
    assert panel.filter == Filter(pid=1002, text="lo")
    panel.filter = Filter(scope="cell", reason="raw-socket")
    assert panel._controls._pid.label == "all"
    assert panel._controls._scope.value == "cell"
    # Its ends are all that is on that side, however they were rounded.
    panel._controls._time.value = (0.0, panel._controls._time.max)
    assert panel.filter.since is panel.filter.until is None


def test_a_process_beyond_the_list_can_be_chosen(open_widgets: set[str]) -> None:
    panel = panel_of(example(2000, 1000))
    assert len(panel._controls._pid.options) == 301
    panel._clicks.chosen = {"form": "bars", "key": 1999}
    assert panel.filter.pid == 1999
    assert len(panel.events) == 2
    # Once more takes it back.
    panel._clicks.chosen = {"form": "bars", "key": 1999, "number": 2}
    assert panel.filter.pid is None


def test_a_range_and_its_end(open_widgets: set[str]) -> None:
    panel = panel_of(example_with_devices())
    panel._clicks.chosen = {"form": "dots", "since": 0.5, "until": 0.75}
    assert panel.events["t"].between(0.5, 0.75).all()
    assert 60 < len(panel.events) < 65
    panel._clicks.chosen = {"form": "dots", "since": None, "until": None}
    assert len(panel.events) == 500


@pytest.mark.parametrize(
    "said", [{}, {"key": None}, {"key": -1}, {"key": "x"}, {"since": "x", "until": []}]
)
def test_what_a_page_says_is_not_trusted(
    said: dict[str, Any], open_widgets: set[str]
) -> None:
    panel = panel_of(example_with_devices())
    panel._clicks.chosen = {"form": "bars", **said}
    assert panel.filter == Filter()


def test_a_reason_has_its_colour_on_every_page(open_widgets: set[str]) -> None:
    panel = panel_of(example_with_devices())
    for title in ("Processes", "Timeline"):
        look_at(panel, title)
        (output,) = panel._pages[titles(panel).index(title)].widget.children
        (shown,) = output.outputs
        data = shown["data"]["application/vnd.plotly.v1+json"]["data"]
        names = {trace["name"] for trace in data if trace.get("name")}
        assert names == {"tcp-transmit", "raw-socket", "tap-transmit"}


def test_only_the_page_that_is_looked_at_is_drawn(open_widgets: set[str]) -> None:
    panel = panel_of(example_with_devices())
    timeline = panel._pages[1].widget.children[0]
    assert timeline.outputs == ()
    look_at(panel, "Timeline")
    first = timeline.outputs
    assert first
    panel.filter = Filter(pid=1001)
    assert timeline.outputs != first


def test_sorted_by_any_column_with_the_absent_last(open_widgets: set[str]) -> None:
    df = example_with_devices()
    pager = look_at(panel_of(df), "Events")
    for name in df.columns:
        pager._sort.value = name
        values = df[name].astype("str") if df[name].dtype == "category" else df[name]
        for down in (False, True):
            pager._down.value = down
            rows = values.sort_values(ascending=not down, kind="stable").index.tolist()
            assert pager._order.rows(0, len(df)).tolist() == rows
            # A page at a time it is the same.
            pages = [pager._order.rows(at, at + 7) for at in range(0, len(df), 7)]
            assert np.concatenate(pages).tolist() == rows


def test_pages_are_turned(open_widgets: set[str]) -> None:
    pager = look_at(panel_of(example_with_devices()), "Events")
    assert pager._where.value == "1 to 100 of 500 events, page 1 of 5"
    pager._turn(1)
    assert pager._where.value == "101 to 200 of 500 events, page 2 of 5"
    pager._turn(np.inf)
    pager._turn(1)
    assert pager._where.value == "401 to 500 of 500 events, page 5 of 5"
    pager._turn(-np.inf)
    assert pager._where.value.startswith("1 to 100")


def test_names_never_become_markup(open_widgets: set[str]) -> None:
    panel = panel_of(example_with_devices())
    panel.filter = Filter(text="<img src=x oner")
    look_at(panel, "Events")
    page = "".join(html_of(panel.widget))
    assert "&lt;img src=x oner" in page
    tags = set(re.findall(r"<([a-z]+)", page))
    assert tags <= {
        *("p", "b", "code", "div", "style", "table", "thead", "tbody", "tr", "th"),
        *("td", "strong"),
    }


def test_families_of_what_is_chosen(open_widgets: set[str]) -> None:
    df = example_with_devices()
    df["origin"] = df["count"].astype("UInt64").where(df["count"] % 4 == 0)
    page = look_at(panel_of(df), "Packets")
    assert len(page._choice.options) == 125
    assert page._output.outputs
    page = look_at(panel_of(example_with_devices()), "Packets")
    assert "no clone here" in page._note.value.lower()
    assert page._output.outputs == ()


def test_an_empty_trace_and_an_empty_choice(open_widgets: set[str]) -> None:
    for panel in (panel_of(example(0)), panel_of(example_with_devices())):
        panel.filter = Filter(text="nowhere to be found")
        for title in titles(panel):
            look_at(panel, title)
        assert len(panel.events) == 0
        assert look_at(panel, "Events")._where.value == "no events"


def test_an_event_from_before_the_beginning(open_widgets: set[str]) -> None:
    # Between the moment when the probes are attached and that from which time counts.
    df = example_with_devices(1).assign(t=-1e-4)
    panel = panel_of(df)
    assert panel.filter == Filter()
    assert len(panel.events) == 1
    for title in titles(panel):
        look_at(panel, title)


def test_rows_are_kept(open_widgets: set[str]) -> None:
    kept: list[pd.DataFrame] = []

    def keep(events: pd.DataFrame) -> str:
        kept.append(events)
        return "chosen"

    panel = panel_of(example_with_devices(), keep=keep)
    panel.filter = Filter(pid=1001)
    panel._button.click()
    (events,) = kept
    assert set(events["pid"]) == {1001}
    assert panel._button.description == "Kept as chosen"


def test_closed_it_leaves_no_widget(open_widgets: set[str]) -> None:
    panel = panel_of(example_with_devices())
    for title in titles(panel):
        look_at(panel, title)
    panel.close()
    assert set(widgets._instances) == open_widgets


def test_without_widgets_it_is_what_the_trace_is(open_widgets: set[str]) -> None:
    bundle = panel_of(example_with_devices())._repr_mimebundle_()
    assert set(bundle) == {
        *("text/plain", "text/html", "application/vnd.jupyter.widget-view+json")
    }
    assert bundle["text/plain"].startswith("TIME(s)")


def test_live_follows_and_makes_room_for_the_panel(open_widgets: set[str]) -> None:
    frames = [*BEGIN, records(1000)]
    live = Live(Progress(Selection("all")), lambda: frames)
    assert "900 clones" in live._line.value
    assert all(output.outputs for output in live._outputs)
    panel = panel_of(example_with_devices())
    live.end(panel)
    assert live.widget.children == (panel.widget,)
    assert "text/html" in live._repr_mimebundle_()
    live.close()
    assert set(widgets._instances) == open_widgets
