/*
 * vitals.c
 *		What the servers of a target say of themselves.
 *
 * Asked by the worker now and then, to be shown: what readers find and miss there, what
 * is evicted, how much memory is used; of a cluster, all its nodes together.  Nothing
 * depends on it.  So who refuses to tell, or closes the connection, as what stands
 * between us and the server may, is no outage, and after some tries is left alone.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "base/settings.h"
#include "redis/await.h"
#include "redis/pipeline.h"
#include "target/cluster.h"
#include "target/reach.h"
#include "target/vitals.h"

/* So often, in us, and after so many losses in a row no more */
#define LOOK_US			(10 * UINT64CONST(1000000))
#define MOST_LOSSES		3

/* Nothing is delivered while we wait, so for this answer we wait no longer. */
#define PATIENCE_US		UINT64CONST(500000)

/* What is asked, one answer for each */
static const char *questions[][2] = {{"INFO", "stats"}, {"INFO", "memory"}};

/* What of it is taken, as target/health.h has it */
static const char *const names[INVAL_VITALS] = {
	[INVAL_VITAL_HITS] = "keyspace_hits:",[INVAL_VITAL_MISSES] = "keyspace_misses:",
	[INVAL_VITAL_EVICTED] = "evicted_keys:",[INVAL_VITAL_MEMORY] = "used_memory:"
};

typedef struct VitalsLook
{
	bool		known[INVAL_VITALS];
	int64		values[INVAL_VITALS];
} VitalsLook;

static bool vitals_ask(InvalTarget *target, int node, VitalsLook *look);
static bool vitals_reply(const InvalReply *reply, void *arg);
static void vitals_note(InvalTarget *target, const VitalsLook *look);

/*
 * Asks, if it is time to, a target to which the worker can deliver.  Interruptible.
 */
void
inval_vitals_look(InvalTarget *target)
{
	uint64		now = inval_clock_us();
	VitalsLook	look;
	bool		alive = true;
	int			i;

	if (now < target->next_vitals_look || target->vitals_losses >= MOST_LOSSES)
		return;
	memset(&look, 0, sizeof(look));
	target->next_vitals_look = now + LOOK_US;
	if (!inval_url_is_cluster(&target->url))
		alive = vitals_ask(target, 0, &look);
	else
		for (i = 0; i < target->cluster->map.nodes && alive; i++)
			if (!inval_cluster_is_lost(target, i))
				alive = vitals_ask(target, i, &look);
	target->vitals_losses = alive ? 0 : target->vitals_losses + 1;
	/* A sum of some of them would be a lie. */
	if (!alive)
		memset(look.known, false, sizeof(look.known));
	vitals_note(target, &look);
}

/*
 * Adds what a node says.  Returns false if the connection was lost over it.
 */
static bool
vitals_ask(InvalTarget *target, int node, VitalsLook *look)
{
	MemoryContext context;
	InvalConnection *connection;
	InvalPipeline commands;
	int			i;

	/* That one could not be had is noted. */
	if (inval_url_is_cluster(&target->url))
		inval_reach_nodes(target, &node, 1,
						  inval_clock_us() + (uint64) inval_connect_timeout * 1000);
	connection = *inval_reach_place(target, node);
	if (connection == NULL)
		return true;
	context = AllocSetContextCreate(CurrentMemoryContext, "inval vitals",
									ALLOCSET_SMALL_SIZES);
	inval_pipeline_init(&commands);
	for (i = 0; i < (int) lengthof(questions); i++)
		inval_pipeline_words(&commands, lengthof(questions[i]), questions[i]);
	inval_connection_start(connection, commands.bytes.data, (Size) commands.bytes.len,
						   commands.count, vitals_reply, look);
	connection->reader.context = context;
	inval_await(&connection, 1, inval_clock_us() + PATIENCE_US, INVAL_WAIT_INTERRUPTIBLE);
	connection->reader.context = NULL;
	pfree(commands.bytes.data);
	MemoryContextDelete(context);
	if (connection->state == INVAL_CONNECTION_READY)
		return true;
	*inval_reach_place(target, node) = NULL;
	inval_connection_close(connection);
	return false;
}

/*
 * Lines of a name, a colon and a number; an error, or anything else, says nothing.
 */
static bool
vitals_reply(const InvalReply *reply, void *arg)
{
	VitalsLook *look = arg;
	int			i;

	if (reply->type != INVAL_REPLY_TEXT || reply->text == NULL)
		return true;
	for (i = 0; i < INVAL_VITALS; i++)
	{
		const char *found = strstr(reply->text, names[i]);
		long long	value;

		if (found == NULL || (found != reply->text && found[-1] != '\n'))
			continue;
		value = strtoll(found + strlen(names[i]), NULL, 10);
		if (value < 0 || value > PG_INT64_MAX - look->values[i])
			continue;
		look->values[i] += value;
		look->known[i] = true;
	}
	return true;
}

static void
vitals_note(InvalTarget *target, const VitalsLook *look)
{
	InvalTargetHealth *health = target->health;
	int			i;

	SpinLockAcquire(&health->mutex);
	for (i = 0; i < INVAL_VITALS; i++)
		health->vitals[i] = look->known[i] ? look->values[i] : -1;
	health->vitals_known = true;
	SpinLockRelease(&health->mutex);
}
