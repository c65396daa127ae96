# SPDX-License-Identifier: Apache-2.0
"""What is seen of a trace while it runs: a line and two figures, over and over."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import ipywidgets

from ..views import FigureView, marked
from .closing import close
from .pages import show

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..progress import Progress
    from ..wire import Frame
    from .panel import Panel

__all__ = ["Live"]

SECONDS = 0.35
"""From one look to the next: a page that is slower sees the newest only."""


class Live:
    """Widgets that follow a running trace, until they are replaced.

    Parameters
    ----------
    progress
        Counts what comes.
    frames
        Gives what has come so far.

    Attributes
    ----------
    widget
        To be displayed; it stays the same when a panel takes its place.
    """

    def __init__(
        self, progress: Progress, frames: Callable[[], Sequence[Frame]]
    ) -> None:
        self._progress = progress
        self._frames = frames
        self._line = ipywidgets.HTML()
        self._outputs = (ipywidgets.Output(), ipywidgets.Output())
        self.widget = ipywidgets.VBox([self._line, *self._outputs])
        self._panel: Panel | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(
            target=self._follow, name="skbnb-live", daemon=True
        )
        self._look()
        self._thread.start()

    def _follow(self) -> None:
        while not self._ended.wait(SECONDS):
            self._look()

    def _look(self) -> None:
        self._progress.take(self._frames())
        self._line.value = f"<p>{marked(self._progress.line())}</p>"
        charts = (self._progress.timeline(), self._progress.processes())
        for output, chart in zip(self._outputs, charts, strict=True):
            show(output, FigureView(chart))

    def end(self, panel: Panel) -> None:
        """Look no more, and show a panel instead."""
        self._stop()
        before = self.widget.children
        self._panel = panel
        self.widget.children = (panel.widget,)
        for widget in before:
            close(widget)

    def close(self) -> None:
        """Take it away, here and on the page, with the panel if there is one."""
        self._stop()
        close(self.widget)

    def _stop(self) -> None:
        self._ended.set()
        self._thread.join()

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        bundle: dict[str, Any] = self.widget._repr_mimebundle_(**kwargs)
        if self._panel is None:
            return {**bundle, "text/plain": self._progress.line()}
        # On a page without widgets the trace itself is seen.
        return {**bundle, **self._panel.static(**kwargs)}
