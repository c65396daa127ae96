/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel's memory, as bytes in which there are numbers. What cannot be read is zeros.
 *
 * A helper's call for each number took a fifth of a record's time. Since Linux 6.2 a program may take
 * any address for that of one of the kernel's structs (bpf_rdonly_cast() in kernel/bpf/helpers.c) and
 * load from there: where it must not, a load gives zero. Taken is BYTES_TYPE, which has many bytes at
 * BYTES_OFFSET, because in an array the verifier lets a number of any size be anywhere.
 */
#ifndef SKB_MEMORY_H
#define SKB_MEMORY_H

/*
 * A pointer that the kernel gave, as a number. The verifier knows what it points to and lets nobody
 * calculate with it, but negated it is a number to it, and negated again what it was.
 */
static __always_inline u64 number_of(void *pointer)
{
	u64 number = (u64)pointer;

	asm volatile("%0 = -%0\n%0 = -%0" : "+r"(number));
	return number;
}

#ifdef RDONLY_CAST

/* A call by the function's BTF id, of which the loader makes what it is. */
#define bpf_rdonly_cast ((const u8 *(*)(u64 address, u64 type))RDONLY_CAST)

static __always_inline const u8 *bytes_at(u64 address)
{
	return bpf_rdonly_cast(address - BYTES_OFFSET, BYTES_TYPE) + BYTES_OFFSET;
}

/* Name so many bytes, from an address on. */
#define BYTES(name, size, address) const u8 *name = bytes_at(address)

#define READ(type, address) (*(type *)bytes_at(address))

#else

#define BYTES(name, size, address)                                          \
	u8 name[((size) + 7) / 8 * 8] __attribute__((aligned(8))) = {};      \
	bpf_probe_read_kernel(name, size, (void *)(address))

#define READ(type, address)                                                 \
	({                                                                  \
		type value = 0;                                             \
		bpf_probe_read_kernel(&value, sizeof(value), (void *)(address)); \
		value;                                                      \
	})

#endif

/* A number among bytes. */
#define NUMBER(bytes, type, offset) (*(type *)((bytes) + (offset)))

#endif
