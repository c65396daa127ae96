# SPDX-License-Identifier: Apache-2.0
"""The ways to see skb_clone(), best first, and what each needs and cannot see."""

from __future__ import annotations

from typing import NamedTuple

from .attach import Attachment


class Probe(NamedTuple):
    """One way to see skb_clone().

    Parameters
    ----------
    name
        As in ``--probe``.
    source
        Its file in ``bpf/``.
    needs
        (kernel symbol, what the kernel lacks without it): not tried in vain.
    attachments
        What it attaches, in order.
    copies
        And after these, when copies are asked for, too.
    calls
        What it attaches where only calls are seen: bpf/on_clone.h.
    coverage
        What it cannot see, as half a sentence after "misses"; empty for nothing.
    """

    name: str
    source: str
    needs: tuple[tuple[str, str], ...]
    attachments: tuple[Attachment, ...]
    copies: tuple[Attachment, ...]
    calls: tuple[Attachment, ...]
    coverage: str


def _raw(target: str, function: str, optional: bool = False) -> Attachment:
    return Attachment("raw_tracepoint", target, function, optional)


# Where a clone is seen again: bpf/skb_sighting.h.
_SIGHTINGS = (
    _raw("net_dev_queue", "on_queue"),
    _raw("netif_receive_skb", "on_receive"),
    _raw("skb_copy_datagram_iovec", "on_copy_to_user"),
    _raw("consume_skb", "on_consume"),
    _raw("kfree_skb", "on_drop"),
    # These are there since Linux 6.3.
    _raw("sk_data_ready", "on_data_ready", optional=True),
    _raw("sock_send_length", "on_use", optional=True),
    _raw("sock_recv_length", "on_use", optional=True),
    _raw("kmem_cache_free", "on_free_object"),
)

# What tells the socket of a packet that TCP sends.
_COMPANION = (
    "__tcp_transmit_skb",
    "the kernel has no function __tcp_transmit_skb(), by which TCP sends",
)

# What a run that the kernel leaves out would have counted. That a return is not seen is
# told by its entry, which was.
_A_CALL, _A_COPY, _ENTERED = "calls_skipped", "copies_skipped", ""

# The functions that copy a packet.
_COPYING = ("skb_copy", "__pskb_copy_fclone")

# What goes while the trace runs: bpf/skb_cgroup.h. A kernel may have no control groups.
_KEEP_PLACES = (_raw("cgroup_rmdir", "on_rmdir", optional=True),)

# Follow new tasks: bpf/skb_scope.h. Attached before any probe.
FOLLOW_TASKS = (
    _raw("sched_process_fork", "on_fork"),
    _raw("sched_process_free", "on_free"),
)

PROBES = (
    Probe(
        name="fentry",
        source="fentry.c",
        needs=(
            ("bpf_trampoline_link_prog", "the kernel has no BPF trampolines"),
            _COMPANION,
        ),
        attachments=(
            *_KEEP_PLACES,
            *_SIGHTINGS,
            Attachment("fentry", "__tcp_transmit_skb", "on_transmit"),
            Attachment("fentry", "skb_clone", "on_clone_entry"),
            Attachment("fexit", "skb_clone", "on_clone_exit", skips=_A_CALL),
        ),
        copies=(
            Attachment("fexit", "skb_copy", "on_copy_exit", skips=_A_COPY),
            Attachment(
                "fexit", "__pskb_copy_fclone", "on_pskb_copy_exit", skips=_A_COPY
            ),
        ),
        calls=(Attachment("fentry", "skb_clone", "on_clone_entry", skips=_A_CALL),),
        coverage="",
    ),
    Probe(
        name="kprobe",
        source="kprobe.c",
        needs=(("register_kprobe", "the kernel has no kprobes"), _COMPANION),
        attachments=(
            *_KEEP_PLACES,
            *_SIGHTINGS,
            Attachment("kprobe", "__tcp_transmit_skb", "on_transmit"),
            # The kernel runs the handlers of one address newest first, and the
            # kretprobe's takes the return address away that the kprobe reads.
            Attachment("kretprobe", "skb_clone", "on_clone_return", skips=_ENTERED),
            Attachment("kprobe", "skb_clone", "on_clone_entry", skips=_A_CALL),
        ),
        copies=tuple(
            attachment
            for name in _COPYING
            for attachment in (
                Attachment("kretprobe", name, "on_copy_return", skips=_ENTERED),
                Attachment("kprobe", name, "on_copy_entry", skips=_A_COPY),
            )
        ),
        calls=(Attachment("kprobe", "skb_clone", "on_clone_entry", skips=_A_CALL),),
        coverage="",
    ),
    Probe(
        name="tracepoint",
        source="tracepoint.c",
        needs=(),
        attachments=(
            *_KEEP_PLACES,
            *_SIGHTINGS,
            _raw("kmem_cache_alloc", "on_alloc"),
        ),
        # Since Linux 6.1 the other tracepoint is this one, too.
        copies=(_raw("kmem_cache_alloc_node", "on_alloc", optional=True),),
        calls=(
            _raw("kmem_cache_alloc", "on_alloc"),
            _raw("net_dev_queue", "on_queue"),
            _raw("consume_skb", "on_release"),
            _raw("kfree_skb", "on_release"),
        ),
        coverage="fast clones of protocols other than TCP (TIPC), parents of slab "
        "clones, and who sent a TCP packet that waits for its neighbour's address",
    ),
)


def candidates(name: str) -> tuple[Probe, ...]:
    """The probes to try, in order, for a ``--probe`` value."""
    return PROBES if name == "auto" else tuple(p for p in PROBES if p.name == name)
