# SPDX-License-Identifier: Apache-2.0
"""Maps and programs of ours, looked at by libbpf: what one writes the other reads."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Callable, Iterator

import pytest

from skbnb.agent import syscalls
from skbnb.agent.maps import Map
from skbnb.agent.objects import Shape

HASH, ARRAY, PERCPU_HASH, PERCPU_ARRAY = 1, 2, 5, 6
MMAPABLE = 1 << 10
CPUS = 64  # more values than this a machine of ours has not

Make = Callable[..., Map]


@pytest.fixture
def make() -> Iterator[Make]:
    made: list[Map] = []

    def make(kind: int, key: int = 4, value: int = 8, entries: int = 10_000) -> Map:
        made.append(Map(Shape("of_a_test", kind, key, value, entries, 0)))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def libbpf() -> ctypes.CDLL:
    return ctypes.CDLL("libbpf.so.1", use_errno=True)


def test_libbpf_reads_what_we_write(make: Make, libbpf: ctypes.CDLL) -> None:
    table = make(HASH, 8, 12)
    table.set(b"a key of", b"twelve bytes")
    value = ctypes.create_string_buffer(12)
    assert libbpf.bpf_map_lookup_elem(table.fd, b"a key of", value) == 0
    assert value.raw == b"twelve bytes"


def test_we_read_what_libbpf_writes(make: Make, libbpf: ctypes.CDLL) -> None:
    table = make(ARRAY)
    key, value = struct.pack("=I", 9_999), struct.pack("=Q", 1 << 63 | 5)
    assert libbpf.bpf_map_update_elem(table.fd, key, value, ctypes.c_ulonglong()) == 0
    assert table.get(key) == value
    assert table.get(bytes(4)) == bytes(8)


def test_numbers_are_read_as_they_stand() -> None:
    table = Map(Shape("of_a_test", ARRAY, 4, 8, 10_000, MMAPABLE))
    numbers = table.numbers()
    assert numbers.tolist() == [0] * 10_000
    table.set(struct.pack("=I", 9_999), struct.pack("=Q", 1 << 63 | 5))
    assert numbers[9_999] == 1 << 63 | 5
    table.close()
    with pytest.raises(ValueError, match="released"):
        numbers[0]


def test_what_is_not_there(make: Make) -> None:
    table = make(HASH)
    assert table.get(bytes(4)) is None
    assert list(table.items()) == []
    table.clear()
    with pytest.raises(FileNotFoundError):
        table.delete(bytes(4))


def test_all_of_a_large_one(make: Make) -> None:
    table = make(HASH)
    wanted = {struct.pack("=I", n): struct.pack("=Q", n * n) for n in range(10_000)}
    for key, value in wanted.items():
        table.set(key, value)
    assert dict(table.items()) == wanted
    with pytest.raises(OSError, match="too long") as caught:
        table.set(struct.pack("=I", 10_000), bytes(8))
    assert caught.value.errno == errno.E2BIG
    table.delete(bytes(4))
    assert len(list(table.items())) == 9_999
    table.clear()
    assert list(table.items()) == []


@pytest.mark.parametrize("kind", [PERCPU_HASH, PERCPU_ARRAY])
def test_a_value_for_each_cpu(make: Make, libbpf: ctypes.CDLL, kind: int) -> None:
    table = make(kind, value=12)
    cpus = libbpf.libbpf_num_possible_cpus()
    values = b"".join(struct.pack("=QIxxxx", cpu, 7) for cpu in range(cpus))
    assert cpus <= CPUS
    flag = ctypes.c_ulonglong()
    assert libbpf.bpf_map_update_elem(table.fd, bytes(4), values, flag) == 0
    assert table.get(bytes(4)) == values
    table.clear_element(bytes(4))
    assert table.get(bytes(4)) == bytes(len(values))


def test_what_the_verifier_said_last_is_told() -> None:
    # r0 = *(u64 *)(r1 + 0); return r0: of a socket filter's context that is not allowed
    code = struct.pack("=BBhi", 0x79, 0x10, 0, 0) + struct.pack("=BBhi", 0x95, 0, 0, 0)
    with pytest.raises(PermissionError) as caught:
        syscalls.load_program(1, code)
    assert "invalid bpf_context access" in str(caught.value)
    assert "processed" not in str(caught.value)


def test_a_program_has_its_name() -> None:
    name = "a_name_that_is_too_long"
    fd = syscalls.load_program(1, syscalls.RETURN, name=name)
    try:
        with open(f"/proc/self/fdinfo/{fd}") as file:
            assert "prog_id" in file.read()
        info = ctypes.create_string_buffer(128)
        place = ctypes.addressof(info)
        syscalls.bpf(15, struct.pack("=IIQ", fd, len(info), place))
        # struct bpf_prog_info: name
        assert info.raw[64:80].rstrip(b"\0") == name[:15].encode()
    finally:
        os.close(fd)


@pytest.mark.parametrize("shape", [(99, 4, 8, 1), (ARRAY, 4, 8, 0)])
def test_a_map_that_cannot_be_made(shape: tuple[int, int, int, int]) -> None:
    before = os.listdir("/proc/self/fd")
    with pytest.raises(OSError, match="Invalid argument"):
        Map(Shape("of_a_test", *shape, 0))
    assert os.listdir("/proc/self/fd") == before
