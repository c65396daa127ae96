# SPDX-License-Identifier: Apache-2.0
"""Attach loaded programs to the kernel: every attachment is a file descriptor.

Closing it, in whatever way the process ends, detaches. Nothing is registered by name,
so tracefs need not be mounted, and nothing can be left behind.
"""

from __future__ import annotations

import os
from typing import Any, Callable, NamedTuple

from . import syscalls
from .compiler import import_bcc

__all__ = ["Attachment", "attach", "load"]


class Attachment(NamedTuple):
    """A C function and what it is attached to.

    Parameters
    ----------
    kind
        A row of `KINDS`.
    target
        The tracepoint, or the kernel function.
    function
        The C function. For ``fentry`` and ``fexit`` BCC names it after the target.
    optional
        Whether a kernel without the target will do.
    """

    kind: str
    target: str
    function: str
    optional: bool = False


class Kind(NamedTuple):
    """How one kind of program is loaded and attached.

    Parameters
    ----------
    program_type
        The attribute of ``bcc.BPF`` that names the type of program.
    prefix
        What BCC puts before the target to name the function; empty for names of ours.
    attach
        Called with the program's file descriptor and the target; gives another.
    """

    program_type: str
    prefix: bytes
    attach: Callable[[int, str], int]


KINDS = {
    "raw_tracepoint": Kind("RAW_TRACEPOINT", b"", syscalls.attach_raw_tracepoint),
    "kprobe": Kind("KPROBE", b"", syscalls.attach_kprobe),
    "kretprobe": Kind("KPROBE", b"", syscalls.attach_kretprobe),
    "fentry": Kind("TRACING", b"kfunc__", syscalls.attach_trampoline),
    "fexit": Kind("TRACING", b"kretfunc__", syscalls.attach_trampoline),
}


def load(bpf: Any, attachment: Attachment) -> None:
    """Load an attachment's program, which may be loaded already.

    Raises
    ------
    Exception
        BCC's own: the kernel does not take it.
    """
    # BCC attaches what it knows how to attach as soon as it has compiled it.
    for attached in (bpf.kfunc_entry_fds, bpf.kfunc_exit_fds):
        while attached:
            os.close(attached.popitem()[1])
    _load(bpf, attachment)


def _load(bpf: Any, attachment: Attachment) -> int:
    program_type = getattr(import_bcc().BPF, KINDS[attachment.kind].program_type)
    fd: int = bpf.load_func(_function(bpf, attachment), program_type).fd
    return fd


def _function(bpf: Any, attachment: Attachment) -> bytes:
    prefix = KINDS[attachment.kind].prefix
    if not prefix:
        return attachment.function.encode()
    # Newer versions put "vmlinux__" between the two.
    names = [name for name in bpf.funcs if name.startswith(prefix)]
    suffix = b"__" + attachment.target.encode()
    return next((name for name in names if name.endswith(suffix)), prefix + suffix[2:])


def attach(bpf: Any, attachment: Attachment) -> int:
    """Attach a loaded program.

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
        return kind.attach(_load(bpf, attachment), attachment.target)
    except FileNotFoundError:
        if kind.program_type != "TRACING":
            raise
    # Before Linux 5.13 such a program attaches only once (commit f3a95075549e, "bpf:
    # Allow trampoline re-attach for tracing and lsm programs"): load it anew.
    name = _function(bpf, attachment)
    os.close(bpf.funcs.pop(name).fd)
    bpf.load_func(name, import_bcc().BPF.TRACING)
    return kind.attach(_load(bpf, attachment), attachment.target)
