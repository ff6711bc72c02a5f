/*
 * library.c
 *		The functions that readers call, in Redis.
 *
 * redis/inval.lua is a function library of the server: leases and what goes with
 * them.  The worker sees to it that each server it delivers to has it: of a
 * cluster each node that has slots, as replicas get it by replication.  A library
 * that is as new as ours, or newer, is left as it is, so that two versions of inval
 * that share a server do not fight.
 *
 * Invalidations need no function.  A server that has none, or does not let us load
 * any, is a target like any other: its readers have no leases, which is shown in
 * inval_target_status, and told to who makes a rule that is for such readers.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "base/backoff.h"
#include "base/fencers.h"
#include "base/settings.h"
#include "redis/await.h"
#include "redis/inval_lua.h"
#include "redis/pipeline.h"
#include "target/breaker.h"
#include "target/cluster.h"
#include "target/library.h"
#include "target/reach.h"

/*
 * A server that had it is asked again after that, in us, or when somebody has missed
 * it: it may have been flushed, or another inval, which had asked before us, has put
 * an older one in its place.
 * One that has answered by hanging up, or not at all, is asked after pauses that
 * double up to that.
 */
#define ASK_AGAIN_US	60000000

/* What is not loaded yet for the sake of fences is looked at again after that, in us. */
#define WAIT_US			100000

/* Loading can meet another who loads, and so has to look once more, or twice. */
#define TRIES			3

/* What a node has said.  No text is kept but that of an error: there may be much. */
typedef struct LibraryAnswer
{
	InvalReplyType type;
	InvalErrorKind kind;		/* of an error */
	int64		integer;
	char		error[INVAL_ERROR_TEXT_LEN];	/* "": none */
} LibraryAnswer;

/* The nodes that are asked together */
typedef struct LibraryVisit
{
	InvalTarget *target;
	MemoryContext context;		/* of questions and answers */
	uint64		deadline;
	int			count;
	int			nodes[INVAL_MAP_NODES];
	LibraryAnswer *answers;		/* of each of them, the last one */
	bool		loaded;			/* into one of them */
	char		missing[INVAL_ERROR_LEN];	/* why it is not in one of them */
} LibraryVisit;

static void library_gather(LibraryVisit *visit);
static bool library_is_due(const InvalTarget *target, int node);
static void library_ask(LibraryVisit *visit);
static void library_settle(LibraryVisit *visit, int i);
static bool library_lacks_function(const char *error);
static bool library_must_wait(InvalTarget *target, InvalConnection *connection);
static bool library_load(LibraryVisit *visit, int i, bool replace);
static bool library_question(LibraryVisit *visit, int i, int argc, const char **words);
static void library_start(LibraryVisit *visit, int i, int argc, const char **words);
static bool library_keep_answer(const InvalReply *reply, void *arg);
static void library_explain(LibraryVisit *visit, const LibraryAnswer *answer);
static void library_lost(LibraryVisit *visit, int node);
static void library_note(LibraryVisit *visit);

static const char *version_question[] = {"FCALL", "inval_version", "0"};

/*
 * Sees to it that a target to which the worker can deliver has the library.  A
 * connection that is lost over it is closed, which says nothing of the target:
 * what stands between us and the server may know no functions.  Interruptible.
 */
void
inval_library_keep(InvalTarget *target)
{
	LibraryVisit visit = {.target = target};
	uint64		now = inval_clock_us();

	if (!inval_load_library || now < target->next_library_look)
		return;
	target->next_library_look = now + (uint64) inval_sweep_interval * 1000;
	library_gather(&visit);
	if (visit.count == 0)
		return;

	visit.context = AllocSetContextCreate(CurrentMemoryContext, "inval library",
										  ALLOCSET_SMALL_SIZES);
	visit.answers = MemoryContextAlloc(visit.context, visit.count * sizeof(LibraryAnswer));
	visit.deadline = now + (uint64) inval_reply_timeout * 1000;
	library_ask(&visit);
	if (visit.count > 0)
		library_note(&visit);
	MemoryContextDelete(visit.context);
}

/*
 * Whether a target is known not to have the library, and why.
 */
bool
inval_library_is_missing(const InvalTarget *target, char *why, Size size)
{
	InvalTargetHealth *health = target->health;

	SpinLockAcquire(&health->mutex);
	strlcpy(why, health->library_missing, size);
	SpinLockRelease(&health->mutex);
	return why[0] != '\0';
}

/*
 * A command was answered by an error.  If it was that there is no such function, the
 * worker is to look now, as strict transactions fail until it is there again.
 */
void
inval_library_note_error(InvalTarget *target, const char *error)
{
	if (library_lacks_function(error) && inval_target_shares_health(target))
		pg_atomic_write_u32(&target->health->library_missed, 1);
}

static bool
library_lacks_function(const char *error)
{
	return strstr(error, "unction not found") != NULL;
}

/*
 * Whom to ask: everybody, if one is due, so that what is noted is about all.
 * Nodes that are lost are asked when they serve again.
 */
static void
library_gather(LibraryVisit *visit)
{
	InvalTarget *target = visit->target;
	uint64		connect_us = (uint64) inval_connect_timeout * 1000;
	bool		due = pg_atomic_exchange_u32(&target->health->library_missed, 0) != 0;
	int			i;

	if (!inval_url_is_cluster(&target->url))
	{
		if (due || library_is_due(target, 0))
			visit->nodes[visit->count++] = 0;
		return;
	}
	for (i = 0; i < target->cluster->map.nodes; i++)
		if (!inval_cluster_is_lost(target, i))
		{
			due |= library_is_due(target, i);
			visit->nodes[visit->count++] = i;
		}
	if (!due)
		visit->count = 0;
	else
		inval_reach_nodes(target, visit->nodes, visit->count, inval_clock_us() + connect_us);
}

static bool
library_is_due(const InvalTarget *target, int node)
{
	InvalConnection *connection = *inval_reach_place(unconstify(InvalTarget *, target), node);

	return connection == NULL || !inval_connection_check(connection) ||
		connection->library_seen == 0 ||
		inval_clock_us() - connection->library_seen > ASK_AGAIN_US;
}

/*
 * Asks all at once for the version, and then sees to each.
 */
static void
library_ask(LibraryVisit *visit)
{
	InvalConnection *asked[INVAL_MAP_NODES];
	int			count = 0;
	int			i;

	for (i = 0; i < visit->count; i++)
	{
		/* That one could not be had is noted. */
		if (*inval_reach_place(visit->target, visit->nodes[i]) == NULL)
			continue;
		visit->nodes[count] = visit->nodes[i];
		asked[count] = *inval_reach_place(visit->target, visit->nodes[i]);
		library_start(visit, count, lengthof(version_question), version_question);
		count++;
	}
	visit->count = count;
	inval_await(asked, count, visit->deadline, INVAL_WAIT_INTERRUPTIBLE);
	for (i = 0; i < count; i++)
		library_settle(visit, i);
}

/*
 * A node has told its version, or that there is no such function: loads the
 * library if that is what it needs.  Without REPLACE where there is none, so that
 * nobody's who has just loaded it is replaced; if it is there and has no version,
 * it is from before there were any.
 *
 * This is the one place where the library comes into a server.
 */
static void
library_settle(LibraryVisit *visit, int i)
{
	InvalConnection *connection = *inval_reach_place(visit->target, visit->nodes[i]);
	LibraryAnswer *answer = &visit->answers[i];
	bool		alive = connection->state == INVAL_CONNECTION_READY;
	bool		replace = false;
	bool		waits = false;
	int			tries;

	for (tries = 0; alive && tries < TRIES; tries++)
	{
		bool		older = answer->type == INVAL_REPLY_INTEGER &&
			answer->integer < INVAL_LIBRARY_VERSION;

		if (!older && !library_lacks_function(answer->error))
			break;
		waits = !older && library_must_wait(visit->target, connection);
		if (waits)
			break;
		alive = library_load(visit, i, older || replace);
		if (!alive)
			break;
		replace = strstr(answer->error, "already exists") != NULL;
		visit->loaded |= answer->error[0] == '\0';
		if (answer->error[0] != '\0' && !replace)
			break;
		alive = library_question(visit, i, lengthof(version_question), version_question);
	}
	if (!alive)
	{
		library_lost(visit, visit->nodes[i]);
		return;
	}
	/* Perhaps it was somebody else who has waited, and loaded it. */
	if (!waits)
		connection->library_missed_at = 0;
	connection->library_seen = waits ? 0 : inval_clock_us();
	visit->target->library_losses = 0;
	library_explain(visit, answer);
}

/*
 * A server that has lost the library may have lost fences with it, and without the
 * library nobody serves values there.  So that goes on until all transactions are
 * over that may have had fences there before: those that come later find the library
 * missing, and fail.  Noted with the connection, as the next one may be to a server
 * that has lost them once more, and other nodes lose them at other times.
 */
static bool
library_must_wait(InvalTarget *target, InvalConnection *connection)
{
	if (connection->library_missed_at == 0)
		connection->library_missed_at = GetCurrentTimestamp();
	if (!inval_fencers_were_before(connection->library_missed_at))
		return false;
	target->next_library_look = inval_clock_us() + WAIT_US;
	return true;
}

/*
 * Returns false if the connection has failed.
 */
static bool
library_load(LibraryVisit *visit, int i, bool replace)
{
	const char *load[] = {"FUNCTION", "LOAD", INVAL_LIBRARY};
	const char *load_anew[] = {"FUNCTION", "LOAD", "REPLACE", INVAL_LIBRARY};

	return replace ? library_question(visit, i, lengthof(load_anew), load_anew) :
		library_question(visit, i, lengthof(load), load);
}

/*
 * Asks one node, and waits for the answer.  Returns false if the connection has
 * failed.
 */
static bool
library_question(LibraryVisit *visit, int i, int argc, const char **words)
{
	InvalConnection *connection = *inval_reach_place(visit->target, visit->nodes[i]);

	library_start(visit, i, argc, words);
	inval_await(&connection, 1, visit->deadline, INVAL_WAIT_INTERRUPTIBLE);
	return connection->state == INVAL_CONNECTION_READY;
}

static void
library_start(LibraryVisit *visit, int i, int argc, const char **words)
{
	MemoryContext old = MemoryContextSwitchTo(visit->context);
	InvalPipeline question;

	inval_pipeline_init(&question);
	inval_pipeline_words(&question, argc, words);
	memset(&visit->answers[i], 0, sizeof(LibraryAnswer));
	inval_connection_start(*inval_reach_place(visit->target, visit->nodes[i]),
						   question.bytes.data, (Size) question.bytes.len, 1,
						   library_keep_answer, &visit->answers[i]);
	MemoryContextSwitchTo(old);
}

static bool
library_keep_answer(const InvalReply *reply, void *arg)
{
	LibraryAnswer *answer = arg;

	answer->type = reply->type;
	answer->kind = reply->kind;
	answer->integer = reply->integer;
	if (reply->type == INVAL_REPLY_ERROR)
		strlcpy(answer->error, reply->text, sizeof(answer->error));
	return true;
}

/*
 * Notes why a node does not have the library, if it does not.
 */
static void
library_explain(LibraryVisit *visit, const LibraryAnswer *answer)
{
	if (answer->type == INVAL_REPLY_INTEGER && answer->integer >= INVAL_LIBRARY_VERSION)
		return;
	if (answer->type != INVAL_REPLY_ERROR)
		strlcpy(visit->missing, "inval_version answers what is no version",
				sizeof(visit->missing));
	else if (answer->kind == INVAL_ERROR_COMMAND)
		strlcpy(visit->missing, "the server has no functions", sizeof(visit->missing));
	else
		strlcpy(visit->missing, answer->error, sizeof(visit->missing));
}

/*
 * A connection has failed.  If the server is away, what is delivered next shows it.
 */
static void
library_lost(LibraryVisit *visit, int node)
{
	InvalConnection **place = inval_reach_place(visit->target, node);
	InvalConnection *connection = *place;

	/* One that was of no use any more has asked nothing. */
	if (connection->fault != INVAL_FAULT_NONE)
	{
		strlcpy(visit->missing, connection->error, sizeof(visit->missing));
		visit->target->next_library_look = inval_clock_us() +
			inval_backoff_us(visit->target->library_losses++,
							 (uint64) inval_sweep_interval * 1000, ASK_AGAIN_US);
	}
	*place = NULL;
	inval_connection_close(connection);
}

/*
 * Makes known what was found, and says it in the log when it changes.
 */
static void
library_note(LibraryVisit *visit)
{
	InvalTarget *target = visit->target;
	InvalTargetHealth *health = target->health;
	bool		news;

	SpinLockAcquire(&health->mutex);
	news = strcmp(health->library_missing, visit->missing) != 0;
	strlcpy(health->library_missing, visit->missing, sizeof(health->library_missing));
	SpinLockRelease(&health->mutex);

	if (visit->loaded)
		ereport(LOG,
				(errmsg("inval target \"%s\": the functions for readers are loaded",
						target->name),
				 errdetail("They are version %d of the library \"inval\".",
						   INVAL_LIBRARY_VERSION)));
	if (news && visit->missing[0] != '\0')
		ereport(LOG,
				(errmsg("inval target \"%s\" does not have the functions for readers: %s",
						target->name, visit->missing),
				 errdetail("Keys are removed all the same; readers can have no leases.")));
}
