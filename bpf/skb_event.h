/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The record: what the kernel side writes and every reader reads, byte for byte.
 *
 * Fixed size, naturally aligned, host byte order except where noted. A member whose bit is
 * not set in `present` was not seen by the probe and holds zeros; zero is never a value then.
 */
#ifndef SKB_EVENT_H
#define SKB_EVENT_H

#define SKB_EVENT_ABI 7

/* What the record is about. */
enum skb_kind {
	KIND_CLONE = 1,		/* skb_clone() returned a clone */
	KIND_FAILED = 2,	/* skb_clone() returned NULL */
	KIND_SIGHTING = 3,	/* a clone of an earlier record, seen again with its headers filled */
	KIND_COPY = 4,		/* skb_copy() or __pskb_copy_fclone() returned a copy */
	KIND_COPY_FAILED = 5,	/* one of them returned NULL */
	KIND_CONSUMED = 6,	/* the end of an earlier record's clone: it was used */
	KIND_DROPPED = 7,	/* the same: it was thrown away, for drop_reason */
	KIND_FREED = 8,		/* the same: it was freed where the kernel does not say why */
};

/* Where skb_clone() took the clone's struct sk_buff from. */
enum skb_path {
	PATH_FAST = 1,		/* the second half of an fclone pair */
	PATH_SLAB = 2,		/* kmem_cache_alloc() */
};

/* Whose task was running. */
enum skb_scope {
	SCOPE_OTHER = 1,
	SCOPE_NOTEBOOK = 2,	/* the notebook's other threads, and its server */
	SCOPE_CELL = 3,		/* the thread that runs the cell and all that descends from it */
};

/* What the kernel was doing; 0 where it does not tell. */
enum skb_context {
	CONTEXT_SYSCALL = 1,	/* a process's own system call, page fault or exit */
	CONTEXT_SOFTIRQ = 2,	/* on behalf of nobody, in whichever task it interrupts */
	CONTEXT_HARDIRQ = 3,
	CONTEXT_KTHREAD = 4,	/* a thread of the kernel's own */
};

/* Bits of `present`. The members without a bit are always there. */
enum skb_present {
	HAS_PARENT = 1 << 0,
	HAS_CLONE = 1 << 1,
	HAS_SK = 1 << 2,
	HAS_CALLER = 1 << 3,
	HAS_LEN = 1 << 4,
	HAS_ETHERTYPE = 1 << 5,
	HAS_ADDRESSES = 1 << 6,	/* family, protocol, saddr, daddr */
	HAS_PORTS = 1 << 7,
	HAS_TCP = 1 << 8,	/* tcp_flags, seq */
	HAS_IFINDEX = 1 << 9,
	HAS_DEV = 1 << 10,	/* dev, netns */
	HAS_COUNT = 1 << 11,	/* else count is only a number that no other call has */
	HAS_TCP_CB = 1 << 12,	/* end_seq, again */
	HAS_ORIGIN = 1 << 13,
	HAS_STACK = 1 << 14,
	HAS_DROP_REASON = 1 << 15,
	HAS_SOCKET_ADDRESSES = 1 << 16,	/* addresses, ports: of sk, for want of headers */
	HAS_COMPANION = 1 << 17,	/* sk was seen by the companion probe, not in the packet */
};

struct skb_event {
	__u64 ts;		/* bpf_ktime_get_ns(): CLOCK_MONOTONIC, ns */
	__u64 count;		/* this call's number, from 1, machine-wide; else unique (HAS_COUNT) */
	__u64 parent;		/* struct sk_buff * that was cloned */
	__u64 clone;		/* struct sk_buff * that skb_clone() returned */
	__u64 sk;		/* struct sock * that the packet belongs to */
	__u64 caller;		/* address in the function that called skb_clone() */
	__u64 origin;		/* number of the call that first saw parent: as its clone or parent */
	__u8 saddr[16];		/* network order; IPv4 in the first four bytes */
	__u8 daddr[16];
	char comm[16];		/* of the running task */
	char dev[16];		/* name of the device */
	__u32 present;		/* enum skb_present */
	__u32 pid;		/* process id (tgid) of the running task */
	__u32 tid;		/* its thread id */
	__u32 uid;		/* its real user id */
	__u32 len;		/* skb->len, bytes */
	__u32 ifindex;
	__u32 netns;		/* inode number of the device's network namespace */
	__u32 seq;		/* TCP sequence number */
	__u32 end_seq;		/* that of the packet after it; SYN and FIN count one each */
	__u32 sock_hash;		/* sk's skc_hash: another socket at the same address has another */
	__u32 stack;		/* id of its stack, in the loader's table */
	__u32 drop_reason;	/* enum skb_drop_reason */
	__u16 cpu;
	__u16 ethertype;	/* skb->protocol */
	__u16 sport;
	__u16 dport;
	__u8 kind;		/* enum skb_kind */
	__u8 path;		/* enum skb_path */
	__u8 scope;		/* enum skb_scope */
	__u8 family;		/* AF_INET or AF_INET6 */
	__u8 protocol;		/* IPPROTO_* of the IP header */
	__u8 tcp_flags;		/* byte 13 of the TCP header */
	__u8 context;		/* enum skb_context */
	__u8 again;		/* 1 if TCP sent it before */
};

/* Behind each record of a trace that asked for packets' bytes. */
struct skb_bytes {
	__u32 length;		/* of the packet, counted from the first of these bytes */
	__u16 captured;		/* how many of them there are; 0: the packet was not seen */
	__u16 link;		/* how many of them are the link header */
	__u8 at[];		/* room for as many as were asked for; zeros behind the captured ones */
};

/*
 * A socket that records name, told once, when the trace ends: so an owner that is learned late is
 * known for earlier records, too.
 */
struct skb_socket_key {
	__u64 sk;
	__u32 sock_hash;
	__u32 pad;
};

struct skb_socket {
	__u64 cookie;		/* 0: nobody has asked for one yet */
	__u64 cgroup;		/* id of its control group; 0: unknown */
	__u32 inode;		/* as in /proc/PID/fd; 0: none (not accepted yet, or closed) */
	__u32 pid;		/* the process that used it last; 0: none was seen */
	char comm[16];		/* of the thread that did */
};

/* A call, as a first program says it: in the place of the record. */
struct handbook_event {
	__u64 ts;		/* as in the record */
	__u64 count;		/* read and then written back, so calls can have the same */
	__u32 pid;		/* the thread id of the running task */
	__u32 pad;
	char comm[16];		/* of the running task */
};

/* How many calls a process made, where they are only added up: each with a u64, which is the sum. */
struct tally_key {
	__u32 pid;		/* process id (tgid) of the running task */
	__u32 scope;		/* enum skb_scope */
	char comm[16];		/* of the running task */
};

#endif
