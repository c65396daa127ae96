/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel stack of a call, by number: the loader resolves it when the trace ends.
 */
#ifndef SKB_STACK_H
#define SKB_STACK_H

#include "skb_record.h"

#ifdef STACKS

BPF_STACK_TRACE(stacks, 16384);

#define EEXIST 17

/* The stack's number; negative, and counted, if it has none. */
static __always_inline int stack_id(void *ctx)
{
	int id = stacks.get_stackid(ctx, 0);

	/* Another stack has its place: without the innermost frame, this program's, it has another. */
	if (id == -EEXIST)
		id = stacks.get_stackid(ctx, 1);
	if (id < 0)
		count_one(id == -EEXIST ? STACKS_COLLIDED : STACKS_FAILED);
	return id;
}

#else

static __always_inline int stack_id(void *ctx)
{
	return -1;
}

#endif

static __always_inline void set_stack(struct skb_event *e, int id)
{
	if (id < 0)
		return;
	e->stack = id;
	e->present |= HAS_STACK;
}

#endif
