# SPDX-License-Identifier: Apache-2.0
"""The first notebook, whole, by each probe: what it keeps is what it shows here."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
NOTEBOOK = "notebooks/01-first-trace.ipynb"

# Run by every IPython that has it in its profile: as if each cell said --probe.
STARTUP = """
from skbnb import notebook
trace = notebook.trace
notebook.trace = lambda **options: trace(**{{**options, "probe": "{probe}"}})
"""


@pytest.mark.timeout(400)
@pytest.mark.parametrize("probe", ["fentry", "kprobe"])
def test_the_first_notebook(probe: str, tmp_path: Path) -> None:
    startup = tmp_path / "ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "probe.py").write_text(STARTUP.format(probe=probe))
    done = subprocess.run(
        [
            *(sys.executable, "-B", "-m", "pytest", "-p", "no:cacheprovider"),
            *("-o", "timeout=200", NOTEBOOK),
        ],
        cwd=CHECKOUT,
        env={
            **os.environ,
            "HOME": str(tmp_path),
            "IPYTHONDIR": str(tmp_path / "ipython"),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "",
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
