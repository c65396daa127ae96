/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Whose socket a packet belongs to.
 *
 * A record holds only the socket's address and hash. All else about a socket is kept once, in a
 * table that the loader reads when the trace ends: so an owner that is learned late is known for
 * the clones made before, too. The owner is the process that uses the socket, in a system call;
 * whoever runs in an interrupt says nothing about it.
 */
#ifndef SKB_SOCKET_H
#define SKB_SOCKET_H

#include "skb_packet.h"
#include "skb_cgroup.h"

BPF_TABLE("lru_hash", struct skb_socket_key, struct skb_socket, sockets, 16384);

static __always_inline void read_facts(struct skb_socket *facts, u64 sk)
{
	u64 socket = read_word(sk + SK_SOCKET);

	if (socket)
		bpf_probe_read_kernel(&facts->inode, sizeof(facts->inode),
				      (void *)(socket + SOCKET_INODE));
	facts->cookie = read_word(sk + SK_COOKIE);
	facts->cgroup = cgroup_of(sk);
}

/* Fill the key of a socket; false if this is none. */
static __always_inline bool key_of(struct skb_socket_key *key, u64 sk)
{
	u8 state = 0;

	key->sk = sk;
	return sk && !bpf_probe_read_kernel(&key->sock_hash, 4, (void *)(sk + SK_HASH)) &&
	       !bpf_probe_read_kernel(&state, sizeof(state), (void *)(sk + SK_STATE)) &&
	       state != TCP_TIME_WAIT && state != TCP_NEW_SYN_RECV;
}

/*
 * The record's packet belongs to this socket. `is_used`: the code that runs now is the socket's
 * own, so that in a system call the running process is its owner.
 */
static __always_inline void set_socket(struct skb_event *e, u64 sk, bool is_used)
{
	struct skb_socket_key key = {};
	struct skb_socket fresh = {}, *facts;

	if (!sk)
		return;
	e->sk = sk;
	e->present |= HAS_SK;
	if (!sees_socket(e, sk) || !key_of(&key, sk))
		return;
	e->sock_hash = key.sock_hash;
	facts = sockets.lookup(&key);
	if (!facts) {
		read_facts(&fresh, sk);
		sockets.update(&key, &fresh);
		facts = sockets.lookup(&key);
	}
	if (!facts || !is_used || e->context != CONTEXT_SYSCALL || facts->pid == e->pid ||
	    !is_viewers_task())
		return;
	facts->pid = e->pid;
	__builtin_memcpy(facts->comm, e->comm, sizeof(facts->comm));
}

#ifdef SK_V6_DADDR
static __always_inline bool fill_ipv6_of_socket(struct skb_event *e, u64 sk)
{
	/* IPv4 by an IPv6 socket has mapped addresses, ::ffff:a.b.c.d, beside its own. */
	u64 peer[2] = {};

	bpf_probe_read_kernel(peer, sizeof(peer), (void *)(sk + SK_V6_DADDR));
	if (!peer[0] && (u32)peer[1] == 0xffff0000)
		return false;
	__builtin_memcpy(e->daddr, peer, sizeof(e->daddr));
	bpf_probe_read_kernel(e->saddr, sizeof(e->saddr), (void *)(sk + SK_V6_RCV_SADDR));
	e->family = 10;		/* AF_INET6 */
	return true;
}
#else
static __always_inline bool fill_ipv6_of_socket(struct skb_event *e, u64 sk)
{
	return false;
}
#endif

static __always_inline void fill_ipv4_of_socket(struct skb_event *e, u64 sk)
{
	bpf_probe_read_kernel(e->daddr, 4, (void *)(sk + SK_DADDR));
	bpf_probe_read_kernel(e->saddr, 4, (void *)(sk + SK_RCV_SADDR));
	e->family = 2;		/* AF_INET */
}

/* The addresses and ports of a TCP socket's own packet that has no headers. */
static __always_inline void fill_from_socket(struct skb_event *e, u64 sk)
{
	u16 family = 0, port = 0;

	if (e->present & HAS_ADDRESSES)
		return;
	bpf_probe_read_kernel(&family, sizeof(family), (void *)(sk + SK_FAMILY));
	if (family != 2 && family != 10)
		return;
	if (family == 2 || !fill_ipv6_of_socket(e, sk))
		fill_ipv4_of_socket(e, sk);
	e->protocol = 6;	/* TCP */
	bpf_probe_read_kernel(&port, sizeof(port), (void *)(sk + SK_DPORT));
	e->dport = swap16(port);
	bpf_probe_read_kernel(&e->sport, sizeof(e->sport), (void *)(sk + SK_NUM));
	e->present |= HAS_ADDRESSES | HAS_PORTS | HAS_SOCKET_ADDRESSES;
}

/*
 * sock_send_length(sk, ...) and sock_recv_length(sk, ...), since Linux 6.3: a process uses a
 * socket. Of interest if a packet of it has been cloned.
 */
int on_use(struct bpf_raw_tracepoint_args *ctx)
{
	struct skb_socket_key key = {};
	struct skb_socket *facts;
	u32 pid = bpf_get_current_pid_tgid() >> 32;

	if (!key_of(&key, ctx->args[0]))
		return 0;
	facts = sockets.lookup(&key);
	if (!facts || facts->pid == pid || current_context(ctx) != CONTEXT_SYSCALL ||
	    !is_viewers_task())
		return 0;
	facts->pid = pid;
	bpf_get_current_comm(&facts->comm, sizeof(facts->comm));
	return 0;
}

#endif
