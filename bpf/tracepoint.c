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
#include "skb_way.h"

static __always_inline void emit_slab(void *ctx, u64 clone)
{
	u64 caller = caller_further_out(ctx);
	struct skb_event stack, *e = reserve_call(ctx, &stack, clone ? KIND_CLONE : KIND_FAILED);

	if (!e)
		return;
	e->path = PATH_SLAB;
	if (clone)
		set_made(e, clone, false);
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
		set_made(e, copy, false);
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

/* Whether there was a clone without a record, or without room for its life: skb_seen.h keeps those. */
static __always_inline bool has_unkept(void)
{
	return has_counted(LOST) || has_counted(LIMITED) || has_counted(UNTRACKED);
}

/* Whether a fast clone that is queued, or freed, is one that was not seen before. */
static __always_inline bool is_new(u64 address, struct life *life, struct skb_copy *skb)
{
	u64 tstamp = SKB(skb, u64, SKB_TSTAMP);

	if (life && life->is_second)
		return tstamp && tstamp != life->tstamp;
	return !(has_unkept() && was_queued(address, tstamp));
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
	set_socket(e, SKB(skb, u64, SKB_SK), true);
	fill_tcp_cb(e, e->parent, e->sk);
	if (!set_second(e, address, false, tstamp))
		queued.update(&address, &tstamp);
#ifdef TCP_TRANSMIT_SKB_START
	set_caller(e, TCP_TRANSMIT_SKB_START);
#endif
	fill_packet(e, skb);
	fill_from_socket(e, e->sk);
	fill_device(e, SKB(skb, u64, SKB_DEV));
	set_stack(e, stack_id(ctx));
	submit(ctx, e);
}

/* Emit a fast clone that was not seen, or a sighting of another clone; `how` as for emit_sighting(). */
static __always_inline void see(void *ctx, u64 address, int how)
{
	struct life *life = life_of(address);
	bool is_unfilled = life && life->is_unfilled;
	struct skb_copy skb;

	if (!(is_unfilled || is_second_half(address)) || !read_skb(&skb, address))
		return;
	if (!is_fresh_fast_clone(&skb)) {
		if (is_unfilled)
			emit_sighting(ctx, address, life, &skb, SKB(&skb, u64, SKB_SK),
				      how ? how | sent_by(&skb) : 0);
	} else if (is_new(address, life, &skb)) {
		emit_fast(ctx, address, &skb);
	}
}

/* net_dev_queue(skb) */
int on_queue(struct bpf_raw_tracepoint_args *ctx)
{
	count_sent();
	see(ctx, ctx->args[0], DEV_IS_VALID | SK_IS_USED);
	return 0;
}

static __always_inline void see_release(void *ctx, u64 address)
{
	see(ctx, address, 0);
	if (has_unkept())
		queued.delete(&address);
}
