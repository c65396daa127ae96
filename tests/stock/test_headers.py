# SPDX-License-Identifier: Apache-2.0
"""A machine with its kernel's real headers: they say what BTF says."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

import skbnb
from tests.live.test_faults import Start, agent_run_by, in_a_namespace
from tests.live.test_places import groups
from tests.live.traffic import apart

__all__ = ["agent_run_by", "groups"]

# What differs from run to run.
RUNS_OWN = [
    *("time", "t", "count", "pid", "tid", "parent", "origin", "clone", "sport"),
    *("sk", "sk_inode", "sk_cookie", "owner_pid"),
]


def pings(**options: object) -> pd.DataFrame:
    with skbnb.trace(**options) as trace:  # type: ignore[arg-type]
        apart("ping_among_raw_sockets", 2, 1)
    about = trace.events.attrs["skbnb"]
    assert about["lost"] == about["sightings_lost"] == 0
    assert about["layout"] == options["layout"]
    return trace.events


def test_headers_say_what_btf_says(groups: Path) -> None:
    by_headers, by_btf = pings(layout="headers"), pings(layout="btf")
    assert len(by_headers) == len(by_btf) == 6
    pd.testing.assert_frame_equal(
        by_headers.drop(columns=RUNS_OWN), by_btf.drop(columns=RUNS_OWN)
    )
    assert by_headers["cgroup"].notna().any()


def test_headers_are_taken_where_there_is_no_btf(agent_run_by: Start) -> None:
    agent = agent_run_by(in_a_namespace("mount -t tmpfs none /sys/kernel/btf"))
    with skbnb.trace(probe="auto", transport=agent) as trace:
        apart("timestamping", 15)
    assert len(trace.events) == 15
    about = trace.events.attrs["skbnb"]
    assert about["layout"] == "headers"
    # Trampolines need BTF themselves.
    assert about["probe"] == "kprobe"
