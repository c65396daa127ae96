# SPDX-License-Identifier: Apache-2.0
"""The DataFrame of a trace that only counted: sums that the kernel made."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from .errors import StreamError
from .payloads import name_of
from .schema import TALLY, Scope
from .wire import Payload

__all__ = ["tallies_frame"]


def tallies_frame(payloads: Sequence[Payload]) -> pd.DataFrame:
    """One row for each process, name and scope, most clones first.

    Parameters
    ----------
    payloads
        Of the TALLIES frames.

    Returns
    -------
    pandas.DataFrame
        Columns ``comm``, ``pid``, ``scope`` and ``clones``: calls of skb_clone(), those
        that gave NULL among them.

    Raises
    ------
    StreamError
        These are no sums.
    """
    payload = b"".join(payloads)
    if len(payload) % TALLY.itemsize:
        raise StreamError("a TALLIES frame that holds no whole number of sums")
    found = np.frombuffer(payload, TALLY)
    found = found[np.argsort(-found["calls"].astype("i8"), kind="stable")]
    if not np.isin(found["scope"], list(Scope)).all():
        raise StreamError("a sum of unknown scope")
    scopes = [scope.name.lower() for scope in reversed(Scope)]
    names = [name_of(raw.tobytes()) for raw in found["comm"]]
    words = [Scope(number).name.lower() for number in found["scope"].tolist()]
    return pd.DataFrame(
        {
            "comm": pd.Categorical(pd.Series(names, dtype="str")),
            "pid": found["pid"].astype("u4"),
            "scope": pd.Categorical(words, categories=pd.Index(scopes, dtype="str")),
            "clones": found["calls"].astype("u8"),
        }
    )
