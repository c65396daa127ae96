# SPDX-License-Identifier: Apache-2.0
"""A lesson, cell by cell in this process: Jupyter takes long to start."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path

import nbformat
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from traitlets.config import Config

from skbnb.lessons.programs import Program

FOLDER = Path(__file__).parents[2] / "notebooks" / "lessons"

PLACE = "RECORDING = None"
ATTEMPTS = 30


def cells(lesson: str, recording: str | None = None) -> list[str]:
    """The code of a lesson's cells, on a recording if one is named."""
    notebook = nbformat.read(FOLDER / f"{lesson}.ipynb", as_version=4)
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    assert PLACE in code[0]
    if recording:
        code[0] = code[0].replace(PLACE, f"RECORDING = {recording!r}")
    return code


def play(
    lesson: str,
    recording: str | None = None,
    good: Callable[[str], bool] = lambda code: True,
) -> Generator[tuple[str, object]]:
    """Run each cell; gives its code, and what its last expression was.

    Parameters
    ----------
    lesson, recording
        Which, and on which recording.
    good
        Whether a cell need not run once more.

    Raises
    ------
    Exception
        What a cell raised.
    """
    config = Config()
    config.HistoryManager.enabled = False
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance(config=config)
    try:
        for code in cells(lesson, recording):
            for _ in range(ATTEMPTS):
                with capture_output():
                    result = shell.run_cell(code)
                result.raise_error()
                if good(code):
                    break
            yield code, result.result
    finally:
        for kept in list(shell.user_ns.values()):
            if isinstance(kept, Program):
                kept.stop()
        InteractiveShell.clear_instance()
