# SPDX-License-Identifier: Apache-2.0
"""Stacks add up as a table, as text and as a figure, whatever the names in them are."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skbnb import accessor as accessor  # registers df.skb
from skbnb import analysis, charts, figures, svg
from skbnb.errors import OptionError
from skbnb.units import printable
from tests.unit.frames import STACKS, example, with_stacks

HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "&lt;x",
    "%{y}",
    "$x^2$",
    "a\"'b",
    "two words 12",
    "\x1b[31m\n\u202e",
    "0xffffffffc0001234",
    "nf_hook [nf_tables]",
    "bpf_prog_6deef7357e7b4530",
)

SVG = "{http://www.w3.org/2000/svg}"

some_stacks = st.lists(
    st.none() | st.lists(st.text(max_size=4), min_size=1, max_size=5).map(";".join),
    min_size=1,
    max_size=30,
)


def made(stacks: list[str | None], failed: int = 0) -> pd.DataFrame:
    df = example(len(stacks), 3, failed=min(failed, len(stacks)))
    return with_stacks(df, *stacks)


# ------------------------------------------------------------------ the table


def test_stacks() -> None:
    df = with_stacks(example(7, 2, failed=1))
    assert analysis.stacks(df).to_dict("records") == [
        {
            "stack": STACKS["__tcp_transmit_skb"],
            "clones": 3,
            "failed": 1,
            "copies": 0,
            "fast": 3,
            "slab": 0,
            "bytes": 3000,
            "reason": "tcp-transmit",
            "depth": 10,
        },
        {
            "stack": STACKS["raw_local_deliver"],
            "clones": 3,
            "failed": 0,
            "copies": 0,
            "fast": 0,
            "slab": 3,
            "bytes": 3000,
            "reason": "raw-socket",
            "depth": 12,
        },
    ]


def test_absent_stacks_are_one_row() -> None:
    table = analysis.stacks(made([None, "a;b", None, "a;b", None]))
    assert table["stack"].tolist() == ["unknown", "a;b"]
    assert table["clones"].tolist() == [3, 2]
    assert table["depth"].isna().tolist() == [True, False]


def test_a_reason_is_that_of_all_calls_or_absent() -> None:
    df = made(["a", "a", "b", "b", "c", "c", None, None])
    raw, tcp = "raw-socket", "tcp-transmit"
    df["reason"] = pd.Categorical([raw, raw, tcp, raw, None, tcp, raw, raw])
    found = analysis.stacks(df).set_index("stack")["reason"]
    assert found.dropna().to_dict() == {"a": "raw-socket", "unknown": "raw-socket"}
    assert set(found.index) == {"a", "b", "c", "unknown"}


@given(some_stacks, st.integers(0, 5))
def test_clones_and_failures_add_up(stacks: list[str | None], failed: int) -> None:
    df = made(stacks, failed)
    table = analysis.stacks(df)
    kind = df["kind"].value_counts()
    assert table["clones"].sum() == kind["clone"]
    assert table["failed"].sum() == kind["failed"]
    assert len(table) == len(set(stacks))
    assert table["clones"].is_monotonic_decreasing


def test_what_a_frame_lacks_its_table_lacks() -> None:
    df = with_stacks(example())[[*analysis.NEEDS, "stack"]]
    assert list(analysis.stacks(df)) == [
        *("stack", "clones", "failed", "copies", "depth")
    ]
    assert charts.stacks(df).boxes
    assert analysis.folded(df).count("\n") == 2


def test_an_empty_frame_gives_the_same_columns() -> None:
    full = with_stacks(example())
    empty = analysis.stacks(full.head(0))
    assert empty.empty
    assert empty.dtypes.to_dict() == analysis.stacks(full).dtypes.to_dict()
    assert analysis.folded(full.head(0)) == ""


def test_a_selection_has_its_own_stacks_only() -> None:
    df = with_stacks(example(60, 5))
    chosen = df[df["caller"] == "raw_local_deliver"]
    assert chosen.skb.stacks["stack"].tolist() == [STACKS["raw_local_deliver"]]


def test_frames_of_two_traces_together() -> None:
    df = pd.concat([made(["a;b"]), made(["a;b", "c", None]), example(2)])
    expected = [("unknown", 3), ("a;b", 2), ("c", 1)]
    table = analysis.stacks(df)
    assert list(zip(table["stack"], table["clones"], strict=True)) == expected


def test_the_frame_is_left_unchanged() -> None:
    df = with_stacks(example(50, 3, failed=2))
    before = df.copy(deep=True)
    analysis.stacks(df)
    analysis.folded(df, process=True)
    charts.stacks(df)
    pd.testing.assert_frame_equal(df, before)


@pytest.mark.parametrize(
    "use",
    [
        lambda df: df.skb.stacks,
        lambda df: df.skb.folded(),
        lambda df: df.skb.plot.stacks(),
    ],
    ids=["stacks", "folded", "plot"],
)
def test_a_trace_without_stacks_says_how_to_make_one(
    use: Callable[[pd.DataFrame], Any],
) -> None:
    with pytest.raises(OptionError, match="this trace has no stacks") as raised:
        use(example())
    assert str(raised.value) == "this trace has no stacks. Trace with --stacks."


@pytest.mark.parametrize(
    "use",
    [analysis.stacks, lambda df: analysis.folded(df, process=True)],
    ids=["stacks", "folded"],
)
def test_a_million_rows_take_no_python_for_each(
    use: Callable[[pd.DataFrame], Any],
) -> None:
    df = with_stacks(example(1_000_000, 300))
    began = time.process_time()
    use(df)
    assert time.process_time() - began < 0.5


# ------------------------------------------------------------------ folded


def read(text: str) -> Counter[tuple[str, ...]]:
    """What flamegraph.pl reads, by its own pattern."""
    counts: Counter[tuple[str, ...]] = Counter()
    for line in text.splitlines():
        found = re.fullmatch(r"(.*)\s+?(\d+(?:\.\d*)?)", line)
        assert found, line
        counts[tuple(found[1].split(";"))] += int(found[2])
    return counts


def test_folded() -> None:
    df = made(["a;b", "a;b", "a;c [m]", None], failed=0)
    assert df.skb.folded() == "a;b 2\na;c [m] 1\nunknown 1\n"


def test_folded_by_process() -> None:
    df = made(["a;b", "a;b", "a;b", None])
    df["comm"] = pd.Categorical(["curl", "sh", "curl", "sh"])
    assert df.skb.folded(process=True) == "curl;a;b 2\nsh;a;b 1\nsh;unknown 1\n"


def test_failed_calls_are_not_folded() -> None:
    assert made(["a;b", "c"], failed=1).skb.folded() == "a;b 1\n"


@given(some_stacks, st.integers(0, 5))
def test_folded_stacks_are_read_as_they_were(
    stacks: list[str | None], failed: int
) -> None:
    df = made(stacks, failed)
    expected: Counter[tuple[str, ...]] = Counter()
    for stack in df["stack"][df["kind"] == "clone"]:
        names = ["unknown"] if pd.isna(stack) else stack.split(";")
        expected[tuple(map(printable, names))] += 1
    assert read(analysis.folded(df)) == expected


@given(some_stacks, st.lists(st.text(max_size=16), min_size=3, max_size=3))
def test_a_threads_name_is_one_function(
    stacks: list[str | None], names: list[str]
) -> None:
    df = made(stacks)
    df["comm"] = pd.Categorical(np.array(names, object)[np.arange(len(df)) % 3])
    plain: Counter[tuple[str, ...]] = Counter()
    for path, count in read(analysis.folded(df, process=True)).items():
        plain[path[1:]] += count
    assert plain == read(analysis.folded(df))


# ------------------------------------------------------------------ the figure


def ways(icicle: charts.Icicle) -> dict[tuple[str, ...], int]:
    """Clones by the names from the root's child on."""
    found: dict[tuple[str, ...], int] = {}
    names: list[tuple[str, ...]] = []
    for box in icicle.boxes:
        names.append((*names[box.parent], box.name) if box.row else ())
        found[names[-1]] = box.clones
    return found


def test_stacks_that_begin_alike_share_boxes() -> None:
    icicle = charts.stacks(made(["a;b;c", "a;b;d", "a;b;c", "a", None]))
    assert ways(icicle) == {
        (): 5,
        ("a",): 4,
        ("unknown",): 1,
        ("a", "b"): 3,
        ("a", "b", "c"): 2,
        ("a", "b", "d"): 1,
    }
    places = {box.name: (box.row, box.start) for box in icicle.boxes[1:]}
    assert places == {
        "a": (1, 0), "b": (2, 0), "c": (3, 0), "d": (3, 2), "unknown": (1, 4),
    }  # fmt: skip
    assert icicle.subtitle == "5 clones of 3 processes · 0 lost"


@given(some_stacks, st.integers(0, 5))
def test_boxes_lie_within_the_one_above(stacks: list[str | None], failed: int) -> None:
    df = made(stacks, failed)
    boxes = charts.stacks(df).boxes
    assert bool(boxes) == (df["kind"] == "clone").any()
    free = {place: box.start for place, box in enumerate(boxes)}
    for place, box in enumerate(boxes[1:], 1):
        above = boxes[box.parent]
        assert box.parent < place
        assert box.row == above.row + 1
        # Each begins where its neighbour ends, and the last ends inside.
        assert box.start == free[box.parent]
        free[box.parent] += box.clones
        assert free[box.parent] <= above.start + above.clones


def test_callers_have_the_colours_of_the_reasons_chart() -> None:
    df = with_stacks(example(60, 5))
    colours = {one.name: one.colour for one in charts.reasons(df).series}
    icicle = charts.stacks(df)
    found = {box.name: box.colour for box in icicle.boxes}
    assert found["__tcp_transmit_skb"] == colours["tcp-transmit"]
    assert found["dev_queue_xmit_nit"] == colours["tap-transmit"]
    assert found["raw_local_deliver"] == colours["raw-socket"]
    (way,) = {found[name] for name in found if name not in STACKS}
    assert dict(icicle.legend) == {**colours, "on the way": way}


def test_a_function_can_be_on_the_way_and_call_skb_clone_itself() -> None:
    df = made(["a", "a;b", "a"])
    df["reason"] = pd.Categorical(["raw-socket", "tap-socket", "raw-socket"])
    icicle = charts.stacks(df)
    _, a, b = icicle.boxes
    assert a.hover == "3 clones, 100.0% of all\n2 made here: raw-socket"
    assert b.hover == "1 clone, 33.3% of all\n1 made here: tap-socket"
    assert dict(icicle.legend)["raw-socket"] == a.colour != b.colour


def test_a_reason_without_a_colour_is_grey() -> None:
    df = made(list("abc"))
    slugs = ["raw-socket", "reassembly"]
    df["reason"] = pd.Categorical([*slugs, None], categories=slugs)
    icicle = charts.stacks(df)
    found = {box.name: box.colour for box in icicle.boxes}
    assert found["a"] != found["b"] == found["c"]
    assert [name for name, _ in icicle.legend] == [
        *(*slugs, "unknown or several reasons", "on the way")
    ]
    hovers = {box.name: box.hover.splitlines()[-1] for box in icicle.boxes}
    assert hovers["b"] == "1 made here: reassembly"
    assert hovers["c"] == "1 made here: unknown why"


def test_a_figure_says_what_it_leaves_out() -> None:
    rare = ["rare;a", "rare;b", "rarer"]
    df = made([*["often;x"] * 997, *rare])
    icicle = charts.stacks(df)
    assert ways(icicle) == {(): 1000, ("often",): 997, ("often", "x"): 997}
    assert icicle.subtitle.endswith(" · left out: branches of up to 2 clones, 3 in all")


def test_a_figure_has_an_end() -> None:
    deep = ";".join(f"f{n}" for n in range(127))
    icicle = charts.stacks(made([deep] * 4))
    assert icicle.rows == 65
    assert "left out: functions below the 64th, of 4 clones" in icicle.subtitle


def test_the_largest_figure_is_small() -> None:
    # As many stacks as a kernel's map may hold, and as deep as they get, of long names
    # that each need escaping; alike in the beginning, and then no more.
    df = made(
        [
            ";".join(f"{n % 150 if d < 30 else n}{'<' * 100}{d}" for d in range(64))
            for n in range(16_384)
        ]
    )
    icicle = charts.stacks(df)
    figure, image = figures.draw(icicle), svg.draw(icicle)
    # And not one for each function of each stack.
    assert len(icicle.boxes) == 400
    assert len(figure.to_json()) < 300_000
    assert len(image) < 300_000
    # Of no stack is the end drawn; the heaviest branch has 110.
    assert "left out: branches of up to 110 clones, 16,384 in all" in icicle.subtitle


FRAMES = {
    "empty": with_stacks(example(0)),
    "one": with_stacks(example(1, 1)),
    "failed only": with_stacks(example(5, 2, failed=5)),
    "few": with_stacks(example(60, 5, failed=2)),
    "unknown": made([None] * 3),
    "hostile": made([";".join(HOSTILE), *HOSTILE]),
    "many": made([f"a;b{n % 7};c{n}" for n in range(5000)]),
}


@pytest.mark.parametrize("name", FRAMES)
def test_both_drawings_hold_the_same_boxes(name: str) -> None:
    icicle = charts.stacks(FRAMES[name])
    figure = json.loads(figures.draw(icicle).to_json())
    root = ElementTree.fromstring(svg.draw(icicle))
    clones = [box.clones for box in icicle.boxes]
    drawn = [trace for trace in figure["data"] if trace["type"] == "icicle"]
    assert [trace["values"] for trace in drawn] == ([clones] if clones else [])
    tips = [tip.text for tip in root.iterfind(f"{SVG}g/{SVG}title")]
    assert tips == [f"{box.name}\n{box.hover}" for box in icicle.boxes]
    keys = [trace["name"] for trace in figure["data"] if trace["type"] == "scatter"]
    assert keys == [key for key, _ in icicle.legend]
    assert ("no clones" in svg.draw(icicle)) == (not clones)
    notes = [note["text"] for note in figure["layout"].get("annotations", [])]
    assert notes == ["no clones"] * (not clones)
    assert "bdata" not in json.dumps(figure)


@pytest.mark.parametrize("name", FRAMES)
def test_the_image_is_well_formed_and_inside_its_frame(name: str) -> None:
    root = ElementTree.fromstring(svg.draw(charts.stacks(FRAMES[name])))
    assert root.attrib["width"] == "700"
    for path in root.iterfind(f"{SVG}g/{SVG}path"):
        x, y, width, height = map(
            float, re.findall(r"[\d.]+", path.attrib["d"].rpartition("h-")[0])
        )
        assert x >= 8
        assert x + width <= 692
        assert width > 2
        assert y + height <= float(root.attrib["height"])
    assert {element.tag.removeprefix(SVG) for element in root.iter()} <= {
        *("svg", "title", "desc", "text", "path", "g")
    }


def test_names_are_shown_as_they_stand() -> None:
    icicle = charts.stacks(FRAMES["hostile"])
    names = ";".join(HOSTILE).split(";")
    assert {box.name for box in icicle.boxes[1:]} == {*map(printable, names)}
    (trace,) = (t for t in figures.draw(icicle).data if t.type == "icicle")
    shown = trace.to_plotly_json()
    for text in (*shown["labels"], *shown["hovertext"]):
        assert not re.search(r"[<$%]|&(?!#\d+;)", text.replace("<br>", "")), text
    assert not {"hovertemplate", "texttemplate"} & shown.keys()


def test_a_name_is_cut_where_its_box_ends() -> None:
    image = svg.draw(charts.stacks(made(["a_rather_long_name", *["other"] * 9])))
    assert re.search(r">a_rathe…<", image)
    assert re.search(r"<title>a_rather_long_name\n1 clone, 10.0% of all", image)
