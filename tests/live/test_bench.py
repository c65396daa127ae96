# SPDX-License-Identifier: Apache-2.0
"""The benchmark runs, in its quick form, and answers each of its questions."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]


@pytest.mark.timeout(600)
def test_the_quick_form(tmp_path: Path) -> None:
    output = tmp_path / "bench.json"
    command = [sys.executable, "-m", "tests.bench", "--quick", "--output", str(output)]
    done = subprocess.run(
        command, cwd=CHECKOUT, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(output.read_text())
    assert found["quick"]
    measured = {line["what"]: line for line in found["measures"]}
    assert all(line["values"] for line in measured.values())
    # What others are compared with is there, and times have no verdict.
    titles = "\n".join(measured)
    for question in (
        *("libbpf's consumer", "BCC's callback", "handbook's program", "a clone"),
        *("nothing attached", "later cells", "import skbnb", "bytes to DataFrame"),
    ):
        assert question in titles
    judged = [line for line in measured.values() if line["met"] is not None]
    assert judged
    assert not {line["unit"] for line in judged} & {"s", "ms", "ns", "M/s"}
