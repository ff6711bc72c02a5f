/*
 * delay.c
 *		A Redis that is further away: passes on what it is sent, later.
 *
 *		delay LISTEN FORWARD MICROSECONDS
 *
 * LISTEN and FORWARD are paths of Unix sockets; each direction takes that long.  Until
 * its standard input ends.  A thread for each direction of a connection sleeps over
 * what it has read; so a peer that sends again before the answer has come is delayed
 * by up to twice as much.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "common.h"

typedef struct Direction
{
	int			from;
	int			to;
} Direction;

static long delay_ns;

static struct sockaddr_un
address_of(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	if (strlen(path) >= sizeof(address.sun_path))
		die("the path of the socket is too long: %s", path);
	strcpy(address.sun_path, path);
	return address;
}

static bool
send_all(int to, const char *data, ssize_t length)
{
	while (length > 0)
	{
		ssize_t		sent = send(to, data, (size_t) length, MSG_NOSIGNAL);

		if (sent < 0)
			return false;
		data += sent;
		length -= sent;
	}
	return true;
}

static void *
pass_on(void *argument)
{
	Direction	direction = *(Direction *) argument;
	char		data[65536];
	ssize_t		length;

	free(argument);
	while ((length = recv(direction.from, data, sizeof(data), 0)) > 0)
	{
		struct timespec due;

		clock_gettime(CLOCK_MONOTONIC, &due);
		due.tv_nsec += delay_ns;
		due.tv_sec += due.tv_nsec / 1000000000;
		due.tv_nsec %= 1000000000;
		while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL) == EINTR)
			;
		if (!send_all(direction.to, data, length))
			break;
	}
	/* The other direction ends, too; the descriptors go with the program. */
	shutdown(direction.from, SHUT_RDWR);
	shutdown(direction.to, SHUT_RDWR);
	return NULL;
}

static void
start(int from, int to)
{
	Direction  *direction = malloc(sizeof(*direction));
	pthread_t	thread;

	direction->from = from;
	direction->to = to;
	if (pthread_create(&thread, NULL, pass_on, direction) != 0)
		die("could not start a thread");
	pthread_detach(thread);
}

int
main(int count, char **arguments)
{
	struct sockaddr_un here;
	struct sockaddr_un there;
	struct pollfd watched[2] = {{.fd = 0, .events = POLLIN}, {.events = POLLIN}};
	int			listener = socket(AF_UNIX, SOCK_STREAM, 0);

	if (count != 4)
		die("usage: delay LISTEN FORWARD MICROSECONDS");
	here = address_of(arguments[1]);
	there = address_of(arguments[2]);
	delay_ns = atol(arguments[3]) * 1000;
	if (bind(listener, (struct sockaddr *) &here, sizeof(here)) != 0 ||
		listen(listener, 128) != 0)
		die("could not listen on %s: %s", arguments[1], strerror(errno));
	watched[1].fd = listener;
	while (poll(watched, 2, -1) >= 0 && watched[0].revents == 0)
	{
		int			one = accept(listener, NULL, NULL);
		int			other = socket(AF_UNIX, SOCK_STREAM, 0);

		if (connect(other, (struct sockaddr *) &there, sizeof(there)) != 0)
			die("could not connect to %s: %s", arguments[2], strerror(errno));
		start(one, other);
		start(other, one);
	}
	return 0;
}
