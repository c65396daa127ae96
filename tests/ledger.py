# SPDX-License-Identifier: Apache-2.0
"""What tests found out, in tables of a Markdown file: a row each, with day and machine.

A test that has run replaces its own row; the others' stay.
"""

from __future__ import annotations

import datetime
import os
import platform
import re
from collections.abc import Callable
from pathlib import Path

import pytest

__all__ = ["TABLES", "Fault", "Ledger", "check", "put"]

Fault = Callable[[str, str], None]
"""The fixture `fault`: what was done, and what was lost by it."""

# What a test tells (`record_property`) -> the titles of its cells.
TABLES = {
    "faults": ("What was done", "What was lost"),
    "fuzzing": ("What was read", "Inputs", "What came of them"),
}
_LAST = ("Test", "Ran")


def _place(name: str) -> re.Pattern[str]:
    return re.compile(f"(?<=<!-- {name} -->\n).*?(?=<!-- /{name} -->)", re.S)


def check(path: Path) -> None:
    """See that a file has a place for each table.

    Raises
    ------
    ValueError
        It has none, or several.
    """
    text = path.read_text()
    for name in TABLES:
        if (found := len(_place(name).findall(text))) != 1:
            raise ValueError(f"{path} has {found} places for the table of {name}")


def put(path: Path, name: str, rows: dict[str, tuple[str, ...]]) -> None:
    """Put rows into a table of a file, each by its test."""
    text = path.read_text()
    (table,) = _place(name).findall(text)
    lines = table.strip().splitlines()[2:]
    kept = [tuple(line.strip("| ").split(" | ")) for line in lines]
    merged = {cells[-2]: cells for cells in kept}
    for test, cells in rows.items():
        merged[f"`{test}`"] = (*cells, f"`{test}`", _here())
    titles = (*TABLES[name], *_LAST)
    everything = [titles, ("---",) * len(titles), *(merged[t] for t in sorted(merged))]
    made = "\n".join(f"| {' | '.join(cells)} |" for cells in everything)
    path.write_text(_place(name).sub(lambda _: f"\n{made}\n\n", text))


def _here() -> str:
    system = f"Linux {platform.release()}, {platform.machine()}"
    return f"{datetime.date.today()}, {system}, {os.cpu_count()} CPUs"


class Ledger:
    """A plugin of pytest that writes down what passing tests tell.

    Parameters
    ----------
    path
        The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._failed: set[str] = set()
        self._told: dict[str, dict[str, tuple[str, ...]]] = {n: {} for n in TABLES}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take note of a test, when it has ended in every way."""
        if not report.passed:
            self._failed.add(report.nodeid)
        if report.when != "teardown" or report.nodeid in self._failed:
            return
        test = report.nodeid.partition("tests/")[2]
        for name, cells in report.user_properties:
            if name in TABLES and isinstance(cells, tuple):
                self._told[name][test] = cells

    def pytest_sessionfinish(self) -> None:
        """Write it down."""
        for name, rows in self._told.items():
            if rows:
                put(self._path, name, rows)
