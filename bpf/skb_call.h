/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One call of skb_clone(), seen with its argument and its result: the worker of the probes that
 * are attached to the function itself.
 *
 * In TCP's transmit path the packet has neither headers nor socket nor device yet (net/ipv4/
 * tcp_output.c): the socket comes from the companion probe on __tcp_transmit_skb(), flags and
 * sequence number from TCP_SKB_CB, and the rest from a sighting. Elsewhere the packet that was
 * cloned has them.
 */
#include "skb_caller.h"
#include "skb_sighting.h"

/* Packet that TCP is about to clone and send -> its socket. */
BPF_TABLE("lru_hash", u64, u64, senders, 16384);

/* __tcp_transmit_skb(sk, skb, clone_it, ...) */
static __always_inline void remember_sender(u64 sk, u64 skb, int clone_it)
{
	if (clone_it)
		senders.update(&skb, &sk);
}

static __always_inline void fill_sender(struct skb_event *e, u64 parent, u64 sk)
{
	struct tcp_cb cb;

	set_socket(e, sk, true);
	if (!fill_tcp_cb(e, &cb, parent, sk))
		return;
	e->seq = *(u32 *)(cb.at + TCP_CB_SEQ);
	e->tcp_flags = cb.at[TCP_CB_FLAGS];
	e->present |= HAS_TCP;
}

/* The socket that is sending this packet, or 0; asked once. */
static __always_inline u64 take_sender(u64 skb)
{
	u64 *found = senders.lookup(&skb), sk;

	if (!found)
		return 0;
	sk = *found;
	senders.delete(&skb);
	return sk;
}

static __always_inline void emit_call(void *ctx, u64 parent, u64 clone, u64 caller)
{
	u64 sk = take_sender(parent);
	struct skb_event stack, *e;
	struct skb_copy skb;

	/* Between reserving and this test Linux 6.1's verifier allows nothing else. */
	e = reserve_call(ctx, &stack, clone ? KIND_CLONE : KIND_FAILED);
	if (!e)
		return;
	e->parent = parent;
	e->present |= HAS_PARENT;
	if (clone) {
		e->clone = clone;
		e->present |= HAS_CLONE;
		e->path = clone == parent + SKB_SIZE ? PATH_FAST : PATH_SLAB;
		remember(clone, e->count);
	}
#ifdef TCP_TRANSMIT_SKB
	if (sk)
		caller = TCP_TRANSMIT_SKB;	/* the companion saw it; nothing can hide that */
#endif
	if (caller)
		set_caller(e, caller);
	if (sk)
		fill_sender(e, parent, sk);
	else if (read_skb(&skb, parent))
		fill_packet(e, &skb);
	submit(ctx, e);
}

/* net_dev_queue(skb) */
int on_queue(struct bpf_raw_tracepoint_args *ctx)
{
	struct skb_copy skb;

	if (read_skb(&skb, ctx->args[0]))
		emit_sighting(ctx, ctx->args[0], &skb, SKB(&skb, u64, SKB_SK),
			      DEV_IS_VALID | SK_IS_USED);
	return 0;
}

/* consume_skb(skb, ...) and kfree_skb(skb, ...) */
int on_release(struct bpf_raw_tracepoint_args *ctx)
{
	struct skb_copy skb;

	if (read_skb(&skb, ctx->args[0]))
		emit_sighting(ctx, ctx->args[0], &skb, SKB(&skb, u64, SKB_SK), 0);
	return 0;
}
