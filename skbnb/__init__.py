# SPDX-License-Identifier: Apache-2.0
"""Trace the kernel's packet clones from a notebook cell.

``%load_ext skbnb``, then ``%%skbclone`` over a cell. In plain Python::

    with skbnb.trace() as trace:
        ...
    trace.events
"""

from __future__ import annotations

import importlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from . import errors, lessons, reasons
    from .background import start
    from .comparison import compare
    from .counting import funccount
    from .notebook import trace
    from .traces import Trace, load
    from .transport import AgentTransport, ReplayTransport

    last: Trace | None

__version__ = "0.1.0"

__all__ = [
    "AgentTransport",
    "ReplayTransport",
    "Trace",
    "compare",
    "errors",
    "funccount",
    "last",
    "lessons",
    "load",
    "load_ipython_extension",
    "reasons",
    "start",
    "trace",
    "unload_ipython_extension",
]

# Public name -> the module it is in. Nothing is imported before it is asked for: the
# agent, which has only the standard library, shares this file.
_HOMES = {
    "AgentTransport": "transport",
    "ReplayTransport": "transport",
    "Trace": "traces",
    "compare": "comparison",
    "funccount": "counting",
    "load": "traces",
    "start": "background",
    "trace": "notebook",
}


def __getattr__(name: str) -> object:
    if name == "last":
        from .notebook import last_trace

        return last_trace()
    if name in ("errors", "lessons", "reasons"):
        return importlib.import_module(f".{name}", __name__)
    if name in _HOMES:
        return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


def load_ipython_extension(shell: InteractiveShell) -> None:
    """``%load_ext skbnb``."""
    from .magics import load

    load(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """``%unload_ext skbnb``."""
    from .magics import unload

    unload(shell)
