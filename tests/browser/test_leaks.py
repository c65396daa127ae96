# SPDX-License-Identifier: Apache-2.0
"""A cell that runs again and again leaves nothing behind, here and on the page."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Notebook
from tests.browser.steps import opened, said

# In the kernel: widgets, comms, threads, children, descriptors.
IN_KERNEL = """{
    "widgets": len(__import__("ipywidgets.widgets.widget").widgets.widget._instances),
    "comms": len(__import__("comm").get_comm_manager().comms),
    "threads": len(os.listdir("/proc/self/task")),
    "children": len(open(f"/proc/self/task/{os.getpid()}/children").read().split()),
    "descriptors": len(os.listdir("/proc/self/fd")),
}"""

# On the page: the models that the widgets' manager keeps, the kernel's comms, and what
# is drawn.
ON_PAGE = """async () => {
    const panel = jupyterapp.shell.currentWidget;
    const managers = new Set();
    const look = async (widget, depth) => {
        if (widget._manager?.promise) managers.add(await widget._manager.promise);
        if (depth < 8) for (const child of widget.widgets ?? widget.children?.() ?? [])
            await look(child, depth + 1);
    };
    for (const cell of panel.content.widgets)
        if (cell.outputArea) await look(cell.outputArea, 0);
    return {
        models: [...managers].reduce((sum, one) =>
            sum + Object.keys(one._models).length, 0),
        comms: panel.sessionContext.session.kernel._comms.size,
        panels: document.querySelectorAll(".skbnb-panel").length,
        figures: document.querySelectorAll(".js-plotly-plot").length,
    };
}"""


def held(notebook: Notebook) -> dict[str, int]:
    """What there is now."""
    notebook.run("import gc, os; gc.collect()")
    on_page = notebook.page.evaluate(ON_PAGE)
    return {
        **{f"kernel's {k}": n for k, n in said(notebook, IN_KERNEL).items()},
        **on_page,
    }


@pytest.mark.parametrize("option", ["--panel", "--live"])
def test_fifty_runs_leave_nothing_behind(notebook: Notebook, option: str) -> None:
    opened(notebook, f"%%skbclone {option}\npass")
    # The second run closes what the first has left, as each after it.
    notebook.run_cell(1)
    expect(notebook.panel).to_be_visible()
    before = held(notebook)
    assert before["models"] == before["comms"] == before["kernel's comms"] > 20
    for _ in range(50):
        notebook.run_cell(1)
        assert notebook.outputs.locator(".jp-RenderedText").all_inner_texts() == []
    expect(notebook.panel).to_be_visible()
    more = {"": 0}
    for _ in range(20):
        # What the last run's messages do may be under way.
        after = held(notebook)
        more = {name: n for name, n in after.items() if n > before[name]}
        if not more:
            break
        notebook.page.wait_for_timeout(250)
    assert more == {}
    assert after["panels"] == 1
