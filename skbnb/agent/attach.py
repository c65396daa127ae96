# SPDX-License-Identifier: Apache-2.0
"""Load programs, and attach them to the kernel: each attachment is a file descriptor.

Closing it, in whatever way the process ends, detaches. Nothing is registered by name,
so tracefs need not be mounted, and nothing can be left behind.
"""

from __future__ import annotations

import os
from typing import Callable, Iterable, NamedTuple

from . import layout, syscalls
from .loaded import Loaded

__all__ = ["Attachment", "attach", "load", "try_out"]


class Attachment(NamedTuple):
    """A C function and what it is attached to.

    Parameters
    ----------
    kind
        A row of `KINDS`.
    target
        The tracepoint, or the kernel function.
    function
        The C function.
    optional
        Whether a kernel without the target will do.
    skips
        The counter of the runs of it that the kernel leaves out, because it interrupted
        a program on that CPU: of `program.SKIPS`, or empty for none.
    """

    kind: str
    target: str
    function: str
    optional: bool = False
    skips: str = "skipped"


class Kind(NamedTuple):
    """How one kind of program is loaded and attached.

    Parameters
    ----------
    program_type
        The type that it is loaded as.
    attach_type
        And what for, where the type does not tell. Such a program is loaded for its
        target.
    attach
        Called with the program's file descriptor and the target; gives another.
    """

    program_type: int
    attach_type: int
    attach: Callable[[int, str], int]


KINDS = {
    "raw_tracepoint": Kind(
        syscalls.PROG_TYPE_RAW_TRACEPOINT, 0, syscalls.attach_raw_tracepoint
    ),
    "kprobe": Kind(syscalls.PROG_TYPE_KPROBE, 0, syscalls.attach_kprobe),
    "kretprobe": Kind(syscalls.PROG_TYPE_KPROBE, 0, syscalls.attach_kretprobe),
    "fentry": Kind(
        syscalls.PROG_TYPE_TRACING, syscalls.TRACE_FENTRY, syscalls.attach_trampoline
    ),
    "fexit": Kind(
        syscalls.PROG_TYPE_TRACING, syscalls.TRACE_FEXIT, syscalls.attach_trampoline
    ),
}


def _target(kind: Kind, function: str) -> int:
    return layout.function_id(function) if kind.attach_type else 0


def load(loaded: Loaded, attachment: Attachment) -> int:
    """Load an attachment's program, unless it is; gives its file descriptor.

    Raises
    ------
    OSError
        The kernel does not take it.
    LayoutError
        The kernel does not tell where its target is.
    """
    kind = KINDS[attachment.kind]
    return loaded.load(
        attachment.function,
        kind.program_type,
        kind.attach_type,
        _target(kind, attachment.target),
    )


def try_out(attachments: Iterable[Attachment]) -> None:
    """Load a program that does nothing in the place of each kind's first.

    A kernel may refuse trampolines, and whoever has not the right to load programs is
    refused any: then none that is long to compile need be made.

    Raises
    ------
    OSError, LayoutError
        As `load`.
    """
    first = {attachment.kind: attachment for attachment in reversed([*attachments])}
    for attachment in first.values():
        kind = KINDS[attachment.kind]
        types = (kind.program_type, syscalls.RETURN, kind.attach_type)
        os.close(syscalls.load_program(*types, _target(kind, attachment.target)))


def attach(loaded: Loaded, attachment: Attachment) -> int:
    """Attach an attachment's program, which is loaded if need be.

    Returns
    -------
    int
        The file descriptor that holds it there.

    Raises
    ------
    OSError
        The kernel's reason.
    """
    kind = KINDS[attachment.kind]
    try:
        return kind.attach(load(loaded, attachment), attachment.target)
    except FileNotFoundError:
        if not kind.attach_type:
            raise
    # Before Linux 5.13 such a program attaches only once (commit f3a95075549e, "bpf:
    # Allow trampoline re-attach for tracing and lsm programs"): load it anew.
    loaded.unload(attachment.function)
    return kind.attach(load(loaded, attachment), attachment.target)
