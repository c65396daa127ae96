# SPDX-License-Identifier: Apache-2.0
"""Figures hold the frame's counts, stay small and take no name for markup."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any
from xml.etree import ElementTree

import pandas as pd
import plotly.graph_objects as go
import pytest

from skbnb import charts, figures, svg
from tests.unit.frames import example

Draw = Callable[[pd.DataFrame], go.Figure]
Make = Callable[[pd.DataFrame], charts.Chart]

both = pytest.mark.parametrize("draw", [figures.processes, figures.timeline])
each = pytest.mark.parametrize("make", [charts.processes, charts.timeline])

# Frames on both sides of every limit.
FRAMES = {
    "empty": example(0),
    "one": example(1, 1),
    "few": example(6, 2),
    "failed only": example(5, 2, failed=5),
    "most dots": example(2000, 45, failed=20),
    "fewest columns": example(2001, 45, failed=20),
    "failed columns": example(2001, 2, failed=2001),
    "many": example(200_000, 5000, seconds=100.0),
}
frames = pytest.mark.parametrize("name", FRAMES)

HOSTILE = (
    "<img src=x oner",
    "<b>bold</b>",
    "&lt;x",
    "%{y}",
    "$x^2$",
    "a\"'b",
    "<a href=//e.vil",
    "\x1b[31m\n\u202e",
)


def plain(text: str) -> str:
    """Plotly's text as plotly shows it."""
    assert not re.search(r"[<$%]|&(?!#\d+;)", text.replace("<br>", "\n")), text
    return re.sub(r"&#(\d+);", lambda found: chr(int(found[1])), text)


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner)


def numbers(value: Any) -> Iterator[float]:
    if isinstance(value, (int, float)):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from numbers(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from numbers(inner)


def test_bars_hold_the_clones_of_each_process() -> None:
    figure = figures.processes(example(7, 2))
    assert [trace.name for trace in figure.data] == ["curl 1000", "python3 1001"]
    assert [trace.x for trace in figure.data] == [(4,), (3,)]
    assert figure.layout.yaxis.ticktext == ("curl 1000", "python3 1001")
    assert figure.layout.xaxis.title.text == "clones"


def test_beyond_thirty_processes_one_bar_has_the_rest() -> None:
    figure = figures.processes(example(200, 45))
    assert len(figure.data) == 31
    assert figure.data[-1].name == "15 other processes"
    assert sum(trace.x[0] for trace in figure.data) == 200


def test_a_single_other_process_is_named() -> None:
    assert figures.processes(example(31, 31)).data[-1].name == "curl 1030"


def test_dots_hold_every_event() -> None:
    df = example(2000, 45, failed=20)
    figure = figures.timeline(df)
    assert {trace.type for trace in figure.data} == {"scatter"}
    times = sorted(x for trace in figure.data for x in trace.x)
    assert times == pytest.approx(sorted(df["t"] * 1000), abs=1e-6)
    crosses = [trace for trace in figure.data if trace.marker.symbol == "x"]
    assert sum(len(trace.x) for trace in crosses) == 20
    assert {y for trace in figure.data for y in trace.y} == set(range(31))


def test_columns_hold_every_clone_and_say_so() -> None:
    figure = figures.timeline(example(50_000, 45, failed=20, seconds=1.0))
    assert {trace.type for trace in figure.data} == {"bar"}
    assert sum(sum(trace.y) for trace in figure.data) == 49_980
    assert figure.data[-1].name == "39 other processes"
    assert figure.layout.title.subtitle.text.endswith("binned, 0.01 s each")
    assert figure.layout.yaxis.title.text == "clones per 0.01 s"
    assert figure.layout.barmode is None
    assert figure.layout.template.layout.barmode == "stack"


@pytest.mark.parametrize(
    ("seconds", "unit"), [(90.0, "s"), (1.0, "s"), (0.9, "ms"), (0.0009, "µs")]
)
def test_time_has_the_unit_that_gives_short_numbers(seconds: float, unit: str) -> None:
    axis = figures.timeline(example(seconds=seconds)).layout.xaxis
    assert axis.title.text == f"time since the cell began ({unit})"
    assert axis.range[1] == pytest.approx(
        seconds * {"s": 1, "ms": 1e3, "µs": 1e6}[unit], rel=0.03
    )


def test_time_begins_with_the_cell_unless_that_leaves_the_axis_empty() -> None:
    df = example(100, seconds=1.0)
    assert -0.05 < figures.timeline(df[df["t"] > 0.4]).layout.xaxis.range[0] <= 0
    assert figures.timeline(df[df["t"] > 0.9]).layout.xaxis.range[0] > 0.8


def colours(figure: go.Figure) -> dict[str, str]:
    return {trace.name: trace.marker.color for trace in figure.data}


@pytest.mark.parametrize("events", [1990, 50_000])
def test_a_process_has_one_colour(events: int) -> None:
    df = example(events, 45)
    bars, time = colours(figures.processes(df)), colours(figures.timeline(df))
    shared = bars.keys() & time.keys()
    assert len(shared) >= 6
    # Six that differ, and grey.
    assert len(set(time.values())) == 7
    assert {name: bars[name] for name in shared} == {n: time[n] for n in shared}


@pytest.mark.parametrize(
    ("lost", "says"),
    [(0, "0 lost"), (120, "WARNING: 120 lost"), (None, "WARNING: lost unknown")],
)
@both
def test_the_subtitle_says_what_is_shown_and_lost(
    draw: Draw, lost: int | None, says: str
) -> None:
    subtitle = draw(example(7, 2, failed=1, lost=lost)).layout.title.subtitle.text
    assert subtitle.startswith(f"6 clones of 2 processes · 1 failed · {says}")


@frames
@both
def test_figures_are_small_and_plain_json(draw: Draw, name: str) -> None:
    made = draw(FRAMES[name]).to_json()
    assert len(made) <= 300_000
    figure = json.loads(made)
    assert "bdata" not in made
    assert all(abs(number) < 2**53 for number in numbers(figure))
    assert not {trace["type"] for trace in figure["data"]} & {"scattergl", "heatmapgl"}
    assert len(json.dumps(figure["layout"]["template"])) < 2000


@both
def test_the_largest_numbers_a_frame_can_hold(draw: Draw) -> None:
    df = example()
    df["count"] += 2**62
    figure = json.loads(draw(df).to_json())
    assert all(abs(number) < 2**53 for number in numbers(figure))


@pytest.mark.parametrize(
    ("make", "name", "says"),
    [
        (charts.processes, "empty", True),
        (charts.timeline, "empty", True),
        (charts.timeline, "failed columns", True),
        (charts.timeline, "failed only", False),
        (charts.timeline, "one", False),
        (charts.processes, "one", False),
    ],
)
def test_a_chart_without_marks_says_no_clones(
    make: Make, name: str, says: bool
) -> None:
    chart = make(FRAMES[name])
    annotations = figures.draw(chart).layout.annotations
    assert [note.text for note in annotations] == ["no clones"] * says
    assert ("no clones" in svg.draw(chart)) == says


@pytest.mark.parametrize("events", [1000, 3000])
@both
def test_names_are_shown_as_they_stand(draw: Draw, events: int) -> None:
    figure = draw(example(events, 8, names=HOSTILE))
    shown = {plain(trace.name) for trace in figure.data}
    expected = [f"{name} {1000 + n}" for n, name in enumerate(HOSTILE[:-1])]
    if figure.layout.yaxis.ticktext:
        ticks = [plain(tick) for tick in figure.layout.yaxis.ticktext]
        assert ticks == [*expected, "\\x1b[31m\\n\\u202e 1007"]
    assert shown >= set(expected[:6])
    for text in strings(json.loads(figure.to_json())["data"]):
        plain(text)
    keys = {key for trace in figure.data for key in trace.to_plotly_json()}
    assert not {"hovertemplate", "texttemplate"} & keys


@frames
@each
def test_svg_is_well_formed_and_described(make: Make, name: str) -> None:
    chart = make(FRAMES[name])
    root = ElementTree.fromstring(svg.draw(chart))
    assert root.attrib["role"] == "img"
    assert root.attrib["width"] == "700"
    space = "{http://www.w3.org/2000/svg}"
    assert root.findtext(f"{space}title") == chart.title
    assert root.findtext(f"{space}desc") == chart.subtitle
    assert chart.x.title in [text.text for text in root.iter(f"{space}text")]
    assert {element.tag.removeprefix(space) for element in root.iter()} <= {
        *("svg", "title", "desc", "text", "path", "g")
    }
    assert "nan" not in svg.draw(chart)
    assert len(svg.draw(chart)) < 300_000


@pytest.mark.parametrize("events", [1000, 3000])
@each
def test_svg_shows_names_as_they_stand(make: Make, events: int) -> None:
    chart = make(example(events, 8, names=HOSTILE))
    root = ElementTree.fromstring(svg.draw(chart))
    texts = {element.text for element in root.iter() if element.text}
    assert texts >= {f"{name} {1000 + n}" for n, name in enumerate(HOSTILE[:6])}


def test_svg_has_the_lengths_of_the_bars() -> None:
    df = example(9, 2).iloc[:-2]  # 4 and 3
    df = df[(df["pid"] == 1000) | (df["t"] < 0.003)]  # 4 and 1
    root = ElementTree.fromstring(svg.draw(charts.processes(df)))
    bars = [
        re.fullmatch(r"M([\d.]+) [\d.]+H([\d.]+)V[\d.]+H\1z", path.attrib["d"])
        for path in root.iter("{http://www.w3.org/2000/svg}path")
        if "fill" in path.attrib
    ]
    long, short = (float(bar[2]) - float(bar[1]) for bar in bars if bar)
    assert long == pytest.approx(4 * short, abs=1)


def test_svg_has_a_dot_for_every_event() -> None:
    drawn = svg.draw(charts.timeline(example(500, 45, failed=7)))
    assert drawn.count("h0") == 493
    assert drawn.count("m-3-3") == 7


def test_svg_stacks_columns() -> None:
    chart = charts.timeline(example(50_000, 2, seconds=1.0))
    first, second = (
        re.findall(r"M([\d.]+) ([\d.]+)V([\d.]+)", path)
        for path in re.findall(r'<path d="(M[^"]+z)" fill', svg.draw(chart))
        if "h10" not in path
    )
    assert len(first) == len(chart.series[0].x)
    # The second's foot is the first's head.
    foot_at = {x: foot for x, foot, _ in second}
    assert all(foot_at[x] == head for x, _, head in first)
