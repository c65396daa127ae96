// SPDX-License-Identifier: GPL-2.0-only
/*
 * The least that can be done with records: libbpf's own consumer takes each from the ring, and writes
 * it to /dev/null. What this drains is the most that anyone could. Or it keeps them in memory, as all
 * must that look at them later: memory that is written to for the first time can cost more than all else.
 *
 * Run as `consumer FD`, the ring's, or `consumer FD keep`; its standard input ends it, and then it says
 * how many there were. The prototypes are those of libbpf 1.0 and later (bpf/libbpf.h), whose headers
 * need not be there.
 */
#define _GNU_SOURCE
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct ring_buffer;
typedef int (*ring_buffer_sample_fn)(void *ctx, void *data, size_t size);
struct ring_buffer *ring_buffer__new(int map_fd, ring_buffer_sample_fn sample, void *ctx, const void *opts);
int ring_buffer__epoll_fd(const struct ring_buffer *ring);
int ring_buffer__consume(struct ring_buffer *ring);

static unsigned long count;

static int take(void *ctx, void *data, size_t size)
{
	count++;
	return fwrite(data, size, 1, ctx) == 1 ? 0 : -1;
}

#define CHUNK (64UL << 20)

static int keep(void *ctx, void *data, size_t size)
{
	static char *at, *end;

	if (at + size > end) {
		at = mmap(NULL, CHUNK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (at == MAP_FAILED)
			return -1;
		madvise(at, CHUNK, MADV_HUGEPAGE);
		end = at + CHUNK;
	}
	memcpy(at, data, size);
	at += size;
	count++;
	return 0;
}

int main(int argc, char **argv)
{
	FILE *nowhere = fopen("/dev/null", "w");
	struct ring_buffer *ring = NULL;
	char line[8];

	if (argc >= 2 && nowhere)
		ring = ring_buffer__new(atoi(argv[1]), argc == 2 ? take : keep, nowhere, NULL);
	if (!ring)
		return 1;
	puts("started");
	fflush(stdout);

	struct pollfd ready[] = {
		{ .fd = STDIN_FILENO, .events = POLLIN },
		{ .fd = ring_buffer__epoll_fd(ring), .events = POLLIN },
	};

	while (!ready[0].revents) {
		if (poll(ready, 2, 100) < 0)
			return 1;
		ring_buffer__consume(ring);
	}
	if (read(STDIN_FILENO, line, sizeof(line)) < 0)
		return 1;
	ring_buffer__consume(ring);
	printf("%lu\n", count);
	return 0;
}
