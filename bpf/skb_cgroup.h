/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Control groups: which one a socket is in, and the paths of those that are removed.
 *
 * The loader asks the kernel for the path of a group when the trace ends. A container that ended
 * has taken its group along: the kernel tells the path of such a one last when it is removed.
 */
#ifndef SKB_CGROUP_H
#define SKB_CGROUP_H

#include "skb_context.h"

struct cgroup_path {
	char text[512];
};

/* Too large for the stack. */
BPF_PERCPU_ARRAY(path_room, struct cgroup_path, 1);
BPF_TABLE("lru_hash", u64, struct cgroup_path, gone_cgroups, 2048);	/* by id, which is unique */

/* Before Linux 5.15: see cgroup_of(). */
#if !defined(SK_CGROUP) && defined(SK_CGROUP_OR_CLASS)
#define SK_CGROUP SK_CGROUP_OR_CLASS
#endif

#ifdef SK_CGROUP

static __always_inline u64 id_of_cgroup(u64 cgroup)
{
	u64 node = cgroup ? READ(u64, cgroup + CGROUP_NODE) : 0;

	return node ? READ(u64, node + NODE_ID) : 0;
}

/*
 * The id of a socket's group, or 0. Before Linux 5.15 (commit 8520e224f547, "bpf, cgroups: Fix
 * cgroup v2 fallback on v1/v2 mixed mode") one word is the group's address, or, told by its last
 * bits, what version 1 has to say instead.
 */
static __always_inline u64 cgroup_of(u64 sk)
{
	u64 cgroup = READ(u64, sk + SK_CGROUP);

	return cgroup & 3 ? 0 : id_of_cgroup(cgroup);
}

/* Each hierarchy numbers its groups; version 2's is cgrp_dfl_root, the first of all. */
static __always_inline bool is_version_2(u64 cgroup)
{
	return !READ(u32, READ(u64, cgroup + CGROUP_ROOT) + HIERARCHY_ID);
}

static __always_inline void keep_path(u64 cgroup, void *path)
{
	u64 id = id_of_cgroup(cgroup);
	int zero = 0;
	struct cgroup_path *room = path_room.lookup(&zero);
	long size;

	if (!room)
		return;
	size = bpf_probe_read_kernel_str(room->text, sizeof(room->text), path);
	/* One that fills the room may have been longer. */
	if (size > 0 && size < sizeof(room->text))
		gone_cgroups.update(&id, room);
}

#else

static __always_inline u64 cgroup_of(u64 sk)
{
	return 0;
}

static __always_inline bool is_version_2(u64 cgroup)
{
	return false;
}

static __always_inline void keep_path(u64 cgroup, void *path)
{
}

#endif

/* cgroup_rmdir(cgroup, path) */
int on_rmdir(struct bpf_raw_tracepoint_args *ctx)
{
	if (is_version_2(ctx->args[0]))
		keep_path(ctx->args[0], (void *)ctx->args[1]);
	return 0;
}

#endif
