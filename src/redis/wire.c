/*
 * wire.c
 *		Bytes to and from a server, and waiting for them.
 *
 * Sending and receiving never block; the waiting is done here, because every
 * wait has one absolute deadline and one of two manners: by the latch where
 * interrupts are served, by poll() alone where they are held, which is in the
 * commit callback.
 */
#include "postgres.h"

#include <poll.h>
#include <sys/socket.h>
#include <time.h>

#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "utils/wait_event.h"

#include "redis/wire.h"

#define CLOSED		"server closed the connection"

/* What TLS sends at a time, in bytes */
#define TLS_SEND_SIZE	((Size) 256 * 1024)

static ssize_t wire_tls_length(InvalWire *wire, InvalTlsResult result, Size length);
static ssize_t wire_system_error(InvalWire *wire);
static ssize_t wire_hung_up(InvalWire *wire, const char *problem);
static bool wire_wait_held(int fd, bool for_write, int timeout);
static void wire_wait_interruptible(int fd, bool for_write, int timeout);

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
 * Puts TLS over a socket that is connected.  Interruptible.  On failure returns
 * false; the wire then can only be ended.
 */
bool
inval_wire_start_tls(InvalWire *wire, const InvalUrl *url, uint64 deadline)
{
	wire->tls = inval_tls_create(url, wire->fd, &wire->problem);
	if (wire->tls == NULL)
		return false;
	for (;;)
	{
		InvalTlsResult result = inval_tls_handshake(wire->tls);

		if (result == INVAL_TLS_DONE)
			return true;
		if (wire_tls_length(wire, result, 0) < 0)
			return false;
		if (!inval_wire_wait(wire, result == INVAL_TLS_WANTS_WRITE, deadline,
							 INVAL_WAIT_INTERRUPTIBLE))
			return false;
	}
}

/*
 * Frees what TLS needed, if there was any.  Closes nothing.
 */
void
inval_wire_end_tls(InvalWire *wire)
{
	inval_tls_free(wire->tls);
	wire->tls = NULL;
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
		if (n < 0)
			return wire_system_error(wire);
		return wire_hung_up(wire, CLOSED);
	}
	result = inval_tls_receive(wire->tls, buffer, size, &received);
	wire->receive_wants_write = result == INVAL_TLS_WANTS_WRITE;
	return wire_tls_length(wire, result, received);
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
	if (errno == EPIPE || errno == ECONNRESET)
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
 * Waits until something can be received, or also (to_send) sent.  At the
 * deadline returns false and a problem.  Raises an error only where the wait is
 * interruptible.
 */
bool
inval_wire_wait(InvalWire *wire, bool to_send, uint64 deadline, InvalWait wait)
{
	bool		for_write = (inval_wire_events(wire, to_send) & POLLOUT) != 0;

	if (inval_wire_has_bytes(wire))
		return true;
	for (;;)
	{
		uint64		now = inval_clock_us();
		int			timeout;

		if (now >= deadline)
		{
			/* What came while we did something else is not late. */
			if (!to_send && wire_wait_held(wire->fd, for_write, 0))
				return true;
			wire->problem = INVAL_NO_ANSWER;
			return false;
		}
		timeout = (int) Min((deadline - now + 999) / 1000, 60000);
		if (wait == INVAL_WAIT_INTERRUPTIBLE)
			wire_wait_interruptible(wire->fd, for_write, timeout);
		if (wire_wait_held(wire->fd, for_write, wait == INVAL_WAIT_HELD ? timeout : 0))
			return true;
	}
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

static bool
wire_wait_held(int fd, bool for_write, int timeout)
{
	struct pollfd ready;
	bool		is_ready;

	ready.fd = fd;
	ready.events = POLLIN | (for_write ? POLLOUT : 0);
	ready.revents = 0;
	pgstat_report_wait_start(inval_wire_wait_event());
	is_ready = poll(&ready, 1, timeout) > 0;
	pgstat_report_wait_end();
	return is_ready;
}

static void
wire_wait_interruptible(int fd, bool for_write, int timeout)
{
	(void) WaitLatchOrSocket(MyLatch,
							 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH |
							 WL_SOCKET_READABLE |
							 (for_write ? WL_SOCKET_WRITEABLE : 0),
							 fd, timeout, inval_wire_wait_event());
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

/*
 * Whether the server has neither closed the connection nor sent anything.
 */
bool
inval_wire_is_quiet(InvalWire *wire)
{
	struct pollfd ready;

	ready.fd = wire->fd;
	ready.events = POLLIN;
	ready.revents = 0;
	if (poll(&ready, 1, 0) == 0)
		return true;
	return wire->tls != NULL && inval_tls_is_quiet(wire->tls);
}

/*
 * A wait event of our own where the server has such.  The first use is in
 * connecting, so that nothing is registered after the commit record.
 */
uint32
inval_wire_wait_event(void)
{
#if PG_VERSION_NUM >= 170000
	static uint32 event = 0;

	if (event == 0)
		event = WaitEventExtensionNew("InvalRedisReply");
	return event;
#else
	return PG_WAIT_EXTENSION;
#endif
}
