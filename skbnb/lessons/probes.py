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
        One row per way. Columns ``probe``, ``ns_per_send`` (the best of three runs),
        ``ns_per_clone`` (how much more that is than untraced, for each of the three
        clones of a datagram), ``kept`` and ``lost`` (clones), and ``why`` a probe was
        not measured.
    """
    plain = min(_flood() for _ in range(_ROUNDS))
    rows: list[dict[str, Any]] = [{"probe": "no trace", "ns_per_send": plain}]
    for probe in PROBES[1:]:
        try:
            rows.append({"probe": probe, **_traced(probe, plain)})
        except ProbeError as error:
            rows.append({"probe": probe, "why": str(error.args[0])})
    columns = ["probe", "ns_per_send", "ns_per_clone", "kept", "lost", "why"]
    table = pd.DataFrame(rows, columns=columns)
    return table.astype({"kept": "UInt64", "lost": "UInt64"})


def _traced(probe: str, plain: float) -> dict[str, Any]:
    """The round that took the least time."""
    rounds = [_round(probe) for _ in range(_ROUNDS)]
    best = min(rounds, key=lambda made: float(made["ns_per_send"]))
    return {**best, "ns_per_clone": (best["ns_per_send"] - plain) / (_RECEIVERS - 1)}


def _round(probe: str) -> dict[str, Any]:
    with notebook.trace(probe=probe, scope="all") as trace:
        took = _flood()
    made = trace.events["reason"] == "multicast-delivery"
    lost = trace.events.attrs["skbnb"]["lost"]
    return {"ns_per_send": took, "kept": int(made.sum()), "lost": lost}


def _flood() -> float:
    """Nanoseconds for each datagram."""
    return float(programs.run("flood", _RECEIVERS, _DATAGRAMS)) / _DATAGRAMS
