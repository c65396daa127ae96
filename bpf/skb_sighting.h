/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Sightings: a clone seen again, at the next tracepoint that it passes, with its headers filled.
 *
 * skb_clone() returns before the packet has its network and link headers (TCP adds them after the
 * clone) or before anything is filled at all (a slab clone seen at its allocation). So what a living
 * clone says when it is seen next goes into a record of its own, joined by its number.
 */
#ifndef SKB_SIGHTING_H
#define SKB_SIGHTING_H

#include "skb_socket.h"
#include "skb_life.h"

enum {
	/* Elsewhere skb->dev shares its place with dev_scratch (udp_set_dev_scratch() in
	 * net/ipv4/udp.c), and only skb_iif can be trusted. */
	DEV_IS_VALID = 1,
	/* The running code is the socket's own. */
	SK_IS_USED = 2,
	/* TCP sends it. */
	TCP_SENDS = 4,
};

static __always_inline int sent_by(struct skb_copy *skb)
{
	return is_sent_by_tcp(skb) ? TCP_SENDS : 0;
}

/* The life of a packet of which no record has the headers; NULL for most of what passes. */
static __always_inline struct life *unfilled_life(u64 address)
{
	struct life *life = names_of(address) & NAMED_UNFILLED ? life_of(address) : NULL;

	return life && life->is_unfilled ? life : NULL;
}

static __always_inline void emit_sighting(void *ctx, u64 address, struct life *life,
					  struct skb_copy *skb, u64 sk, int how)
{
	struct skb_event stack, *e;
	bool tells_tcp;
	u64 number;

	/* Another packet may be at the address. */
	if ((fclone_of(skb) == FCLONE_ORIG || !cloned_of(skb)) && !wants(COPY))
		return;
	/* It may be seen again where it is the viewer's. */
	if (!would_see_packet(ctx, sk ? sk : SKB(skb, u64, SKB_SK)))
		return;
	number = life->number;
	tells_tcp = how & TCP_SENDS && !life->is_tcp_known;
	life->is_unfilled = 0;
	life->head = SKB(skb, u64, SKB_HEAD);
	count_one(SIGHTINGS);
	e = reserve(ctx, &stack, KIND_SIGHTING);
	if (!e)
		return;
	e->count = number;
	e->clone = address;
	e->present |= HAS_CLONE;
	set_socket(e, sk, how & SK_IS_USED);
	fill_packet(e, skb);
	if (tells_tcp)
		fill_tcp_sent(e, skb, sk);
	if (how & DEV_IS_VALID) {
		fill_device(e, SKB(skb, u64, SKB_DEV));
	} else if (SKB(skb, u32, SKB_IIF)) {
		e->ifindex = SKB(skb, u32, SKB_IIF);
		e->present |= HAS_IFINDEX;
	}
	submit(ctx, e);
}

/* Whether what this socket receives is freed, when it was read, without a sign. */
static __always_inline bool vanishes(u64 sk)
{
#if defined(UDP_DEFERS_FREE) && defined(SK_PROTOCOL)
	return READ(u16, sk + SK_PROTOCOL) == 17;	/* UDP */
#else
	return false;
#endif
}

/*
 * sk_data_ready(sk), since Linux 6.3: the last packet of its queue has just been put there. Of a
 * datagram this is the only sight of its socket: UDP never sets skb->sk.
 */
int on_data_ready(struct bpf_raw_tracepoint_args *ctx)
{
	u64 sk = ctx->args[0], last = READ(u64, sk + SK_LAST_RECEIVED);
	struct life *life = life_of(last);
	struct skb_copy skb;

	if (!life)
		return 0;
	life->may_vanish = vanishes(sk);
	if (life->is_unfilled && read_skb(&skb, last))
		emit_sighting(ctx, last, life, &skb, sk, 0);
	return 0;
}

/* netif_receive_skb(skb) */
int on_receive(struct bpf_raw_tracepoint_args *ctx)
{
	struct life *life = unfilled_life(ctx->args[0]);
	struct skb_copy skb;

	if (life && read_skb(&skb, ctx->args[0]))
		emit_sighting(ctx, ctx->args[0], life, &skb, SKB(&skb, u64, SKB_SK),
			      DEV_IS_VALID);
	return 0;
}

/* skb_copy_datagram_iovec(skb, len) */
int on_copy_to_user(struct bpf_raw_tracepoint_args *ctx)
{
	struct life *life = unfilled_life(ctx->args[0]);
	struct skb_copy skb;

	if (life && read_skb(&skb, ctx->args[0]))
		emit_sighting(ctx, ctx->args[0], life, &skb, SKB(&skb, u64, SKB_SK),
			      SK_IS_USED);
	return 0;
}

/* Every packet handed to a device, by the task that hands it: stacked devices count it again. */
static __always_inline void count_sent(void)
{
	count_one(SENT_OTHER + scope_of(bpf_get_current_pid_tgid()) - SCOPE_OTHER);
}

/* Each probe's own: a packet that is about to be freed. */
static __always_inline void see_release(void *ctx, u64 address);

static __always_inline void release(void *ctx, u64 address, u8 kind, u32 reason)
{
	see_release(ctx, address);
	end_packet(ctx, address, kind, reason);
}

/* consume_skb(skb, ...): it was used. */
int on_consume(struct bpf_raw_tracepoint_args *ctx)
{
	release(ctx, ctx->args[0], KIND_CONSUMED, 0);
	return 0;
}

/* kfree_skb(skb, location, reason, ...): it was thrown away; the reason since Linux 5.17. */
int on_drop(struct bpf_raw_tracepoint_args *ctx)
{
#ifdef DROP_REASONS
	release(ctx, ctx->args[0], KIND_DROPPED, ctx->args[2]);
#else
	release(ctx, ctx->args[0], KIND_DROPPED, 0);
#endif
	return 0;
}

#endif
