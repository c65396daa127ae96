# SPDX-License-Identifier: Apache-2.0
"""The same experiment by every probe that there is; and what each costs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pandas as pd

from .. import notebook
from ..config import PROBES
from ..errors import ProbeError
from . import programs, shelf, stage
from .experiments import live, own

if TYPE_CHECKING:
    from ..traces import Trace

__all__ = ["by_probe", "cost"]

_ASKED = ("caller", "parent", "origin", "owner_pid", "len", "saddr")

_RECEIVERS, _DATAGRAMS = 4, 20_000
_ROUNDS = 3


def by_probe(experiment: str) -> pd.DataFrame:
    """One experiment, as each recording has it and as this machine makes it.

    Parameters
    ----------
    experiment
        Which of `experiments.EXPERIMENTS`.

    Returns
    -------
    pandas.DataFrame
        One row per recording, and one per probe that attaches here where the lesson is
        live. Columns ``probe``, ``kernel``, ``where`` (``recorded`` or ``here``),
        ``clones``, and for some columns of a trace the number of clones of which they
        are known.
    """
    rows = [_row(experiment, trace) for trace in _traces(experiment)]
    return pd.DataFrame(rows).sort_values(["probe", "kernel"], ignore_index=True)


def _traces(experiment: str) -> Iterator[Trace]:
    for name in shelf.recordings():
        yield shelf.recording(name).trace(shelf.EXPERIMENTS, experiment)
    lesson = stage.current()
    for probe in PROBES[1:] if lesson and lesson.live else ():
        try:
            yield live(experiment, probe=probe)
        except ProbeError:
            continue


def _row(experiment: str, trace: Trace) -> dict[str, Any]:
    rows = own(experiment, trace)
    clones = rows[(rows["kind"] == "clone").to_numpy()]
    about = rows.attrs["skbnb"]
    return {
        "probe": about["probe"],
        "kernel": ".".join(about["kernel"].split(".")[:2]),
        "where": "here" if about["source"] == "live" else "recorded",
        "clones": len(clones),
        **{name: int(clones[name].notna().sum()) for name in _ASKED},
    }


def cost() -> pd.DataFrame:
    """Time a flood of clones on this machine: untraced, and by each probe.

    Returns
    -------
    pandas.DataFrame
        One row per way. Columns ``probe``, ``ns_per_send`` (time that the sender ran on
        a processor, for each datagram; the best of three runs), ``ns_per_clone`` (how
        much more that is than untraced, for each of a datagram's three clones),
        ``kept`` and ``lost`` (clones), and ``why`` a probe was not measured.
    """
    plain = min(_flood() for _ in range(_ROUNDS))
    rows: list[dict[str, Any]] = [{"probe": "no trace", "ns_per_send": plain}]
    for probe in PROBES[1:]:
        try:
            rows.append({"probe": probe, **_traced(probe, plain)})
        except ProbeError as error:
            rows.append({"probe": probe, "why": _why(probe, error)})
    columns = ["probe", "ns_per_send", "ns_per_clone", "kept", "lost", "why"]
    table = pd.DataFrame(rows, columns=columns)
    return table.astype(dict.fromkeys(columns[1:5], "Int64")).fillna({"why": ""})


def _why(probe: str, error: ProbeError) -> str:
    """What is said of this probe, without that no other works either."""
    said = str(error.args[0])
    return said.partition(f"({probe}: ")[2].removesuffix(")") or said


def _traced(probe: str, plain: int) -> dict[str, Any]:
    """The round that took the least time."""
    rounds = [_round(probe) for _ in range(_ROUNDS)]
    best = min(rounds, key=lambda made: int(made["ns_per_send"]))
    return {
        **best,
        "ns_per_clone": round((best["ns_per_send"] - plain) / (_RECEIVERS - 1)),
    }


def _round(probe: str) -> dict[str, Any]:
    with notebook.trace(probe=probe, scope="all") as trace:
        took = _flood()
    made = trace.events["reason"] == "multicast-delivery"
    lost = trace.events.attrs["skbnb"]["lost"]
    return {"ns_per_send": took, "kept": int(made.sum()), "lost": lost}


def _flood() -> int:
    """Nanoseconds of a processor's time for each datagram."""
    return round(int(programs.run("flood", _RECEIVERS, _DATAGRAMS)) / _DATAGRAMS)
