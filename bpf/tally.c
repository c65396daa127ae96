// SPDX-License-Identifier: GPL-2.0-only
/*
 * How many calls of skb_clone() each process made, added up in the kernel: for the highest rates.
 *
 * Attaches to skb_clone(), or to the tracepoints by which it is seen: on_clone.h; and to those of
 * skb_scope.h.
 *
 * Emits: nothing. The sums are read when the trace has ended.
 *
 * Cannot see: when, why, and which packet. A process beyond the table's room is in no row; its calls
 * are counted as lost.
 *
 * Cost: two atomic adds per call.
 */
#include "skb_scope.h"
#include "skb_viewer.h"

/* A sum for each CPU, so that none waits for another. */
BPF_TABLE("percpu_hash", struct tally_key, u64, tallies, 16384);

static __always_inline void on_clone(void *ctx)
{
	u64 id = bpf_get_current_pid_tgid(), zero = 0, *calls;
	struct tally_key key = { .pid = id >> 32, .scope = scope_of(id) };

	name_task(key.comm, &key.pid);
	calls = tallies.lookup_or_try_init(&key, &zero);
	/* An interrupt's calls may come in between. */
	if (calls)
		__sync_fetch_and_add(calls, 1);
	else
		count_one(LOST);
}

#include "on_clone.h"
