# SPDX-License-Identifier: Apache-2.0
"""What others may have written is read, or refused in a word: never anything else.

Each target is read in a process of its own, with a limit to its memory: a crash, a
length that is believed and an input without end are told like any other mistake. The
agent's are read by the Python that the agent runs in.
"""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from skbnb.transport import AGENT_PYTHON
from tests.fuzz.targets import TARGETS

CHECKOUT = Path(__file__).parents[2]

# Seconds in which an input must be done with, on however busy a machine.
PATIENCE = 60

# What `make soak` reads at once.
PIECE = 10_000


def read(target: str, *which: object, patience: float) -> dict[str, int]:
    """Read inputs apart; how many were read, and how many refused by which error."""
    python = AGENT_PYTHON if TARGETS[target].as_root else sys.executable
    command = [python, "-m", "tests.fuzz", target, *map(str, which)]
    with tempfile.TemporaryFile() as now:
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=CHECKOUT,
            env={**os.environ, "FUZZ_NOW": str(now.fileno())},
            pass_fds=[now.fileno()],
        )
        try:
            printed, said = process.communicate(timeout=patience)
        except subprocess.TimeoutExpired:
            process.kill()
            _, said = process.communicate()
            said += "it did not come to an end"
        now.seek(0)
        name = now.readline().decode().strip()
    if process.returncode:
        pytest.fail(f"{target} {name}: status {process.returncode}\n{said}")
    came: dict[str, int] = json.loads(printed)
    return came


@pytest.mark.parametrize("target", TARGETS)
def test_inputs_that_were_changed_a_little(target: str) -> None:
    count = TARGETS[target].brief
    came = read(target, 0, count, patience=PATIENCE)
    assert sum(came.values()) == count
    # Else what is behind the first check would never be reached.
    assert came["read"] > count // 10


@pytest.mark.parametrize("target", TARGETS)
def test_what_once_went_wrong(target: str) -> None:
    kept = list((CHECKOUT / "tests" / "fuzz" / "corpus" / target).glob("*"))
    came = read(target, "kept", patience=PATIENCE)
    assert sum(came.values()) == len(kept)


@pytest.mark.soak
@pytest.mark.timeout(4 * 3600)
@pytest.mark.parametrize("target", TARGETS)
def test_a_million_inputs(
    target: str, record_property: Callable[[str, object], None]
) -> None:
    # Others each day; those of a day can be read again.
    first = datetime.date.today().toordinal() * 1_000_000
    about = TARGETS[target]
    read_, refused = 0, 0
    for begin in range(first, first + about.soak, PIECE):
        count = min(PIECE, first + about.soak - begin)
        came = read(target, begin, count, patience=30 * PATIENCE)
        assert sum(came.values()) == count
        read_ += came["read"]
        refused += count - came["read"]
    assert read_ + refused == about.soak
    print(f"{target}: {about.soak:,} inputs, {read_:,} read, {refused:,} refused")
    record_property("fuzzed", about.what)
    record_property("inputs", f"{about.soak:,}")
    record_property("came", f"{read_:,} read, {refused:,} refused")


def test_there_are_a_million() -> None:
    assert sum(about.soak for about in TARGETS.values()) >= 1_000_000
