# SPDX-License-Identifier: Apache-2.0
"""IPython in a terminal, with live tracing."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

TRAFFIC = Path(__file__).with_name("traffic.py")
CELL = f"""%%skbclone --live
!{sys.executable} {TRAFFIC} multicast 4 5
import time
time.sleep(1.5)
print("the cell's own")"""
RUN = f"""
shell = get_ipython()
shell.run_cell("%load_ext skbnb")
shell.run_cell({CELL!r}).raise_error()
"""
DRAWN = re.compile(r"\x1b\[B\r([^\x1b]*)\x1b8")


def in_ipython(folder: Path, errors: int) -> str:
    """What the cell prints; what it says of errors goes elsewhere."""
    done = subprocess.run(
        [sys.executable, "-m", "IPython", "--no-banner", "--colors=NoColor", "-c", RUN],
        env={**os.environ, "IPYTHONDIR": str(folder)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout
    assert "the cell's own" in done.stdout
    assert "15 clones in" in done.stdout
    return done.stdout


def test_a_live_cell_has_a_line_in_a_terminal(tmp_path: Path) -> None:
    master, slave = os.openpty()
    try:
        in_ipython(tmp_path, slave)
        got = os.read(master, 100_000).decode()
    finally:
        os.close(slave)
        os.close(master)
    lines = DRAWN.findall(got)
    assert len(lines) >= 3
    assert len(set(lines)) == len(lines)
    assert "15 clones of the cell" in lines[-1]
    assert got.endswith("\x1b[J")


def test_a_live_cell_has_none_in_a_file(tmp_path: Path) -> None:
    with (tmp_path / "errors").open("w+") as errors:
        in_ipython(tmp_path, errors.fileno())
        errors.seek(0)
        assert "\x1b" not in errors.read()
