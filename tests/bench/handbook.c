// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who clones, as a first program with BCC says it: the time, the process, its name and a running
 * number, sent one by one.
 *
 * Attaches to skb_clone() by kprobe; where the kernel has none, to the raw tracepoints
 * kmem_cache_alloc and net_dev_queue, which see the same clones of TCP and of the slab.
 *
 * Emits: one row per clone. No packet is read, but for the two bits that tell a fast clone.
 */
#if !defined(SKB_CLONE_START) || !defined(SKB_CLONE_END) || !defined(SKB_FCLONE_BYTE)
#error "the bounds of skb_clone() and the kernel's layout come from the loader"
#endif

struct row {
	u64 ts;
	u64 count;
	u32 pid;
	char comm[16];
};

BPF_HASH(counts, u32, u64);
BPF_PERF_OUTPUT(rows);

static __always_inline int emit(void *ctx)
{
	u32 zero = 0;
	u64 *count = counts.lookup(&zero);
	struct row row = {};

	row.ts = bpf_ktime_get_ns();
	row.pid = bpf_get_current_pid_tgid() >> 32;
	bpf_get_current_comm(&row.comm, sizeof(row.comm));
	row.count = count ? *count + 1 : 1;
	counts.update(&zero, &row.count);
	rows.perf_submit(ctx, &row, sizeof(row));
	return 0;
}

/* skb_clone() */
int on_clone(struct pt_regs *ctx)
{
	return emit(ctx);
}

/* kmem_cache_alloc(call_site, ...) */
int on_alloc(struct bpf_raw_tracepoint_args *ctx)
{
	u64 site = ctx->args[0];

	return site >= SKB_CLONE_START && site < SKB_CLONE_END ? emit(ctx) : 0;
}

/* net_dev_queue(skb) */
int on_queue(struct bpf_raw_tracepoint_args *ctx)
{
	u8 byte = 0;

	bpf_probe_read_kernel(&byte, sizeof(byte), (void *)(ctx->args[0] + SKB_FCLONE_BYTE));
	return (byte >> SKB_FCLONE_BIT & 3) == 2 /* SKB_FCLONE_CLONE */ ? emit(ctx) : 0;
}
