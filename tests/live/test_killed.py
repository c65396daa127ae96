# SPDX-License-Identifier: Apache-2.0
"""The agent is killed for want of memory, or the notebook's kernel: what is left of it.

What ends them by a signal, and what else there is, is in test_faults.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from nbclient.exceptions import CellExecutionError, DeadKernelError

import skbnb
from skbnb.errors import TruncatedWarning
from skbnb.transport import AgentTransport
from tests.ledger import Fault
from tests.live import traffic
from tests.live.leftovers import Watch, agents
from tests.live.test_notebook import Kernel, kernel
from tests.live.traffic import apart

SENT, MANY = 15, 2_000
SEND = f"!{sys.executable} {traffic.__file__} timestamping {SENT}"

_numbers = itertools.count()


class Group:
    """A control group of the test's own, of version 1 or 2, which limits memory."""

    def __init__(self) -> None:
        top = Path("/sys/fs/cgroup")
        name = f"skbnb-{os.getpid()}-{next(_numbers)}"
        self._old = (top / "memory").is_dir()
        self.folder = top / "memory" / name if self._old else top / name
        self.folder.mkdir()

    def move(self, pid: int) -> None:
        """Put a process into it; what it already has stays charged where it was."""
        (self.folder / "cgroup.procs").write_text(str(pid))

    def limit(self, size: int) -> None:
        """Let it take so many bytes from now on."""
        name = "memory.limit_in_bytes" if self._old else "memory.max"
        (self.folder / name).write_text(str(size))

    @property
    def killed(self) -> int:
        """How many of its processes the kernel has killed for want of memory."""
        name = "memory.oom_control" if self._old else "memory.events"
        (count,) = re.findall(r"(?m)^oom_kill (\d+)$", (self.folder / name).read_text())
        return int(count)


@pytest.fixture
def group() -> Iterator[Group]:
    """One that is gone afterwards."""
    group = Group()
    yield group
    deadline = time.monotonic() + 10
    while (group.folder / "cgroup.procs").read_text():
        assert time.monotonic() < deadline, "a process is left in it"
        time.sleep(0.05)
    group.folder.rmdir()


def test_an_agent_killed_for_want_of_memory(
    watch: Watch, group: Group, fault: Fault
) -> None:
    agent = AgentTransport()
    with (
        pytest.warns(TruncatedWarning, match="signal 9"),
        skbnb.trace(transport=agent) as trace,
    ):
        watch.look()
        apart("timestamping", SENT)
        time.sleep(0.3)  # longer than the agent's tick: all of these have come
        group.move(agent.pid)
        group.limit(4096)
        made, deadline = SENT, time.monotonic() + 60
        while not group.killed:
            assert time.monotonic() < deadline, "the kernel has killed nobody"
            apart("timestamping", MANY)
            made += MANY
    agent.close()
    assert group.killed == 1
    kept = trace.events["count"].tolist()
    assert SENT <= len(kept) < made
    assert kept == sorted(kept)
    about = trace.events.attrs["skbnb"]
    assert about["lost"] is None
    assert about["ended"] == "truncated"
    again = AgentTransport()
    with skbnb.trace(transport=again) as trace:
        watch.look()
        apart("timestamping", SENT)
    again.close()
    assert len(trace.events) == SENT
    fault(
        "The agent killed by the kernel for want of memory, in the middle of a trace",
        f"what had not been read yet: {len(kept):,} of {made:,} clones are there; the "
        "trace says that it was cut short, and that what was lost is unknown",
    )


def test_a_notebooks_kernel_killed_and_restarted(
    watch: Watch, fault: Fault, tmp_path: Path
) -> None:
    flag = tmp_path / "flag"

    async def scenario() -> None:
        async with kernel(tmp_path) as notebook:
            pid = int(await notebook.value("import os; os.getpid()"))
            cell = f"%%skbclone\n{SEND}\nopen({str(flag)!r}, 'w').close()\n"
            running = asyncio.create_task(
                notebook.run(cell + "import time; time.sleep(600)")
            )
            while not flag.exists():
                await asyncio.sleep(0.05)
            watch.look()
            os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(DeadKernelError, CellExecutionError):
                await running
            await gone(watch)
            await restart(notebook)
            await notebook.run("%load_ext skbnb")
            await notebook.run(f"%%skbclone -q -o clones\n{SEND}")
            watch.look()
            about = "len(clones), clones.attrs['skbnb']['lost']"
            assert await notebook.value(about) == f"({SENT}, 0)"

    asyncio.run(scenario())
    fault(
        "A notebook's kernel killed in the middle of a traced cell, and restarted",
        "that cell's trace; the next cell's is whole",
    )


async def gone(watch: Watch) -> None:
    """Wait until the agents that were seen have ended, without anyone's help."""
    for _ in range(400):
        if not any(Path(f"/proc/{pid}").exists() for pid in watch.seen):
            return
        await asyncio.sleep(0.05)
    pytest.fail(f"an agent outlived its notebook by 20 s: {agents()}")


async def restart(notebook: Kernel) -> None:
    """Restart the kernel, as a person does who was told that it died."""
    await notebook.manager.restart_kernel(now=True)
    assert notebook.client.kc
    await notebook.client.kc._async_wait_for_ready(timeout=60)
