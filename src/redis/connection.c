/*
 * connection.c
 *		A connection to one Redis server.
 *
 * hiredis opens the socket and parses what comes back (and writes commands, in
 * pipeline.c), never blocking; wire.c sends, receives and waits.
 *
 * Replies are reduced while they are parsed (reply.c), so that reading them
 * allocates nothing but the parser's own read buffer (by malloc, whose failure
 * is an error of the connection, never an exception).
 *
 * A connection that failed in any way (an error, a timeout, an interrupt in
 * the midst of an exchange) has unread replies on the wire and is only closed.
 */
#include "postgres.h"

#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include "storage/fd.h"
#include "utils/memutils.h"

#include "redis/connection.h"
#include "redis/passfile.h"
#include "redis/pipeline.h"
#include "redis/reply.h"

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
	InvalWire	wire;
	bool		failed;			/* or an exchange is under way */
	bool		progress;		/* the last exchange got a reply */
	bool		unchecked;		/* it was not asked whether it is alive */
	bool		waiting;		/* the last exchange ran out of time, no more */
	uint64		last_use;		/* when the last exchange ended well */
	int			no_spin;		/* exchanges before spinning is tried again */
	char		error[INVAL_REPLY_TEXT_LEN];
	InvalReply	reply;			/* the one that is being parsed */
	redisReply *whole;			/* see inval_redis_exchange_whole */

	/* The exchange that is under way */
	const char *commands;
	Size		length;
	Size		sent;
	int			replies;		/* that are still to come */
	InvalReplyHandler handle;
	void	   *arg;
};

static bool redis_open(InvalConnection *connection, const InvalUrl *url);
static bool redis_finish_connect(InvalConnection *connection, const InvalUrl *url,
								 uint64 deadline);
static bool redis_log_in(InvalConnection *connection, const InvalUrl *url,
						 uint64 deadline);
static void redis_add_login(InvalPipeline *commands, const char *user,
							const char *password);
static void redis_first_error(const InvalReply *reply, void *arg);
static void redis_ignore_reply(const InvalReply *reply, void *arg);
static bool redis_complete(InvalConnection *connection);
static bool redis_send(InvalConnection *connection);
static bool redis_receive(InvalConnection *connection);
static bool redis_spin(InvalConnection *connection, uint64 deadline);
static bool redis_fail(InvalConnection *connection, const char *error);

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
			!redis_finish_connect(connection, url, deadline) ||
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

	context = url->kind == INVAL_URL_UNIX ? redisConnectUnixNonBlock(url->host) :
		redisConnectNonBlock(url->host, url->port);
	connection->context = context;
	connection->reader = redisReaderCreateWithFunctions(&inval_reply_functions);
	if (context == NULL || connection->reader == NULL)
		return redis_fail(connection, "out of memory");
	connection->reader->privdata = &connection->reply;
	if (context->err != 0)
		return redis_fail(connection, context->errstr);
	connection->wire.fd = context->fd;
	(void) fcntl(context->fd, F_SETFD, FD_CLOEXEC);
	if (url->kind != INVAL_URL_UNIX)
	{
		(void) setsockopt(context->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		(void) setsockopt(context->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	}
	return true;
}

static bool
redis_finish_connect(InvalConnection *connection, const InvalUrl *url, uint64 deadline)
{
	InvalWire  *wire = &connection->wire;
	int			problem = 0;
	socklen_t	size = sizeof(problem);

	if (!inval_wire_wait(wire, true, deadline, INVAL_WAIT_INTERRUPTIBLE))
		return redis_fail(connection, wire->problem);
	if (getsockopt(wire->fd, SOL_SOCKET, SO_ERROR, &problem, &size) != 0)
		problem = errno;
	if (problem != 0)
		return redis_fail(connection, strerror(problem));
	if (url->kind == INVAL_URL_TLS && !inval_wire_start_tls(wire, url, deadline))
		return redis_fail(connection, wire->problem);
	return true;
}

static bool
redis_log_in(InvalConnection *connection, const InvalUrl *url, uint64 deadline)
{
	InvalPipeline commands;
	InvalReply	refusal = {0};
	char		password[INVAL_PASSWORD_LEN];
	char		error[INVAL_REPLY_TEXT_LEN];
	char		db[16];
	bool		done = true;

	strlcpy(password, url->password, sizeof(password));
	if (url->passfile[0] != '\0' &&
		!inval_passfile_read(url->passfile, password, error, sizeof(error)))
		return redis_fail(connection, error);

	inval_pipeline_init(&commands);
	redis_add_login(&commands, url->user, password);
	if (url->db != 0)
	{
		const char *words[] = {"SELECT", db};

		snprintf(db, sizeof(db), "%d", url->db);
		inval_pipeline_words(&commands, 2, words);
	}
	if (commands.count > 0)
		done = inval_redis_exchange(connection, commands.bytes.data,
									commands.bytes.len, commands.count, deadline,
									INVAL_WAIT_INTERRUPTIBLE,
									redis_first_error, &refusal);
	explicit_bzero(commands.bytes.data, commands.bytes.len);
	inval_pipeline_free(&commands);
	if (done && refusal.type == INVAL_REPLY_ERROR)
	{
		inval_passfile_hide(password, refusal.text, sizeof(refusal.text));
		done = redis_fail(connection, refusal.text);
	}
	explicit_bzero(password, sizeof(password));
	return done;
}

/*
 * What logs a connection in; nothing, for the default user without password.
 */
static void
redis_add_login(InvalPipeline *commands, const char *user, const char *password)
{
	if (user[0] != '\0')
	{
		const char *words[] = {"AUTH", user, password};

		inval_pipeline_words(commands, 3, words);
	}
	else if (password[0] != '\0')
	{
		const char *words[] = {"AUTH", password};

		inval_pipeline_words(commands, 2, words);
	}
}

static void
redis_first_error(const InvalReply *reply, void *arg)
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
	if (connection->failed)
		return false;
	connection->unchecked = inval_clock_us() - connection->last_use < FRESH_US;
	if (connection->unchecked)
		return true;
	return inval_wire_is_quiet(&connection->wire);
}

/*
 * Closes a connection and frees it.
 */
void
inval_redis_close(InvalConnection *connection)
{
	inval_wire_end_tls(&connection->wire);
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
	return connection->unchecked && connection->wire.hung_up && !connection->progress;
}

/*
 * Whether inval_redis_finish returned false for lack of time only, so that it may
 * be called again.
 */
bool
inval_redis_is_waiting(InvalConnection *connection)
{
	return connection->waiting;
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
	connection->waiting = false;
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
	bool		late = false;

	if (connection->length == 0)
		return false;			/* sending failed */
	connection->waiting = false;
	if (wait == INVAL_WAIT_HELD && connection->sent == connection->length &&
		!redis_spin(connection, deadline))
		return false;
	while (connection->replies > 0)
	{
		/* What is there at the deadline is read once: a server may never end. */
		if (late || !inval_wire_wait(&connection->wire,
									 connection->sent < connection->length,
									 deadline, wait))
		{
			connection->waiting = true;
			return redis_fail(connection, INVAL_NO_ANSWER);
		}
		late = inval_clock_us() >= deadline;
		if (!redis_send(connection) || !redis_receive(connection))
			return false;
	}
	return redis_complete(connection);
}

/*
 * The exchange ended well: the connection can be used for another.
 */
static bool
redis_complete(InvalConnection *connection)
{
	connection->failed = false;
	connection->error[0] = '\0';
	connection->last_use = inval_clock_us();
	return true;
}

/*
 * Takes an exchange that was started as far as it gets without waiting.
 * Returns whether there is more to wait for.  Cannot fail; whether the
 * exchange ended well is what inval_redis_is_sound says then.
 */
bool
inval_redis_step(InvalConnection *connection)
{
	if (connection->length == 0)
		return false;			/* sending failed */
	do
	{
		if (!redis_send(connection) || !redis_receive(connection))
			return false;
		if (connection->replies == 0)
			return !redis_complete(connection);
	} while (inval_wire_has_bytes(&connection->wire));
	return true;
}

/*
 * Ends an exchange whose time is over.
 */
void
inval_redis_give_up(InvalConnection *connection)
{
	(void) redis_fail(connection, INVAL_NO_ANSWER);
}

/*
 * Whether the last exchange, if any, ended well.
 */
bool
inval_redis_is_sound(InvalConnection *connection)
{
	return !connection->failed;
}

int
inval_redis_socket(InvalConnection *connection)
{
	return connection->wire.fd;
}

/*
 * What to wait for at the socket, as poll() calls it.
 */
short
inval_redis_events(InvalConnection *connection)
{
	return inval_wire_events(&connection->wire, connection->sent < connection->length);
}

/*
 * An exchange with one reply that is kept whole, as hiredis itself parses it.
 * Interruptible.  The caller frees the reply; NULL if the connection failed.
 */
redisReply *
inval_redis_exchange_whole(InvalConnection *connection, const char *commands,
						   Size length, uint64 deadline)
{
	redisReader *reader = connection->reader;
	redisReader *whole_reader = redisReaderCreate();
	redisReply *whole = NULL;

	if (whole_reader == NULL)
	{
		(void) redis_fail(connection, "out of memory");
		return NULL;
	}
	connection->whole = NULL;
	connection->reader = whole_reader;
	PG_TRY();
	{
		if (inval_redis_exchange(connection, commands, length, 1, deadline,
								 INVAL_WAIT_INTERRUPTIBLE, redis_ignore_reply, NULL))
			whole = connection->whole;
		else if (connection->whole != NULL)
			freeReplyObject(connection->whole);
	}
	PG_FINALLY();
	{
		connection->reader = reader;
		connection->whole = NULL;
		redisReaderFree(whole_reader);
	}
	PG_END_TRY();
	return whole;
}

static void
redis_ignore_reply(const InvalReply *reply, void *arg)
{
	(void) reply;
	(void) arg;
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
	n = inval_wire_send(&connection->wire, connection->commands + connection->sent,
						connection->length - connection->sent);
	if (n < 0)
		return redis_fail(connection, connection->wire.problem);
	connection->sent += (Size) n;
	return true;
}

static bool
redis_receive(InvalConnection *connection)
{
	redisReader *reader = connection->reader;
	char		buffer[READ_SIZE];
	ssize_t		n;

	n = inval_wire_receive(&connection->wire, buffer, sizeof(buffer));
	if (n < 0)
		return redis_fail(connection, connection->wire.problem);
	if (n == 0)
		return true;

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
		connection->whole = reply;	/* of use only to who wants it whole */
		connection->handle(&connection->reply, connection->arg);
	}
	if (connection->replies == 0 && reader->pos < reader->len)
		return redis_fail(connection, "server sent more replies than it was asked for");
	return true;
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
