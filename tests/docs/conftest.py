# SPDX-License-Identifier: Apache-2.0
"""The documentation, built once from this checkout, with warnings as errors."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from playwright.sync_api import Browser

from tests.browser.conftest import chromium

CHECKOUT = Path(__file__).parents[2]


class Site:
    """The pages, by their names as in ``notebooks/01-first-trace.html``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pages = {
            path.relative_to(folder).as_posix(): BeautifulSoup(
                path.read_text(), "html.parser"
            )
            for path in sorted(folder.rglob("*.html"))
        }


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder = tmp_path_factory.mktemp("docs")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning"),
            *("--doctree-dir", folder / "doctrees", CHECKOUT / "docs", folder / "site"),
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return Site(folder / "site")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    yield from chromium()
