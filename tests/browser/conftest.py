# SPDX-License-Identifier: Apache-2.0
"""A real JupyterLab and a real browser; what a person sees is kept in build/screens."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

CHECKOUT = Path(__file__).parents[2]
SCREENS = CHECKOUT / "build" / "screens"
CHROMIUM = shutil.which("chromium")

# No request of its own, and nothing that a machine without a screen lacks.
ARGUMENTS = (
    *("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update"),
    *("--disable-sync", "--disable-default-apps", "--disable-extensions"),
)

SECONDS = 60_000.0  # milliseconds, as playwright counts
expect.set_options(timeout=SECONDS)


class Lab:
    """A server of notebooks, with folders of its own for all that Jupyter keeps."""

    def __init__(self, folder: Path) -> None:
        self.notebooks = folder / "notebooks"
        self.notebooks.mkdir()
        overrides = folder / "settings" / "overrides.json"
        overrides.parent.mkdir()
        overrides.write_text(
            json.dumps(
                {
                    "@jupyterlab/apputils-extension:notification": {
                        "fetchNews": "false",
                        "checkForUpdates": False,
                    }
                }
            )
        )
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        home = {
            name: str(folder / name.lower())
            for name in (
                *("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"),
                *("JUPYTERLAB_WORKSPACES_DIR", "JUPYTERLAB_SETTINGS_DIR", "IPYTHONDIR"),
            )
        }
        self._log = (folder / "log").open("wb")
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"),
                *(f"--ServerApp.port={self.port}", "--ServerApp.port_retries=0"),
                *("--ServerApp.ip=127.0.0.1", "--IdentityProvider.token="),
                f"--ServerApp.root_dir={self.notebooks}",
                "--LabApp.expose_app_in_browser=True",
                "--JupyterNotebookApp.expose_app_in_browser=True",
                "--LabApp.extension_manager=readonly",
                f"--LabApp.app_settings_dir={overrides.parent}",
                "--KernelManager.transport=ipc",
            ],
            env={**os.environ, **home, "PYTHONPATH": str(CHECKOUT)},
            cwd=folder,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        self._wait()

    def url(self, path: str = "") -> str:
        return f"http://127.0.0.1:{self.port}/{path}"

    def _wait(self) -> None:
        for _ in range(300):
            assert self.process.poll() is None, "JupyterLab ended"
            try:
                with urllib.request.urlopen(self.url("api"), timeout=1):
                    return
            except OSError:
                time.sleep(0.1)
        raise AssertionError("JupyterLab does not answer")

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(20)
        self._log.close()


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    lab = Lab(tmp_path_factory.mktemp("lab"))
    try:
        yield lab
    finally:
        lab.close()


def chromium() -> Iterator[Browser]:
    """A browser; two of them cannot be open at a time."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=list(ARGUMENTS)
        )
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    yield from chromium()


class Notebook:
    """A notebook in a page of the browser, and all that went wrong there.

    Attributes
    ----------
    page
        The browser's.
    errors
        What the page's console complained of, requests to other hosts, and dialogs.
    """

    def __init__(self, browser: Browser, lab: Lab, name: str) -> None:
        self._lab = lab
        self.name = name
        self.errors: list[str] = []
        self._context = browser.new_context(viewport={"width": 1100, "height": 1000})
        self._context.set_default_timeout(SECONDS)
        self.page: Page = self._context.new_page()
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self._complaint(str(error)))
        self.page.on("request", self._request)
        self.page.on("dialog", self._dialog)

    def _console(self, message: Any) -> None:
        if message.type == "error":
            self._complaint(message.text)

    def _complaint(self, text: str) -> None:
        if not any(known in text for known in _KNOWN):
            self.errors.append(text)

    def _request(self, request: Any) -> None:
        ours = (self._lab.url(), "data:", "blob:", f"ws://127.0.0.1:{self._lab.port}/")
        if not request.url.startswith(ours):
            self.errors.append(f"request: {request.url}")

    def _dialog(self, dialog: Any) -> None:
        self.errors.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def write(self, *cells: str) -> None:
        """Write these cells into the notebook's file."""
        made = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(cell) for cell in cells],
            metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
        )
        nbformat.write(made, self._lab.notebooks / self.name)

    def open(self, where: str = "lab/tree") -> None:
        """Open it in JupyterLab, or elsewhere, and wait for its kernel."""
        self.page.goto(self._lab.url(f"{where}/{self.name}?reset"))
        self.page.wait_for_function("window.jupyterapp?.shell?.currentWidget?.content")
        self.page.wait_for_function(
            "jupyterapp.shell.currentWidget.sessionContext?.session?.kernel?.status"
            " === 'idle'"
        )

    def run_all(self) -> None:
        """Run all cells, and wait until all have run."""
        self.page.evaluate(
            "async () => { await jupyterapp.commands.execute("
            "'notebook:run-all-cells'); }"
        )

    def run_cell(self, number: int) -> None:
        """Run one cell, and wait until it has run."""
        self.page.evaluate(
            """async (number) => {
                jupyterapp.shell.currentWidget.content.activeCellIndex = number;
                await jupyterapp.commands.execute("notebook:run-cell");
            }""",
            number,
        )

    def start_all(self) -> None:
        """Run all cells, and wait for nothing."""
        self.page.evaluate(
            "() => { jupyterapp.commands.execute('notebook:run-all-cells'); }"
        )

    def interrupt(self) -> None:
        """Press the kernel's stop button."""
        self.page.evaluate(
            "() => jupyterapp.commands.execute('notebook:interrupt-kernel')"
        )

    def run(self, code: str) -> str:
        """Run code in the notebook's kernel; gives what it prints."""
        return str(
            self.page.evaluate(
                """async (code) => {
                    const kernel =
                        jupyterapp.shell.currentWidget.sessionContext.session.kernel;
                    const future = kernel.requestExecute({ code, silent: false,
                        store_history: false });
                    let text = "";
                    future.onIOPub = (message) => {
                        text += message.content.text ?? "";
                        text += (message.content.traceback ?? []).join("\\n");
                    };
                    await future.done;
                    return text;
                }""",
                code,
            )
        )

    @property
    def outputs(self) -> Any:
        """The outputs of all cells."""
        return self.page.locator(".jp-OutputArea")

    @property
    def panel(self) -> Any:
        """The panel."""
        return self.outputs.locator(".skbnb-panel").first

    def tab(self, title: str) -> None:
        """Look at one of the panel's pages."""
        self.panel.locator(".lm-TabBar-tabLabel", has_text=title).click()

    def choose(self, control: str, option: str) -> None:
        """Choose in one of the panel's lists what begins with a text."""
        choice = self.panel.get_by_label(control, exact=True)
        labels = choice.locator("option").all_inner_texts()
        choice.select_option(label=next(x for x in labels if x.startswith(option)))

    def screenshot(self, name: str) -> None:
        """Keep what a person sees of the panel."""
        self.screenshot_of(self.panel, name)

    def screenshot_of(self, what: Any, name: str) -> None:
        """Keep what a person sees of something."""
        SCREENS.mkdir(parents=True, exist_ok=True)
        what.screenshot(path=SCREENS / f"{name}.png")

    def leave(self) -> None:
        """Close the page alone."""
        self._context.close()

    def close(self) -> None:
        """Shut the kernel down, and close the page."""
        self.page.evaluate(
            "async () => { await jupyterapp.shell.currentWidget?.sessionContext"
            "?.shutdown(); }"
        )
        self._context.close()


# JupyterLab's and Notebook's own, which are there without us, too.
_KNOWN = (
    "favicon",
    "Failed to load resource: the server responded with a status of 404",
    "Cannot read properties of undefined (reading 'schema')",
    "Command 'filebrowser:open-path' not registered.",
    # It gives a widget two seconds, in which a busy machine does not load plotly. What
    # is then not there is what a test looks for.
    "[anywidget] Failed to initialize model.",
)


@pytest.fixture
def notebook(
    browser: Browser, lab: Lab, request: pytest.FixtureRequest
) -> Iterator[Notebook]:
    notebook = Notebook(browser, lab, f"{request.node.name}.ipynb")
    try:
        yield notebook
        assert notebook.errors == []
    finally:
        notebook.close()


__all__ = ["Notebook", "expect"]
