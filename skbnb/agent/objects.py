# SPDX-License-Identifier: Apache-2.0
"""What a C file becomes: maps to be made, and programs that refer to them."""

from __future__ import annotations

import base64
import json
import struct
from typing import Iterator, Mapping, NamedTuple

from . import syscalls

__all__ = ["Object", "Shape"]

# An instruction that loads 64 bits, which takes the room of two, and, as the register
# from which, that these are a map (include/uapi/linux/bpf.h: BPF_PSEUDO_MAP_FD).
_LOAD_64 = 0x18
_OF_MAP = 1

# Numbers that no helper has (there are some two hundred), but the functions in BTF,
# whose ids come after those of thousands of types.
_NO_HELPER = 4096


class Shape(NamedTuple):
    """What a map is made with: see `syscalls.create_map`."""

    name: str
    kind: int
    key_size: int
    value_size: int
    entries: int
    flags: int


class Object(NamedTuple):
    """A C file, compiled.

    Parameters
    ----------
    maps
        The maps that it needs.
    programs
        Instructions by the name of the C function. In the place of a map's file
        descriptor stands the map's place in `maps`.
    """

    maps: list[Shape]
    programs: dict[str, bytes]

    @classmethod
    def of(cls, maps: Mapping[int, Shape], programs: Mapping[str, bytes]) -> Object:
        """From what refers to maps by their file descriptors."""
        places = {fd: place for place, fd in enumerate(maps)}
        return cls(
            list(maps.values()),
            {n: _linked(_referring(code, places)) for n, code in programs.items()},
        )

    def code(self, name: str, fds: list[int]) -> bytes:
        """A program's instructions, which refer to maps by these file descriptors."""
        return _referring(self.programs[name], dict(enumerate(fds)))

    def pack(self) -> bytes:
        """As bytes, for `unpack`."""
        programs = {n: base64.b64encode(c).decode() for n, c in self.programs.items()}
        return json.dumps({"maps": self.maps, "programs": programs}).encode()

    @classmethod
    def unpack(cls, packed: bytes) -> Object:
        """From what `pack` gave.

        Raises
        ------
        ValueError, KeyError, TypeError
            It did not give that.
        """
        members = json.loads(packed)
        programs = members["programs"].items()
        return cls(
            [Shape(*shape) for shape in members["maps"]],
            {name: base64.b64decode(code) for name, code in programs},
        )


def is_no_helper(number: int) -> bool:
    """Whether what has this number can only be one of the kernel's own functions."""
    return number >= _NO_HELPER


def _linked(code: bytes) -> bytes:
    """Instructions whose calls of the kernel's own functions are told from helpers'."""
    changed = bytearray(code)
    for at in _instructions(code):
        (number,) = struct.unpack_from("=i", code, at + 4)
        if code[at] == syscalls.CALL and is_no_helper(number):
            changed[at + 1] = syscalls.KERNELS_OWN
    return bytes(changed)


def _referring(code: bytes, places: Mapping[int, int]) -> bytes:
    """Instructions whose references to maps are replaced."""
    changed = bytearray(code)
    for at in _instructions(code):
        if code[at] == _LOAD_64 and code[at + 1] >> 4 == _OF_MAP:
            (number,) = struct.unpack_from("=i", code, at + 4)
            struct.pack_into("=i", changed, at + 4, places[number])
    return bytes(changed)


def _instructions(code: bytes) -> Iterator[int]:
    """Where each begins."""
    at = 0
    while at < len(code):
        yield at
        at += 16 if code[at] == _LOAD_64 else 8
