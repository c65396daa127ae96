// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every skb_clone() call by kprobe and kretprobe: the classic way.
 *
 * Attaches to skb_clone() (entry and return), __tcp_transmit_skb() (entry), and the tracepoints
 * of skb_call.h, skb_sighting.h, skb_life.h, skb_socket.h, skb_cgroup.h and skb_scope.h; for
 * copies to skb_copy() and __pskb_copy_fclone() (entry and return).
 *
 * Emits: one record per return. The argument, the caller and the stack are kept from entry to
 * return under the stack pointer, which is the same for both but for the return address and differs
 * between all calls that are under way, whichever task or interrupt they are in.
 *
 * Cannot see: calls whose return the kernel missed, because too many were under way (kretprobes
 * have a fixed number of slots). They are counted: entered less returned.
 *
 * Cost: two breakpoints (or ftrace calls) per clone.
 */
#include <uapi/linux/ptrace.h>
#include "skb_call.h"

BPF_TABLE("lru_hash", u64, struct call, calls, 4096);

int on_transmit(struct pt_regs *ctx)
{
	remember_sender(PT_REGS_PARM1(ctx), PT_REGS_PARM2(ctx), PT_REGS_PARM3(ctx));
	return 0;
}

static __always_inline void enter(struct pt_regs *ctx, enum callee callee, int counter)
{
	u64 sp = PT_REGS_SP(ctx);
	struct call call = {
		.parent = PT_REGS_PARM1(ctx),
		.caller = caller_from_return(ctx, READ(u64, sp), callee),
		.stack = stack_id(ctx),
	};

	calls.update(&sp, &call);
	count_one(counter);
}

int on_clone_entry(struct pt_regs *ctx)
{
	before_clone(PT_REGS_PARM1(ctx));
	enter(ctx, SKB_CLONE, ENTERED);
	return 0;
}

int on_copy_entry(struct pt_regs *ctx)
{
	enter(ctx, ANY_COPY, COPIES_ENTERED);
	return 0;
}

/* Take the call that returns, and count it; false if its entry was not seen. */
static __always_inline bool take_call(struct pt_regs *ctx, struct call *call, int counter)
{
	u64 sp = PT_REGS_SP(ctx) - sizeof(u64);
	struct call *found = calls.lookup(&sp);

	if (!found)
		return false;
	count_one(counter);
	*call = *found;
	calls.delete(&sp);
	return true;
}

int on_clone_return(struct pt_regs *ctx)
{
	struct call call;

	if (take_call(ctx, &call, RETURNED))
		emit_call(ctx, &call, PT_REGS_RC(ctx));
	return 0;
}

int on_copy_return(struct pt_regs *ctx)
{
	struct call call;

	if (take_call(ctx, &call, COPIES_RETURNED))
		emit_copy(ctx, &call, PT_REGS_RC(ctx));
	return 0;
}
