# SPDX-License-Identifier: Apache-2.0
"""Lines of the trace pipe: ours are read, whatever stands around them."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from skbnb.agent import tracepipe
from skbnb.agent.tracepipe import TracePipe
from skbnb.wire import HANDBOOK

MARK = b"skbnb 2a"

# As kernels print them: since 5.9, before it, with process ids, with a trailing newline
# of the program's own.
FORMS = (
    b"%16s-%-7d [000] d..3.   653.177020: bpf_trace_printk: skbnb 2a %d\n",
    b"%16s-%-5d [001] d... 1653.177020: bpf_trace_printk: skbnb 2a %d\n",
    b"%16s-%-7d (     42) [000] ...2.   653.177020: bpf_trace_printk: skbnb 2a %d\n",
    b"%16s-%-7d (-------) [007] .Ns1    653.177020: 0x00000001: skbnb 2a %d\n\n",
)


@pytest.fixture
def ends() -> Iterator[tuple[TracePipe, int]]:
    """A reader, and the other end of what it reads."""
    there, here = os.pipe()
    os.set_blocking(there, False)
    pipe = TracePipe(MARK)
    pipe._pipe = there
    yield pipe, here
    pipe.close()
    os.close(here)


def calls(pipe: TracePipe) -> list[tuple[int, int, int, bytes]]:
    """Time, count, thread and name of what is there."""
    taken: list[tuple[int, int, int, bytes]] = []
    pipe.drain(lambda block: taken.extend(HANDBOOK.iter_unpack(block)), 1)
    return [(ts, count, tid, comm.rstrip(b"\0")) for ts, count, tid, comm in taken]


@pytest.mark.parametrize("form", FORMS)
def test_forms(ends: tuple[TracePipe, int], form: bytes) -> None:
    pipe, end = ends
    os.write(end, form % (b"curl", 1234567, 5) + form % (b"<idle>", 0, 6))
    found = calls(pipe)
    assert [one[1:] for one in found] == [(5, 1234567, b"curl"), (6, 0, b"<idle>")]
    assert found[0][0] % 10**12 in (653_177_020_000, 1653_177_020_000 % 10**12)
    assert (pipe.lines, pipe.foreign) == (2, 0)


@pytest.mark.parametrize(
    "name",
    [
        b"a b",
        b"a-1 [000] d",
        b"1.2: x: skbnb",
        b"\xff\xfe",
        b"a\nb",
        b"\n\n",
        b"%s",
        b"",
    ],
)
def test_names(ends: tuple[TracePipe, int], name: bytes) -> None:
    pipe, end = ends
    os.write(end, FORMS[0] % (b"before", 1, 1) + FORMS[0] % (name, 2, 2))
    assert [one[1:] for one in calls(pipe)] == [(1, 1, b"before"), (2, 2, name)]
    assert pipe.foreign == 0


def test_what_is_not_ours(ends: tuple[TracePipe, int]) -> None:
    pipe, end = ends
    others = (
        FORMS[0].replace(b"2a", b"2b") % (b"curl", 1, 1),
        b"            cat-77 [000] ...1. 1.000000: tracing_mark_write: hello\n",
        b"skbnb 2a 7\n",
        b"\xff\xff\n",
    )
    lost = b"CPU:1 [LOST 12 EVENTS]\n"
    os.write(end, others[0] + lost + FORMS[0] % (b"curl", 1, 1) + b"".join(others[1:]))
    assert len(calls(pipe)) == 1
    assert (pipe.lines, pipe.foreign) == (1, 4)


def test_a_line_that_comes_in_two_parts(ends: tuple[TracePipe, int]) -> None:
    pipe, end = ends
    line = FORMS[0] % (b"curl", 1, 12)
    for at in range(1, len(line)):
        os.write(end, line[:at])
        assert calls(pipe) == []
        os.write(end, line[at:])
        assert [one[1] for one in calls(pipe)] == [12]
    assert pipe.foreign == 0


def test_much_at_once(ends: tuple[TracePipe, int]) -> None:
    pipe, end = ends
    for start in range(0, 3000, 100):
        lines = (FORMS[0] % (b"curl", 1, start + i) for i in range(100))
        os.write(end, b"".join(lines))
        assert [one[1] for one in calls(pipe)] == list(range(start, start + 100))


def test_a_name_that_the_kernel_has_not_kept(ends: tuple[TracePipe, int]) -> None:
    pipe, end = ends
    gone = 2**22  # PID_MAX_LIMIT of include/linux/threads.h: no thread has it
    os.write(end, FORMS[0] % (b"<...>", os.getpid(), 1))
    os.write(end, FORMS[0] % (b"<...>", gone, 2))
    own = Path("/proc/self/comm").read_bytes().rstrip()
    assert [one[3] for one in calls(pipe)] == [own, b"<...>"]


_END = b"            python-7 [001] ...1. 653.177020: tracing_mark_write: skbnb 2a "


def test_what_is_awaited_comes_in_any_order(ends: tuple[TracePipe, int]) -> None:
    pipe, end = ends
    lines = [FORMS[0] % (b"curl", 1, number) for number in range(4)]
    os.write(end, lines[0] + _END + b"two\n" + lines[1] + _END + b"one\n" + lines[2])
    words = [line[3] for line in pipe._awaited(b"one", b"two")]
    assert words == [b"0", b"two", b"1", b"one", b"2"]


def test_much_of_others_before_what_is_awaited(
    ends: tuple[TracePipe, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    # As a full buffer: to read all of it takes longer than the patience.
    pipe, end = ends
    fcntl.fcntl(end, fcntl.F_SETPIPE_SZ, 1 << 20)
    monkeypatch.setattr(tracepipe, "_PATIENCE", 1e-9)
    monkeypatch.setattr(tracepipe, "_READ_SIZE", 4096)
    other = b"            cat-77 [000] ...1. 1.000000: tracing_mark_write: hello\n"
    os.write(end, other * 10_000 + _END + b"end\n")
    assert [line[3] for line in pipe._awaited(b"end")] == [b"end"]
    assert pipe.foreign == 10_000


def test_what_is_awaited_is_given_up(
    ends: tuple[TracePipe, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe, end = ends
    monkeypatch.setattr(tracepipe, "_PATIENCE", 0.02)
    os.write(end, FORMS[0] % (b"curl", 1, 5))
    assert [line[3] for line in pipe._awaited(b"end")] == [b"5"]
