# SPDX-License-Identifier: Apache-2.0
"""What a person does with a panel, and what is read off it."""

from __future__ import annotations

import json
import re
from typing import Any

from playwright.sync_api import expect

from tests.browser.conftest import Notebook

__all__ = [
    "BEGIN",
    "TRACE",
    "click_a_bar",
    "counts",
    "figure",
    "in_python",
    "opened",
    "said",
    "says",
    "shown",
    "table",
]

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
    """Open a notebook with these cells, and run them until there is a panel."""
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
    """How many events the panel says that it shows."""
    return counts(notebook)[0]


def in_python(notebook: Notebook) -> int:
    """How many rows the expression has that the panel shows."""
    first, expression = notebook.panel.locator("code").all_inner_texts()
    return int(notebook.run(f"{first}\nprint(len({expression}))"))


def says(notebook: Notebook, condition: str) -> None:
    """Wait until the panel's expression has a condition."""
    expect(notebook.panel.locator("code").last).to_contain_text(condition)


def figure(notebook: Notebook) -> Any:
    """The first figure that is seen in the panel."""
    return notebook.panel.locator(".js-plotly-plot:visible").first


def click_a_bar(notebook: Notebook) -> None:
    """Click on the first bar of the first figure that is seen."""
    bar = figure(notebook).locator(".barlayer .point path").first
    # Not on one that is about to be drawn anew.
    drawn = re.compile(rf": {shown(notebook):,} clone")
    expect(figure(notebook)).to_have_attribute("aria-label", drawn)
    figure(notebook).scroll_into_view_if_needed()
    box = bar.bounding_box()
    notebook.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)


def table(notebook: Notebook) -> list[dict[str, str]]:
    """The rows of the table of events, as a person reads them."""
    titles, *rows = notebook.panel.locator(".skbnb table").evaluate(
        "table => [...table.rows].map(row =>"
        " [...row.cells].map(cell => cell.textContent))"
    )
    return [dict(zip(titles, row, strict=True)) for row in rows]


def said(notebook: Notebook, expression: str) -> Any:
    """What an expression is in the notebook's kernel, as JSON."""
    return json.loads(notebook.run(f"import json; print(json.dumps({expression}))"))
