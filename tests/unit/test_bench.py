# SPDX-License-Identifier: Apache-2.0
"""The benchmark still knows the parts that it measures."""

from __future__ import annotations

import subprocess
import sys


def test_it_starts() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench", "--help"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "--quick" in done.stdout
