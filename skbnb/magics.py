# SPDX-License-Identifier: Apache-2.0
"""``%%skbclone``: run a cell inside a trace, show the trace, fail as the cell failed.

And ``%%funccount``, for a count of calls.
"""

from __future__ import annotations

import contextlib
import keyword
import re
import sys
from typing import TYPE_CHECKING

from IPython.core.completer import SimpleCompletion, context_matcher
from IPython.core.error import UsageError
from IPython.core.magic import (
    Magics,
    cell_magic,
    line_cell_magic,
    line_magic,
    magics_class,
    no_var_expand,
)
from IPython.core.magic_arguments import argument, magic_arguments, parse_argstring
from IPython.display import display

from . import cells, notebook, options
from .counting import LIMIT, funccount, in_terminal, warn
from .errors import OptionError
from .session import interrupts_held

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from types import MethodType

    import pandas as pd
    from IPython.core.completer import CompletionContext, SimpleMatcherResult
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.display import DisplayHandle

    from .panel import Live, Panel
    from .status import StatusLine
    from .traces import Trace

__all__ = ["SkbMagics", "begin", "load", "unload"]


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
        help="Write the recording to FILE as it comes, and keep it there: a trace that "
        "is recorded takes no memory.",
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
        cells.run_inside(self._shell, run, cell)

    @no_var_expand
    @magic_arguments()
    @argument(
        "patterns",
        nargs="+",
        type=unquoted,
        metavar="PATTERN",
        help="Functions as in 'vfs_*', system calls as in 'sys_*', tracepoints as in "
        "'t:skb:*'.",
    )
    @argument("-o", "--output", metavar="NAME", help="Keep the DataFrame as NAME.")
    @argument(
        "-r",
        "--regex",
        action="store_true",
        help="The patterns are regular expressions, which are searched for.",
    )
    @argument(
        "--limit",
        type=options.whole_number,
        metavar="N",
        default=LIMIT,
        help="The most functions that they may match; by default 1000.",
    )
    @argument(
        "--all",
        action="store_true",
        help="Keep what was never called in the DataFrame, too.",
    )
    @argument("-q", "--quiet", action="store_true", help="Show nothing.")
    @cell_magic
    def funccount(self, line: str, cell: str) -> None:
        """Count the calls of kernel functions while a cell runs, machine-wide.

        Shows the cell's own output as always, then which of the functions were called,
        and how often; the most calls first.

        %%funccount [options] PATTERN [PATTERN ...] over a cell.
        """
        __tracebackhide__ = True
        run = CountRun(self._shell, parse(self.funccount, line))
        cells.run_inside(self._shell, run, cell)

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


def parse(magic: MethodType, line: str) -> argparse.Namespace:
    """Read the options; what is wrong with them fails the cell, with one line."""
    try:
        arguments: argparse.Namespace = parse_argstring(magic, line)
    except (UsageError, ValueError) as error:
        # A UsageError alone would let a notebook's run go on as if the cell had
        # succeeded.
        raise OptionError(str(error), f"See %%{magic.__name__}?") from None
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
        if arguments.via != "ring" and (arguments.live or arguments.panel):
            asked = "--live" if arguments.live else "--panel"
            raise OptionError(
                f"via {arguments.via} gives too little for {asked}",
                f"Leave {asked} away, or take --via ring.",
            )
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
            progress = Progress(trace.selection)
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


class CountRun:
    """One cell's count: shown and kept at its end, come what may."""

    def __init__(self, shell: InteractiveShell, arguments: argparse.Namespace) -> None:
        self._shell = shell
        self._arguments = arguments
        self._display: DisplayHandle | None = None
        in_page = hasattr(shell, "kernel") and not arguments.quiet
        self._counting = funccount(
            *arguments.patterns,
            regex=arguments.regex,
            limit=arguments.limit,
            progress=self._tell if in_page else in_terminal,
        )

    def begin(self) -> None:
        """Attach."""
        self._counting.begin()

    def _tell(self, done: int, total: int) -> None:
        """Say in the cell's output how far attaching is."""
        shown = {
            "text/plain": f"attaching: {done:,} of {total:,}",
            "text/html": f'<progress value="{done}" max="{total}"></progress> '
            f"attaching: {done:,} of {total:,}",
        }
        if self._display:
            self._display.update(shown, raw=True)
        else:
            self._display = display(shown, raw=True, display_id=True)

    def end(self, cell_id: str | None = None) -> None:
        """Detach, keep and show; an interrupt meanwhile waits until that is done."""
        with interrupts_held():
            counts = self._counting.end()
            arguments = self._arguments
            if arguments.output:
                kept = counts.everything if arguments.all else counts.table
                self._shell.user_ns[arguments.output] = kept
            if arguments.quiet:
                warn(counts)
                return
            sys.stdout.flush()
            display(counts)
            if len(counts.table):
                display(counts.plot())


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
    if len(events) and "t" in events:
        plot = SkbAccessor(events).plot
        display(plot.timeline())
        display(plot.processes())


_AROUND: dict[str, Callable[[InteractiveShell, argparse.Namespace], cells.Around]] = {
    "skbclone": Run,
    "funccount": CountRun,
}


def begin(shell: InteractiveShell, name: str, line: str) -> None:
    """Begin what is around the rest of the cell that calls this."""
    magic = shell.find_cell_magic(name)
    cells.enter(shell, name, _AROUND[name](shell, parse(magic, line)))


# ------------------------------------------------------------------ the doctor


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


# ------------------------------------------------------------------ completion


_MAGICS = {name: getattr(SkbMagics, name) for name in (*cells.MAGICS, "skbnb")}


@context_matcher(identifier="skbnb.options")
def complete(context: CompletionContext) -> SimpleMatcherResult:
    """Complete options and their values on a line of one of our magics."""
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
        shell.input_transformers_cleanup.append(cells.transform)
    notebook.warm_up()


def unload(shell: InteractiveShell) -> None:
    """Take away all that `load` added, and end the agent."""
    shell.magics_manager.registry.pop("SkbMagics", None)
    for magics in shell.magics_manager.magics.values():
        for name in _MAGICS:
            magics.pop(name, None)
    with contextlib.suppress(ValueError):
        shell.Completer.custom_matchers.remove(complete)
        shell.input_transformers_cleanup.remove(cells.transform)
    notebook.shut_down()
