// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reads a few bytes of the kernel's memory, once, for the loader: see skbnb/agent/memory.py.
 *
 * Attaches to nothing: the loader has the kernel run it (BPF_PROG_TEST_RUN).
 *
 * Emits nothing; returns 0 if there is something at the address.
 */
struct peek {
	u64 address;
	u64 task;		/* the running task's struct task_struct * */
	u8 at[64];
};

BPF_ARRAY(peeks, struct peek, 1);

int on_peek(void *ctx)
{
	int zero = 0;
	struct peek *peek = peeks.lookup(&zero);

	if (!peek)
		return 1;
	peek->task = bpf_get_current_task();
	return !!bpf_probe_read_kernel(peek->at, sizeof(peek->at), (void *)peek->address);
}
