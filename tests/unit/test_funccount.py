# SPDX-License-Identifier: Apache-2.0
"""Counts from an agent in every mood, and how they are shown.

The live twins are tests/live/test_funccount.py and tests/stock/test_funccount.py.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import skbnb
from skbnb import charts, svg
from skbnb.counts import Counts
from skbnb.errors import BusyError, OptionError, StreamError, TruncatedWarning
from skbnb.patterns import Countable
from skbnb.transport import AgentTransport, ReplayTransport

FAKE = Path(__file__).parents[1] / "fake_agent.py"


@pytest.fixture
def agent(request: pytest.FixtureRequest) -> Iterator[AgentTransport]:
    made = AgentTransport([sys.executable, "-I", str(FAKE), request.param])
    yield made
    made.kill()
    made.close()


def mood(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("agent", [name], indirect=True)


EVERYTHING = ("*", "t:*:*", "sys_*")


@mood("good")
def test_good_twice_on_one_agent(agent: AgentTransport) -> None:
    for _ in range(2):
        with skbnb.funccount(*EVERYTHING, transport=agent) as counts:
            pass
        # Each is called as often as its number says, but for the last, which cannot be.
        assert list(counts.table.itertuples(index=False, name=None)) == [
            ("sys_read", 5, "syscall", ""),
            ("net:net_dev_queue", 4, "tracepoint", ""),
            ("skb:kfree_skb", 3, "tracepoint", ""),
            ("nft_do_chain", 2, "function", "nf_tables"),
            ("vfs_read", 1, "function", ""),
        ]
        assert counts.everything["func"].tolist()[5:] == ["vfs_open"]
        assert counts.about["refused"] == {
            "sys_getppid": "its module is gone",
            "do_int3": "the kernel forbids it",
            "vfs_secret": "the kernel forbids it",
        }
        assert counts.about["duration"] == 2.0
    assert agent.usable


@mood("good")
def test_dtypes(agent: AgentTransport) -> None:
    with skbnb.funccount("vfs_*", transport=agent) as counts:
        pass
    assert counts.everything.dtypes.astype(str).tolist() == [
        *("str", "uint64", "category", "str")
    ]
    assert counts.table.attrs["funccount"] == counts.about


@mood("good")
def test_how_far_attaching_is(agent: AgentTransport) -> None:
    told: list[tuple[int, int]] = []
    with skbnb.funccount(
        *EVERYTHING, transport=agent, progress=lambda *said: told.append(said)
    ):
        pass
    assert told[-1] == (7, 7)
    assert set(told) <= {(1, 7), (7, 7)}


@mood("good")
def test_a_pattern_that_matches_nothing_leaves_all_as_it_was(
    agent: AgentTransport,
) -> None:
    with (
        pytest.raises(OptionError, match="matches none of 3 functions"),
        skbnb.funccount("vfz_*", transport=agent),
    ):
        pytest.fail("the block ran")
    assert agent.usable
    with skbnb.funccount("vfs_*", transport=agent) as counts:
        pass
    assert len(counts.everything) == 1


@mood("good")
def test_one_at_a_time(agent: AgentTransport) -> None:
    with skbnb.funccount("vfs_*", transport=agent) as counts:
        with pytest.raises(BusyError), skbnb.trace(transport=agent):
            pytest.fail("the block ran")
        with pytest.raises(BusyError, match="still running"):
            _ = counts.table
        assert repr(counts) == "<skbnb.Counts: running>"


@mood("dies")
def test_an_agent_that_dies_leaves_no_counts(agent: AgentTransport) -> None:
    with (
        pytest.warns(TruncatedWarning, match="ended by signal 9"),
        skbnb.funccount("vfs_*", transport=agent) as counts,
    ):
        pass
    # Of nothing it is said that it was not called.
    assert counts.everything.empty
    assert counts.table.empty
    assert counts.receipt().startswith("TRUNCATED: nothing was counted: the agent")
    assert counts.about["missed"] is None


@mood("garbage")
def test_bad_counts_are_refused(agent: AgentTransport) -> None:
    with (
        pytest.raises(StreamError, match="bad counts"),
        skbnb.funccount("vfs_*", transport=agent),
    ):
        pass
    with pytest.raises(OptionError):  # and not that a count is running
        skbnb.funccount().begin()


@mood("interrupted")
def test_an_interrupt_while_attaching(agent: AgentTransport) -> None:
    with (
        pytest.raises(KeyboardInterrupt),
        skbnb.funccount("vfs_*", transport=agent),
    ):
        pytest.fail("the block ran")
    assert not agent.usable


def test_a_recording_has_no_kernel(tmp_path: Path) -> None:
    transport = ReplayTransport(tmp_path / "curl.skbt")
    with (
        pytest.raises(OptionError, match="no kernel to count in"),
        skbnb.funccount("vfs_*", transport=transport),
    ):
        pytest.fail("the block ran")


# ------------------------------------------------------------------ how they are shown

ABOUT: dict[str, Any] = {
    "patterns": ["*"],
    "refused": {},
    "unmet": {},
    "how": {"kprobe-multi": 2},
    "compat": 0,
    "missed": 0,
    "duration": 0.5,
    "truncated": "",
}


def counts_of(*rows: tuple[str, int | None], **about: Any) -> Counts:
    made = Counts()
    wanted = [Countable("function", name) for name, _ in rows]
    calls = [calls for _, calls in rows]
    made.fill(wanted, {**ABOUT, "counts": calls, **about})
    return made


def test_text() -> None:
    counts = counts_of(("vfs_read", 12), ("vfs_open", 3456), ("vfs_rename", 0))
    assert repr(counts) == (
        "FUNC      COUNT\n"
        "vfs_open  3,456\n"
        "vfs_read     12\n"
        "\n"
        "3,468 calls of 2 functions in 0.5 s on the whole machine, and 1 that were not "
        "called · attached 2 by kprobe-multi\n"
    )


def test_what_could_not_be_is_told() -> None:
    refused = {f"f{n}": "it is odd" for n in range(7)}
    receipt = counts_of(
        ("vfs_read", 1),
        refused=refused,
        unmet={"t:*:*": "no tracefs"},
        compat=2,
        missed=3,
    ).receipt()
    assert "7 could not be traced: f0 (it is odd), " in receipt
    assert "f4 (it is odd) and 2 more" in receipt
    assert "t:*:*: no tracefs" in receipt
    assert "2 system calls of 32-bit programs not among them" in receipt
    assert "WARNING: 3 calls missed" in receipt


def test_what_was_not_attached_is_no_zero() -> None:
    counts = counts_of(("a", 1), ("b", None), ("c", 0))
    assert counts.everything["func"].tolist() == ["a", "c"]


def test_more_than_fit_are_told() -> None:
    counts = counts_of(*((f"f{n:02}", 100 - n) for n in range(40)))
    rest = sum(100 - n for n in range(30, 40))
    assert f"... 10 more, with {rest} calls\n" in repr(counts)
    page = counts._repr_mimebundle_()["text/html"]
    assert page.count("<tr>") == 31 + 1
    assert f"... 10 more, with {rest} calls" in page


def test_names_are_text_everywhere() -> None:
    hostile = "<script>alert(1)</script>"
    counts = counts_of((hostile, 1), refused={"<b>": "\x1b[31m"})
    page = counts._repr_mimebundle_()["text/html"]
    assert "<script" not in page
    assert "<b>" not in page
    assert "\x1b" not in repr(counts)
    assert "<script" not in svg.draw(charts.functions(counts.table, ""))


def test_nothing_called() -> None:
    counts = counts_of(("a", 0), ("b", 0))
    assert counts.table.empty
    assert "0 calls of 0 functions" in repr(counts)
    assert "<table" not in counts._repr_mimebundle_()["text/html"]


def test_bars() -> None:
    counts = Counts()
    wanted = [Countable("function", "a"), Countable("syscall", "sys_b")]
    counts.fill(wanted, {**ABOUT, "counts": [3, 5]})
    chart = charts.functions(counts.table, "x")
    assert list(chart.y.rows) == ["sys_b", "a"]
    assert list(chart.totals) == [5, 3]
    assert [(one.name, one.x, one.y) for one in chart.series] == [
        ("function", [3.0], [1.0]),
        ("system call", [5.0], [0.0]),
    ]
    assert chart.legend


def test_counts_are_exact() -> None:
    counts = counts_of(("a", (1 << 60) + 1))
    assert counts.table["count"].iloc[0] == np.uint64((1 << 60) + 1)
