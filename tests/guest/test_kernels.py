# SPDX-License-Identifier: Apache-2.0
"""Live tests under stock kernels: one result for each, as if run here."""

from __future__ import annotations

import pytest

from tests.guest.conftest import chosen
from tests.guest.guests import Lane
from tests.guest.settings import Case, cases


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    found = [case for setting in chosen(metafunc.config) for case in cases(setting)]
    metafunc.parametrize("case", found, ids=str)


@pytest.mark.timeout(0)  # guests have a time limit of their own
def test_live(case: Case, lane: Lane, request: pytest.FixtureRequest) -> None:
    verdict = lane.verdict(case)
    if verdict:
        request.node.add_report_section("call", "guest's log", lane.log(case))
        pytest.fail(verdict, pytrace=False)
