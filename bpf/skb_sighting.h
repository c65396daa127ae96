/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Sightings: a clone seen again, at the next tracepoint that it passes, with its headers filled.
 *
 * skb_clone() returns before the packet has its network and link headers (TCP adds them after the
 * clone) or before anything is filled at all (a slab clone seen at its allocation). So a clone's
 * address is remembered with the number of its call, and what the packet says goes into a record
 * of its own, joined by that number. An address is reused within microseconds: it is forgotten
 * when it is seen, or freed without having been seen.
 */
#ifndef SKB_SIGHTING_H
#define SKB_SIGHTING_H

#include "skb_packet.h"
#include "skb_socket.h"

BPF_TABLE("lru_hash", u64, u64, unfilled, 65536);	/* clone -> the number of its call */

static __always_inline void remember(u64 clone, u64 count)
{
	unfilled.update(&clone, &count);
}

enum {
	/* Elsewhere skb->dev shares its place with dev_scratch (udp_set_dev_scratch() in
	 * net/ipv4/udp.c), and only skb_iif can be trusted. */
	DEV_IS_VALID = 1,
	/* The running code is the socket's own. */
	SK_IS_USED = 2,
};

static __always_inline void emit_sighting(void *ctx, u64 address, struct skb_copy *skb, u64 sk,
					  int how)
{
	struct skb_event stack, *e;
	u64 *found, count;

	if (fclone_of(skb) == FCLONE_ORIG || !cloned_of(skb))
		return;
	found = unfilled.lookup(&address);
	if (!found)
		return;
	count = *found;
	unfilled.delete(&address);
	count_one(SIGHTINGS);
	e = reserve(ctx, &stack, KIND_SIGHTING, SIGHTINGS_LOST);
	if (!e)
		return;
	e->count = count;
	e->clone = address;
	e->present |= HAS_CLONE;
	set_socket(e, sk, how & SK_IS_USED);
	fill_packet(e, skb);
	if (how & DEV_IS_VALID) {
		fill_device(e, SKB(skb, u64, SKB_DEV));
	} else if (SKB(skb, u32, SKB_IIF)) {
		e->ifindex = SKB(skb, u32, SKB_IIF);
		e->present |= HAS_IFINDEX;
	}
	submit(ctx, e);
}

/*
 * kmem_cache_free(call_site, ptr, ...): some packets pass no tracepoint when they are freed, as
 * __kfree_skb() of a datagram that was read (skb_attempt_defer_free() in net/core/skbuff.c).
 */
int on_free_object(struct bpf_raw_tracepoint_args *ctx)
{
#ifdef KFREE_SKBMEM_START
	u64 site = ctx->args[0], object = ctx->args[1];

	if (site >= KFREE_SKBMEM_START && site < KFREE_SKBMEM_END)
		unfilled.delete(&object);
#endif
	return 0;
}

/*
 * sk_data_ready(sk), since Linux 6.3: the last packet of its queue has just been put there. Of a
 * datagram this is the only sight of its socket: UDP never sets skb->sk.
 */
int on_data_ready(struct bpf_raw_tracepoint_args *ctx)
{
	u64 sk = ctx->args[0], last = read_word(sk + SK_LAST_RECEIVED);
	struct skb_copy skb;

	if (unfilled.lookup(&last) && read_skb(&skb, last))
		emit_sighting(ctx, last, &skb, sk, 0);
	return 0;
}

/* netif_receive_skb(skb) */
int on_receive(struct bpf_raw_tracepoint_args *ctx)
{
	struct skb_copy skb;

	if (read_skb(&skb, ctx->args[0]))
		emit_sighting(ctx, ctx->args[0], &skb, SKB(&skb, u64, SKB_SK), DEV_IS_VALID);
	return 0;
}

/* skb_copy_datagram_iovec(skb, len) */
int on_copy_to_user(struct bpf_raw_tracepoint_args *ctx)
{
	struct skb_copy skb;

	if (read_skb(&skb, ctx->args[0]))
		emit_sighting(ctx, ctx->args[0], &skb, SKB(&skb, u64, SKB_SK), SK_IS_USED);
	return 0;
}

#endif
