# SPDX-License-Identifier: Apache-2.0
"""A million events, a page at a time, are what pandas has of them."""

from __future__ import annotations

import time

from playwright.sync_api import expect

from tests.browser.conftest import Notebook
from tests.browser.steps import figure, opened, said, shown, table

RECORD = """%%skbclone -q --record clones.skbt
import subprocess
for _ in range(4):
    subprocess.run(["curl", "-s", "-o", "/dev/null", url])
"""

# The same again and again, each time a second later and with numbers of its own.
REPEAT = """
import numpy as np, skbnb
from skbnb import wire
from skbnb.schema import RECORD
with open("clones.skbt", "rb") as file:
    frames = list(wire.Reader(file))
one = {frame.kind: frame for frame in frames}
hello, stats = one[wire.Kind.HELLO].fields, one[wire.Kind.STATS].fields
events = b"".join(f.payload for f in frames if f.kind is wire.Kind.EVENTS)
clones = len(skbnb.load("clones.skbt").select("all"))
times = -(-1_000_000 // clones)
stride = hello["stride"]
again = np.repeat(np.arange(times, dtype="u8"), len(events) // stride)
records = bytearray(events * times)
event = np.ndarray(len(again), RECORD, records, hello["offset"], stride)
event["ts"] += again * 1_000_000_000
for name in ("count", "origin"):
    event[name][event[name] > 0] += (again * stats["calls"])[event[name] > 0]
most = wire.MAX_EVENTS // stride * stride
parts = [bytes(records[at:at + most]) for at in range(0, len(records), most)]
counted = {name: stats[name] * times for name in (
    "calls", "sightings", "sent_other", "sent_notebook", "sent_cell")}
counted["ended"] = stats["ended"] + (times - 1) * 1_000_000_000
with open("million.skbt", "wb") as file:
    file.write(wire.MAGIC)
    for frame in frames:
        if frame.kind is wire.Kind.STATS:
            frame = wire.control(frame.kind, **{**stats, **counted})
        if frame.kind not in (wire.Kind.EVENTS, wire.Kind.PROGRESS):
            file.write(frame.pack())
        if frame.kind is wire.Kind.READY:
            file.writelines(wire.Frame(wire.Kind.EVENTS, p).pack() for p in parts)
del records, event, again, parts, frames, one
trace = skbnb.load("million.skbt")
"""

# What stands in the table, of some columns.
ROWS = """[
    [f"{t:.6f}", str(count), comm, str(pid), str(length)]
    for t, count, comm, pid, length in
    df[["t", "count", "comm", "pid", "len"]].itertuples(index=False)
]"""


def page_shown(notebook: Notebook) -> list[list[str]]:
    """The same of the rows of the table."""
    names = ("t", "count", "comm", "pid", "len")
    return [[row[name] for name in names] for row in table(notebook)]


def test_a_million_events_are_paged_and_sorted(notebook: Notebook) -> None:
    opened(notebook, RECORD, REPEAT, "trace.panel()")
    notebook.choose("scope", "all")
    expect(notebook.panel.locator("code").last).not_to_contain_text("lambda")
    expect(figure(notebook)).to_be_visible()
    everything = shown(notebook)
    assert everything >= 1_000_000
    notebook.run("df = everything = trace.select('all')")
    assert said(notebook, "len(df)") == everything
    notebook.tab("Events")
    pages = -(-everything // 100)

    def is_page(number: int) -> None:
        """It is this page of `df`, and says so."""
        last = min(number * 100, everything)
        where = f"{number * 100 - 99:,} to {last:,} of {everything:,} events, "
        where += f"page {number:,} of {pages:,}"
        expect(notebook.panel.get_by_text(where)).to_be_visible()
        notebook.run(f"df = ordered[{number * 100 - 100}:{last}]")
        expected = said(notebook, ROWS)
        # The rows of before stay until those come.
        deadline = time.monotonic() + 20
        while (rows := page_shown(notebook)) != expected:
            assert time.monotonic() < deadline, (rows, expected)
            time.sleep(0.1)

    def turn(to: str) -> None:
        notebook.panel.get_by_role("button", name=to, exact=True).click()

    notebook.run("ordered = everything")
    is_page(1)
    turn("next")
    is_page(2)
    turn("last")
    is_page(pages)
    turn("back")
    is_page(pages - 1)
    turn("first")
    is_page(1)

    for column in ("len", "comm", "pid"):
        notebook.choose("sort by", column)
        notebook.run(f"ordered = everything.sort_values({column!r}, kind='stable')")
        is_page(1)
        turn("largest first")
        notebook.run(
            f"ordered = everything.sort_values({column!r}, kind='stable',"
            " ascending=False)"
        )
        is_page(1)
        turn("last")
        is_page(pages)
        turn("largest first")
    notebook.screenshot("a-million-events")
