/*
 * redis.c
 *		A connection to one Redis server.
 *
 * The only file that talks over a socket.  hiredis opens it and parses what
 * comes back (and formats commands, in command.c), never blocking; the waiting
 * is done here, because every wait has one absolute deadline and one of two
 * manners: by the latch where interrupts are served, by poll() alone where
 * they are held, which is in the commit callback.
 *
 * Replies are reduced while they are parsed to what callers need, so that
 * reading them allocates nothing but the parser's own read buffer (by malloc,
 * whose failure is an error of the connection, never an exception).
 *
 * A connection that failed in any way (an error, a timeout, an interrupt in
 * the midst of an exchange) has unread replies on the wire and is only closed.
 */
#include "postgres.h"

#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "miscadmin.h"
#include "pgstat.h"
#include "storage/fd.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/wait_event.h"

#include "command.h"
#include "redis.h"

#if HIREDIS_MAJOR == 0 && HIREDIS_MINOR < 14
#error "inval needs hiredis 0.14 or later"
#endif

#define READ_SIZE	16384

/*
 * In a commit a reply on the same machine is back sooner than a process goes to
 * sleep and is woken.  So it is first looked for that long, in us, giving way to
 * whoever wants the processor; where that was in vain, not again for a while.
 */
#define SPIN_US		100
#define SPIN_PAUSE	100

/* A connection that was of use less than this ago is taken to be alive. */
#define FRESH_US	1000

struct InvalConnection
{
	redisContext *context;
	redisReader *reader;
	bool		failed;			/* or an exchange is under way */
	bool		progress;		/* the last exchange got a reply */
	bool		unchecked;		/* it was not asked whether it is alive */
	bool		hung_up;		/* the server closed it */
	uint64		last_use;		/* when the last exchange ended well */
	int			no_spin;		/* exchanges before spinning is tried again */
	char		error[INVAL_REPLY_TEXT_LEN];
	InvalReply	reply;			/* the one that is being parsed */

	/* The exchange that is under way */
	const char *commands;
	Size		length;
	Size		sent;
	int			replies;		/* that are still to come */
	InvalReplyHandler handle;
	void	   *arg;
};

static bool redis_open(InvalConnection *connection, const InvalUrl *url);
static bool redis_finish_connect(InvalConnection *connection, uint64 deadline);
static bool redis_log_in(InvalConnection *connection, const InvalUrl *url,
						 uint64 deadline);
static void redis_log_in_reply(const InvalReply *reply, void *arg);
static bool redis_send(InvalConnection *connection);
static bool redis_receive(InvalConnection *connection);
static bool redis_spin(InvalConnection *connection, uint64 deadline);
static bool redis_wait(InvalConnection *connection, bool for_write,
					   uint64 deadline, InvalWait wait);
static bool redis_wait_held(int fd, bool for_write, int timeout);
static void redis_wait_interruptible(int fd, bool for_write, int timeout);
static bool redis_fail(InvalConnection *connection, const char *error);
static uint32 redis_wait_event(void);

static redisReplyObjectFunctions reply_functions;

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
 * Opens a connection and logs in, until the deadline (as inval_clock_us gives
 * it).  Interruptible, so never to be called after the commit record.  Returns
 * NULL and a message without secrets where it does not succeed.  A host name
 * is resolved here, which has no deadline of its own: give an address where
 * that matters.  The connection lives until inval_redis_close.
 */
InvalConnection *
inval_redis_connect(const InvalUrl *url, uint64 deadline, char *error, Size error_size)
{
	InvalConnection *connection;

	if (!AcquireExternalFD())
	{
		strlcpy(error, "too many open files", error_size);
		return NULL;
	}
	connection = MemoryContextAllocZero(TopMemoryContext, sizeof(*connection));
	PG_TRY();
	{
		if (!redis_open(connection, url) ||
			!redis_finish_connect(connection, deadline) ||
			!redis_log_in(connection, url, deadline))
		{
			strlcpy(error, connection->error, error_size);
			inval_redis_close(connection);
			connection = NULL;
		}
	}
	PG_CATCH();
	{
		inval_redis_close(connection);
		PG_RE_THROW();
	}
	PG_END_TRY();
	return connection;
}

static bool
redis_open(InvalConnection *connection, const InvalUrl *url)
{
	redisContext *context;
	int			on = 1;

	context = url->is_unix ? redisConnectUnixNonBlock(url->host) :
		redisConnectNonBlock(url->host, url->port);
	connection->context = context;
	connection->reader = redisReaderCreateWithFunctions(&reply_functions);
	if (context == NULL || connection->reader == NULL)
		return redis_fail(connection, "out of memory");
	connection->reader->privdata = &connection->reply;
	if (context->err != 0)
		return redis_fail(connection, context->errstr);
	(void) fcntl(context->fd, F_SETFD, FD_CLOEXEC);
	if (!url->is_unix)
	{
		(void) setsockopt(context->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		(void) setsockopt(context->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	}
	return true;
}

static bool
redis_finish_connect(InvalConnection *connection, uint64 deadline)
{
	int			problem = 0;
	socklen_t	size = sizeof(problem);

	if (!redis_wait(connection, true, deadline, INVAL_WAIT_INTERRUPTIBLE))
		return false;
	if (getsockopt(connection->context->fd, SOL_SOCKET, SO_ERROR, &problem, &size) != 0)
		problem = errno;
	if (problem == 0)
		return true;
	return redis_fail(connection, strerror(problem));
}

static bool
redis_log_in(InvalConnection *connection, const InvalUrl *url, uint64 deadline)
{
	InvalCommands commands;
	InvalReply	refusal = {0};
	bool		done = true;

	inval_commands_init(&commands);
	inval_commands_log_in(&commands, url);
	if (commands.count > 0)
		done = inval_redis_exchange(connection, commands.bytes.data,
									commands.bytes.len, commands.count, deadline,
									INVAL_WAIT_INTERRUPTIBLE,
									redis_log_in_reply, &refusal);
	inval_commands_free(&commands);
	if (done && refusal.type == INVAL_REPLY_ERROR)
		return redis_fail(connection, refusal.text);
	return done;
}

static void
redis_log_in_reply(const InvalReply *reply, void *arg)
{
	InvalReply *refusal = arg;

	/* The first refusal is the one that explains the others. */
	if (reply->type == INVAL_REPLY_ERROR && refusal->type != INVAL_REPLY_ERROR)
		*refusal = *reply;
}

/*
 * Whether the connection can be used for a next exchange: nothing failed on
 * it, and the server has neither closed it nor sent what nobody asked for.
 */
bool
inval_redis_is_usable(InvalConnection *connection)
{
	struct pollfd ready;

	if (connection->failed)
		return false;
	connection->unchecked = inval_clock_us() - connection->last_use < FRESH_US;
	if (connection->unchecked)
		return true;
	ready.fd = connection->context->fd;
	ready.events = POLLIN;
	ready.revents = 0;
	return poll(&ready, 1, 0) == 0;
}

/*
 * Closes a connection and frees it.
 */
void
inval_redis_close(InvalConnection *connection)
{
	if (connection->reader != NULL)
		redisReaderFree(connection->reader);
	if (connection->context != NULL)
		redisFree(connection->context);
	ReleaseExternalFD();
	pfree(connection);
}

/*
 * Why the connection failed, without secrets.
 */
const char *
inval_redis_error(InvalConnection *connection)
{
	return connection->error;
}

/*
 * Whether the last exchange got any reply at all: a server that is busy, as
 * opposed to one that is not there.
 */
bool
inval_redis_made_progress(InvalConnection *connection)
{
	return connection->progress;
}

/*
 * Whether the server had closed the connection before the last exchange, which
 * nobody had looked for: another connection may do.
 */
bool
inval_redis_was_closed(InvalConnection *connection)
{
	return connection->unchecked && connection->hung_up && !connection->progress;
}

/*
 * Sends commands and reads that many replies, each given to the handler, until
 * the deadline.  Returns false if the connection failed; it can then only be
 * closed.  With INVAL_WAIT_HELD it raises no error and serves no interrupt.
 */
bool
inval_redis_exchange(InvalConnection *connection, const char *commands, Size length,
					 int replies, uint64 deadline, InvalWait wait,
					 InvalReplyHandler handle, void *arg)
{
	inval_redis_start(connection, commands, length, replies, handle, arg);
	return inval_redis_finish(connection, deadline, wait);
}

/*
 * The first half of an exchange: sends what can be sent without waiting.  The
 * commands must stay where they are until inval_redis_finish.  Cannot fail;
 * what goes wrong is reported there.
 */
void
inval_redis_start(InvalConnection *connection, const char *commands, Size length,
				  int replies, InvalReplyHandler handle, void *arg)
{
	connection->progress = false;
	connection->hung_up = false;
	connection->commands = commands;
	connection->length = length;
	connection->sent = 0;
	connection->replies = replies;
	connection->handle = handle;
	connection->arg = arg;
	if (connection->failed)
	{
		connection->length = 0;
		return;
	}
	/* Stays set if an interrupt takes us out of here. */
	connection->failed = true;
	strlcpy(connection->error, "interrupted", sizeof(connection->error));
	if (!redis_send(connection))
		connection->length = 0;
}

/*
 * The second half: sends the rest and reads the replies.  The two are
 * interleaved, so that neither side waits for the other with full buffers.
 */
bool
inval_redis_finish(InvalConnection *connection, uint64 deadline, InvalWait wait)
{
	if (connection->length == 0)
		return false;			/* sending failed */
	if (wait == INVAL_WAIT_HELD && connection->sent == connection->length &&
		!redis_spin(connection, deadline))
		return false;
	while (connection->replies > 0)
	{
		if (!redis_wait(connection, connection->sent < connection->length,
						deadline, wait) ||
			!redis_send(connection) || !redis_receive(connection))
			return false;
	}
	connection->failed = false;
	connection->error[0] = '\0';
	connection->last_use = inval_clock_us();
	return true;
}

/*
 * Looks for replies without going to sleep.  Returns false if the connection
 * failed.
 */
static bool
redis_spin(InvalConnection *connection, uint64 deadline)
{
	uint64		end = Min(inval_clock_us() + SPIN_US, deadline);

	if (connection->no_spin > 0)
	{
		connection->no_spin--;
		return true;
	}
	do
	{
		(void) sched_yield();
		if (!redis_receive(connection))
			return false;
		if (connection->replies == 0)
			return true;
	} while (inval_clock_us() < end);
	connection->no_spin = SPIN_PAUSE;
	return true;
}

static bool
redis_send(InvalConnection *connection)
{
	ssize_t		n;

	if (connection->sent == connection->length)
		return true;
	n = send(connection->context->fd, connection->commands + connection->sent,
			 connection->length - connection->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n > 0)
		connection->sent += (Size) n;
	else if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
	{
		connection->hung_up = errno == EPIPE || errno == ECONNRESET;
		return redis_fail(connection, strerror(errno));
	}
	return true;
}

static bool
redis_receive(InvalConnection *connection)
{
	redisReader *reader = connection->reader;
	char		buffer[READ_SIZE];
	ssize_t		n;

	n = recv(connection->context->fd, buffer, sizeof(buffer), MSG_DONTWAIT);
	connection->hung_up = n == 0 || (n < 0 && errno == ECONNRESET);
	if (n == 0)
		return redis_fail(connection, "server closed the connection");
	if (n < 0)
	{
		if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
			return true;
		return redis_fail(connection, strerror(errno));
	}

	if (redisReaderFeed(reader, buffer, (size_t) n) != REDIS_OK)
		return redis_fail(connection, reader->errstr);
	while (connection->replies > 0)
	{
		void	   *reply = NULL;

		if (redisReaderGetReply(reader, &reply) != REDIS_OK)
			return redis_fail(connection, reader->errstr);
		if (reply == NULL)
			break;
		connection->progress = true;
		connection->replies--;
		connection->handle(&connection->reply, connection->arg);
	}
	if (connection->replies == 0 && reader->pos < reader->len)
		return redis_fail(connection, "server sent more replies than it was asked for");
	return true;
}

/*
 * Waits until the socket is ready, or returns false at the deadline.
 */
static bool
redis_wait(InvalConnection *connection, bool for_write, uint64 deadline, InvalWait wait)
{
	int			fd = connection->context->fd;

	for (;;)
	{
		uint64		now = inval_clock_us();
		int			timeout;

		/* What came while we did something else is not late. */
		if (now >= deadline)
			return (!for_write && redis_wait_held(fd, false, 0)) ||
				redis_fail(connection, "no answer in time");
		timeout = (int) Min((deadline - now + 999) / 1000, 60000);
		if (wait == INVAL_WAIT_INTERRUPTIBLE)
			redis_wait_interruptible(fd, for_write, timeout);
		if (redis_wait_held(fd, for_write, wait == INVAL_WAIT_HELD ? timeout : 0))
			return true;
	}
}

static bool
redis_wait_held(int fd, bool for_write, int timeout)
{
	struct pollfd ready;
	bool		is_ready;

	ready.fd = fd;
	ready.events = POLLIN | (for_write ? POLLOUT : 0);
	ready.revents = 0;
	pgstat_report_wait_start(redis_wait_event());
	is_ready = poll(&ready, 1, timeout) > 0;
	pgstat_report_wait_end();
	return is_ready;
}

static void
redis_wait_interruptible(int fd, bool for_write, int timeout)
{
	(void) WaitLatchOrSocket(MyLatch,
							 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH |
							 WL_SOCKET_READABLE |
							 (for_write ? WL_SOCKET_WRITEABLE : 0),
							 fd, timeout, redis_wait_event());
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

/*
 * Marks the connection as unusable; returns false, for the caller to return.
 */
static bool
redis_fail(InvalConnection *connection, const char *error)
{
	connection->failed = true;
	strlcpy(connection->error, error, sizeof(connection->error));
	return false;
}

/*
 * A wait event of our own where the server has such.  The first use is in
 * connecting, so that nothing is registered after the commit record.
 */
static uint32
redis_wait_event(void)
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

/*
 * What hiredis calls while it parses.  Only the outermost object matters, of
 * which there is one at a time; its "object" is a mark that is not NULL.
 */
static InvalReply *
redis_reply_begin(const redisReadTask *task)
{
	InvalReply *reply = task->privdata;

	if (task->parent == NULL)
	{
		reply->type = task->type == REDIS_REPLY_ERROR ?
			INVAL_REPLY_ERROR : INVAL_REPLY_OK;
		reply->text[0] = '\0';
	}
	return reply;
}

static void *
redis_create_string(const redisReadTask *task, char *text, size_t length)
{
	InvalReply *reply = redis_reply_begin(task);

	if (task->parent == NULL && task->type == REDIS_REPLY_ERROR)
	{
		length = Min(length, sizeof(reply->text) - 1);
		memcpy(reply->text, text, length);
		reply->text[length] = '\0';
	}
	return reply;
}

#if HIREDIS_MAJOR >= 1
static void *
redis_create_array(const redisReadTask *task, size_t elements)
{
	(void) elements;
	return redis_reply_begin(task);
}

static void *
redis_create_double(const redisReadTask *task, double value, char *text, size_t length)
{
	(void) value;
	(void) text;
	(void) length;
	return redis_reply_begin(task);
}

static void *
redis_create_bool(const redisReadTask *task, int value)
{
	(void) value;
	return redis_reply_begin(task);
}
#else
static void *
redis_create_array(const redisReadTask *task, int elements)
{
	(void) elements;
	return redis_reply_begin(task);
}
#endif

static void *
redis_create_integer(const redisReadTask *task, long long value)
{
	(void) value;
	return redis_reply_begin(task);
}

static void *
redis_create_nil(const redisReadTask *task)
{
	return redis_reply_begin(task);
}

static void
redis_free_object(void *object)
{
	(void) object;
}

static redisReplyObjectFunctions reply_functions = {
	.createString = redis_create_string,
	.createArray = redis_create_array,
	.createInteger = redis_create_integer,
#if HIREDIS_MAJOR >= 1
	.createDouble = redis_create_double,
	.createBool = redis_create_bool,
#endif
	.createNil = redis_create_nil,
	.freeObject = redis_free_object
};
