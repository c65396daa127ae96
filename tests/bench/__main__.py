# SPDX-License-Identifier: Apache-2.0
"""Measure, print a table per question, and write ``build/bench.json``."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.bench import capture, cell, cost, growth, long, panel, start
from tests.bench.measures import Line, machine, table

_CHECKOUT = Path(__file__).parents[2]
OUTPUT = _CHECKOUT / "build" / "bench.json"
PAGE = _CHECKOUT / "docs" / "performance.md"
_GROWTH = OUTPUT.with_name("growth.svg")

# Between these the page has the tables.
_BEGIN, _END = "<!-- bench -->", "<!-- /bench -->"

_shown: list[str] = []


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="under a minute; judges ratios only"
    )
    parser.add_argument("--output", type=Path, default=OUTPUT, help="the JSON file")
    parser.add_argument(
        "--docs", action="store_true", help=f"write the tables in {PAGE.name}, too"
    )
    known = {**MEASURES, **ON_REQUEST}
    parser.add_argument(
        "--only", nargs="+", choices=known, help="answer these questions only"
    )
    options = parser.parse_args()
    quick: bool = options.quick
    if os.geteuid() != 0:
        parser.error("it traces this machine's kernel: run it as root")
    os.environ.pop("SKBNB_AGENT", None)
    began = time.monotonic()
    print(machine(), flush=True)
    found: list[Line] = []
    for name in options.only or MEASURES:
        since = time.monotonic()
        found += known[name](quick)
        print(f"({name}: {time.monotonic() - since:.0f} s)", flush=True)
    missed = [line.what for line in found if line.met is False]
    end = f"{time.monotonic() - began:.0f} s; goals missed: {len(missed)}"
    print(f"\n{end}")
    if options.docs:
        write_page(f"{machine()}, {datetime.date.today()}; {end}")
    options.output.parent.mkdir(exist_ok=True)
    content = {
        "machine": machine(),
        "quick": quick,
        "measures": [line.json() for line in found],
    }
    options.output.write_text(json.dumps(content, indent=2) + "\n")


def measure_capture(quick: bool) -> list[Line]:
    """Measure and print how fast events are captured."""
    size = capture.QUICK if quick else capture.FULL
    found = capture.run(size)
    datagrams = 500 if quick else 8_000
    real = [capture.real_load(datagrams) for _ in range(size.rounds)]
    lines = [
        *capture.ratios(found),
        *capture.rates(found, real),
        *capture.processors(found),
    ]
    notes = capture.notes(found, real)
    rounds = f"{size.rounds} rounds, in turn, {size.sustained:g} s each"
    title = f"Events a second, none lost ({rounds})"
    show(title, lines, notes)
    return lines


def measure_cell(quick: bool) -> list[Line]:
    """Measure and print what tracing adds to a cell."""
    rounds, kernels = (3, 1) if quick else (20, 10)
    lines = cell.run(rounds, kernels, judged=not quick)
    show("What %%skbclone adds to an empty cell", lines, ())
    return lines


def measure_start(quick: bool) -> list[Line]:
    """Measure and print how long the beginning takes."""
    times = 1 if quick else 10
    lines = start.run(times, judged=not quick)
    show(f"The beginning ({times} processes each)", lines, ())
    return lines


def measure_cost(quick: bool) -> list[Line]:
    """Measure and print what tracing costs in the kernel."""
    size = cost.QUICK if quick else cost.FULL
    tables = cost.tables(size, cost.run(size))
    for table_ in tables:
        show(*table_)
    return [line for table_ in tables for line in table_.lines]


def measure_panel(quick: bool) -> list[Line]:
    """Measure and print how long a large trace takes to be looked through."""
    rows = panel.QUICK if quick else panel.FULL
    lines = panel.run(3, judged=not quick)
    show(f"A trace of {rows:,} events, looked through (3 rounds, in turn)", lines, ())
    return lines


def measure_long(quick: bool) -> list[Line]:
    """Measure and print what memory a trace takes that is on disk."""
    rows = long.QUICK if quick else long.FULL
    lines, notes = long.run(rows)
    show(f"A trace of {rows:,} events, on disk", lines, notes)
    return lines


def measure_growth(size: growth.Size) -> list[Line]:
    """Measure and print how time and memory grow, and draw it."""
    curves = growth.run(size)
    if size != growth.QUICK:
        # What the documentation shows goes further than is measured each time.
        path = growth.PICTURE if size == growth.WHOLE else _GROWTH
        path.parent.mkdir(exist_ok=True)
        path.write_text(growth.picture(curves))
    lines = growth.lines(curves)
    show("How it grows", lines, ())
    return lines


MEASURES: dict[str, Callable[[bool], list[Line]]] = {
    "capture": measure_capture,
    "cell": measure_cell,
    "start": measure_start,
    "cost": measure_cost,
    "panel": measure_panel,
    "long": measure_long,
    "growth": lambda quick: measure_growth(growth.QUICK if quick else growth.FULL),
}
"""What is asked -> what measures it."""

# Up to a hundred million events: 45 GB on disk, and a quarter of an hour.
ON_REQUEST: dict[str, Callable[[bool], list[Line]]] = {
    "whole-growth": lambda _: measure_growth(growth.WHOLE),
}
"""The same, where it takes too long to be asked each time."""


def show(title: str, lines: Sequence[Line], notes: Sequence[str]) -> None:
    """Print a table."""
    _shown.append(table(title, lines, notes))
    print(f"\n{_shown[-1]}", flush=True)


def write_page(ran: str) -> None:
    """Write all tables, and where they ran, in their place of the documentation."""
    text = "\n\n".join([ran, *_shown])
    before, begin, rest = PAGE.read_text().partition(_BEGIN)
    _, end, after = rest.partition(_END)
    PAGE.write_text(f"{before}{begin}\n\n```text\n{text}\n```\n\n{end}{after}")


if __name__ == "__main__":
    main()
