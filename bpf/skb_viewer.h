/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Who looks, and what of the kernel is his: VIEWER_UID, where the loader says so; else everything is.
 */
#ifndef SKB_VIEWER_H
#define SKB_VIEWER_H

#include "skb_layout.h"
#include "skb_event.h"

/* enum in include/net/tcp_states.h: these are no struct sock, but smaller. */
#define TCP_TIME_WAIT 6
#define TCP_NEW_SYN_RECV 12

#ifdef VIEWER_UID

/* By its real user id. */
static __always_inline bool is_viewers_task(void)
{
	return (u32)bpf_get_current_uid_gid() == VIEWER_UID;
}

/* By the file system user id of whoever made it. */
static __always_inline bool is_viewers_socket(u64 sk)
{
	u8 state = TCP_TIME_WAIT;
	u32 uid = ~VIEWER_UID;

	bpf_probe_read_kernel(&state, sizeof(state), (void *)(sk + SK_STATE));
	bpf_probe_read_kernel(&uid, sizeof(uid), (void *)(sk + SK_UID));
	return state != TCP_TIME_WAIT && state != TCP_NEW_SYN_RECV && uid == VIEWER_UID;
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
