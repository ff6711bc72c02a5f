/*
 * search.c
 *		Finding keys of a target by how they look.
 *
 * A single server is searched from its start to its end (redis/scan.c), on another
 * connection anew.  Every key is found that was there when the search began and all
 * the time.  If leases of readers are to be void, too, there are two searches: all
 * leases first, then all keys.  One would pass a key's place, a lease could then
 * become a value there, and the search would come to the lease's place in vain.
 *
 * Of a cluster each node is searched that has slots, or to which some are being
 * moved.  A key that is moved meanwhile may have been passed on both sides, so this
 * is done in rounds.  Before the first and after each, all nodes say which slots
 * they have, in which epoch, and what is on its way (redis/slot_claim.c).  Whoever
 * says something else than before his last search is searched again.  If nobody
 * does, only keys of slots can be missing that were on their way all the time: they
 * go in one direction, and where they come from has been searched, so the nodes they
 * come to are searched once more.  When nobody says anything else after that, all
 * has been found.
 *
 * A node that does not answer keeps none of the others, but the end: it is asked
 * again after pauses, until it answers or others have its slots.
 */
#include "postgres.h"

#include "base/settings.h"
#include "target/breaker.h"
#include "target/cluster.h"
#include "target/reach.h"
#include "target/search.h"

/* Before nodes that did not answer are asked again, in us */
#define PAUSE_US		500000

static InvalSearchNode *search_due(InvalSearch *search);
static InvalSearchResult search_visit(InvalSearch *search, InvalSearchNode *node,
									  const InvalReply **keys);
static InvalConnection *search_reach(InvalSearch *search, const InvalSearchNode *node,
									 int *number);
static InvalSearchResult search_node_failed(InvalSearch *search, InvalSearchNode *node);
static InvalSearchResult search_connection_failed(InvalSearch *search, InvalSearchNode *node,
												  int number, InvalFault fault,
												  const char *error);
static InvalSearchResult search_end_round(InvalSearch *search);
static bool search_plan_round(InvalSearch *search);

/*
 * Prepares a search, in the current memory context; the pattern must stay.
 */
void
inval_search_begin(InvalSearch *search, InvalTarget *target, const InvalPattern *pattern,
				   bool leases_first)
{
	memset(search, 0, sizeof(*search));
	search->survey.target = target;
	search->pattern = pattern;
	search->leases_first = search->leases = leases_first;
	search->survey.nodes = palloc(INVAL_MAP_NODES * sizeof(InvalSearchNode));
	search->current = -1;
	inval_scan_init(&search->cursor);
}

/*
 * Goes a step on, over the target's connection, which must be there; for a cluster,
 * its nodes must be known.  The keys that were found, or NULL for none, are in the
 * current memory context.  Interruptible.
 */
InvalSearchResult
inval_search_step(InvalSearch *search, const InvalReply **keys)
{
	InvalSearchNode *node;

	*keys = NULL;
	if (search->through)
		return INVAL_SEARCH_THROUGH;
	if (inval_clock_us() < search->not_before)
		return INVAL_SEARCH_LATER;
	node = search_due(search);
	return node == NULL ? search_end_round(search) : search_visit(search, node, keys);
}

/*
 * What the last step has found could not be dealt with: the node it was found at is
 * searched once more, after a pause.  For clusters.
 */
void
inval_search_again(InvalSearch *search)
{
	search->survey.nodes[search->current].state = 0;
	search->survey.nodes[search->current].due = false;
	search->connection = 0;
	search->not_before = inval_clock_us() + PAUSE_US;
}

/*
 * About which share of the target has been searched.
 */
double
inval_search_share(const InvalSearch *search)
{
	double		share = 0;
	int			i;

	if (search->through)
		return 1;
	if (!search->begun)
		return 0;
	if (!inval_url_is_cluster(&search->survey.target->url))
		share = search->survey.nodes[0].due ? inval_scan_share(&search->cursor) : 1;
	else
		for (i = 0; i < search->survey.count; i++)
			share += search->survey.nodes[i].due ? 0 : 1.0 / search->survey.count;
	return search->leases_first ? (share + !search->leases) / 2 : share;
}

/*
 * The node whose turn it is; NULL: the round is over.
 */
static InvalSearchNode *
search_due(InvalSearch *search)
{
	int			i;

	/* The one that it is at may be before others that have failed. */
	for (i = 0; i < search->survey.count; i++)
	{
		int			number = (Max(search->current, 0) + i) % search->survey.count;

		if (!search->survey.nodes[number].due)
			continue;
		if (number != search->current)
			search->connection = 0;
		search->current = number;
		return &search->survey.nodes[number];
	}
	return NULL;
}

/*
 * Searches a part of a node.
 */
static InvalSearchResult
search_visit(InvalSearch *search, InvalSearchNode *node, const InvalReply **keys)
{
	bool		routed = inval_url_is_cluster(&search->survey.target->url);
	uint64		deadline;
	int			number;
	InvalConnection *connection = search_reach(search, node, &number);
	char		error[INVAL_ERROR_LEN];

	if (connection == NULL)
		return search_node_failed(search, node);
	if (connection->number != search->connection)
	{
		/* It may be another server, which has what the leases have become. */
		if (!routed && connection->number != search->server)
			search->leases = search->leases_first;
		search->server = connection->number;
		search->connection = connection->number;
		inval_scan_begin(&search->cursor);
	}
	deadline = inval_clock_us() + (uint64) inval_reply_timeout * 1000;
	*keys = inval_scan_step(&search->cursor, search->leases ? search->pattern->leases :
							search->pattern->keys, connection, deadline,
							error, sizeof(error));
	if (*keys != NULL)
	{
		node->due = !search->cursor.through;
		return INVAL_SEARCH_MORE;
	}
	if (connection->state != INVAL_CONNECTION_READY)
	{
		/* Too much at once is no outage; nor need it be one that it has not come in time. */
		bool		fewer = inval_scan_fewer(&search->cursor) &&
			strcmp(error, INVAL_REPLY_TOO_LARGE) == 0;

		return search_connection_failed(search, node, number,
										fewer ? INVAL_FAULT_NONE : connection->fault, error);
	}
	if (connection->answer->type == INVAL_REPLY_ERROR &&
		connection->answer->kind == INVAL_ERROR_SERVER &&
		strncmp(connection->answer->text, "NOPERM ", 7) != 0)
		return search_connection_failed(search, node, number, INVAL_FAULT_SERVER, error);
	strlcpy(search->error, error, sizeof(search->error));
	return INVAL_SEARCH_REFUSED;
}

/*
 * The connection to a node, and the number that it is known by now; NULL: there is
 * none to be had.
 */
static InvalConnection *
search_reach(InvalSearch *search, const InvalSearchNode *node, int *number)
{
	InvalTarget *target = search->survey.target;
	uint64		deadline = inval_clock_us() + (uint64) inval_connect_timeout * 1000;

	*number = 0;
	if (!inval_url_is_cluster(&target->url))
		return target->connection;
	*number = inval_slot_map_add(&target->cluster->map, node->host, node->port);
	if (*number < 0)
		return NULL;
	inval_reach_nodes(target, number, 1, deadline);
	return *inval_reach_place(target, *number);
}

/*
 * A node is not searched to its end in this round.
 */
static InvalSearchResult
search_node_failed(InvalSearch *search, InvalSearchNode *node)
{
	InvalTarget *target = search->survey.target;

	node->state = 0;
	node->due = false;
	search->connection = 0;
	if (!inval_url_is_cluster(&target->url))
		return INVAL_SEARCH_FAILED;
	if (!inval_cluster_has_lost_all(target))
		return INVAL_SEARCH_MORE;
	inval_target_failed(target, INVAL_FAULT_SERVER, "no node of the cluster serves");
	return INVAL_SEARCH_FAILED;
}

/*
 * The same, because of a connection.  One that was of no use any more is no outage.
 */
static InvalSearchResult
search_connection_failed(InvalSearch *search, InvalSearchNode *node, int number,
						 InvalFault fault, const char *error)
{
	InvalTarget *target = search->survey.target;
	InvalConnection **place = inval_reach_place(target, number);

	if (fault != INVAL_FAULT_NONE)
		inval_reach_failed(target, number, fault, error, 0);
	else if (*place != NULL)
	{
		inval_connection_close(*place);
		*place = NULL;
	}
	return search_node_failed(search, node);
}

/*
 * All that was due has been searched, or has failed.
 */
static InvalSearchResult
search_end_round(InvalSearch *search)
{
	int			i;

	if (!inval_survey(&search->survey))
		return INVAL_SEARCH_FAILED;
	search->current = -1;
	search->connection = 0;
	if (search->survey.error[0] != '\0')
	{
		strlcpy(search->error, search->survey.error, sizeof(search->error));
		return INVAL_SEARCH_REFUSED;
	}
	search->begun = true;
	if (search_plan_round(search))
		return INVAL_SEARCH_MORE;
	if (!search->survey.complete)
	{
		search->not_before = inval_clock_us() + PAUSE_US;
		return INVAL_SEARCH_LATER;
	}
	if (!search->leases)
	{
		search->through = true;
		return INVAL_SEARCH_THROUGH;
	}
	search->leases = false;
	for (i = 0; i < search->survey.count; i++)
		search->survey.nodes[i].state = 0;
	(void) search_plan_round(search);
	return INVAL_SEARCH_MORE;
}

/*
 * Says who is to be searched in the next round.  Returns false if nobody is, as far
 * as is known.
 */
static bool
search_plan_round(InvalSearch *search)
{
	bool		changed = false;
	bool		imports = false;
	int			i;

	for (i = 0; i < search->survey.count; i++)
	{
		InvalSearchNode *node = &search->survey.nodes[i];

		changed |= node->known && node->seen != node->state;
		imports |= node->known && node->imports;
	}
	if (!changed && (!imports || !search->survey.complete || search->again))
		return false;
	search->again = !changed;
	for (i = 0; i < search->survey.count; i++)
	{
		InvalSearchNode *node = &search->survey.nodes[i];

		node->due = node->known && (node->seen != node->state || node->imports);
		if (node->due)
			node->state = node->seen;
	}
	return true;
}
