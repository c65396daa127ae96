// SPDX-License-Identifier: GPL-2.0-only
/*
 * Synthetic load: records of fast TCP clones, without packets.
 *
 * Attaches to the raw tracepoint sys_enter. Every call that LOAD_PID makes of the syscall LOAD_SYSCALL
 * emits LOAD_BATCH records. They go through the functions of skb_record.h that a clone's record goes
 * through (number, limit, ring, scope, caller, wake-up), with every member set; only the reads of
 * a packet are left out. Two CPUs cannot make the millions of clones a second that it takes to find
 * the limit of what follows.
 *
 * Emits: 64 connections over 16 addresses, lengths and sequence numbers that differ.
 */
#include "skb_caller.h"
#include "skb_life.h"
#include "skb_socket.h"

#if !defined(LOAD_PID) || !defined(LOAD_SYSCALL) || !defined(LOAD_BATCH) || !defined(TCP_TRANSMIT_SKB_START)
#error "the process, its syscall, the number of records and a caller come from the loader"
#endif

#define EVERYTHING_ELSE (HAS_DEV * 2 - 1 | HAS_TCP_CB)

static __always_inline void fill_connection(struct skb_event *e)
{
	u32 n = e->count;

	e->saddr[0] = e->daddr[0] = 127;
	e->saddr[3] = n & 15;
	e->daddr[3] = 1;
	e->sport = 32768 + (n & 63);
	e->dport = 8000;
	e->seq = n * 1448;
	e->end_seq = e->seq + (n & 1023);
	e->len = 52 + (n & 1023);
	e->tcp_flags = n & 7 ? 0x10 : 0x18;	/* ACK, PSH|ACK */
}

static __always_inline void emit(void *ctx)
{
	struct skb_event stack, *e = reserve_call(ctx, &stack, KIND_CLONE);

	if (!e)
		return;
	e->path = PATH_FAST;
	e->parent = 0xffff888000000000ULL + (e->count & 4095) * 2 * SKB_SIZE;
	e->clone = e->parent + SKB_SIZE;
	e->sk = 0xffff888100000000ULL + (e->count & 63) * 4096;
	e->sock_hash = e->count & 63;
	set_caller(e, TCP_TRANSMIT_SKB_START);
	e->present |= EVERYTHING_ELSE;
	e->ethertype = 0x0800;
	e->family = 2;			/* AF_INET */
	e->protocol = 6;		/* IPPROTO_TCP */
	fill_connection(e);
	e->ifindex = 1;
	e->netns = 4026531840U;
	e->dev[0] = 'l';
	e->dev[1] = 'o';
	submit(ctx, e);
}

/* sys_enter(regs, id) */
int on_syscall(struct bpf_raw_tracepoint_args *ctx)
{
	if (bpf_get_current_pid_tgid() >> 32 != LOAD_PID || ctx->args[1] != LOAD_SYSCALL)
		return 0;
	for (int i = 0; i < LOAD_BATCH; i++)
		emit(ctx);
	return 0;
}
