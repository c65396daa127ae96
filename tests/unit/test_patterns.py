# SPDX-License-Identifier: Apache-2.0
"""What a pattern means, and one line with a remedy where it means nothing."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skbnb.config import MAX_COUNTED
from skbnb.errors import OptionError, StreamError
from skbnb.patterns import Catalogue, Countable, choose
from skbnb.wire import Frame, Kind, control

NAMES = [
    Countable("function", "vfs_open"),
    Countable("function", "vfs_read"),
    Countable("function", "nft_do_chain", "nf_tables"),
    Countable("function", "sys_off_notify"),
    Countable("tracepoint", "skb:kfree_skb"),
    Countable("tracepoint", "skb:consume_skb"),
    Countable("tracepoint", "net:net_dev_queue"),
    Countable("syscall", "sys_read"),
    Countable("syscall", "sys_getppid"),
]
CATALOGUE = Catalogue(NAMES, {"do_int3", "vfs_secret"})
NO_KPROBES = Catalogue(
    [one for one in NAMES if one.kind != "function"],
    set(),
    {"function": "this kernel has no kprobes"},
)


def chosen(*patterns: str, regex: bool = False) -> list[str]:
    numbers = choose(patterns, CATALOGUE, 1000, regex).numbers
    return [NAMES[number].name for number in numbers]


@pytest.mark.parametrize(
    ("patterns", "names"),
    [
        (["vfs_*"], ["vfs_open", "vfs_read"]),
        (["vfs_read"], ["vfs_read"]),
        (["vfs_r???"], ["vfs_read"]),
        (["vfs_[ro]*"], ["vfs_open", "vfs_read"]),
        (["p:vfs_read"], ["vfs_read"]),
        (["p::vfs_read"], ["vfs_read"]),
        (["*chain"], ["nft_do_chain"]),
        (["sys_*"], ["sys_read", "sys_getppid"]),
        (["p:sys_*"], ["sys_off_notify"]),
        (["t:skb:*"], ["skb:kfree_skb", "skb:consume_skb"]),
        (["t:*:*_skb"], ["skb:kfree_skb", "skb:consume_skb"]),
        (["t:net:*", "sys_read"], ["net:net_dev_queue", "sys_read"]),
        (["vfs_*", "vfs_read", "*open"], ["vfs_open", "vfs_read"]),
    ],
)
def test_globs(patterns: list[str], names: list[str]) -> None:
    assert chosen(*patterns) == names


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("^vfs_(read|write)$", ["vfs_read"]),
        ("read", ["vfs_read"]),
        ("^sys_.*p", ["sys_getppid"]),
        ("t:^skb:c", ["skb:consume_skb"]),
        ("p:^sys_", ["sys_off_notify"]),
    ],
)
def test_regular_expressions(pattern: str, names: list[str]) -> None:
    assert chosen(pattern, regex=True) == names


def test_a_glob_is_of_the_whole_name() -> None:
    with pytest.raises(OptionError, match="matches none"):
        chosen("fs_read")


def complaint(*patterns: str, limit: int = 1000, regex: bool = False) -> str:
    with pytest.raises(OptionError) as caught:
        choose(patterns, CATALOGUE, limit, regex)
    said = str(caught.value)
    assert "\n" not in said
    assert len(said) < 300
    return said


def test_a_pattern_that_matches_nothing() -> None:
    assert complaint("vfz_*").startswith("'vfz_*' matches none of 4 functions. ")
    assert "inlined" in complaint("vfz_*")
    assert complaint("vfs_*", "t:x:*").startswith("'t:x:*' matches none of 3 trace")
    assert "p:sys_*" in complaint("sys_x")


def test_a_function_that_the_kernel_forbids() -> None:
    assert complaint("do_int3") == (
        "the kernel does not let do_int3 be traced. Count a function that calls it."
    )
    assert choose(["vfs_*"], CATALOGUE, 10).barred == ["vfs_secret"]


def test_a_pattern_that_matches_too_much() -> None:
    many = Catalogue([Countable("function", f"f{n}") for n in range(20_000)])
    with pytest.raises(OptionError) as caught:
        choose(["*"], many, 1000)
    assert str(caught.value) == (
        "'*' matches 20,000 functions, and the limit is 1,000. "
        f"Narrow it; at most {MAX_COUNTED:,} can be."
    )
    assert complaint("vfs_*", "sys_*", limit=3) == (
        "'vfs_*' and 'sys_*' match 4 functions, and the limit is 3. "
        "Narrow them, or say --limit 4."
    )
    assert len(choose(["vfs_*", "sys_*"], CATALOGUE, 4).numbers) == 4


def test_regular_expressions_that_are_none() -> None:
    said = complaint("vfs_(", regex=True)
    assert said.startswith("vfs_( is no regular expression: ")
    assert "Without -r" in said


@pytest.mark.parametrize(
    "text", ["", "vfs read", "a;b", "a/b", "vfs_\x1b[31m", "lib:func", "vfs_ö", "a\nb"]
)
def test_what_is_no_glob(text: str) -> None:
    assert "is no pattern" in complaint(text)


@pytest.mark.parametrize("text", ["t:skb", "t:a:b:c", "t:x"])
def test_what_names_no_tracepoint(text: str) -> None:
    assert "t:skb:*" in complaint(text)


def test_what_is_too_long() -> None:
    assert "more than 200 characters" in complaint("a" * 201)


def test_there_must_be_a_pattern() -> None:
    assert complaint().startswith("there is no pattern.")


@pytest.mark.parametrize("limit", [0, -1, MAX_COUNTED + 1])
def test_limits_that_are_none(limit: int) -> None:
    assert "not a number from 1 to" in complaint("vfs_*", limit=limit)


def test_without_kprobes_the_rest_is_counted() -> None:
    choice = choose(["vfs_*", "sys_read"], NO_KPROBES, 10)
    assert [NO_KPROBES.names[number].name for number in choice.numbers] == ["sys_read"]
    assert choice.unmet == {"vfs_*": "this kernel has no kprobes"}
    with pytest.raises(OptionError) as caught:
        choose(["vfs_*"], NO_KPROBES, 10)
    assert str(caught.value) == (
        "'vfs_*' cannot be counted: this kernel has no kprobes. It can count "
        "tracepoints (t:CATEGORY:NAME) and system calls (sys_*)."
    )


@given(st.text(max_size=30), st.booleans())
def test_any_text_is_a_pattern_or_refused(text: str, regex: bool) -> None:
    with contextlib.suppress(OptionError):
        assert choose([text], CATALOGUE, 1000, regex).numbers


# ------------------------------------------------------------------ what the agent says


def functions(**fields: Any) -> Frame:
    said = {"of": "function", "names": [], "barred": [], "why": "", **fields}
    return control(Kind.FUNCTIONS, **said)


def test_a_catalogue_is_of_all_frames_in_order() -> None:
    made = Catalogue.of(
        [
            functions(names=["a", "b [m]"], barred=["c"]),
            functions(of="syscall", why="no table"),
            functions(of="tracepoint", names=["x:y"]),
        ]
    )
    assert made.names == [
        Countable("function", "a"),
        Countable("function", "b", "m"),
        Countable("tracepoint", "x:y"),
    ]
    assert made.barred == {"c"}
    assert made.lacks == {"syscall": "no table"}


@pytest.mark.parametrize(
    "fields",
    [
        {"of": "file"},
        {"names": [1]},
        {"names": [""]},
        {"names": ["a b"]},
        {"names": ["a\x1b[31m"]},
        {"names": "abc"},
        {"barred": [None]},
        {"why": None},
    ],
)
def test_a_catalogue_of_something_else_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(StreamError):
        Catalogue.of([functions(**fields)])
