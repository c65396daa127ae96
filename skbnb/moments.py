# SPDX-License-Identifier: Apache-2.0
"""Points in time, as a person says them and as records have them."""

from __future__ import annotations

import datetime
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .errors import OptionError

if TYPE_CHECKING:
    from .records import Told

__all__ = ["Moment", "at"]

Moment = float | str | datetime.datetime | np.datetime64
"""Seconds since a trace began, or what `pandas.Timestamp` takes for a point in time."""

# Seconds, beyond which no clock of a kernel goes.
_NEVER = 1e10
_LAST = (1 << 64) - 1


def at(moment: Moment, told: Told) -> int:
    """The first ``ts`` of records that is not before a moment of their trace.

    Raises
    ------
    OptionError
        It is none.
    """
    if isinstance(moment, (int, float, np.number)):
        ts = told.began + _elapsed(float(moment))
    else:
        ts = _since_1970(moment) - told.offset
    return min(max(ts, 0), _LAST)


def _elapsed(seconds: float) -> int:
    """The smallest number of ns that is no less, as the column ``t`` rounds it."""
    if math.isnan(seconds):
        raise OptionError("nan is no point in time", "Say seconds, or None.")
    seconds = min(max(seconds, -_NEVER), _NEVER)
    ns = math.ceil(seconds * 1e9)
    while (ns - 1) / 1e9 >= seconds:
        ns -= 1
    while ns / 1e9 < seconds:
        ns += 1
    return ns


def _since_1970(moment: str | datetime.datetime | np.datetime64) -> int:
    try:
        stamp: Any = pd.Timestamp(moment)
        if not pd.isna(stamp):
            return int(stamp.as_unit("ns").value)
    except (TypeError, ValueError):
        pass
    raise OptionError(
        f"{moment!r:.60} is no point in time", "As in '2026-01-31 12:00:05.25'."
    )
