# SPDX-License-Identifier: Apache-2.0
"""Frames that are in a file and not in memory, while they come and afterwards."""

from __future__ import annotations

import itertools
import os
import resource
import threading
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

import skbnb
from skbnb import files
from skbnb.cli.lines import Lines
from skbnb.config import Config, Request
from skbnb.errors import StreamError, TruncatedWarning
from skbnb.frames import Frames
from skbnb.progress import Progress
from skbnb.session import Session
from skbnb.traces import Selection, Trace
from skbnb.wire import Frame, Kind
from tests.records import frames, record

CONFIG = Config(cell_tid=threading.get_native_id(), notebook_pid=os.getpid())
ALL = Selection("all")


class Agent:
    """Gives these frames: all up to READY at once, and each of the rest when asked."""

    usable = True

    def __init__(self, made: list[Frame]) -> None:
        self._made = made
        self._more = threading.Semaphore(0)

    def start(self, request: Request) -> None:
        pass

    def frames(self) -> Iterator[Frame]:
        for number, frame in enumerate(self._made):
            if number > 1:
                self._more.acquire()
            yield frame

    def give(self) -> None:
        """Let one more frame come."""
        self._more.release()

    def stop(self) -> None:
        self._more.release(len(self._made))

    def close(self) -> None:
        self.stop()


def calls(number: int, of: int = 1) -> list[bytes]:
    """So many payloads, each of some calls."""
    made = (record(ts=2_000 + n, count=n + 1) for n in range(number * of))
    return [b"".join(itertools.islice(made, of)) for _ in range(number)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.skbt"


def test_what_is_recorded_is_not_kept_in_memory(path: Path) -> None:
    size = 1 << 20
    made = frames(*[bytes(size)] * 64)
    session = Session(Agent(made), CONFIG, record=path)
    session.start()
    tracemalloc.start()
    session.stop()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert path.stat().st_size > 64 * size
    assert peak < size / 4
    assert session.frames.in_file == 64 * size
    assert session.frames == made
    assert Frames(made) == session.frames


def test_live_views_see_what_is_in_the_file(path: Path) -> None:
    made = frames(*calls(5, 7))
    agent = Agent(made)
    session = Session(agent, CONFIG, record=path)
    session.start()
    progress, lines = Progress(Selection("all")), Lines(ALL)
    seen = []
    for number in range(1, 5):
        agent.give()
        while len(session.frames) < 2 + number:
            time.sleep(0.001)
        progress.take(session.frames)
        seen += lines.take(session.frames)
        assert progress.clones == len(seen) - 1 == 7 * number
    session.stop()
    progress.take(session.frames)
    seen += lines.take(session.frames)
    assert progress.clones == len(seen) - 1 == 35
    assert progress.line().endswith(" recorded")
    assert Trace(session.frames, selection=ALL).events["count"].tolist() == [
        *range(1, 36)
    ]


@pytest.fixture
def small_files() -> Iterator[int]:
    """No file becomes larger than this."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    limit = 10_000
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    yield limit
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_what_does_not_fit_is_kept_in_memory(
    path: Path, tmp_path: Path, small_files: int
) -> None:
    made = frames(*calls(20, 5), calls=100)
    with pytest.warns(RuntimeWarning, match="File too large; the last ") as warned:
        with skbnb.trace(transport=Agent(made), scope="all", record=path) as trace:
            pass
    assert "in memory only" in str(warned[0].message)
    assert len(trace.events) == 100
    assert trace.frames == made
    assert not trace.truncated
    with pytest.warns(TruncatedWarning):
        stored = skbnb.load(path)
    # Whole frames, and the last that fitted is the last one.
    assert path.stat().st_size <= small_files
    assert [*stored.frames] == made[: len(stored.frames)]
    following = made[len(stored.frames)].pack()
    assert path.stat().st_size + len(following) > small_files
    content = path.read_bytes()
    with pytest.raises(OSError, match="File too large"):
        trace.save(path)
    assert [*tmp_path.iterdir()] == [path]
    assert path.read_bytes() == content


def test_what_did_not_fit_is_saved_elsewhere(path: Path, tmp_path: Path) -> None:
    made = frames(*calls(20, 5), calls=100)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "writev", _full_after(10, os.writev))
        with pytest.warns(RuntimeWarning, match="No space left on device"):
            with skbnb.trace(transport=Agent(made), record=path) as trace:
                pass
    trace.save(tmp_path / "b.skbt")
    assert skbnb.load(tmp_path / "b.skbt").frames == made


def test_a_map_has_views_of_what_is_large_and_bytes_of_the_rest(path: Path) -> None:
    Trace(frames(record(), record(ts=3_000))).save(path)
    for frame in skbnb.load(path).frames:
        is_view = isinstance(frame.payload, memoryview)
        assert is_view == (frame.kind is Kind.EVENTS)


def test_a_recording_comes_out_of_a_pipe_too(path: Path) -> None:
    Trace(frames(*calls(3))).save(path)
    reader, writer = os.pipe()
    os.write(writer, path.read_bytes())
    os.close(writer)
    piped = skbnb.load(f"/dev/fd/{reader}")
    os.close(reader)
    assert piped.frames == skbnb.load(path).frames
    assert piped.select("all").equals(skbnb.load(path).select("all"))


def test_an_empty_file(path: Path) -> None:
    path.touch()
    with pytest.warns(TruncatedWarning):
        trace = skbnb.load(path)
    assert len(trace.events) == len(trace.between(0, 1)) == 0


def test_a_recording_that_is_replaced_stays_for_those_who_opened_it(
    path: Path,
) -> None:
    first, second = frames(*calls(3, 5)), frames(*calls(1))
    Trace(first).save(path)
    before = skbnb.load(path)
    with skbnb.trace(transport=Agent(second), record=path) as recorded:
        pass
    assert before.frames == first
    assert skbnb.load(path).frames == recorded.frames == second
    before.save(path)
    assert recorded.frames == second
    assert skbnb.load(path).frames == first
    path.unlink()
    assert len(before.select("all")) == 15


def test_a_recording_keeps_its_mode_and_its_link(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.skbt"
    link.symlink_to(path.name)
    path.touch(0o600)
    with skbnb.trace(transport=Agent(frames(record())), record=link) as trace:
        pass
    assert path.stat().st_mode & 0o777 == 0o600
    trace.save(link)
    assert path.stat().st_mode & 0o777 == 0o600
    assert link.is_symlink()
    assert skbnb.load(path).frames == trace.frames


def test_a_file_that_is_not_finished_is_not_there(path: Path) -> None:
    def write_half() -> None:
        with files.whole(path) as file:
            file.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert [*path.parent.iterdir()] == []


def test_a_file_made_shorter_is_noticed(path: Path) -> None:
    Trace(frames(*calls(3, 5))).save(path)
    trace = skbnb.load(path)
    os.truncate(path, 3_000)
    with pytest.raises(StreamError, match="made shorter since it was opened"):
        _ = trace.events
    with pytest.raises(StreamError, match="made shorter since it was opened"):
        trace.between(0, 1)
    assert trace.frames[0].fields["kernel"] == "6.0.0-fake"


def _full_after(number: int, write: object) -> object:
    left = [number]

    def writev(file: int, pieces: object) -> int:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(28, os.strerror(28))
        return write(file, pieces)  # type: ignore[operator,no-any-return]

    return writev
