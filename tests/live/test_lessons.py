# SPDX-License-Identifier: Apache-2.0
"""Lessons as students have them: with root, and without."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from skbnb import lessons, notebook
from skbnb.lessons import programs, stage
from tests.lessons.answers import RIGHT

CHECKOUT = Path(__file__).parents[2]
NOTEBOOKS = [
    path.relative_to(CHECKOUT)
    for path in sorted((CHECKOUT / "notebooks" / "lessons").rglob("*.ipynb"))
]


@pytest.fixture
def lesson() -> Iterator[stage.Lesson]:
    """A lesson that traces this kernel."""
    yield lessons.begin(stage.LESSONS[0])
    notebook.stand_in(None)
    vars(stage)["_lesson"] = None


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_answer_is_right_here(name: str, lesson: stage.Lesson) -> None:
    assert lesson.live
    assert repr(lesson).startswith("LIVE: ")
    verdict = lessons.check(name, RIGHT[name])
    assert verdict.passed, verdict
    assert "measured on this machine" in repr(verdict)


def test_a_sniffer_of_this_machine_is_named(lesson: stage.Lesson) -> None:
    with programs.Program("sniffer") as sniffer:
        verdict = lessons.check("clones-of-a-fetch", 6)
    assert f"sniffer {sniffer.pid} sniffs lo" in " ".join(repr(verdict).split())
    # TCP made no more clones than without: the answer is right all the same.
    assert verdict.passed, verdict


def test_a_lesson_says_who_sniffs_anyway(lesson: stage.Lesson) -> None:
    assert not lesson.sniffed
    with programs.Program("sniffer") as sniffer:
        said = repr(lessons.begin(stage.LESSONS[0]))
    assert f"sniffer {sniffer.pid} sniffs lo: expect more clones." in said


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder of a user who has nothing else."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.chown(folder, "nobody", "nogroup")
        yield Path(folder)


def as_nobody(home: Path, *arguments: str) -> str:
    """Run Python as a user without rights, which must succeed; what it printed."""
    nobody = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
    # It may read what only root may, or it could not run a Python that root installed.
    may_read = [f"--{kind}-caps=+dac_read_search" for kind in ("inh", "ambient")]
    done = subprocess.run(
        [*nobody, *may_read, sys.executable, "-B", *arguments],
        cwd=CHECKOUT,
        env={**os.environ, "HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_banner_says_why_there_are_recordings(home: Path) -> None:
    code = f"from skbnb import lessons; print(lessons.begin('{stage.LESSONS[0]}'))"
    said = as_nobody(home, "-c", code)
    assert said.startswith("RECORDED: Every trace below was recorded on Linux ")
    assert "not on this machine: sudo refused to start the agent" in said


@pytest.mark.parametrize("path", NOTEBOOKS, ids=str)
def test_a_lesson_without_root(path: Path, home: Path) -> None:
    """All that is kept in the notebook shows again, but for the banner: by nbval."""
    options = ("-p", "no:cacheprovider", "-o", "timeout=200")
    as_nobody(home, "-m", "pytest", *options, str(path))
