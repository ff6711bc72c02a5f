/*
 * wire.c
 *		Bytes to and from a server, and waiting for them.
 *
 * Nothing here blocks but what says so: inval_wire_wait waits for any number of
 * sockets at once, in one of two manners: serving interrupts, or not, as in the commit
 * callback; both are poll().  inval_wire_receive_waiting is for one, and serves none.  The server's own way to wait for a socket takes a
 * file descriptor each time, and raises an error if there is none, which would be
 * the end of a transaction that has nothing to do with Redis.
 *
 * A network may forget a connection without a word to either side.  So the
 * system looks after those that idle (keepalive), and gives up what nobody has
 * acknowledged (TCP_USER_TIMEOUT), in less than a minute instead of hours.
 */
#include "postgres.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/postmaster.h"
#include "storage/ipc.h"
#include "storage/pmsignal.h"
#include "utils/wait_event.h"

#include "redis/wire.h"

#define CLOSED		"server closed the connection"

/* What TLS sends at a time, in bytes */
#define TLS_SEND_SIZE	((Size) 256 * 1024)

/*
 * In s: an idle connection is looked after from then on, at that interval, and
 * given up after so many answers that did not come.  Balancers forget a
 * connection after some minutes; this also keeps them from it.
 */
#define KEEPALIVE_IDLE		30
#define KEEPALIVE_INTERVAL	5
#define KEEPALIVE_COUNT		3

/* The same for what was sent and not acknowledged, in ms */
#define UNACKNOWLEDGED_MS	45000

/*
 * A signal ends poll().  One that comes just before it does not; so it ends by
 * itself after so long, in ms, where interrupts are to be served.
 */
#define LOOK_UP_MS		50

static void wire_address(InvalWire *wire, const InvalUrl *url);
static void wire_set_options(const InvalWire *wire);
static ssize_t wire_tls_length(InvalWire *wire, InvalTlsResult result, Size length);
static ssize_t wire_system_error(InvalWire *wire);
static ssize_t wire_hung_up(InvalWire *wire, const char *problem);

/*
 * Monotonic time in microseconds, for deadlines.
 */
uint64
inval_clock_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64) now.tv_sec * 1000000 + (uint64) now.tv_nsec / 1000;
}

/*
 * Makes a socket for the place that a URL has: a numeric address, or the path of
 * a Unix socket.  inval_wire_connect follows.  On failure returns false and a
 * problem; in any case the wire is to be closed.  Raises no error.
 */
bool
inval_wire_open(InvalWire *wire, const InvalUrl *url)
{
	memset(wire, 0, sizeof(*wire));
	wire->fd = -1;
	wire_address(wire, url);
	if (wire->address_length == 0)
	{
		wire->problem = "host is not a numeric address";
		return false;
	}
	wire->fd = socket(wire->address.ss_family,
					  SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (wire->fd < 0)
	{
		wire->problem = strerror(errno);
		return false;
	}
	if (url->kind != INVAL_URL_UNIX)
		wire_set_options(wire);
	if (url->kind == INVAL_URL_TLS)
	{
		wire->tls = inval_tls_create(url, wire->fd, &wire->problem);
		return wire->tls != NULL;
	}
	return true;
}

static void
wire_address(InvalWire *wire, const InvalUrl *url)
{
	struct sockaddr_un *local = (struct sockaddr_un *) &wire->address;
	struct sockaddr_in *v4 = (struct sockaddr_in *) &wire->address;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *) &wire->address;

	if (url->kind == INVAL_URL_UNIX)
	{
		local->sun_family = AF_UNIX;
		strlcpy(local->sun_path, url->host, sizeof(local->sun_path));
		wire->address_length = sizeof(*local);
	}
	else if (inet_pton(AF_INET, url->host, &v4->sin_addr) == 1)
	{
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16) url->port);
		wire->address_length = sizeof(*v4);
	}
	else if (inet_pton(AF_INET6, url->host, &v6->sin6_addr) == 1)
	{
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons((uint16) url->port);
		wire->address_length = sizeof(*v6);
	}
}

static void
wire_set_options(const InvalWire *wire)
{
	static const struct
	{
		int			level;
		int			name;
		int			value;
	}			options[] = {
		{IPPROTO_TCP, TCP_NODELAY, 1},
		{SOL_SOCKET, SO_KEEPALIVE, 1},
		{IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE},
		{IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL},
		{IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_COUNT},
		{IPPROTO_TCP, TCP_USER_TIMEOUT, UNACKNOWLEDGED_MS}
	};
	Size		i;

	/* What a system does not have, it does without. */
	for (i = 0; i < lengthof(options); i++)
		(void) setsockopt(wire->fd, options[i].level, options[i].name,
						  &options[i].value, sizeof(int));
}

/*
 * Goes on with connecting.
 */
InvalWireResult
inval_wire_connect(InvalWire *wire)
{
	if (connect(wire->fd, (struct sockaddr *) &wire->address,
				wire->address_length) == 0 || errno == EISCONN)
	{
		/* From now on each call says whether it waits. */
		wire->may_wait = wire->tls == NULL && fcntl(wire->fd, F_SETFL, 0) == 0;
		return INVAL_WIRE_DONE;
	}
	if (errno == EINPROGRESS || errno == EALREADY || errno == EINTR)
		return INVAL_WIRE_WAITS;
	wire->problem = strerror(errno);
	return INVAL_WIRE_FAILED;
}

/*
 * Goes on with TLS's handshake; without TLS there is none.
 */
InvalWireResult
inval_wire_shake_hands(InvalWire *wire)
{
	InvalTlsResult result;

	if (wire->tls == NULL)
		return INVAL_WIRE_DONE;
	result = inval_tls_handshake(wire->tls);
	if (result == INVAL_TLS_DONE)
		return INVAL_WIRE_DONE;
	wire->receive_wants_write = result == INVAL_TLS_WANTS_WRITE;
	return wire_tls_length(wire, result, 0) < 0 ? INVAL_WIRE_FAILED : INVAL_WIRE_WAITS;
}

/*
 * Closes it, whatever there is of it.
 */
void
inval_wire_close(InvalWire *wire)
{
	inval_tls_free(wire->tls);
	wire->tls = NULL;
	if (wire->fd >= 0)
		(void) close(wire->fd);
	wire->fd = -1;
}

/*
 * Sends what can be sent now.  Returns how many bytes, perhaps 0; or -1 and a
 * problem if the connection has failed.  What was not sent must come again.
 * Cannot raise an error.
 */
ssize_t
inval_wire_send(InvalWire *wire, const char *bytes, Size length)
{
	Size		sent = 0;

	if (wire->tls == NULL)
	{
		ssize_t		n = send(wire->fd, bytes, length, MSG_NOSIGNAL | MSG_DONTWAIT);

		return n >= 0 ? n : wire_system_error(wire);
	}

	/*
	 * A socket takes what it can at once, TLS a record at a time; and whoever
	 * waits has a deadline to look at in between.
	 */
	while (sent < Min(length, TLS_SEND_SIZE))
	{
		Size		now = 0;
		InvalTlsResult result = inval_tls_send(wire->tls, bytes + sent,
											   length - sent, &now);

		wire->send_wants_read = result == INVAL_TLS_WANTS_READ;
		if (wire_tls_length(wire, result, now) < 0)
			return -1;
		sent += now;
		if (now == 0)
			break;
	}
	return (ssize_t) sent;
}

/*
 * Receives what is there.  The same results.
 */
ssize_t
inval_wire_receive(InvalWire *wire, char *buffer, Size size)
{
	Size		received = 0;
	InvalTlsResult result;

	if (wire->tls == NULL)
	{
		ssize_t		n = recv(wire->fd, buffer, size, MSG_DONTWAIT);

		if (n > 0)
			return n;
		return n < 0 ? wire_system_error(wire) : wire_hung_up(wire, CLOSED);
	}
	result = inval_tls_receive(wire->tls, buffer, size, &received);
	wire->receive_wants_write = result == INVAL_TLS_WANTS_WRITE;
	return wire_tls_length(wire, result, received);
}

/*
 * The same, or waits for something to be there, not beyond the deadline, and perhaps
 * not for long: for a wire that may wait.  The system's own waiting takes one call
 * where poll() and recv() are two.  How long it waits it is told beforehand, and that
 * is kept while it will do.
 */
ssize_t
inval_wire_receive_waiting(InvalWire *wire, char *buffer, Size size, uint64 deadline)
{
	uint64		now = inval_clock_us();
	uint64		left = deadline > now ? deadline - now : 0;
	ssize_t		n;

	if (wire->patience_us > left || wire->patience_us < left / 2)
	{
		struct timeval timeout = {.tv_sec = 0};

		wire->patience_us = Max(left - left / 8, 1);
		timeout.tv_sec = (time_t) (wire->patience_us / 1000000);
		timeout.tv_usec = (suseconds_t) (wire->patience_us % 1000000);
		if (setsockopt(wire->fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) != 0)
			return wire_system_error(wire);
	}
	pgstat_report_wait_start(inval_waiting(INVAL_WAITING_REPLY));
	n = recv(wire->fd, buffer, size, 0);
	pgstat_report_wait_end();
	if (n > 0)
		return n;
	return n < 0 ? wire_system_error(wire) : wire_hung_up(wire, CLOSED);
}

static ssize_t
wire_tls_length(InvalWire *wire, InvalTlsResult result, Size length)
{
	if (result == INVAL_TLS_CLOSED)
		return wire_hung_up(wire, CLOSED);
	if (result != INVAL_TLS_FAILED)
		return (ssize_t) length;
	wire->problem = inval_tls_error(wire->tls);
	return -1;
}

static ssize_t
wire_system_error(InvalWire *wire)
{
	if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
		return 0;
	/* The last is what the system says of one that idled: see above. */
	if (errno == EPIPE || errno == ECONNRESET || errno == ETIMEDOUT)
		return wire_hung_up(wire, strerror(errno));
	wire->problem = strerror(errno);
	return -1;
}

static ssize_t
wire_hung_up(InvalWire *wire, const char *problem)
{
	wire->hung_up = true;
	wire->problem = problem;
	return -1;
}

/*
 * Whether the server has neither closed the connection nor sent anything.
 */
bool
inval_wire_is_quiet(InvalWire *wire)
{
	struct pollfd ready = {.fd = wire->fd,.events = POLLIN};
	int			count;

	/* A signal ends it although there is nothing to wait for. */
	do
		count = poll(&ready, 1, 0);
	while (count < 0 && errno == EINTR);
	if (count == 0)
		return !inval_wire_has_bytes(wire);
	return wire->tls != NULL && inval_tls_is_quiet(wire->tls);
}

/*
 * Whether there is something to receive that has left the socket already, which
 * therefore does not become readable.
 */
bool
inval_wire_has_bytes(InvalWire *wire)
{
	return wire->tls != NULL && inval_tls_has_bytes(wire->tls);
}

/*
 * What to wait for at the socket, as poll() calls it.
 */
short
inval_wire_events(const InvalWire *wire, bool to_send)
{
	bool		for_write = (to_send && !wire->send_wants_read) ||
		wire->receive_wants_write;

	return POLLIN | (for_write ? POLLOUT : 0);
}

/*
 * Waits until one of the sockets is ready, or the deadline; or for a while, if
 * interrupts are served, which may raise an error.  There must be room for one
 * more in the array.
 */
void
inval_wire_wait(struct pollfd *sockets, int count, uint64 deadline, InvalWait wait,
				InvalWaiting what)
{
	uint64		now = inval_clock_us();
	int			timeout = now >= deadline ? 0 : (int) Min((deadline - now + 999) / 1000, 60000);

	if (wait == INVAL_WAIT_INTERRUPTIBLE)
	{
		CHECK_FOR_INTERRUPTS();
		timeout = Min(timeout, LOOK_UP_MS);
		if (IsUnderPostmaster)
		{
			sockets[count].fd = postmaster_alive_fds[POSTMASTER_FD_WATCH];
			sockets[count].events = POLLIN;
			sockets[count++].revents = 0;
		}
	}
	pgstat_report_wait_start(inval_waiting(what));
	(void) poll(sockets, (nfds_t) count, timeout);
	pgstat_report_wait_end();
	if (wait == INVAL_WAIT_INTERRUPTIBLE)
	{
		if (IsUnderPostmaster && sockets[count - 1].revents != 0 && !PostmasterIsAlive())
			proc_exit(1);
		CHECK_FOR_INTERRUPTS();
	}
}
