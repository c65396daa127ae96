# SPDX-License-Identifier: Apache-2.0
"""A real notebook kernel, driven as Jupyter drives it, with live tracing."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import nbformat
import pytest
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode

from tests.live.traffic import Server

TRAFFIC = str(Path(__file__).with_name("traffic.py"))
# 15 clones.
SEND = f"!{sys.executable} {TRAFFIC} multicast 4 5"


class Kernel:
    """A kernel, and cells run in it one by one."""

    def __init__(self, client: NotebookClient, manager: AsyncKernelManager) -> None:
        self.client = client
        self.manager = manager
        self.count = 0

    async def run(self, source: str) -> NotebookNode:
        cell: NotebookNode = nbformat.v4.new_code_cell(source)
        self.client.nb.cells.append(cell)
        self.count += 1
        await self.client.async_execute_cell(
            cell, len(self.client.nb.cells) - 1, execution_count=self.count
        )
        return cell

    async def fail(self, source: str) -> NotebookNode:
        with pytest.raises(CellExecutionError):
            await self.run(source)
        cell: NotebookNode = self.client.nb.cells[-1]
        return cell

    async def value(self, expression: str) -> str:
        cell = await self.run(expression)
        return str(cell.outputs[0]["data"]["text/plain"])

    async def interrupt_once_there_is(self, path: Path) -> None:
        while not path.exists():
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.3)  # into what the cell waits in
        await self.manager.interrupt_kernel()


@asynccontextmanager
async def kernel(folder: Path) -> AsyncIterator[Kernel]:
    manager = AsyncKernelManager(
        kernel_name="python3", transport="ipc", ip=str(folder / "kernel")
    )
    await manager.start_kernel(cwd=str(folder))
    client = NotebookClient(nbformat.v4.new_notebook(), km=manager, timeout=60)
    try:
        await client.async_start_new_kernel_client()
        made = Kernel(client, manager)
        await made.run("%load_ext skbnb")
        yield made
    finally:
        if client.kc:
            client.kc.stop_channels()
        await manager.shutdown_kernel(now=True)


def mimes(cell: NotebookNode) -> list[list[str]]:
    shown = [o for o in cell.outputs if o.output_type == "display_data"]
    return [sorted(output["data"]) for output in shown]


def text(cell: NotebookNode, kind: str) -> str:
    return "".join(
        output.get("text", "") or "\n".join(output.get("traceback", []))
        for output in cell.outputs
        if output.output_type == kind
    )


SHOWN = [
    ["text/html", "text/plain"],
    ["application/vnd.plotly.v1+json", "image/svg+xml", "text/plain"],
    ["application/vnd.plotly.v1+json", "image/svg+xml", "text/plain"],
]


def run(scenario: Any, folder: Path) -> None:
    async def main() -> None:
        async with kernel(folder) as made:
            await scenario(made)

    asyncio.run(main())


def test_a_curl_in_a_cell(server: Server, tmp_path: Path) -> None:
    async def scenario(notebook: Kernel) -> None:
        cell = await notebook.run(
            f"%%skbclone -o clones\n!curl -s {server.url} | wc -c; sleep 0.1"
        )
        assert text(cell, "stream").strip() == "10000"
        assert mimes(cell) == SHOWN
        count = "(clones['comm'] == 'curl').sum().item()"
        assert await notebook.value(count) == "3"
        # The server is no child of this notebook's.
        others = f"(skbnb.last.select('all')['pid'] == {server.pid}).sum().item()"
        await notebook.run("import skbnb")
        assert await notebook.value(others) == "3"
        assert await notebook.value("set(clones['scope'])") == "{'cell'}"

    run(scenario, tmp_path)


def test_a_count_of_calls(tmp_path: Path) -> None:
    async def scenario(notebook: Kernel) -> None:
        calls = "import os\nfor _ in range(500): os.getsid(0)"
        cell = await notebook.run(f"%%funccount sys_getsid -o calls\n{calls}")
        table, bars = cell.outputs
        assert table["data"]["text/plain"].startswith(
            "FUNC        COUNT\nsys_getsid    500\n"
        )
        assert "image/svg+xml" in bars["data"]
        assert await notebook.value("calls['count'].tolist()") == "[500]"
        cell = await notebook.fail("%%funccount t:skb:zzz\nran = 1")
        (said,) = text(cell, "error").splitlines()
        assert said.startswith("OptionError: 't:skb:zzz' matches none of ")
        assert await notebook.value("'ran' in globals()") == "False"

    run(scenario, tmp_path)


def test_a_failing_cell(tmp_path: Path) -> None:
    async def scenario(notebook: Kernel) -> None:
        cell = await notebook.fail(f"%%skbclone -o clones\n{SEND}\n1 / 0")
        assert mimes(cell) == SHOWN
        assert text(cell, "error").count("Traceback") == 1
        assert "line 3" in text(cell, "error")
        assert await notebook.value("len(clones)") == "15"

    run(scenario, tmp_path)


@pytest.mark.parametrize(
    "wait",
    [
        "import time; time.sleep(30)",
        "import asyncio; await asyncio.sleep(30)",
        "import subprocess; subprocess.run(['sleep', '30'])",
    ],
)
def test_an_interrupted_cell(wait: str, tmp_path: Path) -> None:
    async def scenario(notebook: Kernel) -> None:
        waits = tmp_path / "waits"
        interrupting = asyncio.create_task(notebook.interrupt_once_there_is(waits))
        cell = await notebook.fail(
            f"%%skbclone -o clones\n{SEND}\nopen({str(waits)!r}, 'w').close()\n{wait}"
        )
        await interrupting
        assert "KeyboardInterrupt" in text(cell, "error") or "Cancelled" in text(
            cell, "error"
        )
        assert mimes(cell) == SHOWN
        assert await notebook.value("len(clones)") == "15"
        assert await notebook.value("clones.attrs['skbnb']['truncated']") == "''"
        # And the notebook goes on.
        await notebook.run(f"%%skbclone -q -o again\n{SEND}")
        assert await notebook.value("len(again)") == "15"

    run(scenario, tmp_path)


def test_await_and_threads_of_its_own(tmp_path: Path) -> None:
    async def scenario(notebook: Kernel) -> None:
        await notebook.run(
            "%%skbclone -q -o clones\n"
            "import asyncio, sys\n"
            f"command = [sys.executable, {TRAFFIC!r}, 'multicast', '4', '5']\n"
            "child = await asyncio.create_subprocess_exec(*command)\n"
            "await child.wait()"
        )
        assert await notebook.value("len(clones)") == "15"

    run(scenario, tmp_path)


def test_the_agent_ends_with_the_kernel(tmp_path: Path) -> None:
    agents: list[int] = []

    async def scenario(notebook: Kernel) -> None:
        await notebook.run("%%skbclone -q\npass")
        await notebook.run("from skbnb import notebook")
        agents.append(int(await notebook.value("notebook._notebook._transport.pid")))
        os.kill(agents[0], 0)
        pid = int(await notebook.value("import os; os.getpid()"))
        os.kill(pid, signal.SIGKILL)
        for _ in range(100):
            if not Path(f"/proc/{agents[0]}").exists():
                return
            await asyncio.sleep(0.05)
        pytest.fail("the agent outlived its notebook by 5 s")

    run(scenario, tmp_path)


# ------------------------------------------------------------------ the panel, and live

PANEL = ["application/vnd.jupyter.widget-view+json", "text/html", "text/plain"]


def test_a_cell_with_a_panel(tmp_path: Path) -> None:
    async def scenario(notebook: Kernel) -> None:
        cell = await notebook.run(f"%%skbclone --panel\n{SEND}")
        assert mimes(cell) == [PANEL]
        # What a page without widgets shows is the trace.
        assert "15 clones in" in cell.outputs[-1]["data"]["text/plain"]

    run(scenario, tmp_path)


def test_a_live_cell_counts_while_it_runs(tmp_path: Path) -> None:
    async def scenario(notebook: Kernel) -> None:
        cell = await notebook.run(
            f"%%skbclone --live\n{SEND}\nimport gc, time\ntime.sleep(1)\n"
            "from skbnb.panel import Live\n"
            "(live,) = [one for one in gc.get_objects() if type(one) is Live]\n"
            "print('seen:', live._line.value)"
        )
        assert "15 clones of the cell" in text(cell, "stream")
        assert mimes(cell) == [PANEL]
        (shown,) = (o for o in cell.outputs if o.output_type == "display_data")
        assert "15 clones in" in shown["data"]["text/plain"]

    run(scenario, tmp_path)


def test_an_interrupted_live_cell_keeps_what_came(tmp_path: Path) -> None:
    flag = tmp_path / "flag"

    async def scenario(notebook: Kernel) -> None:
        cell = f"%%skbclone --live\n{SEND}\nopen({str(flag)!r}, 'w').close()\n"
        interrupt = asyncio.create_task(notebook.interrupt_once_there_is(flag))
        failed = await notebook.fail(cell + "import time\ntime.sleep(60)")
        await interrupt
        assert "KeyboardInterrupt" in text(failed, "error")
        assert mimes(failed) == [PANEL]
        assert await notebook.value("import skbnb; len(skbnb.last.events)") == "15"

    run(scenario, tmp_path)


def test_a_trace_across_cells(tmp_path: Path) -> None:
    async def scenario(notebook: Kernel) -> None:
        await notebook.run("import skbnb; running = skbnb.start()")
        await notebook.run(SEND)
        cell = await notebook.run(f"{SEND}\nrunning")
        assert "30 clones of the cell" in cell.outputs[-1]["data"]["text/plain"]
        busy = await notebook.fail(f"%%skbclone\n{SEND}")
        assert "BusyError" in text(busy, "error")
        assert await notebook.value("len(running.stop().events)") == "30"
        assert await notebook.value("running.stop() is skbnb.last") == "True"
        assert await notebook.value("running.running") == "False"
        await notebook.run(f"%%skbclone -q -o more\n{SEND}")
        assert await notebook.value("len(more)") == "15"

    run(scenario, tmp_path)
