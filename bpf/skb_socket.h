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

#include "skb_record.h"

BPF_TABLE("lru_hash", struct skb_socket_key, struct skb_socket, sockets, 16384);

/* enum in include/net/tcp_states.h: these are no struct sock, but smaller. */
#define TCP_TIME_WAIT 6
#define TCP_NEW_SYN_RECV 12

static __always_inline void read_facts(struct skb_socket *facts, u64 sk)
{
	u64 socket = read_word(sk + SK_SOCKET);

	if (socket)
		bpf_probe_read_kernel(&facts->inode, sizeof(facts->inode),
				      (void *)(socket + SOCKET_INODE));
	facts->cookie = read_word(sk + SK_COOKIE);
#ifdef SK_CGROUP
	u64 cgroup = read_word(sk + SK_CGROUP), node;

	node = cgroup ? read_word(cgroup + CGROUP_NODE) : 0;
	facts->cgroup = node ? read_word(node + NODE_ID) : 0;
#endif
}

/* Fill the key of a socket; false if this is none. */
static __always_inline bool key_of(struct skb_socket_key *key, u64 sk)
{
	u8 state = 0;

	key->sk = sk;
	return sk && !bpf_probe_read_kernel(&key->sk_hash, 4, (void *)(sk + SK_HASH)) &&
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
	if (!key_of(&key, sk))
		return;
	e->sk_hash = key.sk_hash;
	facts = sockets.lookup(&key);
	if (!facts) {
		read_facts(&fresh, sk);
		sockets.update(&key, &fresh);
		facts = sockets.lookup(&key);
	}
	if (!facts || !is_used || e->context != CONTEXT_SYSCALL || facts->pid == e->pid)
		return;
	facts->pid = e->pid;
	__builtin_memcpy(facts->comm, e->comm, sizeof(facts->comm));
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
	if (!facts || facts->pid == pid || current_context(ctx) != CONTEXT_SYSCALL)
		return 0;
	facts->pid = pid;
	bpf_get_current_comm(&facts->comm, sizeof(facts->comm));
	return 0;
}

#endif
