/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reads the kernel's memory for the loader, PEEK_BYTES at a time: see skbnb/agent/peek.py.
 *
 * Attaches to nothing: the loader has the kernel run it (BPF_PROG_TEST_RUN).
 */
#ifndef PEEK_H
#define PEEK_H

struct peek {
	u64 task;		/* the running task's struct task_struct * */
	u8 at[PEEK_BYTES];
};
BPF_ARRAY(peeks, struct peek, 1);

/* on_peek(address): returns 0 if there is something. */
int on_peek(struct bpf_raw_tracepoint_args *ctx)
{
	int zero = 0;
	struct peek *peek = peeks.lookup(&zero);

	if (!peek)
		return 1;
	peek->task = bpf_get_current_task();
	return !!bpf_probe_read_kernel(peek->at, sizeof(peek->at), (void *)ctx->args[0]);
}

#endif
