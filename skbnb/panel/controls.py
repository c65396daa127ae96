# SPDX-License-Identifier: Apache-2.0
"""The row of controls that makes a panel's filter."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

import ipywidgets

from .. import analysis
from ..config import SCOPES
from ..filters import UNKNOWN, Filter
from ..units import counted, printable

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

__all__ = ["Controls"]

# A list of more is no list to choose from: there is the text to look for.
_MAX_NAMES = 300

# No filter. (None would be no choice at all, and shown as nothing.)
_ANY = object()


class Controls:
    """Widgets, and the filter that they say.

    Parameters
    ----------
    df
        All rows of a trace.
    scope
        Chosen at first.
    changed
        Called after every change of the filter.

    Attributes
    ----------
    widget
        Of all controls.
    filter
        What they say.
    """

    def __init__(
        self, df: pd.DataFrame, scope: str | None, changed: Callable[[], None]
    ) -> None:
        self._changed = changed
        self._quiet = False
        # The first may come before the moment from which time counts.
        last = max(float(df["t"].max()), 0.0) if len(df) else 0.0
        self._last = last
        self._scope = _choice("scope", [(name, name) for name in SCOPES], 190)
        self._scope.value = scope or "all"
        self._pid = _choice("process", [("all", _ANY), *_processes(df)], 270)
        self._reason = _choice("reason", [("all", _ANY), *_names(df, "reason")], 250)
        self._dev = _choice("device", [("all", _ANY), *_names(df, "dev")], 200)
        self._time = ipywidgets.FloatRangeSlider(
            value=(0.0, last),
            min=0.0,
            max=last or 1.0,
            step=(last or 1.0) / 1000,
            description="time (s)",
            readout_format=_format(last),
            continuous_update=False,
            disabled=not last,
            layout=ipywidgets.Layout(width="auto", min_width="300px", flex="2 1 300px"),
        )
        self._text = ipywidgets.Text(
            description="text",
            placeholder="name, address, port …",
            continuous_update=False,
            layout=ipywidgets.Layout(width="auto", min_width="240px", flex="1 1 240px"),
        )
        self._reset = ipywidgets.Button(
            description="Show all",
            tooltip="Take every filter but the scope away",
            layout=ipywidgets.Layout(width="auto"),
        )
        self._reset.on_click(lambda _: self.set(Filter(scope=self.filter.scope)))
        inputs = (self._scope, self._pid, self._reason, self._dev, self._time)
        for each in (*inputs, self._text):
            each.observe(self._tell, "value")
        self.widget = ipywidgets.Box(
            [*inputs, self._text, self._reset],
            layout=ipywidgets.Layout(flex_flow="row wrap", align_items="center"),
        )

    @property
    def filter(self) -> Filter:
        """What the controls say."""
        since, until = self._time.value
        step = self._time.step
        return Filter(
            scope=None if self._scope.value == "all" else self._scope.value,
            pid=_chosen(self._pid),
            reason=_chosen(self._reason),
            dev=_chosen(self._dev),
            # A slider's end is everything on that side, whatever it was rounded to.
            since=float(since) if since >= step else None,
            until=float(until) if until <= self._last - step else None,
            text=self._text.value.strip(),
        )

    def set(self, wanted: Filter) -> None:
        """Have the controls say this, as if a person had used them."""
        before, self._quiet = self.filter, True
        try:
            self._scope.value = wanted.scope or "all"
            for choice, value in (
                (self._pid, wanted.pid),
                (self._reason, wanted.reason),
                (self._dev, wanted.dev),
            ):
                _offer(choice, _ANY if value is None else value)
                choice.value = _ANY if value is None else value
            self._time.value = (
                0.0 if wanted.since is None else wanted.since,
                self._time.max if wanted.until is None else wanted.until,
            )
            self._text.value = wanted.text
        finally:
            self._quiet = False
        if self.filter != before:
            self._changed()

    def change(self, **changes: Any) -> None:
        """Have the controls say something else of a few things."""
        self.set(dataclasses.replace(self.filter, **changes))

    def _tell(self, _: object) -> None:
        if not self._quiet:
            self._changed()


def _format(last: float) -> str:
    """How numbers from 0 to this one are written, in d3's language: in four digits."""
    digits = max(3 - math.floor(math.log10(last)), 0) if last else 0
    return f",.{digits}f"


def _choice(
    name: str, options: list[tuple[str, Any]], width: int
) -> ipywidgets.Dropdown:
    layout = ipywidgets.Layout(
        width="auto", min_width=f"{width}px", flex=f"1 1 {width}px"
    )
    return ipywidgets.Dropdown(description=name, options=options, layout=layout)


def _chosen(choice: ipywidgets.Dropdown) -> Any:
    return None if choice.value is _ANY else choice.value


def _offer(choice: ipywidgets.Dropdown, value: object) -> None:
    """Have a value among the options; one that was left out was chosen elsewhere."""
    if value not in (known for _, known in choice.options):
        choice.options = [*choice.options, (str(value), value)]


def _processes(df: pd.DataFrame) -> list[tuple[str, int]]:
    table = analysis.processes(df).head(_MAX_NAMES)
    return [
        (f"{printable(comm, 40)} {pid} ({clones:,})", int(pid))
        for comm, pid, clones in zip(
            table["comm"], table["pid"], table["clones"], strict=True
        )
    ]


def _names(df: pd.DataFrame, column: str) -> list[tuple[str, str]]:
    counts = df[column].value_counts(dropna=False)
    counts = counts[counts > 0].head(_MAX_NAMES)
    return [
        ("unknown", UNKNOWN) if name != name else (_option(str(name), n), str(name))
        for name, n in counts.items()
    ]


def _option(name: str, number: int) -> str:
    return f"{printable(name, 40)} ({counted(number, 'event')})"
