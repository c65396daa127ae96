# SPDX-License-Identifier: Apache-2.0
"""What tests tell stands in its table, once, and other tests' rows stay."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import ledger

PAGE = """Before.

<!-- faults -->
<!-- /faults -->

<!-- fuzzing -->

old

<!-- /fuzzing -->
After.
"""


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "page.md"
    path.write_text(PAGE)
    return path


def rows(page: Path) -> list[list[str]]:
    lines = [line for line in page.read_text().splitlines() if line.startswith("|")]
    return [line.strip("| ").split(" | ")[:3] for line in lines]


def test_a_row_replaces_its_own(page: Path) -> None:
    ledger.check(page)
    titles = [["What was done", "What was lost", "Test"], ["---"] * 3]
    ledger.put(page, "faults", {"b": ("killed", "all"), "a": ("closed", "nothing")})
    assert rows(page) == [
        *titles,
        ["closed", "nothing", "`a`"],
        ["killed", "all", "`b`"],
    ]
    ledger.put(page, "faults", {"b": ("killed", "3")})
    assert rows(page)[2:] == [["closed", "nothing", "`a`"], ["killed", "3", "`b`"]]
    text = page.read_text()
    assert text.startswith("Before.\n")
    assert text.endswith("After.\n")
    assert "old" in text


def test_a_page_without_a_place(page: Path) -> None:
    page.write_text(PAGE.replace("<!-- /fuzzing -->", ""))
    with pytest.raises(ValueError, match="0 places for the table of fuzzing"):
        ledger.check(page)
