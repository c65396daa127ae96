/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Runs on_clone(ctx) once for each call of skb_clone(), by whichever probe was chosen: for programs
 * that ask only who is running. They define it before they include this file.
 *
 * A call is counted here, by an atomic add, whatever on_clone() does. By kprobe and fentry it is
 * seen at its entry, and by tracepoint as skb_seen.h says.
 */
#ifndef ON_CLONE_H
#define ON_CLONE_H

#include "skb_count.h"

static __always_inline void see_clone(void *ctx)
{
	count_one(CALLS);
	on_clone(ctx);
}

#if defined(PROBE_FENTRY) || defined(PROBE_KPROBE)

int on_clone_entry(void *ctx)
{
	see_clone(ctx);
	return 0;
}

#elif defined(PROBE_TRACEPOINT)

#include "skb_seen.h"

/* kmem_cache_alloc(call_site, ...) */
int on_alloc(struct bpf_raw_tracepoint_args *ctx)
{
	if (is_slab_clone(ctx->args[0]))
		see_clone(ctx);
	return 0;
}

/* net_dev_queue(skb) */
int on_queue(struct bpf_raw_tracepoint_args *ctx)
{
	u64 address = ctx->args[0];
	struct skb_copy skb;

	if (is_second_half(address) && read_skb(&skb, address) && is_fresh_fast_clone(&skb) &&
	    is_new_when_queued(address, &skb))
		see_clone(ctx);
	return 0;
}

/* consume_skb(skb, ...) and kfree_skb(skb, ...) */
int on_release(struct bpf_raw_tracepoint_args *ctx)
{
	u64 address = ctx->args[0];
	struct skb_copy skb;

	if (is_second_half(address) && read_skb(&skb, address) && is_fresh_fast_clone(&skb) &&
	    is_new_when_freed(address, &skb))
		see_clone(ctx);
	return 0;
}

#else
#error "the loader says which probe"
#endif

#endif
