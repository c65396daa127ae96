# SPDX-License-Identifier: Apache-2.0
"""Why a packet was cloned, by the function that called skb_clone(): one table.

Each call site in the kernel clones for one reason, so the direct caller says why. The
table holds every compiled call site of Debian's amd64 kernels from 5.10 to 7.3 and,
where a compiler may not have inlined it, the function that the source names. What each
reason says was read in the source of 5.10, 6.1 and 7.3; `Reason.source` says where.

BCC gives no module with a symbol. Some names (``probe``, ``resend``, ``raw_rcv``) are
those of several functions, but in these kernels only one of them clones.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = [
    "COPY_REASONS",
    "REASONS",
    "Reason",
    "copy_reason_of",
    "describe",
    "reason_of",
]


@dataclass(frozen=True, slots=True)
class Reason:
    """A reason to clone a packet.

    Parameters
    ----------
    slug
        Its name, as in the DataFrame.
    text
        The reason in plain words: one sentence.
    example
        How to provoke it.
    source
        Files and functions of the kernel that the text rests on.
    symbols
        The callers of skb_clone() that have this reason, without suffixes.
    """

    slug: str
    text: str
    example: str
    source: str
    symbols: tuple[str, ...]


def _reason(slug: str, text: str, *, example: str, source: str, symbols: str) -> Reason:
    return Reason(slug, text, example, source, tuple(symbols.split()))


REASONS: tuple[Reason, ...] = (
    # TCP and its like.
    _reason(
        "tcp-transmit",
        "TCP keeps the original until it is acknowledged and sends a clone.",
        example="curl http://127.0.0.1:8000/ from python3 -m http.server",
        source="net/ipv4/tcp_output.c: __tcp_transmit_skb()",
        symbols="__tcp_transmit_skb tcp_transmit_skb",
    ),
    _reason(
        "tcp-fast-open",
        "Data came in the packet that opens a TCP connection, and a clone waits "
        "for the reader.",
        example=(
            "sysctl net.ipv4.tcp_fastopen=1543; curl --tcp-fastopen "
            "http://127.0.0.1:8000/"
        ),
        source="net/ipv4/tcp_fastopen.c: tcp_fastopen_add_skb()",
        symbols="tcp_fastopen_add_skb",
    ),
    _reason(
        "ipv6-options",
        "A program asked for IPv6 header fields, and a clone keeps those of its "
        "latest packet.",
        example="setsockopt(IPV6_RECVPKTINFO) on a TCP socket, and receive over ::1",
        source="net/ipv6/tcp_ipv6.c: tcp_v6_do_rcv()",
        symbols="""
            tcp_v6_do_rcv tcp_v6_syn_recv_sock dccp_v6_do_rcv dccp_v6_request_recv_sock
            skb_clone_and_charge_r
        """,
    ),
    _reason(
        "reliable-transmit",
        "A protocol other than TCP keeps the original until it is acknowledged "
        "and sends a clone.",
        example=(
            "tipc bearer enable media eth device eth0, on two nodes, and a TIPC "
            "connection"
        ),
        source=(
            "net/tipc/link.c: tipc_link_xmit(); "
            "net/bluetooth/l2cap_core.c: l2cap_ertm_send()"
        ),
        symbols="""
            tipc_link_xmit tipc_link_advance_backlog tipc_msg_skb_clone dccp_connect
            dccp_retransmit_skb dccp_send_close dccp_skb_entail llc_conn_send_pdus
            ax25_kick nr_kick nr_send_nak_frame rose_kick x25_kick l2cap_ertm_send
            l2cap_ertm_resend
        """,
    ),
    _reason(
        "send-and-keep",
        "The sender holds on to the original, to retry or to free it, and a clone "
        "is sent.",
        example="cansend vxcan0 123#00, or a storage network over Ethernet (FCoE)",
        source=(
            "drivers/net/can/vxcan.c: vxcan_xmit(); "
            "drivers/scsi/fcoe/fcoe_transport.c: fcoe_start_io()"
        ),
        symbols="""
            vxcan_xmit j1939_tp_txtimer j1939_simple_txnext fcoe_start_io
            fcoe_check_wait_queue llc_prepare_and_xmit rose_loopback_queue
            x25_forward_call t7xx_port_wwan_tx t7xx_port_ctrl_tx
        """,
    ),
    _reason(
        "tipc-crypto",
        "TIPC is not sure which key its peer has, and tries one on a clone.",
        example="tipc node set key, to another key, on one of two nodes",
        source="net/tipc/crypto.c: tipc_crypto_clone_msg(), tipc_crypto_key_pick_tx()",
        symbols="""
            tipc_crypto_xmit tipc_crypto_rcv tipc_crypto_clone_msg
            tipc_crypto_key_pick_tx
        """,
    ),
    _reason(
        "stream-parser",
        "Messages are cut out of a TCP stream, in clones that leave the stream "
        "itself alone.",
        example="receive on a socket of a BPF sockmap that has a stream parser",
        source=(
            "net/strparser/strparser.c: __strp_recv(); "
            "net/core/skbuff.c: pskb_extract()"
        ),
        symbols="__strp_recv tls_strp_msg_hold sk_psock_verdict_recv pskb_extract",
    ),
    _reason(
        "packet-parts",
        "One packet carries several parts (SCTP, AFS), and a clone holds on to "
        "one of them.",
        example="send a message over SCTP",
        source=(
            "net/sctp/ulpevent.c: sctp_ulpevent_make_rcvmsg(); "
            "net/rxrpc/input.c: rxrpc_input_split_jumbo()"
        ),
        symbols="""
            sctp_ulpevent_make_rcvmsg sctp_assoc_bh_rcv sctp_endpoint_bh_rcv
            rxrpc_input_call_packet rxrpc_input_split_jumbo
        """,
    ),
    # Sniffers.
    _reason(
        "tap-transmit",
        "A sniffer gets a copy of a packet going out.",
        example="tcpdump -i lo, and ping 127.0.0.1",
        source="net/core/dev.c: dev_queue_xmit_nit()",
        symbols="dev_queue_xmit_nit",
    ),
    _reason(
        "tap-socket",
        "A sniffer queues a packet that others are still using, so it queues a clone.",
        example=(
            "a packet(7) socket without a ring, as Python opens one, and ping 127.0.0.1"
        ),
        source="net/packet/af_packet.c: packet_rcv()",
        symbols="packet_rcv packet_rcv_spkt tpacket_rcv",
    ),
    _reason(
        "drop-monitor",
        "A dropped packet is kept for a report to whoever watches for drops.",
        example=(
            "dropwatch, with `set alertmode packet` and `start`; send UDP to a closed "
            "port"
        ),
        source="net/core/drop_monitor.c: net_dm_packet_trace_kfree_skb_hit()",
        symbols="net_dm_packet_trace_kfree_skb_hit net_dm_hw_trap_packet_probe",
    ),
    # Receivers on this machine.
    _reason(
        "raw-socket",
        "Each raw socket that wants the packet gets a clone, and the packet goes "
        "on its way.",
        example="ping -c1 127.0.0.1 as root, while other raw ICMP sockets are open",
        source="net/ipv4/raw.c: raw_v4_input(); net/ipv6/raw.c: ipv6_raw_deliver()",
        symbols="""
            raw_local_deliver raw_v4_input raw6_local_deliver ipv6_raw_deliver
            ax25_send_to_raw nfc_send_to_raw_sock nfc_llcp_send_to_raw_sock
        """,
    ),
    _reason(
        "ping-socket",
        "A ping socket gets a clone of the answer.",
        example=(
            "on an older kernel, ping where net.ipv4.ping_group_range includes its "
            "group"
        ),
        source="net/ipv4/ping.c: ping_rcv()",
        symbols="ping_rcv",
    ),
    _reason(
        "router-alert",
        "A packet marked for routers to look at goes to every program that asked "
        "for those.",
        example=(
            "two sockets with IP_ROUTER_ALERT on a router; forward a packet that has "
            "the option"
        ),
        source=(
            "net/ipv4/ip_input.c: ip_call_ra_chain(); "
            "net/ipv6/ip6_output.c: ip6_call_ra_chain()"
        ),
        symbols="ip_call_ra_chain ip6_call_ra_chain ip6_forward",
    ),
    _reason(
        "multicast-delivery",
        "Several receivers of a multicast or broadcast are on this machine, and "
        "each needs its own.",
        example=(
            "two programs that joined one group and port, and a third that sends to it"
        ),
        source=(
            "net/ipv4/udp.c: __udp4_lib_mcast_deliver(); "
            "net/ipv6/udp.c: __udp6_lib_mcast_deliver()"
        ),
        symbols="""
            __udp4_lib_mcast_deliver __udp4_lib_rcv udp_rcv __udp6_lib_mcast_deliver
            __udp6_lib_rcv udpv6_rcv llc_do_mcast pn_deliver_sock_broadcast rxe_rcv
            rxe_rcv_mcast_pkt
        """,
    ),
    _reason(
        "peek",
        "A program peeks (MSG_PEEK) at an empty message that something else "
        "holds, too.",
        example=(
            "rare: recv(MSG_PEEK) of an empty datagram; normally, nothing else holds it"
        ),
        source="net/core/datagram.c: skb_set_peeked()",
        symbols="__skb_try_recv_from_queue skb_set_peeked",
    ),
    # Multicasts and broadcasts on their way.
    _reason(
        "multicast-loopback",
        "A multicast or broadcast leaves the machine and also comes back to its "
        "own receivers.",
        example=(
            "send to a multicast group that a program here has joined, on a device "
            "other than lo"
        ),
        source=(
            "net/ipv4/ip_output.c: ip_mc_output(); "
            "net/ipv6/ip6_output.c: ip6_finish_output2()"
        ),
        symbols="ip_mc_output ip6_finish_output2 tipc_msg_reassemble",
    ),
    _reason(
        "multicast-routing",
        "A multicast router sends a packet out of several interfaces, or out of "
        "one and to itself.",
        example=(
            "smcroutectl add eth0 239.1.2.3 eth1 eth2; send to 239.1.2.3 through this "
            "machine"
        ),
        source="net/ipv4/ipmr.c: ip_mr_forward(); net/ipv6/ip6_input.c: ip6_mc_input()",
        symbols="""
            ip_mr_forward ip_mr_input ip_mr_output ip_mr_output_finish ip6_mr_forward
            ip6_mr_output ip6_mr_output_finish ip6_mc_input
        """,
    ),
    _reason(
        "multicast-each",
        "The same packet is sent over and over, once to every receiver or link.",
        example="hostapd with multicast_to_unicast=1 and two stations, and a multicast",
        source=(
            "net/mac80211/tx.c: ieee80211_convert_to_unicast(); "
            "net/bluetooth/6lowpan.c: send_mcast_pkt()"
        ),
        symbols="""
            ieee80211_convert_to_unicast ieee80211_subif_start_xmit
            ath12k_wifi7_mac_op_tx bt_xmit send_mcast_pkt qrtr_bcast_enqueue
            dsp_cmx_hdlc
        """,
    ),
    _reason(
        "multicast-snooping",
        "A message about multicast groups is checked in a clone from which its "
        "padding is cut.",
        example=(
            "join a group behind a bridge with multicast_snooping, in a frame padded "
            "to 60 bytes"
        ),
        source="net/core/skbuff.c: skb_checksum_trimmed()",
        symbols="skb_checksum_trimmed skb_checksum_maybe_trim",
    ),
    _reason(
        "bridge-flood",
        "A bridge sends a packet to several of its ports, or to a port and to its "
        "own machine.",
        example="ping -b the broadcast address across a bridge with three ports",
        source="net/bridge/br_forward.c: deliver_clone()",
        symbols="br_flood br_multicast_flood br_forward maybe_deliver deliver_clone",
    ),
    _reason(
        "link-duplicate",
        "A packet goes over several links at once (bond or team in broadcast "
        "mode, HSR, PRP).",
        example=(
            "ip link add bond0 type bond mode broadcast, with two links, and ping "
            "through it"
        ),
        source=(
            "drivers/net/bonding/bond_main.c: bond_xmit_broadcast(); "
            "net/hsr/hsr_forward.c: hsr_forward_do()"
        ),
        symbols="""
            bond_xmit_broadcast bond_start_xmit bc_transmit hsr_create_tagged_frame
            hsr_get_untagged_frame prp_create_tagged_frame prp_get_untagged_frame
            hsr_forward_do hsr_forward_skb
        """,
    ),
    _reason(
        "virtual-device",
        "Several virtual devices share one link (macvlan, ipvlan, MACsec), and "
        "each takes a clone.",
        example="ip link add link eth0 type macvlan mode bridge, twice, and ping -b",
        source=(
            "drivers/net/macvlan.c: macvlan_broadcast(); "
            "drivers/net/ipvlan/ipvlan_core.c: ipvlan_process_multicast()"
        ),
        symbols="""
            macvlan_broadcast macvlan_broadcast_enqueue macvlan_handle_frame
            macvlan_forward_source macvlan_forward_source_one ipvlan_process_multicast
            ipvlan_handle_frame ipvlan_handle_mode_l2 macsec_handle_frame
            handle_not_macsec
        """,
    ),
    _reason(
        "vxlan-flood",
        "A VXLAN tunnel sends a packet to several remote ends.",
        example=(
            "bridge fdb append 00:00:00:00:00:00 dev vxlan0 dst ..., for two ends, "
            "and ping"
        ),
        source="drivers/net/vxlan/vxlan_core.c: vxlan_xmit()",
        symbols="vxlan_xmit vxlan_mdb_xmit",
    ),
    _reason(
        "repeat-broadcast",
        "A node keeps a broadcast, to send it again or over another device "
        "(batman-adv, TIPC).",
        example=(
            "batctl if add eth0: every node of the mesh announces itself once a second"
        ),
        source=(
            "net/batman-adv/send.c: batadv_send_outstanding_bcast_packet(); "
            "net/tipc/discover.c: tipc_disc_timeout()"
        ),
        symbols="""
            __batadv_forw_bcast_packet batadv_forw_bcast_packet_to_list
            batadv_forw_bcast_packet_if batadv_send_outstanding_bcast_packet
            batadv_iv_send_outstanding_bat_ogm_packet batadv_iv_ogm_send_to_if
            batadv_v_ogm_send batadv_v_ogm_send_softif batadv_v_ogm_send_meshif
            tipc_disc_create tipc_disc_reset tipc_disc_timeout
        """,
    ),
    _reason(
        "mesh-coding",
        "A mesh node (batman-adv) keeps a packet that it will need to decode "
        "others with.",
        example=(
            "batctl nc 1 on three nodes, the first and last of which talk through the "
            "other"
        ),
        source="net/batman-adv/network-coding.c: batadv_nc_skb_store_for_decoding()",
        symbols="batadv_nc_skb_store_for_decoding",
    ),
    # What a sender is told.
    _reason(
        "socket-error",
        "Something went wrong with a packet, and its sender is told with a clone.",
        example="setsockopt(IP_RECVERR), and send UDP to a closed port",
        source=(
            "net/ipv4/ip_sockglue.c: ip_icmp_error(); "
            "net/sched/sch_etf.c: report_sock_error()"
        ),
        symbols="ip_icmp_error ipv6_icmp_error report_sock_error",
    ),
    _reason(
        "tx-timestamp",
        "A program asked when its packet left, and gets the time with a clone of "
        "the packet.",
        example=(
            "setsockopt(SO_TIMESTAMPING) with SOF_TIMESTAMPING_TX_SOFTWARE, and send "
            "UDP"
        ),
        source="net/core/skbuff.c: __skb_tstamp_tx()",
        symbols="__skb_tstamp_tx",
    ),
    _reason(
        "tx-report",
        "A packet is kept until the device reports that, or when, it was sent.",
        example="ptp4l with a network card that takes time stamps itself",
        source=(
            "net/core/skbuff.c: skb_clone_sk(); "
            "net/mac80211/tx.c: ieee80211_store_ack_skb()"
        ),
        symbols="""
            skb_clone_sk ieee80211_store_ack_skb mwifiex_clone_skb_for_tx_status
            nxpwifi_clone_skb_for_tx_status vnt_tx_packet hci_conn_tx_queue
        """,
    ),
    _reason(
        "icmp-error",
        "An ICMP error quotes the packet that caused it, and the quote is made "
        "from a clone.",
        example=(
            "sysctl net.ipv4.icmp_errors_extension_mask=1, if there is one; send UDP "
            "to a closed port"
        ),
        source=(
            "net/ipv4/icmp.c: icmp_ndo_send(), icmp_ext_append(); "
            "net/core/filter.c: bpf_icmp_send()"
        ),
        symbols="""
            __icmp_send icmp_ext_append icmp_ndo_send icmp6_send icmp6_ext_append
            icmpv6_ndo_send bpf_icmp_send
        """,
    ),
    _reason(
        "icmp-tunnel",
        "A tunnel's packet met an error, and a clone tells the sender of the "
        "packet inside.",
        example=(
            "send through an ip6tnl device a packet too large for the tunnel's path"
        ),
        source=(
            "net/ipv6/ip6_tunnel.c: ip6ip6_err(); "
            "net/ipv6/icmp.c: ip6_err_gen_icmpv6_unreach()"
        ),
        symbols="ip4ip6_err ip6ip6_err ip6_err_gen_icmpv6_unreach",
    ),
    _reason(
        "ipsec-icmp",
        "IPsec looks up which packet an ICMP error is about, in a clone cut to "
        "the quote.",
        example="an ICMP error about traffic that has an IPsec policy",
        source="net/xfrm/xfrm_policy.c: xfrm_icmp_flow_decode()",
        symbols="xfrm_icmp_flow_decode",
    ),
    # Packets that are changed, split or put together.
    _reason(
        "shared",
        "Something else holds the packet or a part of it, too: it is cloned "
        "before it is changed.",
        example="a packet(7) socket bound to lo and 0x0800 (IPv4), and ping 127.0.0.1",
        source=(
            "include/linux/skbuff.h: skb_share_check(); "
            "net/core/skbuff.c: __pskb_pull_tail()"
        ),
        symbols="""
            skb_share_check arp_rcv ip_rcv_core ip6_rcv_core ip_check_defrag
            skb_vlan_untag vlan_do_receive br_handle_frame bond_handle_frame
            team_handle_frame netdev_frame_hook netdev_port_receive
            netvsc_vf_handle_frame ipvlan_rcv_frame ipvlan_queue_xmit
            ipvlan_xmit_mode_l2 macsec_decrypt mpls_forward mrp_rcv llc_rcv pppoe_rcv
            pppoe_disc_rcv wg_xmit ovpn_net_xmit batadv_batman_skb_recv atalk_rcv
            ltalk_rcv ax25_kiss_rcv bpq_rcv phonet_rcv fr_rx x25_rx lapbeth_rcv
            lowpan_rcv raw_rcv_skb dgram_rcv_skb aoenet_rcv fcoe_rcv fcoe_ctlr_recv
            bnx2fc_rcv ic_rarp_recv ic_bootp_recv ieee80211_build_hdr
            ieee80211_xmit_fast __ieee80211_xmit_fast ieee80211_mesh_xmit_fast
            ieee80211_8023_xmit __ieee80211_subif_start_xmit
            __ieee80211_subif_start_xmit_8023 ieee80211_subif_start_xmit_8023
            virt_wifi_rx_handler be_insert_vlan_in_pkt bcmgenet_xmit fm10k_xmit_frame
            fwnet_tx xgbe_test_loopback_validate ___pskb_trim __pskb_pull_tail
            pskb_carve_inside_nonlinear pskb_carve_frag_list reuseport_select_sock
            run_bpf_filter
        """,
    ),
    _reason(
        "headroom",
        "A packet needs more room in front for another header, and a clone of it "
        "gets that.",
        example=(
            "forward packets into a tunnel whose headers need more room than they have"
        ),
        source="net/core/skbuff.c: skb_realloc_headroom(), skb_expand_head()",
        symbols="skb_realloc_headroom skb_expand_head",
    ),
    _reason(
        "gso-segment",
        "A packet that was merged from several is split again, and a clone stands "
        "for one of them.",
        example=(
            "ethtool -K eth0 rx-gro-list on, and forward UDP to a device that cannot "
            "split it"
        ),
        source="net/core/skbuff.c: skb_segment(), skb_segment_list()",
        symbols="skb_segment skb_segment_list",
    ),
    _reason(
        "reassembly",
        "The last fragment to come is made the whole packet, and a clone takes "
        "the fragment's place.",
        example="ping -s 4000 another machine",
        source="net/ipv4/inet_fragment.c: inet_frag_reasm_prepare()",
        symbols="inet_frag_reasm_prepare",
    ),
    # Neighbours.
    _reason(
        "neighbour-probe",
        "A neighbour's address is asked for (ARP, NDP), and a clone holds on to "
        "the waiting packet.",
        example="ping an address of the local network that nobody has",
        source="net/core/neighbour.c: neigh_probe()",
        symbols="neigh_probe",
    ),
    _reason(
        "neighbour-proxy",
        "A question for a neighbour's address is kept, to be answered for that "
        "neighbour a bit later.",
        example=(
            "sysctl net.ipv6.conf.eth0.proxy_ndp=1; ip -6 neigh add proxy ADDRESS dev "
            "eth0; ping it"
        ),
        source="net/ipv6/ndisc.c: ndisc_recv_ns()",
        symbols="ndisc_recv_ns",
    ),
    # What an administrator asked for.
    _reason(
        "tc-mirred",
        "A traffic control rule mirrors or redirects the packet to another device.",
        example=(
            "tc qdisc add dev eth0 clsact; tc filter add dev eth0 egress matchall "
            "action mirred egress mirror dev lo"
        ),
        source="net/sched/act_mirred.c: tcf_mirred_act()",
        symbols="tcf_mirred_act tcf_mirred_to_dev",
    ),
    _reason(
        "netem-duplicate",
        "A bad network is simulated (netem), and the packet is delivered twice.",
        example="tc qdisc add dev lo root netem duplicate 100%, and ping 127.0.0.1",
        source="net/sched/sch_netem.c: netem_enqueue()",
        symbols="netem_enqueue",
    ),
    _reason(
        "bpf-redirect",
        "A BPF program sends a clone of the packet to another device.",
        example="a BPF program on tc that calls bpf_clone_redirect()",
        source=(
            "net/core/filter.c: bpf_clone_redirect(); "
            "kernel/bpf/devmap.c: dev_map_redirect_clone()"
        ),
        symbols="bpf_clone_redirect dev_map_redirect_multi dev_map_redirect_clone",
    ),
    _reason(
        "netfilter-duplicate",
        "A netfilter rule sends a clone of the packet to another device.",
        example="nft add rule netdev filter ingress dup to eth1",
        source="net/netfilter/nf_dup_netdev.c: nf_dup_netdev_egress()",
        symbols="nf_dup_netdev_egress",
    ),
    _reason(
        "openvswitch-action",
        "Open vSwitch does several things with a packet, each with a clone of its own.",
        example="ovs-ofctl add-flow br0 actions=output:1,output:2, and ping through it",
        source="net/openvswitch/actions.c: do_execute_actions(), clone_execute()",
        symbols="do_execute_actions clone_execute",
    ),
    _reason(
        "openvswitch-upcall",
        "Open vSwitch asks its daemon about a packet, and writes the VLAN tag "
        "into a clone for it.",
        example="send a VLAN-tagged packet of a new flow through Open vSwitch",
        source="net/openvswitch/datapath.c: queue_userspace_packet()",
        symbols="queue_userspace_packet",
    ),
    # Devices.
    _reason(
        "storage-request",
        "A request to storage over Ethernet (AoE, FCoE) is kept, to be sent again "
        "if need be.",
        example="modprobe aoe; aoe-discover; read from /dev/etherd/e0.0",
        source=(
            "drivers/block/aoe/aoecmd.c: aoecmd_ata_rw(), resend(); "
            "drivers/scsi/fcoe/fcoe_ctlr.c: fcoe_ctlr_flogi_send_locked()"
        ),
        symbols="""
            aoecmd_ata_id aoecmd_ata_rw aoecmd_work probe resend
            fcoe_ctlr_flogi_send_locked
        """,
    ),
    _reason(
        "device-batch",
        "A device delivered several packets in one buffer, and each is cut out of "
        "a clone.",
        example="download over a telephone on USB (rndis_host)",
        source="drivers/net/usb/rndis_host.c: rndis_rx_fixup()",
        symbols="""
            rndis_rx_fixup eem_rx_fixup eem_unwrap kalmia_rx_fixup vl600_rx_fixup
            sierra_net_rx_fixup sierra_net_skb_clone smsc75xx_rx_fixup lan78xx_bh
            lan78xx_rx i2400m_rx_edata ipc_mux_dl_decode ipc_mux_net_receive
            mctp_usblib_rx_complete rtl8xxxu_parse_rxdesc16 rtl8xxxu_parse_rxdesc24
            rtw_usb_rx_handler amsdu_to_msdu rtl8188eu_recv_tasklet recvbuf2recvframe
        """,
    ),
    # Wi-Fi, Bluetooth, CAN and other radio.
    _reason(
        "wifi-monitor",
        "Wi-Fi sniffers get copies of what the card receives or sends.",
        example=(
            "iw phy0 interface add mon0 type monitor, the same with mon1, and both up"
        ),
        source=(
            "net/mac80211/rx.c: ieee80211_rx_monitor(); "
            "net/mac80211/status.c: ieee80211_tx_monitor()"
        ),
        symbols="""
            ieee80211_rx_list ieee80211_rx_monitor ieee80211_rx_handlers_result
            ieee80211_rx_cooked_monitor ieee80211_tx_monitor
        """,
    ),
    _reason(
        "wifi-relay",
        "A Wi-Fi access point takes a frame in and also passes it on.",
        example=(
            "a multicast from a station of an access point whose driver is rtl8723bs"
        ),
        source=(
            "drivers/staging/rtl8723bs/os_dep/recv_linux.c: rtw_os_recv_indicate_pkt()"
        ),
        symbols="""
            rtw_os_recv_indicate_pkt rtw_recv_indicate_pkt rtw_recv_indicatepkt
            hostap_80211_rx hostap_rx_frame_mgmt
        """,
    ),
    _reason(
        "wifi-management",
        "A Wi-Fi management frame is kept for as long as the kernel works on it.",
        example="an access point on a b43 card, whose beacon changes",
        source=(
            "drivers/net/wireless/broadcom/b43/main.c: b43_write_beacon_template(); "
            "net/mac80211/status.c: ieee80211_report_used_skb()"
        ),
        symbols="b43_write_beacon_template ieee80211_report_used_skb",
    ),
    _reason(
        "bluetooth-monitor",
        "Bluetooth sniffers and raw sockets each get a clone of what passes.",
        example="btmon, while a device connects",
        source="net/bluetooth/hci_sock.c: hci_send_to_sock(), __hci_send_to_channel()",
        symbols="""
            hci_send_to_sock __hci_send_to_channel hci_skb_clone l2cap_recv_frame
            l2cap_raw_recv
        """,
    ),
    _reason(
        "bluetooth-command",
        "A command to the Bluetooth adapter is kept, to match it with its answer "
        "or to send it again.",
        example="bluetoothctl scan on",
        source="net/bluetooth/hci_core.c: hci_send_cmd_sync(), hci_resend_last()",
        symbols="hci_cmd_work hci_send_cmd_sync hci_req_cmd_complete hci_resend_last",
    ),
    _reason(
        "bluetooth-event",
        "What the Bluetooth adapter reports is kept or looked into in a clone.",
        example="bluetoothctl scan on",
        source=(
            "net/bluetooth/hci_event.c: hci_event_packet(); "
            "drivers/bluetooth/btusb.c: acl_pkt_is_dump_qca()"
        ),
        symbols="""
            hci_event_packet btintel_diagnostics btintel_recv_event btmtk_usb_recv_acl
            btmtk_usb_wmt_recv btmtksdio_recv_event btmtkuart_recv_event
            btusb_mtk_wmt_recv btusb_recv_acl_qca btusb_recv_evt_qca acl_pkt_is_dump_qca
            evt_pkt_is_dump_qca nxp_process_fw_dump
        """,
    ),
    _reason(
        "bluetooth-ipv6",
        "An IPv6 packet that came over Bluetooth is unpacked in a clone.",
        example="ping between two machines with bluetooth_6lowpan",
        source="net/bluetooth/6lowpan.c: recv_pkt()",
        symbols="chan_recv_cb recv_pkt",
    ),
    _reason(
        "can-receive",
        "Each CAN program that wants the frame gets a clone.",
        example="candump vcan0, and cansend vcan0 123#00",
        source="net/can/raw.c: raw_rcv(); net/can/j1939/socket.c: j1939_sk_recv_one()",
        symbols="raw_rcv j1939_can_recv j1939_sk_recv j1939_sk_recv_one",
    ),
    _reason(
        "can-echo",
        "A CAN frame that is sent is also shown to this machine's own CAN programs.",
        example="cansend vcan0 123#00",
        source=(
            "net/can/af_can.c: can_send(); "
            "include/linux/can/skb.h: can_create_echo_skb()"
        ),
        symbols="""
            can_send can_put_echo_skb can_create_echo_skb vcan_tx ican3_put_echo_skb
        """,
    ),
    _reason(
        "can-gateway",
        "A CAN gateway rule passes the frame on to another bus.",
        example="cangw -A -s vcan0 -d vcan1 -e, and cansend vcan0 123#00",
        source="net/can/gw.c: can_can_gw_rcv()",
        symbols="can_can_gw_rcv",
    ),
    _reason(
        "ieee802154-receive",
        "Several sockets or devices receive the same low-power radio (802.15.4) frame.",
        example=(
            "modprobe mac802154_hwsim; two 802.15.4 sockets on the device that receives"
        ),
        source=(
            "net/ieee802154/socket.c: ieee802154_raw_deliver(); "
            "net/mac802154/rx.c: ieee802154_monitors_rx()"
        ),
        symbols="""
            ieee802154_rcv ieee802154_raw_deliver ieee802154_dgram_deliver ieee802154_rx
            ieee802154_monitors_rx __ieee802154_rx_handle_packet
        """,
    ),
    # No network traffic.
    _reason(
        "netlink-multicast",
        "Not network traffic: a kernel message to several listeners.",
        example="ip monitor, twice, and ip addr add 192.0.2.1/32 dev lo",
        source=(
            "net/netlink/af_netlink.c: do_one_broadcast(); "
            "kernel/taskstats.c: send_cpu_listeners()"
        ),
        symbols="""
            netlink_broadcast netlink_broadcast_filtered do_one_broadcast genlmsg_mcast
            genlmsg_multicast_allns taskstats_exit send_cpu_listeners psp_nl_clone_ntf
        """,
    ),
    _reason(
        "netlink-trim",
        "Not network traffic: a kernel message held elsewhere, too, is cloned to "
        "make it smaller.",
        example=(
            "rare: a message in far too large a buffer, which its sender keeps, too"
        ),
        source="net/netlink/af_netlink.c: netlink_trim()",
        symbols="netlink_trim",
    ),
    _reason(
        "netlink-request",
        "Not network traffic: a request to the kernel is worked on in a clone.",
        example="nft add table t",
        source=(
            "net/netfilter/nfnetlink.c: nfnetlink_rcv_batch(); "
            "net/ipv4/fib_frontend.c: nl_fib_input()"
        ),
        symbols="nfnetlink_rcv_batch nl_fib_input netlink_skb_clone",
    ),
    _reason(
        "netlink-tap",
        "Not network traffic: a sniffer gets a copy of a kernel message.",
        example="ip link add nlmon0 type nlmon; tcpdump -i nlmon0; ip link",
        source="net/netlink/af_netlink.c: __netlink_deliver_tap_skb()",
        symbols="__netlink_deliver_tap netlink_deliver_tap __netlink_deliver_tap_skb",
    ),
    _reason(
        "pfkey-broadcast",
        "Not network traffic: a message about IPsec keys (PF_KEY) to several "
        "listeners.",
        example="setkey -x, and setkey -D",
        source="net/key/af_key.c: pfkey_broadcast_one()",
        symbols="pfkey_broadcast_one pfkey_process pfkey_promisc",
    ),
    _reason(
        "vsock-tap",
        "A sniffer gets a copy of what a virtual machine and its host say to each "
        "other (vsock).",
        example="ip link add vsockmon0 type vsockmon; tcpdump -i vsockmon0",
        source="net/vmw_vsock/af_vsock_tap.c: __vsock_deliver_tap_skb()",
        symbols="vsock_deliver_tap __vsock_deliver_tap_skb",
    ),
)
"""Every reason known; no symbol is in two of them."""

COPY_REASONS: tuple[Reason, ...] = (
    _reason(
        "tcp-transmit-copy",
        "TCP sends again while somebody still holds the first clone, so it sends a "
        "copy.",
        example="let ACKs be lost while the receiver, on this machine, does not read",
        source="net/ipv4/tcp_output.c: __tcp_transmit_skb()",
        symbols="__tcp_transmit_skb tcp_transmit_skb",
    ),
    _reason(
        "tee",
        "A firewall rule (netfilter's TEE or dup) sends a copy to a second receiver.",
        example="iptables -t mangle -A OUTPUT -p icmp -j TEE --gateway 192.0.2.1",
        source="net/ipv4/netfilter/nf_dup_ipv4.c: nf_dup_ipv4()",
        symbols="nf_dup_ipv4 nf_dup_ipv6",
    ),
    _reason(
        "netem-corrupt",
        "A network emulator (netem) garbles a packet whose data others still need.",
        example="tc qdisc add dev lo root netem corrupt 10%, then curl over lo",
        source="net/sched/sch_netem.c: netem_enqueue()",
        symbols="netem_enqueue",
    ),
    _reason(
        "headroom-copy",
        "A driver or a tunnel wants a packet of its own, to put headers into it.",
        example="send through a tunnel or a driver that needs room before the packet",
        source="net/core/skbuff.c: skb_realloc_headroom()",
        symbols="skb_realloc_headroom",
    ),
    _reason(
        "tcp-retransmit-copy",
        "TCP sends again what lies so that it cannot be sent as it is.",
        example="rare: a retransmission of data that is not aligned",
        source="net/ipv4/tcp_output.c: __tcp_retransmit_skb()",
        symbols="__tcp_retransmit_skb",
    ),
)
"""The same for the functions that copy: the callers of skb_copy() and pskb_copy()."""

_BY_SLUG = {reason.slug: reason for reason in REASONS + COPY_REASONS}
_COPY_BY_SYMBOL = {s: reason for reason in COPY_REASONS for s in reason.symbols}
_BY_SYMBOL = {symbol: reason for reason in REASONS for symbol in reason.symbols}

# What compilers append to the name of a function that they changed or took apart.
_SUFFIXES = re.compile(r"(?:\.(?:isra|constprop|part|cold|lto_priv|llvm)(?:\.\d+)?)+$")


def reason_of(symbol: str) -> str:
    """The slug of the reason why this function clones packets.

    Parameters
    ----------
    symbol
        The direct caller of skb_clone(); a compiler's suffixes do not matter.

    Returns
    -------
    str
        A reason's slug, or ``unknown (symbol)``: nothing is guessed.
    """
    name = _SUFFIXES.sub("", symbol)
    reason = _BY_SYMBOL.get(name)
    return reason.slug if reason else f"unknown ({name})"


def copy_reason_of(symbol: str) -> str:
    """The slug of the reason why this function copies packets, as `reason_of`."""
    name = _SUFFIXES.sub("", symbol)
    reason = _COPY_BY_SYMBOL.get(name)
    return reason.slug if reason else f"unknown copy ({name})"


def describe(slug: str) -> str:
    """The sentence of a reason.

    Parameters
    ----------
    slug
        As `reason_of` gives it, or ``unknown`` where nobody saw the caller.

    Raises
    ------
    KeyError
        There is no such reason.
    """
    if slug == "unknown":
        return "Nobody saw which function asked."
    for unknown, verb in (("unknown (", "clones"), ("unknown copy (", "copies")):
        if slug.startswith(unknown):
            return f"Why this function {verb} packets is not in the table of reasons."
    return _BY_SLUG[slug].text
