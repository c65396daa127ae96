# SPDX-License-Identifier: Apache-2.0
"""Live tests under stock kernels: one result for each, as if run here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.guest.conftest import chosen
from tests.guest.guests import Case, Lane
from tests.guest.settings import Setting

TESTS = Path(__file__).parents[1]


def cases(setting: Setting) -> Iterator[Case]:
    """A setting's tests, function by function."""
    for way, tests in setting.runs.items():
        for test in tests:
            for function in functions(test):
                yield Case(setting.name, way, function)


def functions(test: str) -> list[str]:
    """The functions of a test file; a test that is one stays as it is."""
    path = TESTS / test
    if not path.exists():
        return [test]
    names = re.findall(r"^def (test_\w+)", path.read_text(), re.M)
    return [f"{test}::{name}" for name in names]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    found = [case for setting in chosen(metafunc.config) for case in cases(setting)]
    metafunc.parametrize("case", found, ids=str)


@pytest.mark.timeout(0)  # guests have a time limit of their own
def test_live(case: Case, lane: Lane, request: pytest.FixtureRequest) -> None:
    verdict = lane.verdict(case)
    if verdict:
        request.node.add_report_section("call", "guest's log", lane.log(case))
        pytest.fail(verdict, pytrace=False)
