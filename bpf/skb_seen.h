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

BPF_TABLE("lru_hash", u64, u64, queued, 65536);		/* fast clone -> its timestamp */

/* kmem_cache_alloc(call_site, ...) */
static __always_inline bool is_slab_clone(u64 site)
{
	return site >= SKB_CLONE_START && site < SKB_CLONE_END;
}

/* Whether a packet is the second half of a pair, asked before it is read as a whole. */
static __always_inline bool is_second_half(u64 address)
{
	u8 byte = 0;

	bpf_probe_read_kernel(&byte, sizeof(byte), (void *)(address + SKB_FCLONE_BYTE));
	return (byte >> SKB_FCLONE_BIT & 3) == FCLONE_CLONE;
}

static __always_inline bool is_fresh_fast_clone(struct skb_copy *skb)
{
	return fclone_of(skb) == FCLONE_CLONE && is_sent_by_tcp(skb);
}

static __always_inline bool was_queued(u64 address, u64 tstamp)
{
	u64 *before = queued.lookup(&address);

	return before && (!tstamp || *before == tstamp);
}

/* Whether a fast clone that is queued, or freed, is one that was not seen before. */
static __always_inline bool is_new_when_queued(u64 address, struct skb_copy *skb)
{
	u64 tstamp = SKB(skb, u64, SKB_TSTAMP);

	if (was_queued(address, tstamp))
		return false;
	queued.update(&address, &tstamp);
	return true;
}

static __always_inline bool is_new_when_freed(u64 address, struct skb_copy *skb)
{
	if (!was_queued(address, SKB(skb, u64, SKB_TSTAMP)))
		return true;
	queued.delete(&address);
	return false;
}

#endif
