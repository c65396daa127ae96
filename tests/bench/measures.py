# SPDX-License-Identifier: Apache-2.0
"""Numbers with their spread, and tables of them."""

from __future__ import annotations

import platform
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Measure:
    """The same thing measured several times.

    Parameters
    ----------
    values
        In the order in which they were measured.
    """

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.values)

    @property
    def quartiles(self) -> tuple[float, float]:
        """Between which the middle half lies; of less than four values, all."""
        if len(self.values) < 4:
            return min(self.values), max(self.values)
        low, _, high = statistics.quantiles(self.values, n=4, method="inclusive")
        return low, high

    def text(self, unit: str = "", digits: int = 1, scale: float = 1) -> str:
        """The median, and the quartiles in brackets."""
        numbers = [x * scale for x in (self.median, *self.quartiles)]
        median, low, high = (f"{x:.{digits}f}" for x in numbers)
        return f"{median}{unit} [{low}, {high}]"

    def json(self) -> dict[str, Any]:
        """As it is kept in a file."""
        return {
            "median": self.median,
            "quartiles": self.quartiles,
            "values": self.values,
        }


@dataclass(frozen=True)
class Line:
    """One line of a table: what was measured, against its goal.

    Parameters
    ----------
    what
        In words.
    measure
        The value.
    unit, digits, scale
        How it is written.
    goal
        At most, or with `at_least` at least, this is good; None: no goal.
    """

    what: str
    measure: Measure
    unit: str = ""
    digits: int = 1
    scale: float = 1
    goal: float | None = None
    at_least: bool = False

    @property
    def met(self) -> bool | None:
        """Whether the median reaches the goal."""
        if self.goal is None:
            return None
        median = self.measure.median
        return median >= self.goal if self.at_least else median <= self.goal

    @property
    def cells(self) -> tuple[str, str, str, str]:
        """As written in a table: the value, the goal, a verdict, and of what."""
        value = self.measure.text(self.unit, self.digits, self.scale)
        if self.goal is None:
            return value, "", "", self.what
        sign = "≥" if self.at_least else "≤"
        goal = f"{sign} {self.goal * self.scale:g}{self.unit}"
        return value, goal, "met" if self.met else "MISSED", self.what

    def json(self) -> dict[str, Any]:
        """As it is kept in a file, in the unit of the table."""
        scaled = Measure(tuple(value * self.scale for value in self.measure.values))
        return {
            "what": self.what,
            "unit": self.unit.strip(),
            **scaled.json(),
            "goal": None if self.goal is None else self.goal * self.scale,
            "met": self.met,
        }


def table(title: str, lines: Sequence[Line], notes: Sequence[str] = ()) -> str:
    """Lines under each other, and notes. What is longest comes last."""
    goal = "goal" if any(line.goal is not None for line in lines) else ""
    rows = [("median [quartiles]", goal, "", ""), *(line.cells for line in lines)]
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    text = [
        "  ".join(
            cell.ljust(width) for cell, width in zip(row, widths, strict=True) if width
        )
        for row in rows
    ]
    return "\n".join([title, *(f"  {line.rstrip()}" for line in text), *notes])


def machine() -> str:
    """What all of this ran on, in one line."""
    cpus = Path("/proc/cpuinfo").read_text()
    model = next(
        (
            line.partition(":")[2].strip()
            for line in cpus.splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    count = cpus.count("processor\t")
    return (
        f"{model}, {count} CPUs, Linux {platform.release()}, "
        f"Python {platform.python_version()}"
    )
