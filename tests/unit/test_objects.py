# SPDX-License-Identifier: Apache-2.0
"""Objects: what BCC made, kept and given back, with other maps in their places."""

from __future__ import annotations

import struct

import pytest

from skbnb.agent.objects import Object, Shape

MAPS = {7: Shape("first", 2, 4, 8, 1, 0), 9: Shape("second", 27, 0, 0, 4096, 0)}

# r1 = map 9; r2 = map 7; r3 = 0x118_00000018, which is no map; exit
CODE = b"".join(
    struct.pack("=BBhi", *one)
    for one in (
        *((0x18, 0x11, 0, 9), (0, 0, 0, 0)),
        *((0x18, 0x12, 0, 7), (0, 0, 0, 0)),
        *((0x18, 0x03, 0, 0x18), (0, 0, 0, 0x118)),
        (0x95, 0, 0, 0),
    )
)


def numbers(code: bytes) -> list[int]:
    return [one[3] for one in struct.iter_unpack("=BBhi", code)]


def test_maps_are_referred_to_by_their_places() -> None:
    made = Object.of(MAPS, {"f": CODE})
    assert made.maps == [*MAPS.values()]
    assert numbers(made.programs["f"]) == [1, 0, 0, 0, 0x18, 0x118, 0]
    assert numbers(made.code("f", [30, 40])) == [40, 0, 30, 0, 0x18, 0x118, 0]


def test_what_is_packed_comes_back() -> None:
    made = Object.of(MAPS, {"f": CODE, "g": CODE[48:]})
    assert Object.unpack(made.pack()) == made


@pytest.mark.parametrize("packed", [b"", b"{}", b"[1]", b'{"maps": 1, "programs": {}}'])
def test_what_was_not_packed_is_refused(packed: bytes) -> None:
    with pytest.raises((ValueError, LookupError, TypeError)):
        Object.unpack(packed)


def test_a_reference_to_no_map_is_refused() -> None:
    with pytest.raises(LookupError):
        Object.of({}, {"f": CODE})


def test_a_call_of_no_helper_is_of_the_kernels_own() -> None:
    # call 5; call 70000; r1 = 0x85 (of 64 bits), whose second half looks like a call
    code = b"".join(
        struct.pack("=BBhi", *one)
        for one in (
            (0x85, 0, 0, 5),
            (0x85, 0, 0, 70000),
            *((0x18, 0x01, 0, 0x85), (0x85, 0, 0, 70000)),
        )
    )
    made = Object.of({}, {"f": code}).programs["f"]
    assert [one[1] for one in struct.iter_unpack("=BBhi", made)] == [0, 0x20, 0x01, 0]
