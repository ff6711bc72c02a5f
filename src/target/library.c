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

#include "base/settings.h"
#include "redis/await.h"
#include "redis/inval_lua.h"
#include "target/breaker.h"
#include "target/cluster.h"
#include "target/library.h"
#include "target/reach.h"

/*
 * A server that had it is asked again after that, in us: somebody may have flushed
 * it, or another inval, which had asked before us, put an older one in its place.
 */
#define ASK_AGAIN_US	60000000

/* Loading can meet another who loads, and so has to look once more, or twice. */
#define TRIES			3

/* The nodes that are asked together */
typedef struct LibraryVisit
{
	InvalTarget *target;
	MemoryContext context;		/* of the answers */
	uint64		deadline;
	int			count;
	int			nodes[INVAL_MAP_NODES];
	bool		loaded;			/* into one of them */
	char		missing[INVAL_ERROR_LEN];	/* why it is not in one of them */
} LibraryVisit;

static void library_gather(LibraryVisit *visit);
static bool library_is_due(const InvalTarget *target, int node);
static void library_ask(LibraryVisit *visit);
static void library_settle(LibraryVisit *visit, int node);
static const InvalReply *library_question(LibraryVisit *visit, InvalConnection *connection,
										  int argc, const char **words);
static bool library_answers(const InvalReply *answer, const char *words);
static void library_lost(LibraryVisit *visit, int node);
static void library_note(LibraryVisit *visit);

static const char *version_question[] = {"FCALL", "inval_version", "0"};

/*
 * Sees to it that a target which the worker is connected to has the library.
 * Returns false if the connection was lost over it.  Interruptible.
 */
bool
inval_library_keep(InvalTarget *target)
{
	LibraryVisit visit = {.target = target};
	uint64		now = inval_clock_us();

	if (!inval_load_library || now < target->next_library_look)
		return true;
	target->next_library_look = now + (uint64) inval_sweep_interval * 1000;
	library_gather(&visit);
	if (visit.count == 0)
		return true;

	visit.context = AllocSetContextCreate(CurrentMemoryContext, "inval library",
										  ALLOCSET_SMALL_SIZES);
	visit.deadline = now + (uint64) inval_reply_timeout * 1000;
	library_ask(&visit);
	library_note(&visit);
	MemoryContextDelete(visit.context);
	return inval_url_is_cluster(&target->url) || target->connection != NULL;
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
 * Whom to ask: everybody, if one is due, so that what is noted is about all.
 * Nodes that are lost are asked when they serve again.
 */
static void
library_gather(LibraryVisit *visit)
{
	InvalTarget *target = visit->target;
	uint64		connect_us = (uint64) inval_connect_timeout * 1000;
	bool		due = false;
	int			i;

	if (!inval_url_is_cluster(&target->url))
	{
		if (library_is_due(target, 0))
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
		InvalConnection *connection = *inval_reach_place(visit->target, visit->nodes[i]);

		if (connection == NULL)
			continue;			/* that it could not be had is noted */
		inval_connection_ask(connection, visit->context, lengthof(version_question),
							 version_question);
		visit->nodes[count] = visit->nodes[i];
		asked[count++] = connection;
	}
	visit->count = count;
	inval_await(asked, count, visit->deadline, INVAL_WAIT_INTERRUPTIBLE);
	for (i = 0; i < count; i++)
		library_settle(visit, visit->nodes[i]);
}

/*
 * A node has told its version, or that there is no such function: loads the
 * library if that is what it needs.  Without REPLACE where there is none, so that
 * nobody's who has just loaded it is replaced.
 *
 * This is the one place where the library comes into a server.
 */
static void
library_settle(LibraryVisit *visit, int node)
{
	InvalConnection *connection = *inval_reach_place(visit->target, node);
	const InvalReply *answer = connection->state == INVAL_CONNECTION_READY ?
		connection->answer : NULL;
	bool		replace = false;
	int			tries;

	for (tries = 0; answer != NULL && tries < TRIES; tries++)
	{
		const char *load[] = {"FUNCTION", "LOAD", "REPLACE", INVAL_LIBRARY};
		const char *load_new[] = {"FUNCTION", "LOAD", INVAL_LIBRARY};

		if (answer->type == INVAL_REPLY_INTEGER && answer->integer >= INVAL_LIBRARY_VERSION)
		{
			connection->library_seen = inval_clock_us();
			return;
		}
		if (answer->type != INVAL_REPLY_INTEGER && !library_answers(answer, "unction not found"))
			break;
		answer = replace || answer->type == INVAL_REPLY_INTEGER ?
			library_question(visit, connection, lengthof(load), load) :
			library_question(visit, connection, lengthof(load_new), load_new);
		visit->loaded |= answer != NULL && answer->type == INVAL_REPLY_TEXT;
		/* If it is still not found then, it is from before it had a version. */
		if (answer != NULL && library_answers(answer, "already exists"))
			replace = true;
		else if (answer != NULL && answer->type != INVAL_REPLY_TEXT)
			break;
		if (answer != NULL)
			answer = library_question(visit, connection, lengthof(version_question),
									  version_question);
	}
	if (answer == NULL)
	{
		library_lost(visit, node);
		return;
	}
	connection->library_seen = inval_clock_us();
	if (answer->type != INVAL_REPLY_ERROR)
		strlcpy(visit->missing, "inval_version answers what is no version",
				sizeof(visit->missing));
	else if (answer->kind == INVAL_ERROR_COMMAND)
		strlcpy(visit->missing, "the server has no functions", sizeof(visit->missing));
	else
		strlcpy(visit->missing, answer->text, sizeof(visit->missing));
}

/*
 * Asks one node; the answer may be an error.  NULL if the connection has failed.
 */
static const InvalReply *
library_question(LibraryVisit *visit, InvalConnection *connection, int argc,
				 const char **words)
{
	inval_connection_ask(connection, visit->context, argc, words);
	inval_await(&connection, 1, visit->deadline, INVAL_WAIT_INTERRUPTIBLE);
	return connection->state == INVAL_CONNECTION_READY ? connection->answer : NULL;
}

/*
 * Whether an answer is an error that has these words.
 */
static bool
library_answers(const InvalReply *answer, const char *words)
{
	return answer->type == INVAL_REPLY_ERROR && strstr(answer->text, words) != NULL;
}

/*
 * A connection has failed.  One that was of no use any more is no outage.
 */
static void
library_lost(LibraryVisit *visit, int node)
{
	InvalConnection **place = inval_reach_place(visit->target, node);
	InvalConnection *connection = *place;

	if (connection->fault == INVAL_FAULT_NONE)
	{
		*place = NULL;
		inval_connection_close(connection);
	}
	else
		inval_reach_failed(visit->target, node, connection->fault, connection->error, 0);
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
