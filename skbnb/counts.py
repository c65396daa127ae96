# SPDX-License-Identifier: Apache-2.0
"""What was counted: as a DataFrame, as text, on a page and as bars."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from . import charts
from .errors import BusyError
from .patterns import Countable
from .units import counted, duration, listed, printable
from .views import STYLE, FigureView, aligned, bundle, marked

__all__ = ["Counts"]

_MAX_ROWS = 30
_MAX_NAMES = 5
_KINDS = ("function", "tracepoint", "syscall")
_NOUNS = {"function": "function", "tracepoint": "tracepoint", "syscall": "system call"}


def _html_words(cell: str) -> str:
    return f'<td class="words">{escape(cell)}</td>'


# As the agent says how it attached -> in words.
_HOW = {
    "kprobe-multi": "{:,} by kprobe-multi",
    "kprobe": "{:,} by kprobes",
    "tracepoint": "{:,} by raw tracepoints",
    "syscall": "{:,} by the tracepoint sys_enter",
}


class Counts:
    """Calls that were counted, once the block or the cell has ended."""

    def __init__(self) -> None:
        self._everything: pd.DataFrame | None = None
        self._about: dict[str, Any] = {}

    def fill(self, wanted: Sequence[Countable], about: dict[str, Any]) -> None:
        """Give the counts, once."""
        calls = about.pop("counts")
        rows = [
            (one.name, count, one.kind, one.module)
            for one, count in zip(wanted, calls, strict=True)
            if count is not None
        ]
        table = pd.DataFrame(rows, columns=["func", "count", "kind", "module"])
        self._everything = (
            table.astype({"count": np.uint64, "func": str, "module": str})
            .assign(kind=pd.Categorical(table["kind"], _KINDS))
            .sort_values(["count", "func"], ascending=[False, True], kind="stable")
            .reset_index(drop=True)
        )
        self._about = about
        self._everything.attrs["funccount"] = about

    @property
    def everything(self) -> pd.DataFrame:
        """All that was counted, also what was never called; the most calls first.

        Raises
        ------
        BusyError
            The count is still running.
        """
        if self._everything is None:
            raise BusyError("this count is still running", "Let its block or cell end.")
        return self._everything

    @property
    def table(self) -> pd.DataFrame:
        """What was called: ``func``, ``count``, ``kind`` and ``module``."""
        table = self.everything
        return table[table["count"] > 0]

    @property
    def about(self) -> dict[str, Any]:
        """How it was counted, and what could not be."""
        assert self.everything is not None
        return self._about

    def plot(self) -> FigureView:
        """What was called most, as bars."""
        return FigureView(charts.functions(self.table, self._calls()))

    # ------------------------------------------------------------------ in words

    def _calls(self) -> str:
        calls, called = int(self.table["count"].sum()), len(self.table)
        kinds = (self.table if called else self.everything)["kind"].unique()
        noun = _NOUNS[kinds[0]] if len(kinds) == 1 else "function"
        seconds = self.about["duration"]
        time = "unknown time" if seconds is None else duration(seconds)
        idle = len(self.everything) - called
        rest = f", and {idle:,} that were not called" if idle else ""
        return (
            f"{counted(calls, 'call')} of {counted(called, noun)} in {time} "
            f"on the whole machine{rest}"
        )

    def receipt(self) -> str:
        """One line: how much was counted, and what could not be."""
        return " · ".join(self._phrases())

    def _phrases(self) -> list[str]:
        about = self.about
        if about["truncated"]:
            return [f"TRUNCATED: nothing was counted: {printable(about['truncated'])}"]
        phrases = [self._calls()]
        refused = [f"{name} ({why})" for name, why in about["refused"].items()]
        if refused:
            names = listed(refused, _MAX_NAMES)
            phrases.append(f"{len(refused):,} could not be traced: {names}")
        phrases += [f"{text}: {why}" for text, why in about["unmet"].items()]
        if about["compat"]:
            calls = counted(about["compat"], "system call")
            phrases.append(f"{calls} of 32-bit programs not among them")
        if about["missed"]:
            runs = counted(about["missed"], "call")
            phrases.append(f"WARNING: {runs} missed, as the kernel ran no program")
        how = [_HOW[name].format(number) for name, number in about["how"].items()]
        phrases.append(f"attached {listed(how)}" if how else "")
        return [printable(phrase) for phrase in phrases if phrase]

    def _columns(self) -> list[str]:
        table = self.table
        shown = ["func", "count"]
        shown += ["kind"] * (table["kind"].nunique() > 1)
        return shown + ["module"] * bool((table["module"] != "").any())

    def _cells(self) -> list[list[str]]:
        columns = self._columns()
        rows = self.table.head(_MAX_ROWS)[columns].to_dict("records")
        write = {"count": "{:,}".format, "kind": lambda kind: _NOUNS[kind]}
        return [columns] + [
            [write.get(name, printable)(row[name]) for name in columns] for row in rows
        ]

    def _more(self) -> list[str]:
        rest = self.table["count"].iloc[_MAX_ROWS:]
        if rest.empty:
            return []
        return [f"... {len(rest):,} more, with {counted(int(rest.sum()), 'call')}"]

    def __repr__(self) -> str:
        if self._everything is None:
            return "<skbnb.Counts: running>"
        lines = aligned(self._cells()) if len(self.table) else []
        parts = lines + self._more(), [self.receipt()]
        return "\n\n".join("\n".join(part) for part in parts if part) + "\n"

    def _html(self) -> str:
        phrases = " · ".join(map(marked, self._phrases()))
        return (
            f'<div class="skbnb"><style>{STYLE}</style>\n<p>{phrases}</p>\n'
            f"{self._html_table() if len(self.table) else ''}</div>\n"
        )

    def _html_table(self) -> str:
        titles, *rows = self._cells()
        first, number, *words = titles
        head = f'<th scope="col">{first}</th><th scope="col">{number}</th>' + "".join(
            f'<th scope="col" class="words">{title}</th>' for title in words
        )
        numbers = self.table["count"].head(_MAX_ROWS).tolist()
        body = "".join(
            f'<tr><th scope="row">{escape(name)}</th>'
            # A bar is the number's background, so it is silent where pages are read.
            f'<td class="bar" style="background-size: {160 * n / numbers[0]:.0f}px '
            f'0.7em">{number}</td>'
            f"{''.join(map(_html_words, cells))}</tr>\n"
            for (name, number, *cells), n in zip(rows, numbers, strict=True)
        )
        foot = "".join(
            f'<tfoot><tr><td colspan="{len(titles)}">{more}</td></tr></tfoot>\n'
            for more in self._more()
        )
        return (
            f"<table><caption>Calls by function</caption>\n<thead><tr>{head}</tr>"
            f"</thead>\n<tbody>\n{body}</tbody>\n{foot}</table>\n"
        )

    def _repr_mimebundle_(
        self,
        include: Collection[str] | None = None,
        exclude: Collection[str] | None = None,
    ) -> dict[str, Any]:
        makers: dict[str, Any] = {"text/plain": self.__repr__}
        if self._everything is not None:
            makers["text/html"] = self._html
        return bundle(makers, include, exclude)
