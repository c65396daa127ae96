# SPDX-License-Identifier: Apache-2.0
"""How much memory a trace takes that does not fit into it.

Run as a script, with a recording and a folder, it is the process that is measured. Each
line that it writes is a step, its seconds, and the most memory until then in kB.
"""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import skbnb
from skbnb.traces import Selection
from skbnb.wire import MAGIC
from tests import large
from tests.bench.helper import CHECKOUT
from tests.bench.measures import Line, Measure

FULL, QUICK = 3_000_000, 200_000


def run(rows: int) -> tuple[list[Line], list[str]]:
    """Measure it; what the table says, and a note on what was measured."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "long.skbt"
        write(rows, path)
        size = path.stat().st_size
        done = subprocess.run(
            [sys.executable, "-m", __name__, path, f"{folder}/parts"],
            check=True,
            capture_output=True,
            text=True,
            cwd=CHECKOUT,
        )
        parts = sum(file.stat().st_size for file in Path(f"{folder}/parts").iterdir())
    found = [line.split() for line in done.stdout.splitlines()]
    lines = []
    for step, seconds, peak in found:
        taken = Measure((int(peak) * 1024,))
        lines.append(Line(f"{step}: peak memory", taken, " MB", 0, 1e-6))
        lines.append(Line("  seconds", Measure((float(seconds),)), " s", 1))
    # Import is what any process with pandas takes.
    first, last = (int(found[i][2]) * 1024 for i in (0, -1))
    share = Measure(((last - first) / size,))
    lines.append(Line("all of it, of the recording's size", share, "", 2))
    note = f"recording {size / 1e6:,.0f} MB, Parquet {parts / 1e6:,.0f} MB"
    return lines, [note]


def write(rows: int, path: Path) -> None:
    """Write a recording of so many calls, their ends and sightings."""
    with path.open("wb") as file:
        file.write(MAGIC)
        for frame in large.frames(rows, large.Machine(follow=True)):
            file.write(frame.pack())


def main(path: str, folder: str) -> None:
    """Do each step, and say what it took."""
    told("import", lambda: importlib.import_module("pyarrow.parquet"))
    trace = told("load", lambda: skbnb.load(path).replace(Selection("all")))
    told("between", lambda: trace.between(30, 31))
    told("to_parquet", lambda: trace.to_parquet(folder))


def told(name: str, step: Callable[[], Any]) -> Any:
    """Do one of them."""
    began = time.monotonic()
    made = step()
    seconds = time.monotonic() - began
    peak = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    assert peak
    print(name, f"{seconds:.2f}", peak[1], flush=True)
    return made


if __name__ == "__main__":
    main(*sys.argv[1:])
