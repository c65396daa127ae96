# SPDX-License-Identifier: Apache-2.0
"""A recording that somebody sent: loaded, looked at, and written in other forms."""

from __future__ import annotations

import io
import os
import warnings
import zlib
from random import Random

import numpy as np

import skbnb
from skbnb.errors import StreamError, TruncatedWarning
from skbnb.packets import Packet
from skbnb.schema import RECORD, columns_of
from skbnb.traces import Trace
from skbnb.views import receipt
from skbnb.wire import BYTES_SIZE, Kind, Reader
from tests.fuzz.frames import VALID, changed_stream

REFUSALS = (StreamError,)

# The last is no trace.
_TRACES = VALID[:-1]

_in, _out = (os.memfd_create(name) for name in ("recording", "written"))


def make(random: Random) -> bytes:
    """A recording, changed frame by frame."""
    return changed_stream(random, random.choice(_TRACES))


def read(data: bytes) -> None:
    """What loads adds up, can be shown and saved, and is the same when loaded again."""
    _write(_in, data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TruncatedWarning)
        trace = skbnb.load(f"/proc/self/fd/{_in}")
        _check_events(trace)
        _check_words(trace)
        if trace.via == "ring" and trace.events.attrs["skbnb"]["snaplen"]:
            _check_packets(trace)
        trace.save(f"/proc/self/fd/{_out}")
        _check_saved(trace)
        # Figures take a hundred times as long.
        if zlib.crc32(data) % 64 == 0:
            bundle = trace._repr_mimebundle_()
            assert "text/plain" in bundle


def _write(fd: int, data: bytes) -> None:
    os.ftruncate(fd, 0)
    os.pwrite(fd, data, 0)


def _check_events(trace: Trace) -> None:
    events, everything = trace.events, trace.select("all")
    about = events.attrs["skbnb"]
    payloads = [len(f.payload) for f in trace.frames if f.kind is Kind.EVENTS]
    if trace.via == "count":
        return
    hello = next((f.fields for f in trace.frames if f.kind is Kind.HELLO), {})
    wanted = {column.name: column.dtype for column in columns_of(hello)}
    found = {name: str(dtype) for name, dtype in everything.dtypes.items()}
    assert found == wanted
    least = 40 if trace.via in ("trace", "perf") else RECORD.itemsize
    assert len(everything) <= sum(payloads) // least
    assert (np.diff(everything["t"]) >= 0).all()
    calls = everything["kind"].isin(["clone", "failed"]).sum()
    assert about["captured"] == calls
    assert len(events) + sum(about["others"].values()) == len(everything)


def _check_words(trace: Trace) -> None:
    said = receipt(trace.events)
    assert said.isprintable()
    for column in trace.events.select_dtypes("category"):
        assert all(text.isprintable() for text in trace.events[column].cat.categories)


def _check_packets(trace: Trace) -> None:
    packets = trace.packets
    # As much as a record has room for, whatever it claims.
    hello = next(f.fields for f in trace.frames if f.kind is Kind.HELLO)
    room = hello["stride"] - hello["offset"] - RECORD.itemsize - BYTES_SIZE
    for number in trace.events["packet"].dropna():
        packet: Packet = packets[number]
        assert len(packet.data) <= room
    trace.to_pcapng(f"/proc/self/fd/{_out}")


def _check_saved(trace: Trace) -> None:
    size = os.fstat(_out).st_size
    frames = tuple(Reader(io.BytesIO(os.pread(_out, size, 0))))
    assert frames == trace.frames
