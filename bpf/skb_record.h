/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Records: room for one, what every one says of the running task, and its way to the reader.
 */
#ifndef SKB_RECORD_H
#define SKB_RECORD_H

#include "skb_scope.h"
#include "skb_redact.h"

/* Counts the records of a kind that find no room. */
static __always_inline int lost_of(u8 kind)
{
	switch (kind) {
	case KIND_CLONE:
	case KIND_FAILED:
		return LOST;
	case KIND_SIGHTING:
		return SIGHTINGS_LOST;
	case KIND_COPY:
	case KIND_COPY_FAILED:
		return COPIES_LOST;
	default:
		return ENDS_LOST;
	}
}

/*
 * Behind a record there is room for a packet's bytes, where they are asked for. A ring is not
 * cleared, and holds bytes of earlier packets.
 */
#ifdef SNAPLEN

struct bytes {
	u8 at[(SNAPLEN + 7) / 8 * 8];
};

#define RECORD_SIZE \
	(sizeof(struct skb_event) + sizeof(struct skb_bytes) + sizeof(struct bytes))


BPF_ARRAY(zeros, struct bytes, 1);

static __always_inline void clear_bytes(struct skb_event *e)
{
	struct skb_bytes *bytes = (struct skb_bytes *)(e + 1);
	int zero = 0;
	struct bytes *zeroed = zeros.lookup(&zero);

	__builtin_memset(bytes, 0, sizeof(*bytes));
	if (zeroed)
		bpf_probe_read_kernel(bytes->at, sizeof(*zeroed), zeroed);
}

#else

#define RECORD_SIZE sizeof(struct skb_event)

static __always_inline void clear_bytes(struct skb_event *e)
{
}

#endif

/*
 * A record is written in place in the ring buffer, or, where there is none, on the stack and then
 * copied to the perf buffer of this CPU. Each CPU's perf buffer wakes its reader by itself.
 */
#ifdef BUFFER_PERF

#ifdef SNAPLEN
#error "a packet's bytes do not fit on the stack"
#endif

BPF_PERF_OUTPUT(records);

static __always_inline struct skb_event *reserve_room(struct skb_event *stack, u8 kind)
{
	return stack;
}

static __always_inline void submit(void *ctx, struct skb_event *e)
{
	redact(e);
	if (records.perf_submit(ctx, e, sizeof(*e)))
		count_one(lost_of(e->kind));
}

#else

BPF_RINGBUF_OUTPUT(records, RING_PAGES);

static __always_inline struct skb_event *reserve_room(struct skb_event *stack, u8 kind)
{
	struct skb_event *e = records.ringbuf_reserve(RECORD_SIZE);

	if (!e)
		count_one(lost_of(kind));
	return e;
}

/*
 * The reader looks ten times a second anyway: wake it only before the ring fills, every
 * power-of-two number of calls.
 */
static __always_inline bool wakes(struct skb_event *e)
{
	int zero = 0, which = CALLS;
	struct settings *s = settings.lookup(&zero);
	u64 *calls = CALLS_ARE_NUMBERED ? &e->count : counters.lookup(&which);

	return s && calls && e->kind == KIND_CLONE && !(*calls & s->wakeup_mask);
}

static __always_inline void submit(void *ctx, struct skb_event *e)
{
	if (!redact(e))
		clear_bytes(e);
	records.ringbuf_submit(e, wakes(e) ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP);
}

#endif

/* A zeroed record, or NULL (and counted) when there is no room for it. */
static __always_inline struct skb_event *reserve_bare(struct skb_event *stack, u8 kind)
{
	struct skb_event *e = reserve_room(stack, kind);

	if (!e)
		return NULL;
	__builtin_memset(e, 0, sizeof(*e));
	clear_bytes(e);
	e->ts = bpf_ktime_get_ns();
	e->kind = kind;
	return e;
}

/* A record of the running task. */
static __always_inline struct skb_event *reserve(void *ctx, struct skb_event *stack, u8 kind)
{
	struct skb_event *e = reserve_bare(stack, kind);
	u64 id;

	if (!e)
		return NULL;
	id = bpf_get_current_pid_tgid();
	e->pid = id >> 32;
	e->tid = id;
	e->uid = bpf_get_current_uid_gid();
	e->cpu = bpf_get_smp_processor_id();
	e->scope = scope_of(id);
	bpf_get_current_comm(&e->comm, sizeof(e->comm));
	e->context = current_context(ctx);
	return e;
}

/* A number that no other record of half a year has. */
static __always_inline u64 number_by_time(struct skb_event *e)
{
	return e->ts << 10 | (e->cpu & 1023);
}

/* The record of one call of skb_clone(), or NULL when it is only counted. */
static __always_inline struct skb_event *reserve_call(void *ctx, struct skb_event *stack,
						      u8 kind)
{
	u64 number = count_call();
	int zero = 0;
	struct settings *s = settings.lookup(&zero);
	struct skb_event *e;

	if (kind == KIND_FAILED)
		count_one(FAILED);
	if (s && number > s->max_events) {
		count_one(LIMITED);
		return NULL;
	}
	e = reserve(ctx, stack, kind);
	if (!e)
		return NULL;
	e->count = CALLS_ARE_NUMBERED ? number : number_by_time(e);
	e->present = CALLS_ARE_NUMBERED ? HAS_COUNT : 0;
	return e;
}

/* The record of one call of a function that copies, or NULL. */
static __always_inline struct skb_event *reserve_copy(void *ctx, struct skb_event *stack,
						      u8 kind)
{
	struct skb_event *e;

	count_one(COPIES);
	e = reserve(ctx, stack, kind);
	if (!e)
		return NULL;
	e->count = number_by_time(e);
	return e;
}

#endif
