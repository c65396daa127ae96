# SPDX-License-Identifier: Apache-2.0
"""How long it takes until there is something to see, in processes that are new."""

from __future__ import annotations

import subprocess
import sys

from tests.bench import cell
from tests.bench.helper import CHECKOUT
from tests.bench.measures import Line, Measure

_IMPORT = """
import time
began = time.perf_counter()
import skbnb
print(time.perf_counter() - began)
"""

_LOAD = """
import time
import ipykernel.kernelapp
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
began = time.perf_counter()
shell.run_line_magic("load_ext", "skbnb")
print(time.perf_counter() - began)
"""


def run(times: int, *, judged: bool) -> list[Line]:
    """Measure everything; what the table says, with verdicts if it is `judged`."""
    goals = (0.02, 0.15, 1.2) if judged else (None,) * 3
    return [
        Line("import skbnb", _said(_IMPORT, times), " ms", 1, 1e3, goals[0]),
        Line("%load_ext skbnb", _said(_LOAD, times), " ms", 0, 1e3, goals[1]),
        Line("from %load_ext to the first result, in a notebook", _first(times),
             " ms", 0, 1e3, goals[2]),
    ]  # fmt: skip


def _said(program: str, times: int) -> Measure:
    """What a program prints, of so many runs and one before them."""
    command = [sys.executable, "-c", program]
    said = [
        subprocess.run(
            command, check=True, capture_output=True, text=True, cwd=CHECKOUT
        ).stdout
        for _ in range(times + 1)
    ]
    return Measure(tuple(map(float, said[1:])))


def _first(times: int) -> Measure:
    took = []
    for _ in range(times):
        with cell.kernel() as client:
            cells = ("%load_ext skbnb", cell.SHOWN)
            took.append(sum(cell.seconds_of(client, text) for text in cells))
    return Measure(tuple(took))
