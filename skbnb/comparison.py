# SPDX-License-Identifier: Apache-2.0
"""What changed between two traces: by reason, by process and by device.

Clones are counted as they are: a longer trace has more of them, and no number here is
divided by a duration.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from . import charts, sniffers
from .errors import OptionError
from .grouping import Numbered, combinations, numbered
from .reasons import describe
from .units import counted, duration, listed, printable
from .views import CLASSES, STYLE, FigureView, aligned, bundle, marked

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from numpy.typing import NDArray

    from .traces import Trace

__all__ = ["Comparison", "compare"]


class _Part(NamedTuple):
    """What traces are compared by.

    Attributes
    ----------
    table
        Its attribute in `Comparison`.
    absent
        What stands in the table where the column says nothing: no value is that.
    """

    table: str
    column: str
    noun: str
    absent: str


_PARTS = (
    _Part("reasons", "reason", "reason", "unknown"),
    _Part("processes", "comm", "process", "(unknown process)"),
    _Part("devices", "dev", "device", "no device"),
)
_DEVICES = _PARTS[-1]

_MAX_ROWS = 10
_MAX_REASONS = 5

_HINT = "Compare traces, or rows of their events: skbnb.compare(before, after)."


def compare(a: pd.DataFrame | Trace, b: pd.DataFrame | Trace) -> Comparison:
    """Say what changed from one trace to another.

    Parameters
    ----------
    a, b
        Two traces, or any selections of their rows.

    Raises
    ------
    OptionError
        One of them is no trace, or a frame without a column that this needs.
    """
    before, after = _Side.of("a", a), _Side.of("b", b)
    tables = {part.table: _table(before, after, part) for part in _PARTS}
    words = [_why(reason) for reason in tables["reasons"]["reason"]]
    tables["reasons"]["why"] = pd.Series(words, dtype="str")
    return Comparison(**tables, sentences=list(_sentences(before, after, tables)))


@dataclass(frozen=True, slots=True, repr=False)
class Comparison:
    """What changed from trace `a` to trace `b`; made by `compare`.

    Attributes
    ----------
    reasons : pandas.DataFrame
        One row per reason, the greatest change first. Columns ``reason`` (``unknown``
        where the probe did not see the caller), ``a`` and ``b`` (the clones of each),
        ``change`` and ``why``, the reason in plain words.
    processes : pandas.DataFrame
        One row per name of a process, ``comm``, as the same command has another process
        id in the second trace. The other columns are those of `reasons` without
        ``why``.
    devices : pandas.DataFrame
        The same by device, ``dev``; ``no device`` where that is absent.
    sentences : list of str
        The same in words, and what makes the two hard to compare.
    """

    reasons: pd.DataFrame
    processes: pd.DataFrame
    devices: pd.DataFrame
    sentences: list[str]

    def plot(self) -> FigureView:
        """Draw how many more or fewer clones were made for each reason, as bars."""
        a, b = (counted(int(self.reasons[side].sum()), "clone") for side in "ab")
        return FigureView(charts.changes(self.reasons, f"a: {a} · b: {b}"))

    def __repr__(self) -> str:
        return _text(self)

    def _repr_mimebundle_(
        self,
        include: Collection[str] | None = None,
        exclude: Collection[str] | None = None,
    ) -> dict[str, Any]:
        makers = {
            "text/plain": lambda: _text(self),
            "text/html": lambda: _html(self),
        }
        return bundle(makers, include, exclude)


# ------------------------------------------------------------------ in numbers


@dataclass(frozen=True, slots=True)
class _Side:
    """One of the two traces.

    Attributes
    ----------
    clones
        Which rows are clones; None if all are.
    total
        How many are.
    """

    name: str
    df: pd.DataFrame
    clones: NDArray[np.bool_] | None
    total: int

    @classmethod
    def of(cls, name: str, trace: object) -> _Side:
        df = trace if isinstance(trace, pd.DataFrame) else getattr(trace, "events", 0)
        if not isinstance(df, pd.DataFrame):
            raise OptionError(f"{name} is {type(trace).__name__}, and no trace", _HINT)
        for column in ("kind", *(part.column for part in _PARTS)):
            if column not in df:
                raise OptionError(f"{name} has no column {column!r}", _HINT)
        clones = (df["kind"] == "clone").to_numpy(np.bool_)
        total = int(np.count_nonzero(clones))
        return cls(name, df, None if total == len(df) else clones, total)

    def says(self, name: str) -> Any:
        """What the frame says of how it was traced; None is unknown."""
        return self.df.attrs.get("skbnb", {}).get(name)

    def tally(self, part: _Part, rows: NDArray[Any] | None) -> dict[str, int]:
        """How many of these rows have which value; there is none that none has."""
        codes, values = numbered(self.df, part.column)
        chosen = Numbered(codes if rows is None else codes[rows], values)
        (places,), counts = combinations([chosen])
        labels = [*map(str, values), part.absent]
        tally: dict[str, int] = {}
        for place, count in zip(places.tolist(), counts.tolist(), strict=True):
            tally[labels[place]] = tally.get(labels[place], 0) + count
        return tally

    def because(self, reason: str) -> NDArray[np.intp]:
        """The rows that are clones made for this reason."""
        rows = (self.df["reason"] == reason).to_numpy(np.bool_)
        return np.flatnonzero(rows if self.clones is None else rows & self.clones)


def _table(a: _Side, b: _Side, part: _Part) -> pd.DataFrame:
    before, after = a.tally(part, a.clones), b.tally(part, b.clones)
    keys = list(dict.fromkeys([*before, *after]))
    table = pd.DataFrame({part.column: pd.Series(keys, dtype="str")})
    table["a"] = np.array([before.get(key, 0) for key in keys], np.int64)
    table["b"] = np.array([after.get(key, 0) for key in keys], np.int64)
    table["change"] = table["b"] - table["a"]
    order = np.lexsort((-table["a"] - table["b"], -table["change"].abs()))
    return table.take(order).reset_index(drop=True)


def _why(reason: str) -> str:
    try:
        return describe(reason)
    except KeyError:  # whoever made the frame gave it that name
        return ""


# ------------------------------------------------------------------ in sentences


def _sentences(a: _Side, b: _Side, tables: dict[str, pd.DataFrame]) -> Iterator[str]:
    changed = {name: table[table["change"] != 0] for name, table in tables.items()}
    same = all(table.empty for table in changed.values())
    yield from _by_reason(a, b, changed["reasons"], same)
    if not same or _time(a) != _time(b):
        yield f"a: {_time(a)}; b: {_time(b)}."
    failed = [len(side.df) - side.total for side in (a, b)]
    if failed[0] != failed[1]:
        yield f"Failed calls: {failed[0]:,} in a, {failed[1]:,} in b."
    for part in _PARTS[1:]:
        table = changed[part.table]
        changes = [
            f"{change:+,} {printable(name)}"
            for name, change in zip(table[part.column], table["change"], strict=True)
        ]
        if changes:
            yield f"By {part.noun}: {listed(changes)}."
    doubts = list(_doubts(a, b))
    if doubts:
        yield f"WARNING: the counts may not be comparable: {'; '.join(doubts)}."


def _by_reason(a: _Side, b: _Side, table: pd.DataFrame, same: bool) -> Iterator[str]:
    """The change as a whole, and each reason's part in it, explained."""
    total = b.total - a.total
    more = f"{'-' if total < 0 else '+'}{counted(abs(total), 'clone')}"
    both = f"{counted(b.total, 'clone')} in both"
    parts = [
        (f"{row.change:+,}", f"{printable(row.reason)}{_cause(a, b, row)}")
        for row in table.head(_MAX_REASONS).itertuples()
    ]
    if not parts:
        yield f"No change: {both}." if same else f"{both}, for the same reasons."
    elif len(table) == 1:
        yield f"{more}, all {parts.pop()[1]}"
    elif _is_most(table["change"]):
        change, reason = parts.pop(0)
        yield f"{more}, most ({change}) {reason}"
    elif total:
        yield f"{more}, for {len(table):,} reasons."
    else:
        yield f"{both}, but not for the same reasons."
    for change, reason in parts:
        yield f"{change} {reason}"
    if len(table) > _MAX_REASONS:
        yield f"{len(table) - _MAX_REASONS:,} more reasons: see .reasons"


def _is_most(changes: pd.Series[int]) -> bool:
    """Whether all go one way, and the first further than the others together."""
    one_way = (changes > 0).all() or (changes < 0).all()
    return bool(one_way and 2 * abs(changes.iloc[0]) > abs(changes.sum()))


def _cause(a: _Side, b: _Side, row: Any) -> str:
    """The end of a sentence: the reason in words, or who sniffs."""
    if row.reason not in sniffers.TAPS:
        return f": {row.why}" if row.why else "."
    more, fewer = (b, a) if row.change > 0 else (a, b)
    now = sniffers.places(more.df, more.because(row.reason))
    # Where there are more than before.
    grown = Counter[str]()
    for place, clones in now.items():
        grown[place.dev or _DEVICES.absent] += clones
    grown.subtract(fewer.tally(_DEVICES, fewer.because(row.reason)))
    where = [place for place in now if grown[place.dev or _DEVICES.absent] > 0]
    here, there = (sniffers.Sniffers.of(side.df) for side in (more, fewer))
    return f": {sniffers.say(row.reason, where, here, there, past=row.change < 0)}."


def _time(side: _Side) -> str:
    seconds = side.says("duration")
    time = "unknown time" if seconds is None else duration(seconds)
    return f"{counted(side.total, 'clone')} in {time}"


# What makes counts incomplete, in words.
_LACKS = {
    "lost": "{:,} lost",
    "missed": "{:,} missed",
}


def _doubts(a: _Side, b: _Side) -> Iterator[str]:
    for name in ("probe", "scope", "filters"):
        said = [_setting(side.says(name)) for side in (a, b)]
        if said[0] != said[1]:
            yield f"{name} {said[0]} in a, {said[1]} in b"
    for side in (a, b):
        if side.says("lost") is None:
            yield f"unknown how many lost in {side.name}"
        for name, words in _LACKS.items():
            if side.says(name):
                yield f"{words.format(side.says(name))} in {side.name}"
        if side.says("truncated"):
            yield f"{side.name} is truncated"


def _setting(value: str | None) -> str:
    return "unknown" if value is None else printable(value, 80) or "none"


# ------------------------------------------------------------------ as people see it


def _text(comparison: Comparison) -> str:
    """The sentences and the tables, for a terminal 80 columns wide."""
    sentences = [textwrap.fill(printable(s), 80) for s in comparison.sentences]
    tables = [
        "\n".join([*aligned(_cells(table)), *_more(part, table)])
        for part, table in _tables(comparison)
    ]
    return "\n\n".join(["\n".join(sentences), *tables]) + "\n"


def _html(comparison: Comparison) -> str:
    """The same, as HTML without scripts or anything to fetch."""
    sentences = (f"<p>{marked(printable(s))}</p>\n" for s in comparison.sentences)
    tables = (_html_table(part, table) for part, table in _tables(comparison))
    return (
        f'<div class="{CLASSES}"><style>{STYLE}</style>\n'
        f"{''.join(sentences)}{''.join(tables)}</div>\n"
    )


def _tables(comparison: Comparison) -> Iterator[tuple[_Part, pd.DataFrame]]:
    for part in _PARTS:
        table = getattr(comparison, part.table)
        if len(table):
            yield part, table


def _cells(table: pd.DataFrame) -> list[list[str]]:
    """The titles and then the first rows, as text."""
    columns = table.iloc[:_MAX_ROWS, :4]
    return [list(map(str, columns))] + [
        [printable(name), f"{a:,}", f"{b:,}", f"{change:+,}" if change else "0"]
        for name, a, b, change in columns.itertuples(index=False)
    ]


def _more(part: _Part, table: pd.DataFrame) -> list[str]:
    rest = table["change"].iloc[_MAX_ROWS:]
    if rest.empty:
        return []
    changed = int((rest != 0).sum())
    return [f"... {len(rest):,} more, {changed:,} of them changed: see .{part.table}"]


def _html_table(part: _Part, table: pd.DataFrame) -> str:
    titles, *rows = _cells(table)
    head = "".join(f'<th scope="col">{title}</th>' for title in titles)
    body = "".join(
        f'<tr><th scope="row">{escape(name)}</th>'
        f"{''.join(f'<td>{number}</td>' for number in numbers)}</tr>\n"
        for name, *numbers in rows
    )
    foot = "".join(
        f'<tfoot><tr><td colspan="{len(titles)}">{more}</td></tr></tfoot>\n'
        for more in _more(part, table)
    )
    return (
        f"<table><caption>Clones by {part.noun}</caption>\n"
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n{foot}</table>\n"
    )
