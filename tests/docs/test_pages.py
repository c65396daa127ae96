# SPDX-License-Identifier: Apache-2.0
"""The documentation is whole: all that there is to know of is there, and linked."""

from __future__ import annotations

import argparse
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote, urlsplit

from bs4 import BeautifulSoup, Tag

import skbnb
from skbnb import errors
from skbnb.agent.probes import PROBES
from skbnb.cli import parser
from skbnb.doctor.packages import PACKAGES
from skbnb.doctor.rounds import CHECKS
from skbnb.magics import SkbMagics
from skbnb.reasons import COPY_REASONS, REASONS
from skbnb.schema import COLUMNS
from tests.docs.conftest import CHECKOUT, Site

NOTEBOOKS = CHECKOUT / "notebooks"

# What a browser loads by itself, and by which attribute.
_LOADED = {
    **dict.fromkeys(("script", "img", "iframe", "source", "video", "audio"), "src"),
    "link": "href",
    "object": "data",
    "use": "href",
    "image": "href",
}


def words(tag: Tag | None) -> str:
    """The text of an element, in single spaces."""
    assert tag is not None
    return " ".join(tag.get_text().split())


def article(site: Site, page: str) -> Tag:
    found = site.pages[page].find("article")
    assert isinstance(found, Tag), page
    return found


def notebooks() -> list[str]:
    """Every notebook, folder by folder, in the order of names."""
    found = [path.relative_to(NOTEBOOKS) for path in NOTEBOOKS.rglob("*.ipynb")]
    kept = [path for path in found if ".ipynb_checkpoints" not in path.parts]
    kept.sort(key=lambda path: (path.parent.parts, path.name))
    return [f"notebooks/{path.with_suffix('')}.html" for path in kept]


# ------------------------------------------------------------------ requests and links


def requests(page: BeautifulSoup) -> Iterator[str]:
    for name, attribute in _LOADED.items():
        for tag in page.find_all(name):
            yield str(tag.get(attribute) or "")
            yield from str(tag.get("srcset") or "").split()
    for style in page.find_all("style"):
        yield from in_style(style.get_text())
    for tag in page.find_all(style=True):
        yield from in_style(str(tag["style"]))


def in_style(css: str) -> list[str]:
    return re.findall(r"(?:url\(|@import)\s*[\"']?([^\"');]+)", css)


def test_no_page_asks_for_another_host(site: Site) -> None:
    asked = {
        (name, url)
        for name, page in site.pages.items()
        for url in requests(page)
        if urlsplit(url).netloc
    }
    sheets = list(site.folder.rglob("*.css"))
    asked |= {
        (path.name, url)
        for path in sheets
        for url in in_style(path.read_text())
        if urlsplit(url).netloc
    }
    assert sheets
    assert asked == set()


def test_every_link_leads_somewhere(site: Site) -> None:
    anchors = {
        name: {str(tag["id"]) for tag in page.find_all(id=True)}
        for name, page in site.pages.items()
    }
    checked, broken = 0, []
    for name, page in site.pages.items():
        for link in page.find_all("a", href=True):
            url = urlsplit(str(link["href"]))
            if url.scheme or url.netloc:
                continue
            checked += 1
            target = (
                os.path.normpath(Path(name).parent / url.path) if url.path else name
            )
            anchor = unquote(url.fragment)
            if target in anchors:
                good = not anchor or anchor in anchors[target]
            else:
                good = (site.folder / target).is_file() and not anchor
            if not good:
                broken.append((name, link["href"]))
    assert checked > 1000
    assert broken == []


# ------------------------------------------------------------------ what pages say


def test_every_option_is_described(site: Site) -> None:
    (subparsers,) = (
        action
        for action in parser.make()._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    programs = {
        **{("magics", name): getattr(SkbMagics, name).parser for name in _magics()},
        **{("commands", name): one for name, one in subparsers.choices.items()},
    }
    for (page, name), one in programs.items():
        options = set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", one.format_help()))
        options -= {"-h", "--help"}
        described = article(site, f"{page}.html").select(
            f"dl.option dt[id^=cmdoption-{'skbnb-' * (page == 'commands')}{name}-]"
        )
        told = {words(part) for tag in described for part in tag.select(".sig-name")}
        known = {flag for action in one._actions for flag in action.option_strings}
        assert options & known <= told, name
        assert told or len(one._actions) == 1, name  # --help
        for action in one._actions:
            for choice in action.choices or ():
                assert any(choice in words(tag) for tag in described), (name, choice)


def _magics() -> set[str]:
    return {name for kind in SkbMagics.magics.values() for name in kind}


def test_every_column_is_described(site: Site) -> None:
    page = article(site, "columns.html")
    for column in COLUMNS:
        anchor = f"column-{column.name.replace('_', '-')}"
        row = page.select_one(f"tr:has(#{anchor})")
        said = words(row)
        assert said.startswith(f"{column.name} {column.dtype} "), said
        option = f" With --{column.option}." if column.option else ""
        assert said.endswith(f" {column.text.replace('`', '')}{option}")
    assert len(page.select("tbody tr")) == len(COLUMNS)


def test_every_reason_is_described(site: Site) -> None:
    page = article(site, "reasons.html")
    for reason in REASONS + COPY_REASONS:
        section = words(page.select_one(f"section#reason-{reason.slug}"))
        for text in (reason.text, reason.example, reason.source):
            assert text.replace("`", "") in section, reason.slug
        assert all(f"{symbol}()" in section for symbol in reason.symbols), reason.slug


def test_every_error_is_described(site: Site) -> None:
    page = article(site, "errors.html")
    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, errors.SkbnbError):
            entry = page.select_one(f"dl:has(> dt[id='skbnb.errors.{kind.__name__}'])")
            assert kind.hint.replace("`", "") in words(entry)
    for code, kind in errors.CODES.items():
        entry = page.select_one(f"dl:has(> dt[id='skbnb.errors.{kind.__name__}'])")
        assert f"Code: {code}." in words(entry)
        assert page.select_one(f"[id='error-{code}']")


def test_troubleshooting_names_every_code_and_check(site: Site) -> None:
    rows = [words(row) for row in article(site, "troubleshooting.html").select("tr")]
    for code, kind in errors.CODES.items():
        said = f"{code} {kind.__name__} {kind.hint.replace('`', '')}"
        assert said in rows
    for name, _ in CHECKS:
        assert any(row.startswith(f"{name} ") for row in rows), name


def test_install_names_every_package(site: Site) -> None:
    said = words(article(site, "install.html"))
    for names in PACKAGES.values():
        assert set(names) <= set(said.split()) or all(name in said for name in names)


def test_every_public_name_is_described(site: Site) -> None:
    known = {
        str(tag["id"]) for page in site.pages.values() for tag in page.select("[id]")
    }
    for name in skbnb.__all__:
        is_module = isinstance(getattr(skbnb, name), ModuleType)
        assert f"{'module-' * is_module}skbnb.{name}" in known, name


def test_every_module_and_c_file_has_its_sentence(site: Site) -> None:
    page = article(site, "architecture.html")
    told = {words(tag): words(tag.find_next("dd")) for tag in page.select("dt")}
    package = CHECKOUT / "skbnb"
    files = {path.relative_to(package).as_posix() for path in package.rglob("*.py")}
    files |= {path.name for path in (CHECKOUT / "bpf").iterdir()}
    assert set(told) == files
    assert all(told.values())


def test_the_kernels_are_those_of_the_readme(site: Site) -> None:
    text = (CHECKOUT / "README.md").read_text()
    table = text.split("<!-- kernels -->")[1].split("<!-- /kernels -->")[0]
    kernels = re.findall(r"^\| (\d[^ |]+)", table, re.MULTILINE)
    rows = article(site, "kernels.html").select("tbody tr")
    assert [words(row).split()[0] for row in rows] == kernels
    limits = words(article(site, "limits.html"))
    assert all(probe.name in limits for probe in PROBES)


# ------------------------------------------------------------------ notebooks


def test_the_notebooks_are_listed_in_order(site: Site) -> None:
    sidebar = site.pages["index.html"].select(".sidebar-tree a")
    listed = [str(link["href"]) for link in sidebar]
    assert [one for one in listed if one.startswith("notebooks/")] == notebooks()


def test_pages_say_their_language(site: Site) -> None:
    for name, page in site.pages.items():
        translated = re.match(r"notebooks/lessons/(\w+)/", name)
        assert page.html
        assert page.html["lang"] == (translated[1] if translated else "en"), name


def test_the_notebooks_show_what_is_kept_in_them(site: Site) -> None:
    for name in notebooks():
        kept = json.loads((CHECKOUT / name).with_suffix(".ipynb").read_text())
        outputs = [
            output.get("data", {})
            for cell in kept["cells"]
            for output in cell.get("outputs", ())
        ]
        page = article(site, name)
        images = [data["image/svg+xml"] for data in outputs if "image/svg+xml" in data]
        assert len(page.select(".cell_output svg")) == len(images), name
        tables = sum(
            "".join(data.get("text/html", "")).count("<table") for data in outputs
        )
        assert len(page.select(".cell_output table")) == tables, name
        assert len(page.select(".cell_input")) == sum(
            cell["cell_type"] == "code" for cell in kept["cells"]
        )
        assert not page.select(".cell_input .err"), name
