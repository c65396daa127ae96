/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What every probe shares: records and their accounting, the scope of a task, and reading a packet.
 *
 * Kernel members are read at offsets given as -D constants (or, where a kernel has no BTF, by
 * skb_layout.h), so nothing here depends on one kernel's headers. No loops over user data,
 * no helper that sleeps; a read that fails leaves its member absent.
 */
#ifndef SKB_COMMON_H
#define SKB_COMMON_H

#include "skb_layout.h"
#include "skb_event.h"
#include "skb_context.h"

#if !defined(SKB_SIZE) || !defined(SKB_CLONE_START)
#error "the kernel's layout and the bounds of skb_clone() come from the loader"
#endif

/* ------------------------------------------------------------------ accounting */

enum counter {
	CALLS,			/* calls of skb_clone() seen */
	LOST,			/* of these, no record: the buffer was full */
	LIMITED,		/* of these, no record: past max_events */
	FAILED,			/* of these, returned NULL */
	SIGHTINGS,		/* sightings seen */
	SIGHTINGS_LOST,		/* of these, no record: the buffer was full */
	TASKS_LOST,		/* tasks whose scope could not be kept: the table was full */
	ENTERED,		/* kprobe: entries into skb_clone() */
	RETURNED,		/* kprobe: returns from it */
	COUNTERS,
};

struct settings {
	u64 max_events;
	u64 wakeup_mask;	/* wake the reader at every call whose number has these bits clear */
};

BPF_ARRAY(counters, u64, COUNTERS);
BPF_ARRAY(settings, struct settings, 1);
BPF_HASH(callers, u64, u64, 4096);

static __always_inline void count_one(int which)
{
	u64 *value = counters.lookup(&which);

	if (value)
		__sync_fetch_and_add(value, 1);
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

/* ------------------------------------------------------------------ scope */

/* Thread id -> enum skb_scope, for every thread that is not SCOPE_OTHER. */
BPF_HASH(tasks, u32, u8, 65536);

static __always_inline u8 scope_of(u32 tid)
{
	u8 *scope = tasks.lookup(&tid);

	return scope ? *scope : SCOPE_OTHER;
}

/* sched_process_fork(parent, child): a new thread or process has the scope of the one that made it. */
int on_fork(struct bpf_raw_tracepoint_args *ctx)
{
	u32 parent = bpf_get_current_pid_tgid(), child = 0;
	u8 scope = scope_of(parent);

	if (scope == SCOPE_OTHER)
		return 0;
	bpf_probe_read_kernel(&child, sizeof(child), (void *)(ctx->args[1] + TASK_PID));
	if (tasks.update(&child, &scope))
		count_one(TASKS_LOST);
	return 0;
}

/*
 * sched_process_free(task). Not sched_process_exit: that comes before the exiting task closes
 * its sockets, and closing sends (and clones) the FIN.
 */
int on_free(struct bpf_raw_tracepoint_args *ctx)
{
	u32 tid = 0;

	bpf_probe_read_kernel(&tid, sizeof(tid), (void *)(ctx->args[0] + TASK_PID));
	tasks.delete(&tid);
	return 0;
}

/* ------------------------------------------------------------------ records */

/*
 * A record is written in place in the ring buffer, or, where there is none, on the stack and then
 * copied to the perf buffer of this CPU. Each CPU's perf buffer wakes its reader by itself.
 */
#ifdef BUFFER_PERF

BPF_PERF_OUTPUT(records);

static __always_inline struct skb_event *reserve_room(struct skb_event *stack, int lost)
{
	return stack;
}

static __always_inline void submit(void *ctx, struct skb_event *e)
{
	if (records.perf_submit(ctx, e, sizeof(*e)))
		count_one(e->kind == KIND_SIGHTING ? SIGHTINGS_LOST : LOST);
}

#else

BPF_RINGBUF_OUTPUT(records, RING_PAGES);

static __always_inline struct skb_event *reserve_room(struct skb_event *stack, int lost)
{
	struct skb_event *e = records.ringbuf_reserve(sizeof(*e));

	if (!e)
		count_one(lost);
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

	return s && calls && e->kind != KIND_SIGHTING && !(*calls & s->wakeup_mask);
}

static __always_inline void submit(void *ctx, struct skb_event *e)
{
	records.ringbuf_submit(e, wakes(e) ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP);
}

#endif

/* A zeroed record of the running task, or NULL (and counted) when there is no room for it. */
static __always_inline struct skb_event *reserve(void *ctx, struct skb_event *stack, u8 kind,
						 int lost)
{
	struct skb_event *e = reserve_room(stack, lost);
	u64 id;

	if (!e)
		return NULL;
	id = bpf_get_current_pid_tgid();
	__builtin_memset(e, 0, sizeof(*e));
	e->ts = bpf_ktime_get_ns();
	e->pid = id >> 32;
	e->tid = id;
	e->uid = bpf_get_current_uid_gid();
	e->cpu = bpf_get_smp_processor_id();
	e->kind = kind;
	e->scope = scope_of(id);
	bpf_get_current_comm(&e->comm, sizeof(e->comm));
	e->context = current_context(ctx);
	return e;
}

/*
 * The record of one call of skb_clone(), or NULL when it is only counted. Where calls are not
 * numbered, the time and the CPU make a number that no other call of half a year has.
 */
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
	e = reserve(ctx, stack, kind, LOST);
	if (!e)
		return NULL;
	e->count = CALLS_ARE_NUMBERED ? number : e->ts << 10 | (e->cpu & 1023);
	e->present = CALLS_ARE_NUMBERED ? HAS_COUNT : 0;
	return e;
}

/* ------------------------------------------------------------------ callers */

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

/* ------------------------------------------------------------------ packets */

#ifdef BUFFER_PERF

/* A struct sk_buff, each member read when it is asked for: the stack holds the record already. */
struct skb_copy {
	u64 address;
};

#define SKB(copy, type, offset)                                                              \
	({                                                                                   \
		type value = 0;                                                              \
		bpf_probe_read_kernel(&value, sizeof(value), (void *)((copy)->address + (offset))); \
		value;                                                                       \
	})

static __always_inline bool read_skb(struct skb_copy *skb, u64 address)
{
	skb->address = address;
	return true;
}

#else

/* A copy of a struct sk_buff, read in one go. */
struct skb_copy {
	u8 at[SKB_SIZE];
} __attribute__((aligned(8)));

#define SKB(copy, type, offset) (*(type *)((copy)->at + (offset)))

static __always_inline bool read_skb(struct skb_copy *skb, u64 address)
{
	return !bpf_probe_read_kernel(skb, sizeof(*skb), (void *)address);
}

#endif

#define SKB_BITS(copy, byte, bit, width) ((SKB(copy, u8, byte) >> (bit)) & ((1 << (width)) - 1))

#define fclone_of(copy) SKB_BITS(copy, SKB_FCLONE_BYTE, SKB_FCLONE_BIT, 2)
#define cloned_of(copy) SKB_BITS(copy, SKB_CLONED_BYTE, SKB_CLONED_BIT, 1)

/* enum in include/linux/skbuff.h */
#define FCLONE_ORIG 1
#define FCLONE_CLONE 2

static __always_inline u16 swap16(u16 x)
{
	return __builtin_bswap16(x);
}

static __always_inline void fill_device(struct skb_event *e, u64 dev)
{
	u64 net = 0;

	if (!dev || bpf_probe_read_kernel(&e->ifindex, 4, (void *)(dev + DEV_IFINDEX)))
		return;
	e->present |= HAS_IFINDEX;
	if (bpf_probe_read_kernel_str(e->dev, sizeof(e->dev), (void *)(dev + DEV_NAME)) < 0 ||
	    bpf_probe_read_kernel(&net, 8, (void *)(dev + DEV_NET)) ||
	    bpf_probe_read_kernel(&e->netns, 4, (void *)(net + NET_INUM)))
		return;
	e->present |= HAS_DEV;
}

/* Ports, and TCP's flags and sequence number. `room` is what is left of the linear part. */
static __always_inline void fill_transport(struct skb_event *e, u64 header, s64 room)
{
	u8 t[16] = {};

	switch (e->protocol) {
	case 6:			/* TCP */
	case 17:		/* UDP */
	case 132:		/* SCTP */
	case 136:		/* UDP-Lite */
		break;
	default:
		return;
	}
	if (room < 8 || bpf_probe_read_kernel(t, 8, (void *)header))
		return;
	e->sport = t[0] << 8 | t[1];
	e->dport = t[2] << 8 | t[3];
	e->present |= HAS_PORTS;
	if (e->protocol != 6 || room < 20 || bpf_probe_read_kernel(t, 16, (void *)header))
		return;
	e->seq = (u32)t[4] << 24 | (u32)t[5] << 16 | (u32)t[6] << 8 | t[7];
	e->tcp_flags = t[13];
	e->present |= HAS_TCP;
}

static __always_inline void fill_ipv4(struct skb_event *e, u64 header, s64 room)
{
	u8 ip[20];

	if (room < 20 || bpf_probe_read_kernel(ip, sizeof(ip), (void *)header) || ip[0] >> 4 != 4)
		return;
	e->family = 2;		/* AF_INET */
	e->protocol = ip[9];
	__builtin_memcpy(e->saddr, ip + 12, 4);
	__builtin_memcpy(e->daddr, ip + 16, 4);
	e->present |= HAS_ADDRESSES;
	if ((ip[6] & 0x1f) | ip[7])
		return;		/* not the first fragment: no transport header */
	fill_transport(e, header + (ip[0] & 15) * 4, room - (ip[0] & 15) * 4);
}

/* `protocol` is the next header's number; behind an extension header the ports stay absent. */
static __always_inline void fill_ipv6(struct skb_event *e, u64 header, s64 room)
{
	u8 ip[40];

	if (room < 40 || bpf_probe_read_kernel(ip, sizeof(ip), (void *)header) || ip[0] >> 4 != 6)
		return;
	e->family = 10;		/* AF_INET6 */
	e->protocol = ip[6];
	__builtin_memcpy(e->saddr, ip + 8, 16);
	__builtin_memcpy(e->daddr, ip + 24, 16);
	e->present |= HAS_ADDRESSES;
	fill_transport(e, header + 40, room - 40);
}

/*
 * What the packet itself says. Only the linear part is read: head to tail. The transport header
 * is found from the IP header, because skb->transport_header is reset for taps
 * (dev_queue_xmit_nit() in net/core/dev.c).
 */
static __always_inline void fill_packet(struct skb_event *e, struct skb_copy *skb)
{
	u32 len = SKB(skb, u32, SKB_LEN), linear = len - SKB(skb, u32, SKB_DATA_LEN);
	u64 header = SKB(skb, u64, SKB_HEAD) + SKB(skb, u16, SKB_NETWORK_HEADER);
	s64 room = SKB(skb, u64, SKB_DATA) + linear - header;

	e->len = len;
	e->ethertype = swap16(SKB(skb, u16, SKB_PROTOCOL));
	e->present |= HAS_LEN | HAS_ETHERTYPE;
	if (e->ethertype == 0x0800)
		fill_ipv4(e, header, room);
	else if (e->ethertype == 0x86dd)
		fill_ipv6(e, header, room);
}

/* The front of a copy of struct tcp_skb_cb. */
struct tcp_cb {
	u8 at[TCP_CB_FLAGS + 1];
} __attribute__((aligned(8)));

/*
 * Whether TCP sends a packet again: what it sends for the first time begins at snd_nxt, which moves
 * on after that; and it counts what it sends again beforehand (__tcp_retransmit_skb() in
 * net/ipv4/tcp_output.c), so that nothing is taken for that which only waits to be queued.
 */
static __always_inline bool is_sent_again(u64 sk, u32 seq)
{
	u32 next = 0, retransmitted = 0;

	bpf_probe_read_kernel(&next, sizeof(next), (void *)(sk + TCP_SND_NXT));
	bpf_probe_read_kernel(&retransmitted, sizeof(retransmitted),
			      (void *)(sk + TCP_TOTAL_RETRANS));
	return retransmitted && (s32)(seq - next) < 0;
}

/*
 * What TCP notes about a packet that it keeps until it is acknowledged: only the packet that was
 * cloned has this, because IP overwrites the clone's.
 */
static __always_inline bool fill_tcp_cb(struct skb_event *e, struct tcp_cb *cb, u64 parent, u64 sk)
{
	if (bpf_probe_read_kernel(cb, sizeof(cb->at), (void *)(parent + SKB_CB)))
		return false;
	e->end_seq = *(u32 *)(cb->at + TCP_CB_END_SEQ);
	e->again = is_sent_again(sk, *(u32 *)(cb->at + TCP_CB_SEQ));
	e->present |= HAS_TCP_CB;
	return true;
}

#endif
