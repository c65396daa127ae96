# SPDX-License-Identifier: Apache-2.0
"""The panel can be read and used: in a narrow page, in the dark, by keys, read out."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Notebook
from tests.browser.steps import (
    TRACE,
    counts,
    figure,
    in_python,
    opened,
    said,
    says,
    shown,
)

TITLES = ("Processes", "Timeline", "Why", "Packets", "Events")

# Every text that is seen, with the contrast of its colour to what is behind it, as WCAG
# 2.2 defines it. What stands on a mark of a figure has the mark behind it.
CONTRASTS = """panel => {
    const parsed = colour => (colour.match(/[\\d.]+/g) ?? [0, 0, 0, 0]).map(Number);
    const light = ([r, g, b]) => [r, g, b].map(part => part / 255)
        .map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
        .reduce((sum, part, at) => sum + part * [0.2126, 0.7152, 0.0722][at], 0);
    const behind = element => {
        const slice = element.closest(".slice")?.querySelector("path.surface");
        if (slice) return parsed(getComputedStyle(slice).fill);
        for (let at = element; at; at = at.parentElement) {
            const [r, g, b, a = 1] = parsed(getComputedStyle(at).backgroundColor);
            if (a > 0.5) return [r, g, b];
        }
        return [255, 255, 255];
    };
    const seen = [];
    const walker = document.createTreeWalker(panel, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const element = walker.currentNode.parentElement;
        const text = walker.currentNode.textContent.trim();
        if (!text || !element.checkVisibility({ visibilityProperty: true,
            opacityProperty: true }) || element.closest("style, option")) continue;
        const style = getComputedStyle(element);
        const ours = parsed(element instanceof SVGElement ? style.fill : style.color);
        const [low, high] = [light(ours), light(behind(element))].sort((a, b) => a - b);
        seen.push([text, Math.round((high + 0.05) / (low + 0.05) * 100) / 100]);
    }
    return seen;
}"""


def use_theme(notebook: Notebook, name: str) -> None:
    notebook.page.evaluate(
        "async theme => { await jupyterapp.commands.execute("
        "'apputils:change-theme', { theme }); }",
        name,
    )
    expect(notebook.page.locator("body")).to_have_attribute("data-jp-theme-name", name)


def look_at(notebook: Notebook, title: str) -> None:
    notebook.tab(title)
    seen = figure(notebook)
    if title == "Events":
        seen = notebook.panel.locator("tbody tr").first
    expect(seen).to_be_visible()
    notebook.page.wait_for_timeout(300)  # for plotly to have drawn all of it


# The theme stays as it is set: what others see comes last.
@pytest.mark.parametrize("theme", ["JupyterLab Dark", "JupyterLab Light"])
def test_every_text_is_read_in_every_theme(notebook: Notebook, theme: str) -> None:
    opened(notebook, TRACE)
    use_theme(notebook, theme)
    notebook.choose("scope", "all")
    for title in TITLES:
        look_at(notebook, title)
        notebook.screenshot(f"{title} {theme}".lower().replace(" ", "-"))
        contrasts = notebook.panel.evaluate(CONTRASTS)
        assert len(contrasts) > 20
        assert [one for one in contrasts if one[1] < 4.5] == []


CUT = """panel => {
    const { left, right } = panel.getBoundingClientRect();
    const controls = "select, input, button, .noUi-handle, .widget-readout, [role=tab]";
    const ruler = document.createElement("canvas").getContext("2d");
    const room = one => {
        ruler.font = getComputedStyle(one).font;
        const text = one.selectedOptions[0]?.text ?? "", arrow = 24;
        return one.clientWidth - arrow - ruler.measureText(text).width;
    };
    return [...panel.querySelectorAll(controls)].filter(one => {
        const box = one.getBoundingClientRect();
        const cut = one.matches("select") ? room(one) < 0
            : one.scrollWidth > one.clientWidth + 1;
        return box.width && (box.left < left - 1 || box.right > right + 1 || cut);
    }).map(one => one.outerHTML.slice(0, 200));
}"""


def test_a_page_of_700_pixels_cuts_nothing_off(notebook: Notebook) -> None:
    opened(notebook, TRACE)
    notebook.page.set_viewport_size({"width": 700, "height": 900})
    notebook.page.evaluate(
        "() => jupyterapp.commands.execute('application:toggle-left-area')"
    )
    notebook.choose("scope", "all")
    for title in TITLES:
        look_at(notebook, title)
        notebook.screenshot(f"{title}-700".lower())
        wide, room = notebook.panel.evaluate(
            "one => [one.scrollWidth, one.clientWidth]"
        )
        assert wide <= room < 700
        assert notebook.panel.evaluate(CUT) == []
    for control, option in (("process", "python"), ("reason", "tcp"), ("device", "lo")):
        notebook.choose(control, option)
    assert notebook.panel.evaluate(CUT) == []


def test_everything_has_a_name_when_read_aloud(notebook: Notebook) -> None:
    opened(notebook, TRACE)
    notebook.choose("scope", "all")
    clones = said(
        notebook, "int((__import__('skbnb').last.select('all')['pid'] > 0).sum())"
    )
    for title in ("Processes", "Timeline", "Why"):
        look_at(notebook, title)
        for plot in notebook.panel.locator(".js-plotly-plot:visible").all():
            expect(plot).to_have_role("figure")
            heading = plot.locator(".gtitle").text_content()
            (name,) = [plot.get_attribute("aria-label")]
            assert name.startswith(f"{heading}: {clones} clones of ")
            assert "curl" in name or "tcp_transmit" in name
    look_at(notebook, "Events")
    panel = notebook.panel
    assert panel.locator("th:not([scope])").count() == 0
    assert panel.locator("th[scope=col][title]").count() > 10
    for role in ("button", "combobox", "slider", "textbox", "tab", "region"):
        everyone = panel.get_by_role(role)
        assert everyone.count() > 0, role
        for one in everyone.all():
            expect(one).to_have_accessible_name(re.compile(r"\w\w"))


FOCUSED = """() => {
    const one = document.activeElement;
    return one.ariaLabel || one.labels?.[0]?.textContent || one.textContent;
}"""


def test_every_control_is_reached_and_used_by_keys(notebook: Notebook) -> None:
    opened(notebook, TRACE.replace("--scope all", "--scope cell"))
    press = notebook.page.keyboard.press
    expect(figure(notebook)).to_have_role("figure")
    notebook.panel.get_by_label("scope", exact=True).focus()
    press("a")  # of all
    expect(notebook.panel.locator("code").last).not_to_contain_text("lambda")
    everything = counts(notebook)[1]
    assert shown(notebook) == everything

    def forward() -> str:
        press("Tab")
        return str(notebook.page.evaluate(FOCUSED))

    assert [forward() for _ in range(3)] == ["process", "reason", "device"]
    assert forward() == "time from, in seconds"
    for _ in range(4):
        press("ArrowRight")
    says(notebook, "['t'].ge(")
    assert forward() == "time to, in seconds"
    assert forward() == "time in seconds, from and to"
    assert forward() == "text"
    notebook.page.keyboard.type("SYN")
    press("Enter")
    says(notebook, "contains('SYN')")
    assert shown(notebook) == in_python(notebook) <= 3
    assert forward() == "Show all"
    press("Enter")
    expect(notebook.panel.locator("code").last).not_to_contain_text("lambda")
    assert shown(notebook) == everything

    assert forward() == "Processes"
    for _ in range(4):
        press("ArrowRight")
    press("Enter")
    expect(notebook.panel.locator("tbody tr").first).to_be_visible()
    for name in ("first", "back", "next", "last", "sort by"):
        assert forward() == name
    press("c")  # of count
    assert forward() == "largest first"
    press("Enter")
    expect(notebook.panel.locator("tbody td").nth(1)).to_have_text(f"{everything}")
    assert forward() == "all columns"
    press("Space")
    expect(notebook.panel.locator("th", has_text="sk_cookie")).to_have_count(1)
    assert forward() == "events"
    press("End")
    press("ArrowRight")
    assert forward() == "Keep these rows"
    press("Enter")
    expect(notebook.panel.get_by_text("Kept as chosen")).to_be_visible()

    # What means something to the notebook means nothing here.
    press("d")
    press("d")
    assert notebook.page.locator(".jp-CodeCell").count() == 2
