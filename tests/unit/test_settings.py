# SPDX-License-Identifier: Apache-2.0
"""An administrator's settings: what is understood, and what is not."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from skbnb.agent import settings
from skbnb.agent.settings import Settings, parse
from skbnb.errors import PrivilegeError

WHOLE = b"""\
# Who sees what everyone does.
see_all = ["alice", "%netadmin"] # and nobody else
max_events=1000

  max_seconds = 60\t# a minute
max_ring_mib = 8
max_functions = 10
"""


def test_a_whole_file() -> None:
    assert parse(WHOLE) == Settings(("alice", "%netadmin"), 1000, 60, 8, 10)
    assert parse(WHOLE.replace(b"\n", b"\r\n")) == parse(WHOLE)
    assert parse(b"") == Settings()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("see_all", "line 1: not of the form NAME = VALUE"),
        ("\nsee_all = alice", "line 2: see_all is no number, and no list of names"),
        ('see_all = "alice"', "see_all is not a list of names"),
        ("see_all = [1]", "see_all is not a list of names"),
        ('see_all = ["a b"]', "'a b' is not the name of a user"),
        ('see_all = ["*"]', "'*' is not the name of a user"),
        ('see_all = ["a"] ["b"]', "more than one value of see_all"),
        ('see_all = ["\\u0061"]', "not of the form"),
        ("max_events = 0", "max_events is not a whole number above zero"),
        ("max_events = -1", "max_events is not a whole number"),
        ("max_events = 1.5", "max_events is not a whole number"),
        ("max_events = true", "max_events is not a whole number"),
        ("max_events = NaN", "max_events is not a whole number"),
        ("max_events = 1e3", "max_events is not a whole number"),
        (f"max_events = {1 << 62}", "max_events is not a whole number"),
        ("max_events = 1_000", "more than one value of max_events"),
        ("max_events = 1\nmax_events = 2", "line 2: max_events is there twice"),
        ("[skbnb]", "not of the form"),
        ("max_events =", "not of the form"),
        ("max_event = 1", "there is no setting 'max_event'"),
        ("# \x07", "not of the form"),
        ("see_all = " + "[" * 5000, "see_all is no number"),
    ],
)
def test_what_is_not_understood(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=r"^line \d+: ") as caught:
        parse(text.encode())
    assert why in str(caught.value)


def test_bytes_that_are_no_text() -> None:
    with pytest.raises(ValueError, match="not UTF-8"):
        parse(b"\xff")
    with pytest.raises(ValueError, match="more than 65536 bytes"):
        parse(b"#" * 65537)


_ALPHABET = st.sampled_from('see_all max_events=0123456789[]",%# \t\n\r.-\\ab\x0b\x7fé')


@given(
    st.lists(st.one_of(st.sampled_from(WHOLE.decode().split("\n")), st.text(_ALPHABET)))
)
@example(["max_events = 01"])
@example(['see_all = ["a",]'])
@example(["max_events = 1\r"])
def test_it_is_toml(lines: list[str]) -> None:
    """What is understood says the same to whoever knows all of TOML."""
    text = "\n".join(lines)
    try:
        found = parse(text.encode())
    except ValueError:
        return
    toml = tomllib.loads(text)
    if "see_all" in toml:
        toml["see_all"] = tuple(toml["see_all"])
    assert found == Settings(**toml)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "skbnb.toml"
    path.write_text("max_events = 7\n")
    path.chmod(0o644)
    return path


def test_a_file_of_roots(file: Path) -> None:
    assert settings.read(str(file)).max_events == 7
    assert settings.read(str(file) + "-not") == Settings()


@pytest.mark.parametrize("mode", [0o664, 0o646])
def test_one_that_others_can_change(file: Path, mode: int) -> None:
    file.chmod(mode)
    with pytest.raises(PrivilegeError, match="can be changed by others"):
        settings.read(str(file))


def test_one_that_is_anothers(file: Path) -> None:
    os.chown(file, 4242, 0)
    with pytest.raises(PrivilegeError, match="can be changed by others"):
        settings.read(str(file))


def test_what_is_no_file(tmp_path: Path, file: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o644)
    with pytest.raises(PrivilegeError, match="is not a file"):
        settings.read(str(tmp_path / "pipe"))
    (tmp_path / "link").symlink_to(file)
    with pytest.raises(PrivilegeError, match="cannot be read"):
        settings.read(str(tmp_path / "link"))
    with pytest.raises(PrivilegeError, match="is not a file"):
        settings.read(str(tmp_path))
