/*
 * await.c
 *		Waiting for connections: one, or many at once.
 *
 * All have the same absolute deadline, so the whole takes as long as the slowest.
 * They are waited for together: one server that does not answer must not keep us
 * from reading what the others have answered, or it would be held against them.
 */
#include "postgres.h"

#include <sched.h>

#include "miscadmin.h"

#include "redis/await.h"

/*
 * In a session a reply of a server on the same machine is back sooner than a process
 * goes to sleep and is woken.  So it is first looked for that long, in us, giving way
 * to whoever wants the processor.  Where that was in vain, or others wanted the
 * processor for so long, also in us, it is not tried for a while: then to sleep costs
 * less.
 */
#define SPIN_US		100
#define BUSY_US		20
#define SPIN_PAUSE	100

/* The system counts time in ticks: it is not asked to wait for less than some, in us. */
#define PATIENCE_US	20000

static InvalConnection *await_some(InvalConnection **connections, int count,
								   uint64 until, InvalWait wait, bool any);
static bool await_is_pending(const InvalConnection *connection);
static uint64 await_spin_until(void);
static bool await_yield(void);

/* Times before spinning is tried again */
static int	no_spin = 0;

/*
 * Waits until each is ready or has failed; those that are not at the deadline
 * have failed then.
 */
void
inval_await(InvalConnection **connections, int count, uint64 deadline, InvalWait wait)
{
	int			i;

	(void) await_some(connections, count, deadline, wait, false);
	for (i = 0; i < count; i++)
		if (await_is_pending(connections[i]))
			inval_connection_give_up(connections[i]);
}

/*
 * Waits for them so long only, and says whether there is nothing more to wait for.
 */
bool
inval_await_until(InvalConnection **connections, int count, uint64 until, InvalWait wait)
{
	int			i;

	(void) await_some(connections, count, until, wait, false);
	for (i = 0; i < count; i++)
		if (await_is_pending(connections[i]))
			return false;
	return true;
}

/*
 * Waits for the first that gets ready, and returns it; NULL: none has.  The others
 * go on when they are waited for again.
 */
InvalConnection *
inval_await_any(InvalConnection **connections, int count, uint64 deadline, InvalWait wait)
{
	return await_some(connections, count, deadline, wait, true);
}

static bool
await_is_pending(const InvalConnection *connection)
{
	return connection->state != INVAL_CONNECTION_READY &&
		connection->state != INVAL_CONNECTION_FAILED;
}

static InvalConnection *
await_some(InvalConnection **connections, int count, uint64 until, InvalWait wait,
		   bool any)
{
	struct pollfd sockets[INVAL_AWAIT_MAX + 1];
	InvalConnection *pending[INVAL_AWAIT_MAX];
	uint64		spin_until = await_spin_until();
	int			i;

	Assert(count <= INVAL_AWAIT_MAX);
	memcpy(pending, connections, count * sizeof(InvalConnection *));
	for (;;)
	{
		uint64		now = inval_clock_us();
		bool		in_step = count == 1 && wait == INVAL_WAIT_HELD && now >= spin_until &&
			now + PATIENCE_US < until && inval_connection_may_wait(pending[0]);
		int			left = 0;

		/* What is there at the deadline is read once: a server may never end. */
		for (i = 0; i < count; i++)
		{
			InvalConnection *connection = pending[i];

			if (inval_connection_step(connection, in_step ? until : 0))
				pending[left++] = connection;
			else if (any && connection->state == INVAL_CONNECTION_READY)
				return connection;
		}
		count = left;
		if (count == 0 || now >= until)
			return NULL;
		if (in_step)
			continue;
		if (now < spin_until && await_yield())
			continue;
		if (spin_until > 0)
		{
			no_spin = SPIN_PAUSE;
			spin_until = 0;
			continue;
		}
		for (i = 0; i < count; i++)
		{
			sockets[i].fd = pending[i]->wire.fd;
			sockets[i].events = inval_connection_events(pending[i]);
			sockets[i].revents = 0;
		}
		inval_wire_wait(sockets, count, until, wait,
						pending[0]->state < INVAL_CONNECTION_BUSY ? INVAL_WAITING_CONNECT :
						INVAL_WAITING_REPLY);
	}
}

/*
 * Until when replies are looked for without going to sleep; 0: not at all.  For a
 * worker nobody waits.
 */
static uint64
await_spin_until(void)
{
	if (MyProcPort == NULL)
		return 0;
	if (no_spin == 0)
		return inval_clock_us() + SPIN_US;
	no_spin--;
	return 0;
}

/*
 * Gives way to others.  Returns whether there was nobody who has had much to do.
 */
static bool
await_yield(void)
{
	uint64		before = inval_clock_us();

	(void) sched_yield();
	return inval_clock_us() - before < BUSY_US;
}

/*
 * Connects to one server, interruptibly.  Returns NULL and a message if that does
 * not succeed until the deadline.
 */
InvalConnection *
inval_await_connection(const InvalUrl *url, uint64 deadline, char *error, Size error_size)
{
	InvalConnection *connection = inval_connection_open(url, false);

	PG_TRY();
	{
		inval_await(&connection, 1, deadline, INVAL_WAIT_INTERRUPTIBLE);
	}
	PG_CATCH();
	{
		inval_connection_close(connection);
		PG_RE_THROW();
	}
	PG_END_TRY();
	if (connection->state == INVAL_CONNECTION_READY)
		return connection;
	strlcpy(error, connection->error, error_size);
	inval_connection_close(connection);
	return NULL;
}

/*
 * Asks one server a question and waits for the answer, which is kept in the
 * memory context; interruptibly.  Returns NULL and a message if there is none
 * until the deadline, or it is an error.
 */
const InvalReply *
inval_await_answer(InvalConnection *connection, MemoryContext context, int argc,
				   const char **words, uint64 deadline, char *error, Size error_size)
{
	inval_connection_ask(connection, context, argc, words);
	inval_await(&connection, 1, deadline, INVAL_WAIT_INTERRUPTIBLE);
	if (connection->state != INVAL_CONNECTION_READY)
		strlcpy(error, connection->error, error_size);
	else if (connection->answer->type == INVAL_REPLY_ERROR)
		strlcpy(error, connection->answer->text, error_size);
	else
		return connection->answer;
	return NULL;
}
