# SPDX-License-Identifier: Apache-2.0
"""What can be said after ``skbnb``: the parsers, and nothing that takes time."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from .. import __version__, options
from ..config import PROBES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..options import Option

__all__ = ["make"]

_RUN = """\
Trace the packets that the kernel clones while a command runs, and show each:
when, the thread's name, the process and the number of the call. The command is
everything that it starts, too.
"""

_RUN_MORE = """\
What skbnb says goes to standard error; standard input and output are the command's
own. Ctrl-C goes to the command, and the trace ends with it. The exit status is the
command's, 128 + N if signal N ended it; 127 if there is no such command, 126 if it
cannot be run, 125 if it cannot be traced, 2 if an option is of no use.

"""

_FORMS = """\
FILE ends in .skbt (a recording, of all clones), or in .csv, .parquet, .html, .json
(for Perfetto) or .pcapng (with --snaplen), which hold the chosen clones only. One that
ends in / is a folder of Parquet files, which may be more than fits into memory.
"""


def make() -> argparse.ArgumentParser:
    """All parsers; each command's name is in ``subcommand``."""
    parser = argparse.ArgumentParser(
        prog="skbnb",
        description="Trace the Linux kernel's packet clones.",
        epilog="In a notebook: %load_ext skbnb, then %%skbclone over a cell.",
    )
    parser.add_argument("--version", action="version", version=f"skbnb {__version__}")
    commands = parser.add_subparsers(
        dest="subcommand", metavar="COMMAND", required=True
    )
    run = commands.add_parser(
        "run",
        help="trace while a command runs",
        usage="skbnb run [options] [--] COMMAND [ARGUMENT ...]",
        description=_RUN,
        epilog=f"{_RUN_MORE}\n{_FORMS}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    run.add_argument(
        "-o", "--output", metavar="FILE", help="Write the trace to FILE, see below."
    )
    run.add_argument(
        "-q", "--quiet", action="store_true", help="Show nothing but errors."
    )
    _add(run, options.tracing("command"))
    run.add_argument(
        "command", metavar="COMMAND", nargs=argparse.REMAINDER, help="What to run."
    )

    show = commands.add_parser(
        "show",
        help="show a recording",
        description="Show a recording as text, or write it in another form.",
        epilog=_FORMS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    show.add_argument("file", metavar="FILE", help="A recording (.skbt).")
    show.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="Show nothing, and write FILE, see below.",
    )
    _add(show, options.selecting("recording"))

    source = commands.add_parser(
        "source",
        help="print a probe's C program",
        description="Print the C program that is loaded into the kernel, whole. What "
        "the kernel tells of itself are constants in it, set when it is compiled.",
    )
    _add(source, [options.VIA])
    source.add_argument(
        "probe", metavar="|".join(PROBES[1:]), choices=PROBES[1:], help="Which."
    )

    doctor = commands.add_parser(
        "doctor",
        help="try everything that tracing needs",
        description="Try everything that tracing needs, and say what is missing and "
        "what to do. The exit status is 0 if one can trace here, 1 if not.",
    )
    doctor.add_argument(
        "--json",
        action="store_true",
        help="Print JSON, with nothing personal in it, to report with.",
    )

    install = commands.add_parser(
        "install-agent",
        help="let people trace who are not root",
        description="Put the part of skbnb that runs as root where no user can change "
        "it, and print the rule by which sudo runs it. To be run as root; again after "
        "each update of skbnb.",
    )
    install.add_argument(
        "--sudoers",
        metavar="GROUP",
        help="Write the rule, for this group. Who is in it sees what everybody on this "
        "machine sends.",
    )
    commands.add_parser(
        "uninstall-agent",
        help="undo that",
        description="Remove what install-agent has put there, and the rule.",
    )

    completion = commands.add_parser(
        "completion",
        help="print a script that lets a shell complete all this",
        description="Print a script that lets a shell complete skbnb's commands and "
        'options: eval "$(skbnb completion bash)".',
    )
    completion.add_argument("shell", choices=("bash",), help="For which shell.")
    return parser


def _add(parser: argparse.ArgumentParser, table: Iterable[Option]) -> None:
    for flags, settings in table:
        parser.add_argument(*flags, **settings)
