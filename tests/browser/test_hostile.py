# SPDX-License-Identifier: Apache-2.0
"""Names that are markup, templates or no text at all are shown as text, everywhere."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Notebook
from tests.browser.steps import click_a_bar, figure, opened, said, says, shown, table

COMMS = (
    b"<img src=x oner",
    b"<b>&amp;$x$%{y}",
    b"'\"><svg onload=",
    b"\xff\xfe\x1b[31m",
)
ATTACK = "<img src=x onerror=alert(1)>"
DEVICES = ("<b>$x$&amp;\"'>", "<svg&lt;onload>")
ADDRESSES = ("10.11.13.1", "10.11.13.2")

# A thread that calls itself by a name of bytes, and sends and receives something.
SENDER = f"""
import ctypes, socket, sys
assert ctypes.CDLL(None).prctl(15, bytes.fromhex(sys.argv[1]), 0, 0, 0) == 0
with socket.create_connection(({ADDRESSES[0]!r}, int(sys.argv[2]))) as connection:
    connection.sendall(b"hello")
    assert connection.recv(10) == b"hello"
"""

TRACED = """%%skbclone -o clones --panel --scope all --stacks --follow
import socket, subprocess, sys
listener = socket.create_server((where["address"], 0))
for name in where["comms"]:
    child = subprocess.Popen([
        *("sh", "-c", 'echo $$ > "$0" && exec "$@"', where["group"]),
        *("ip", "netns", "exec", where["netns"], sys.executable, "-c"),
        *(where["sender"], name, str(listener.getsockname()[1])),
    ])
    with listener.accept()[0] as connection:
        connection.sendall(connection.recv(10))
    assert child.wait() == 0
"""

# What a name would have become, had it been taken for markup.
MARKUP = "img[src=x], [onerror], [onload], .skbnb-panel img[src=x], amp"


class World(NamedTuple):
    """Where the cell sends from: names of files, none of which a cell must mistake."""

    netns: str
    group: Path

    @property
    def cell(self) -> str:
        """Tells it to the notebook."""
        where = {
            "address": ADDRESSES[0],
            "comms": [name.hex() for name in COMMS],
            "group": str(self.group / "cgroup.procs"),
            "netns": self.netns,
            "sender": SENDER,
        }
        return f"where = {where!r}"


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


@pytest.fixture
def world() -> Iterator[World]:
    """A namespace, a wire to it and a container's control group, with such names."""
    mounts = [
        line.split() for line in Path("/proc/self/mounts").read_text().splitlines()
    ]
    groups = next(Path(where) for _, where, kind, *_ in mounts if kind == "cgroup2")
    group = groups / f"lxc.payload.{ATTACK}{os.getpid()}"
    netns = f"{ATTACK}{os.getpid()}"
    with ExitStack() as made:
        run("ip", "netns", "add", netns)
        made.callback(run, "ip", "netns", "delete", netns)
        wire = ("type", "veth", "peer", "name", DEVICES[1], "netns", netns)
        run("ip", "link", "add", DEVICES[0], *wire)
        made.callback(run, "ip", "link", "delete", DEVICES[0])
        for options, device, address in zip(
            ((), ("-n", netns)), DEVICES, ADDRESSES, strict=True
        ):
            run("ip", *options, "address", "add", f"{address}/24", "dev", device)
            run("ip", *options, "link", "set", device, "up")
        time.sleep(2)  # until the browser is done with what it loads anew
        group.mkdir()
        made.callback(group.rmdir)
        yield World(netns, group)


def options(where: Any) -> str:
    """What can be chosen there."""
    # Spaces in an option's text are made to stay.
    texts = where.locator("option").all_text_contents()
    return "\n".join(texts).replace("\xa0", " ")


def hovered(notebook: Notebook, marks: str) -> str:
    """What is said of each mark of the figure, when a person points at it."""
    said = []
    hover = figure(notebook).locator(".hoverlayer")
    for mark in figure(notebook).locator(marks).all():
        notebook.page.mouse.move(0, 0)
        expect(hover).to_have_text("")
        figure(notebook).scroll_into_view_if_needed()
        box = mark.bounding_box()
        assert box
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        notebook.page.mouse.move(x, y, steps=3)
        expect(hover).to_contain_text("clone")
        said.append(hover.text_content())
    return "\n".join(said)


def test_no_name_becomes_markup_in_the_panel(world: World, notebook: Notebook) -> None:
    opened(notebook, world.cell, TRACED)
    names = said(notebook, "sorted(set(clones['comm'].astype(str)))")
    assert {name.decode() for name in COMMS[:3]} < set(names)
    senders = [name for name in names if name not in ("python", "python3", "ip")]
    assert len(senders) >= len(COMMS)
    assert any("\\x1b[31m" in name for name in senders)
    (container,) = said(notebook, "[*clones['container'].dropna().unique()]")
    assert container.startswith(ATTACK)
    (netns,) = said(notebook, "[*clones['netns_name'].dropna().unique()]")
    assert netns == world.netns
    panel = notebook.panel

    def all_of(names: list[str], where: str) -> None:
        for name in names:
            assert name in where, (name, where)

    all_of([*senders, *DEVICES], options(panel))
    expect(figure(notebook)).to_have_role("figure")
    for title in ("Processes", "Timeline", "Why"):
        notebook.tab(title)
        expect(figure(notebook)).to_have_role("figure")
        drawn = figure(notebook)
        all_of(senders, "\n".join(drawn.locator("text").all_text_contents()))
        assert all(name in drawn.get_attribute("aria-label") for name in senders)
        if title == "Processes":
            all_of(senders, hovered(notebook, ".barlayer .point path"))
        if title == "Why":
            all_of(list(DEVICES), "\n".join(drawn.locator("text").all_text_contents()))
        notebook.screenshot(f"hostile-{title}".lower())
    notebook.tab("Packets")
    packets = panel.get_by_label("packet")
    expect(packets.locator("option").first).to_be_attached()
    all_of(senders, options(packets))
    notebook.tab("Events")
    panel.get_by_role("button", name="all columns").click()
    expect(panel.locator("th", has_text="container")).to_be_visible()
    rows = table(notebook)
    assert {row["comm"] for row in rows} >= set(senders)
    assert {row["dev"] for row in rows} >= set(DEVICES)
    assert container in {row["container"] for row in rows}
    assert netns in {row["netns_name"] for row in rows}

    # Looked for, chosen and kept.
    panel.get_by_label("text", exact=True).fill(senders[0])
    notebook.page.keyboard.press("Enter")
    says(notebook, repr(senders[0]))
    assert shown(notebook) >= 3
    panel.get_by_text("Keep these rows").click()
    expect(panel.get_by_text("Kept as chosen")).to_be_visible()
    assert said(notebook, "sorted(set(chosen['comm'].astype(str)))").count(senders[0])
    panel.get_by_text("Show all").click()
    notebook.tab("Processes")
    click_a_bar(notebook)
    says(notebook, "['pid'].eq(")
    assert notebook.page.locator(MARKUP).count() == 0


PLAIN = """
import skbnb
from IPython.display import SVG, display
display(skbnb.last, clones, clones.skb.plot.timeline(), clones.skb.plot.processes(),
    clones.skb.plot.flow(), clones.skb.plot.stacks())
for plot in ("timeline", "processes", "flow", "stacks"):
    bundle = getattr(clones.skb.plot, plot)()._repr_mimebundle_()
    display(SVG(bundle["image/svg+xml"]))
    open(f"{plot}.svg", "w").write(bundle["image/svg+xml"])
clones.skb.to_html("page.html")
"""


def seen(page: Page, path: Path, names: list[str], least: int) -> None:
    """See names on a page from disk: on so many figures, and nothing but text."""
    wrong: list[str] = []
    page.on("dialog", lambda dialog: wrong.append(dialog.message))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto(path.as_uri())
    expect(page.locator("svg").first).to_be_visible()
    words = "\n".join(page.locator("text, p, th, td").all_text_contents())
    assert all(words.count(name) >= least for name in names), words
    assert page.locator(MARKUP).count() == 0
    assert wrong == []


def test_no_name_becomes_markup_elsewhere(
    world: World, notebook: Notebook, browser: Browser
) -> None:
    plain = TRACED.replace("--panel", "")
    notebook.write(*("%load_ext skbnb", world.cell, plain, PLAIN))
    notebook.open()
    notebook.run_all()
    names = said(notebook, "sorted(set(clones['comm'].astype(str)))")
    assert {name.decode() for name in COMMS[:3]} < set(names)
    outputs = notebook.outputs
    expect(outputs.locator(".js-plotly-plot")).to_have_count(6)
    for table_of in outputs.get_by_role("table", name="Clones by process").all():
        shown_names = table_of.locator("tbody th").all_text_contents()
        assert {name.decode() for name in COMMS[:3]} < set(shown_names)
    words = "\n".join(outputs.locator(".js-plotly-plot text").all_text_contents())
    assert all(words.count(name.decode()) >= 5 for name in COMMS[:3]), words
    assert notebook.page.locator(MARKUP).count() == 0

    folder = Path(said(notebook, "str(__import__('pathlib').Path.cwd())"))
    page = browser.new_page()
    try:
        senders = [name.decode() for name in COMMS[:3]]
        seen(page, folder / "page.html", senders, least=4)
        for plot in ("timeline", "processes", "flow"):
            seen(page, folder / f"{plot}.svg", senders, least=1)
    finally:
        page.close()
