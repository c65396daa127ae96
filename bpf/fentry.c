// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every skb_clone() call by fexit: the argument and the result in one program, the cheapest way.
 *
 * Attaches to skb_clone() (exit, and entry to tell whether its argument was cloned before), the
 * entry of __tcp_transmit_skb(), and the tracepoints of skb_call.h, skb_sighting.h, skb_life.h,
 * skb_socket.h, skb_cgroup.h and skb_scope.h; for copies to the exits of skb_copy() and
 * __pskb_copy_fclone().
 *
 * Emits: one record per return.
 *
 * Cost: a trampoline call per clone, and no walk of the stack, but where another tool has a
 * kretprobe on skb_clone().
 */
#include "skb_call.h"

/*
 * Where the function returns to. The trampoline's frame begins behind the program's context: the
 * arguments, the result, the saved frame pointer, and above it a return address ("Generated
 * trampoline stack layout" in arch/x86/net/bpf_jit_comp.c). Where the trampoline was called from
 * the function's first bytes, that address is in it and the next one is the caller's; where it was
 * jumped to, it is the caller's itself.
 */
static __always_inline u64 return_address(u64 *ctx, int arguments, enum callee callee)
{
	u64 above = number_of(ctx) + (arguments + 2) * sizeof(u64), address = READ(u64, above);

	return is_in(address, callee) ? READ(u64, above + sizeof(u64)) : address;
}

static __always_inline struct call call_of(u64 *ctx, int arguments, enum callee callee)
{
	u64 address = return_address(ctx, arguments, callee);

	return (struct call){
		.parent = number_of((void *)ctx[0]),
		.caller = caller_from_return(ctx, address, callee),
		.stack = stack_id(ctx),
	};
}

/* __tcp_transmit_skb(sk, skb, clone_it, ...) */
int on_transmit(u64 *ctx)
{
	remember_sender(number_of((void *)ctx[0]), number_of((void *)ctx[1]), ctx[2]);
	return 0;
}

/* skb_clone(skb, gfp_mask), and what it returns. */
int on_clone_entry(u64 *ctx)
{
	before_clone(number_of((void *)ctx[0]));
	return 0;
}

int on_clone_exit(u64 *ctx)
{
	struct call call = call_of(ctx, 2, SKB_CLONE);

	emit_call(ctx, &call, number_of((void *)ctx[2]));
	return 0;
}

/* skb_copy(skb, gfp_mask), and what it returns. */
int on_copy_exit(u64 *ctx)
{
	struct call call = call_of(ctx, 2, ANY_COPY);

	emit_copy(ctx, &call, number_of((void *)ctx[2]));
	return 0;
}

/* __pskb_copy_fclone(skb, headroom, gfp_mask, fclone), and what it returns. */
int on_pskb_copy_exit(u64 *ctx)
{
	struct call call = call_of(ctx, 4, ANY_COPY);

	emit_copy(ctx, &call, number_of((void *)ctx[4]));
	return 0;
}
