/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Who looks, and what of the kernel is his: VIEWER_UID, where the loader says so; else everything is.
 */
#ifndef SKB_VIEWER_H
#define SKB_VIEWER_H

#include "skb_layout.h"
#include "skb_event.h"
#include "skb_memory.h"

/* enum in include/net/tcp_states.h */
#define TCP_TIME_WAIT 6
#define TCP_NEW_SYN_RECV 12

/* Whether there is a struct sock, and not what TCP has in its place, which is smaller. */
static __always_inline bool is_full_socket(u64 sk)
{
	u8 state = READ(u8, sk + SK_STATE);

	return state && state != TCP_TIME_WAIT && state != TCP_NEW_SYN_RECV;
}

#ifdef VIEWER_UID

/* By its real user id. */
static __always_inline bool is_viewers_task(void)
{
	return (u32)bpf_get_current_uid_gid() == VIEWER_UID;
}

/* By the file system user id of whoever made it. */
static __always_inline bool is_viewers_socket(u64 sk)
{
	return is_full_socket(sk) && READ(u32, sk + SK_UID) == VIEWER_UID;
}

#else

static __always_inline bool is_viewers_task(void)
{
	return true;
}

static __always_inline bool is_viewers_socket(u64 sk)
{
	return true;
}

#endif

/* What the running task is called to whoever looks. */
static __always_inline void name_task(char *comm, u32 *pid)
{
	if (is_viewers_task()) {
		bpf_get_current_comm(comm, 16);
	} else {
		*pid = 0;
		__builtin_memset(comm, 0, 16);
		__builtin_memcpy(comm, "other", 5);
	}
}

#endif
