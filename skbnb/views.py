# SPDX-License-Identifier: Apache-2.0
"""What a person sees of a trace: each view is one object with one bundle of MIME types.

Every bundle has a static form, which needs neither a script nor a network: the same is
seen in a terminal, on a page made of a notebook, and in JupyterLab.
"""

from __future__ import annotations

import json
import re
import textwrap
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING, Any

import pandas as pd

from . import analysis, svg
from .facts import FIRST_PROGRAMS, Facts
from .units import counted, duration, printable, si

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    import plotly.graph_objects as go

    from .charts import Figure

    Bundle = dict[str, Any]

__all__ = [
    "CALL_TITLES",
    "CLASSES",
    "STYLE",
    "FigureView",
    "TraceView",
    "aligned",
    "bundle",
    "call_line",
    "html",
    "marked",
    "receipt",
    "summary",
    "text",
]

_MAX_EVENTS = 40
_MAX_ROWS = 30
_MAX_REASONS = 10


# ------------------------------------------------------------------ the receipt


def receipt(df: pd.DataFrame) -> str:
    """One line: what a frame holds, and how far it can be trusted.

    ``6 clones in 0.013 s by 2 processes · probe tracepoint, sees every clone · captured
    6 of 6, 0 lost · outside the cell: 2 notebook, 5 other``
    """
    return " · ".join(_phrases(df))


def _phrases(df: pd.DataFrame) -> list[str]:
    facts = Facts.of(df)
    phrases = (phrase(facts) for phrase in _PHRASES)
    return [printable(phrase) for phrase in phrases if phrase]


def _calls(facts: Facts) -> str:
    failed = f" and {counted(facts.failures, 'failed call')}" if facts.failures else ""
    copied = f" and {counted(facts.copied, 'copy')}" if facts.copied else ""
    time = "unknown time" if facts.duration is None else duration(facts.duration)
    processes = counted(facts.processes, facts.noun)
    others = " and others" if facts.hidden else ""
    return (
        f"{counted(facts.clones, 'clone')}{failed}{copied} in {time} by {processes}"
        f"{others}"
    )


_FIRST_PROGRAM = (
    "the whole machine, pid is the thread's, calls that gave NULL are clones, too"
)
_WAYS = {
    "trace": f"via trace: {_FIRST_PROGRAM}",
    "perf": f"via perf: {_FIRST_PROGRAM}",
    "count": "via count: only added up, calls that gave NULL, too",
}


def _filters(facts: Facts) -> str:
    return facts.filters and f"only {facts.filters}"


def _probe(facts: Facts) -> str:
    if not facts.probe or facts.coverage is None:
        return f"probe {facts.probe or 'unknown'}, misses: unknown"
    missed = f"misses: {facts.coverage.rstrip('.')}"
    return f"probe {facts.probe}, {missed if facts.coverage else 'sees every clone'}"


def _way(facts: Facts) -> str:
    via = _WAYS.get(facts.via, "")
    others = counted(facts.foreign or 0, "line") if facts.foreign else ""
    return via + (others and f", {others} of others left out")


def _counted(facts: Facts) -> str:
    if facts.counted is None or facts.calls is None or facts.counted >= facts.calls:
        return ""
    return f"WARNING: it counted {facts.counted:,} of {facts.calls:,} calls"


def _buffer(facts: Facts) -> str:
    why = f": {facts.buffer_why}" if facts.buffer_why else ""
    return f"perf buffer{why}" if facts.buffer == "perf" else ""


def _recorded(facts: Facts) -> str:
    if facts.source != "recording":
        return ""
    return f"recorded on {facts.kernel or 'an unknown kernel'}"


def _captured(facts: Facts) -> str:
    captured, calls = (
        "unknown" if n is None else f"{n:,}" for n in (facts.captured, facts.calls)
    )
    return f"captured {captured} of {calls}, {facts.loss}"


def _discrepancy(facts: Facts) -> str:
    return facts.discrepancy and f"WARNING: {facts.discrepancy}"


def _truncated(facts: Facts) -> str:
    if not facts.truncated:
        return ""
    why = facts.truncated if isinstance(facts.truncated, str) else facts.ended
    return f"TRUNCATED: {why or 'unknown why'}"


def _stopped(facts: Facts) -> str:
    if facts.ended != "max_seconds":
        return ""
    after = "" if facts.max_seconds is None else f" after {duration(facts.max_seconds)}"
    return f"stopped{after} by --max-seconds"


def _clock(facts: Facts) -> str:
    step = facts.clock_step
    if not step:
        return ""
    by = f"{duration(abs(step))} {'forward' if step > 0 else 'back'}"
    return f"WARNING: the clock went {by} meanwhile, and `time` as before it did"


def _failed(facts: Facts) -> str:
    # Of the whole machine, so not all need be in the frame.
    more = (facts.failed or 0) > facts.failures
    return f"{counted(facts.failed or 0, 'failed call')} in all" if more else ""


def _sightings(facts: Facts) -> str:
    lost = facts.sightings_lost
    return f"{counted(lost, 'clone')} without addresses: ring full" if lost else ""


def _missed(facts: Facts) -> str:
    missed = facts.missed
    return f"WARNING: {missed:,} missed: the probe was busy" if missed else ""


def _skipped(facts: Facts) -> str:
    # Of them few can have been about clones: most programs run for every packet.
    if not facts.skipped:
        return ""
    how = "unseen" if facts.probe == "tracepoint" else "less known"
    return f"at most {counted(facts.skipped, 'clone')} {how}: the probe was busy"


def _more_lost(facts: Facts) -> str:
    lost = {
        "copy": (facts.copies_lost or 0) + (facts.copies_missed or 0),
        "clone's end": facts.ends_lost,
        "stack": facts.stacks_missing,
    }
    said = [counted(number, name) for name, number in lost.items() if number]
    return f"WARNING: lost {', '.join(said)}" if said else ""


def _untracked(facts: Facts) -> str:
    number = facts.untracked
    return f"WARNING: {counted(number, 'packet')} not followed" if number else ""


def _hidden(facts: Facts) -> str:
    number = facts.hidden
    return f"you see your own in full, and {number:,} only as other" if number else ""


def _bytes(facts: Facts) -> str:
    missing = f", without {facts.bytes_missing}" if facts.bytes_missing else ""
    kept = f"{counted(facts.snaplen, 'byte')} of each packet" if facts.snaplen else ""
    return kept and f"at most {kept}{missing}"


def _tasks(facts: Facts) -> str:
    lost = facts.tasks_lost
    return f"WARNING: scope unknown of {counted(lost, 'new task')}" if lost else ""


def _others(facts: Facts) -> str:
    counts = ", ".join(f"{n:,} {scope}" for scope, n in facts.others.items() if n)
    outside = f"outside the {facts.scope}"
    # A filter leaves out clones of the scope itself, too.
    where = "left out" if facts.filters or facts.scope in (None, "all") else outside
    return counts and f"{where}: {counts}"


_PHRASES: tuple[Callable[[Facts], str], ...] = (
    _calls,
    _filters,
    _hidden,
    _probe,
    _way,
    _counted,
    _buffer,
    _recorded,
    _captured,
    _missed,
    _discrepancy,
    _truncated,
    _stopped,
    _clock,
    _failed,
    _sightings,
    _skipped,
    _more_lost,
    _untracked,
    _bytes,
    _tasks,
    _others,
)


# ------------------------------------------------------------------ a trace

_CELLS: dict[str, Callable[[Any], str]] = {
    "comm": printable,
    "pid": str,
    "clones": "{:,}".format,
    "failed": "{:,}".format,
    "copies": "{:,}".format,
    "fast": "{:,}".format,
    "slab": "{:,}".format,
    "bytes": lambda n: "" if pd.isna(n) else si(n, "B"),
}


def text(df: pd.DataFrame) -> str:
    """The events and the processes, for a terminal 80 columns wide, and the receipt."""
    return _paragraphs(_event_lines(df)) + summary(df)


def summary(df: pd.DataFrame) -> str:
    """The same without the events: the tables and the receipt."""
    processes = _process_lines(_processes(df))
    return _paragraphs(processes, _reason_lines(df)) + receipt(df) + "\n"


def _paragraphs(*parts: list[str]) -> str:
    return "".join("\n".join(part) + "\n\n" for part in parts if part)


CALL_TITLES = f"{'TIME(s)':<12} {'COMM':<16} {'PID':<8} COUNT"
"""The titles of what `call_line` makes."""


def call_line(t: float, comm: str, pid: int, number: str, kind: str) -> str:
    """One call as a line: seconds, thread's name, process, number of the call."""
    what = "" if kind == "clone" else f" {kind}"
    return f"{t:<12.6f} {printable(comm):<16} {pid:<8} {number}{what}"


def _event_lines(df: pd.DataFrame) -> list[str]:
    if df.empty or "t" not in df:
        return []
    shown = df.head(_MAX_EVENTS)
    numbers = shown.get("count", pd.Series(pd.NA, shown.index)).astype("str")
    lines = [CALL_TITLES]
    for t, comm, pid, number, kind in zip(
        *(shown["t"], shown["comm"], shown["pid"]),
        *(numbers.fillna("-"), shown["kind"]),
        strict=True,
    ):
        lines.append(call_line(t, comm, pid, number, kind))
    more = len(df) - len(shown)
    return [*lines, f"... {more:,} more"] if more else lines


def _processes(df: pd.DataFrame) -> pd.DataFrame:
    """The clones of each process, which some traces have nothing else of."""
    if "t" not in df:
        return df
    table = analysis.processes(df)
    # Zeros there would be what nobody has seen.
    is_blind = Facts.of(df).via in FIRST_PROGRAMS
    return table.drop(columns="failed") if is_blind else table


def _process_lines(table: pd.DataFrame) -> list[str]:
    if table.empty:
        return []
    return aligned(_cells(table)) + _more(table)


def aligned(rows: list[list[str]]) -> list[str]:
    """Titles and rows as lines: names, which come first, to the left, numbers not."""
    titles, *others = rows
    lines = [[title.upper() for title in titles], *others]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        "  ".join(
            f"{cell:{'>' if place else '<'}{width}}"
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    ]


def _reason_lines(df: pd.DataFrame) -> list[str]:
    lines = [
        line
        for clones, reason, why in _reason_rows(df)
        for line in textwrap.wrap(
            f"{reason}: {why}",
            80,
            initial_indent=f"{clones:>8}  ",
            subsequent_indent=" " * 10,
        )
    ]
    return [f"{'CLONES':>8}  WHY", *lines] if lines else []


def _reason_rows(df: pd.DataFrame) -> list[tuple[str, str, str]]:
    """How many clones, the reason, and its sentence: for the first reasons."""
    if df.empty or "reason" not in df:
        return []
    # What is not shown need not be added up.
    table = analysis.reasons(df[[*analysis.NEEDS, "reason"]])
    shown = table.head(_MAX_REASONS)
    rows = [
        (f"{clones:,}", printable(reason), printable(why))
        for clones, reason, why in zip(
            shown["clones"], shown["reason"], shown["why"], strict=True
        )
    ]
    rest = table["clones"].iloc[_MAX_REASONS:]
    if len(rest):
        rows.append((f"{rest.sum():,}", f"{len(rest)} more", "see df.skb.reasons"))
    return rows


def _cells(table: pd.DataFrame) -> list[list[str]]:
    """The titles and then the first rows of the table of processes, as text."""
    known = {name: cell for name, cell in _CELLS.items() if name in table}
    if not table.get("copies", pd.Series(0)).any():
        known.pop("copies", None)  # nobody asked for them
    columns = [map(cell, table[name].head(_MAX_ROWS)) for name, cell in known.items()]
    return [list(known), *map(list, zip(*columns, strict=True))]


def _more(table: pd.DataFrame) -> list[str]:
    rest = table["clones"].iloc[_MAX_ROWS:]
    if rest.empty:
        return []
    clones = counted(int(rest.sum()), "clone")
    return [f"... {len(rest):,} more, with {clones}: see df.skb.processes"]


# A $ in a name begins no formula: what pandas, too, tells MathJax, of any version.
CLASSES = "skbnb tex2jax_ignore mathjax_ignore"
STYLE = """
.skbnb { font-size: var(--jp-content-font-size1, 14px); }
.skbnb p { margin: 0 0 8px; }
.skbnb strong { color: var(--jp-error-color1, #d0473e); }
.skbnb table { border-collapse: collapse; margin: 0; border: 0; font-size: inherit; }
.skbnb caption { text-align: left; font-weight: 600; padding: 4px 0; color: inherit; }
.skbnb tr { background: none; }
.skbnb th, .skbnb td {
  padding: 2px 12px; text-align: right; font-variant-numeric: tabular-nums;
  border: 0; border-bottom: 1px solid rgba(128, 128, 128, 0.3);
}
.skbnb th:first-child { text-align: left; padding-left: 0; }
.skbnb tbody th { font-weight: normal; white-space: pre; }
.skbnb th.words, .skbnb td.words { text-align: left; }
.skbnb tfoot td { text-align: left; padding-left: 0; opacity: 0.8; }
.skbnb .bar {
  padding-left: 180px;
  background: linear-gradient(#0072b2, #0072b2) no-repeat 12px center;
}
"""


def html(df: pd.DataFrame) -> str:
    """The receipt and the processes, as HTML without scripts or anything to fetch."""
    phrases = " · ".join(map(marked, _phrases(df)))
    table = _processes(df)
    return (
        f'<div class="{CLASSES}"><style>{STYLE}</style>\n'
        f"<p>{phrases}</p>\n{'' if table.empty else _html_table(table)}"
        f"{_html_reasons(df)}</div>\n"
    )


def marked(phrase: str) -> str:
    """A phrase as HTML, in bold from its word of warning on."""
    before, word, after = re.split(r"(WARNING|TRUNCATED|$)", phrase, maxsplit=1)
    warning = f"<strong>{escape(word + after)}</strong>" if word else ""
    return escape(before) + warning


def _html_table(table: pd.DataFrame) -> str:
    titles, *rows = _cells(table)
    head = "".join(f'<th scope="col">{title}</th>' for title in titles)
    most = max(table["clones"].iloc[0], 1)
    body = "".join(
        f'<tr><th scope="row">{escape(comm)}</th><td>{pid}</td>'
        # A bar is the number's background, so it is silent where pages are read aloud.
        f'<td class="bar" style="background-size: {160 * clones / most:.0f}px 0.7em">'
        f"{number}</td>"
        f"{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>\n"
        for (comm, pid, number, *cells), clones in zip(
            rows, table["clones"].head(_MAX_ROWS), strict=True
        )
    )
    foot = "".join(
        f'<tfoot><tr><td colspan="{len(titles)}">{more}</td></tr></tfoot>\n'
        for more in _more(table)
    )
    return (
        f"<table><caption>Clones by process</caption>\n<thead><tr>{head}</tr></thead>\n"
        f"<tbody>\n{body}</tbody>\n{foot}</table>\n"
    )


def _html_reasons(df: pd.DataFrame) -> str:
    body = "".join(
        f'<tr><th scope="row">{escape(reason)}</th><td>{clones}</td>'
        f'<td class="words">{escape(why)}</td></tr>\n'
        for clones, reason, why in _reason_rows(df)
    )
    head = "".join(f'<th scope="col">{title}</th>' for title in ("reason", "clones"))
    return body and (
        f"<table><caption>Why they were cloned</caption>\n<thead><tr>{head}"
        f'<th scope="col" class="words">in words</th></tr></thead>\n'
        f"<tbody>\n{body}</tbody></table>\n"
    )


class TraceView:
    """A trace's frame as people see it: text in a terminal, a table on a page."""

    def __init__(self, df: pd.DataFrame) -> None:
        self._df = df

    def __repr__(self) -> str:
        return text(self._df)

    def _repr_mimebundle_(
        self,
        include: Collection[str] | None = None,
        exclude: Collection[str] | None = None,
    ) -> Bundle:
        makers = {
            "text/plain": lambda: text(self._df),
            "text/html": lambda: html(self._df),
        }
        return bundle(makers, include, exclude)


# ------------------------------------------------------------------ a figure


class FigureView:
    """A chart as people see it: plotly's figure, and the same as a static image.

    A plotly figure alone is blank wherever plotly's script does not run: in a page that
    nbconvert made, on GitHub. To change the figure, or to have it alone, take `figure`;
    the image and the text stay as they were.
    """

    def __init__(self, chart: Figure) -> None:
        self._chart = chart

    @cached_property
    def figure(self) -> go.Figure:
        """The plotly figure; what is done to it shows in this view."""
        # Here, as plotly takes long to import.
        from . import figures

        return figures.draw(self._chart)

    def __repr__(self) -> str:
        return f"{self._chart.title}: {self._chart.subtitle}"

    def _repr_mimebundle_(
        self,
        include: Collection[str] | None = None,
        exclude: Collection[str] | None = None,
    ) -> Bundle:
        makers: dict[str, Callable[[], Any]] = {
            "application/vnd.plotly.v1+json": self._plotly,
            "image/svg+xml": lambda: svg.draw(self._chart),
            "text/plain": self.__repr__,
        }
        return bundle(makers, include, exclude)

    def _plotly(self) -> Bundle:
        from .figures import CONFIG

        # Through JSON: a user may have added arrays to the figure.
        made: Bundle = json.loads(self.figure.to_json())
        return {**made, "config": CONFIG}


def bundle(
    makers: dict[str, Callable[[], Any]],
    include: Collection[str] | None,
    exclude: Collection[str] | None,
) -> Bundle:
    """What IPython asks of a view: each kind that it wants, made now."""
    return {
        kind: make()
        for kind, make in makers.items()
        if (not include or kind in include) and kind not in (exclude or ())
    }
