# SPDX-License-Identifier: Apache-2.0
"""Run a notebook for real and keep what it showed.

Leaves two files: the executed notebook, and one HTML page whose figures can be zoomed
and hovered over without a network. What a notebook shows both as text and as HTML, as
traces and tables do, is also printed in the terminal.
"""

from __future__ import annotations

import argparse
import asyncio
import copy
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import nbformat
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import (
    CellExecutionError,
    CellTimeoutError,
    DeadKernelError,
)
from nbformat import NotebookNode

CELL_TIMEOUT = 300
"""Seconds that one cell may take."""

FIGURE = "application/vnd.plotly.v1+json"
WIDGET = "application/vnd.jupyter.widget-view+json"

# JupyterLab's page without the scripts that it would load from the network, and in
# lines that can be read on a wide screen.
PAGE = """
{%- extends 'lab/index.html.j2' -%}
{%- block html_head_css -%}
<style>
main { max-width: 64rem; margin: 0 auto; }
.highlight pre { white-space: pre-wrap; }
</style>
{%- endblock -%}
{%- block html_head_js -%}{%- endblock -%}
{%- block html_head_js_mathjax -%}{%- endblock -%}
{%- block html_head_js_mermaidjs -%}{%- endblock -%}
"""


class CellFailedError(Exception):
    """A cell did not run to its end; the message is one line that says why."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the notebook that the command line names.

    Parameters
    ----------
    argv : sequence of str, optional
        The command line's arguments, `sys.argv[1:]` by default.

    Returns
    -------
    int
        The exit status: 1 if a cell failed, 130 after Ctrl-C.
    """
    parser = argparse.ArgumentParser(description="Run a notebook and keep its page.")
    parser.add_argument("notebook", type=Path)
    parser.add_argument("--out", type=Path, default=Path("build"), metavar="FOLDER")
    options = parser.parse_args(argv)
    if not options.notebook.is_file():
        parser.error(f"there is no notebook {options.notebook}")
    try:
        run(options.notebook, options.out)
    except CellFailedError as error:
        print(f"{options.notebook}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0


def run(path: Path, out: Path) -> None:
    """Run a notebook, print what it shows, and write both files.

    Parameters
    ----------
    path : Path
        The notebook, which is not changed.
    out : Path
        The folder for the files; it is made if need be.

    Raises
    ------
    CellFailedError
        If a cell fails. The notebook is written as far as it came.
    """
    notebook = nbformat.read(path, as_version=4)
    executed = out / path.name
    page = executed.with_suffix(".html")
    out.mkdir(parents=True, exist_ok=True)
    page.unlink(missing_ok=True)  # not to be taken for this run's if this run fails
    try:
        execute(notebook, path.resolve().parent)
    finally:
        nbformat.write(without_widgets(notebook), executed)
    for text in texts(notebook):
        print(f"\n{text}")
    page.write_text(render(notebook, path), encoding="utf-8")
    print(f"\n{executed}  the executed notebook\n{page}  the same as a page")


def execute(notebook: NotebookNode, folder: Path) -> None:
    """Run every code cell in a fresh kernel, telling of each as it runs.

    Parameters
    ----------
    notebook : NotebookNode
        Its code cells are given new outputs, in place.
    folder : Path
        Where the kernel runs.

    Raises
    ------
    CellFailedError
        At the first cell that fails. The cells after it have no outputs.
    """
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.update(outputs=[], execution_count=None)
    with tempfile.TemporaryDirectory(prefix="skbnb-") as private:
        os.environ.update(jupyter_environment(private))
        asyncio.run(run_cells(notebook, folder))


def jupyter_environment(private: str) -> dict[str, str]:
    """Environment in which Jupyter sees this Python's kernel, and no user's settings.

    Parameters
    ----------
    private : str
        A folder for all that Jupyter and IPython write.
    """
    return {
        "IPYTHONDIR": f"{private}/ipython",
        "JUPYTER_CONFIG_DIR": f"{private}/config",
        "JUPYTER_CONFIG_PATH": "",
        "JUPYTER_DATA_DIR": f"{private}/data",
        "JUPYTER_NO_CONFIG": "1",
        "JUPYTER_PATH": "",
        "JUPYTER_PREFER_ENV_PATH": "1",
        "JUPYTER_RUNTIME_DIR": private,
    }


async def run_cells(notebook: NotebookNode, folder: Path) -> None:
    """Do the work of `execute`."""
    cells = [
        (index, cell)
        for index, cell in enumerate(notebook.cells)
        if cell.cell_type == "code" and cell.source.strip()
    ]
    async with running_client(notebook, folder) as client:
        for number, (index, cell) in enumerate(cells, start=1):
            where = f"[{number}/{len(cells)}]"
            title = cell.source.strip().splitlines()[0][:60]
            print(f"{where} {title} …", end=" ", flush=True)
            begun = time.monotonic()
            try:
                await client.async_execute_cell(cell, index, execution_count=number)
            except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
                if was_interrupted():
                    raise asyncio.CancelledError from None
                print("failed")
                message = f"cell {where} `{title}` failed: {reason(error)}"
                raise CellFailedError(message) from None
            print(f"{time.monotonic() - begun:.1f} s")


@asynccontextmanager
async def running_client(
    notebook: NotebookNode, folder: Path
) -> AsyncIterator[NotebookClient]:
    """Start a kernel, and shut it down at the end.

    `NotebookClient.async_execute` would do this too, but takes Ctrl-C for itself and
    reports it as a dead kernel.
    """
    # Over ipc the kernel's own messages are not packets, which a trace might show. Its
    # sockets need an absolute path, because the kernel runs in another folder.
    sockets = f"{os.environ['JUPYTER_RUNTIME_DIR']}/kernel"
    manager = AsyncKernelManager(kernel_name="python3", transport="ipc", ip=sockets)
    await manager.start_kernel(cwd=str(folder))
    client = NotebookClient(
        notebook, km=manager, timeout=CELL_TIMEOUT, record_timing=False
    )
    finished = False
    try:
        await client.async_start_new_kernel_client()
        yield client
        finished = True
    finally:
        if client.kc is not None:
            client.kc.stop_channels()
        await manager.shutdown_kernel(now=not finished)


def was_interrupted() -> bool:
    """Whether Ctrl-C cancelled this task, which nbclient calls a dead kernel."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def reason(error: Exception) -> str:
    """Say in one line why a cell failed."""
    if isinstance(error, CellExecutionError):
        return " ".join(f"{error.ename}: {error.evalue}".split())
    if isinstance(error, CellTimeoutError):
        return f"it took longer than {CELL_TIMEOUT} s"
    return "its kernel died"


def without_widgets(notebook: NotebookNode) -> NotebookNode:
    """Copy a notebook without its widgets, which are dead once its kernel is gone.

    Viewers then show the static form that an output also has.
    """
    notebook = copy.deepcopy(notebook)
    notebook.metadata.pop("widgets", None)
    for data in displayed(notebook):
        data.pop(WIDGET, None)
    return notebook


def displayed(notebook: NotebookNode) -> Iterator[NotebookNode]:
    """Give the mime bundle of every output that has one."""
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            if "data" in output:
                yield output.data


def texts(notebook: NotebookNode) -> Iterator[str]:
    """Give the text of every output that has a text and an HTML form."""
    for data in displayed(notebook):
        if "text/html" in data and "text/plain" in data:
            yield data["text/plain"]


def render(notebook: NotebookNode, path: Path) -> str:
    """Make one page that needs no other file and no network.

    Parameters
    ----------
    notebook : NotebookNode
        An executed notebook. It is not changed.
    path : Path
        Where it lies: for the page's title, and the pictures beside it.

    Returns
    -------
    str
        The page, as HTML.
    """
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(raw_template=PAGE, embed_images=True)
    page, _ = exporter.from_notebook_node(
        with_figures(without_widgets(notebook)),
        resources={"metadata": {"name": path.stem, "path": str(path.parent)}},
    )
    return page


def with_figures(notebook: NotebookNode) -> NotebookNode:
    """Copy a notebook with each figure drawn below what its output has as HTML.

    nbconvert knows nothing of plotly's own format, and would leave a blank.
    """
    from plotly.io import to_html

    from skbnb.figures import named

    notebook = copy.deepcopy(notebook)
    script_needed = True
    for data in displayed(notebook):
        if FIGURE not in data:
            continue
        figure = data.pop(FIGURE)
        layout = figure.get("layout", {})
        drawn = to_html(
            {"data": figure["data"], "layout": layout},
            config={
                **figure.get("config", {}),
                "responsive": True,
                "showSendToCloud": False,  # a button that uploads the figure
            },
            include_plotlyjs=script_needed,
            full_html=False,
            default_height="450px",
            validate=False,
        )
        words = layout.get("meta", {}).get("words")
        drawn = named(words, drawn) if words else drawn
        data["text/html"] = data.get("text/html", "") + drawn
        script_needed = False
    return notebook


if __name__ == "__main__":
    sys.exit(main())
