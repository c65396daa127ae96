# SPDX-License-Identifier: Apache-2.0
"""The ways in which a program is attached to the kernel, through BCC."""

from __future__ import annotations

import os
from typing import Any, Callable, NamedTuple

__all__ = ["KINDS", "Attachment", "Kind"]


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
    """

    kind: str
    target: str
    function: str


class Kind(NamedTuple):
    """How one kind of attachment is loaded, made and taken away.

    Parameters
    ----------
    program_type
        The attribute of ``bcc.BPF`` that names the type of program; None for what BCC
        loads, and attaches, while it compiles.
    attach, detach
        Called with the ``bcc.BPF`` object, the target and the function.
    """

    program_type: str | None
    attach: Callable[[Any, bytes, bytes], object]
    detach: Callable[[Any, bytes, bytes], object]


KINDS = {
    "raw_tracepoint": Kind(
        "RAW_TRACEPOINT",
        lambda bpf, target, function: bpf.attach_raw_tracepoint(target, function),
        lambda bpf, target, _: bpf.detach_raw_tracepoint(target),
    ),
    "kprobe": Kind(
        "KPROBE",
        lambda bpf, target, function: bpf.attach_kprobe(event=target, fn_name=function),
        lambda bpf, target, _: bpf.detach_kprobe(event=target),
    ),
    "kretprobe": Kind(
        "KPROBE",
        lambda bpf, target, function: bpf.attach_kretprobe(
            event=target, fn_name=function
        ),
        lambda bpf, target, _: bpf.detach_kretprobe(event=target),
    ),
    "fentry": Kind(
        None,
        lambda bpf, target, _: _attach_anew(bpf, bpf.attach_kfunc, b"kfunc__", target),
        lambda bpf, target, _: bpf.detach_kfunc(_bcc_name(bpf, b"kfunc__", target)),
    ),
    "fexit": Kind(
        None,
        lambda bpf, target, _: _attach_anew(
            bpf, bpf.attach_kretfunc, b"kretfunc__", target
        ),
        lambda bpf, target, _: bpf.detach_kretfunc(
            _bcc_name(bpf, b"kretfunc__", target)
        ),
    ),
}


def _bcc_name(bpf: Any, prefix: bytes, target: bytes) -> bytes:
    # Newer versions put "vmlinux__" between the two.
    names: list[bytes] = [name for name in bpf.funcs if name.startswith(prefix)]
    return next(name for name in names if name.endswith(b"__" + target))


def _attach_anew(
    bpf: Any, attach: Callable[[bytes], object], prefix: bytes, target: bytes
) -> None:
    name = _bcc_name(bpf, prefix, target)
    try:
        attach(name)
    except Exception:
        # Before Linux 5.13 a loaded program attaches once only (commit f3a95075549e,
        # "bpf: Allow trampoline re-attach for tracing and lsm programs"): load it anew,
        # which BCC does if it does not have it.
        os.close(bpf.funcs.pop(name).fd)
        attach(name)
