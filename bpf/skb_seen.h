/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where calls of skb_clone() are seen with neither kprobes nor fentry.
 *
 * It has two ways out (net/core/skbuff.c).
 * - slab: it calls kmem_cache_alloc(), whose tracepoint gives the call site; a call site inside
 *   skb_clone() is a clone, and a NULL result a failed one. The clone is not filled yet.
 * - fast: TCP's packets come in pairs and the clone is the second half (SKB_FCLONE_CLONE). It next
 *   passes net_dev_queue, in the same call chain, or is freed before that. Only
 *   __tcp_transmit_skb() sets the destructor tcp_wfree(), on the clone it just made, so the
 *   destructor tells such a clone from a received one and names the caller.
 *   A stacked device (vlan, bridge) queues the same clone again with an unchanged timestamp:
 *   one call per (address, timestamp). Linux before 5.18 clears the timestamp there (commit
 *   de799101519a, "net: Add skb_clear_tstamp() to keep the mono delivery_time"); TCP never
 *   sends with a timestamp of zero, so zero on a known address is the same clone too.
 */
#ifndef SKB_SEEN_H
#define SKB_SEEN_H

#include "skb_copy.h"

#if !defined(SKB_CLONE_START) || !defined(SKB_CLONE_END)
#error "the bounds of skb_clone() come from the loader"
#endif

/*
 * Fast clone -> its timestamp, or GONE. The place of one that is gone is kept for the next one at its
 * address: to make room and to give it back takes longer than to find it.
 */
BPF_TABLE("lru_hash", u64, u64, queued, 65536);

#define GONE (~0ULL)

/* kmem_cache_alloc(call_site, ...) */
static __always_inline bool is_slab_clone(u64 site)
{
	return site >= SKB_CLONE_START && site < SKB_CLONE_END;
}

/* Whether a packet is the second half of a pair, asked before it is read as a whole. */
static __always_inline bool is_second_half(u64 address)
{
	return (READ(u8, address + SKB_FCLONE_BYTE) >> SKB_FCLONE_BIT & 3) == FCLONE_CLONE;
}

static __always_inline bool is_fresh_fast_clone(struct skb_copy *skb)
{
	return fclone_of(skb) == FCLONE_CLONE && is_sent_by_tcp(skb);
}

static __always_inline bool is_in_place(u64 *before, u64 tstamp)
{
	return before && *before != GONE && (!tstamp || *before == tstamp);
}

static __always_inline bool was_queued(u64 address, u64 tstamp)
{
	return is_in_place(queued.lookup(&address), tstamp);
}

/* Whether a fast clone that is queued is one that was not seen before. */
static __always_inline bool is_new_when_queued(u64 address, struct skb_copy *skb)
{
	u64 tstamp = SKB(skb, u64, SKB_TSTAMP), *before = queued.lookup(&address);

	if (is_in_place(before, tstamp))
		return false;
	if (before)
		*before = tstamp;
	else
		queued.update(&address, &tstamp);
	return true;
}

/* The same of one that is freed. */
static __always_inline bool is_new_when_freed(u64 address, struct skb_copy *skb)
{
	u64 *before = queued.lookup(&address);

	if (!is_in_place(before, SKB(skb, u64, SKB_TSTAMP)))
		return true;
	*before = GONE;
	return false;
}

#endif
