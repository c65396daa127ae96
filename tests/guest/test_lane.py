# SPDX-License-Identifier: Apache-2.0
"""The lane itself, where no guest is needed to see it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.guest import debian, table
from tests.guest.conftest import write_table
from tests.guest.guests import Lane
from tests.guest.settings import SETTINGS, TESTS, Setting, cases, choose
from tests.guest.told import Told


def test_settings_are_chosen_by_name_and_each_once() -> None:
    names = [setting.name for setting in choose("newest,5.10+bullseye,newest")]
    assert names == ["newest", "5.10+bullseye"]
    assert choose("newest,all") != choose("all")
    assert len(choose("newest,all")) == len(SETTINGS)
    with pytest.raises(ValueError, match=r"'6\.2' is not one of 5\.10, 6\.1"):
        choose("6.1,6.2")


def test_a_file_stands_for_each_of_its_functions() -> None:
    runs = {"fentry": ("live/test_scope.py",), "-": ("live/test_counts.py::test_ping",)}
    found = [str(case) for case in cases(Setting("here", "6.1", runs))]
    assert found[0].startswith("here fentry live/test_scope.py::test_")
    assert len(found) > 5
    assert found[-1] == "here - live/test_counts.py::test_ping"


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS)
def test_every_test_of_the_table_exists(setting: Setting) -> None:
    for case in cases(setting):
        path, _, name = case.test.partition("::")
        function = name.partition("[")[0]
        assert f"\ndef {function}(" in (TESTS / path).read_text()


def tell(path: Path, **fields: object) -> None:
    with path.open("a") as file:
        file.write(json.dumps({"way": "kprobe", **fields}) + "\n")


def test_a_tests_parameters_are_one_verdict(tmp_path: Path) -> None:
    path = tmp_path / "told"
    told = Told(path)
    names = ["tests/live/test_x.py::test_it[1]", "tests/live/test_x.py::test_it[2]"]
    tell(path, tests=names)
    tell(path, test=names[0], outcome="passed", seconds=1, text="")
    list(told.more())
    assert told.verdict("kprobe", "live/test_x.py::test_it") is None
    tell(path, test=names[1], outcome="failed", seconds=1, text="it is so")
    list(told.more())
    verdict = told.verdict("kprobe", "live/test_x.py::test_it")
    assert verdict == f"{names[1]} failed in the guest\nit is so"
    assert told.verdict("kprobe", "live/test_x.py::test_it[1]") == ""
    assert told.verdict("kprobe", "live/test_x.py::test_that") is None


def test_what_never_came_failed(tmp_path: Path) -> None:
    path = tmp_path / "told"
    told = Told(path)
    tell(path, status=4)
    list(told.more())
    verdict = told.verdict("kprobe", "live/test_x.py")
    assert (
        verdict == "0 results of 0 came before the guest's pytest ended with status 4"
    )


def test_half_a_line_is_read_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "told"
    told = Told(path)
    path.write_text('{"kernel": "6.1.0", "user')
    assert list(told.more()) == []
    with path.open("a") as file:
        file.write('land": "Debian"}\n')
    assert list(told.more()) == ["is up: 6.1.0, Debian"]
    assert told.about == {"kernel": "6.1.0", "userland": "Debian"}


def test_the_table_has_a_row_for_each_setting() -> None:
    passed = dict.fromkeys(cases(SETTINGS["6.1"]), True)
    passed[next(cases(SETTINGS["6.1"]))] = False
    about = {"6.1": {"kernel": "6.1.0", "userland": "Debian"}}
    lines = table.markdown(passed, about).splitlines()
    assert len(lines) == 2 + len(SETTINGS) + 2
    assert {line.count("|") for line in lines[:-2]} == {lines[0].count("|")}
    row = next(line for line in lines if line.startswith("| 6.1.0 | Debian | "))
    failed, kprobe = row.split(" | ")[2:4]
    assert failed.startswith("✗ ")
    assert kprobe.startswith("✓ ")


def test_the_table_replaces_the_one_before(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text(f"# it\n\n{table.BEGIN}\n{table.END}\n\nmore\n")
    for text in ("| first |", r"| \1 second |"):
        table.check(page)
        table.put(page, text)
        whole = f"# it\n\n{table.BEGIN}\n\n{text}\n\n{table.END}\n\nmore\n"
        assert page.read_text() == whole
    page.write_text("# it\n")
    with pytest.raises(ValueError, match="0 places"):
        table.check(page)


def test_only_a_run_of_everything_is_a_new_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    page = tmp_path / "README.md"
    page.write_text(f"{table.BEGIN}\n{table.END}\n")
    monkeypatch.setattr(request.config.option, "table", page, raising=False)
    lane = Lane([], print)
    lane.passed = dict.fromkeys(cases(SETTINGS["6.1"]), True)
    write_table(request.config, lane)
    assert page.read_text() == f"{table.BEGIN}\n{table.END}\n"
    for setting in SETTINGS.values():
        lane.passed.update(dict.fromkeys(cases(setting), True))
    write_table(request.config, lane)
    assert page.read_text().count("\n| ") == 2 + len(SETTINGS)


def test_a_folder_is_there_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    def half(root: Path) -> None:
        root.mkdir()
        raise debian.DebianError("no more")

    def whole(root: Path) -> None:
        root.mkdir()
        (root / "file").touch()

    with pytest.raises(debian.DebianError):
        debian.made_once(tmp_path / "it", half)
    assert not list(tmp_path.iterdir())
    assert debian.made_once(tmp_path / "it", whole) == tmp_path / "it"
    assert debian.made_once(tmp_path / "it", half) == tmp_path / "it"
    assert (tmp_path / "it" / "file").exists()


def test_a_suite_that_is_not_there_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(debian, "_sources", lambda suite: [])
    with (
        debian.suite("nowhere") as apt,
        pytest.raises(debian.DebianError, match="no linux-image-amd64 in nowhere"),
    ):
        apt.version("linux-image-amd64")
