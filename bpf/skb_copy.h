/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A copy of a struct sk_buff, and its members.
 *
 * They are read at offsets given as -D constants (or, where a kernel has no BTF, by skb_layout.h),
 * so nothing here depends on one kernel's headers.
 */
#ifndef SKB_COPY_H
#define SKB_COPY_H

#include "skb_layout.h"
#include "skb_memory.h"

#ifndef SKB_SIZE
#error "the kernel's layout comes from the loader"
#endif

#if defined(RDONLY_CAST)

/* A struct sk_buff, in its place. */
struct skb_copy {
	const u8 *at;
};

#define SKB(copy, type, offset) NUMBER((copy)->at, type, offset)

static __always_inline bool read_skb(struct skb_copy *skb, u64 address)
{
	skb->at = bytes_at(address);
	return true;
}

#elif defined(BUFFER_PERF)

/* A struct sk_buff, each member read when it is asked for: the stack holds the record already. */
struct skb_copy {
	u64 address;
};

#define SKB(copy, type, offset) READ(type, (copy)->address + (offset))

static __always_inline bool read_skb(struct skb_copy *skb, u64 address)
{
	skb->address = address;
	return true;
}

#else

/* A copy of a struct sk_buff, read in one go. */
struct skb_copy {
	u8 at[SKB_SIZE];
} __attribute__((aligned(8)));

#define SKB(copy, type, offset) NUMBER((copy)->at, type, offset)

static __always_inline bool read_skb(struct skb_copy *skb, u64 address)
{
	return !bpf_probe_read_kernel(skb, sizeof(*skb), (void *)address);
}

#endif

#define SKB_BITS(copy, byte, bit, width) ((SKB(copy, u8, byte) >> (bit)) & ((1 << (width)) - 1))

#define fclone_of(copy) SKB_BITS(copy, SKB_FCLONE_BYTE, SKB_FCLONE_BIT, 2)
#define cloned_of(copy) SKB_BITS(copy, SKB_CLONED_BYTE, SKB_CLONED_BIT, 1)

/* enum in include/linux/skbuff.h */
#define FCLONE_ORIG 1
#define FCLONE_CLONE 2

/* Only TCP's packets on their way out have its destructor. */
static __always_inline bool is_sent_by_tcp(struct skb_copy *skb)
{
#ifdef TCP_WFREE_START
	return SKB(skb, u64, SKB_SK) && SKB(skb, u64, SKB_DESTRUCTOR) == TCP_WFREE_START;
#else
	return SKB(skb, u64, SKB_SK);
#endif
}

#endif
