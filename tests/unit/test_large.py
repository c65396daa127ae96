# SPDX-License-Identifier: Apache-2.0
"""What is sent to a page stays small, however much was traced."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import ipywidgets
import pytest
from ipywidgets.widgets import widget as widgets

from skbnb import grouping
from skbnb.filters import Filter
from skbnb.panel import Panel
from skbnb.traces import Trace
from skbnb.views import FigureView
from tests import large

# All that escapes to more than itself, and as long as a name can be.
HOSTILE = '\x1b&<>$%"\u202e' * 2
MACHINE = large.Machine(
    processes=2_000, reasons=63, devices=300, name=HOSTILE, follow=True, stacks=True
)
CALLS = 30_000

FIGURE = 300_000
MESSAGE = 1_000_000


@pytest.fixture(scope="module")
def trace() -> Trace:
    return large.trace(CALLS, MACHINE)


@pytest.fixture
def panel(trace: Trace) -> Iterator[Panel]:
    before = set(widgets._instances)
    panel = trace.panel()
    yield panel
    panel.close()
    assert set(widgets._instances) == before


def states(widget: ipywidgets.Widget) -> Iterator[tuple[str, int]]:
    """Each widget of a page, and the bytes of what the page is told of it."""
    pending = [widget]
    while pending:
        one = pending.pop()
        pending += getattr(one, "children", ())
        yield type(one).__name__, len(json.dumps(one.get_state(), default=str))


def test_a_large_trace_has_many_of_everything(trace: Trace) -> None:
    df = trace.events
    assert len(df) == CALLS
    wanted = {"pid": 1_000, "comm": 90, "reason": 60, "dev": 250, "saddr": 1_000}
    for name, least in {
        **wanted,
        "stack": 200,
        "sport": 3_000,
        "drop_reason": 10,
    }.items():
        assert df[name].nunique() > least, name
    assert df["life"].notna().any()
    assert (df["kind"] == "failed").any()
    assert df["detail"].isna().any()
    assert df["t"].is_monotonic_increasing


FIGURES = ("processes", "reasons", "timeline", "flow", "stacks", "family")


@pytest.mark.parametrize("name", FIGURES)
# The last one is as many rows as are still drawn one by one.
@pytest.mark.parametrize("rows", [CALLS, 2_001, 2_000])
def test_a_figure_is_small(trace: Trace, name: str, rows: int) -> None:
    view = getattr(trace.events.tail(rows).skb.plot, name)()
    assert isinstance(view, FigureView)
    for kind, sent in view._repr_mimebundle_().items():
        assert len(json.dumps(sent)) < FIGURE, kind


def test_a_large_family_is_small(trace: Trace) -> None:
    df = trace.events.head(5_000)
    df = df.assign(origin=df["count"].iloc[0], parent=df["parent"].iloc[0])
    view: FigureView = df.skb.plot.family()  # type: ignore[attr-defined]
    for kind, sent in view._repr_mimebundle_().items():
        assert len(json.dumps(sent)) < FIGURE, kind


def test_what_is_shown_of_a_trace_is_small(trace: Trace) -> None:
    for kind, sent in trace._repr_mimebundle_().items():
        assert len(json.dumps(sent)) < MESSAGE, kind


FILTERS = [Filter(), Filter(scope="cell"), Filter(pid=1000), Filter(since=59.0)]


@pytest.mark.parametrize("wanted", FILTERS)
def test_no_widget_of_the_panel_has_much_to_say(panel: Panel, wanted: Filter) -> None:
    panel.filter = wanted
    for page in range(len(panel._tab.titles)):
        panel._tab.selected_index = page
        panel._pages[-1]._all.value = True  # type: ignore[attr-defined]
        for name, size in states(panel.widget):
            assert size < (FIGURE if name == "Output" else MESSAGE), (page, name)


def points(figure: dict[str, Any]) -> int:
    """Marks that each stand for one event."""
    return sum(
        len(trace["x"])
        for trace in figure["data"]
        if trace["type"] in ("scatter", "scattergl") and "markers" in trace["mode"]
    )


@pytest.mark.parametrize("rows", [500, 2_000, 20_001, CALLS])
def test_points_are_drawn_one_by_one_only_if_they_are_few(
    trace: Trace, rows: int
) -> None:
    view = trace.events.head(rows).skb.plot.timeline()  # type: ignore[attr-defined]
    drawn = points(view._plotly())
    assert drawn == (rows if rows <= 2_000 else 0)
    assert drawn <= 20_000


def peak_of(step: Callable[[], object]) -> int:
    """The most memory that was taken on the way, in bytes."""
    tracemalloc.start()
    try:
        step()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


# All columns together are 160 bytes a row, and the frame is there already.
ROWS = 400_000
PER_ROW = 64


@pytest.fixture(scope="module")
def longer() -> Trace:
    return large.trace(ROWS, large.Machine(follow=True, stacks=True))


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is made for a piece does not count, as there are more rows than this."""
    monkeypatch.setattr(grouping, "_PIECE", 1 << 12)


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("name", [name for name in FIGURES if name != "family"])
def test_a_figure_of_all_columns_touches_few(longer: Trace, name: str) -> None:
    df = longer.events
    draw = getattr(df.skb.plot, name)
    draw()  # what is kept between calls is there from now on
    assert peak_of(draw) < PER_ROW * len(df)


@pytest.mark.usefixtures("small_pieces")
def test_a_click_copies_no_more_than_it_needs(longer: Trace) -> None:
    panel = longer.panel()
    for page, title in enumerate(panel._tab.titles):
        panel._tab.selected_index = page
        for wanted in (Filter(since=5.0), Filter(scope="notebook"), Filter()):
            peak = peak_of(partial(setattr, panel, "filter", wanted))
            assert peak < PER_ROW * ROWS, (title, wanted)
    panel.close()


@pytest.mark.usefixtures("small_pieces")
def test_to_open_a_panel_copies_no_row(longer: Trace) -> None:
    panels: list[Panel] = []
    longer.panel().close()  # what is kept between calls is there from now on
    assert peak_of(lambda: panels.append(longer.panel())) < PER_ROW * ROWS
    panels[0].close()


def test_a_page_of_a_sorted_table_needs_no_order_of_all(longer: Trace) -> None:
    panel = longer.panel()
    panel._tab.selected_index = len(panel._pages) - 1
    pager: Any = panel._pages[-1]
    for name in longer.events.columns:
        peak = peak_of(partial(setattr, pager._sort, "value", name))
        # A key for each row, a copy to select from, and which are absent.
        assert peak < 32 * ROWS, name
    panel.close()
