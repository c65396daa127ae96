# SPDX-License-Identifier: Apache-2.0
"""The panel as a person uses it: in JupyterLab, in a browser, over live traces."""

from __future__ import annotations

import re
from typing import Any

from playwright.sync_api import expect

from tests.browser.conftest import Notebook

BEGIN = """
import threading, http.server, functools, tempfile, pathlib
folder = tempfile.mkdtemp()
pathlib.Path(folder, "page").write_bytes(b"x" * 10_000)
class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_): pass
server = http.server.ThreadingHTTPServer(
    ("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_address[1]}/page"
%load_ext skbnb
"""
TRACE = """%%skbclone --panel --scope all --comm curl --stacks --follow
import subprocess, time
for _ in range(3):
    subprocess.run(["curl", "-s", "-o", "/dev/null", url])
    time.sleep(0.2)
"""


def opened(notebook: Notebook, *cells: str) -> None:
    notebook.write(BEGIN, *cells)
    notebook.open()
    notebook.run_all()
    expect(notebook.panel).to_be_visible()


def counts(notebook: Notebook) -> tuple[int, int]:
    """How many events the panel says that it shows, and of how many."""
    said = notebook.panel.locator("p").first.inner_text()
    shown, of = re.match(r"([\d,]+) of ([\d,]+) events", said).groups()  # type: ignore[union-attr]
    return int(shown.replace(",", "")), int(of.replace(",", ""))


def shown(notebook: Notebook) -> int:
    return counts(notebook)[0]


def in_python(notebook: Notebook) -> int:
    """How many rows the expression has that the panel shows."""
    first, expression = notebook.panel.locator("code").all_inner_texts()
    return int(notebook.run(f"{first}\nprint(len({expression}))"))


def says(notebook: Notebook, condition: str) -> None:
    """Wait until the panel's expression has a condition."""
    expect(notebook.panel.locator("code").last).to_contain_text(condition)


def figure(notebook: Notebook) -> Any:
    return notebook.panel.locator(".js-plotly-plot:visible").first


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
    expect(notebook.panel.locator("tbody tr")).to_have_count(3)
    assert shown(notebook) == in_python(notebook) == 3


def test_a_click_on_a_bar_chooses_its_process(notebook: Notebook) -> None:
    opened(notebook, TRACE)
    notebook.choose("scope", "all")
    expect(figure(notebook)).to_be_visible()
    everything = shown(notebook)
    bar = figure(notebook).locator(".barlayer .point path").first.bounding_box()
    assert bar
    notebook.page.mouse.click(bar["x"] + bar["width"] / 2, bar["y"] + bar["height"] / 2)
    says(notebook, "['pid'].eq(")
    assert shown(notebook) == in_python(notebook) < everything


def test_a_range_of_the_timeline_chooses_its_events(notebook: Notebook) -> None:
    opened(notebook, TRACE)
    notebook.choose("scope", "all")
    notebook.tab("Timeline")
    everything = shown(notebook)
    area = figure(notebook).locator(".nsewdrag").first
    expect(area).to_be_visible()
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


def test_live_counts_and_then_becomes_the_panel(notebook: Notebook) -> None:
    live = TRACE.replace("--panel", "--live").replace("range(3)", "range(20)")
    notebook.write(BEGIN, live)
    notebook.open()
    notebook.start_all()
    line = notebook.outputs.get_by_text(re.compile(r"clones.* · 0 lost")).first
    expect(line).to_be_visible()
    first = line.inner_text()
    notebook.page.wait_for_timeout(1500)
    assert line.inner_text() != first
    expect(notebook.panel).to_be_visible()
    assert shown(notebook) > 0


def test_interrupted_a_live_cell_keeps_all(notebook: Notebook) -> None:
    live = TRACE.replace("--panel", "--live").replace("range(3)", "range(1000)")
    notebook.write(BEGIN, live)
    notebook.open()
    notebook.start_all()
    line = notebook.outputs.get_by_text(re.compile(r"clones.* · 0 lost")).first
    expect(line).to_be_visible()
    notebook.page.wait_for_timeout(1500)
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
