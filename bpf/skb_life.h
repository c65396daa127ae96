/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which packet is which: an address is reused within microseconds, so a packet is told by the
 * number of the call that first saw it, kept from then until the packet is freed.
 */
#ifndef SKB_LIFE_H
#define SKB_LIFE_H

#include "skb_record.h"

struct life {
	u64 number;		/* of the call that first saw it, as its parent or its clone */
	u64 head;		/* its data, or 0 before they were seen */
	u64 tstamp;		/* of a second half that was seen when it was queued */
	u8 is_made;		/* that call made it: its end is of interest */
	u8 is_shared;		/* a clone has the same data: it is marked as cloned */
	u8 is_unfilled;		/* no record has its headers yet */
	u8 is_tcp_known;	/* its call's record says what TCP notes about it */
	u8 may_vanish;		/* it can be freed, and its address reused, without a sign */
	u8 is_second;		/* it is the second half of a pair, and freed with the first */
};

/* struct sk_buff -> its life. Not of the kind that forgets: what does not fit is counted. */
BPF_TABLE("hash", u64, struct life, living, 131072);

/*
 * Addresses that had a life, roughly: one byte for many addresses. Of what the kernel frees little
 * is a packet, and this is a tenth of the cost of looking it up.
 */
struct named {
	u8 at[65536];
};

BPF_ARRAY(named, struct named, 1);

static __always_inline u8 *named_place(u64 address)
{
	int zero = 0;
	struct named *all = named.lookup(&zero);

	return all ? &all->at[(address >> 8 ^ address >> 24) & 0xffff] : NULL;
}

static __always_inline bool was_named(u64 address)
{
	u8 *place = named_place(address);

	return place && *place;
}

static __always_inline u64 head_of(u64 address)
{
	u64 head = 0;

	bpf_probe_read_kernel(&head, sizeof(head), (void *)(address + SKB_HEAD));
	return head;
}

static __always_inline bool begin_life(u64 address, struct life *life)
{
	u8 *place = named_place(address);

	if (place)
		*place = 1;
	if (!living.update(&address, life))
		return true;
	count_one(UNTRACKED);
	return false;
}

/*
 * Whether what is at an address is still the packet that was. The kernel keeps some packets for
 * reuse and tells nobody (napi_skb_cache_put() in net/core/skbuff.c); the next one there is not
 * marked as cloned, or has other data. So has a packet that got data of its own since, which is
 * taken for another one: its family and its end stay unknown. Those that come in pairs are not
 * kept.
 */
static __always_inline bool is_the_same(u64 address, struct life *life)
{
	u8 byte = 0;

	if (!life->is_shared)
		return true;
	bpf_probe_read_kernel(&byte, sizeof(byte), (void *)(address + SKB_CLONED_BYTE));
	if (byte >> SKB_FCLONE_BIT & 3)
		return true;
	if (life->head && life->head != head_of(address))
		return false;
	return byte >> SKB_CLONED_BIT & 1;
}

/* A packet is about to be cloned, and so marked. */
static __always_inline void before_clone(u64 parent)
{
	struct life *life;

	if (!was_named(parent))
		return;
	life = living.lookup(&parent);
	if (life && !is_the_same(parent, life))
		living.delete(&parent);
}

/* Say which packet the record's parent is. */
static __always_inline void set_origin(struct skb_event *e)
{
	bool shares = e->kind == KIND_CLONE;
	struct life fresh = { .number = e->count, .is_shared = shares }, *known;
	u64 parent = e->parent;

	known = living.lookup(&parent);
	if (!known && !begin_life(parent, &fresh))
		return;
	if (known && shares)
		known->is_shared = 1;
	e->origin = known ? known->number : fresh.number;
	e->present |= HAS_ORIGIN;
}

/*
 * The record's call has made this packet, and `tstamp` is when it was queued, if it was. False, and
 * counted, if its life cannot be kept.
 */
static __always_inline bool set_made(struct skb_event *e, u64 made, bool is_unfilled, u64 tstamp)
{
	struct life life = {
		.number = e->count,
		/* Just allocated, it has none yet. */
		.head = is_unfilled && !(e->present & HAS_PARENT) ? 0 : head_of(made),
		.tstamp = tstamp,
		.is_made = 1,
		.is_shared = e->kind == KIND_CLONE,
		.is_unfilled = is_unfilled,
		.is_tcp_known = !!(e->present & HAS_TCP_CB),
		.is_second = e->path == PATH_FAST,
	};

	e->clone = made;
	e->present |= HAS_CLONE;
	return begin_life(made, &life);
}

static __always_inline void emit_end(void *ctx, u64 number, u8 kind, u32 reason)
{
	struct skb_event stack, *e = reserve_bare(&stack, kind);

	if (!e)
		return;
	e->count = number;
#ifdef DROP_REASONS
	if (kind == KIND_DROPPED) {
		e->drop_reason = reason;
		e->present |= HAS_DROP_REASON;
	}
#endif
	submit(ctx, e);
}

/* Where calls are not seen with their argument, the next packet may be marked as cloned, too. */
static __always_inline bool is_known_end(u64 address, struct life *life)
{
#ifdef ARGUMENTS_UNSEEN
	if (life->may_vanish)
		return false;
#endif
	return is_the_same(address, life);
}

static __always_inline void end_life(void *ctx, u64 address, u8 kind, u32 reason)
{
	struct life *life = living.lookup(&address);

	if (!life)
		return;
	if (life->is_made && wants(FOLLOW) && is_known_end(address, life))
		emit_end(ctx, life->number, kind, reason);
	living.delete(&address);
}

/*
 * kmem_cache_free(call_site, ptr, ...): some packets pass no other tracepoint when they are freed,
 * as __kfree_skb() of a datagram that was read (skb_attempt_defer_free() in net/core/skbuff.c). The
 * call site tells nothing: kfree_skbmem() may jump, and be jumped to. A pair is freed when both of
 * its halves are.
 */
int on_free_object(struct bpf_raw_tracepoint_args *ctx)
{
	u64 first = ctx->args[1], second = first + SKB_SIZE;
	struct life *life;

	if (!was_named(first))
		return 0;
	end_life(ctx, first, KIND_FREED, 0);
	life = living.lookup(&second);
	if (life && life->is_second)
		end_life(ctx, second, KIND_FREED, 0);
	return 0;
}

#endif
