# SPDX-License-Identifier: Apache-2.0
"""Which threads are the cell's and which the notebook's when a trace begins.

From then on the kernel follows them itself (``on_fork`` in ``bpf/skb_scope.h``): a new
task has the scope of the task that made it. The same rule is applied here to what
exists already.
"""

from __future__ import annotations

import os
from typing import Callable, Iterator

from ..errors import RequestError

OTHER, NOTEBOOK, CELL = 1, 2, 3  # enum skb_scope

_INITIAL_PID_NAMESPACE = 0xEFFFFFFC  # PROC_PID_INIT_INO of include/linux/proc_ns.h


def knows_kernels_ids() -> bool:
    """Whether process ids here are those that the kernel's side tells."""
    return os.stat("/proc/self/ns/pid").st_ino == _INITIAL_PID_NAMESPACE


def seeds(
    cell_tid: int, notebook_pid: int, sees: Callable[[int], bool]
) -> dict[int, int]:
    """Thread id -> scope of every thread that is not ``other``.

    The thread that runs the cell, and the processes that descend from it, are the
    cell's; the notebook kernel's other threads with their descendants, and its parent
    (the server), if whoever asks `sees` it, are the notebook's. The agent itself and
    the sudo before it are nobody's.
    """
    if not knows_kernels_ids():
        raise RequestError(
            "process ids here are a container's own, and the kernel knows others",
            "Share the host's process ids: docker run --pid=host.",
        )
    if not os.path.exists(f"/proc/{notebook_pid}/task/{cell_tid}"):
        raise RequestError(f"process {notebook_pid} has no thread {cell_tid}")
    scopes: dict[int, int] = {}
    parent = _parent_of(notebook_pid)
    if parent > 1 and sees(parent):
        scopes.update(dict.fromkeys(_threads(parent), NOTEBOOK))
    ourselves = set(_ancestors(os.getpid(), notebook_pid))
    for tid in _threads(notebook_pid):
        scope = CELL if tid == cell_tid else NOTEBOOK
        scopes[tid] = scope
        for pid in _descendants(notebook_pid, tid, ourselves):
            scopes.update(dict.fromkeys(_threads(pid), scope))
    return scopes


def _threads(pid: int) -> list[int]:
    try:
        return [int(name) for name in os.listdir(f"/proc/{pid}/task")]
    except (FileNotFoundError, ProcessLookupError):
        return []


def _parent_of(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The command in parentheses may hold anything, parentheses included.
            return int(file.read().rpartition(b")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def _ancestors(pid: int, stop: int) -> Iterator[int]:
    while pid > 1 and pid != stop:
        yield pid
        pid = _parent_of(pid)


def _children(pid: int, tid: int) -> list[int]:
    # The processes that this thread made.
    try:
        with open(f"/proc/{pid}/task/{tid}/children", "rb") as file:
            return [int(child) for child in file.read().split()]
    except (FileNotFoundError, ProcessLookupError):
        return _children_by_parent(pid) if tid == pid and not _KNOWS_CHILDREN else []


def _children_by_parent(parent: int) -> list[int]:
    # Slower, and does not know which thread it was: all count as the first thread's.
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    return [pid for pid in pids if _parent_of(pid) == parent]


# CONFIG_PROC_CHILDREN
_KNOWS_CHILDREN = os.path.exists("/proc/thread-self/children")


def _descendants(pid: int, tid: int, without: set[int]) -> Iterator[int]:
    for child in _children(pid, tid):
        if child in without:
            continue
        yield child
        for thread in _threads(child):
            yield from _descendants(child, thread, without)
