# SPDX-License-Identifier: Apache-2.0
"""Who sniffs, as far as a trace tells: in words, and nothing guessed.

The kernel makes one clone of a packet for all who sniff it. So a clone has no sniffer
of its own: all are named who had a packet socket open that gets such packets. (One
that asked to be spared what is sent, by PACKET_IGNORE_OUTGOING, nobody can tell.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from .reasons import REASONS
from .units import counted, listed, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    Sniffer = dict[str, Any]

__all__ = ["TAPS", "Place", "Sniffers", "places", "say"]

TAPS = frozenset(r.slug for r in REASONS if r.slug.startswith("tap-"))
"""The reasons of clones that are made for packet sockets."""

_ALL = 3  # ETH_P_ALL of include/uapi/linux/if_ether.h

_WIDTH = 32


class Place(NamedTuple):
    """Where packets were cloned; None is unknown."""

    netns: int | None
    ifindex: int | None
    dev: str | None


class Sniffers(NamedTuple):
    """Those of one trace, as in ``df.attrs["skbnb"]``."""

    known: list[Sniffer]
    more: int = 0  # that are not known

    @classmethod
    def of(cls, df: pd.DataFrame) -> Sniffers:
        """Read them from a frame, which may say nothing."""
        said = df.attrs.get("skbnb", {})
        known = sorted(said.get("sniffers") or [], key=_rank)
        return cls(known, said.get("more_sniffers") or 0)


def places(df: pd.DataFrame, rows: NDArray[np.intp]) -> dict[Place, int]:
    """Where the packets of these rows were cloned, and how many in each place."""
    netns, ifindex = (_numbers(df, name, rows) for name in ("netns", "ifindex"))
    devices = pd.Categorical(df["dev"].array.take(rows))
    names = [None, *map(str, devices.categories)]
    where, distinct = pd.factorize(netns << np.uint64(32) | ifindex)
    # One number for both: a pass of hashing finds the pairs that occur.
    codes = where * len(names) + devices.codes.astype(np.intp) + 1
    pair, pairs = pd.factorize(codes)
    at, name = np.divmod(pairs, len(names))
    return {
        Place(number >> 32 or None, number & 0xFFFFFFFF or None, names[n]): count
        for number, n, count in zip(
            distinct[at].tolist(), name, np.bincount(pair).tolist(), strict=True
        )
    }


def _numbers(
    df: pd.DataFrame, column: str, rows: NDArray[np.intp]
) -> NDArray[np.uint64]:
    # No namespace and no device has the number 0.
    if column not in df:
        return np.zeros(len(rows), np.uint64)
    known = pd.Series(df[column].array.take(rows))
    return known.to_numpy(np.uint64, na_value=0)


def say(
    reason: str, where: Iterable[Place], here: Sniffers, there: Sniffers, *, past: bool
) -> str:
    """Who sniffs in these places, in one clause or several.

    Parameters
    ----------
    reason
        Why packets were cloned there: one of `TAPS`.
    where
        The places.
    here
        Who sniffs in the trace that has more such clones.
    there
        Who does in the other. Of those in `here` only the others are named, if any.
    past
        Say "sniffed".
    """
    old = set(map(_key, there.known))
    names: dict[str, dict[str, None]] = {}
    for place in where:
        able = [one for one in here.known if _gets(one, reason, place)]
        new = [one for one in able if _key(one) not in old]
        for one in new or able:
            target = _target(one, place) + ("" if new else " in both")
            names.setdefault(target, {})[_name(one)] = None
        if not able:
            unseen = printable(place.dev or "", _WIDTH)
            names.setdefault(unseen, {})["something"] = None
    targets: dict[tuple[str, ...], list[str]] = {}
    for target, who in names.items():
        targets.setdefault(tuple(who), []).append(target)
    clauses = [_clause(who, past, listed(what)) for who, what in targets.items()]
    if here.more:
        clauses.append(f"{counted(here.more, 'more packet socket')} might")
    return ", and ".join(clauses)


def _clause(who: Sequence[str], past: bool, what: str) -> str:
    verb = "sniffed" if past else "sniffs" if len(who) == 1 else "sniff"
    return f"{listed(who)} {verb} {what}".rstrip()


def _gets(one: Sniffer, reason: str, place: Place) -> bool:
    """Whether a packet socket gets what is cloned for this reason in this place."""
    if reason == "tap-transmit":
        # Only that of all protocols gets what is sent.
        if one["protocol"] != _ALL:
            return False
        if one["everywhere"]:
            return True
    here = place.netns in (None, one["netns"])
    return here and (not one["ifindex"] or place.ifindex in (None, one["ifindex"]))


def _rank(one: Sniffer) -> tuple[bool, int]:
    # Who sniffs one device had better be named before who sniffs all.
    return not one["ifindex"], one["pid"] or 0


def _key(one: Sniffer) -> tuple[int, int]:
    return one["netns"], one["inode"]


def _name(one: Sniffer) -> str:
    if one["pid"] is None:
        return "something"
    return f"{printable(one['comm'] or '?', _WIDTH)} {one['pid']}"


def _target(one: Sniffer, place: Place) -> str:
    if place.netns not in (None, one["netns"]):
        return "every device, from another network namespace"
    if not one["ifindex"]:
        return "every device"
    # The kernel did not tell the device's name, but a packet on it did.
    dev = one["dev"] or (place.dev if place.ifindex else None)
    return printable(dev, _WIDTH) if dev else f"device {one['ifindex']}"
