/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Stands in the place of bpf/on_clone.h: runs on_clone(ctx) for each clone of the synthetic load, as
 * flood.c makes a record of each.
 *
 * A way that does not ask who calls counts it here, so that what is lost can be counted.
 */
#include "skb_count.h"

#if !defined(LOAD_PID) || !defined(LOAD_SYSCALL) || !defined(LOAD_BATCH)
#error "the process, its syscall and the number of records come from the loader"
#endif

/* sys_enter(regs, id) */
int on_syscall(struct bpf_raw_tracepoint_args *ctx)
{
	if (bpf_get_current_pid_tgid() >> 32 != LOAD_PID || ctx->args[1] != LOAD_SYSCALL)
		return 0;
	for (int i = 0; i < LOAD_BATCH; i++) {
		count_one(CALLS);
		on_clone(ctx);
	}
	return 0;
}
