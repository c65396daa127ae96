/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The caller of skb_clone() as a program on a tracepoint further in sees it, without a walk of the stack.
 *
 * A walk by the kernel's unwinder is longer than all else that a record takes. But at one return
 * address a function's frame has always one size, which is what the unwinder goes by
 * (Documentation/arch/x86/orc-unwinder.rst): as long as what is returned to is the same from the
 * program on, the next return address lies where it lay. So the way to the caller is learned from the
 * unwinder, by each CPU, and gone without it when they have agreed several times. Where anything on the
 * way is another, because another tool is there, too, or where there is no way, the unwinder goes.
 */
#ifndef SKB_WAY_H
#define SKB_WAY_H

#include "skb_caller.h"

#define HOPS 8			/* a power of two */
#define WORDS 64		/* of the stack, in which they lie */
#define ENOUGH 8

/* Frames of the program and of what runs it: its context lies above them. */
#define BELOW 2

struct way {
	u64 agreed;		/* how many times in a row the unwinder went it */
	u64 hops;		/* how many returns there are before the caller's */
	u64 address[HOPS];	/* what each returns to, then the caller */
	u64 place[HOPS];	/* and where that lies, in words from the program's context on */
	u64 found;		/* while it is learned: how many of these are found */
};

BPF_PERCPU_ARRAY(ways, struct way, 1);

static __always_inline u64 caller_by_way(void *ctx, struct way *way)
{
	u64 here = number_of(ctx), i, address;

	if (way->agreed < ENOUGH)
		return 0;
	for (i = 0; i < HOPS; i++) {
		address = READ(u64, here + way->place[i] * sizeof(u64));
		if (i == way->hops)
			return is_call(address, SKB_CLONE) ? address : 0;
		if (address != way->address[i])
			return 0;
	}
	return 0;
}

/* Note what is returned to on the way. */
static __always_inline void note_hops(struct way *way, u64 *frames, u64 caller)
{
	way->hops = HOPS;
#pragma unroll
	for (int i = 0; i < HOPS && i + BELOW < FRAMES; i++) {
		if (way->hops != HOPS)
			continue;
		if (frames[i + BELOW] == caller)
			way->hops = i;
		else if (way->address[i] != frames[i + BELOW])
			way->agreed = 0;
		way->address[i] = frames[i + BELOW];
	}
}

/* Note where these lie. */
static __always_inline void note_places(u64 here, struct way *way)
{
	way->found = 0;
	for (u64 word = 1; word < WORDS; word++) {
		u64 found = way->found;

		if (found > way->hops || found >= HOPS ||
		    READ(u64, here + word * sizeof(u64)) != way->address[found])
			continue;
		if (way->place[found] != word)
			way->agreed = 0;
		way->place[found] = word;
		way->found = found + 1;
	}
}

static __always_inline void learn_way(void *ctx, struct way *way, u64 *frames, u64 caller)
{
	note_hops(way, frames, caller);
	note_places(number_of(ctx), way);
	if (way->found == way->hops + 1)
		way->agreed++;
	else
		way->agreed = 0;
}

/* The caller of skb_clone(); 0 if it is not there. */
static __always_inline u64 caller_further_out(void *ctx)
{
	u64 frames[FRAMES] = {}, caller;
	int zero = 0;
	struct way *way = ways.lookup(&zero);

	if (!way)
		return 0;
	caller = caller_by_way(ctx, way);
	if (caller || bpf_get_stack(ctx, frames, sizeof(frames), 0) < 0)
		return caller;
	caller = caller_in(frames, SKB_CLONE);
	if (caller)
		learn_way(ctx, way, frames, caller);
	return caller;
}

#endif
