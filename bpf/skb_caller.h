/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which function called skb_clone(), or one of those that copy.
 */
#ifndef SKB_CALLER_H
#define SKB_CALLER_H

#include "skb_record.h"

#if !defined(SKB_CLONE_START) || !defined(SKB_CLONE_END)
#error "the bounds of skb_clone() come from the loader"
#endif

/* The loader names these when the trace ends. */
BPF_HASH(callers, u64, u64, 4096);

/* Some that are in the table above, which is dearer to ask. */
struct known_callers {
	u64 at[256];
};

BPF_ARRAY(known_callers, struct known_callers, 1);

/*
 * Where the call before an address goes: x86's e8 and a distance of four bytes. 1 for a call
 * through a register, 0 for none.
 */
static __always_inline u64 called_before(u64 address)
{
	u64 bytes = READ(u64, address - 8);
	s32 distance = bytes >> 32;

	if ((bytes >> 24 & 0xff) == 0xe8)
		return address + distance;
	return (distance >> 16 & 0xf8ff) == 0xd0ff;
}

/* The functions whose callers are asked for. */
enum callee {
	SKB_CLONE,
	ANY_COPY,		/* skb_copy() or __pskb_copy_fclone() */
};

static __always_inline bool is_in(u64 address, enum callee callee)
{
	if (callee == SKB_CLONE)
		return address >= SKB_CLONE_START && address < SKB_CLONE_END;
#ifdef COPY_START
	return (address >= COPY_START && address < COPY_END) ||
	       (address >= PSKB_COPY_START && address < PSKB_COPY_END);
#else
	return false;
#endif
}

static __always_inline bool is_start(u64 address, enum callee callee)
{
	if (callee == SKB_CLONE)
		return address == SKB_CLONE_START;
#ifdef COPY_START
	return address == COPY_START || address == PSKB_COPY_START;
#else
	return false;
#endif
}

/*
 * Other tools' trampolines stand between the function and its caller, and are returned to as well:
 * a BPF trampoline calls the function behind its first instructions, and a kretprobe's is not
 * called at all. The caller calls its beginning; what jumps into it was called itself.
 */
static __always_inline bool is_call(u64 address, enum callee callee)
{
	return is_start(called_before(address), callee);
}

static __always_inline bool is_call_of_jump(u64 address, enum callee callee)
{
	u64 called = called_before(address);

	return called && !is_in(called, callee);
}

#define FRAMES 12

/* The caller among these; 0 if it is not there. */
static __always_inline u64 caller_in(u64 *frames, enum callee callee)
{
	u64 above = 0;

#pragma unroll
	for (int i = 0; i < FRAMES; i++) {
		if (is_call(frames[i], callee))
			return frames[i];
		if (i && is_in(frames[i - 1], callee))
			above = frames[i];
	}
	return above && is_call_of_jump(above, callee) ? above : 0;
}

/*
 * The caller, from the stack; 0 if it is not there. Since Linux 5.15 the kernel's unwinder sees
 * through kretprobes.
 */
static __always_inline u64 caller_from_stack(void *ctx, enum callee callee)
{
	u64 frames[FRAMES] = {};

	return bpf_get_stack(ctx, frames, sizeof(frames), 0) < 0 ? 0 : caller_in(frames, callee);
}

/* The caller, from where the function returns to; 0 if another tool hides it. */
static __always_inline u64 caller_from_return(void *ctx, u64 address, enum callee callee)
{
	u64 caller;

	if (is_call(address, callee))
		return address;
	caller = caller_from_stack(ctx, callee);
	return caller ? caller : is_call_of_jump(address, callee) ? address : 0;
}

static __always_inline void set_caller(struct skb_event *e, u64 caller)
{
	int zero = 0;
	struct known_callers *known = known_callers.lookup(&zero);
	u64 place = (caller ^ caller >> 8) & 255;

	e->caller = caller;
	e->present |= HAS_CALLER;
	if (known && known->at[place] != caller) {
		callers.increment(caller);
		known->at[place] = caller;
	}
}

#endif
