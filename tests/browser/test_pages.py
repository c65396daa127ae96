# SPDX-License-Identifier: Apache-2.0
"""The same elsewhere: in Notebook 7, on a page from disk, and where no script runs."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbconvert import HTMLExporter
from playwright.sync_api import Browser, Page, expect

from skbnb import charts, figures
from tests.browser.conftest import CHECKOUT, SCREENS, Notebook
from tests.browser.steps import (
    BEGIN,
    TRACE,
    click_a_bar,
    counts,
    figure,
    in_python,
    says,
    shown,
)
from tests.unit.frames import example, with_stacks


def test_a_panel_in_notebook_7(notebook: Notebook) -> None:
    notebook.write(BEGIN, TRACE)
    notebook.open("notebooks")
    notebook.page.set_viewport_size({"width": 700, "height": 1200})
    notebook.run_all()
    expect(notebook.panel).to_be_visible()
    expect(figure(notebook)).to_be_visible()
    everything = shown(notebook)
    assert everything == counts(notebook)[1] >= 18
    notebook.choose("process", "curl")
    says(notebook, "['pid'].eq(")
    assert shown(notebook) == in_python(notebook) == 3
    notebook.panel.get_by_text("Show all").click()
    expect(notebook.panel.locator("code").last).not_to_contain_text("lambda")
    click_a_bar(notebook)
    says(notebook, "['pid'].eq(")
    assert shown(notebook) == in_python(notebook) < everything
    notebook.tab("Events")
    expect(notebook.panel.locator("tbody tr")).to_have_count(shown(notebook))
    notebook.screenshot_of(notebook.page, "notebook-7")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a notebook that was run, and its page."""
    folder = tmp_path_factory.mktemp("made")
    run = CHECKOUT / "notebooks" / "run.py"
    source = CHECKOUT / "notebooks" / "01-first-trace.ipynb"
    command = [sys.executable, str(run), str(source), "--out", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    return folder


@contextmanager
def offline(browser: Browser, path: Path, **options: Any) -> Iterator[Page]:
    """A page from disk, without a network; it must neither complain nor ask for any."""
    complaints: list[tuple[str, str]] = []
    requests: list[str] = []
    context = browser.new_context(viewport={"width": 1000, "height": 900}, **options)
    try:
        context.set_offline(True)
        page = context.new_page()
        page.on("console", lambda said: complaints.append((said.type, said.text)))
        page.on("pageerror", lambda error: complaints.append(("error", str(error))))
        page.on("dialog", lambda dialog: complaints.append(("error", dialog.message)))
        page.on("request", lambda asked: requests.append(asked.url))
        page.goto(path.as_uri())
        yield page
        inside = ("data:", "blob:", path.as_uri())
        assert [url for url in requests if not url.startswith(inside)] == []
        assert [text for kind, text in complaints if kind == "error"] == []
    finally:
        context.close()


def test_a_page_from_disk_without_a_network(browser: Browser, made: Path) -> None:
    with offline(browser, made / "01-first-trace.html") as page:
        plots = page.locator(".js-plotly-plot")
        expect(plots).to_have_count(3)
        for plot in plots.all():
            plot.scroll_into_view_if_needed()
            expect(plot.locator(".main-svg").first).to_be_visible()
            box = plot.bounding_box()
            assert box
            assert box["width"] > 500
            assert box["height"] > 100
        assert page.get_by_role("figure", name="Clones ").count() == 3
        expect(
            page.get_by_role("table", name="Clones by process").first
        ).to_be_visible()
        expect(page.get_by_text("captured 6 of 6, 0 lost").first).to_be_visible()
        plots.first.hover()
        SCREENS.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=SCREENS / "page.png", full_page=True)


def test_a_page_where_no_script_runs(
    browser: Browser, made: Path, tmp_path: Path
) -> None:
    # As viewers of notebooks have it: neither scripts nor styles of an output's own.
    notebook = nbformat.read(made / "01-first-trace.ipynb", as_version=4)
    body, _ = HTMLExporter().from_notebook_node(notebook)
    path = tmp_path / "static.html"
    path.write_text(re.sub(r"<style>\s*\.skbnb.*?</style>", "", body, flags=re.DOTALL))
    with offline(browser, path, java_script_enabled=False) as page:
        images = page.locator("svg[role=img], img[src^='data:image/svg']")
        expect(images).to_have_count(3)
        for image in images.all():
            expect(image).to_be_visible()
        expect(page.get_by_text("captured 6 of 6, 0 lost").first).to_be_visible()
        rows = page.get_by_role("table", name="Clones by process").first.locator("tr")
        expect(rows.nth(1)).to_contain_text("curl")
        page.screenshot(path=SCREENS / "no-script.png", full_page=True)


@pytest.mark.parametrize("width", [1, 10, 200])
def test_figures_where_there_is_no_room_for_them(
    browser: Browser, tmp_path: Path, width: int
) -> None:
    # So they are drawn for a moment in a page that is still to be laid out.
    df = with_stacks(example(2_000))
    drawn = figures.to_page(
        [
            *(charts.processes(df), charts.reasons(df), charts.timeline(df)),
            *(charts.flow(df), charts.stacks(df)),
        ]
    )
    path = tmp_path / "narrow.html"
    path.write_text(
        f'<meta charset="utf-8"><div style="width: {width}px">{drawn}</div>'
    )
    with offline(browser, path) as page:
        expect(page.locator(".js-plotly-plot .main-svg").first).to_be_attached()
        expect(page.locator(".js-plotly-plot")).to_have_count(5)
        page.set_viewport_size({"width": 500, "height": 900})
        page.evaluate("document.querySelector('div').style.width = '400px'")
        for plot in page.locator(".js-plotly-plot").all():
            expect(plot.locator(".main-svg").first).to_have_attribute("width", "400")
