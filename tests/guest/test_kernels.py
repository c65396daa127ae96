# SPDX-License-Identifier: Apache-2.0
"""The live tests under stock kernels: one result for each, as if run here."""

from __future__ import annotations

import pytest

from tests.guest.conftest import DEFAULT
from tests.guest.guests import Case, Lane
from tests.guest.kernels import choose

PROBES = ("fentry", "kprobe", "tracepoint")

# A guest's processor is some 30 times slower than the machine's: one attempt instead of
# many, no floods, and few that start an agent of their own, which compiles anew.
TESTS = (
    "test_counts.py::test_curl_makes_three_and_the_server_three[0]",
    "test_counts.py::test_every_column_of_a_curl_over_ipv4",
    "test_counts.py::test_every_column_of_a_curl_over_ipv6",
    "test_counts.py::test_ping",
    "test_counts.py::test_ping_among_raw_sockets",
    "test_counts.py::test_udp_makes_none",
    "test_counts.py::test_multicast",
    "test_counts.py::test_transmit_timestamps",
    "test_counts.py::test_a_sniffer_gets_a_clone_of_every_packet_sent",
    "test_counts.py::test_max_events_keeps_the_first_and_counts_the_rest",
    "test_counts.py::test_one_agent_counts_every_trace_anew",
    "test_counts.py::test_a_recording_is_the_live_trace",
    "test_scope.py::test_a_child_of_a_child_is_the_cells",
    "test_scope.py::test_a_process_that_the_notebook_started_before_is_the_cells",
    "test_scope.py::test_another_thread_of_the_notebook_is_the_notebooks",
    "test_scope.py::test_a_thread_that_the_cell_starts_is_the_cells",
    "test_scope.py::test_what_closes_at_exit_still_has_its_scope",
    "test_scope.py::test_two_thousand_processes_and_none_is_missed",
    "test_faults.py::test_killed_in_the_middle",
)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    # The option has no value where this folder was not named on the command line.
    names = metafunc.config.getoption("kernels", DEFAULT)
    try:
        kernels = choose(names)
    except ValueError as error:
        raise pytest.UsageError(f"--kernels: {error}") from None
    cases = [Case(k, p, t) for k in kernels for p in PROBES for t in TESTS]
    metafunc.parametrize("case", cases, ids=str)


@pytest.mark.timeout(0)  # guests have a time limit of their own
def test_live(case: Case, lane: Lane, request: pytest.FixtureRequest) -> None:
    verdict = lane.verdict(case)
    if verdict:
        request.node.add_report_section("call", "guest's log", lane.log(case))
        pytest.fail(verdict, pytrace=False)
