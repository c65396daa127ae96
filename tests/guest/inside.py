# SPDX-License-Identifier: Apache-2.0
"""What runs in a guest: pytest once for each way, telling each result as it comes.

One JSON line for each, in a file that the host sees too, so that a guest that dies has
told what it knew.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

import pytest

import skbnb
from skbnb import counting, notebook, transport
from skbnb.doctor import tracing
from skbnb.session import Session
from tests.guest.settings import ITS_OWN
from tests.guest.told import TESTS

TEST_SECONDS = 600  # with the kernel's own headers each compile takes minutes

# For the agent's Python, of whatever version.
_ABOUT = """
import platform, re, bcc
with open("/etc/os-release") as file:
    system = re.search('^PRETTY_NAME="?(.*?)"?$', file.read(), re.M).group(1)
print("%s, BCC %s, Python %s" % (system, bcc.__version__, platform.python_version()))
"""

_trace = skbnb.trace


def main(folder: Path, agent_python: str) -> None:
    """Run what ``asked`` lists by way, in `folder`, and tell in ``told`` there."""
    # Those of no use here are slow to import.
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    os.environ["XDG_CACHE_HOME"] = "/tmp"
    vars(transport)["AGENT_PYTHON"] = agent_python
    for module in (notebook, counting, tracing):
        vars(module)["Session"] = functools.partial(Session, patience=TEST_SECONDS)
    asked = json.loads((folder / "asked").read_text())
    with (folder / "told").open("a", buffering=1) as told:
        about = {"kernel": os.uname().release, "userland": userland(agent_python)}
        told.write(json.dumps(about) + "\n")
        # All in one process: what one way's agent has compiled serves the next.
        for way, tests in asked.items():
            run(way, tests, Teller(told, way))


def userland(agent_python: str) -> str:
    """What the agent finds where it runs; the reason if it cannot run."""
    command = [agent_python, "-I", "-c", _ABOUT]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout.strip() or done.stderr.strip().rpartition("\n")[2]


def run(way: str, tests: Sequence[str], teller: Teller) -> None:
    """Run tests in one way, but for those that choose for themselves."""
    probe, _, buffer = way.partition("+")
    options: dict[str, Any] = {"probe": probe}
    if buffer:
        options["buffer"] = buffer
    chosen = _trace if way == ITS_OWN else functools.partial(_trace, **options)
    vars(skbnb)["trace"] = chosen
    arguments = [
        *("-v", "--tb=short", "--color=no", "-p", "no:cacheprovider"),
        *("-p", "pytest_timeout", "-o", f"timeout={TEST_SECONDS}"),
        *("-o", "addopts=--import-mode=importlib"),
        *(TESTS + test for test in tests),
    ]
    pytest.main(arguments, [teller])


class Teller:
    """A pytest plugin that writes down what happens."""

    def __init__(self, file: TextIO, way: str) -> None:
        self._file = file
        self._way = way
        self._phases: dict[str, list[pytest.TestReport]] = defaultdict(list)

    def _tell(self, **fields: object) -> None:
        self._file.write(json.dumps({"way": self._way, **fields}) + "\n")

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._tell(tests=[item.nodeid for item in session.items])

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
                said="" if bad else _printed(phases),
            )

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        self._tell(status=int(exitstatus))


def _printed(phases: Sequence[pytest.TestReport]) -> str:
    return "".join(phase.capstdout for phase in phases if phase.when == "call")


def _text(report: pytest.TestReport) -> str:
    captured = (f"--- {title} ---\n{content}" for title, content in report.sections)
    return "\n".join([report.longreprtext, *captured])


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
