/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Sightings: a clone seen again, at the next tracepoint that it passes, with its headers filled.
 *
 * skb_clone() returns before the packet has its network and link headers (TCP adds them after the
 * clone) or before anything is filled at all (a slab clone seen at its allocation). So a clone's
 * address is remembered with the number of its call, and what the packet says goes into a record
 * of its own, joined by that number. An address is reused within microseconds: it is forgotten
 * when it is seen, and a packet that is no clone any more is another one.
 */
#ifndef SKB_SIGHTING_H
#define SKB_SIGHTING_H

#include "skb_common.h"

BPF_TABLE("lru_hash", u64, u64, unfilled, 65536);	/* clone -> the number of its call */

static __always_inline void remember(u64 clone, u64 count)
{
	unfilled.update(&clone, &count);
}

static __always_inline bool read_skb(struct skb_copy *skb, u64 address)
{
	return !bpf_probe_read_kernel(skb, sizeof(*skb), (void *)address);
}

/*
 * `dev_is_valid`: elsewhere skb->dev shares its place with dev_scratch
 * (udp_set_dev_scratch() in net/ipv4/udp.c), and only skb_iif can be trusted.
 */
static __always_inline void emit_sighting(void *ctx, u64 address, struct skb_copy *skb,
					  bool dev_is_valid)
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
	e = reserve(&stack, KIND_SIGHTING, SIGHTINGS_LOST);
	if (!e)
		return;
	e->count = count;
	e->clone = address;
	e->present |= HAS_CLONE;
	e->sk = SKB(skb, u64, SKB_SK);
	if (e->sk)
		e->present |= HAS_SK;
	fill_packet(e, skb);
	if (dev_is_valid) {
		fill_device(e, SKB(skb, u64, SKB_DEV));
	} else if (SKB(skb, u32, SKB_IIF)) {
		e->ifindex = SKB(skb, u32, SKB_IIF);
		e->present |= HAS_IFINDEX;
	}
	submit(ctx, e);
}

/* netif_receive_skb(skb) */
int on_receive(struct bpf_raw_tracepoint_args *ctx)
{
	struct skb_copy skb;

	if (read_skb(&skb, ctx->args[0]))
		emit_sighting(ctx, ctx->args[0], &skb, true);
	return 0;
}

/* skb_copy_datagram_iovec(skb, len) */
int on_copy_to_user(struct bpf_raw_tracepoint_args *ctx)
{
	struct skb_copy skb;

	if (read_skb(&skb, ctx->args[0]))
		emit_sighting(ctx, ctx->args[0], &skb, false);
	return 0;
}

#endif
