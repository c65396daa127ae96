# SPDX-License-Identifier: Apache-2.0
"""A recording that somebody sent: loaded, looked at, and written in other forms."""

from __future__ import annotations

import atexit
import tempfile
import warnings
import zlib
from pathlib import Path
from random import Random

import numpy as np
import pandas as pd

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

_folder = tempfile.TemporaryDirectory()
atexit.register(_folder.cleanup)
_in, _out = (Path(_folder.name, name) for name in ("recording", "written"))


def make(random: Random) -> bytes:
    """A recording, changed frame by frame."""
    return changed_stream(random, random.choice(_TRACES))


def read(data: bytes) -> None:
    """What loads adds up, can be shown and saved, and is the same when loaded again."""
    # Not in the place of one that is mapped.
    _in.unlink(missing_ok=True)
    _in.write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TruncatedWarning)
        trace = skbnb.load(_in)
        _check_events(trace)
        _check_words(trace)
        if trace.via == "ring" and trace.events.attrs["skbnb"]["snaplen"]:
            _check_packets(trace)
        trace.save(_out)
        _check_saved(trace)
        if zlib.crc32(data) % 4 == 0:
            _check_partitions(trace, skbnb.load(_in))
        # Figures take a hundred times as long.
        if zlib.crc32(data) % 64 == 0:
            bundle = trace._repr_mimebundle_()
            assert "text/plain" in bundle


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


def _check_partitions(trace: Trace, fresh: Trace) -> None:
    """What is read three rows at a time is the same, and made otherwise."""
    read = pd.concat([part.astype(object) for part in fresh.partitions(3)])
    whole = trace.events.astype(object)
    assert read.reset_index(drop=True).equals(whole)


def _check_packets(trace: Trace) -> None:
    packets = trace.packets
    # As much as a record has room for, whatever it claims.
    hello = next(f.fields for f in trace.frames if f.kind is Kind.HELLO)
    room = hello["stride"] - hello["offset"] - RECORD.itemsize - BYTES_SIZE
    for number in trace.events["packet"].dropna():
        packet: Packet = packets[number]
        assert len(packet.data) <= room
    trace.to_pcapng(_out)


def _check_saved(trace: Trace) -> None:
    with _out.open("rb") as file:
        assert list(Reader(file)) == list(trace.frames)
