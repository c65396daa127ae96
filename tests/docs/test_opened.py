# SPDX-License-Identifier: Apache-2.0
"""The documentation in a browser, from its files alone, light and dark and narrow."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page

from tests.docs.conftest import Site

# Contrast of WCAG 2.1, of each cell's text with what is behind it; and what lies
# outside of the page, where one cannot scroll to it.
_LOOK = """
() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
    .map((c) => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const colour = parse(getComputedStyle(e).backgroundColor);
      if (colour.length < 4 || colour[3] > 0.9) return colour;
    }
    return [255, 255, 255];
  };
  const contrast = (element) => {
    const style = getComputedStyle(element);
    const colour = element.closest("svg") ? style.fill : style.color;
    const pair = [parse(colour), behind(element)];
    const [a, b] = pair.map(light).sort((x, y) => y - x);
    return (a + 0.05) / (b + 0.05);
  };
  const isCut = (element) => {
    if (element.getBoundingClientRect().right <= innerWidth) return false;
    for (let e = element; !e.matches("article"); e = e.parentElement)
      if (/auto|scroll/.test(getComputedStyle(e).overflowX)) return false;
    return true;
  };
  const cells = [...document.querySelectorAll(
    "article :is(td, th, caption, .output pre, .cell_input pre, p, li), " +
    ".cell_output svg text:not([fill])")];
  return {
    faint: cells.filter((cell) => cell.textContent.trim() && contrast(cell) < 4.5)
      .map((cell) => cell.textContent),
    cells: cells.length,
    cut: [...document.querySelectorAll("article *")].filter(isCut)
      .map((element) => element.outerHTML.slice(0, 80)),
  };
}
"""


class Opened:
    """A page, and all that went wrong in it."""

    def __init__(self, browser: Browser, scheme: Literal["light", "dark"]) -> None:
        self.context = browser.new_context(
            color_scheme=scheme, viewport={"width": 700, "height": 900}
        )
        self.page: Page = self.context.new_page()
        self.complaints: list[str] = []
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", self._request)

    def _console(self, message: Any) -> None:
        if message.type == "error":
            self.complaints.append(message.text)

    def _request(self, request: Any) -> None:
        if not request.url.startswith(("file:", "data:")):
            self.complaints.append(f"request: {request.url}")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_is_read_without_a_network(
    site: Site, browser: Browser, scheme: Literal["light", "dark"]
) -> None:
    opened = Opened(browser, scheme)
    cells = 0
    for name in site.pages:
        opened.page.goto(f"file://{site.folder}/{name}")
        seen = opened.page.evaluate(_LOOK)
        assert seen["faint"] == [], name
        assert seen["cut"] == [], name
        cells += seen["cells"]
    assert cells > 500
    assert opened.complaints == []
    opened.context.close()


def test_search_finds_a_column(site: Site, browser: Browser) -> None:
    opened = Opened(browser, "light")
    opened.page.goto(f"file://{site.folder}/index.html")
    opened.page.get_by_label("Search").first.fill("drop_reason")
    opened.page.keyboard.press("Enter")
    results = opened.page.locator("#search-results ul a")
    results.first.wait_for()
    found = [link.get_attribute("href") or "" for link in results.all()]
    assert any(href.startswith("columns.html") for href in found)
    assert opened.complaints == []
    opened.context.close()
