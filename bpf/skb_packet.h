/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a packet says of itself. No loops over user data, no helper that sleeps; a read that fails
 * leaves its member absent.
 */
#ifndef SKB_PACKET_H
#define SKB_PACKET_H

#include "skb_bytes.h"

static __always_inline u16 swap16(u16 x)
{
	return __builtin_bswap16(x);
}

static __always_inline u32 swap32(u32 x)
{
	return __builtin_bswap32(x);
}

static __always_inline void fill_device(struct skb_event *e, u64 dev)
{
	if (!dev)
		return;
	e->ifindex = READ(u32, dev + DEV_IFINDEX);
	e->netns = READ(u32, READ(u64, dev + DEV_NET) + NET_INUM);
	/* Behind its end may be what is left of a longer one. */
	if (bpf_probe_read_kernel_str(e->dev, sizeof(e->dev), (void *)(dev + DEV_NAME)) > 0)
		e->present |= HAS_IFINDEX | HAS_DEV;
}

/* Of TCP, its flags and sequence number, too. */
static __always_inline void fill_ports(struct skb_event *e, u64 header, bool is_tcp)
{
	BYTES(t, 16, header);

	e->sport = swap16(NUMBER(t, u16, 0));
	e->dport = swap16(NUMBER(t, u16, 2));
	e->present |= HAS_PORTS;
	if (!is_tcp)
		return;
	e->seq = swap32(NUMBER(t, u32, 4));
	e->tcp_flags = t[13];
	e->present |= HAS_TCP;
}

/* `room` is what is left of the linear part. */
static __always_inline void fill_transport(struct skb_event *e, u64 header, s64 room)
{
	switch (e->protocol) {
	case 6:			/* TCP */
	case 17:		/* UDP */
	case 132:		/* SCTP */
	case 136:		/* UDP-Lite */
		break;
	default:
		return;
	}
	if (room < 8)
		return;
	fill_ports(e, header, e->protocol == 6 && room >= 20);
}

static __always_inline void fill_ipv4(struct skb_event *e, u64 header, s64 room)
{
	BYTES(ip, 20, header);

	if (room < 20 || ip[0] >> 4 != 4)
		return;
	e->family = 2;		/* AF_INET */
	e->protocol = ip[9];
	__builtin_memcpy(e->saddr, ip + 12, 4);
	__builtin_memcpy(e->daddr, ip + 16, 4);
	e->present |= HAS_ADDRESSES;
	if ((ip[6] & 0x1f) | ip[7])
		return;		/* not the first fragment: no transport header */
	fill_transport(e, header + (ip[0] & 15) * 4, room - (ip[0] & 15) * 4);
}

/* `protocol` is the next header's number; behind an extension header the ports stay absent. */
static __always_inline void fill_ipv6(struct skb_event *e, u64 header, s64 room)
{
	BYTES(ip, 40, header);

	if (room < 40 || ip[0] >> 4 != 6)
		return;
	e->family = 10;		/* AF_INET6 */
	e->protocol = ip[6];
	__builtin_memcpy(e->saddr, ip + 8, 16);
	__builtin_memcpy(e->daddr, ip + 24, 16);
	e->present |= HAS_ADDRESSES;
	fill_transport(e, header + 40, room - 40);
}

/*
 * What the packet itself says. Only the linear part is read: head to tail. The transport header
 * is found from the IP header, because skb->transport_header is reset for taps
 * (dev_queue_xmit_nit() in net/core/dev.c).
 */
static __always_inline void fill_packet(struct skb_event *e, struct skb_copy *skb)
{
	u32 len = SKB(skb, u32, SKB_LEN), linear = len - SKB(skb, u32, SKB_DATA_LEN);
	u64 header = SKB(skb, u64, SKB_HEAD) + SKB(skb, u16, SKB_NETWORK_HEADER);
	s64 room = SKB(skb, u64, SKB_DATA) + linear - header;

	if (!sees_packet(e, SKB(skb, u64, SKB_SK)))
		return;
	e->len = len;
	e->ethertype = swap16(SKB(skb, u16, SKB_PROTOCOL));
	e->present |= HAS_LEN | HAS_ETHERTYPE;
	fill_bytes(e, skb);
	if (e->ethertype == 0x0800)
		fill_ipv4(e, header, room);
	else if (e->ethertype == 0x86dd)
		fill_ipv6(e, header, room);
}

/*
 * Whether TCP sends a packet again: what it sends for the first time begins at snd_nxt, which moves
 * on after that; and it counts what it sends again beforehand (__tcp_retransmit_skb() in
 * net/ipv4/tcp_output.c), so that nothing is taken for that which only waits to be queued.
 */
static __always_inline bool is_sent_again(u64 sk, u32 seq)
{
	return READ(u32, sk + TCP_TOTAL_RETRANS) && (s32)(seq - READ(u32, sk + TCP_SND_NXT)) < 0;
}

/*
 * What TCP notes about a packet that it keeps until it is acknowledged: only the packet that was
 * cloned has this, because IP overwrites the clone's.
 */
static __always_inline void fill_tcp_cb(struct skb_event *e, u64 parent, u64 sk)
{
	BYTES(cb, TCP_CB_FLAGS + 1, parent + SKB_CB);

	e->seq = NUMBER(cb, u32, TCP_CB_SEQ);
	e->end_seq = NUMBER(cb, u32, TCP_CB_END_SEQ);
	e->tcp_flags = cb[TCP_CB_FLAGS];
	e->again = is_sent_again(sk, e->seq);
	e->present |= HAS_TCP | HAS_TCP_CB;
}

/* The same from the headers of a packet that TCP sends, where no record has what TCP notes. */
static __always_inline void fill_tcp_sent(struct skb_event *e, struct skb_copy *skb, u64 sk)
{
	u64 header = SKB(skb, u64, SKB_HEAD) + SKB(skb, u16, SKB_NETWORK_HEADER), end;

	if (!(e->present & HAS_TCP))
		return;
	header += e->family == 2 ? (READ(u8, header) & 15) * 4 : 40;
	end = SKB(skb, u64, SKB_DATA) + e->len;
	e->end_seq = e->seq + (u32)(end - header) - (READ(u8, header + 12) >> 4) * 4;
	e->end_seq += (e->tcp_flags & 1) + (e->tcp_flags >> 1 & 1);	/* FIN, SYN */
	e->again = is_sent_again(sk, e->seq);
	e->present |= HAS_TCP_CB;
}

#endif
