/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Records for whoever may see only his own (VIEWER_UID): what is another's is taken out before the
 * record leaves the kernel.
 *
 * What a record says of the running task is that of its real user. What it says of a packet is that
 * of its socket's user; of a packet whose socket is not known, of the task in whose system call this
 * is. What stays is that there was a call, when and on which CPU, of what kind, and by which of the
 * kernel's functions: by these, others are counted.
 *
 * The kernel's own addresses are shifted by secrets of the loader's, so that they tell which are the
 * same, and not where the kernel keeps anything.
 */
#ifndef SKB_REDACT_H
#define SKB_REDACT_H

#include "skb_context.h"
#include "skb_viewer.h"

#ifdef VIEWER_UID

/* Bits of `present` while a record is made: its packet's socket was seen, and whose it is. */
#define OF_VIEWER (1U << 30)
#define OF_OTHERS (1U << 31)

/* What is told of a packet that is another's. */
#define TOLD_OF_OTHERS \
	(HAS_PARENT | HAS_CLONE | HAS_CALLER | HAS_COUNT | HAS_ORIGIN | HAS_STACK | HAS_DROP_REASON)

/* The record's packet belongs to this socket; whether it may be told of. */
static __always_inline bool sees_socket(struct skb_event *e, u64 sk)
{
	bool sees = is_viewers_socket(sk);

	e->present |= sees ? OF_VIEWER : OF_OTHERS;
	return sees;
}

/* Whether the record's packet, which names this socket or none, may be read. */
static __always_inline bool sees_packet(struct skb_event *e, u64 sk)
{
	if (e->present & (OF_VIEWER | OF_OTHERS))
		return !(e->present & OF_OTHERS);
	if (sk)
		return sees_socket(e, sk);
	return e->uid == VIEWER_UID && e->context == CONTEXT_SYSCALL;
}

/* The same before there is a record. */
static __always_inline bool would_see_packet(void *ctx, u64 sk)
{
	if (sk)
		return is_viewers_socket(sk);
	return is_viewers_task() && current_context(ctx) == CONTEXT_SYSCALL;
}

static __always_inline void hide_task(struct skb_event *e)
{
	e->pid = e->tid = 0;
	e->uid = -1;		/* INVALID_UID of include/linux/uidgid.h */
	__builtin_memset(e->comm, 0, sizeof(e->comm));
	__builtin_memcpy(e->comm, "other", 5);
}

static __always_inline void hide_packet(struct skb_event *e)
{
	e->present &= TOLD_OF_OTHERS;
	e->sk = 0;
	__builtin_memset(e->saddr, 0, sizeof(e->saddr));
	__builtin_memset(e->daddr, 0, sizeof(e->daddr));
	__builtin_memset(e->dev, 0, sizeof(e->dev));
	e->len = e->ifindex = e->netns = e->seq = e->end_seq = e->sock_hash = 0;
	e->ethertype = e->sport = e->dport = 0;
	e->family = e->protocol = e->tcp_flags = e->again = 0;
}

/* A record is about to leave. Whether its packet's bytes may, too. */
static __always_inline bool redact(struct skb_event *e)
{
	bool sees = sees_packet(e, 0);

	if (!sees)
		hide_packet(e);
	if (e->uid != VIEWER_UID)
		hide_task(e);
	e->present &= ~(OF_VIEWER | OF_OTHERS);
	if (e->present & HAS_PARENT)
		e->parent += DATA_SECRET;
	if (e->present & HAS_CLONE)
		e->clone += DATA_SECRET;
	if (e->present & HAS_SK)
		e->sk += DATA_SECRET;
	if (e->present & HAS_CALLER)
		e->caller += TEXT_SECRET;
	return sees;
}

#else

static __always_inline bool sees_socket(struct skb_event *e, u64 sk)
{
	return true;
}

static __always_inline bool sees_packet(struct skb_event *e, u64 sk)
{
	return true;
}

static __always_inline bool would_see_packet(void *ctx, u64 sk)
{
	return true;
}

static __always_inline bool redact(struct skb_event *e)
{
	return true;
}

#endif

#endif
