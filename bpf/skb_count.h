/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is counted, and what the loader sets while a program is loaded.
 */
#ifndef SKB_COUNT_H
#define SKB_COUNT_H

#include "skb_event.h"

enum counter {
	/* Each call of skb_clone() that is seen ends as a record, or in one of the two after it. */
	CALLS,			/* calls of skb_clone() seen */
	LOST,			/* of these, no record: the buffer was full */
	LIMITED,		/* of these, no record: past max_events */
	FAILED,			/* of these, returned NULL */
	SIGHTINGS,		/* sightings seen */
	SIGHTINGS_LOST,		/* of these, no record: the buffer was full */
	TASKS_LOST,		/* tasks whose scope could not be kept: the table was full */
	ENTERED,		/* kprobe: entries into skb_clone() */
	RETURNED,		/* kprobe: of these calls, returns; only they are among CALLS */
	COPIES,			/* calls of the copying functions seen */
	COPIES_LOST,		/* of these, no record: the buffer was full */
	COPIES_ENTERED,		/* kprobe: entries into the copying functions */
	COPIES_RETURNED,	/* kprobe: of these calls, returns */
	ENDS_LOST,		/* ends of packets without a record: the buffer was full */
	UNTRACKED,		/* packets whose life could not be kept: the table was full */
	STACKS_COLLIDED,	/* stacks without an id: another one had its place */
	STACKS_FAILED,		/* stacks that the kernel could not give */
	SENT_OTHER,		/* packets handed to devices, by enum skb_scope */
	SENT_NOTEBOOK,
	SENT_CELL,
	COUNTERS,
};

/* What is only done when it is asked for: bits of settings.options. */
enum option {
	FOLLOW = 1,		/* a record of each packet's end */
	COPY = 2,		/* copies that are not clones, too */
};

struct settings {
	u64 max_events;
	u64 wakeup_mask;	/* wake the reader at every call whose number has these bits clear */
	u64 options;		/* enum option */
};

/*
 * Mapped into the agent, which reads it while a trace runs: on the CPU where a task reads by bpf(2),
 * the kernel leaves kprobes' programs out (bpf_disable_instrumentation() of include/linux/bpf.h),
 * and goes on to if it takes the CPU from that task meanwhile.
 */
BPF_F_TABLE("array", u32, u64, counters, COUNTERS, BPF_F_MMAPABLE);
BPF_ARRAY(settings, struct settings, 1);

static __always_inline void count_one(int which)
{
	u64 *value = counters.lookup(&which);

	if (value)
		__sync_fetch_and_add(value, 1);
}

static __always_inline bool has_counted(int which)
{
	u64 *value = counters.lookup(&which);

	return value && *value;
}

static __always_inline bool wants(enum option option)
{
	int zero = 0;
	struct settings *s = settings.lookup(&zero);

	return s && s->options & option;
}

/*
 * Count a call, and give its number. An atomic add that gives the value needs Linux 5.12 (commit
 * 5ca419f2864a, "bpf: Add BPF_FETCH field / create atomic_fetch_add instruction") and LLVM 12.
 * Without it calls that other CPUs make at this moment can be in the number, too: it is this
 * call's or higher.
 */
#if defined(ATOMICS_FETCH) && __clang_major__ >= 12
#define CALLS_ARE_NUMBERED 1
#else
#define CALLS_ARE_NUMBERED 0
#endif

static __always_inline u64 count_call(void)
{
	int which = CALLS;
	u64 *value = counters.lookup(&which);

	if (!value)
		return 0;
#if CALLS_ARE_NUMBERED
	return __sync_fetch_and_add(value, 1) + 1;
#else
	__sync_fetch_and_add(value, 1);
	return *(volatile u64 *)value;
#endif
}

#endif
