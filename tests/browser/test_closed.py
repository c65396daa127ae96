# SPDX-License-Identifier: Apache-2.0
"""The browser is closed in the middle of a traced cell: the trace goes on, and ends."""

from __future__ import annotations

import time
from pathlib import Path

from playwright.sync_api import Browser

from tests.browser.conftest import CHECKOUT, Lab, Notebook
from tests.browser.steps import said
from tests.ledger import Fault
from tests.live.conftest import watch as watch
from tests.live.leftovers import Watch

TRAFFIC = str(CHECKOUT / "tests" / "live" / "traffic.py")
BEGIN = f"""
import pathlib, subprocess, sys, time
%load_ext skbnb
import skbnb
def send():
    subprocess.run([sys.executable, {TRAFFIC!r}, "timestamping", "15"], check=True)
def sent(clones):
    # Others' may be made while the sender is interrupted.
    return int((clones["reason"] == "tx-timestamp").sum())
"""
CELL = """%%skbclone -o clones
send()
pathlib.Path("begun").touch()
while not pathlib.Path("closed").exists(): time.sleep(0.05)
send()
"""


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} does not come"
        time.sleep(0.05)


def test_the_browser_is_closed_in_the_middle(
    browser: Browser, lab: Lab, watch: Watch, fault: Fault
) -> None:
    first = Notebook(browser, lab, "closed.ipynb")
    first.write(BEGIN, CELL)
    first.open()
    first.start_all()
    wait_for(lab.notebooks / "begun")
    watch.look()
    first.leave()
    (lab.notebooks / "closed").touch()
    second = Notebook(browser, lab, "closed.ipynb")
    try:
        # Its kernel still runs; this waits until it has run the cell.
        second.open()
        expression = "[sent(clones), clones.attrs['skbnb']['lost'], sent(again)]"
        second.run("with skbnb.trace() as trace: send()\nagain = trace.events")
        assert said(second, expression) == [30, 0, 15]
        assert second.errors == first.errors == []
    finally:
        second.close()
    fault(
        "The browser closed in the middle of a traced cell",
        "nothing: 15 clones before and 15 after it; the next trace works",
    )
