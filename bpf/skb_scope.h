/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Whose task is running: the cell's, the notebook's or another's, followed from fork to fork.
 */
#ifndef SKB_SCOPE_H
#define SKB_SCOPE_H

#include "skb_layout.h"
#include "skb_memory.h"
#include "skb_count.h"

/* Thread id -> enum skb_scope, for every thread that is not SCOPE_OTHER. */
BPF_HASH(tasks, u32, u8, 65536);

static __always_inline u8 scope_of(u32 tid)
{
	u8 *scope = tasks.lookup(&tid);

	return scope ? *scope : SCOPE_OTHER;
}

/* sched_process_fork(parent, child): a new thread or process has the scope of the one that made it. */
int on_fork(struct bpf_raw_tracepoint_args *ctx)
{
	u32 parent = bpf_get_current_pid_tgid(), child;
	u8 scope = scope_of(parent);

	if (scope == SCOPE_OTHER)
		return 0;
	child = READ(u32, ctx->args[1] + TASK_PID);
	if (tasks.update(&child, &scope))
		count_one(TASKS_LOST);
	return 0;
}

/*
 * sched_process_free(task). Not sched_process_exit: that comes before the exiting task closes
 * its sockets, and closing sends (and clones) the FIN.
 */
int on_free(struct bpf_raw_tracepoint_args *ctx)
{
	u32 tid = READ(u32, ctx->args[0] + TASK_PID);

	tasks.delete(&tid);
	return 0;
}

#endif
