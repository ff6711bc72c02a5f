/*
 * connection.c
 *		A connection to one Redis server.
 *
 * From the first SYN on it is a thing that goes on by steps, none of which waits
 * (inval_connection_step): connecting, TLS, logging in, then one exchange after
 * the other.  Who waits, for one or for many at once, is await.c.
 *
 * A server that was stopped accepts connections and nothing else.  It is better to
 * learn that before a commit record than after it, so logging in asks for an
 * answer, if only to a PING, where that is wanted.
 *
 * A connection that failed in any way (an error, a timeout, an interrupt in the
 * midst of an exchange) has unread replies on the wire and is only closed.
 */
#include "postgres.h"

#include "storage/fd.h"
#include "utils/memutils.h"

#include "redis/connection.h"
#include "redis/passfile.h"
#include "redis/pipeline.h"

#define READ_SIZE	16384

static bool connection_acquire_descriptor(void);
static bool connection_prepare_login(InvalConnection *connection, const InvalUrl *url,
									 bool prove);
static bool connection_note_refusal(const InvalReply *reply, void *arg);
static bool connection_keep_answer(const InvalReply *reply, void *arg);
static bool connection_ignore(const InvalReply *reply, void *arg);
static bool connection_end_login(InvalConnection *connection);
static void connection_forget_login(InvalConnection *connection);
static bool connection_progress(InvalConnection *connection, InvalExchange *exchange,
								uint64 deadline);
static bool connection_send(InvalConnection *connection, InvalExchange *exchange);
static bool connection_receive(InvalConnection *connection, InvalExchange *exchange,
							   uint64 deadline);
static bool connection_read(InvalConnection *connection, InvalExchange *exchange);
static bool connection_fail(InvalConnection *connection, InvalFault fault,
							const char *error);

/*
 * Begins to connect to the place that a URL has, a numeric address or a Unix socket, and to log in;
 * "prove": and to be answered.  Waits for nothing; what goes wrong is seen when it is waited for.  In memory of
 * its own, until inval_connection_close.  Raises an error only where there is no memory: before the commit record.
 */
InvalConnection *
inval_connection_open(const InvalUrl *url, bool prove)
{
	static uint64 opened = 0;
	InvalConnection *connection =
		MemoryContextAllocZero(TopMemoryContext, sizeof(InvalConnection));

	connection->number = ++opened;
	connection->wire.fd = -1;
	connection->state = INVAL_CONNECTION_CONNECTING;
	connection->has_descriptor = connection_acquire_descriptor();
	if (!connection->has_descriptor)
		(void) connection_fail(connection, INVAL_FAULT_NONE, "too many open files");
	else if (!inval_reader_init(&connection->reader))
		(void) connection_fail(connection, INVAL_FAULT_NONE, "out of memory");
	else if (!inval_wire_open(&connection->wire, url))
		(void) connection_fail(connection, connection->wire.fd < 0 ?
							   INVAL_FAULT_NONE : INVAL_FAULT_SERVER,
							   connection->wire.problem);
	else
		(void) connection_prepare_login(connection, url, prove);
	return connection;
}

/*
 * Of the descriptors that the server leaves to extensions one is ours, and not
 * the last: somebody may need one to wait for something else, and then the
 * transaction is lost.
 */
static bool
connection_acquire_descriptor(void)
{
	if (!AcquireExternalFD())
		return false;
	if (!AcquireExternalFD())
	{
		ReleaseExternalFD();
		return false;
	}
	ReleaseExternalFD();
	return true;
}

static bool
connection_prepare_login(InvalConnection *connection, const InvalUrl *url, bool prove)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	InvalPipeline commands;
	char		error[INVAL_ERROR_TEXT_LEN];
	char		db[16];
	bool		readable = true;

	connection->password = palloc(INVAL_PASSWORD_LEN);
	strlcpy(connection->password, url->password, INVAL_PASSWORD_LEN);
	if (url->passfile[0] != '\0')
		readable = inval_passfile_read(url->passfile, connection->password,
									   error, sizeof(error));

	inval_pipeline_init(&commands);
	if (url->user[0] != '\0')
		inval_pipeline_words(&commands, 3, (const char *[])
							 {"AUTH", url->user, connection->password});
	else if (connection->password[0] != '\0')
		inval_pipeline_words(&commands, 2, (const char *[])
							 {"AUTH", connection->password});
	snprintf(db, sizeof(db), "%d", url->db);
	if (url->db != 0)
		inval_pipeline_words(&commands, 2, (const char *[]) {"SELECT", db});
	/* A sentinel may want no password; one that wants another refuses the question. */
	connection->is_sentinel = url->kind == INVAL_URL_SENTINEL;
	connection->any_answer = commands.count == 0 || connection->is_sentinel;
	if (commands.count == 0 && prove)
		inval_pipeline_words(&commands, 1, (const char *[]) {"PING"});
	connection->login_commands = commands.bytes;
	connection->login.commands = commands.bytes.data;
	connection->login.length = (Size) commands.bytes.len;
	connection->login.replies = commands.count;
	connection->login.handle = connection_note_refusal;
	connection->login.arg = connection;
	MemoryContextSwitchTo(old);
	return readable || connection_fail(connection, INVAL_FAULT_SERVER, error);
}

/*
 * Closes a connection and frees it.
 */
void
inval_connection_close(InvalConnection *connection)
{
	connection_forget_login(connection);
	inval_wire_close(&connection->wire);
	inval_reader_free(&connection->reader);
	if (connection->has_descriptor)
		ReleaseExternalFD();
	if (connection->question.data != NULL)
		pfree(connection->question.data);
	pfree(connection);
}

/*
 * Whether a connection can be used for a next exchange: nothing failed on it,
 * and the server has neither closed it nor sent what nobody asked for.
 */
bool
inval_connection_check(InvalConnection *connection)
{
	return connection->state == INVAL_CONNECTION_READY &&
		inval_wire_is_quiet(&connection->wire);
}

/*
 * Starts an exchange, or notes it for when the connection is there: sends what
 * can be sent without waiting.  The commands must stay where they are until it
 * has ended.  What goes wrong is seen when it is waited for.
 */
void
inval_connection_start(InvalConnection *connection, const char *commands, Size length,
					   int replies, InvalReplyHandler handle, void *arg)
{
	InvalExchange *exchange = &connection->exchange;

	connection->progress = false;
	connection->reader.context = NULL;
	exchange->commands = commands;
	exchange->length = length;
	exchange->sent = 0;
	exchange->replies = replies;
	exchange->handle = handle;
	exchange->arg = arg;
	if (connection->state == INVAL_CONNECTION_BUSY)
		(void) connection_fail(connection, INVAL_FAULT_NONE, "interrupted");
	if (connection->state != INVAL_CONNECTION_READY)
		return;
	connection->state = INVAL_CONNECTION_BUSY;
	if (!inval_wire_is_quiet(&connection->wire))
		(void) connection_fail(connection, INVAL_FAULT_NONE,
							   "server closed the connection, or sent what it was not asked for");
	else if (!connection_send(connection, exchange))
		(void) connection_fail(connection, INVAL_FAULT_CONNECTION,
							   connection->wire.problem);
}

/*
 * Starts a question, whose whole answer is kept in the memory context.  Not after
 * the commit record.
 */
void
inval_connection_ask(InvalConnection *connection, MemoryContext context, int argc,
					 const char **words)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	InvalPipeline question;

	inval_pipeline_init(&question);
	inval_pipeline_words(&question, argc, words);
	MemoryContextSwitchTo(old);
	if (connection->question.data != NULL)
		pfree(connection->question.data);
	connection->question = question.bytes;
	connection->answer = NULL;
	inval_connection_start(connection, question.bytes.data, (Size) question.bytes.len,
						   1, connection_keep_answer, connection);
	connection->reader.context = context;
}

static bool
connection_keep_answer(const InvalReply *reply, void *arg)
{
	((InvalConnection *) arg)->answer = reply;
	return true;
}

/*
 * Asks for a sign of life, whatever it is.
 */
void
inval_connection_ping(InvalConnection *connection)
{
	inval_connection_start(connection, INVAL_PING, strlen(INVAL_PING), 1, connection_ignore, NULL);
}

static bool
connection_ignore(const InvalReply *reply, void *arg)
{
	(void) reply;
	(void) arg;
	return true;
}

/*
 * Goes on as far as that is possible without waiting.  Or, with a deadline and where
 * it may (inval_connection_may_wait), waits until there is something to go on with, not
 * beyond the deadline and perhaps not for long, and serves no interrupts.  Returns
 * whether there is more to wait for; if not, the connection is ready or has failed.
 */
bool
inval_connection_step(InvalConnection *connection, uint64 deadline)
{
	InvalWire  *wire = &connection->wire;
	InvalExchange *exchange;
	InvalWireResult result;

	for (;;)
		switch (connection->state)
		{
			case INVAL_CONNECTION_CONNECTING:
				result = inval_wire_connect(wire);
				if (result == INVAL_WIRE_FAILED)
					return connection_fail(connection, INVAL_FAULT_SERVER, wire->problem);
				if (result == INVAL_WIRE_WAITS)
					return true;
				connection->taken = true;
				connection->state = INVAL_CONNECTION_SHAKING_HANDS;
				break;
			case INVAL_CONNECTION_SHAKING_HANDS:
				result = inval_wire_shake_hands(wire);
				if (result == INVAL_WIRE_FAILED)
					return connection_fail(connection, wire->hung_up ?
										   INVAL_FAULT_CONNECTION : INVAL_FAULT_SERVER,
										   wire->problem);
				if (result == INVAL_WIRE_WAITS)
					return true;
				connection->state = INVAL_CONNECTION_LOGGING_IN;
				connection->login_us = inval_clock_us();
				break;
			case INVAL_CONNECTION_LOGGING_IN:
			case INVAL_CONNECTION_BUSY:
				exchange = connection->state == INVAL_CONNECTION_BUSY ?
					&connection->exchange : &connection->login;
				if (exchange->replies > 0 && !connection_progress(connection, exchange, deadline))
					return false;
				if (exchange->replies > 0)
				{
					if (inval_wire_has_bytes(wire))
						break;
					return true;
				}
				if (connection->state == INVAL_CONNECTION_LOGGING_IN &&
					!connection_end_login(connection))
					return false;
				connection->state = connection->exchange.replies > 0 ?
					INVAL_CONNECTION_BUSY : INVAL_CONNECTION_READY;
				connection->last_use = inval_clock_us();
				break;
			case INVAL_CONNECTION_READY:
			case INVAL_CONNECTION_FAILED:
				return false;
		}
}

/*
 * Whether the next step can be to wait: all is sent, and only replies are to come.
 */
bool
inval_connection_may_wait(const InvalConnection *connection)
{
	const InvalExchange *exchange = &connection->exchange;

	return connection->state == INVAL_CONNECTION_BUSY && connection->wire.may_wait &&
		exchange->sent == exchange->length;
}

/*
 * What it waits for at the socket, as poll() calls it.
 */
short
inval_connection_events(const InvalConnection *connection)
{
	const InvalExchange *exchange = connection->state == INVAL_CONNECTION_BUSY ?
		&connection->exchange : &connection->login;
	bool		to_send = connection->state == INVAL_CONNECTION_CONNECTING ||
		(connection->state >= INVAL_CONNECTION_LOGGING_IN &&
		 exchange->sent < exchange->length);

	return inval_wire_events(&connection->wire, to_send);
}

/*
 * Ends what is under way, because its time is over.
 */
void
inval_connection_give_up(InvalConnection *connection)
{
	InvalFault	fault = INVAL_FAULT_CONNECTION;

	/* Out of time in the midst of a large set is no outage. */
	if (connection->state == INVAL_CONNECTION_BUSY)
		fault = connection->progress ? INVAL_FAULT_NONE : INVAL_FAULT_SERVER;
	(void) connection_fail(connection, fault, INVAL_NO_ANSWER);
}

/*
 * The first refusal is the one that explains the others.  Who may not PING was
 * answered all the same.
 */
static bool
connection_note_refusal(const InvalReply *reply, void *arg)
{
	InvalConnection *connection = arg;
	bool		is_refusal = !connection->any_answer ||
		reply->kind == INVAL_ERROR_CROWDED ||
		(reply->kind == INVAL_ERROR_SERVER && !connection->is_sentinel);

	if (reply->type == INVAL_REPLY_ERROR && is_refusal && connection->refusal[0] == '\0')
	{
		connection->refusal_kind = reply->kind;
		strlcpy(connection->refusal, reply->text, sizeof(connection->refusal));
		inval_passfile_hide(connection->password, connection->refusal,
							sizeof(connection->refusal));
	}
	return true;
}

static bool
connection_end_login(InvalConnection *connection)
{
	if (connection->refusal[0] != '\0')
		return connection_fail(connection, INVAL_FAULT_SERVER, connection->refusal);
	connection_forget_login(connection);
	connection->login_us = inval_clock_us() - connection->login_us;
	return true;
}

/*
 * Nothing of the password is left behind.
 */
static void
connection_forget_login(InvalConnection *connection)
{
	if (connection->password != NULL)
	{
		explicit_bzero(connection->password, INVAL_PASSWORD_LEN);
		pfree(connection->password);
		connection->password = NULL;
	}
	if (connection->login_commands.data != NULL)
	{
		explicit_bzero(connection->login_commands.data,
					   (Size) connection->login_commands.len);
		pfree(connection->login_commands.data);
		connection->login_commands.data = NULL;
	}
}

/*
 * Sends and reads what can be.  The two are interleaved, so that neither side
 * waits for the other with full buffers.  Who cannot send any more may still have
 * been told why.
 */
static bool
connection_progress(InvalConnection *connection, InvalExchange *exchange,
					uint64 deadline)
{
	bool		sent = connection_send(connection, exchange);
	const char *problem = connection->wire.problem;

	if (!connection_receive(connection, exchange, deadline))
		return false;
	if (!sent && exchange->replies > 0)
		return connection_fail(connection, INVAL_FAULT_CONNECTION, problem);
	return true;
}

static bool
connection_send(InvalConnection *connection, InvalExchange *exchange)
{
	ssize_t		n;

	if (exchange->sent == exchange->length)
		return true;
	n = inval_wire_send(&connection->wire, exchange->commands + exchange->sent,
						exchange->length - exchange->sent);
	if (n < 0)
		return false;
	exchange->sent += (Size) n;
	return true;
}

static bool
connection_receive(InvalConnection *connection, InvalExchange *exchange, uint64 deadline)
{
	InvalReader *reader = &connection->reader;
	char		buffer[READ_SIZE];
	ssize_t		n = deadline == 0 ?
		inval_wire_receive(&connection->wire, buffer, sizeof(buffer)) :
		inval_wire_receive_waiting(&connection->wire, buffer, sizeof(buffer), deadline);

	if (n < 0)
		return connection_fail(connection, INVAL_FAULT_CONNECTION,
							   connection->wire.problem);
	if (n == 0)
		return true;
	if (inval_reader_feed(reader, buffer, (Size) n) &&
		connection_read(connection, exchange))
		return true;
	if (connection->state == INVAL_CONNECTION_FAILED)
		return false;
	connection->out_of_step = true;
	return connection_fail(connection, INVAL_FAULT_SERVER,
						   reader->refused != NULL ? reader->refused :
						   "server sent what is no answer to the command");
}

/*
 * Gives the replies that are complete to who has asked.  Returns false if they
 * are none.
 */
static bool
connection_read(InvalConnection *connection, InvalExchange *exchange)
{
	InvalReader *reader = &connection->reader;
	const InvalReply *reply;

	while (exchange->replies > 0)
	{
		reply = inval_reader_next(reader);
		if (reply == NULL)
			return reader->refused == NULL;
		if (!exchange->handle(reply, exchange->arg))
			return false;
		exchange->replies--;
		connection->progress = connection->state == INVAL_CONNECTION_BUSY;
		/* It says so, and hangs up, whatever it was to be asked. */
		if (connection->state == INVAL_CONNECTION_LOGGING_IN &&
			connection->refusal_kind == INVAL_ERROR_CROWDED)
			return connection_fail(connection, INVAL_FAULT_NONE, connection->refusal);
	}
	if (!inval_reader_is_empty(reader))
		reader->refused = "server sent more replies than it was asked for";
	return reader->refused == NULL;
}

/*
 * Marks the connection as unusable; returns false, for the caller to return.
 */
static bool
connection_fail(InvalConnection *connection, InvalFault fault, const char *error)
{
	/* Who is refused and then hung up on was refused. */
	if (connection->state == INVAL_CONNECTION_LOGGING_IN &&
		connection->refusal[0] != '\0')
	{
		error = connection->refusal;
		if (fault == INVAL_FAULT_CONNECTION)
			fault = INVAL_FAULT_SERVER;
	}
	connection->state = INVAL_CONNECTION_FAILED;
	connection->fault = fault;
	if (error != connection->error)
		strlcpy(connection->error, error, sizeof(connection->error));
	return false;
}
