/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which packet is which: an address is reused within microseconds, so a packet is told by the
 * number of the call that first saw it, kept from then until the packet is freed.
 */
#ifndef SKB_LIFE_H
#define SKB_LIFE_H

#include "skb_record.h"

struct life {
	u64 number;		/* of the call that first saw it, as its parent or its clone; 0: no life */
	u64 head;		/* its data, or 0 before they were seen */
	u64 tstamp;		/* of a second half that was seen when it was queued */
	u8 is_made;		/* that call made it: its end is of interest */
	u8 is_shared;		/* a clone has the same data: it is marked as cloned */
	u8 is_unfilled;		/* no record has its headers yet */
	u8 is_tcp_known;	/* its call's record says what TCP notes about it */
	u8 may_vanish;		/* it can be freed, and its address reused, without a sign */
	u8 is_second;		/* it is the second half of a pair, and freed with the first */
};

/* What is freed together. */
struct lives {
	struct life own;	/* of the packet that begins there */
	struct life second;	/* of a pair: of the other half, while it is the first one's clone */
};

/*
 * struct sk_buff -> its life. Not of the kind that forgets: what does not fit is counted. The place of a
 * packet that is gone is kept for the next one at its address, because to make room and to give it back
 * takes longer than to find it; but not more than SPARE of all.
 */
#define LIVES 131072
#define SPARE (LIVES / 4)
BPF_TABLE("hash", u64, struct lives, living, LIVES);

/* Where a packet's life is, if it has one: one byte for many addresses, so only roughly. */
enum {
	NAMED = 1,		/* under its own address */
	NAMED_SECOND = 2,	/* under that of the first half of its pair */
	NAMED_UNFILLED = 4,	/* and it began unfilled */
};

/*
 * Of what the kernel frees little is a packet, and this is a tenth of the cost of looking it up.
 */
struct named {
	u8 at[65536];
	u64 places;		/* that there are in the table */
};

BPF_ARRAY(named, struct named, 1);

static __always_inline struct named *all_named(void)
{
	int zero = 0;

	return named.lookup(&zero);
}

static __always_inline u8 *named_place(u64 address)
{
	struct named *all = all_named();

	return all ? &all->at[(address >> 8 ^ address >> 24) & 0xffff] : NULL;
}

static __always_inline u8 names_of(u64 address)
{
	u8 *place = named_place(address);

	return place ? *place : 0;
}

static __always_inline void mark(u64 address, u8 how)
{
	u8 *place = named_place(address);

	if (place && (*place & how) != how)
		*place |= how;
}

/* The pair of which this is a living second half. */
static __always_inline struct lives *pair_of(u64 address)
{
	u64 first = address - SKB_SIZE;
	struct lives *found = names_of(address) & NAMED_SECOND ? living.lookup(&first) : NULL;

	return found && found->second.number ? found : NULL;
}

/* What is kept under an address, living or not. */
static __always_inline struct lives *lives_at(u64 address)
{
	return names_of(address) & NAMED ? living.lookup(&address) : NULL;
}

static __always_inline struct life *life_of(u64 address)
{
	struct lives *found = pair_of(address);

	if (found)
		return &found->second;
	found = lives_at(address);
	return found && found->own.number ? &found->own : NULL;
}

static __always_inline u64 head_of(u64 address)
{
	return READ(u64, address + SKB_HEAD);
}

static __always_inline bool begin_lives(u64 address, struct lives *lives)
{
	struct lives *place = lives_at(address), *pair = pair_of(address);
	struct named *all = all_named();

	/* It was a second half before, and its end was not seen. */
	if (pair)
		pair->second.number = 0;
	if (lives->own.is_unfilled)
		mark(address, NAMED_UNFILLED);
	if (place) {
		*place = *lives;
		return true;
	}
	if (living.update(&address, lives)) {
		count_one(UNTRACKED);
		return false;
	}
	mark(address, NAMED);
	if (all)
		__sync_fetch_and_add(&all->places, 1);
	return true;
}

/* Nothing lives at an address any more. */
static __always_inline void end_lives(u64 address, struct lives *place)
{
	struct named *all = all_named();

	place->own.number = place->second.number = 0;
	if (!all || all->places <= SPARE || living.delete(&address))
		return;
	__sync_fetch_and_add(&all->places, -1);
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
	u8 byte;

	if (!life->is_shared)
		return true;
	byte = READ(u8, address + SKB_CLONED_BYTE);
	if (byte >> SKB_FCLONE_BIT & 3)
		return true;
	if (life->head && life->head != head_of(address))
		return false;
	return byte >> SKB_CLONED_BIT & 1;
}

/* A packet is about to be cloned, and so marked. */
static __always_inline void before_clone(u64 parent)
{
	struct lives *lives = lives_at(parent);

	if (lives && !is_the_same(parent, &lives->own))
		end_lives(parent, lives);
}

static __always_inline void number_origin(struct skb_event *e, u64 number)
{
	e->origin = number;
	e->present |= HAS_ORIGIN;
}

/* Say which packet the record's parent is. */
static __always_inline void set_origin(struct skb_event *e)
{
	bool shares = e->kind == KIND_CLONE;
	struct lives fresh = { .own = { .number = e->count, .is_shared = shares } };
	struct life *known = life_of(e->parent);

	if (!known && !begin_lives(e->parent, &fresh))
		return;
	if (known && shares)
		known->is_shared = 1;
	number_origin(e, known ? known->number : e->count);
}

/* Begin the life of the packet that the record's call has made. */
static __always_inline void set_life(struct skb_event *e, struct life *life, u64 made)
{
	life->number = e->count;
	life->is_made = 1;
	life->is_shared = e->kind == KIND_CLONE;
	life->is_tcp_known = !!(e->present & HAS_TCP_CB);
	e->clone = made;
	e->present |= HAS_CLONE;
}

/* The record's call has made this packet. `has_data`: what it is made of, too. */
static __always_inline void set_made(struct skb_event *e, u64 made, bool has_data)
{
	struct lives lives = { .own = { .is_unfilled = 1 } };

	if (has_data)
		lives.own.head = head_of(made);
	set_life(e, &lives.own, made);
	begin_lives(made, &lives);
}

/*
 * The same, where the packet is the second half of the pair whose first half was cloned; `tstamp` is
 * when it was queued, if it was. False, and counted, if its life cannot be kept.
 */
static __always_inline bool set_second(struct skb_event *e, u64 made, bool is_unfilled, u64 tstamp)
{
	u64 first = e->parent;
	struct lives *known = lives_at(first), *other = lives_at(made);
	struct lives fresh = {
		.own = { .number = e->count, .is_shared = 1 },
		.second = {
			.head = head_of(made),
			.tstamp = tstamp,
			.is_unfilled = is_unfilled,
			.is_second = 1,
		},
	};

	set_life(e, &fresh.second, made);
	if (other)
		end_lives(made, other);
	mark(made, is_unfilled ? NAMED_SECOND | NAMED_UNFILLED : NAMED_SECOND);
	if (known && known->own.number) {
		number_origin(e, known->own.number);
		known->own.is_shared = 1;
		known->second = fresh.second;
		return true;
	}
	if (!begin_lives(first, &fresh))
		return false;
	number_origin(e, e->count);
	return true;
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

static __always_inline void end_life(void *ctx, u64 address, struct life *life, u8 kind, u32 reason)
{
	if (life->number && life->is_made && wants(FOLLOW) && is_known_end(address, life))
		emit_end(ctx, life->number, kind, reason);
	life->number = 0;
}

/* A packet is about to be freed. */
static __always_inline void end_packet(void *ctx, u64 address, u8 kind, u32 reason)
{
	struct lives *lives = pair_of(address);

	if (lives) {
		end_life(ctx, address, &lives->second, kind, reason);
		return;
	}
	lives = lives_at(address);
	if (!lives)
		return;
	end_life(ctx, address, &lives->own, kind, reason);
	if (!lives->second.number)
		end_lives(address, lives);
}

/*
 * kmem_cache_free(call_site, ptr, ...): some packets pass no other tracepoint when they are freed,
 * as __kfree_skb() of a datagram that was read (skb_attempt_defer_free() in net/core/skbuff.c). The
 * call site tells nothing: kfree_skbmem() may jump, and be jumped to. A pair is freed when both of
 * its halves are.
 */
int on_free_object(struct bpf_raw_tracepoint_args *ctx)
{
	u64 address = ctx->args[1];
	struct lives *lives = lives_at(address);

	if (!lives)
		return 0;
	end_life(ctx, address, &lives->own, KIND_FREED, 0);
	end_life(ctx, address + SKB_SIZE, &lives->second, KIND_FREED, 0);
	end_lives(address, lives);
	return 0;
}

#endif
