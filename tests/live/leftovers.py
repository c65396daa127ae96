# SPDX-License-Identifier: Apache-2.0
"""What agents hold while they are at work, and that nothing of it is left.

Others trace on the same machine meanwhile: only what the agents held that this test run
started counts.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import tempfile
import time
from collections import defaultdict
from pathlib import Path

__all__ = ["KINDS", "Watch", "agents", "held_by", "loaded"]

KINDS = ("prog", "map", "link")

# Seconds in which the kernel, or a process, must be done with its end.
_PATIENCE = 20

Ids = dict[str, set[int]]


def held_by(process: int) -> Ids:
    """The ids of the BPF programs, maps and links that a process holds."""
    found: Ids = {kind: set() for kind in KINDS}
    for path in Path(f"/proc/{process}/fdinfo").iterdir():
        for kind, number in re.findall(r"(?m)^(\w+)_id:\s+(\d+)$", path.read_text()):
            if kind in found:
                found[kind].add(int(number))
    return found


def loaded() -> Ids:
    """Those of all that are in the kernel, as libbpf lists them."""
    lib = ctypes.CDLL("libbpf.so.1", use_errno=True)
    found: Ids = {}
    for kind in KINDS:
        ids, last = set(), ctypes.c_uint32(0)
        following = getattr(lib, f"bpf_{kind}_get_next_id")
        while following(last, ctypes.byref(last)) == 0:
            ids.add(last.value)
        assert ctypes.get_errno() == errno.ENOENT
        found[kind] = ids
    return found


def agents() -> set[int]:
    """Agents, and the sudo before them, that descend from this process."""
    children: dict[int, list[int]] = defaultdict(list)
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            stat = Path(f"/proc/{name}/stat").read_bytes()
        except OSError:
            continue
        children[int(stat.rpartition(b")")[2].split()[1])].append(int(name))
    found, pending = set(), [os.getpid()]
    while pending:
        below = children[pending.pop()]
        pending += below
        found |= {pid for pid in below if _is_agent(pid)}
    return found


def _is_agent(pid: int) -> bool:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return any(re.search(rb"/agent[^/]*\.pyz$", word) for word in words)


class Watch:
    """What there is of ours from now on, and what `look` has seen of it."""

    def __init__(self) -> None:
        self._agents = agents()
        self.seen: set[int] = set()
        self.held: Ids = {kind: set() for kind in KINDS}

    def look(self) -> None:
        """Take note of the agents at work, which there must be, and what they hold."""
        at_work = agents() - self._agents
        assert at_work, "no agent is at work"
        self.seen |= at_work
        for agent in at_work:
            for kind, ids in held_by(agent).items():
                self.held[kind] |= ids
        assert all(self.held.values()), f"an agent at work holds {self.held}"

    def assert_nothing_left(self) -> None:
        """All that was seen is gone, and so are the files of who was seen."""
        assert self.seen, "nobody has looked"
        deadline = time.monotonic() + _PATIENCE
        while left := self._left():
            assert time.monotonic() < deadline, f"left: {left}"
            time.sleep(0.05)

    def _left(self) -> dict[str, object]:
        there = loaded()
        left: dict[str, object] = {k: there[k] & self.held[k] for k in KINDS}
        left["agents"] = {pid for pid in self.seen if _is_agent(pid)}
        temporary = Path(tempfile.gettempdir())
        left["files"] = [
            path for pid in self.seen for path in temporary.glob(f"skbnb-{pid}-*")
        ]
        return {kind: found for kind, found in left.items() if found}
