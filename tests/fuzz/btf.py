# SPDX-License-Identifier: Apache-2.0
"""The kernel's types, as libbpf reads them: a small kernel's, changed a little."""

from __future__ import annotations

import ctypes
import itertools
import re
import struct
from random import Random
from typing import Any

from skbnb.agent import layout
from skbnb.errors import LayoutError
from tests.fuzz.mutate import changed_bytes, changed_numbers

REFUSALS = (LayoutError,)

_HEADER = struct.Struct("<HBBIIIII")  # struct btf_header
_INT, _STRUCT, _UNION, _ENUM, _TYPEDEF, _CONST = 1, 4, 5, 6, 8, 10
_VARIABLE, _SECTION = 14, 15


class _Kernel:
    """Builds BTF: types and names, which refer to each other by number."""

    def __init__(self) -> None:
        self.names = b"\0"
        self.types = b""
        self.number = 0

    def name(self, text: str) -> int:
        at = len(self.names)
        self.names += text.encode() + b"\0"
        return at if text else 0

    def add(self, name: str, kind: int, size: int, *rest: tuple[int, ...]) -> int:
        info = kind << 24 | len(rest) * (kind not in (_INT, _VARIABLE))
        self.types += struct.pack("<III", self.name(name), info, size)
        self.types += b"".join(struct.pack(f"<{len(r)}I", *r) for r in rest)
        self.number += 1
        return self.number

    def packed(self) -> bytes:
        sizes = (0, len(self.types), len(self.types), len(self.names))
        head = _HEADER.pack(0xEB9F, 1, 0, _HEADER.size, *sizes)
        return head + self.types + self.names


def _kernel() -> bytes:
    """Types with all members that are looked for; some in unions without a name."""
    made = _Kernel()
    number = made.add("unsigned int", _INT, 4, (32,))
    known: dict[str, list[str]] = {}
    places = [*layout.MEMBERS.values(), *layout.BIT_FIELDS.values()]
    sums = (layout.SUMS, layout.OPTIONAL, layout._RUNQUEUE)
    for several in itertools.chain.from_iterable(one.values() for one in sums):
        places += several
    places += [(name, "first") for name in layout.SIZES.values()]
    for owner, member in places:
        if member not in known.setdefault(owner, []):
            known[owner].append(member)
    for owner, members in known.items():
        half = len(members) // 2
        inner = made.add("", _UNION, 8, *_members(made, members[:half], number))
        alias = made.add("alias", _TYPEDEF, made.add("", _CONST, inner))
        outer = [(0, alias, 0), *_members(made, members[half:], number)]
        made.add(owner, _STRUCT, 8 * len(members) + 8, *outer)
    reasons = ("SKB_NOT_DROPPED_YET", "SKB_DROP_REASON_NO_SOCKET")
    constants = [(made.name(name), value) for value, name in enumerate(reasons)]
    made.add(layout._DROP_REASONS, _ENUM, 4, *constants)
    own = [
        (made.add(name, _VARIABLE, number, (0,)), 64 * place, 4)
        for place, name in enumerate(("__preempt_count", "runqueues"))
    ]
    made.add(".data..percpu", _SECTION, 128, *own)
    return made.packed()


def _members(made: _Kernel, names: list[str], kind: int) -> list[tuple[int, int, int]]:
    return [(made.name(name), kind, 32 * at) for at, name in enumerate(names)]


_VALID = _kernel()
_NAMES = _HEADER.unpack_from(_VALID)[-1]  # their length


class _Library:
    """Libbpf, for which a kernel has the types that are given here."""

    given = b""

    def __init__(self) -> None:
        self._library = ctypes.CDLL("libbpf.so.1")
        self._library.btf__new.restype = ctypes.c_void_p
        self._library.btf__new.argtypes = [ctypes.c_char_p, ctypes.c_uint32]
        self._library.libbpf_set_print(None)
        # A function of ours, which takes what is said of its result.
        self.btf__load_vmlinux_btf = lambda: self._library.btf__new(
            self.given, len(self.given)
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self._library, name)


_library = _Library()
layout._libbpf = lambda: _library  # type: ignore[assignment,return-value]
layout.BTF_PATH = "/"  # which is there


def make(random: Random) -> bytes:
    """The types with changed bytes: most of them in one section."""
    if random.random() < 0.1:
        return changed_bytes(random, _VALID)
    types, names = _VALID[_HEADER.size : -_NAMES], _VALID[-_NAMES:]
    if random.random() < 0.9:
        types = changed_numbers(random, types, most=6)
    else:
        names = changed_numbers(random, names)
    return _VALID[: _HEADER.size] + types + names


def read(data: bytes) -> None:
    """Places are numbers, and reasons to drop a packet have names."""
    _library.given = data
    reasons = layout.drop_reasons()
    assert all(0 <= number < 1 << 32 for number in reasons)
    for flag in layout.from_btf().flags:
        # Only what is counted from somewhere else may lie before it.
        assert re.fullmatch(r"-D([A-Z0-9_]+=|COUNT_FROM_RQ=-)\d+", flag)
