/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * In what context the kernel is: what the running task has to do with the packet.
 *
 * The kernel counts what it is in (preempt_count), in the task or, on x86, for each CPU, where the
 * task's run queue is, too. Where that is not known, on x86 mostly no walk of the stack is needed
 * either. Interrupts, and the softirqs that they leave behind, run on a stack of their own
 * (arch/x86/include/asm/irq_stack.h), and where this program's own context lies tells that; but they
 * stay on the task's where they interrupt a program in user mode, which the registers saved at the top
 * of that stack tell.
 */
#ifndef SKB_CONTEXT_H
#define SKB_CONTEXT_H

#include "skb_event.h"
#include "skb_memory.h"

#define PF_KTHREAD 0x00200000	/* include/linux/sched.h */

static __always_inline bool is_kthread(u64 task)
{
	return READ(u32, task + TASK_FLAGS) & PF_KTHREAD;
}

#if defined(TASK_PREEMPT_COUNT) || defined(COUNT_FROM_RQ)

#ifdef TASK_PREEMPT_COUNT
static __always_inline u32 preempt_count(u64 task)
{
	return READ(u32, task + TASK_PREEMPT_COUNT);
}
#else
/* A running task is on the run queue of its CPU (set_task_rq() in kernel/sched/sched.h). */
static __always_inline u32 preempt_count(u64 task)
{
	u64 rq = READ(u64, READ(u64, task + TASK_CFS_RQ) + CFS_RQ_RQ);

	return READ(u32, rq + COUNT_FROM_RQ);
}
#endif

/* Bits of preempt_count (include/linux/preempt.h). */
#define IN_SOFTIRQ 0x00000100
#define IN_HARDIRQ 0x000f0000

static __always_inline u8 context_of(void *ctx, u64 task)
{
	u32 count = preempt_count(task);

	if (count & IN_HARDIRQ)
		return CONTEXT_HARDIRQ;
	if (count & IN_SOFTIRQ)
		return CONTEXT_SOFTIRQ;
	return is_kthread(task) ? CONTEXT_KTHREAD : CONTEXT_SYSCALL;
}

#elif defined(X86_STACK_SIZE) && defined(SOFTIRQ_START)

#define WALKED 64

struct walked_stack {
	u64 frames[WALKED];
};

BPF_PERCPU_ARRAY(walked_stacks, struct walked_stack, 1);

/*
 * Whether the function that runs softirqs is on the stack. Without a way out of the loop, because
 * the verifier looks at all that follows once for each.
 */
static __always_inline bool runs_softirqs(void *ctx)
{
	struct walked_stack *stack;
	int zero = 0, i;
	bool found = false;

	stack = walked_stacks.lookup(&zero);
	if (!stack)
		return false;
	__builtin_memset(stack, 0, sizeof(*stack));
	bpf_get_stack(ctx, stack, sizeof(*stack), 0);
	for (i = 0; i < WALKED; i++)
		if (stack->frames[i] - SOFTIRQ_START < SOFTIRQ_END - SOFTIRQ_START)
			found = true;
	return found;
}

/*
 * Whether the task came from user mode by an interrupt and not by a system call: then orig_ax of
 * struct pt_regs is -1 and not a number. Above the registers are two words more if the kernel has
 * CONFIG_X86_FRED (TOP_OF_KERNEL_STACK_PADDING); then a user code segment is in its place, and no
 * system call of that number clones a packet.
 */
static __always_inline bool came_by_interrupt(u64 stack_top)
{
	u64 orig_ax = READ(u64, stack_top - 48);

	if (orig_ax == 0x33 || orig_ax == 0x23)
		orig_ax = READ(u64, stack_top - 64);
	return orig_ax == -1ULL;
}

/* The kernel's threads that run softirqs when there are too many. */
static __always_inline bool is_ksoftirqd(void)
{
	char comm[16] = {};

	bpf_get_current_comm(comm, sizeof(comm));
	return *(u64 *)comm == 0x71726974666f736bULL;	/* "ksoftirq" */
}

static __always_inline u8 context_of(void *ctx, u64 task)
{
	u64 base = READ(u64, task + TASK_STACK);
	bool on_task_stack = number_of(ctx) - base < X86_STACK_SIZE;

	if (on_task_stack && is_kthread(task))
		return is_ksoftirqd() ? CONTEXT_SOFTIRQ : CONTEXT_KTHREAD;
	if (on_task_stack && !came_by_interrupt(base + X86_STACK_SIZE))
		return CONTEXT_SYSCALL;
	if (runs_softirqs(ctx))
		return CONTEXT_SOFTIRQ;
	/* An exit, by a signal that came with the interrupt. Elsewhere nothing is sure. */
	return on_task_stack ? CONTEXT_SYSCALL : 0;
}

#else

static __always_inline u8 context_of(void *ctx, u64 task)
{
	return 0;
}

#endif

/* Give 0 where it cannot be told. */
static __always_inline u8 current_context(void *ctx)
{
	return context_of(ctx, bpf_get_current_task());
}

#endif
