# SPDX-License-Identifier: Apache-2.0
"""Colours: the same for the same reason in every figure of every trace."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "FEWER",
    "GREY",
    "MORE",
    "PALETTE",
    "WAY",
    "ink",
    "of_reason",
    "ranked",
]

# Of Okabe and Ito's eight colours, the six that are seen on white and on black
# (M. Okabe, K. Ito: Color Universal Design, 2008).
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#E69F00", "#56B4E9", "#CC79A7")
_BLUE, _RED, _GREEN, _ORANGE, _SKY, _PINK = PALETTE

GREY = "#8C8C8C"
"""What has no colour of its own: others, and what is unknown."""

WAY = "#B8B8B8"
"""A function on the way to the one that clones."""

FEWER, MORE = _BLUE, _RED

# More reasons than colours: those of one kind share one.
_REASONS = {
    _BLUE: """
        tcp-transmit tcp-fast-open ipv6-options reliable-transmit send-and-keep
        tipc-crypto stream-parser packet-parts tcp-transmit-copy tcp-retransmit-copy
    """,
    _RED: """
        tap-transmit tap-socket drop-monitor wifi-monitor bluetooth-monitor netlink-tap
        vsock-tap
    """,
    _GREEN: """
        raw-socket ping-socket router-alert multicast-delivery peek multicast-loopback
        can-receive ieee802154-receive
    """,
    _ORANGE: """
        multicast-routing multicast-each multicast-snooping bridge-flood link-duplicate
        virtual-device vxlan-flood repeat-broadcast mesh-coding tc-mirred
        netem-duplicate bpf-redirect netfilter-duplicate openvswitch-action wifi-relay
        can-echo can-gateway bluetooth-ipv6 tee netem-corrupt
    """,
    _SKY: """
        socket-error tx-timestamp tx-report icmp-error icmp-tunnel ipsec-icmp
        wifi-management
    """,
    _PINK: """
        netlink-multicast netlink-trim netlink-request pfkey-broadcast
        openvswitch-upcall bluetooth-command bluetooth-event
    """,
}
_OF_REASON = {
    slug: colour for colour, all_ in _REASONS.items() for slug in all_.split()
}


def of_reason(slug: str) -> str:
    """The colour of a reason; grey for one of no kind that has a colour."""
    return _OF_REASON.get(slug, GREY)


def ranked(slugs: Iterable[str]) -> list[str]:
    """Reasons in one order, colour by colour: neighbours in every figure."""
    order = {slug: place for place, slug in enumerate(_OF_REASON)}
    return sorted(slugs, key=lambda slug: (order.get(slug, len(order)), slug))


def ink(colour: str) -> str:
    """Black or white: which is read better on a colour."""
    return "#FFFFFF" if colour == _BLUE else "#000000"
