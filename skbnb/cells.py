# SPDX-License-Identifier: Apache-2.0
"""A cell inside something that begins before it and ends after it, come what may.

A cell that begins with one of our cell magics stays the cell that it is: an input
transform puts a call in the place of that line, and a ``post_run_cell`` hook ends what
the call began. So its line numbers, its errors and its top-level ``await`` are its own.
A magic proper runs a cell from inside: for a statement, and over another cell magic.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from IPython.core.interactiveshell import ExecutionResult, InteractiveShell

__all__ = ["MAGICS", "Around", "enter", "run_inside", "transform"]

MAGICS = ("skbclone", "funccount")

TICK_SECONDS = 0.1

_FIRST_LINE = re.compile(rf"%%({'|'.join(MAGICS)})(?:\s+(.*))?\n?$")


class Around(Protocol):
    """What is around a cell."""

    def begin(self) -> None:
        """Begin; the cell is not run if this fails."""

    def end(self, cell_id: str | None = None) -> None:
        """End it, and show it."""


def transform(lines: list[str]) -> list[str]:
    """Put a call of `magics.begin` in the place of a cell's first line."""
    first = _FIRST_LINE.match(lines[0]) if lines else None
    body = "".join(lines[1:])
    # Another cell magic must stay on a first line; nothing to run is the magic's to
    # say.
    if not first or not body.strip() or body.lstrip().startswith("%%"):
        return lines
    name, options = first.groups()
    begin = "__import__('skbnb.magics').magics.begin"
    return [f"{begin}(get_ipython(), {name!r}, {options or ''!r})\n", *lines[1:]]


def enter(shell: InteractiveShell, name: str, around: Around) -> None:
    """Begin, in a cell that `transform` changed; the end of the cell ends it."""
    around.begin()
    ticker = _start_ticker()

    def end(result: ExecutionResult) -> None:
        # A cell can run others, which end before it.
        info = result.info
        if info and (info.raw_cell or "").lstrip().startswith(f"%%{name}"):
            shell.events.unregister("post_run_cell", end)
            if ticker:
                ticker.cancel()
            around.end(info.cell_id)

    shell.events.register("post_run_cell", end)


def _start_ticker() -> asyncio.Task[None] | None:
    # An interrupted `await` ends when the event loop next wakes up: let it do so.
    async def tick() -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)

    with contextlib.suppress(RuntimeError):
        return asyncio.get_running_loop().create_task(tick())
    return None


def run_inside(shell: InteractiveShell, around: Around, cell: str) -> None:
    """Run a cell from inside a magic; its error is the magic's."""
    __tracebackhide__ = True
    around.begin()
    try:
        error = _run_quietly(shell, cell)
    finally:
        around.end()
    if error:
        raise error


def _run_quietly(shell: InteractiveShell, cell: str) -> BaseException | None:
    """Run a cell and give its error, not shown yet."""
    with _muted(shell):
        result = shell.run_cell(cell)
    error: BaseException | None = result.error_before_exec or result.error_in_exec
    if error is not None and error.__traceback__:
        # The first frame is the shell's.
        error = error.with_traceback(error.__traceback__.tb_next)
    return error


@contextlib.contextmanager
def _muted(shell: InteractiveShell) -> Iterator[None]:
    names = ("showtraceback", "showsyntaxerror", "showindentationerror")
    for name in names:
        setattr(shell, name, lambda *_, **__: None)
    try:
        yield
    finally:
        for name in names:
            delattr(shell, name)
