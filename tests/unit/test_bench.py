# SPDX-License-Identifier: Apache-2.0
"""The benchmark still knows the parts that it measures, and can calculate."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from skbnb.agent import program, recorder
from skbnb.agent.compiler import expand
from skbnb.agent.probes import FOLLOW_TASKS, PROBES
from tests.bench import bpf_stats, cost, flood_agent, work
from tests.bench.bpf_stats import Runs
from tests.bench.helper import Helper
from tests.bench.measures import Line, Measure, table

BENCH = Path(cost.__file__).parent

OURS = cost.Trial({"on_queue": Runs(10, 5_000), "on_fork": Runs(1, 100)}, 5, 0.001)
EMPTY = cost.Trial({"on_queue": Runs(20, 1_000), "on_use": Runs(9, 90)}, 0, 0.001)


def test_it_starts() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench", "--help"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "--quick" in done.stdout


def test_the_load_has_the_maps_that_the_agent_asks_for() -> None:
    agent = "".join(Path(str(m.__file__)).read_text() for m in (program, recorder))
    asked = re.findall(r'maps\["(\w+)"\]', agent)
    text = expand("flood.c", flood_agent.source_reader(1))
    made = re.findall(r"^BPF_\w+\((?:\"\w+\", [\w ]+, [\w ]+, )?(\w+)", text, re.M)
    # Stacks are there only if they were asked for, and the load is never.
    assert {"sockets", "records"} <= set(asked) - {"stacks"} <= set(made)


def test_bccs_callback_takes_every_member() -> None:
    members = flood_agent.event_class()
    assert flood_agent.all_members(members()).keys() == {
        name for name, *_ in members._fields_
    }


def test_every_program_has_an_empty_one() -> None:
    text = (BENCH / "bare.c").read_text()
    defined = set(re.findall(r"^BARE\((\w+)", text, re.M))
    attachments = {*FOLLOW_TASKS, *(a for probe in PROBES for a in probe.attachments)}
    assert defined == {attachment.function for attachment in attachments}


def test_a_programs_statistics_are_where_the_kernels_header_has_them(
    tmp_path: Path,
) -> None:
    places = {
        name: getattr(bpf_stats._Info, name).offset
        for name in ("name", "run_time_ns", "run_cnt", "recursion_misses")
    }
    source = tmp_path / "info.c"
    source.write_text(
        "#include <linux/bpf.h>\n#include <stddef.h>\n"
        + "".join(
            f"_Static_assert(offsetof(struct bpf_prog_info, {name}) == {place}, "
            f'"{name}");\n'
            for name, place in places.items()
        )
    )
    subprocess.run(["cc", "-fsyntax-only", source], check=True)


def test_a_process_without_programs_has_run_none() -> None:
    assert bpf_stats.runs(os.getpid()) == {}


@pytest.mark.parametrize("name", work.WORK)
def test_a_worker_says_how_long_it_took(name: str) -> None:
    worker = Helper([sys.executable, "-m", "tests.bench.work"])
    began = time.perf_counter()
    took, task = map(float, worker.ask(name, 2))
    assert task > 0
    assert 0 < took < time.perf_counter() - began
    worker.close()


def test_costs_of_a_trial() -> None:
    assert OURS.ns == 5_100
    assert OURS.per_clone == 1_020
    assert OURS.per_run("on_queue") == 500
    assert OURS.rate("on_queue") == 10_000
    assert OURS.share_of("on_queue") == pytest.approx(0.005)
    assert OURS.share == pytest.approx(0.0051)


def test_empty_programs_are_counted_for_as_many_runs_as_ours() -> None:
    assert OURS.multiple(EMPTY) == 5_000 / (10 * 50)


def test_programs_of_other_tasks_are_left_out() -> None:
    assert cost.programs_of([OURS]) == ["on_queue"]
    assert cost.programs_of([OURS], [EMPTY]) == ["on_queue"]


def test_a_program_is_called_after_what_it_is_attached_to() -> None:
    assert cost.title_of("on_consume") == "consume_skb (on_consume)"
    assert cost.title_of("on_copy_to_user").startswith("skb_copy_datagram_iovec (")
    assert cost.title_of("another") == "another"


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


def test_a_table_says_what_reaches_its_goal() -> None:
    lines = [
        Line("fast enough", Measure((0.5, 0.25, 0.75)), " ms", 1, 1e3, goal=1),
        Line("too little", Measure((2.0,)), " x", goal=3, at_least=True),
        Line("  of these", Measure((10.0,)), " x"),
    ]
    assert table("Title", lines, ["A note."]).split("\n") == [
        "Title",
        "  median [quartiles]       goal",
        "  500.0 ms [250.0, 750.0]  ≤ 1000 ms  met     fast enough",
        "  2.0 x [2.0, 2.0]         ≥ 3 x      MISSED  too little",
        "  10.0 x [10.0, 10.0]                           of these",
        "A note.",
    ]
    assert table("Title", lines[2:]).split("\n")[1] == "  median [quartiles]"
