# SPDX-License-Identifier: Apache-2.0
"""The benchmark still knows the parts that it measures."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from skbnb.agent import program
from skbnb.agent.compiler import expand
from tests.bench import flood_agent
from tests.bench.measures import Line, Measure


def test_it_starts() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench", "--help"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "--quick" in done.stdout


def test_the_load_has_the_maps_that_the_agent_asks_for() -> None:
    asked = re.findall(r'_bpf\[b"(\w+)"\]', Path(program.__file__).read_text())
    text = expand("flood.c", flood_agent.source_reader(1))
    made = re.findall(r"^BPF_\w+\((?:\"\w+\", [\w ]+, [\w ]+, )?(\w+)", text, re.M)
    assert {"sockets", "records"} <= set(asked) <= set(made)


def test_bccs_callback_takes_every_member() -> None:
    members = flood_agent.event_class()
    assert flood_agent.all_members(members()).keys() == {
        name for name, *_ in members._fields_
    }


def test_a_file_has_the_tables_numbers_and_units() -> None:
    line = Line("what", Measure((0.5, 0.25, 0.75)), " ms", 1, 1e3, goal=1)
    assert line.json() == {
        "what": "what",
        "unit": "ms",
        "median": 500,
        "quartiles": (250, 750),
        "values": (500, 250, 750),
        "goal": 1000,
        "met": True,
    }
