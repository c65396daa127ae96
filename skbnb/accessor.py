# SPDX-License-Identifier: Apache-2.0
"""``df.skb``: tables and figures of any selection of a trace's rows.

Importing this module registers it with pandas.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from . import analysis, charts, exports
from .comparison import Comparison, compare
from .filters import contains
from .views import FigureView

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .exports import StrPath
    from .traces import Trace

__all__ = ["Plots", "SkbAccessor"]


class Plots:
    """The figures of a frame; each has the name of its table.

    Each is a `FigureView`, not plotly's own figure: it shows where plotly's script does
    not run, too. Its `figure` attribute is the plotly figure, to go on with::

        df.skb.plot.timeline().figure.update_layout(height=600)
    """

    def __init__(self, df: pd.DataFrame) -> None:
        self._df = df

    def processes(self) -> FigureView:
        """Draw the clones of each process, as bars of a part for each reason."""
        return FigureView(charts.processes(self._df))

    def reasons(self) -> FigureView:
        """Draw the clones that were made for each reason, as bars."""
        return FigureView(charts.reasons(self._df))

    def stacks(self) -> FigureView:
        """Draw the ways through the kernel to skb_clone(), as an icicle."""
        return FigureView(charts.stacks(self._df))

    def flow(self) -> FigureView:
        """Draw whose packets were cloned, why, and on which device."""
        return FigureView(charts.flow(self._df))

    def family(self, number: int = 1) -> FigureView:
        """Draw a packet and its clones: one family of `SkbAccessor.family`."""
        return FigureView(charts.family(self._df, number))

    def timeline(self) -> FigureView:
        """Draw when each process made clones: dots, or cells if they are too many."""
        return FigureView(charts.timeline(self._df))


@pd.api.extensions.register_dataframe_accessor("skb")
class SkbAccessor:
    """Tables and figures of a trace's frame, or of any selection of its rows.

    Raises
    ------
    AttributeError
        The frame lacks a column that all of them need.
    """

    def __init__(self, df: pd.DataFrame) -> None:
        for column in analysis.NEEDS:
            if column not in df:
                # AttributeError: pandas takes it for "this frame has no such accessor".
                raise AttributeError(
                    f"Can only use .skb with a trace's events: no column {column!r}"
                )
        self._df = df

    @property
    def processes(self) -> pd.DataFrame:
        """How many clones each process made; see `analysis.processes`."""
        return analysis.processes(self._df)

    @property
    def reasons(self) -> pd.DataFrame:
        """How many clones were made why; see `analysis.reasons`."""
        return analysis.reasons(self._df)

    @property
    def family(self) -> pd.DataFrame:
        """Which packets were cloned from which; see `analysis.family`."""
        return analysis.family(self._df)

    def breakdown(self, columns: Sequence[str]) -> pd.DataFrame:
        """Count by several columns at once; see `analysis.breakdown`."""
        return analysis.breakdown(self._df, columns)

    def contains(self, text: str) -> pd.Series[bool]:
        """Which rows have a text in any column; see `filters.contains`.

        ::

            clones[clones.skb.contains("127.0.0.1")]
        """
        return contains(self._df, text)

    @property
    def cost(self) -> pd.DataFrame:
        """What the clones made for each reason cost; see `analysis.cost`."""
        return analysis.cost(self._df)

    @property
    def stacks(self) -> pd.DataFrame:
        """How many clones were made on which way; see `analysis.stacks`."""
        return analysis.stacks(self._df)

    def folded(self, *, process: bool = False) -> str:
        """The stacks as text, for tools that draw flame graphs; see `analysis.folded`.

        ::

            Path("curl.folded").write_text(clones.skb.folded(process=True))
        """
        return analysis.folded(self._df, process=process)

    @property
    def timeline(self) -> pd.DataFrame:
        """How many clones each process made when; see `analysis.timeline`."""
        return analysis.timeline(self._df)

    def to_html(self, path: StrPath) -> None:
        """Write one page with the tables and figures; see `exports.to_html`."""
        exports.to_html(self._df, path)

    def to_perfetto(self, path: StrPath) -> None:
        """Write what Perfetto's user interface opens; see `exports.to_perfetto`."""
        exports.to_perfetto(self._df, path)

    def to_csv(self, path: StrPath) -> None:
        """Write a table of text, with what is known of the trace beside it."""
        exports.to_csv(self._df, path)

    @property
    def plot(self) -> Plots:
        """The same as figures."""
        return Plots(self._df)

    def compare(self, other: pd.DataFrame | Trace) -> Comparison:
        """What changed from this trace to another; see `comparison.compare`."""
        return compare(self._df, other)
