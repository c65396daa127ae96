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

/*
 * Sockets of that table and who, by it, used them last, each in its own place or in one that it shares
 * with few: to see that nothing has changed takes less there.
 */
struct user {
	u64 sk;
	u32 sock_hash;
	u32 pid;
};

struct users {
	struct user at[1024];
};

BPF_ARRAY(users, struct users, 1);

static __always_inline struct user *user_of(u64 sk)
{
	int zero = 0;
	struct users *all = users.lookup(&zero);

	return all ? &all->at[(sk >> 6 ^ sk >> 16) & 1023] : NULL;
}

static __always_inline bool is_last_user(struct skb_socket_key *key, u32 pid)
{
	struct user *user = user_of(key->sk);

	return user && user->sk == key->sk && user->sock_hash == key->sock_hash && user->pid == pid;
}

static __always_inline void set_last_user(struct skb_socket_key *key, u32 pid)
{
	struct user *user = user_of(key->sk);

	if (user)
		*user = (struct user){ key->sk, key->sock_hash, pid };
}

static __always_inline void read_facts(struct skb_socket *facts, u64 sk)
{
	u64 socket = READ(u64, sk + SK_SOCKET);

	if (socket)
		facts->inode = READ(u32, socket + SOCKET_INODE);
	facts->cookie = READ(u64, sk + SK_COOKIE);
	facts->cgroup = cgroup_of(sk);
}

/* Fill the key of a socket; false if this is none. */
static __always_inline bool key_of(struct skb_socket_key *key, u64 sk)
{
	key->sk = sk;
	if (!sk || !is_full_socket(sk))
		return false;
	key->sock_hash = READ(u32, sk + SK_HASH);
	return true;
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
		set_last_user(&key, 0);
		facts = sockets.lookup(&key);
	}
	if (!facts || !is_used || e->context != CONTEXT_SYSCALL || facts->pid == e->pid ||
	    !is_viewers_task())
		return;
	facts->pid = e->pid;
	__builtin_memcpy(facts->comm, e->comm, sizeof(facts->comm));
	set_last_user(&key, e->pid);
}

#ifdef SK_V6_DADDR
static __always_inline bool fill_ipv6_of_socket(struct skb_event *e, const u8 *common)
{
	const u8 *peer = common + SK_V6_DADDR;

	/* IPv4 by an IPv6 socket has mapped addresses, ::ffff:a.b.c.d, beside its own. */
	if (!NUMBER(peer, u64, 0) && NUMBER(peer, u32, 8) == 0xffff0000)
		return false;
	__builtin_memcpy(e->daddr, peer, sizeof(e->daddr));
	__builtin_memcpy(e->saddr, common + SK_V6_RCV_SADDR, sizeof(e->saddr));
	e->family = 10;		/* AF_INET6 */
	return true;
}
#else
static __always_inline bool fill_ipv6_of_socket(struct skb_event *e, const u8 *common)
{
	return false;
}
#endif

static __always_inline void fill_ipv4_of_socket(struct skb_event *e, const u8 *common)
{
	__builtin_memcpy(e->daddr, common + SK_DADDR, 4);
	__builtin_memcpy(e->saddr, common + SK_RCV_SADDR, 4);
	e->family = 2;		/* AF_INET */
}

/* The addresses and ports of a TCP socket's own packet that has no headers. */
static __always_inline void fill_from_socket(struct skb_event *e, u64 sk)
{
	u16 family;
	BYTES(common, SK_COMMON_SIZE, sk);

	if (e->present & HAS_ADDRESSES)
		return;
	family = NUMBER(common, u16, SK_FAMILY);
	if (family != 2 && family != 10)
		return;
	if (family == 2 || !fill_ipv6_of_socket(e, common))
		fill_ipv4_of_socket(e, common);
	e->protocol = 6;	/* TCP */
	e->dport = swap16(NUMBER(common, u16, SK_DPORT));
	e->sport = NUMBER(common, u16, SK_NUM);
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

	if (!key_of(&key, ctx->args[0]) || is_last_user(&key, pid))
		return 0;
	facts = sockets.lookup(&key);
	if (!facts || current_context(ctx) != CONTEXT_SYSCALL || !is_viewers_task())
		return 0;
	if (facts->pid != pid) {
		facts->pid = pid;
		bpf_get_current_comm(&facts->comm, sizeof(facts->comm));
	}
	set_last_user(&key, pid);
	return 0;
}

#endif
