/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Processes, up to 250 at a time, each of which sends one datagram that asks for a transmit
 * timestamp: one clone each, made by the process itself. Prints how many did.
 */
#include <arpa/inet.h>
#include <linux/net_tstamp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { AT_A_TIME = 250 };

static int send_one(const struct sockaddr_in *to)
{
	int wanted = SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE;
	int s = socket(AF_INET, SOCK_DGRAM, 0);

	if (s < 0 || setsockopt(s, SOL_SOCKET, SO_TIMESTAMPING, &wanted, sizeof(wanted)))
		return 1;
	return sendto(s, "x", 1, 0, (const struct sockaddr *)to, sizeof(*to)) != 1;
}

/* Wait for a child; 1 if it has sent. */
static int sent(void)
{
	int status;

	return wait(&status) > 0 && WIFEXITED(status) && !WEXITSTATUS(status);
}

int main(int argc, char **argv)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	int receiver = socket(AF_INET, SOCK_DGRAM, 0), done = 0, running = 0;
	socklen_t size = sizeof(to);

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (argc != 2 || bind(receiver, (struct sockaddr *)&to, size) ||
	    getsockname(receiver, (struct sockaddr *)&to, &size))
		return 1;
	for (int left = atoi(argv[1]); left > 0; left--) {
		pid_t child = fork();

		if (child < 0)
			return 1;
		if (child == 0)
			_exit(send_one(&to));
		if (++running == AT_A_TIME) {
			done += sent();
			running--;
		}
	}
	while (running--)
		done += sent();
	printf("%d\n", done);
	return 0;
}
