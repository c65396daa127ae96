# SPDX-License-Identifier: Apache-2.0
"""A terminal has a line while a trace runs, and nothing of it afterwards."""

from __future__ import annotations

import fcntl
import io
import os
import re
import struct
import termios
from collections.abc import Iterator

import pytest

from skbnb.progress import Progress
from skbnb.status import StatusLine
from skbnb.traces import Selection
from skbnb.wire import Frame
from tests.unit.test_progress import BEGIN, records

Terminal = tuple[int, io.TextIOWrapper]


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    """What a terminal gets, and what is written to for it; it has 60 columns."""
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("4H", 24, 60, 0, 0))
    with os.fdopen(slave, "w") as stream, os.fdopen(master, "rb"):
        yield master, stream


def read_until(master: int, pattern: str) -> str:
    got = ""
    while not re.search(pattern, got, re.DOTALL):
        got += os.read(master, 10_000).decode()
    return got


def test_the_line_is_rewritten_and_then_cleared(terminal: Terminal) -> None:
    master, stream = terminal
    frames: list[Frame] = [*BEGIN, records(1000)]
    status = StatusLine(Progress(Selection("all")), lambda: frames, stream)
    got = read_until(master, "900 clones.*900 clones")
    frames.append(records(1000))
    got += read_until(master, "1,800 clones")
    status.end()
    got += read_until(master, r"\x1b\[J$")
    assert not status._thread.is_alive()
    # No row more than the one below the cursor, and each time from its beginning.
    assert "\n" not in got
    drawn = re.findall(r"\x1bD\x1bM\x1b\[J\x1b7\x1b\[B\r(.*?)\x1b8", got)
    assert len(drawn) >= 3
    assert all(line.endswith("…") and len(line) == 59 for line in drawn)


def test_what_is_no_terminal_gets_nothing() -> None:
    stream = io.StringIO()
    status = StatusLine(Progress(Selection("all")), lambda: BEGIN, stream)
    assert not status._thread.is_alive()
    status.end()
    assert stream.getvalue() == ""


def test_a_terminal_that_is_gone_ends_it(terminal: Terminal) -> None:
    _, stream = terminal
    status = StatusLine(Progress(Selection("all")), lambda: BEGIN, stream)
    stream.close()
    status._thread.join(20)
    assert not status._thread.is_alive()
    status.end()
