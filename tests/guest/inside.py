# SPDX-License-Identifier: Apache-2.0
"""What runs in a guest: pytest once for each probe, telling each result as it comes.

One JSON line for each, in a file that the host sees too, so that a guest that dies has
told what it knew.
"""

from __future__ import annotations

import functools
import json
import os
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

import pandas as pd  # noqa: F401 (slow to import: once, for all that are forked below)
import pytest

import skbnb

LIVE = "tests/live/"
TEST_SECONDS = 120


def main(folder: Path) -> None:
    """Run what ``asked`` lists by probe, in `folder`, and tell in ``told`` there."""
    # Those of no use here are slow to import.
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    os.environ["XDG_CACHE_HOME"] = "/tmp"
    asked = json.loads((folder / "asked").read_text())
    for probe, tests in asked.items():
        child = os.fork()
        if child == 0:
            os._exit(run(probe, tests, folder / "told"))
        os.waitpid(child, 0)


def run(probe: str, tests: Sequence[str], told: Path) -> int:
    """Run tests with a probe, but for those that name one themselves."""
    vars(skbnb)["trace"] = functools.partial(skbnb.trace, probe=probe)
    options = [
        *("-v", "--tb=short", "--color=no", "-p", "no:cacheprovider"),
        *("-p", "pytest_timeout", "-o", f"timeout={TEST_SECONDS}"),
        *("-o", "addopts=--import-mode=importlib"),
    ]
    with told.open("a", buffering=1) as file:
        return pytest.main(
            [*options, *(LIVE + test for test in tests)], [Teller(file, probe)]
        )


class Teller:
    """A pytest plugin that writes down what happens."""

    def __init__(self, file: TextIO, probe: str) -> None:
        self._file = file
        self._probe = probe
        self._phases: dict[str, list[pytest.TestReport]] = defaultdict(list)

    def _tell(self, **fields: object) -> None:
        self._file.write(json.dumps({"probe": self._probe, **fields}) + "\n")

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        tests = [item.nodeid for item in session.items]
        self._tell(kernel=os.uname().release, tests=tests)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._phases[report.nodeid].append(report)
        if report.when == "teardown":
            phases = self._phases.pop(report.nodeid)
            bad = [phase for phase in phases if not phase.passed]
            self._tell(
                test=report.nodeid,
                outcome=bad[0].outcome if bad else "passed",
                seconds=round(sum(phase.duration for phase in phases), 1),
                text="\n".join(map(_text, bad)),
            )

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        self._tell(status=int(exitstatus))


def _text(report: pytest.TestReport) -> str:
    captured = (f"--- {title} ---\n{content}" for title, content in report.sections)
    return "\n".join([report.longreprtext, *captured])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
