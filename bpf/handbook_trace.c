// SPDX-License-Identifier: GPL-2.0-only
/*
 * A first program, one way: each call of skb_clone() is a line in the kernel's trace buffer.
 *
 * Attaches to skb_clone(), or to the tracepoints by which it is seen: on_clone.h.
 *
 * Emits: a line of text for each call. The kernel writes who is running, and when, before it.
 *
 * Cannot see: what anything but the running thread has to do with it. It is kept as a first program
 * is written, mistakes included. The count is read and then written, so calls at the same time on
 * two CPUs get the same number, and one of them is lost from it. The number that the kernel writes
 * is the thread's, not its process's; the name is the one that it remembers of that number when the
 * line is read, or else the thread's name then, or "<...>".
 *
 * Cost: text is made in the kernel and read from one pipe that the whole machine shares.
 */
BPF_HASH(counter, u32, u64);

static __always_inline void on_clone(void *ctx)
{
	u32 key = 0;
	u64 count = 1, *value = counter.lookup(&key);

	if (value)
		count = *value + 1;
	counter.update(&key, &count);
	/* What the mark is not in is another program's. */
	bpf_trace_printk("skbnb %llx %llu\n", MARK, count);
}

#include "on_clone.h"
