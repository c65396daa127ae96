# SPDX-License-Identifier: Apache-2.0
"""Tables made from a trace's DataFrame, each a DataFrame too, and `folded` stacks.

Every function takes any selection of a trace's rows, in any order, that still has the
columns `NEEDS`, and leaves it unchanged. All work is done on whole columns: ten million
rows take a fraction of a second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from . import grouping
from .errors import OptionError
from .grouping import Numbered, category, combinations, ends, numbered, sums
from .reasons import describe
from .units import nice, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = [
    "NEEDS",
    "breakdown",
    "cost",
    "family",
    "folded",
    "processes",
    "reasons",
    "stacks",
    "timeline",
]

NEEDS = ("t", "comm", "pid", "kind")
"""The columns without which a frame is not a trace's."""


def processes(df: pd.DataFrame) -> pd.DataFrame:
    """Count the clones of each process.

    A process can change its name (by ``execve()``) and its scope; both are given as of
    its last call.

    Parameters
    ----------
    df
        Rows of a trace.

    Returns
    -------
    pandas.DataFrame
        One row per process, most clones first, then first seen first. Columns
        ``comm``, ``pid``, ``clones``, ``failed`` (calls that gave NULL), ``copies``
        (packets copied, if they were asked for), ``fast`` and ``slab`` (the clones, by
        where they came from), ``bytes`` (summed over the
        clones whose length is known, absent if none is), ``first`` and ``last``
        (seconds since tracing began) and ``scope``. What rests on a column that `df`
        lacks is left out.
    """
    process, t = numbered(df, "pid"), df["t"].to_numpy()
    first, last = ends(process, t)
    made = np.flatnonzero(last >= 0)
    first, last = first[made], last[made]
    table = pd.DataFrame({"comm": category(df, "comm").take(last)})
    table["pid"] = process.values[made]
    for name, tally in _tallies(df, process).items():
        table[name] = tally[made]
    table["first"], table["last"] = t[first], t[last]
    if "scope" in df:
        table["scope"] = category(df, "scope").take(last)
    order = np.lexsort((t[first], -table["clones"].to_numpy()))
    return table.take(order).reset_index(drop=True)


def reasons(df: pd.DataFrame) -> pd.DataFrame:
    """Count the clones that were made for each reason.

    Parameters
    ----------
    df
        Rows of a trace, with the column ``reason``.

    Returns
    -------
    pandas.DataFrame
        One row per reason, most clones first. Columns ``reason`` (``unknown`` where the
        probe did not see the caller), the counts of `processes`, ``processes`` (how
        many made them) and ``why``, the reason in plain words.
    """
    reason = numbered(df, "reason")
    slugs = _with_unknown(reason)
    (of_pair, _), _ = combinations([reason, numbered(df, "pid")])

    table = pd.DataFrame({"reason": pd.Series(slugs, dtype="str")})
    table = table.assign(**_tallies(df, reason))
    table["processes"] = _add_up(of_pair, np.ones(len(of_pair)), reason)
    table["why"] = _words(slugs)
    return _most_first(table[table["processes"] > 0])


def cost(df: pd.DataFrame) -> pd.DataFrame:
    """Add up what the clones made for each reason cost.

    A clone shares the packet's data, of which nothing is copied; what it needs is a
    ``struct sk_buff`` of its own. A ``slab`` clone allocates one. A ``fast`` clone
    allocates nothing: its half of a pair was allocated with the packet.

    Parameters
    ----------
    df
        Rows of a trace, with the column ``reason``.

    Returns
    -------
    pandas.DataFrame
        One row per reason with any clone, most clones first. Columns ``reason``,
        ``clones``, ``slab`` (allocations), ``bytes`` (of the packets, as in
        `processes`), ``allocated`` (bytes: ``slab`` times what the slab allocator takes
        for each ``struct sk_buff``; absent if that is unknown), ``per_packet`` (clones
        for each packet that the trace's scope handed to a device, also where `df` is a
        selection; absent if none was, or if their number is unknown) and ``why``. What
        rests on a column that `df` lacks is left out. Every number is of its row alone,
        so the totals are ``cost(df).sum(numeric_only=True, min_count=1)``.
    """
    said = df.attrs.get("skbnb", {})
    size, sent = said.get("skb_size"), said.get("sent")
    reason = numbered(df, "reason")
    slugs, tallies = _with_unknown(reason), _tallies(df, reason)
    table = pd.DataFrame({"reason": pd.Series(slugs, dtype="str")})
    wanted = ("clones", "slab", "bytes")
    table = table.assign(**{name: tallies[name] for name in wanted if name in tallies})
    if "slab" in table:
        each = pd.NA if size is None else size
        table["allocated"] = table["slab"].astype("UInt64") * each
    table["per_packet"] = table["clones"] / (sent or np.nan)
    table["why"] = _words(slugs)
    return _most_first(table[table["clones"] > 0])


def breakdown(df: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Count the clones by several columns at once.

    Parameters
    ----------
    df
        Rows of a trace.
    columns
        Of these: ``pid``, and any of dtype ``category``.

    Returns
    -------
    pandas.DataFrame
        One row per combination that any clone has, most clones first. The columns
        asked for (``unknown`` where a name is absent), and ``clones``.
    """
    parts = [numbered(df, name) for name in columns]
    places, clones = _of_clones(df, parts)
    values = (
        part.values if name == "pid" else _with_unknown(part)
        for name, part in zip(columns, parts, strict=True)
    )
    table = pd.DataFrame(
        {
            name: pd.Series(known).take(place).reset_index(drop=True)
            for name, known, place in zip(columns, values, places, strict=True)
        }
    )
    return _most_first(table.assign(clones=clones))


def stacks(df: pd.DataFrame) -> pd.DataFrame:
    """Count the clones that were made on each way through the kernel.

    Parameters
    ----------
    df
        Rows of a trace that was made with ``--stacks``.

    Returns
    -------
    pandas.DataFrame
        One row per stack, most clones first. Columns ``stack`` (functions joined by
        ``;``, the caller of skb_clone() last; ``unknown`` where the kernel gave none),
        the counts of `processes`, ``reason`` (absent where it is unknown, or not the
        same for all) and ``depth`` (functions, absent where the stack is unknown).
        What rests on a column that `df` lacks is left out.

    Raises
    ------
    OptionError
        The trace has no stacks.
    """
    stack = _stack(df)
    names = _with_unknown(stack)
    table = pd.DataFrame({"stack": pd.Series(names, dtype="str")})
    table = table.assign(**_tallies(df, stack))
    if "reason" in df:
        table["reason"] = _common(stack, numbered(df, "reason"))
    depths = [name.count(";") + 1 for name in names[:-1]]
    table["depth"] = pd.Series([*depths, pd.NA], dtype="UInt32")
    return _most_first(table[table["clones"] + table["failed"] > 0])


def folded(df: pd.DataFrame, *, process: bool = False) -> str:
    r"""Fold the stacks into lines, as flamegraph.pl, inferno and speedscope read them.

    Parameters
    ----------
    df
        Rows of a trace that was made with ``--stacks``.
    process
        Put the name of the running thread (``comm``) before each stack.

    Returns
    -------
    str
        A line for each stack with any clone, most clones first: its functions joined
        by ``;`` (``unknown`` where the kernel gave none), a space, and the number of
        clones. What does not print is written out (``\x1b``), and ``;`` in a thread's
        name becomes ``:``.

    Raises
    ------
    OptionError
        The trace has no stacks.
    """
    stack = _stack(df)
    after = [";".join(map(printable, name.split(";"))) for name in _with_unknown(stack)]
    parts, before = [stack], [""]
    if process:
        thread = numbered(df, "comm")
        parts.append(thread)
        before = [
            printable(name).replace(";", ":") + ";" for name in _with_unknown(thread)
        ]
    places, clones = _of_clones(df, parts)
    threads = places[1] if process else np.zeros(len(clones), np.intp)
    order = np.argsort(-clones, kind="stable")
    return "".join(
        f"{before[threads[line]]}{after[places[0][line]]} {clones[line]}\n"
        for line in order.tolist()
    )


def family(df: pd.DataFrame) -> pd.DataFrame:
    """Tell which packets were cloned from which.

    An address is reused within microseconds, so a packet is an address and its
    generation: how many packets the rows have named at that address, with this one.

    Parameters
    ----------
    df
        Rows of a trace, with the columns ``count``, ``parent``, ``origin`` and
        ``clone``.

    Returns
    -------
    pandas.DataFrame
        One row per clone whose parent was seen, family by family. Columns ``family``
        (numbers from 1, by their first clone), ``depth`` (1: of a packet that is no
        clone of these rows itself, 2: of a clone of that ...), ``parent`` and ``clone``
        (addresses) with ``parent_gen`` and ``clone_gen`` (generations), ``siblings``
        (other clones of the same parent), ``children`` (clones of this clone), and of
        the rows ``t``, ``count``, ``comm``, ``pid``, ``reason``, ``fate``,
        ``drop_reason`` and ``life``, as far as they have these.

    Raises
    ------
    OptionError
        The kernel could not number its calls, so packets cannot be told apart; or the
        rows lack one of these columns.
    """
    grouping.need(df, "count", "origin", "parent", "clone")
    rows = df[_equals(df, "kind", "clone") & df["origin"].notna()]
    if len(df) and df["count"].isna().all():
        raise OptionError(
            "this trace's calls are not numbered, so packets cannot be told apart",
            "Trace on Linux 5.12 or newer.",
        )
    rows = rows.sort_values("count")
    count, origin, parent, clone = (
        rows[name].to_numpy("u8") for name in ("count", "origin", "parent", "clone")
    )
    made_by = _row_that_made(count, clone, origin, parent)
    depth, top = _climb(made_by)
    root = pd.Series(count).groupby([origin[top], parent[top]], sort=False).ngroup()
    siblings = pd.Series(count).groupby([origin, parent]).transform("size") - 1
    table = pd.DataFrame({"family": root + 1, "depth": depth})
    table["parent"], table["clone"] = parent, clone
    generations = _generations(np.r_[parent, clone], np.r_[origin, count])
    table["parent_gen"], table["clone_gen"] = np.split(generations, 2)
    table["siblings"] = siblings
    table["children"] = np.bincount(made_by[made_by >= 0], minlength=len(rows))
    for name in ("t", "count", "comm", "pid", "reason", "fate", "drop_reason", "life"):
        if name in rows:
            table[name] = rows[name].array
    return table.sort_values("family", kind="stable", ignore_index=True)


def _row_that_made(
    count: NDArray[np.uint64],
    clone: NDArray[np.uint64],
    origin: NDArray[np.uint64],
    parent: NDArray[np.uint64],
) -> NDArray[np.intp]:
    """The row whose clone each parent is, or -1; the rows are sorted by count."""
    if not len(count):
        return np.empty(0, np.intp)
    row = np.searchsorted(count, origin).clip(max=len(count) - 1)
    return np.where((count[row] == origin) & (clone[row] == parent), row, -1)


def _climb(above: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """How many rows lie on the way to the uppermost one, and which that is."""
    depth = np.ones(len(above), np.intp)
    top = np.arange(len(above))
    rising = above[top] >= 0
    while rising.any():
        depth[rising] += 1
        top[rising] = above[top[rising]]
        rising = above[top] >= 0
    return depth, top


def _generations(
    address: NDArray[np.uint64], number: NDArray[np.uint64]
) -> NDArray[np.intp]:
    """Rank of each number among the distinct numbers of its address, from 1."""
    order = np.lexsort((number, address))
    address, number = address[order], number[order]
    is_new_address = np.r_[True, address[1:] != address[:-1]][: len(order)]
    is_new = is_new_address | np.r_[True, number[1:] != number[:-1]][: len(order)]
    rank = np.cumsum(is_new)
    before = np.maximum.accumulate(np.where(is_new_address, rank - 1, 0))
    generations = np.empty(len(order), np.intp)
    generations[order] = rank - before
    return generations


def timeline(df: pd.DataFrame, bins: int = 100) -> pd.DataFrame:
    """Count the clones of each process over time.

    Parameters
    ----------
    df
        Rows of a trace.
    bins
        How many bins, at most; there may be one more, as they begin at multiples of
        their width, which is 1, 2 or 5 times a power of ten.

    Returns
    -------
    pandas.DataFrame
        One row per bin and process with any clone, by time and then most clones first.
        Columns ``t`` (the bin's start, seconds since tracing began), ``width``
        (seconds), ``comm`` (the process's name, as of its last call), ``pid`` and
        ``clones``.
    """
    if bins < 1:
        raise ValueError(f"bins must be at least 1, not {bins}")
    process, t = numbered(df, "pid"), df["t"].to_numpy()
    _, last = ends(process, t)
    width = nice(max(np.ptp(t) / bins if len(t) else 0.0, 1e-6))
    start = grouping.bins(t, width)
    (place, who), clones = _of_clones(df, [start, process])
    table = pd.DataFrame(
        {
            "t": start.values[place] * width,
            "width": np.full(len(place), width),
            "comm": category(df, "comm").take(last[who]),
            "pid": process.values[who],
            "clones": clones,
        }
    )
    order = np.lexsort((-clones, place))
    return table.take(order).reset_index(drop=True)


def _tallies(
    df: pd.DataFrame, group: Numbered
) -> dict[str, NDArray[np.int64] | pd.Series[int]]:
    """Clones, failed calls, their paths and bytes, by column.

    Each has a number for every group, and one for the rows of none at last.
    """
    kinds, paths = (_of_column(df, name) for name in ("kind", "path"))
    (place, *places), rows = combinations([group, *kinds, *paths])
    kind, *path = (
        np.array(_with_unknown(column), np.object_)[number]
        for column, number in zip([*kinds, *paths], places, strict=True)
    )
    flags = {"clones": "clone", "failed": "failed", "copies": "copy"}
    tallies: dict[str, NDArray[np.int64] | pd.Series[int]] = {
        name: _add_up(place, rows * (kind == value), group)
        for name, value in flags.items()
    }
    for name in ("fast", "slab") if path else ():
        chosen = (kind == "clone") & (path[0] == name)
        tallies[name] = _add_up(place, rows * chosen, group)
    if "len" in df:
        total, known = sums(group, df["len"], _equals(df, "kind", "clone"))
        tallies["bytes"] = pd.Series(total).astype("UInt64").where(known)
    return tallies


def _of_column(df: pd.DataFrame, name: str) -> list[Numbered]:
    return [numbered(df, name)] if name in df else []


def _of_clones(
    df: pd.DataFrame, columns: Sequence[Numbered]
) -> tuple[list[NDArray[np.intp]], NDArray[np.int64]]:
    """The combinations that any clone has, and how many clones have each."""
    kind = numbered(df, "kind")
    (*places, number), rows = combinations([*columns, kind])
    clones = np.append(np.asarray(kind.values) == "clone", False)[number]
    return [place[clones] for place in places], rows[clones]


def _add_up(
    place: NDArray[np.intp], numbers: NDArray[Any], group: Numbered
) -> NDArray[np.int64]:
    """The sum of each group, and at last that of what belongs to none."""
    size = len(group.values) + 1
    return np.bincount(place % size, numbers, size).astype(np.int64)


def _with_unknown(column: Numbered) -> list[str]:
    """The names in a column, and one for rows where it is absent."""
    return [*column.values, "unknown"]


def _stack(df: pd.DataFrame) -> Numbered:
    if "stack" not in df:
        raise OptionError("this trace has no stacks", "Trace with --stacks.")
    return numbered(df, "stack")


def _common(group: Numbered, name: Numbered) -> pd.Series[str]:
    """Each group's name, if all its rows have the same; absent elsewhere."""
    (place, number), _ = combinations([group, name])
    one = np.full(len(group.values) + 1, -1)
    one[place] = number
    one[place[1:][place[1:] == place[:-1]]] = -1
    return pd.Series([*name.values, None], dtype="str").take(one).reset_index(drop=True)


def _words(slugs: list[str]) -> pd.Series[str]:
    """Each reason in plain words."""
    return pd.Series(list(map(describe, slugs)), dtype="str")


def _most_first(table: pd.DataFrame) -> pd.DataFrame:
    return table.sort_values(
        "clones", ascending=False, kind="stable", ignore_index=True
    )


def _equals(df: pd.DataFrame, column: str, value: str) -> NDArray[np.bool_]:
    return (df[column] == value).to_numpy(np.bool_)
