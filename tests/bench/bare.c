// SPDX-License-Identifier: GPL-2.0-only
/*
 * Programs that do nothing, wherever skbnb's programs are attached: what BPF itself costs there.
 *
 * Attaches to the same places, under the same names. With BARE_CONTEXT each does one thing: it finds
 * out in what context the kernel is, as every record does.
 *
 * Emits nothing.
 */
#include "skb_context.h"

static __always_inline int run(void *ctx)
{
#ifdef BARE_CONTEXT
	/* Volatile, because it is found out for nobody. */
	volatile u8 context = current_context(ctx);
#endif
	return 0;
}

#define BARE(name)		\
	int name(void *ctx)	\
	{			\
		return run(ctx);	\
	}

BARE(on_fork)
BARE(on_free)
BARE(on_rmdir)
BARE(on_queue)
BARE(on_receive)
BARE(on_copy_to_user)
BARE(on_consume)
BARE(on_drop)
BARE(on_data_ready)
BARE(on_use)
BARE(on_free_object)
BARE(on_alloc)
BARE(on_transmit)
BARE(on_clone_entry)
BARE(on_clone_return)
BARE(on_clone_exit)
