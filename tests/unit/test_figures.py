# SPDX-License-Identifier: Apache-2.0
"""Figures hold the frame's counts, stay small and take no name for markup."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterator
from typing import Any
from xml.etree import ElementTree

import pandas as pd
import plotly.graph_objects as go
import pytest

from skbnb import charts, figures, svg
from tests.unit.frames import example, with_stacks

Draw = Callable[[pd.DataFrame], go.Figure]
Make = Callable[[pd.DataFrame], charts.Chart]


def processes(df: pd.DataFrame) -> go.Figure:
    return figures.draw(charts.processes(df))


def timeline(df: pd.DataFrame) -> go.Figure:
    return figures.draw(charts.timeline(df))


def reasons(df: pd.DataFrame) -> go.Figure:
    return figures.draw(charts.reasons(df))


def flow(df: pd.DataFrame) -> go.Figure:
    return figures.draw(charts.flow(df))


both = pytest.mark.parametrize("draw", [processes, timeline])
all_three = pytest.mark.parametrize("draw", [processes, timeline, flow])
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


def bars(figure: go.Figure) -> list[go.Bar]:
    return [trace for trace in figure.data if trace.type == "bar"]


def test_bars_hold_the_clones_of_each_process_by_reason() -> None:
    figure = processes(example(7, 2))
    held = {bar.name: dict(zip(bar.y, bar.x, strict=True)) for bar in bars(figure)}
    assert held == {"tcp-transmit": {0: 4}, "raw-socket": {1: 3}}
    assert figure.layout.yaxis.ticktext == ("curl 1000", "python3 1001")
    assert figure.layout.xaxis.title.text == "clones"
    assert figure.data[-1].text == (" 4 ", " 3 ")


def test_a_bar_has_a_part_for_each_reason() -> None:
    df = example(7, 2).assign(pid=1000)
    parts = [(bar.name, bar.x, bar.y) for bar in bars(processes(df))]
    assert parts == [("tcp-transmit", (4,), (0,)), ("raw-socket", (3,), (0,))]


def test_without_reasons_they_are_unknown() -> None:
    (bar,) = bars(processes(example(7, 2).drop(columns="reason")))
    assert (bar.name, bar.x) == ("unknown", (4, 3))


def test_beyond_thirty_processes_one_bar_has_the_rest() -> None:
    figure = processes(example(200, 45))
    ticks = figure.layout.yaxis.ticktext
    assert len(ticks) == 31
    assert ticks[-1] == "15 other processes"
    assert sum(sum(bar.x) for bar in bars(figure)) == 200
    # A click on it chooses no process.
    assert figure.layout.meta["keys"][-1] == -1


def test_a_single_other_process_is_named() -> None:
    assert processes(example(31, 31)).layout.yaxis.ticktext[-1] == "curl 1030"


def test_dots_hold_every_event() -> None:
    df = example(2000, 45, failed=20)
    figure = timeline(df)
    assert {trace.type for trace in figure.data} == {"scatter"}
    times = sorted(x for trace in figure.data for x in trace.x)
    assert times == pytest.approx(sorted(df["t"] * 1000), abs=1e-6)
    crosses = [trace for trace in figure.data if trace.marker.symbol == "x"]
    assert sum(len(trace.x) for trace in crosses) == 20
    assert {y for trace in figure.data for y in trace.y} == set(range(31))


def cells(figure: go.Figure) -> list[float]:
    (heatmap,) = figure.data
    return [value for row in heatmap.z for value in row if value is not None]


def test_cells_hold_every_clone_and_say_so() -> None:
    figure = timeline(example(50_000, 45, failed=20, seconds=1.0))
    assert sum(cells(figure)) == 49_980
    assert figure.layout.yaxis.ticktext[-1] == "15 other processes"
    assert "binned, 0.01 s each" in figure.layout.title.subtitle.text
    assert figure.layout.meta["keys"][:2] == (1000, 1001)


def test_a_cell_is_as_wide_as_its_bin_where_others_are_empty() -> None:
    df = example(10_000, 1, seconds=1.0)
    (heatmap,) = timeline(df[(df["t"] < 0.2) | (df["t"] > 0.9)]).data
    steps = {round(b - a, 9) for a, b in itertools.pairwise(heatmap.x)}
    assert len(steps) == 1
    assert [None] in [list({*row}) for row in zip(*heatmap.z, strict=True)]


@pytest.mark.parametrize(
    ("seconds", "unit"), [(90.0, "s"), (1.0, "s"), (0.9, "ms"), (0.0009, "µs")]
)
def test_time_has_the_unit_that_gives_short_numbers(seconds: float, unit: str) -> None:
    axis = timeline(example(seconds=seconds)).layout.xaxis
    assert axis.title.text == f"time since the cell began ({unit})"
    assert axis.range[1] == pytest.approx(
        seconds * {"s": 1, "ms": 1e3, "µs": 1e6}[unit], rel=0.03
    )


def test_time_begins_with_the_cell_unless_that_leaves_the_axis_empty() -> None:
    df = example(100, seconds=1.0)
    assert -0.05 < timeline(df[df["t"] > 0.4]).layout.xaxis.range[0] <= 0
    assert timeline(df[df["t"] > 0.9]).layout.xaxis.range[0] > 0.8


def test_a_reason_has_one_colour() -> None:
    df = with_stacks(example(1990, 45))
    of_bars = {bar.name: bar.marker.color for bar in bars(processes(df))}
    of_dots = {dots.name: dots.marker.color for dots in timeline(df).data}
    of_reasons = {bar.name: bar.marker.color for bar in bars(reasons(df))}
    of_nodes = {n.name: n.colour for n in charts.flow(df).nodes if n.layer == 1}
    of_stacks = dict(charts.stacks(df).legend)
    assert len(set(of_bars.values())) == len(of_bars) == 3
    assert of_bars == of_dots == of_reasons == of_nodes
    assert of_bars.items() <= of_stacks.items()
    # Also where others are left out.
    some = df[df["reason"] == "raw-socket"]
    assert processes(some).data[0].marker.color == of_bars["raw-socket"]


@pytest.mark.parametrize(
    ("lost", "says"),
    [(0, "0 lost"), (120, "WARNING: 120 lost"), (None, "WARNING: lost unknown")],
)
@all_three
def test_the_subtitle_says_what_is_shown_and_lost(
    draw: Draw, lost: int | None, says: str
) -> None:
    subtitle = draw(example(7, 2, failed=1, lost=lost)).layout.title.subtitle.text
    assert subtitle.startswith(f"6 clones of 2 processes · 1 failed · {says}")


@frames
@all_three
def test_figures_are_small_and_plain_json(draw: Draw, name: str) -> None:
    made = draw(FRAMES[name]).to_json()
    assert len(made) <= 300_000
    figure = json.loads(made)
    assert "bdata" not in made
    assert all(abs(number) < 2**53 for number in numbers(figure))
    assert not {trace["type"] for trace in figure["data"]} & {"scattergl", "heatmapgl"}
    assert len(json.dumps(figure["layout"]["template"])) < 2000


@all_three
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
@all_three
def test_names_are_shown_as_they_stand(draw: Draw, events: int) -> None:
    made = draw(example(events, 8, names=HOSTILE)).to_plotly_json()
    figure = json.loads(json.dumps(made, default=list))
    expected = [f"{name} {1000 + n}" for n, name in enumerate(HOSTILE[:-1])]
    expected.append("\\x1b[31m\\n\\u202e 1007")
    names = figure["layout"].get("yaxis", {}).get("ticktext")
    names = names or figure["data"][0]["node"]["label"][:8]
    assert list(map(plain, names)) == expected
    for trace in figure["data"]:
        assert trace.pop("type") in ("bar", "scatter", "heatmap", "sankey")
        for part in (trace, trace.get("node", {}), trace.get("link", {})):
            # Ours, without a name in them.
            assert part.pop("hovertemplate", "%{label}<").startswith("%{label}")
        for text in strings(trace):
            plain(text)


@frames
@each
def test_svg_is_well_formed_and_described(make: Make, name: str) -> None:
    chart = make(FRAMES[name])
    root = ElementTree.fromstring(svg.draw(chart))
    assert root.attrib["role"] == "img"
    assert root.attrib["width"] == "700"
    space = "{http://www.w3.org/2000/svg}"
    assert root.findtext(f"{space}title") == chart.title
    assert root.findtext(f"{space}desc") == charts.described(chart)
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
    drawn = svg.draw(charts.processes(df))
    found = re.findall(r"M([\d.]+) [\d.]+H([\d.]+)V[\d.]+H\1z", drawn)
    long, short = (float(end) - float(start) for start, end in found)
    assert long == pytest.approx(4 * short, abs=1)


def test_svg_stacks_bars() -> None:
    drawn = svg.draw(charts.processes(example(7, 2).assign(pid=1000)))
    found = re.findall(r"M([\d.]+) [\d.]+H([\d.]+)V[\d.]+H\1z", drawn)
    (_, end), (start, _) = found
    assert start == end
    assert drawn.count(">7</text>") == 1


def test_svg_has_a_dot_for_every_event() -> None:
    drawn = svg.draw(charts.timeline(example(500, 45, failed=7)))
    assert drawn.count("h0") == 493
    assert drawn.count("m-3-3") == 7


def test_svg_has_a_cell_for_every_bin_of_a_process() -> None:
    chart = charts.timeline(example(50_000, 2, seconds=1.0))
    drawn = svg.draw(chart)
    paths = re.findall(r'<path d="([^"]+)" fill="#0072B2" fill-opacity', drawn)
    assert sum(path.count("z") for path in paths) == sum(
        len(series.x) for series in chart.series
    )


def flow_of(df: pd.DataFrame) -> dict[tuple[str, str], int]:
    made = charts.flow(df)
    return {
        (made.nodes[band.source].name, made.nodes[band.target].name): band.clones
        for band in made.bands
    }


def test_a_flow_has_every_clone_twice() -> None:
    df = example(700, 3, failed=7)
    bands = flow_of(df)
    assert sum(bands.values()) == 2 * 693
    assert bands["curl 1000", "tcp-transmit"] == 234 - 3
    assert bands["tap-transmit", "unknown"] == 233 - 2


def test_a_flow_leaves_nothing_out_of_a_crowded_layer() -> None:
    df = example(5000, 300)
    made = charts.flow(df)
    layer = [node for node in made.nodes if node.layer == 0]
    assert len(layer) == 13
    assert layer[-1].name == "288 other processes"
    assert sum(node.clones for node in layer) == 5000


@frames
def test_a_flow_is_drawn_without_scripts(name: str) -> None:
    drawn = svg.draw(charts.flow(FRAMES[name]))
    root = ElementTree.fromstring(drawn)
    assert root.attrib["width"] == "700"
    assert "nan" not in drawn
    assert len(drawn) < 300_000


# ------------------------------------------------------------------ in words


def test_a_figure_says_its_numbers_in_words() -> None:
    df = example(7, 2)
    of = "7 clones of 2 processes · 0 lost. "
    by_process = "curl 1000: 4, python3 1001: 3."
    for make, title in (
        (charts.processes, "Clones by process"),
        (charts.timeline, "Clones over time"),
    ):
        assert charts.described(make(df)) == f"{title}: {of}{by_process}"
    words = charts.described(charts.flow(df))
    assert words.startswith(f"Clones by process, reason and device: {of}device unknown")
    assert "process curl 1000: 4" in words
    assert "reason raw-socket: 3" in words
    words = charts.described(charts.stacks(with_stacks(df)))
    assert sum(map(int, re.findall(r": (\d+)[,.]", words))) == 7


@frames
def test_words_are_few_and_hold_the_greatest(name: str) -> None:
    df = FRAMES[name]
    for make in (charts.processes, charts.timeline, charts.flow):
        made = make(df)
        words = charts.described(made)
        assert words.startswith(f"{made.title}: {made.subtitle}. ")
        assert len(words) < 800
        assert figures.draw(made).layout.meta["words"] == words


def test_a_page_names_its_figures_as_they_stand() -> None:
    page = figures.to_page([charts.processes(example(16, 8, names=HOSTILE))])
    (name,) = re.findall(r'<div role="figure" aria-label="([^"]*)">', page)
    assert "<" not in name
    assert "&lt;img src=x oner 1000: 2" in name


def test_numbers_of_clones_are_whole() -> None:
    chart = charts.processes(example(7, 2))
    assert chart.x.number(58.0) == "58"
    assert chart.x.number(1234) == "1,234"
