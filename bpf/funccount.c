// SPDX-License-Identifier: GPL-2.0-only
/*
 * Count calls: of kernel functions, of tracepoints and of system calls.
 *
 * Every counter is a slot of one map. A CPU has its own copy of it, and adds to that atomically:
 * an interrupt may call the same function.
 */
#include "skb_memory.h"
#include "peek.h"	/* where the names of the system calls are */

BPF_PERCPU_ARRAY(counts, u64, SLOTS);

/* Nothing is counted before all is attached, and nothing after the end. */
BPF_ARRAY(counting, u32, 1);

static __always_inline void count(u32 slot)
{
	u32 zero = 0;
	u32 *on = counting.lookup(&zero);
	u64 *calls = counts.lookup(&slot);

	if (on && *on && calls)
		__sync_fetch_and_add(calls, 1);
}

/*
 * One function or one tracepoint. The loader makes a program of this for each, with its slot in
 * the place of this number: kernels before 5.15 cannot tell a program what it is attached to.
 */
int count_one(void *ctx)
{
	count(SLOT_GOES_HERE);
	return 0;
}

/* Many functions (Linux 5.18): each was attached with its slot. */
int count_many(void *ctx)
{
	u64 (*get_attach_cookie)(void *) = (void *)174;	/* BPF_FUNC_get_attach_cookie */

	count(get_attach_cookie(ctx));
	return 0;
}

/* The number of a system call -> its slot, from 1. */
BPF_ARRAY(slots_of_calls, u32, SYSTEM_CALLS);

/* Whether the running task is in a system call of the 32-bit kind, whose numbers are others. */
static __always_inline bool is_compat(void)
{
	return READ(u32, bpf_get_current_task() + COMPAT_PLACE) & COMPAT_BIT;
}

static __always_inline int count_number(u64 number)
{
	u32 compat = SLOTS - 1;
	u32 key = number;
	u32 *slot;

	if (number >= SYSTEM_CALLS)
		return 0;
	slot = slots_of_calls.lookup(&key);
	if (!slot)
		return 0;
	if (is_compat())
		count(compat);
	else if (*slot)
		count(*slot - 1);
	return 0;
}

/* What perf gives a program at raw_syscalls:sys_enter. */
struct enter {
	u64 common;
	u64 number;
};

/*
 * Where perf has the tracepoint. A raw tracepoint's program can be preempted on new kernels, and
 * until it goes on the kernel runs it for no other task on that CPU; perf's cannot.
 */
int count_call(struct enter *ctx)
{
	return count_number(ctx->number);
}

/* Where it has not: sys_enter(regs, number) */
int count_raw_call(struct bpf_raw_tracepoint_args *ctx)
{
	return count_number(ctx->args[1]);
}
