# SPDX-License-Identifier: Apache-2.0
"""A trace across cells: begun in one, ended in another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import notebook
from .progress import Progress

if TYPE_CHECKING:
    from .panel import Live
    from .traces import Trace

__all__ = ["Background", "start"]


class Background:
    """A trace that is running; made by `start`.

    Displayed, it shows how far it is, and in the same place a panel when it has ended.
    It ends with the notebook at the latest.

    Attributes
    ----------
    trace
        The trace, which is filled when it has ended.
    """

    def __init__(self, tracing: notebook.Tracing) -> None:
        self._tracing = tracing
        self.trace = tracing.begin()
        self._progress = Progress(self.trace.selection)
        self._live: Live | None = None

    @property
    def running(self) -> bool:
        """Whether it has not been stopped yet."""
        return self.trace.running

    def stop(self) -> Trace:
        """End it, and give the trace; again, the same trace.

        Warns
        -----
        LossWarning, TruncatedWarning
            What is missing from it.
        """
        if self.running:
            notebook.warn(self._tracing.end())
            if self._live:
                self._live.end(self.trace.panel(name="trace"))
        return self.trace

    def __repr__(self) -> str:
        if not self.running:
            return repr(self.trace)
        self._progress.take(self._tracing.so_far())
        return f"<skbnb trace, running: {self._progress.line()}>"

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        if not self.running:
            return self.trace._repr_mimebundle_(**kwargs)
        if self._live is None:
            from .panel import Live

            self._live = Live(self._progress, self._tracing.so_far)
        return self._live._repr_mimebundle_(**kwargs)


def start(**options: Any) -> Background:
    """Begin to trace, and go on until it is stopped.

    ::

        running = skbnb.start(scope="all")
        ...                    # in other cells, too
        trace = running.stop()

    Parameters
    ----------
    options
        As of `notebook.trace`. The scope ``cell`` is all that runs meanwhile in the
        calling thread, and what it starts.

    Raises
    ------
    BusyError
        A trace is running in this notebook already.
    SkbnbError
        Why it cannot be.
    """
    return Background(notebook.trace(**options))
