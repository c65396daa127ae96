# SPDX-License-Identifier: Apache-2.0
"""The entrance: from what was typed to an exit status, and errors as one line."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import signal
import sys
import warnings
from typing import TYPE_CHECKING

from ..errors import AgentLostError, OptionError, PrivilegeError, SkbnbError
from ..units import printable
from . import parser

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["main", "say"]

USAGE, CANNOT_TRACE, CANNOT = 2, 125, 1

# What the classes' own remedies say is meant for a notebook.
_HINTS: dict[type[SkbnbError], str] = {
    AgentLostError: "Run it again.",
    PrivilegeError: "Run skbnb as root, or allow it with a sudo rule that asks no "
    "password.",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the arguments say.

    Parameters
    ----------
    arguments
        Those after ``skbnb``; by default, of this process.

    Returns
    -------
    int
        The exit status.
    """
    given = parser.make().parse_args(arguments)
    for stream in (sys.stdout, sys.stderr):
        # A name may have letters that this terminal's encoding has not.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        with _warnings_as_lines():
            # Each command is a module with a `main`, imported when it is asked for.
            name = given.subcommand.replace("-", "_")
            command = importlib.import_module(f".{name}", __package__)
            status: int = command.main(given)
            sys.stdout.flush()
        return status
    except SkbnbError as error:
        error.hint = _hint(error, given.subcommand)
        say(str(error))
        if isinstance(error, OptionError):
            return USAGE
        return CANNOT_TRACE if given.subcommand == "run" else CANNOT
    except BrokenPipeError:
        # Whoever read has read enough. Python would complain when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 128 + signal.SIGPIPE
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def say(text: str) -> None:
    """Print one line to standard error, if anyone listens."""
    with contextlib.suppress(OSError):
        print(f"skbnb: {printable(text)}", file=sys.stderr, flush=True)


def _hint(error: SkbnbError, subcommand: str) -> str:
    if error.hint != type(error).hint:
        return error.hint
    if isinstance(error, OptionError):
        return f"See skbnb {subcommand} --help"
    return _HINTS.get(type(error), error.hint)


@contextlib.contextmanager
def _warnings_as_lines() -> Iterator[None]:
    def show(message: Warning | str, *_: object, **__: object) -> None:
        say(f"warning: {message}")

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield
