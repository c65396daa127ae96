# SPDX-License-Identifier: Apache-2.0
"""The stream between agent and notebook: any bytes, as frames and their fields."""

from __future__ import annotations

import io
from random import Random

from skbnb.errors import StreamError
from skbnb.wire import FIELDS, MAGIC, Kind, Reader, unpack_stacks
from tests.fuzz.frames import VALID, changed_stream, packed
from tests.fuzz.mutate import changed_bytes

REFUSALS = (StreamError,)


def make(random: Random) -> bytes:
    """A stream that was changed frame by frame, or byte by byte."""
    frames = random.choice(VALID)
    if random.random() < 0.7:
        return changed_stream(random, frames)
    return changed_bytes(random, packed(frames), most=8)


def read(data: bytes) -> None:
    """What is read stood there, and all of it unless the stream was cut."""
    reader = Reader(io.BytesIO(data))
    frames = list(reader)
    again = MAGIC + b"".join(frame.pack() for frame in frames)
    if not reader.truncated:
        assert again == data or not data
    for frame in frames:
        assert len(frame.payload) <= len(data)
        if frame.kind in FIELDS:
            assert frame.fields.keys() >= FIELDS[frame.kind].keys()
        if frame.kind is Kind.STACKS:
            stacks = list(unpack_stacks(frame.payload))
            assert sum(8 + 8 * len(ips) for _, ips in stacks) == len(frame.payload)
