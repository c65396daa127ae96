# SPDX-License-Identifier: Apache-2.0
"""``skbnb run``: a trace around a command, whose exit status is passed on."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from .. import notebook, options
from ..errors import OptionError
from . import saving
from .entry import say

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from ..traces import Trace

__all__ = ["main"]

TICK_SECONDS = 0.1
NOT_FOUND, NOT_RUNNABLE = 127, 126

# A terminal sends these to the command by itself, as it is in the same process group.
_FROM_TERMINAL = (signal.SIGINT, signal.SIGQUIT)
_RELAYED = (signal.SIGTERM, signal.SIGHUP)


def main(given: argparse.Namespace) -> int:
    """Trace, run the command, show and save the trace."""
    words = given.command[given.command[:1] == ["--"] :]
    if not words:
        raise OptionError("there is no command to run", "As in skbnb run -- curl URL.")
    if not shutil.which(words[0]):
        return _not_runnable(words[0])
    if given.output:
        saving.check(given.output, given.snaplen)
    # The agent needs a second to be ready; so do the libraries of `begin`.
    notebook.warm_up()
    is_recording = bool(given.output) and given.output.lower().endswith(
        saving.RECORDING
    )
    tracing = notebook.trace(
        **options.chosen(given), record=given.output if is_recording else None
    )
    trace = tracing.begin()
    screen = _Screen(tracing, given.quiet)
    # The signals are held until all has been detached.
    with _signals() as relayed:
        try:
            status = _follow(words, relayed, screen)
        finally:
            tracing.end()
        screen.show_calls()
    screen.show_summary(trace)
    if given.output and not is_recording:
        saving.save(trace, given.output)
    return status


def _not_runnable(name: str) -> int:
    if os.sep in name and os.path.exists(name):
        say(f"{name}: cannot be executed")
        return NOT_RUNNABLE
    say(f"{name}: command not found")
    return NOT_FOUND


def _follow(words: Sequence[str], relayed: list[int], screen: _Screen) -> int:
    """Run the command to its end; give its status as a shell does."""
    try:
        # Its open files are those that we were given.
        process = subprocess.Popen(words, close_fds=False)
    except (OSError, ValueError) as error:
        say(f"{words[0]}: {getattr(error, 'strerror', error)}")
        return NOT_RUNNABLE
    # Whatever happens here, it is waited for.
    with process:
        while True:
            while relayed:
                process.send_signal(relayed.pop(0))
            try:
                status = process.wait(TICK_SECONDS)
                return 128 - status if status < 0 else status
            except subprocess.TimeoutExpired:
                screen.show_calls()


@contextlib.contextmanager
def _signals() -> Iterator[list[int]]:
    """Outlive what ends the command; give the list of the signals to relay to it."""
    relayed: list[int] = []

    def handle(number: int, _frame: object) -> None:
        if number in _RELAYED:
            relayed.append(number)

    # Not SIG_IGN, which the command would inherit; what we were told to ignore, it
    # shall ignore, too.
    before = {
        number: signal.signal(number, handle)
        for number in (*_FROM_TERMINAL, *_RELAYED)
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield relayed
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Screen:
    """Standard error, where the trace is shown until nobody reads it any more."""

    def __init__(self, tracing: notebook.Tracing, quiet: bool) -> None:
        from .lines import Lines

        self._tracing = tracing
        self._lines = Lines(tracing.trace.selection)
        self._quiet = quiet

    def show_calls(self) -> None:
        """Show what has come since the last call."""
        if not self._quiet:
            self._print(self._lines.take(self._tracing.so_far()))

    def show_summary(self, trace: Trace) -> None:
        """Show the tables and the receipt."""
        from ..views import summary

        if self._quiet:
            notebook.warn(trace)
        else:
            gap = [""] if self._lines.begun else []
            self._print([*gap, *summary(trace.events).splitlines()])

    def _print(self, lines: Sequence[str]) -> None:
        try:
            sys.stderr.writelines(f"{line}\n" for line in lines)
            sys.stderr.flush()
        except OSError:
            # The command goes on. Python would complain when it flushes.
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            self._quiet = True
