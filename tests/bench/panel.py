# SPDX-License-Identifier: Apache-2.0
"""How long a large trace takes to be opened and looked through, beside plain pandas.

What stands beside it is the least that a person would write: choose rows, and group
them. The figure that is made of the groups, and drawn, is in our time only.
"""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from skbnb import compare
from skbnb.filters import Filter
from skbnb.panel import Panel
from skbnb.threads import at_once
from skbnb.traces import Selection, Trace
from skbnb.views import FigureView
from tests import large
from tests.bench.measures import Line, Measure

FULL, QUICK = 10_000_000, 200_000

_FRAME, _OPEN, _CLICK, _FIGURE = 2.0, 1.0, 0.5, 0.3
_MESSAGE, _OUTPUT, _ROW = 1_000_000, 300_000, 128
_PIECE = 1 << 22

# Seconds that a task of plain pandas takes not to be repeated.
_LONG = 1.0

Step = Callable[[], object]


@dataclass(frozen=True)
class Task:
    """What is measured.

    Parameters
    ----------
    what
        In words.
    ours, plain
        The same by us, and by plain pandas; None: there is nothing like it.
    goal
        Seconds for ten million events.
    before
        Makes ready for ours; is not measured.
    """

    what: str
    ours: Step
    plain: Step | None
    goal: float
    before: Step = lambda: None


def run(rounds: int, *, judged: bool) -> list[Line]:
    """Measure everything; what the table says.

    If it is not `judged`, no time has a verdict, and the panel is not clicked through.
    """
    rows = FULL if judged else QUICK
    frames = list(large.frames(rows, large.Machine(stacks=True)))
    made = tuple(
        _seconds(lambda: Trace(frames, selection=Selection("all")).events)
        for _ in range(rounds)
    )
    trace = Trace(frames, selection=Selection("all"))
    df = trace.events
    panel = trace.panel()
    goal = _FRAME if judged else None
    lines = [
        Line("bytes to DataFrame", Measure(made), " s", 2, goal=goal),
        Line("  only to write memory of its size for the first time",
             Measure((_seconds(partial(_written, int(_row(df) * rows))),)), " s", 2),
    ]  # fmt: skip
    tasks = [*_figures(df), *_tables(df)]
    if judged:
        tasks += _clicks(panel, df, trace)
    for task in tasks:
        lines += _lines(task, rounds, judged=judged)
    lines += _sizes(df, panel)
    row = Measure((_row(df),))
    lines.append(Line("bytes a row of the DataFrame", row, "", 0, goal=_ROW))
    panel.close()
    return lines


def _lines(task: Task, rounds: int, *, judged: bool) -> Iterator[Line]:
    """The time of a task, and how many times that of plain pandas it is, in turn.

    Where that takes seconds once is enough.
    """
    ours, ratios = [], []
    plain = 0.0
    for _ in range(rounds):
        task.before()
        ours.append(_seconds(task.ours))
        if task.plain:
            plain = plain if plain > _LONG else _seconds(task.plain)
            ratios.append(ours[-1] / plain)
    yield Line(
        task.what, Measure(tuple(ours)), " s", 3, 1, task.goal if judged else None
    )
    if ratios:
        yield Line("  times plain pandas", Measure(tuple(ratios)), "", 2)


def _seconds(step: Step) -> float:
    gc.collect()
    began = time.perf_counter()
    step()
    return time.perf_counter() - began


def _written(size: int) -> None:
    """Write so many bytes, on all processors: a DataFrame can take no less."""
    memory = np.empty(size, "u1")

    def write(start: int) -> None:
        memory[start : start + _PIECE] = 1

    at_once(write, range(0, size, _PIECE), size)


# ------------------------------------------------------------------ what is done


def _count(df: pd.DataFrame, *columns: str) -> object:
    clones = df[df["kind"] == "clone"]
    return clones.groupby(list(columns), observed=True).size()


def _over_time(df: pd.DataFrame) -> object:
    place = (df["t"] / (df["t"].max() / 100)).astype("int64").rename("place")
    return df.groupby(["pid", place]).size()


def _figures(df: pd.DataFrame) -> Iterator[Task]:
    plain: dict[str, Step] = {
        "processes": partial(_count, df, "pid", "reason"),
        "reasons": partial(_count, df, "reason"),
        "timeline": partial(_over_time, df),
        "flow": partial(_count, df, "pid", "reason", "dev"),
        "stacks": partial(_count, df, "stack"),
    }
    for name, step in plain.items():
        yield Task(f"figure {name}", partial(_shown, df, name), step, _FIGURE)


def _shown(df: pd.DataFrame, name: str) -> object:
    return getattr(df.skb.plot, name)()._repr_mimebundle_()


def _tables(df: pd.DataFrame) -> Iterator[Task]:
    by_process = partial(_count, df, "pid")
    yield Task("table processes", lambda: df.skb.processes, by_process, _FIGURE)
    by_time = partial(_over_time, df)
    yield Task("table timeline", lambda: df.skb.timeline, by_time, _FIGURE)

    def both() -> None:
        for _ in range(2):
            for column in ("reason", "comm", "dev"):
                _count(df, column)

    yield Task("compare", lambda: compare(df, df), both, _FIGURE)


# Page -> the filters that are compared with plain pandas: which rows one means is the
# same question on each page.
_ALIKE = {
    "Processes": ("nothing", "a text"),
    "Timeline": ("a time",),
    "Why": ("a reason",),
    "Events": ("a device",),
}


def _clicks(panel: Panel, df: pd.DataFrame, trace: Trace) -> Iterator[Task]:
    yield Task("open the panel", lambda: trace.panel().close(), None, _OPEN)
    pid, reason, dev = (df[name].iloc[0] for name in ("pid", "reason", "dev"))
    end = float(df["t"].max())
    filters: dict[str, tuple[Filter, Callable[[], Any]]] = {
        "nothing": (Filter(), lambda: slice(None)),
        "a scope": (Filter(scope="cell"), lambda: df["scope"] == "cell"),
        "a process": (Filter(pid=int(pid)), lambda: df["pid"] == pid),
        "a reason": (Filter(reason=reason), lambda: df["reason"] == reason),
        "a device": (Filter(dev=dev), lambda: df["dev"] == dev),
        "a time": (Filter(since=end / 10), lambda: df["t"] >= end / 10),
        "a text": (Filter(text="10.1"), lambda: _with_text(df, "10.1")),
    }
    pages: dict[str, tuple[str, ...]] = {
        "Processes": ("pid", "reason"),
        "Timeline": ("pid",),
        "Why": ("pid", "reason", "dev"),
        "Packets": (),
        "Events": (),
    }
    for number, (title, columns) in enumerate(pages.items()):
        for name, (wanted, mask) in filters.items():

            def before(number: int = number) -> None:
                panel.filter = Filter(text="nowhere to be found")
                panel._tab.selected_index = number

            def plain(
                mask: Callable[[], Any] = mask, columns: tuple[str, ...] = columns
            ) -> None:
                chosen = df[mask()]
                _count(chosen, *columns) if columns else chosen.head(100)

            choose = partial(setattr, panel, "filter", wanted)
            alike = plain if name in _ALIKE.get(title, ()) else None
            yield Task(f"{title}: choose {name}", choose, alike, _CLICK, before)
    yield from _sorts(panel, df)


def _with_text(df: pd.DataFrame, text: str) -> pd.Series[bool]:
    found = pd.Series(False, df.index)
    for name in ("comm", "saddr", "daddr"):
        found |= df[name].str.contains(text, regex=False)
    return found


def _sorts(panel: Panel, df: pd.DataFrame) -> Iterator[Task]:
    """One column of each kind: names, whole numbers, large ones, absent ones."""
    pager: Any = panel._pages[-1]

    def before() -> None:
        panel.filter = Filter()
        pager._sort.value = "t"

    for name in ("comm", "saddr", "pid", "seq", "parent"):
        choose = partial(setattr, pager._sort, "value", name)
        plain = partial(_first_page, df, name) if name in ("comm", "seq") else None
        yield Task(f"Events: sort by {name}", choose, plain, _CLICK, before)
    yield Task("Events: turn a page", partial(pager._turn, 1), None, _CLICK)
    choose = partial(setattr, panel, "filter", Filter(scope="cell"))
    alike = partial(_of_cell, df)
    yield Task("Keep rows of a scope", lambda: panel.events, alike, _CLICK, choose)


def _of_cell(df: pd.DataFrame) -> pd.DataFrame:
    return df[df["scope"] == "cell"]


def _first_page(df: pd.DataFrame, name: str) -> object:
    return df.sort_values(name, kind="stable").head(100)


# ------------------------------------------------------------------ what is sent


def _sizes(df: pd.DataFrame, panel: Panel) -> Iterator[Line]:
    for name in ("processes", "reasons", "timeline", "flow", "stacks"):
        view: FigureView = getattr(df.skb.plot, name)()
        size = len(json.dumps(view._repr_mimebundle_()))
        yield Line(f"size of {name}", Measure((size,)), " kB", 0, 1e-3, _OUTPUT)
    panel.filter = Filter()
    for number in range(len(panel._pages)):
        panel._tab.selected_index = number
    sizes = [
        len(json.dumps(one.get_state(), default=str)) for one in _all(panel.widget)
    ]
    largest = Measure((max(sizes),))
    yield Line("largest widget", largest, " kB", 0, 1e-3, _MESSAGE)


def _all(widget: Any) -> Iterator[Any]:
    yield widget
    for child in getattr(widget, "children", ()):
        yield from _all(child)


def _row(df: pd.DataFrame) -> float:
    return float(np.mean(df.memory_usage(index=False).sum() / len(df)))
