# SPDX-License-Identifier: Apache-2.0
"""The ways to see skb_clone(), best first, and what each needs and cannot see."""

from __future__ import annotations

from typing import Callable, NamedTuple

from ..errors import ProbeError
from .symbols import Symbols


class Probe(NamedTuple):
    """One way to see skb_clone().

    Parameters
    ----------
    name
        As in ``--probe``.
    source
        Its file in ``bpf/``.
    tracepoints
        (raw tracepoint, C function) to attach, in order.
    constants
        Gives its own compiler flags from the kernel's symbols; raises ProbeError with
        the reason where the kernel lacks what it needs.
    coverage
        Which clones it cannot see, as half a sentence after "misses"; empty for none.
    """

    name: str
    source: str
    tracepoints: tuple[tuple[str, str], ...]
    constants: Callable[[Symbols], list[str]]
    coverage: str


def _tracepoint_constants(symbols: Symbols) -> list[str]:
    clone = symbols.bounds("skb_clone")
    if clone is None:
        raise ProbeError("the kernel's symbol table has no skb_clone()")
    constants = {"SKB_CLONE_START": clone.start, "SKB_CLONE_END": clone.end}
    for name, symbol in (
        ("TCP_WFREE", "tcp_wfree"),
        ("TCP_TRANSMIT_SKB", "__tcp_transmit_skb"),
    ):
        bounds = symbols.bounds(symbol)
        if bounds:
            constants[name] = bounds.start
    return [f"-D{name}={value}ULL" for name, value in constants.items()]


PROBES = (
    Probe(
        name="tracepoint",
        source="tracepoint.c",
        tracepoints=(
            ("net_dev_queue", "on_queue"),
            ("netif_receive_skb", "on_receive"),
            ("skb_copy_datagram_iovec", "on_copy_to_user"),
            ("consume_skb", "on_release"),
            ("kfree_skb", "on_release"),
            ("kmem_cache_alloc", "on_alloc"),
        ),
        constants=_tracepoint_constants,
        coverage="fast clones of protocols other than TCP (TIPC)",
    ),
)

# Follow new tasks; attached before any of the above.
SCOPE_TRACEPOINTS = (
    ("sched_process_fork", "on_fork"),
    ("sched_process_free", "on_free"),
)


def candidates(name: str) -> tuple[Probe, ...]:
    """The probes to try, in order, for a ``--probe`` value."""
    return PROBES if name == "auto" else tuple(p for p in PROBES if p.name == name)
