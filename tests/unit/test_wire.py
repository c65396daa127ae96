# SPDX-License-Identifier: Apache-2.0
"""The stream: what is written is read, and what is cut or garbage is told apart."""

from __future__ import annotations

import io
import json
import mmap
import resource
from typing import BinaryIO, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skbnb import wire
from skbnb.errors import SkbnbError, StreamError
from skbnb.wire import (
    HEADER,
    MAGIC,
    MAX_CONTROL,
    MAX_EVENTS,
    Frame,
    Kind,
    Reader,
    control,
)

STREAM = [
    control(Kind.HELLO, abi=1),
    control(Kind.READY, ts=5),
    Frame(Kind.EVENTS, bytes(range(24))),
    Frame(Kind.EVENTS, b""),
    control(Kind.STATS, calls=3),
    control(Kind.END, why="stop"),
]


def packed(frames: list[Frame]) -> bytes:
    return MAGIC + b"".join(frame.pack() for frame in frames)


def test_round_trip() -> None:
    reader = Reader(io.BytesIO(packed(STREAM)))
    assert list(reader) == STREAM
    assert not reader.truncated


@given(
    st.lists(
        st.one_of(
            st.builds(Frame, st.just(Kind.EVENTS), st.binary(max_size=200)),
            st.builds(
                lambda kind, fields: control(kind, **fields),
                st.sampled_from([kind for kind in Kind if kind is not Kind.EVENTS]),
                st.dictionaries(st.text(min_size=1), st.integers() | st.text()),
            ),
        )
    )
)
def test_any_frames_round_trip(frames: list[Frame]) -> None:
    assert list(Reader(io.BytesIO(packed(frames)))) == frames


def test_truncated_at_every_byte() -> None:
    whole = packed(STREAM)
    edges = {len(MAGIC)}
    for frame in STREAM:
        edges.add(max(edges) + len(frame.pack()))
    for length in range(len(whole) + 1):
        reader = Reader(io.BytesIO(whole[:length]))
        got = list(reader)
        assert reader.truncated == (length not in edges), length
        complete = [f for f in got if f in STREAM]
        assert complete == STREAM[: len(complete)]
        # All that is not whole is the beginning of one EVENTS payload.
        assert len(got) - len(complete) <= 1
        if got != complete:
            assert bytes(STREAM[2].payload).startswith(bytes(got[-1].payload))


class Dribble(io.RawIOBase):
    """A pipe that gives a byte at a time."""

    def __init__(self, data: bytes) -> None:
        self._left = data

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        count = min(1, len(self._left), len(buffer))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count


def test_short_reads() -> None:
    assert list(Reader(cast("BinaryIO", Dribble(packed(STREAM))))) == STREAM


@pytest.mark.parametrize(
    "stream",
    [
        b"hello, world",
        b"\x89SKBT\r\n\x02",
        MAGIC + HEADER.pack(99, 0),
        MAGIC + HEADER.pack(Kind.EVENTS, MAX_EVENTS + 1),
        MAGIC + HEADER.pack(Kind.HELLO, MAX_CONTROL + 1),
        MAGIC + b"\xff" * 100,
    ],
)
def test_garbage_is_an_error(stream: bytes) -> None:
    with pytest.raises(StreamError):
        list(Reader(io.BytesIO(stream)))


@given(st.binary(max_size=400))
def test_any_bytes_end_in_frames_or_in_one_error(data: bytes) -> None:
    for stream in (data, MAGIC + data):
        try:
            for frame in Reader(io.BytesIO(stream)):
                assert frame.kind in Kind
        except SkbnbError:
            pass


@pytest.mark.parametrize("payload", [b"", b"{", b"[]", b"1", b"\xff", b"[" * 100_000])
def test_control_frames_that_are_no_objects(payload: bytes) -> None:
    with pytest.raises(StreamError):
        _ = Frame(Kind.HELLO, payload).json


def test_control_frames_are_json() -> None:
    frame = control(Kind.LOG, text="é\n")
    assert json.loads(bytes(frame.payload)) == frame.json == {"text": "é\n"}


@pytest.mark.parametrize("kept", [False, True])
def test_memory_of_large_payloads_is_used_again_unless_they_are_kept(
    monkeypatch: pytest.MonkeyPatch, kept: bool
) -> None:
    pieces = []

    def piece(size: int) -> mmap.mmap:
        pieces.append(size)
        return mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)

    monkeypatch.setattr(wire, "_AT_ONCE", 3 * wire._LARGE)
    monkeypatch.setattr(wire, "_large_pages", piece)
    whole = [bytes([number]) * wire._LARGE for number in range(200)]
    stream = b"".join(Frame(Kind.EVENTS, one).pack() for one in whole)
    reader = Reader(io.BytesIO(MAGIC + stream))
    pieces.clear()
    if kept:
        found = [frame.payload for frame in reader]
        assert [bytes(one) for one in found] == whole
        assert len(pieces) == 67 + 1  # of which the last is ahead
    else:
        assert [bytes(frame.payload) for frame in reader] == whole
        assert len(pieces) == 2


def test_memory_that_is_populated_is_there_to_be_written_to() -> None:
    def faults() -> int:
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

    pages = 1000
    memory = mmap.mmap(-1, pages * mmap.PAGESIZE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(mmap.MADV_NOHUGEPAGE)  # else there are few faults in any case
    wire._populate(memory)
    before = faults()
    memory[:: mmap.PAGESIZE] = bytes(pages)
    assert faults() - before < pages // 10


@pytest.mark.parametrize("missing", [0, 1, wire._LARGE])
def test_large_payloads_in_memory_of_several_pieces(
    monkeypatch: pytest.MonkeyPatch, missing: int
) -> None:
    monkeypatch.setattr(wire, "_AT_ONCE", 3 * wire._LARGE)
    sizes = [wire._LARGE - 1, wire._LARGE, 2 * wire._LARGE, 5 * wire._LARGE, 7]
    frames = [Frame(Kind.EVENTS, bytes([i + 1]) * n) for i, n in enumerate(sizes)]
    stream = MAGIC + b"".join(frame.pack() for frame in frames)
    last = frames.pop()
    cut = len(last.pack()) + missing if missing else 0
    reader = Reader(io.BytesIO(stream[: len(stream) - cut]))
    found = [bytes(frame.payload) for frame in reader]
    whole = [bytes(frame.payload) for frame in frames]
    if missing:
        whole[-1] = whole[-1][:-missing]
    else:
        whole.append(bytes(last.payload))
    assert found == whole
    assert reader.truncated == bool(missing)
