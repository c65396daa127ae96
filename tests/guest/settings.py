# SPDX-License-Identifier: Apache-2.0
"""What is booted, and which tests run there: one row for each guest.

A test is named by its file below ``tests`` and, where not the whole file is meant, its
function. A way is how it traces: a probe, ``PROBE+perf`` for the same with the perf
buffer, or ``-`` for tests that choose for themselves and run once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from tests.guest.debian import codename
from tests.guest.kernels import SUITES

TESTS = Path(__file__).parents[1]

ITS_OWN = "-"

# A guest's processor is some 30 times slower than the machine's: one attempt instead of
# many, no floods, and few that start an agent of their own, which compiles anew.
COUNTS = (
    "live/test_counts.py::test_curl_makes_three_and_the_server_three[0]",
    "live/test_counts.py::test_every_column_of_a_curl_over_ipv4",
    "live/test_counts.py::test_every_column_of_a_curl_over_ipv6",
    "live/test_counts.py::test_ping",
    "live/test_counts.py::test_ping_among_raw_sockets",
    "live/test_counts.py::test_udp_makes_none",
    "live/test_counts.py::test_multicast",
    "live/test_counts.py::test_transmit_timestamps",
    "live/test_counts.py::test_a_sniffer_gets_a_clone_of_every_packet_sent",
    "live/test_compare.py::test_the_sniffer_of_pings_is_named",
    "live/test_compare.py::test_a_sniffer_of_all_devices_of_another_namespace",
    "live/test_counts.py::test_max_events_keeps_the_first_and_counts_the_rest",
    "live/test_counts.py::test_one_agent_counts_every_trace_anew",
    "live/test_counts.py::test_a_recording_is_the_live_trace",
)
BUFFERS = (  # what another buffer may spoil
    "live/test_counts.py::test_every_column_of_a_curl_over_ipv4",
    "live/test_counts.py::test_ping_among_raw_sockets",
    "live/test_counts.py::test_multicast",
    "live/test_counts.py::test_max_events_keeps_the_first_and_counts_the_rest",
    "live/test_counts.py::test_one_agent_counts_every_trace_anew",
    "live/test_counts.py::test_a_recording_is_the_live_trace",
)
SCOPES = (
    "live/test_scope.py::test_a_child_of_a_child_is_the_cells",
    "live/test_scope.py::test_a_process_that_the_notebook_started_before_is_the_cells",
    "live/test_scope.py::test_another_thread_of_the_notebook_is_the_notebooks",
    "live/test_scope.py::test_a_thread_that_the_cell_starts_is_the_cells",
    "live/test_scope.py::test_what_closes_at_exit_still_has_its_scope",
    "live/test_scope.py::test_two_thousand_processes_and_none_is_missed",
)
PLACES = (
    "live/test_places.py::test_two_namespaces_have_their_names",
    "live/test_places.py::test_a_namespace_that_ends_in_the_cell_keeps_its_name",
    "live/test_places.py::test_a_socket_is_in_the_control_group_of_its_maker",
    "live/test_places.py::test_a_container",
    "live/test_places.py::test_an_accepted_socket_is_in_the_listeners_group",
)
PACKETS = ("live/test_packets.py::test_what_tcp_sends_is_what_a_sniffer_sees",)
MEANINGS = ("live/test_why.py", "live/test_lives.py")
KILLED = ("live/test_faults.py::test_killed_in_the_middle",)
AGREEMENT = ("stock/test_agreement.py", "stock/test_interrupted.py")
DETACHED = ("stock/test_detached.py", "stock/test_missing.py")
# Each that starts an agent of its own compiles anew, for a minute or two; and what a
# probe is held by is always a file descriptor.
SOME_DETACHED = (
    "stock/test_detached.py::test_a_warm_agent_is_attached_nowhere",
    "stock/test_detached.py::test_nothing_is_left_after_the_agent[kprobe]",
    "stock/test_detached.py::test_nothing_is_left_after_the_notebook[kprobe-its death]",
    "stock/test_missing.py",
)
NAMES = ("stock/test_places.py",)
CLOCK = ("stock/test_machine.py::test_the_clock_is_set_meanwhile",)
PROCESSORS = ("stock/test_machine.py::test_a_processor_is_taken_away_and_given_back",)
CALLS = ("stock/test_funccount.py",)
WAYS = ("stock/test_ways.py",)
VIEWER = ("stock/test_viewer.py",)
ONE_VIEWER = ("stock/test_viewer.py::test_others_are_counted_and_not_named[fentry]",)
ONE_WAY = ("stock/test_ways.py::test_the_same_curl[kprobe]",)
WAYS_WITHIN = (
    "live/test_ways.py::test_curl_makes_three_and_the_server_three",
    "live/test_ways.py::test_what_it_calls_a_process_is_a_thread",
    "live/test_ways.py::test_another_reader_of_the_pipe",
    "live/test_ways.py::test_lines_of_others_are_left_out",
    "live/test_ways.py::test_a_hostile_name",
    "live/test_ways.py::test_sums_of_each_process",
)
ALL_CALLS = (*CALLS, "live/test_funccount.py")
DOCTOR_WITHIN = (
    "live/test_doctor.py::test_the_agents_python_is_told",
    "live/test_doctor.py::test_every_probe_is_told_as_a_trace_with_it_tells",
)
# Slow: what each of the rest starts imports and compiles anew, and as a rule often.
DOCTOR = (
    *DOCTOR_WITHIN,
    "live/test_doctor.py::test_this_machine_is_told_as_it_is_and_its_owner_is_not",
)
COMMAND = (
    "live/test_cli.py::test_curl_makes_three",
    "live/test_cli.py::test_what_the_command_starts_is_its_own",
    "live/test_cli.py::test_options_reach_the_trace",
    "live/test_cli.py::test_calls_are_shown_while_the_command_runs_and_ctrl_c_ends_it",
    "live/test_cli.py::test_nothing_is_left_after_a_killed_skbnb",
)

BY_PROBE = {
    # Which probe it is that dies does not matter.
    "fentry": COUNTS + SCOPES + PLACES + PACKETS + KILLED,
    # Asks whose clone it is as fentry does.
    "kprobe": COUNTS + PACKETS,
    # May see a clone later, and elsewhere.
    "tracepoint": COUNTS + SCOPES + PLACES + PACKETS,
}
EVERYTHING = {
    **BY_PROBE,
    "tracepoint+perf": BUFFERS,
    ITS_OWN: (
        *(AGREEMENT + DETACHED + NAMES + CLOCK + ALL_CALLS + DOCTOR + COMMAND),
        *(WAYS + WAYS_WITHIN + VIEWER),
    ),
}
# A program that a test starts would take the machine's own userland.
OTHER_USERLAND = {**BY_PROBE, ITS_OWN: ALL_CALLS + DOCTOR_WITHIN + WAYS_WITHIN}
# Before Linux 5.12 calls are not numbered, and there are no families.
WITH_MEANINGS = {
    **EVERYTHING,
    "fentry": BY_PROBE["fentry"] + MEANINGS,
    "kprobe": BY_PROBE["kprobe"] + MEANINGS,
}

# What every change is tested with: what agrees is seen on two kernels, and each of the
# other tests runs on one of them.
BRIEF_OWN = {
    "fentry": BY_PROBE["fentry"],
    ITS_OWN: AGREEMENT + SOME_DETACHED + CLOCK + ONE_WAY + ONE_VIEWER,
}
BRIEF_NEWEST = {
    "fentry": COUNTS,
    "kprobe": COUNTS,
    "tracepoint": COUNTS + SCOPES + PLACES,
    "tracepoint+perf": BUFFERS,
    ITS_OWN: AGREEMENT + NAMES + CALLS,
}


class Setting(NamedTuple):
    """A guest, before it is booted.

    Parameters
    ----------
    name
        In the names of its tests' results, and after ``--kernels``.
    kernel
        As in `kernels.SUITES`.
    runs
        Tests by way, in the order in which they run.
    userland
        The Debian suite whose Python and BCC the agent has; None for the machine's own.
    boot
        Additions to the kernel's command line.
    headers
        Whether the kernel's own headers are installed there.
    cpus
        How many processors it has. Two wait for each other, where no hardware helps to
        emulate them.
    qemu
        What is added to the emulator's own options.
    """

    name: str
    kernel: str
    runs: Mapping[str, tuple[str, ...]]
    userland: str | None = None
    boot: tuple[str, ...] = ()
    headers: bool = False
    cpus: int = 1
    qemu: tuple[str, ...] = ()


SETTINGS = {
    setting.name: setting
    for setting in (
        *(
            Setting(kernel, kernel, EVERYTHING if kernel == "5.10" else WITH_MEANINGS)
            for kernel in SUITES
        ),
        Setting("5.10+bullseye", "5.10", OTHER_USERLAND, userland="bullseye"),
        Setting("6.12+trixie", "6.12", OTHER_USERLAND, userland="trixie"),
        Setting("6.1+notebook", "6.1", {ITS_OWN: ("stock/test_notebook.py",)}),
        Setting(
            "6.1+headers",
            "6.1",
            {ITS_OWN: ("stock/test_headers.py",)},
            headers=True,
        ),
        Setting(
            "6.1+lockdown",
            "6.1",
            {ITS_OWN: ("stock/test_lockdown.py",)},
            boot=("lockdown=confidentiality",),
        ),
        Setting("6.1+processors", "6.1", {ITS_OWN: PROCESSORS}, cpus=2),
    )
}


# What measures, and so is no part of all tests. The clock goes on by a nanosecond with
# each instruction.
MEASURING = {
    "newest+cost": Setting(
        "newest+cost",
        "newest",
        {ITS_OWN: ("stock/test_cost.py",)},
        qemu=("-icount", "shift=0"),
    )
}


class Case(NamedTuple):
    """A test, to be run in a setting in one of its ways."""

    setting: str
    way: str
    test: str

    def __str__(self) -> str:
        return " ".join(self)


def cases(setting: Setting) -> Iterator[Case]:
    """A setting's tests, function by function."""
    for way, tests in setting.runs.items():
        for test in tests:
            for function in _functions(test):
                yield Case(setting.name, way, function)


def _functions(test: str) -> list[str]:
    """The functions of a test file; a test that is one stays as it is."""
    file, one, _ = test.partition("::")
    if one:
        return [test]
    names = re.findall(r"^def (test_\w+)", (TESTS / file).read_text(), re.M)
    return [f"{file}::{name}" for name in names]


_KNOWN = {**SETTINGS, **MEASURING}


def choose(names: str) -> list[Setting]:
    """Resolve a comma-separated list of settings, ``brief`` and ``all`` among them.

    Raises
    ------
    ValueError
        A name is none of them.
    """
    chosen: dict[str, Setting] = {}  # in this order, each once
    for name in names.split(","):
        if name == "all":
            chosen.update(SETTINGS)
        elif name == "brief":
            for setting in _brief():
                chosen.setdefault(setting.name, setting)
        elif name in _KNOWN:
            chosen.setdefault(name, _KNOWN[name])
        else:
            known = ", ".join(_KNOWN)
            raise ValueError(f"{name!r} is not one of {known}, brief, all")
    return list(chosen.values())


def _brief() -> tuple[Setting, ...]:
    """The distribution's own kernel, the newest, and one with two processors.

    The first is one that cannot be had, where the distribution's is not known.
    """
    known = (name for name, suite in SUITES.items() if suite == codename())
    name = next(known, "own")
    newest = SETTINGS["newest"]._replace(runs=BRIEF_NEWEST)
    return Setting(name, name, BRIEF_OWN), newest, SETTINGS["6.1+processors"]
