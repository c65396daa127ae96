// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whether this kernel takes an fexit program at all.
 *
 * Attaches to the exit of skb_clone(). Emits nothing, sees nothing, and costs little to refuse:
 * it has no maps.
 */
KRETFUNC_PROBE(skb_clone, void *skb)
{
	return 0;
}
