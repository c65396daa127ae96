/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One call of skb_clone(), or of a function that copies, seen with its argument and its result:
 * the worker of the probes that are attached to the functions themselves.
 *
 * In TCP's transmit path the packet has neither headers nor socket nor device yet (net/ipv4/
 * tcp_output.c): the socket comes from the companion probe on __tcp_transmit_skb(), flags and
 * sequence number from TCP_SKB_CB, and the rest from a sighting. Elsewhere the packet that was
 * cloned has them.
 */
#include "skb_caller.h"
#include "skb_sighting.h"
#include "skb_stack.h"

/*
 * Packets that TCP is about to clone and send, and their sockets, each packet in its own place or in one
 * that it shares with few: it is taken from there at once. `both` is of both addresses, so that two CPUs
 * that write to one place leave nothing there that neither of them meant.
 */
#define SENDERS 4096
struct sender {
	u64 sk;
	u64 both;
};
BPF_ARRAY(senders, struct sender, SENDERS);

static __always_inline struct sender *sender_of(u64 skb)
{
	int place = (skb >> 8 ^ skb >> 20) % SENDERS;

	return senders.lookup(&place);
}

/* __tcp_transmit_skb(sk, skb, clone_it, ...) */
static __always_inline void remember_sender(u64 sk, u64 skb, int clone_it)
{
	struct sender *sender = sender_of(skb);

	if (!clone_it || !sender)
		return;
	sender->sk = sk;
	sender->both = sk ^ skb;
}

static __always_inline void fill_sender(struct skb_event *e, u64 parent, u64 sk)
{
	set_socket(e, sk, true);
	fill_from_socket(e, sk);
	e->present |= HAS_COMPANION;
	fill_tcp_cb(e, parent, sk);
}

/*
 * The socket that is sending this packet, or 0; asked once. `caller` is 0 where it is hidden, which
 * is then told by this: the companion saw it, and nothing can hide that.
 */
static __always_inline u64 take_sender(u64 skb, u64 *caller)
{
#ifdef TCP_TRANSMIT_SKB_START
	struct sender *sender = sender_of(skb);
	u64 sk;

	if (!sender)
		return 0;
	sk = sender->sk;
	if (!sk || sender->both != (sk ^ skb))
		return 0;
	sender->sk = 0;
	/* The packet that TCP sent may be gone, and another be at its address. */
	if (*caller && (*caller < TCP_TRANSMIT_SKB_START || *caller >= TCP_TRANSMIT_SKB_END))
		return 0;
	*caller = TCP_TRANSMIT_SKB_START;
	return sk;
#else
	return 0;
#endif
}

/* What a function was called with, and from where. */
struct call {
	u64 parent;
	u64 caller;		/* 0: hidden */
	s64 stack;		/* its number, or negative */
};

static __always_inline void emit(void *ctx, struct skb_event *e, struct call *call, u64 made,
				 u64 sk)
{
	u64 parent = call->parent;
	struct skb_copy skb;

	e->parent = parent;
	e->present |= HAS_PARENT;
	if (call->caller)
		set_caller(e, call->caller);
	if (sk)
		fill_sender(e, parent, sk);
	else if (read_skb(&skb, parent))
		fill_packet(e, &skb);
	if (e->path == PATH_FAST) {
		set_second(e, made, true, 0);
	} else {
		set_origin(e);
		if (made)
			set_made(e, made, true);
	}
	set_stack(e, call->stack);
	submit(ctx, e);
}

static __always_inline void emit_call(void *ctx, struct call *call, u64 clone)
{
	u64 sk = take_sender(call->parent, &call->caller);
	/* Between reserving and this test Linux 6.1's verifier allows nothing else. */
	struct skb_event stack, *e = reserve_call(ctx, &stack, clone ? KIND_CLONE : KIND_FAILED);

	if (!e)
		return;
	if (clone)
		e->path = clone == call->parent + SKB_SIZE ? PATH_FAST : PATH_SLAB;
	emit(ctx, e, call, clone, sk);
}

static __always_inline void emit_copy(void *ctx, struct call *call, u64 copy)
{
	u64 sk = take_sender(call->parent, &call->caller);
	struct skb_event stack, *e = reserve_copy(ctx, &stack, copy ? KIND_COPY : KIND_COPY_FAILED);

	if (e)
		emit(ctx, e, call, copy, sk);
}

/* net_dev_queue(skb) */
int on_queue(struct bpf_raw_tracepoint_args *ctx)
{
	struct life *life = unfilled_life(ctx->args[0]);
	struct skb_copy skb;

	count_sent();
	if (life && read_skb(&skb, ctx->args[0]))
		emit_sighting(ctx, ctx->args[0], life, &skb, SKB(&skb, u64, SKB_SK),
			      DEV_IS_VALID | SK_IS_USED | sent_by(&skb));
	return 0;
}

static __always_inline void see_release(void *ctx, u64 address)
{
	struct life *life = unfilled_life(address);
	struct skb_copy skb;

	if (life && read_skb(&skb, address))
		emit_sighting(ctx, address, life, &skb, SKB(&skb, u64, SKB_SK), 0);
}
