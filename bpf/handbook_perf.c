// SPDX-License-Identifier: GPL-2.0-only
/*
 * A first program, the other way: each call of skb_clone() is a struct in a perf buffer.
 *
 * Attaches to skb_clone(), or to the tracepoints by which it is seen: on_clone.h.
 *
 * Emits: one struct for each call.
 *
 * Cannot see: what anything but the running thread has to do with it. It is kept as a first program
 * is written, mistakes included. The count is read and then written, so calls at the same time on
 * two CPUs get the same number, and one of them is lost from it. Its pid is the low half of what
 * bpf_get_current_pid_tgid() gives, which is the thread's id.
 *
 * Cost: a copy into this CPU's buffer for each call.
 */
#include "skb_count.h"
#include "skb_viewer.h"

BPF_HASH(counter, u32, u64);
BPF_PERF_OUTPUT(records);

static __always_inline void on_clone(void *ctx)
{
	struct handbook_event data = {};
	u32 key = 0;
	u64 count = 1, *value = counter.lookup(&key);

	if (value)
		count = *value + 1;
	counter.update(&key, &count);
	data.pid = bpf_get_current_pid_tgid();
	data.ts = bpf_ktime_get_ns();
	data.count = count;
	name_task(data.comm, &data.pid);
	if (records.perf_submit(ctx, &data, sizeof(data)))
		count_one(LOST);
}

#include "on_clone.h"
