# SPDX-License-Identifier: Apache-2.0
"""What is counted of a running trace is what its records hold."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from skbnb.frames import Frames
from skbnb.progress import Progress
from skbnb.schema import RECORD, Kind, Scope
from skbnb.traces import Selection
from skbnb.wire import LOST, Frame, control
from skbnb.wire import Kind as FrameKind
from tests.records import hello

STRIDE = RECORD.itemsize + 8
NOTHING = dict.fromkeys(LOST, 0)


def records(number: int, *, first: float = 0.0, seconds: float = 1.0) -> Frame:
    made = np.zeros(number, RECORD)
    made["ts"] = ((100 + first + np.linspace(0, seconds, number)) * 1e9).astype("u8")
    made["pid"] = 1000 + np.arange(number) % 3
    made["comm"] = np.array([b"curl", b"<img src=x>", b"\x1b[31m"], "V16")[
        np.arange(number) % 3
    ]
    made["kind"] = np.where(np.arange(number) % 10, Kind.CLONE, Kind.SIGHTING)
    made["scope"] = np.where(np.arange(number) % 2, Scope.CELL, Scope.OTHER)
    wide = np.zeros((number, STRIDE), "u1")
    wide[:, 8:] = made.view("u1").reshape(number, -1)
    return Frame(FrameKind.EVENTS, wide.tobytes())


BEGIN = [
    control(FrameKind.HELLO, **{**hello(), "stride": STRIDE, "offset": 8}),
    control(FrameKind.READY, ts=int(100e9), base=0),
]


def test_counts_by_scope_and_only_once() -> None:
    of_cell, of_all = Progress(Selection("cell")), Progress(Selection("all"))
    frames = [*BEGIN]
    for _ in range(3):
        frames.append(records(1000))
        of_cell.take(frames)
        of_all.take(frames)
        of_all.take(frames)
    assert of_cell.clones == 3 * 500
    assert of_all.clones == 3 * 900
    assert of_all.size == 3 * 1000 * STRIDE
    assert sum(of_all.processes().totals) == of_all.clones


def test_counts_what_is_chosen_and_says_what_that_is() -> None:
    progress = Progress(Selection(comm="curl"))
    progress.take([*BEGIN, records(30)])
    # Every third, and each tenth is no call.
    assert progress.clones == 9
    assert progress.processes().y.rows == ("curl 1000",)
    assert " · 9 clones · only comm curl · " in progress.line()
    assert (
        progress.timeline().subtitle == "so far 9 clones of 1 process · only comm curl"
    )
    of_process = Progress(Selection("cell", pid=1001))
    of_process.take([*BEGIN, records(30)])
    assert of_process.clones == 5
    assert " · 5 clones of the cell · only pid 1001 · " in of_process.line()


@pytest.mark.parametrize("seconds", [0.01, 5.9, 6.1, 70.0, 5000.0])
def test_bins_become_wider_and_lose_nothing(
    seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    progress = Progress(Selection("all"))
    frames = [*BEGIN]
    for part in range(5):
        frames.append(records(500, first=part * seconds / 5, seconds=seconds / 5))
        progress.take(frames)
    monkeypatch.setattr(time, "monotonic", lambda: 100 + seconds)
    chart = progress.timeline()
    assert sum(chart.series[0].y) == progress.clones == 5 * 450
    assert len(chart.series[0].x) <= 60
    assert chart.x.high >= seconds


def test_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: 110.0)
    progress = Progress(Selection("cell"))
    counts = {"calls": 2000, **NOTHING}
    progress.take([*BEGIN, records(1000), control(FrameKind.PROGRESS, **counts)])
    assert progress.line() == (
        "10 s · 500 clones of the cell · 50 a second · 2,000 in all · 0 lost · "
        "192 kB held"
    )
    counts |= {"lost_full": 4, "lost_limit": 1, "lost_reader": 2}
    progress.take([*BEGIN, records(1000), *[control(FrameKind.PROGRESS, **counts)] * 2])
    assert "WARNING: 7 lost" in progress.line()
    counts |= {"lost_full": 0, "lost_limit": 5, "lost_reader": 0}
    progress.take([*BEGIN, records(1000), *[control(FrameKind.PROGRESS, **counts)] * 3])
    assert " · 5 lost: limit reached · " in progress.line()


def test_of_all_there_are_no_fewer_than_have_come() -> None:
    progress = Progress(Selection("all"))
    counts = {"calls": 500, **NOTHING}
    progress.take([*BEGIN, control(FrameKind.PROGRESS, **counts), records(1000)])
    assert " · 900 clones · " in progress.line()
    assert " · 900 in all · " in progress.line()


def test_frames_are_counted_once_by_however_many_threads() -> None:
    progress = Progress(Selection("all"))
    frames = [*BEGIN, *[records(1000)] * 50]
    threads = [threading.Thread(target=progress.take, args=[frames]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert progress.clones == 50 * 900


def test_names_are_safe_to_show() -> None:
    progress = Progress(Selection("all"))
    progress.take([*BEGIN, records(30)])
    assert set(progress.processes().y.rows) == {
        *("curl 1000", "<img src=x> 1001", "\\x1b[31m 1002")
    }


def test_before_anything_came() -> None:
    progress = Progress()
    assert progress.line() == (
        "0 s · 0 clones of the cell · 0 a second · in all unknown · lost unknown · "
        "0 B held"
    )
    assert progress.processes().series == ()


def test_what_is_in_a_file_is_not_held() -> None:
    progress, frames = Progress(Selection("all")), Frames(BEGIN)
    frames.append(records(1000))
    progress.take(frames)
    assert progress.line().endswith(" · 192 kB held")
    frames.in_file = 100 * STRIDE
    progress.take(frames)
    assert progress.line().endswith(" · 19.2 kB recorded, 173 kB held")
    frames.in_file = 1000 * STRIDE
    progress.take(frames)
    assert progress.line().endswith(" · 192 kB recorded")
