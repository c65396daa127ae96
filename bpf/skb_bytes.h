/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A packet's first bytes, behind its record, where they are asked for: SNAPLEN of them.
 *
 * They begin with the link header or, where the kernel knows none, with the network header. What
 * does not lie in a packet's linear part lies in pages: of these only the first is read, and only
 * where the loader knows how the kernel maps its memory.
 */
#ifndef SKB_BYTES_H
#define SKB_BYTES_H

#include "skb_copy.h"
#include "skb_record.h"

#ifdef SNAPLEN

/* No link header is longer (MAX_HEADER of include/linux/netdevice.h, without tunnels). */
#define LONGEST_LINK 128

/* What a packet's bytes begin with: mac_header is all ones where there is none. */
static __always_inline u64 first_byte(struct skb_copy *skb)
{
	u16 link = SKB(skb, u16, SKB_MAC_HEADER), network = SKB(skb, u16, SKB_NETWORK_HEADER);
	bool has_link = link <= network && network - link <= LONGEST_LINK;

	return SKB(skb, u64, SKB_HEAD) + (has_link ? link : network);
}

#ifdef PAGES_START

/* skb_frag_t: before Linux 5.4 and since 6.9 a struct of its own, between these a struct bio_vec. */
struct fragment {
	u64 page;
	u32 len;
	u32 offset;
};

/* Where the kernel has mapped the first fragment, and its length; 0 where it has not. */
static __always_inline u64 first_fragment(struct skb_copy *skb, u64 *len)
{
	u64 shared = SKB(skb, u64, SKB_HEAD) + SKB(skb, u32, SKB_END);
	struct fragment f = {};
	u8 count = READ(u8, shared + SHARED_NR_FRAGS);

	/* With the lowest bit set it is memory of a device, and no struct page. */
	if (!count || bpf_probe_read_kernel(&f, sizeof(f), (void *)(shared + SHARED_FRAGS)) ||
	    f.page < PAGES_START || f.page & 1)
		return 0;
	*len = f.len;
	return MEMORY_START + (f.page - PAGES_START) / STRUCT_PAGE_SIZE * 4096 + f.offset;
}

#else

static __always_inline u64 first_fragment(struct skb_copy *skb, u64 *len)
{
	return 0;
}

#endif

static __always_inline u64 at_most(u64 number, u64 most)
{
	return number < most ? number : most;
}

static __always_inline void fill_bytes(struct skb_event *e, struct skb_copy *skb)
{
	struct skb_bytes *bytes = (struct skb_bytes *)(e + 1);
	u64 data = SKB(skb, u64, SKB_DATA), first = first_byte(skb), more = 0, fragment = 0;
	u32 in_pages = SKB(skb, u32, SKB_DATA_LEN);
	s64 linear = data + e->len - in_pages - first;
	u64 captured;

	if (linear <= 0)
		return;
	captured = at_most(linear, SNAPLEN);
	if (in_pages && captured < SNAPLEN)
		fragment = first_fragment(skb, &more);
	if (fragment) {
		/* To where it belongs, and what lies before it over the linear part's place: the
		 * verifier knows no place that is not constant. */
		u64 both = at_most(captured + more, SNAPLEN);

		if (!bpf_probe_read_kernel(bytes->at, both, (void *)(fragment - captured)))
			bytes->captured = both;
	}
	if (bpf_probe_read_kernel(bytes->at, captured, (void *)first)) {
		clear_bytes(e);
		return;
	}
	if (!bytes->captured)
		bytes->captured = captured;
	bytes->length = e->len + data - first;
	bytes->link = SKB(skb, u64, SKB_HEAD) + SKB(skb, u16, SKB_NETWORK_HEADER) - first;
}

#else

static __always_inline void fill_bytes(struct skb_event *e, struct skb_copy *skb)
{
}

#endif

#endif
