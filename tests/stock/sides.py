# SPDX-License-Identifier: Apache-2.0
"""Three probes at work side by side, and their events compared one by one."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import pandas as pd

from skbnb.schema import COLUMNS
from skbnb.session import Session
from skbnb.traces import Selection, Trace
from skbnb.transport import AgentTransport
from tests.stock.agents import start_session

# When a call is seen, and so what number it gets, is each probe's own: fexit comes
# before a kretprobe, and a fast clone reaches its queue still later.
_ITS_OWN = {"time", "t", "count", "origin", "life"}

# What they say otherwise of the same: who had the socket, and that nobody knows.
_SAME: dict[str, str | None] = {"companion": "socket", "none": None}
# Packets' bytes are compared with a sniffer's: live/test_packets.py.
COMPARED = [
    column.name
    for column in COLUMNS
    if column.name not in _ITS_OWN and column.option != "snaplen"
]

# A call, and what a probe says of it: value by column, None for what it does not know.
# A call is named by its clone's address, and how often that was a clone's before. An
# address is unique only for a time, but for the same time in every trace. (Clocks would
# not tell calls apart: others come between what two probes see of one.)
Call = tuple[object, int]
Said = dict[Call, dict[str, object]]


@contextlib.contextmanager
def traced(agents: Mapping[str, AgentTransport]) -> Iterator[dict[str, Trace]]:
    """Trace with all probes at once; gives the traces, which are full at the end."""
    traces: dict[str, Trace] = {}
    with contextlib.ExitStack() as stack:
        for probe, agent in agents.items():
            traces[probe] = Trace(None, selection=Selection("all"))
            stack.callback(_end, start_session(agent, probe), traces[probe])
        yield traces


def _end(session: Session, trace: Trace) -> None:
    session.stop()
    trace.fill(session.frames, session.truncated)


def calls(events: pd.DataFrame) -> Counter[tuple[int, bool]]:
    """Calls by process id and whether they failed, as `CloneCounter.counts`."""
    clones = events[events["kind"].isin(["clone", "failed"])]
    return Counter(zip(clones["pid"], clones["kind"] == "failed", strict=True))


def said(events: pd.DataFrame) -> Said:
    """What the events of a probe say, call by call."""
    columns = [map(_plain, events[name].tolist()) for name in COMPARED]
    seen: Counter[object] = Counter()
    calls: Said = {}
    for values in zip(*columns, strict=True):
        of_one = dict(zip(COMPARED, values, strict=True))
        clone = of_one["clone"]
        calls[clone, seen[clone]] = of_one
        seen[clone] += 1
    return calls


def _plain(value: object) -> object:
    # Absent is NaN among categories and NA among integers.
    value = _SAME.get(value, value) if isinstance(value, str) else value
    return None if pd.isna(value) else value  # type: ignore[call-overload]


class Difference(NamedTuple):
    """What two probes say of one call, and do not agree on."""

    call: Call
    column: str
    left: object
    right: object


def differences(left: Said, right: Said) -> list[Difference]:
    """Each value that both probes claim to know and that is not the same."""
    return [one for one in _unlike(left, right) if None not in (one.left, one.right)]


def known_to_one(left: Said, right: Said) -> set[tuple[str, object]]:
    """What only one of the probes claims to know: column, and path of the clone."""
    return {
        (one.column, left[one.call]["path"])
        for one in _unlike(left, right)
        if None in (one.left, one.right)
    }


def _unlike(left: Said, right: Said) -> Iterator[Difference]:
    for call in left.keys() & right.keys():
        for column in COMPARED:
            if left[call][column] != right[call][column]:
                yield Difference(call, column, left[call][column], right[call][column])
