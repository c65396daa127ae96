# SPDX-License-Identifier: Apache-2.0
"""The panel as a person uses it: in JupyterLab, in a browser, over live traces."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Notebook
from tests.browser.steps import (
    BEGIN,
    TRACE,
    click_a_bar,
    counts,
    figure,
    in_python,
    opened,
    says,
    shown,
)
from tests.live import traffic


def test_every_page_and_every_filter(notebook: Notebook) -> None:
    opened(notebook, TRACE)
    notebook.choose("scope", "all")
    everything = shown(notebook)
    assert everything == counts(notebook)[1] >= 18

    for title in ("Processes", "Timeline", "Why", "Packets", "Events"):
        notebook.tab(title)
        page = notebook.panel.locator(".lm-mod-current, .widget-tab-contents").first
        expect(page).to_be_visible()
        if title != "Events":
            expect(figure(notebook)).to_be_visible()
        notebook.page.wait_for_timeout(500)
        notebook.screenshot(title.lower())

    notebook.choose("reason", "tcp-transmit")
    says(notebook, "'tcp-transmit'")
    of_tcp = shown(notebook)
    assert 18 <= of_tcp == in_python(notebook) <= everything
    expect(notebook.panel.locator("tbody tr")).to_have_count(min(of_tcp, 100))

    notebook.choose("process", "curl")
    says(notebook, "['pid'].eq(")
    of_one = shown(notebook)
    assert of_one == in_python(notebook) == 3
    expect(notebook.panel.locator("tbody tr")).to_have_count(3)
    names = notebook.panel.locator("tbody tr td:nth-child(3)").all_inner_texts()
    assert names == ["curl"] * 3

    notebook.panel.get_by_text("Show all").click()
    expect(notebook.panel.locator("code").last).not_to_contain_text("lambda")
    assert shown(notebook) == everything

    notebook.panel.locator("input[placeholder^=name]").fill("SYN")
    notebook.page.keyboard.press("Enter")
    says(notebook, "contains('SYN')")
    expect(notebook.panel.locator("tbody tr")).to_have_count(3)
    assert shown(notebook) == in_python(notebook) == 3


def test_a_click_on_a_bar_chooses_its_process(notebook: Notebook) -> None:
    opened(notebook, TRACE)
    notebook.choose("scope", "all")
    expect(figure(notebook)).to_be_visible()
    everything = shown(notebook)
    click_a_bar(notebook)
    says(notebook, "['pid'].eq(")
    assert shown(notebook) == in_python(notebook) < everything


# 3,000 clones: more than are drawn as dots.
MANY = f"""%%skbclone --panel
import subprocess, sys
for _ in range(4):
    subprocess.run([sys.executable, {traffic.__file__!r}, "multicast", "16", "50"])
"""


@pytest.mark.parametrize(
    ("cell", "mark"), [(TRACE, ".points"), (MANY, ".heatmaplayer")]
)
def test_a_range_of_the_timeline_chooses_its_events(
    notebook: Notebook, cell: str, mark: str
) -> None:
    opened(notebook, cell)
    notebook.tab("Timeline")
    everything = shown(notebook)
    area = figure(notebook).locator(".nsewdrag").first
    expect(area).to_be_visible()
    expect(figure(notebook).locator(mark).first).to_be_visible()
    figure(notebook).scroll_into_view_if_needed()
    box = area.bounding_box()
    assert box
    middle = box["y"] + box["height"] / 2
    notebook.page.mouse.move(box["x"] + box["width"] * 0.5, middle)
    notebook.page.mouse.down()
    notebook.page.mouse.move(box["x"] + box["width"] * 0.97, middle, steps=5)
    notebook.page.mouse.up()
    says(notebook, "['t'].ge(")
    assert 0 < shown(notebook) == in_python(notebook) < everything


def test_rows_that_are_kept_are_a_dataframe(notebook: Notebook) -> None:
    opened(notebook, TRACE)
    notebook.choose("reason", "tcp-transmit")
    notebook.panel.get_by_text("Keep these rows").click()
    expect(notebook.panel.get_by_text("Kept as chosen")).to_be_visible()
    assert int(notebook.run("print(len(chosen))")) == shown(notebook)


def started_live(notebook: Notebook, end: Path) -> None:
    """Start a cell with --live, until a file is there, and see its line change."""
    loop = f"while not os.path.exists({str(end)!r}):"
    live = TRACE.replace("--panel", "--live").replace("for _ in range(3):", loop)
    notebook.write(BEGIN, live.replace("import ", "import os, "))
    notebook.open()
    notebook.start_all()
    line = notebook.outputs.get_by_text(re.compile(r"clones.* · 0 lost")).first
    expect(line).to_be_visible()
    # In a figure it is SVG, which has no inner text.
    expect(line).not_to_have_text(line.text_content())


def test_live_counts_and_then_becomes_the_panel(
    notebook: Notebook, tmp_path: Path
) -> None:
    end = tmp_path / "end"
    started_live(notebook, end)
    end.touch()
    expect(notebook.panel).to_be_visible()
    assert shown(notebook) > 0


def test_interrupted_a_live_cell_keeps_all(notebook: Notebook, tmp_path: Path) -> None:
    started_live(notebook, tmp_path / "never")
    clones = notebook.outputs.get_by_text(re.compile(r"· [1-9][\d,]+ clones ·")).first
    expect(clones).to_be_visible()
    # Of one element it would wait until that moves no more.
    notebook.screenshot_of(notebook.page, "live")
    notebook.interrupt()
    expect(notebook.panel).to_be_visible()
    expect(notebook.outputs.get_by_text("KeyboardInterrupt").first).to_be_visible()
    assert shown(notebook) >= 9
    assert int(notebook.run("import skbnb; print(len(skbnb.last.events))")) >= 9


def test_a_page_that_is_reloaded_still_has_the_panel(notebook: Notebook) -> None:
    opened(notebook, TRACE)
    notebook.page.evaluate(
        "async () => { await jupyterapp.commands.execute('docmanager:save'); }"
    )
    notebook.open()
    expect(notebook.panel).to_be_visible()
    notebook.choose("scope", "all")
    assert shown(notebook) == counts(notebook)[1]


WIDGETS = """
import gc; gc.collect()
from ipywidgets.widgets.widget import _instances
import subprocess
print(len(_instances), subprocess.run(
    ["pgrep", "-c", "-P", str(__import__("os").getpid()), "-f", "skbnb"],
    capture_output=True, text=True).stdout)
"""


def test_running_a_cell_again_leaves_nothing_behind(notebook: Notebook) -> None:
    opened(notebook, TRACE.replace("range(3)", "range(1)"))
    once = notebook.run(WIDGETS)
    for _ in range(5):
        notebook.run_all()
        expect(notebook.panel).to_be_visible()
    assert notebook.run(WIDGETS) == once
