// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every skb_clone() call without kprobes and without fentry.
 *
 * Attaches to raw tracepoints: kmem_cache_alloc, net_dev_queue, consume_skb, kfree_skb, and those
 * of skb_sighting.h, skb_life.h, skb_socket.h, skb_cgroup.h and skb_scope.h. Copies are allocated
 * as any packet is, and told by the stack.
 *
 * Emits: one record per call, as skb_seen.h sees them. What a slab clone carries comes from a
 * sighting (skb_sighting.h).
 *
 * Cannot see: the parent of a slab clone; a fast clone before it is queued (its record is stamped
 * when it is queued: microseconds later, but if it has to wait for its neighbour's address by
 * another task, too); fast clones that are not TCP's (TIPC); calls that fail before they allocate
 * (skb_orphan_frags()); that a copy failed after its struct sk_buff was allocated; since Linux 6.18
 * the ends of clones that a UDP socket received; before Linux 5.15 copies made by a function that
 * another tool has a kretprobe on.
 *
 * Cost: a compare per slab allocation, one read of the sk_buff per packet queued, received,
 * copied to user space or freed.
 */
#define ARGUMENTS_UNSEEN
#include "skb_caller.h"
#include "skb_sighting.h"
#include "skb_seen.h"
#include "skb_stack.h"

static __always_inline void emit_slab(void *ctx, u64 clone)
{
	u64 caller = caller_from_stack(ctx, SKB_CLONE);
	struct skb_event stack, *e = reserve_call(ctx, &stack, clone ? KIND_CLONE : KIND_FAILED);

	if (!e)
		return;
	e->path = PATH_SLAB;
	if (clone)
		set_made(e, clone, true, 0);
	if (caller)
		set_caller(e, caller);
	set_stack(e, stack_id(ctx));
	submit(ctx, e);
}

/* Any packet is allocated there; copies by the functions that copy. */
static __always_inline void emit_if_copy(void *ctx, u64 copy)
{
	u64 caller = caller_from_stack(ctx, ANY_COPY);
	struct skb_event stack, *e;

	if (!caller)
		return;
	e = reserve_copy(ctx, &stack, copy ? KIND_COPY : KIND_COPY_FAILED);
	if (!e)
		return;
	if (copy)
		set_made(e, copy, true, 0);
	set_caller(e, caller);
	set_stack(e, stack_id(ctx));
	submit(ctx, e);
}

/* kmem_cache_alloc(call_site, ptr, ...) and kmem_cache_alloc_node(call_site, ptr, ...) */
int on_alloc(struct bpf_raw_tracepoint_args *ctx)
{
	u64 site = ctx->args[0], made = ctx->args[1];

	if (is_slab_clone(site))
		emit_slab(ctx, made);
#ifdef ALLOC_SKB_START
	else if (site >= ALLOC_SKB_START && site < ALLOC_SKB_END && wants(COPY))
		emit_if_copy(ctx, made);
#endif
	return 0;
}

/*
 * Whether a fast clone that is queued, or freed, is one that was not seen before. Its life tells, or
 * what skb_seen.h keeps of those that have no record or no room for a life: that is asked only once
 * there was one.
 */
static __always_inline bool is_new(u64 address, struct skb_copy *skb)
{
	u64 tstamp = SKB(skb, u64, SKB_TSTAMP);
	struct life *life = living.lookup(&address);

	if (life && life->is_second)
		return tstamp && tstamp != life->tstamp;
	return !((has_counted(LOST) || has_counted(LIMITED) || has_counted(UNTRACKED)) &&
		 was_queued(address, tstamp));
}

static __always_inline void emit_fast(void *ctx, u64 address, struct skb_copy *skb)
{
	u64 tstamp = SKB(skb, u64, SKB_TSTAMP);
	struct skb_event stack, *e = reserve_call(ctx, &stack, KIND_CLONE);

	if (!e) {
		queued.update(&address, &tstamp);
		return;
	}
	e->path = PATH_FAST;
	e->parent = address - SKB_SIZE;		/* struct sk_buff_fclones: skb1, skb2 */
	e->present |= HAS_PARENT;
	set_origin(e);
	if (!set_made(e, address, false, tstamp))
		queued.update(&address, &tstamp);
	set_socket(e, SKB(skb, u64, SKB_SK), true);
	fill_tcp_cb(e, e->parent, e->sk);
#ifdef TCP_TRANSMIT_SKB_START
	set_caller(e, TCP_TRANSMIT_SKB_START);
#endif
	fill_packet(e, skb);
	fill_from_socket(e, e->sk);
	fill_device(e, SKB(skb, u64, SKB_DEV));
	set_stack(e, stack_id(ctx));
	submit(ctx, e);
}

/* net_dev_queue(skb) */
int on_queue(struct bpf_raw_tracepoint_args *ctx)
{
	u64 address = ctx->args[0];
	struct life *life = unfilled_life(address);
	struct skb_copy skb;

	count_sent();
	if (!(life || is_second_half(address)) || !read_skb(&skb, address))
		return 0;
	if (is_fresh_fast_clone(&skb)) {
		if (is_new(address, &skb))
			emit_fast(ctx, address, &skb);
	} else if (life) {
		emit_sighting(ctx, address, life, &skb, SKB(&skb, u64, SKB_SK),
			      DEV_IS_VALID | SK_IS_USED | sent_by(&skb));
	}
	return 0;
}

static __always_inline void see_release(void *ctx, u64 address)
{
	struct life *life = unfilled_life(address);
	struct skb_copy skb;

	if (!(life || is_second_half(address)) || !read_skb(&skb, address))
		return;
	if (is_fresh_fast_clone(&skb)) {
		if (is_new(address, &skb))
			emit_fast(ctx, address, &skb);
	} else if (life) {
		emit_sighting(ctx, address, life, &skb, SKB(&skb, u64, SKB_SK), 0);
	}
}
