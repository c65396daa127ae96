# SPDX-License-Identifier: Apache-2.0
"""A cell that fails without a word fails its notebook (notebooks/conftest.py)."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

CONFTEST = Path(__file__).parents[2] / "notebooks" / "conftest.py"
SILENCE = "get_ipython()._showtraceback = lambda *_: None"


@pytest.mark.parametrize(
    ("cells", "status"), [([SILENCE, "1 / 0"], 1), ([SILENCE, "1 / 1;"], 0)]
)
def test_replies_are_read(tmp_path: Path, cells: list[str], status: int) -> None:
    shutil.copy(CONFTEST, tmp_path)
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [nbformat.v4.new_code_cell(cell) for cell in cells]
    nbformat.write(notebook, tmp_path / "silent.ipynb")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--nbval-lax", "--nbval-current-env", "."],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == status, done.stdout
    assert ("ZeroDivisionError" in done.stdout) == bool(status)
