# SPDX-License-Identifier: Apache-2.0
"""What waits for a reader that is late: in order, and not more than allowed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import pytest

from skbnb.agent.outlet import Outlet

PIECES = [bytes([number]) * 30_000 for number in range(20)]


@pytest.fixture
def ends() -> Iterator[tuple[int, Outlet]]:
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    yield reader, Outlet(writer)
    for fd in (reader, writer):
        with contextlib.suppress(OSError):  # it is closed already
            os.close(fd)


def put(outlet: Outlet, data: bytes | bytearray) -> bool:
    rest = outlet.write(memoryview(data))
    return not rest or outlet.keep(rest)


def read(fd: int) -> bytes:
    pieces = []
    try:
        while piece := os.read(fd, 1 << 20):
            pieces.append(piece)
    except BlockingIOError:
        pass
    return b"".join(pieces)


def test_all_comes_in_order(ends: tuple[int, Outlet]) -> None:
    reader, outlet = ends
    outlet.limit(1 << 20)
    assert all(put(outlet, piece) for piece in PIECES)
    assert len(outlet) > 500_000
    came = b""
    while outlet:
        came += read(reader)
        outlet.flush()
    assert came + read(reader) == b"".join(PIECES)


def test_what_is_kept_goes_around(ends: tuple[int, Outlet]) -> None:
    reader, outlet = ends
    outlet.limit(100_000)
    sent = came = b""
    for number in range(200):
        piece = bytes([number]) * 7_777
        while rest := outlet.write(memoryview(piece)):
            if outlet.keep(rest):
                break
            came += os.read(reader, 12_345)
        sent += piece
    while outlet:
        came += read(reader)
        outlet.flush()
    assert came + read(reader) == sent


def test_what_is_kept_goes_first(ends: tuple[int, Outlet]) -> None:
    reader, outlet = ends
    outlet.limit(1 << 20)
    assert all(put(outlet, piece) for piece in PIECES)
    came = read(reader)
    while outlet.write(memoryview(b"last")):
        came += read(reader)
    assert came + read(reader) == b"".join(PIECES) + b"last"
    assert not outlet


def test_a_copy_is_kept(ends: tuple[int, Outlet]) -> None:
    reader, outlet = ends
    outlet.limit(1 << 20)
    data = bytearray(PIECES[1] * 10)
    assert put(outlet, data)
    data[:] = bytes(len(data))  # as the kernel does with its buffer
    came = read(reader)
    outlet.flush()
    came += read(reader)
    while outlet:
        outlet.flush()
        came += read(reader)
    assert came == PIECES[1] * 10


def test_more_than_is_allowed_is_not_kept(ends: tuple[int, Outlet]) -> None:
    _, outlet = ends
    outlet.limit(50_000)
    while not (rest := outlet.write(memoryview(PIECES[0]))):
        pass
    assert outlet.keep(rest)
    kept = len(outlet)
    assert outlet.keep(memoryview(bytes(50_000 - kept)))
    assert not outlet.keep(memoryview(b"x"))
    assert len(outlet) == 50_000


def test_by_itself_it_keeps_nothing(ends: tuple[int, Outlet]) -> None:
    _, outlet = ends
    assert not outlet.keep(memoryview(b"x"))


def test_the_end_waits_for_room(ends: tuple[int, Outlet]) -> None:
    reader, outlet = ends
    outlet.limit(1 << 20)
    assert all(put(outlet, piece) for piece in PIECES)
    if not os.fork():
        os.close(reader)
        outlet.end(b"last")
        os._exit(0)
    os.close(outlet.fd)
    os.set_blocking(reader, True)
    with open(reader, "rb", closefd=False) as file:
        assert file.read() == b"".join(PIECES) + b"last"
    os.wait()
