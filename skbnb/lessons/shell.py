# SPDX-License-Identifier: Apache-2.0
"""Which trace a cell is about to make, as IPython tells before it runs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from IPython import get_ipython

if TYPE_CHECKING:
    from collections.abc import Callable

    from IPython.core.interactiveshell import ExecutionInfo, InteractiveShell

    Told = Callable[[str | None], None]

__all__ = ["tell_names", "traced_name"]

_MAGIC = re.compile(r"\s*%%?skbclone\b(.*)")
_NAME = re.compile(r"\s(?:-o\s*|--output[\s=]+)(\w+)")

_telling: list[tuple[InteractiveShell, Callable[[ExecutionInfo], None]]] = []


def traced_name(cell: str) -> str | None:
    """The name that a cell's ``%%skbclone -o NAME`` gives its DataFrame."""
    magic = _MAGIC.match(cell)
    name = _NAME.search(magic[1]) if magic else None
    return name[1] if name else None


def tell_names(told: Told | None) -> None:
    """Call this before each cell with its trace's name, and nothing else from now on.

    Outside IPython there are no cells.
    """
    while _telling:
        shell, tell = _telling.pop()
        shell.events.unregister("pre_run_cell", tell)
    here = get_ipython()
    if here is None or told is None:
        return

    def tell_name(info: ExecutionInfo) -> None:
        told(traced_name(info.raw_cell or ""))

    here.events.register("pre_run_cell", tell_name)
    _telling.append((here, tell_name))
