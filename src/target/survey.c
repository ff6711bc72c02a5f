/*
 * survey.c
 *		Which servers of a target are to be searched, and what they have.
 *
 * A single server is itself.  Of a cluster all nodes are asked which slots are their
 * own, in which epoch, and what is on its way to them: see search.c.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "base/settings.h"
#include "redis/await.h"
#include "redis/slot_claim.h"
#include "target/breaker.h"
#include "target/cluster.h"
#include "target/lost_node.h"
#include "target/reach.h"
#include "target/survey.h"

/* Asking all nodes what they have */
typedef struct SurveyRound
{
	InvalSurvey *of;
	int			count;
	int			nodes[INVAL_MAP_NODES]; /* as the map numbers them, */
	int			found[INVAL_MAP_NODES]; /* and as the survey does */
	bool		listed[INVAL_MAP_NODES];	/* by the map's numbers */
	int			answering;		/* the one whose answer is being read */
	MemoryContext context;		/* of the answers */
	InvalSlotClaim *claim;
} SurveyRound;

static bool survey_cluster(SurveyRound *round);
static void survey_list(int node, SurveyRound *round);
static void survey_ask(SurveyRound *round, int from, uint64 deadline);
static bool survey_serves(SurveyRound *round, int node, InvalConnection *connection);
static void survey_read(SurveyRound *round, int i, InvalConnection *connection);
static void survey_connection_failed(SurveyRound *round, int i, InvalFault fault,
									 const char *error);
static void survey_heir(const char *host, int port, void *arg);
static bool survey_is_covered(const SurveyRound *round);
static int	survey_find(InvalSurvey *survey, const char *host, int port);

/*
 * Asks who has what, and notes it of the nodes; those that are gone are forgotten.
 * Returns false if the target has failed.  What refuses to tell is in survey->error.
 * Interruptible.
 */
bool
inval_survey(InvalSurvey *survey)
{
	SurveyRound round = {.of = survey};
	bool		found = true;
	int			left = 0;
	int			i;

	survey->complete = true;
	survey->error[0] = '\0';
	for (i = 0; i < survey->count; i++)
		survey->nodes[i].there = survey->nodes[i].known = false;
	if (inval_url_is_cluster(&survey->target->url))
	{
		round.context = AllocSetContextCreate(CurrentMemoryContext, "inval survey",
											  ALLOCSET_DEFAULT_SIZES);
		round.claim = MemoryContextAllocZero(round.context, sizeof(InvalSlotClaim));
		found = survey_cluster(&round);
		MemoryContextDelete(round.context);
	}
	else
	{
		InvalSearchNode *node = &survey->nodes[survey_find(survey, "", 0)];

		node->there = node->known = true;
		node->seen = 1;
	}
	for (i = 0; i < survey->count; i++)
		if (survey->nodes[i].there)
			survey->nodes[left++] = survey->nodes[i];
	survey->count = left;
	return found;
}

static bool
survey_cluster(SurveyRound *round)
{
	InvalTarget *target = round->of->target;
	InvalCluster *cluster = target->cluster;
	uint64		deadline = inval_clock_us() + (uint64) inval_connect_timeout * 1000;
	InvalFault	fault;
	char		error[INVAL_ERROR_LEN];
	int			from = 0;
	int			slot;

	if (!inval_cluster_find_nodes(target, deadline, cluster->may_probe, true, &fault,
								  error, sizeof(error)))
	{
		if (error[0] != '\0')
			inval_target_failed(target, fault, error);
		return false;
	}
	for (slot = 0; slot < INVAL_SLOTS; slot++)
		if (cluster->map.owner[slot] != INVAL_NO_NODE)
			survey_list(cluster->map.owner[slot], round);
	/* Some may tell of others, which have no slots yet. */
	while (from < round->count)
	{
		int			to = round->count;

		survey_ask(round, from, deadline);
		from = to;
	}
	round->of->complete &= survey_is_covered(round);
	/* Its map is from somebody who has not heard of all that there is. */
	cluster->stale |= !round->of->complete;
	if (!inval_cluster_has_lost_all(target))
		return true;
	inval_target_failed(target, INVAL_FAULT_SERVER, "no node of the cluster serves");
	return false;
}

/*
 * Adds a node to those who are asked.
 */
static void
survey_list(int node, SurveyRound *round)
{
	const InvalNode *which = &round->of->target->cluster->map.node[node];
	int			found;

	if (round->listed[node])
		return;
	found = survey_find(round->of, which->host, which->port);
	round->of->complete &= found >= 0;
	if (found < 0)
		return;
	round->listed[node] = true;
	round->of->nodes[found].there = true;
	round->found[round->count] = found;
	round->nodes[round->count++] = node;
}

/*
 * Asks nodes, from one of them on, all at once.
 */
static void
survey_ask(SurveyRound *round, int from, uint64 deadline)
{
	static const char *question[] = {"CLUSTER", "NODES"};
	InvalTarget *target = round->of->target;
	InvalConnection *asked[INVAL_MAP_NODES];
	int			to = round->count;
	int			count = 0;
	int			i;

	inval_reach_nodes(target, round->nodes + from, to - from, deadline);
	for (i = from; i < to; i++)
	{
		InvalConnection *connection = *inval_reach_place(target, round->nodes[i]);

		if (connection == NULL || !survey_serves(round, round->nodes[i], connection))
			continue;
		inval_connection_ask(connection, round->context, lengthof(question), question);
		asked[count++] = connection;
	}
	inval_await(asked, count, inval_clock_us() + (uint64) inval_reply_timeout * 1000,
				INVAL_WAIT_INTERRUPTIBLE);
	for (i = from; i < to; i++)
	{
		InvalConnection *connection = *inval_reach_place(target, round->nodes[i]);

		if (connection == NULL)
			round->of->complete = false;
		else
			survey_read(round, i, connection);
	}
}

/*
 * Whether a node that was lost serves again.  Who only answers may be one of a
 * minority, which takes no keys.
 */
static bool
survey_serves(SurveyRound *round, int node, InvalConnection *connection)
{
	static const char *question[] = {"CLUSTER", "INFO"};
	InvalTarget *target = round->of->target;
	const InvalNode *which = &target->cluster->map.node[node];
	uint64		deadline = inval_clock_us() + (uint64) inval_reply_timeout * 1000;
	char		error[INVAL_ERROR_LEN];
	const InvalReply *answer;

	if (!inval_cluster_is_lost(target, node))
		return true;
	answer = inval_await_answer(connection, round->context, lengthof(question), question,
								deadline, error, sizeof(error));
	if (answer != NULL && answer->type == INVAL_REPLY_TEXT &&
		strstr(answer->text, "cluster_state:ok") != NULL)
	{
		inval_lost_node_serves(target->health, which->host, which->port);
		return true;
	}
	*inval_reach_place(target, node) = NULL;
	inval_connection_close(connection);
	return false;
}

/*
 * Notes what a node has answered.  One that refuses to tell is not searched.
 */
static void
survey_read(SurveyRound *round, int i, InvalConnection *connection)
{
	InvalSurvey *survey = round->of;
	InvalSearchNode *node = &survey->nodes[round->found[i]];
	const InvalReply *answer = connection->answer;

	round->answering = round->nodes[i];
	if (connection->state != INVAL_CONNECTION_READY)
		survey_connection_failed(round, i, connection->fault, connection->error);
	else if (answer->type == INVAL_REPLY_ERROR && answer->kind == INVAL_ERROR_SERVER &&
			 strncmp(answer->text, "NOPERM ", 7) != 0)
		survey_connection_failed(round, i, INVAL_FAULT_SERVER, answer->text);
	else if (answer->type == INVAL_REPLY_ERROR)
		strlcpy(survey->error, answer->text, sizeof(survey->error));
	else
		node->known = inval_slot_claim_read(round->claim, answer, survey_heir, round,
											survey->error, sizeof(survey->error));
	node->seen = round->claim->state;
	node->imports = round->claim->imports;
	round->of->complete &= node->known;
}

/*
 * One that was of no use any more is no outage.
 */
static void
survey_connection_failed(SurveyRound *round, int i, InvalFault fault, const char *error)
{
	InvalTarget *target = round->of->target;
	InvalConnection **place = inval_reach_place(target, round->nodes[i]);

	if (fault != INVAL_FAULT_NONE)
		inval_reach_failed(target, round->nodes[i], fault, error, 0);
	else
	{
		inval_connection_close(*place);
		*place = NULL;
	}
}

/*
 * A node moves slots to another, which may not be in the map yet.
 */
static void
survey_heir(const char *host, int port, void *arg)
{
	SurveyRound *round = arg;
	int			node = inval_slot_map_meant(&round->of->target->cluster->map,
											round->answering, host, port);

	if (node >= 0)
		survey_list(node, round);
	else
		round->of->complete = false;
}

/*
 * Whether each slot that somebody is said to have is claimed by one who was asked.
 * Those of nodes that did not answer are their affair.
 */
static bool
survey_is_covered(const SurveyRound *round)
{
	const InvalSurvey *survey = round->of;
	const InvalSlotMap *map = &survey->target->cluster->map;
	int			found_of[INVAL_MAP_NODES];
	int			slot;
	int			i;

	memset(found_of, -1, sizeof(found_of));
	for (i = 0; i < round->count; i++)
		found_of[round->nodes[i]] = round->found[i];
	for (slot = 0; slot < INVAL_SLOTS; slot++)
	{
		int			owner = map->owner[slot];

		if (owner != INVAL_NO_NODE && found_of[owner] >= 0 &&
			survey->nodes[found_of[owner]].known && !round->claim->claimed[slot])
			return false;
	}
	return true;
}

/*
 * The number of a node, which is added if it is new; -1 if there is no room.
 */
static int
survey_find(InvalSurvey *survey, const char *host, int port)
{
	InvalSearchNode *node;
	int			i;

	for (i = 0; i < survey->count; i++)
		if (survey->nodes[i].port == port && strcmp(survey->nodes[i].host, host) == 0)
			return i;
	if (survey->count == INVAL_MAP_NODES)
		return -1;
	node = &survey->nodes[survey->count];
	memset(node, 0, sizeof(*node));
	strlcpy(node->host, host, sizeof(node->host));
	node->port = port;
	return survey->count++;
}
