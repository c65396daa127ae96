# SPDX-License-Identifier: Apache-2.0
"""Lessons that check themselves: the notebooks in ``notebooks/lessons`` use this.

::

    from skbnb import lessons

    lessons.begin("1-what-an-skb-is")  # live, or on recordings where there is no root
    lessons.check("clones-of-a-fetch", 6)  # measures again, and compares
"""

from __future__ import annotations

import importlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .checking import check, exercises
    from .probes import by_probe, cost
    from .programs import race, serve, sniff
    from .shelf import recording, recordings
    from .stage import LESSONS, begin

__all__ = [
    "LESSONS",
    "begin",
    "by_probe",
    "check",
    "cost",
    "exercises",
    "race",
    "recording",
    "recordings",
    "serve",
    "sniff",
]

_HOMES = {
    "LESSONS": "stage",
    "begin": "stage",
    "by_probe": "probes",
    "check": "checking",
    "cost": "probes",
    "exercises": "checking",
    "race": "programs",
    "recording": "shelf",
    "recordings": "shelf",
    "serve": "programs",
    "sniff": "programs",
}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
