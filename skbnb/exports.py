# SPDX-License-Identifier: Apache-2.0
"""A trace's rows for other programs: a page, Perfetto's user interface, a table.

What pandas writes by itself (``df.to_parquet()``, which keeps ``df.attrs``) is not
here, nor what may be more than fits into memory (`Trace.to_parquet`).
"""

from __future__ import annotations

import json
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from . import charts, views
from .facts import Facts
from .units import printable

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from numpy.typing import NDArray

    StrPath = str | os.PathLike[str]

__all__ = ["to_csv", "to_html", "to_perfetto"]


# ------------------------------------------------------------------ a page

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>body {{ font-family: system-ui, sans-serif; margin: 16px auto; max-width: 960px;
padding: 0 16px; }}</style>
</head>
<body>
<h1>{title}</h1>
{summary}
{figures}
</body>
</html>
"""


def to_html(df: pd.DataFrame, path: StrPath) -> None:
    """Write one page with the tables and the figures, which needs no network.

    Parameters
    ----------
    df
        Rows of a trace.
    path
        The file, which becomes 5 MB and more: plotly is in it.

    Raises
    ------
    OSError
        The file cannot be written.
    """
    from .figures import to_page

    made: list[charts.Figure] = [
        charts.timeline(df),
        charts.processes(df),
    ]
    if "reason" in df:
        made.append(charts.flow(df))
    if "stack" in df:
        made.append(charts.stacks(df))
    facts = Facts.of(df)
    title = f"Packet clones on Linux {facts.kernel or 'of an unknown version'}"
    page = _PAGE.format(
        title=escape(printable(title)),
        summary=views.html(df),
        figures=to_page(made) if len(df) else "",
    )
    Path(path).write_text(page, encoding="utf-8")


# ------------------------------------------------------------------ Perfetto

_ARGUMENTS = (
    *("count", "kind", "path", "context", "caller", "detail", "len", "payload"),
    *("saddr", "sport", "daddr", "dport", "dev", "netns_name", "owner_pid"),
    *("owner_comm", "fate", "drop_reason", "life", "stack"),
)
_MICROSECONDS = 1e6
_DRAWN = {"duration": "drawn, not measured"}
_WIDEST = 1 / 500  # of the whole, for a slice that can be seen before one zooms in


def to_perfetto(df: pd.DataFrame, path: StrPath) -> None:
    """Write Chrome's JSON trace format, which Perfetto's user interface opens.

    Each process and thread is a track, each call a slice on that of the running
    thread, named by its reason (a call has no length: its slice begins when it was
    made, and is as wide as can be seen), and an arrow leads from the call that made a
    packet to each call that cloned it.

    Parameters
    ----------
    df
        Rows of a trace.
    path
        The file.

    Raises
    ------
    OSError
        The file cannot be written.

    References
    ----------
    "Trace Event Format", the Chromium project, 2016.
    """
    df = df.sort_values("t", kind="stable")
    if "tid" not in df:
        df = df.assign(tid=df["pid"])
    with open(path, "w", encoding="utf-8") as file:
        file.write('{"displayTimeUnit":"ns","traceEvents":[\n')
        lines = (json.dumps(event) for event in _events(df))
        file.writelines(_with_commas(lines))
        about = json.dumps(df.attrs.get("skbnb", {}), default=str)
        file.write(f'\n],"otherData":{about}}}\n')


def _with_commas(lines: Iterator[str]) -> Iterator[str]:
    for number, line in enumerate(lines):
        yield f",\n{line}" if number else line


def _events(df: pd.DataFrame) -> Iterator[dict[str, Any]]:
    yield from _tracks(df)
    makers = _row_of_call(df)
    names = [name for name in _ARGUMENTS if name in df]
    columns = {name: df[name].astype("object").to_numpy() for name in names}
    reasons = _text(df, "reason")
    origins = df.get("origin", pd.Series(pd.NA, df.index)).astype("object").to_numpy()
    starts = df["t"].to_numpy() * _MICROSECONDS
    lengths = _lengths(df, starts)
    tracks = list(zip(df["pid"].tolist(), df["tid"].tolist(), strict=True))
    for row, (pid, tid) in enumerate(tracks):
        at = {"pid": pid, "tid": tid, "ts": float(starts[row])}
        known = {name: _plain(column[row]) for name, column in columns.items()}
        yield {
            **at,
            "ph": "X",
            "cat": "skb_clone",
            "name": reasons[row],
            "dur": float(lengths[row]),
            "args": {n: v for n, v in known.items() if v is not None} | _DRAWN,
        }
        maker = None if pd.isna(origins[row]) else makers.get(origins[row])
        if maker is not None and maker < row:
            arrow = {"cat": "family", "name": "clone of", "id": row}
            pid, tid = tracks[maker]
            source = {"pid": pid, "tid": tid, "ts": float(starts[maker])}
            yield {**source, **arrow, "ph": "s"}
            yield {**at, **arrow, "ph": "f", "bp": "e"}


def _tracks(df: pd.DataFrame) -> Iterator[dict[str, Any]]:
    last = df.drop_duplicates(["pid", "tid"], keep="last")
    for comm, pid, tid in zip(
        last["comm"].astype("str"),
        last["pid"].tolist(),
        last["tid"].tolist(),
        strict=True,
    ):
        name = {"args": {"name": printable(comm)}, "ph": "M"}
        yield {**name, "name": "process_name", "pid": pid}
        yield {**name, "name": "thread_name", "pid": pid, "tid": tid}


def _row_of_call(df: pd.DataFrame) -> dict[int, int]:
    """The row of each call that has a number: copies have none."""
    count = df.get("count", pd.Series(pd.NA, df.index))
    rows = np.flatnonzero(count.notna())
    return dict(zip(count.take(rows).tolist(), rows.tolist(), strict=True))


def _lengths(df: pd.DataFrame, starts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Microseconds for each slice: a call has a moment only, but a slice is seen."""
    span = float(starts[-1] - starts[0]) if len(starts) else 0.0
    most = max(span * _WIDEST, 1.0)
    following = pd.Series(starts).groupby(df["tid"].to_numpy()).shift(-1)
    room = (following - starts).fillna(most).to_numpy(np.float64) * 0.9
    return np.clip(room, 0.0, most)


def _text(df: pd.DataFrame, column: str) -> list[str]:
    if column not in df:
        return ["skb_clone"] * len(df)
    return df[column].astype("object").fillna("unknown").tolist()


def _plain(value: Any) -> str | float | int | None:
    if value is None or pd.isna(value):
        return None
    if isinstance(value, str):
        return printable(value)
    return float(value) if isinstance(value, float) else int(value)


# ------------------------------------------------------------------ CSV


def to_csv(df: pd.DataFrame, path: StrPath) -> None:
    """Write a table of text, and beside it what is known of the trace.

    Parameters
    ----------
    df
        Rows of a trace.
    path
        The file; ``PATH.json`` gets ``df.attrs``, which a table has no place for.

    Raises
    ------
    OSError
        A file cannot be written.
    """
    df.to_csv(path, index=False)
    about = json.dumps(df.attrs, indent=2, default=str)
    Path(f"{path}.json").write_text(about + "\n", encoding="utf-8")
