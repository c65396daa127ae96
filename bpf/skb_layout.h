/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where the kernel keeps its struct members, for kernels without BTF: from their real headers.
 * With BTF the loader gives the same constants as -D flags and this file is empty.
 */
#ifdef LAYOUT_FROM_HEADERS
#include <linux/cgroup-defs.h>
#include <linux/kernfs.h>
#include <linux/netdevice.h>
#include <linux/sched.h>
#include <linux/skbuff.h>
#include <linux/fs.h>
#include <linux/thread_info.h>
#include <linux/version.h>
#include <net/net_namespace.h>
#include <net/sock.h>
#include <net/tcp.h>

#define SKB_SIZE sizeof(struct sk_buff)
#define SKB_LEN offsetof(struct sk_buff, len)
#define SKB_DATA_LEN offsetof(struct sk_buff, data_len)
#define SKB_HEAD offsetof(struct sk_buff, head)
#define SKB_DATA offsetof(struct sk_buff, data)
#define SKB_END offsetof(struct sk_buff, end)
#define SKB_MAC_HEADER offsetof(struct sk_buff, mac_header)
#define SKB_NETWORK_HEADER offsetof(struct sk_buff, network_header)
#define SKB_PROTOCOL offsetof(struct sk_buff, protocol)
#define SKB_SK offsetof(struct sk_buff, sk)
#define SKB_TSTAMP offsetof(struct sk_buff, tstamp)
#define SKB_DEV offsetof(struct sk_buff, dev)
#define SKB_IIF offsetof(struct sk_buff, skb_iif)
#define SKB_DESTRUCTOR offsetof(struct sk_buff, destructor)
#define SKB_CB offsetof(struct sk_buff, cb)
#define SHARED_NR_FRAGS offsetof(struct skb_shared_info, nr_frags)
#define SHARED_FRAGS offsetof(struct skb_shared_info, frags)
#define STRUCT_PAGE_SIZE sizeof(struct page)
#define TCP_CB_SEQ offsetof(struct tcp_skb_cb, seq)
#define TCP_CB_END_SEQ offsetof(struct tcp_skb_cb, end_seq)
#define TCP_CB_FLAGS offsetof(struct tcp_skb_cb, tcp_flags)
#define TCP_SND_NXT offsetof(struct tcp_sock, snd_nxt)
#define TCP_TOTAL_RETRANS offsetof(struct tcp_sock, total_retrans)
#define SK_FAMILY offsetof(struct sock_common, skc_family)
#define SK_DADDR offsetof(struct sock_common, skc_daddr)
#define SK_RCV_SADDR offsetof(struct sock_common, skc_rcv_saddr)
#define SK_DPORT offsetof(struct sock_common, skc_dport)
#define SK_NUM offsetof(struct sock_common, skc_num)
#if IS_ENABLED(CONFIG_IPV6)
#define SK_V6_DADDR offsetof(struct sock_common, skc_v6_daddr)
#define SK_V6_RCV_SADDR offsetof(struct sock_common, skc_v6_rcv_saddr)
#endif
#define SK_HASH offsetof(struct sock_common, skc_hash)
#define SK_STATE offsetof(struct sock_common, skc_state)
#define SK_COMMON_SIZE sizeof(struct sock_common)
#define SK_COOKIE offsetof(struct sock_common, skc_cookie)
#define SK_SOCKET offsetof(struct sock, sk_socket)
#define SK_UID offsetof(struct sock, sk_uid)
#if LINUX_VERSION_CODE >= KERNEL_VERSION(5, 6, 0)
#define SK_PROTOCOL offsetof(struct sock, sk_protocol)
#endif
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 18, 0)
#define UDP_DEFERS_FREE
#endif
#define SK_LAST_RECEIVED \
	(offsetof(struct sock, sk_receive_queue) + offsetof(struct sk_buff_head, prev))
#define SOCKET_INODE (offsetof(struct socket_alloc, vfs_inode) + offsetof(struct inode, i_ino))
/* cloned:1, nohdr:1, fclone:2 share the byte that CLONED_OFFSET marks. */
#define SKB_CLONED_BYTE offsetof(struct sk_buff, __cloned_offset)
#define SKB_CLONED_BIT 0
#define SKB_FCLONE_BYTE SKB_CLONED_BYTE
#define SKB_FCLONE_BIT 2
#define DEV_IFINDEX offsetof(struct net_device, ifindex)
#define DEV_NAME offsetof(struct net_device, name)
#define DEV_NET offsetof(struct net_device, nd_net)
#define NET_INUM (offsetof(struct net, ns) + offsetof(struct ns_common, inum))
#if LINUX_VERSION_CODE >= KERNEL_VERSION(5, 17, 0)
#define DROP_REASONS
#endif
#define TASK_PID offsetof(struct task_struct, pid)
#define TASK_FLAGS offsetof(struct task_struct, flags)
#define TASK_STACK offsetof(struct task_struct, stack)
#ifdef CONFIG_SOCK_CGROUP_DATA
#define SK_CGROUP offsetof(struct sock, sk_cgrp_data)	/* whose first word it is */
#define CGROUP_NODE offsetof(struct cgroup, kn)
#define CGROUP_ROOT offsetof(struct cgroup, root)
#define HIERARCHY_ID offsetof(struct cgroup_root, hierarchy_id)
#define NODE_ID offsetof(struct kernfs_node, id)
#endif
#endif
