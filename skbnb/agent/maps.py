# SPDX-License-Identifier: Apache-2.0
"""Maps: what the kernel's programs and the agent have in common."""

from __future__ import annotations

import ctypes
import mmap
import os
import re
import struct
from typing import Iterator

from . import syscalls
from .objects import Shape

__all__ = ["Map"]

# enum bpf_cmd of include/uapi/linux/bpf.h
_LOOKUP, _UPDATE, _DELETE, _NEXT_KEY, _LOOKUP_AND_DELETE_BATCH = 1, 2, 3, 4, 25

# enum bpf_map_type: those that have a value for each CPU.
_PER_CPU = (5, 6, 10)

# How many elements are deleted at a time.
_BATCH = 4096


class Map:
    """A map of the kernel's, which goes when it is closed.

    Keys and values are bytes, as the C files have them. Where every CPU has a value of
    its own, a value is all of these, each filled up to a multiple of eight.

    Parameters
    ----------
    shape
        What it is made with.

    Raises
    ------
    OSError
        The kernel does not make it.
    """

    def __init__(self, shape: Shape) -> None:
        self.fd = syscalls.create_map(*shape[1:], shape.name)
        size = shape.value_size
        if shape.kind in _PER_CPU:
            size = (size + 7) // 8 * 8 * _possible_cpus()
        self._entries = shape.entries
        self._mapped = memoryview(b"")
        self._key = ctypes.create_string_buffer(shape.key_size)
        self._value = ctypes.create_string_buffer(size)

    def _do(self, command: int, value: int = 0) -> None:
        key = ctypes.addressof(self._key)
        syscalls.bpf(command, struct.pack("=IxxxxQQQ", self.fd, key, value, 0))

    def get(self, key: bytes) -> bytes | None:
        """The value of a key; None where there is none."""
        self._key.raw = key
        try:
            self._do(_LOOKUP, ctypes.addressof(self._value))
        except FileNotFoundError:
            return None
        return self._value.raw

    def set(self, key: bytes, value: bytes) -> None:
        """Set the value of a key."""
        self._key.raw, self._value.raw = key, value
        self._do(_UPDATE, ctypes.addressof(self._value))

    def numbers(self) -> memoryview:
        """The 64-bit numbers of an array with ``BPF_F_MMAPABLE``, until it is closed.

        They are read without a system call, as they stand at that moment.
        """
        if not self._mapped:
            size = self._entries * 8
            memory = mmap.mmap(self.fd, size, mmap.MAP_SHARED, mmap.PROT_READ)
            self._mapped = memoryview(memory).cast("Q")
        return self._mapped

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """All keys and their values, while nothing is added or deleted."""
        key: bytes | None = None
        while True:
            key = self._following(key)
            if key is None:
                return
            value = self.get(key)
            if value is not None:
                yield key, value

    def _following(self, key: bytes | None) -> bytes | None:
        following = ctypes.create_string_buffer(len(self._key))
        before = 0
        if key is not None:
            self._key.raw = key
            before = ctypes.addressof(self._key)
        places = (before, ctypes.addressof(following), 0)
        try:
            syscalls.bpf(_NEXT_KEY, struct.pack("=IxxxxQQQ", self.fd, *places))
        except FileNotFoundError:
            return None
        return following.raw

    def delete(self, key: bytes) -> None:
        """Delete a key that is there."""
        self._key.raw = key
        self._do(_DELETE)

    def clear(self) -> None:
        """Delete all that is in a hash map, thousands at a time (since Linux 5.6)."""
        keys = ctypes.create_string_buffer(_BATCH * len(self._key))
        values = ctypes.create_string_buffer(_BATCH * len(self._value))
        place = ctypes.c_uint32()
        at = ctypes.addressof
        where = 0
        while True:
            places = (where, at(place), at(keys), at(values))
            attributes = struct.pack("=QQQQIIQQ", *places, _BATCH, self.fd, 0, 0)
            try:
                syscalls.bpf(_LOOKUP_AND_DELETE_BATCH, attributes)
            except FileNotFoundError:  # there are no more
                return
            where = at(place)

    def clear_element(self, key: bytes) -> None:
        """Put zeros in the place of a value."""
        self.set(key, bytes(len(self._value)))

    def close(self) -> None:
        """Give it back."""
        self._mapped.release()
        os.close(self.fd)


def _possible_cpus() -> int:
    """How many CPUs there can be, which is how many values there are."""
    with open("/sys/devices/system/cpu/possible") as file:
        return int(re.findall(r"\d+", file.read())[-1]) + 1
