# SPDX-License-Identifier: Apache-2.0
"""Names where the agent has a file system of its own, as in a container."""

from __future__ import annotations

import os
from pathlib import Path

import skbnb
from tests.live.test_faults import Start, agent_run_by, in_a_namespace
from tests.live.test_places import (
    ALONE,
    CHECKOUT,
    ID,
    STAMPS,
    group,
    groups,
    groups_and_containers,
    numbers_and_names,
    path_of,
    run_in,
)
from tests.live.traffic import run

__all__ = ["agent_run_by", "groups"]

# Where the first process is.
HOST = ("nsenter", "--target", "1", "--mount", "--root")


def test_names_are_the_hosts(groups: Path, agent_run_by: Start) -> None:
    hidden = [f"mount -t tmpfs none {folder}" for folder in ("/run", groups)]
    agent = agent_run_by(in_a_namespace(*hidden))
    name = f"skbnb-{os.getpid()}-host"
    inside = [*HOST, "ip", "netns", "exec", name, "env", f"PYTHONPATH={CHECKOUT}"]
    run(*HOST, "ip", "netns", "add", name)
    try:
        with group(groups, f"docker-{ID}.scope") as folder:
            with skbnb.trace(transport=agent) as trace:
                pid = run_in(folder, *STAMPS)
                run(*inside, *ALONE)
    finally:
        run(*HOST, "ip", "netns", "delete", name)
    assert {named for _, named in numbers_and_names(trace)} == {name}
    assert groups_and_containers(trace, pid) == {(path_of(folder, groups), ID[:12])}
