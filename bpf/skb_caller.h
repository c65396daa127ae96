/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which function called skb_clone().
 */
#ifndef SKB_CALLER_H
#define SKB_CALLER_H

#include "skb_record.h"

#if !defined(SKB_CLONE_START) || !defined(SKB_CLONE_END)
#error "the bounds of skb_clone() come from the loader"
#endif

BPF_HASH(callers, u64, u64, 4096);

/*
 * Where the call before an address goes: x86's e8 and a distance of four bytes. 1 for a call
 * through a register, 0 for none.
 */
static __always_inline u64 called_before(u64 address)
{
	struct {
		u8 pad[3];
		u8 opcode;
		s32 distance;
	} call = {};

	if (bpf_probe_read_kernel(&call.opcode, 5, (void *)(address - 5)))
		return 0;
	if (call.opcode == 0xe8)
		return address + call.distance;
	return (call.distance >> 16 & 0xf8ff) == 0xd0ff;
}

static __always_inline bool in_skb_clone(u64 address)
{
	return address >= SKB_CLONE_START && address < SKB_CLONE_END;
}

/*
 * Other tools' trampolines stand between skb_clone() and its caller, and are returned to as well: a
 * BPF trampoline calls skb_clone() behind its first instructions, and a kretprobe's is not called
 * at all. The caller calls its beginning; what jumps into it was called itself.
 */
static __always_inline bool is_call(u64 address)
{
	return called_before(address) == SKB_CLONE_START;
}

static __always_inline bool is_call_of_jump(u64 address)
{
	u64 called = called_before(address);

	return called && !in_skb_clone(called);
}

#define FRAMES 12

/*
 * The caller, from the stack; 0 if it is not there. Since Linux 5.15 the kernel's unwinder sees
 * through kretprobes.
 */
static __always_inline u64 caller_from_stack(void *ctx)
{
	u64 frames[FRAMES] = {}, above = 0;

	if (bpf_get_stack(ctx, frames, sizeof(frames), 0) < 0)
		return 0;
#pragma unroll
	for (int i = 0; i < FRAMES; i++) {
		if (is_call(frames[i]))
			return frames[i];
		if (i && in_skb_clone(frames[i - 1]))
			above = frames[i];
	}
	return above && is_call_of_jump(above) ? above : 0;
}

/* The caller, from where skb_clone() returns to; 0 if another tool hides it. */
static __always_inline u64 caller_from_return(void *ctx, u64 address)
{
	u64 caller;

	if (is_call(address))
		return address;
	caller = caller_from_stack(ctx);
	return caller ? caller : is_call_of_jump(address) ? address : 0;
}

static __always_inline void set_caller(struct skb_event *e, u64 caller)
{
	e->caller = caller;
	e->present |= HAS_CALLER;
	callers.increment(caller);	/* the loader names these when the trace ends */
}

#endif
