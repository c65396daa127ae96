# SPDX-License-Identifier: Apache-2.0
"""Real traces on disk: in parts, in little memory, and on a disk that is full."""

from __future__ import annotations

import subprocess
import time
import tracemalloc
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest

import skbnb
from skbnb.errors import TruncatedWarning
from skbnb.traces import Selection
from tests.ledger import Fault
from tests.live.traffic import Server, apart, curl
from tests.unit.test_parts import assert_same, assert_whole, inside

ALL = Selection("all")
# Clones of so many datagrams, each to four receivers.
SENT, CLONES = 8_000, 8_000 * 3


def multicast(count: int) -> None:
    """Make three clones of each of so many packets."""
    apart("multicast", 4, count)


def test_a_part_of_a_real_trace(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "a.skbt"
    with skbnb.trace(scope="all", follow=True, record=path) as live:
        curl(server.url)
        multicast(500)
        curl(server.url6)
    loaded = skbnb.load(path).replace(ALL)
    assert_same(loaded.between(), loaded.events)
    whole = live.events
    assert whole["fate"].notna().any()
    recorded = skbnb.load(path).replace(ALL)
    middle = whole["time"].iloc[len(whole) // 2]
    for start, stop in ((None, middle), (middle, None), (0.1, 0.4), (None, 0.0)):
        rows = inside(whole, start, stop).reset_index(drop=True)
        part = recorded.between(start, stop)
        assert_same(part, loaded.between(start, stop))
        pd.testing.assert_frame_equal(
            part, rows, check_categorical=False, check_flags=False
        )
    assert_whole(list(recorded.partitions(701)), loaded.events)
    edges = [None, *whole["t"].iloc[[3, 700, 1_500]], None]
    assert_whole([recorded.between(a, b) for a, b in pairwise(edges)], loaded.events)


def test_what_is_recorded_is_on_disk(tmp_path: Path) -> None:
    path = tmp_path / "a.skbt"
    tracing = skbnb.trace(scope="all", record=path)
    trace = tracing.begin()
    tracemalloc.start()
    for _ in range(5):
        multicast(SENT)
    tracing.end()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    about = trace.outline.attrs["skbnb"]
    assert about["lost"] == 0
    assert about["captured"] >= 5 * CLONES
    # A frame has four megabytes at most, and no more than two are under way.
    size = path.stat().st_size
    assert size > 5 * CLONES * 184
    assert peak < size / 2
    assert trace.frames.in_file > size * 0.99


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder for two megabytes."""
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "none", folder], check=True
    )
    yield folder
    # A trace that is still there has its recording mapped.
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_full_disk_ends_the_recording_and_not_the_trace(
    small_disk: Path, tmp_path: Path, fault: Fault
) -> None:
    path = small_disk / "a.skbt"
    said = r"a\.skbt ended early: No space left on device; the last \S+ MB are in mem"
    with pytest.warns(RuntimeWarning, match=said):
        with skbnb.trace(scope="all", record=path) as trace:
            # A frame of its own: what comes at once may have no room as a whole.
            multicast(10)
            time.sleep(0.3)
            multicast(SENT)
    about = trace.outline.attrs["skbnb"]
    assert (about["lost"], about["truncated"]) == (0, "")
    assert about["captured"] == len(trace.events) >= CLONES
    assert path.stat().st_size <= 2 << 20
    with pytest.warns(TruncatedWarning, match="ends too early"):
        stored = skbnb.load(path)
    begin = [*stored.frames]
    assert begin == trace.frames[: len(begin)]
    assert len(stored.select("all")) > 0
    # Nothing is lost: all of it is saved where there is room.
    trace.save(tmp_path / "b.skbt")
    whole = skbnb.load(tmp_path / "b.skbt").replace(ALL)
    assert_whole(list(whole.partitions(5_000)), whole.events)
    assert len(whole.events) == len(trace.events)
    fault(
        "The disk full while a trace is recorded to it",
        f"nothing of {about['captured']:,} clones: what was not written is in memory, "
        "and what was written is a recording that ends early; it is said",
    )


def test_no_room_at_all(small_disk: Path) -> None:
    with pytest.raises(OSError, match="No space"):
        (small_disk / "rest").write_bytes(bytes(3 << 20))
    path = small_disk / "a.skbt"
    with pytest.warns(RuntimeWarning, match="No space left on device"):
        with skbnb.trace(scope="all", record=path) as trace:
            multicast(10)
    assert len(trace.events) >= 30
    assert path.stat().st_size == 0
