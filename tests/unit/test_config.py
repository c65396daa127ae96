# SPDX-License-Identifier: Apache-2.0
"""What crosses to root: a closed vocabulary; all else is refused, in one line."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skbnb.config import (
    MAX_COUNTED,
    MAX_LINE,
    Config,
    Counting,
    Listing,
    parse_request,
    start_request,
    stop_request,
)
from skbnb.errors import OptionError, RequestError

GOOD = Config(cell_tid=12, notebook_pid=10, max_events=5, max_seconds=1.5)
FIELDS = json.loads(start_request(GOOD))

BAD: list[tuple[str, Any]] = [
    ("probe", "kprobe;rm"),
    ("probe", None),
    ("probe", ["auto"]),
    ("buffer", "memory"),
    ("buffer", None),
    ("layout", "/usr/src"),
    ("snaplen", -1),
    ("snaplen", 9217),
    ("snaplen", True),
    ("ring_mib", 0),
    ("ring_mib", 3),
    ("ring_mib", 512),
    ("ring_mib", 1.0),
    ("ring_mib", True),
    ("max_events", 0),
    ("max_events", -1),
    ("max_events", 1 << 63),
    ("max_events", "5"),
    ("max_seconds", 0),
    ("max_seconds", -1.0),
    ("max_seconds", float("nan")),
    ("max_seconds", float("inf")),
    ("max_seconds", "1"),
    ("cell_tid", 0),
    ("cell_tid", 1 << 32),
    ("cell_tid", None),
    ("notebook_pid", -5),
]


def test_round_trip() -> None:
    assert parse_request(start_request(GOOD)) == GOOD
    assert parse_request(stop_request()) is None
    assert parse_request(start_request(Listing())) == Listing()
    assert parse_request(start_request(Counting([3, 1]))) == Counting([3, 1])


def test_the_largest_count_fits_in_a_line() -> None:
    most = list(range(9_999_999, 9_999_999 - MAX_COUNTED, -1))
    assert len(start_request(Counting(most))) <= MAX_LINE


@pytest.mark.parametrize(
    "functions",
    [
        [],
        [-1],
        [1.0],
        [True],
        ["vfs_read"],
        [1, 1],
        [1 << 40],
        list(range(MAX_COUNTED + 1)),
        "vfs_*",
        {"1": 1},
        None,
    ],
)
def test_a_count_takes_numbers_only(functions: Any) -> None:
    with pytest.raises(OptionError, match="functions"):
        Counting(functions)
    line = json.dumps({"op": "count", "functions": functions}).encode()
    with pytest.raises(RequestError, match="functions"):
        parse_request(line)


@pytest.mark.parametrize(("name", "value"), BAD)
def test_values_out_of_range(name: str, value: Any) -> None:
    with pytest.raises(OptionError, match=name):
        Config(**{"cell_tid": 1, "notebook_pid": 1, name: value})
    with pytest.raises(RequestError, match=name):
        parse_request(json.dumps({**FIELDS, name: value}).encode())


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"stop",
        b"[]",
        b"null",
        b'"stop"',
        b"\xff\xfe",
        b"[" * 60_000,
        b"{}",
        b'{"op": "run"}',
        b'{"op": "list", "op": "stop"}',
        '{"op": "stop"}'.encode("utf-16"),
        b'{"op": "stop", "\xff": 1}',
        b'{"op": "stop", "now": true}',
        b'{"op": "start"}',
        b'{"op": "list", "pattern": ".*"}',
        b'{"op": "count"}',
        b'{"op": "count", "functions": [1], "regex": "(a+)+$"}',
        json.dumps({**FIELDS, "text": "int f() {}"}).encode(),
        json.dumps({k: v for k, v in FIELDS.items() if k != "probe"}).encode(),
        json.dumps({**FIELDS, "op": ["start"]}).encode(),
    ],
)
def test_lines_that_are_no_request(line: bytes) -> None:
    with pytest.raises(RequestError) as caught:
        parse_request(line)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from(sorted(FIELDS)), JSON))
def test_any_fields_are_read_or_refused(changes: dict[str, Any]) -> None:
    try:
        config = parse_request(json.dumps({**FIELDS, **changes}).encode())
    except RequestError:
        return
    assert config is None or isinstance(config, Config)


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_or_a_stop(line: bytes) -> None:
    with contextlib.suppress(RequestError):
        assert parse_request(line) is None
