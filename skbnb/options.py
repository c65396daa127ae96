# SPDX-License-Identifier: Apache-2.0
"""The options of a trace: one table for ``%%skbclone`` and for ``skbnb run``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from .config import ALSO, BUFFERS, LAYOUTS, PROBES, SCOPES, WAYS

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

__all__ = ["VIA", "Option", "chosen", "selecting", "tracing", "whole_number"]


_SCOPES = {
    "cell": "the cell's (the default), the notebook's too",
    "command": "the command's (cell, the default), its shell's too (notebook)",
    "recording": "those of the cell or command that was traced (cell, the default), of "
    "the notebook or shell around it too (notebook)",
}


class Option(NamedTuple):
    """One option, as `argparse.ArgumentParser.add_argument` takes it.

    Parameters
    ----------
    flags
        Its names.
    settings
        All else.
    """

    flags: tuple[str, ...]
    settings: dict[str, Any]


def whole_number(text: str) -> int:
    """Read ``1000``, ``1_000`` or ``1,000``."""
    return int(text.replace(",", "_"))


def _option(*flags: str, **settings: Any) -> Option:
    return Option(flags, settings)


def _choice(
    flag: str, values: Sequence[str], text: str, default: str | None = "auto"
) -> Option:
    """An option that has one of a few values, all of them named in its help."""
    metavar = "|".join(values)
    return _option(flag, choices=values, metavar=metavar, default=default, help=text)


VIA = _choice(
    "--via",
    WAYS,
    "What the kernel gives for each call: all that is known of it (ring), what "
    "a handbook's two first programs give (trace, perf), or one sum for each "
    "process (count).",
    default=WAYS[0],
)
"""Of a trace, and of the program that it loads."""


def selecting(what: str) -> tuple[Option, ...]:
    """Options that say which clones are shown.

    Parameters
    ----------
    what
        Is traced: ``cell`` or ``command``; or there is a ``recording`` of either.
    """
    return (
        _choice(
            "--scope",
            SCOPES,
            f"Whose clones to show: {_SCOPES[what]}, or all. All are recorded, "
            "whatever is shown.",
            default=None,
        ),
        _option(
            "--pid",
            type=whole_number,
            help="Show this process only; implies --scope all.",
        ),
        _option(
            "--comm",
            type=str,
            metavar="NAME",
            help="Show threads of this name only; implies --scope all.",
        ),
    )


def tracing(what: str) -> tuple[Option, ...]:
    """Options of a trace, those of `selecting` among them.

    Each has the name of a parameter of `notebook.trace`.

    Parameters
    ----------
    what
        Is traced: ``cell`` or ``command``.
    """
    return (
        *selecting(what),
        _choice(
            "--probe",
            PROBES,
            "How to see skb_clone(); auto takes the first that attaches.",
        ),
        VIA,
        _choice(
            "--buffer",
            BUFFERS,
            "How records leave the kernel; auto takes the ring where there is one.",
        ),
        _choice(
            "--layout",
            LAYOUTS,
            "Where the kernel's struct members are learnt; auto takes BTF where there "
            "is any.",
        ),
        _option(
            "--stacks",
            action="store_true",
            help="Keep the kernel stack of every clone: see df.skb.stacks.",
        ),
        _choice(
            "--also",
            ALSO[1:],
            "Record packets that are copied and not cloned, too.",
            default=ALSO[0],
        ),
        _option(
            "--follow",
            action="store_true",
            help="Record how each clone ended, and when.",
        ),
        _option(
            "--snaplen",
            type=whole_number,
            metavar="N",
            default=0,
            help="Keep the first N bytes of each packet: see Trace.to_pcapng().",
        ),
        _option(
            "--max-events",
            type=whole_number,
            metavar="N",
            help="Keep at most N clones of the whole machine, and count the others.",
        ),
        _option(
            "--max-seconds",
            type=float,
            metavar="S",
            help=f"Stop tracing after S seconds; the {what} goes on.",
        ),
    )


def chosen(arguments: argparse.Namespace) -> dict[str, Any]:
    """What was given for the options of `tracing`, as `notebook.trace` takes it."""
    names = (option.flags[0].strip("-").replace("-", "_") for option in tracing("cell"))
    return {name: getattr(arguments, name) for name in names}
