# SPDX-License-Identifier: Apache-2.0
"""``%%skbclone``: run a cell inside a trace, show the trace, fail as the cell failed.

A cell that begins with ``%%skbclone`` stays the cell that it is: an input transform
puts a call of `begin` in the place of that line, and a ``post_run_cell`` hook ends the
trace. So its line numbers, its errors and its top-level ``await`` are its own. The
magic proper runs a cell from inside: for ``%skbclone STATEMENT``, and over another cell
magic.
"""

from __future__ import annotations

import asyncio
import contextlib
import keyword
import re
import sys
from typing import TYPE_CHECKING

from IPython.core.completer import SimpleCompletion, context_matcher
from IPython.core.error import UsageError
from IPython.core.magic import (
    Magics,
    line_cell_magic,
    line_magic,
    magics_class,
    no_var_expand,
)
from IPython.core.magic_arguments import argument, magic_arguments, parse_argstring
from IPython.display import display

from . import notebook, options
from .errors import OptionError
from .session import interrupts_held

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    import pandas as pd
    from IPython.core.completer import CompletionContext, SimpleMatcherResult
    from IPython.core.interactiveshell import ExecutionResult, InteractiveShell
    from IPython.display import DisplayHandle

    from .panel import Live, Panel
    from .status import StatusLine
    from .traces import Trace

__all__ = ["SkbMagics", "begin", "load", "unload"]

TICK_SECONDS = 0.1


def unquoted(text: str) -> str:
    """Take away the quotes that IPython leaves around a value with spaces."""
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "'\""
    return text[1:-1] if quoted else text


def trace_options(magic: Callable[..., None]) -> Callable[..., None]:
    """Give a magic the options of a trace."""
    # Decorators are applied from the last to the first.
    for flags, settings in reversed(options.tracing("cell")):
        if settings.get("type") is str:
            settings = {**settings, "type": unquoted}
        magic = argument(*flags, **settings)(magic)
    return magic


@magics_class
class SkbMagics(Magics):
    """The magics of one shell."""

    @no_var_expand
    @magic_arguments()
    @argument("-o", "--output", metavar="NAME", help="Keep the DataFrame as NAME.")
    @trace_options
    @argument(
        "--record",
        type=unquoted,
        metavar="FILE",
        help="Write the recording to FILE as it comes.",
    )
    @argument(
        "--panel",
        action="store_true",
        help="Show a panel to look through the trace with.",
    )
    @argument(
        "--live",
        action="store_true",
        help="Show how far the trace is while the cell runs, and then the panel; in a "
        "terminal, one line.",
    )
    @argument("-q", "--quiet", action="store_true", help="Show nothing.")
    @line_cell_magic
    def skbclone(self, line: str, cell: str | None = None) -> None:
        """Trace the packets that the kernel clones while a cell or a statement runs.

        Shows the cell's own output as always, then which processes made the kernel call
        skb_clone(), how often and when. ``skbnb.last`` is the whole trace.

        %%skbclone [options] over a cell, or %skbclone [options] STATEMENT.
        """
        __tracebackhide__ = True
        if cell is None:
            line, cell = split_statement(line, self.skbclone.parser)
        run = Run(self._shell, parse(self.skbclone, line))
        run.begin()
        try:
            error = run_quietly(self._shell, cell)
        finally:
            run.end()
        if error:
            raise error

    @no_var_expand
    @magic_arguments()
    @argument(
        "what",
        choices=("doctor",),
        help="doctor: try everything that tracing needs, and say what is missing.",
    )
    @argument(
        "--json",
        action="store_true",
        help="Print JSON, with nothing personal in it, to report with.",
    )
    @line_magic
    def skbnb(self, line: str) -> None:
        """Look after skbnb itself."""
        try:
            arguments = parse_argstring(self.skbnb, line)
        except (UsageError, ValueError) as error:
            raise OptionError(str(error), "See %skbnb?") from None
        examine(self._shell, arguments.json)

    @property
    def _shell(self) -> InteractiveShell:
        assert self.shell
        return self.shell


def parse(magic: object, line: str) -> argparse.Namespace:
    """Read the options; what is wrong with them fails the cell, with one line."""
    try:
        arguments: argparse.Namespace = parse_argstring(magic, line)
    except (UsageError, ValueError) as error:
        # A UsageError alone would let a notebook's run go on as if the cell had
        # succeeded.
        raise OptionError(str(error)) from None
    name = arguments.output
    if name is not None and (not name.isidentifier() or keyword.iskeyword(name)):
        raise OptionError(f"--output {name} is no variable's name", "As in -o clones.")
    return arguments


def split_statement(line: str, parser: argparse.ArgumentParser) -> tuple[str, str]:
    """The options before a statement, and the statement as it was written."""
    takes_value = {
        name: action.nargs != 0
        for action in parser._actions
        for name in action.option_strings
    }
    end = 0
    is_value = False
    for word in re.finditer(r"""(?:"[^"]*"|'[^']*'|[^\s"'])+|["']""", line):
        if not is_value and not word[0].startswith("-"):
            break
        is_value = not is_value and takes_value.get(word[0], False)
        end = word.end()
    statement = line[end:].strip()
    if not statement:
        raise OptionError("there is no statement to trace", "As in %skbclone !curl URL")
    return line[:end], statement


class Run:
    """One cell's trace: shown and kept at its end, come what may."""

    def __init__(self, shell: InteractiveShell, arguments: argparse.Namespace) -> None:
        self._shell = shell
        self._arguments = arguments
        self._live: Live | None = None
        self._status: StatusLine | None = None
        self._display: DisplayHandle
        self._tracing = notebook.trace(
            **options.chosen(arguments), record=arguments.record
        )

    def begin(self) -> None:
        """Attach."""
        is_live = self._arguments.live and not self._arguments.quiet
        has_widgets = hasattr(self._shell, "kernel")
        if is_live:
            from .progress import Progress  # take their time, which is not the cell's
            from .status import StatusLine
        if is_live and has_widgets:
            from .panel import Live
        trace = self._tracing.begin()
        if is_live:
            progress = Progress(trace.selection.effective_scope)
            if has_widgets:
                self._live = Live(progress, self._tracing.so_far)
                self._display = display(self._live, display_id=True)
            else:
                self._status = StatusLine(progress, self._tracing.so_far, sys.stderr)

    def end(self, cell_id: str | None = None) -> None:
        """Detach, keep and show; an interrupt meanwhile waits until that is done."""
        with interrupts_held():
            if self._status:
                self._status.end()
            trace = self._tracing.end()
            if self._arguments.output:
                self._shell.user_ns[self._arguments.output] = trace.events
            if self._arguments.quiet:
                notebook.warn(trace)
            elif self._live or self._arguments.panel:
                self._show_panel(trace, cell_id)
            else:
                show(trace)

    def _show_panel(self, trace: Trace, cell_id: str | None) -> None:
        panel = trace.panel(name="skbnb.last", keep=self._keep)
        replace_shown(cell_id, self._live or panel)
        if self._live:
            self._live.end(panel)
            self._display.update(self._live)
        else:
            display(panel)

    def _keep(self, events: pd.DataFrame) -> str:
        """Give the rows that a person chose a name."""
        self._shell.user_ns["chosen"] = events
        return "chosen"


# What each cell shows, by the notebook's name for the cell.
_shown: dict[str, Live | Panel] = {}


def replace_shown(cell_id: str | None, view: Live | Panel) -> None:
    """Close what a cell has shown before: it runs again."""
    if cell_id:
        before = _shown.pop(cell_id, None)
        if before:
            before.close()
        _shown[cell_id] = view


def show(trace: Trace) -> None:
    """Display a trace: the receipt and the table, then the figures."""
    from .accessor import SkbAccessor
    from .views import TraceView

    sys.stdout.flush()
    events = trace.events
    display(TraceView(events))
    if len(events):
        plot = SkbAccessor(events).plot
        display(plot.timeline())
        display(plot.processes())


def run_quietly(shell: InteractiveShell, cell: str) -> BaseException | None:
    """Run a cell inside a magic and give its error, not shown yet."""
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


def examine(shell: InteractiveShell, as_json: bool) -> None:
    """Show the doctor's findings as they are made."""
    from .doctor import Machine, Report, diagnose
    from .doctor.report import lines

    report = Report()
    is_page = hasattr(shell, "kernel") and not as_json
    shown = display(report, display_id=True) if is_page else None
    for finding in diagnose(Machine()):
        report.findings.append(finding)
        if shown:
            shown.update(report)
        elif not as_json:
            print("\n".join(lines(finding)), flush=True)
    if not shown:
        print(report.json() if as_json else f"\n{report.verdict()}")


# ------------------------------------------------------------------ cells as they are


def transform(lines: list[str]) -> list[str]:
    """Put a call of `begin` in the place of a cell's ``%%skbclone`` line."""
    first = re.match(r"%%skbclone(?:\s+(.*))?\n?$", lines[0]) if lines else None
    body = "".join(lines[1:])
    # Another cell magic must stay on a first line; nothing to run is the magic's to
    # say.
    if not first or not body.strip() or body.lstrip().startswith("%%"):
        return lines
    call = (
        f"__import__('skbnb.magics').magics.begin(get_ipython(), {first[1] or ''!r})\n"
    )
    return [call, *lines[1:]]


def begin(shell: InteractiveShell, line: str) -> None:
    """Trace the rest of the cell that calls this."""
    run = Run(shell, parse(shell.find_cell_magic("skbclone"), line))
    run.begin()
    ticker = _start_ticker()

    def end(result: ExecutionResult) -> None:
        # A cell can run others, which end before it.
        info = result.info
        if info and (info.raw_cell or "").lstrip().startswith("%%skbclone"):
            shell.events.unregister("post_run_cell", end)
            if ticker:
                ticker.cancel()
            run.end(info.cell_id)

    shell.events.register("post_run_cell", end)


def _start_ticker() -> asyncio.Task[None] | None:
    # An interrupted `await` ends when the event loop next wakes up: let it do so.
    async def tick() -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)

    with contextlib.suppress(RuntimeError):
        return asyncio.get_running_loop().create_task(tick())
    return None


# ------------------------------------------------------------------ completion


_MAGICS = {"skbclone": SkbMagics.skbclone, "skbnb": SkbMagics.skbnb}


@context_matcher(identifier="skbnb.options")
def complete(context: CompletionContext) -> SimpleMatcherResult:
    """Complete options and their values on a line of one of the magics."""
    before = context.line_with_cursor[: context.cursor_position]
    words = before.split()
    magic = _MAGICS.get(words[0].lstrip("%")) if words else None
    if not magic or not before.startswith("%"):
        return {"completions": []}
    word = "" if before[-1].isspace() else words[-1]
    previous = (
        words[-1] if before[-1].isspace() else words[-2] if len(words) > 1 else ""
    )
    actions = {
        name: action
        for action in magic.parser._actions
        for name in action.option_strings
    }
    offered = list(actions)
    others = [action for action in magic.parser._actions if not action.option_strings]
    if previous in actions and actions[previous].choices:
        offered = list(actions[previous].choices)
    elif not word.startswith("-"):
        offered = [choice for action in others for choice in action.choices or ()]
    found = [
        SimpleCompletion(text, type="param")
        for text in offered
        if text.startswith(word)
    ]
    return {"completions": found, "suppress": bool(found)}


# ------------------------------------------------------------------ load and unload


def load(shell: InteractiveShell) -> None:
    """Add the magics to a shell and start the agent in the background."""
    if "SkbMagics" not in shell.magics_manager.registry:
        shell.register_magics(SkbMagics)
        shell.Completer.custom_matchers.append(complete)
        shell.input_transformers_cleanup.append(transform)
    notebook.warm_up()


def unload(shell: InteractiveShell) -> None:
    """Take away all that `load` added, and end the agent."""
    shell.magics_manager.registry.pop("SkbMagics", None)
    for magics in shell.magics_manager.magics.values():
        for name in _MAGICS:
            magics.pop(name, None)
    with contextlib.suppress(ValueError):
        shell.Completer.custom_matchers.remove(complete)
        shell.input_transformers_cleanup.remove(transform)
    notebook.shut_down()
