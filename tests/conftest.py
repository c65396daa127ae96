# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C works in every test, and ``--faults`` writes down what tests found out.

A shell has what it starts in the background ignore SIGINT and SIGQUIT, and nohup
SIGHUP; Python then leaves it so, and whatever it starts ignores them, too.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import ledger
from tests.ledger import Fault

signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--faults",
        type=Path,
        help="write what the tests of faults and the long ones found out into the "
        "tables of this Markdown file",
    )


def pytest_configure(config: pytest.Config) -> None:
    if path := config.getoption("faults", None):
        try:
            ledger.check(path)  # now, and not when all have run
        except (OSError, ValueError) as error:
            raise pytest.UsageError(f"--faults: {error}") from None
        config.pluginmanager.register(ledger.Ledger(path))


@pytest.fixture
def fault(record_property: Callable[[str, object], None]) -> Fault:
    """Tell what was done, and what was lost by it."""
    return lambda what, lost: record_property("faults", (what, lost))
