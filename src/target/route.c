/*
 * route.c
 *		A shipment to a cluster: what goes to which node.
 *
 * Each entry is a command of its own, whatever slots its neighbours have: keys
 * of different slots cannot share one, and in a pipeline one command for each
 * key costs next to nothing more.  It also makes every reply about one key, so
 * that MOVED and ASK are, too.
 *
 * A round: the commands that are still to be sent are gathered by node (which
 * connects to those nodes), sent to all of them, and the replies of all read.
 * A commit makes one round, of which only sending and reading come after the
 * commit record.  The worker makes more, as long as nodes point to others:
 * MOVED is noted in the map, so that the next round goes to the right node;
 * ASK sends that one command to the node that is importing the slot, after
 * ASKING.  What is left after that waits for the next look at the outbox.
 */
#include "postgres.h"

#include "base/settings.h"
#include "redis/error.h"
#include "redis/group.h"
#include "target/route.h"

StaticAssertDecl(INVAL_MAP_NODES <= INVAL_GROUP_MAX, "a group holds all nodes");

/*
 * A slot that is moved once more while we follow it is rare; this many moves
 * are not followed at once.
 */
#define ROUTE_ROUNDS	5

#define ASKING			"*1\r\n$6\r\nASKING\r\n"

/* The item that the reply to ASKING is about */
#define ROUTE_NO_ITEM	(-1)

/* What goes to one node in one round */
struct InvalRoutePart
{
	InvalRoute *route;
	int			node;
	InvalConnection *connection;
	StringInfoData bytes;
	int		   *items;			/* which item each reply is about */
	int			count;
	int			max_count;
	int			next;			/* whose reply comes next */
	int			confirmed;
	bool		refuses;		/* a reply said so of the node as a whole */
	char		error[INVAL_ERROR_LEN];
};

static InvalRoutePart *route_part(InvalRoute *route, InvalRoutePart **by_node,
								  int node, uint64 deadline, bool patient);
static void route_part_add(InvalRoutePart *part, const char *bytes, Size length,
						   int item);
static void route_handle_reply(const InvalReply *reply, void *arg);
static void route_redirect(InvalRoutePart *part, InvalRouteItem *item,
						   const char *error, bool ask);
static void route_finish_part(InvalRoutePart *part, uint64 deadline);
static void route_note_error(InvalRoute *route, const char *error);
static bool route_is_redirected(InvalRoute *route);
static void route_free_parts(InvalRoute *route);

/*
 * Starts an empty one in the current memory context.
 */
InvalRoute *
inval_route_create(InvalCluster *cluster)
{
	InvalRoute *route = palloc0(sizeof(InvalRoute));

	route->cluster = cluster;
	route->max_count = 16;
	route->items = palloc(route->max_count * sizeof(InvalRouteItem));
	return route;
}

/*
 * Adds an entry: its key, and where its command is among all.
 */
void
inval_route_add(InvalRoute *route, const char *key, Size key_length,
				Size offset, Size length)
{
	InvalRouteItem *item;

	if (route->count == route->max_count)
	{
		route->max_count *= 2;
		route->items = repalloc_huge(route->items,
									 route->max_count * sizeof(InvalRouteItem));
	}
	item = &route->items[route->count++];
	item->offset = offset;
	item->length = (int) length;
	item->slot = (uint16) inval_slot_of_key(key, key_length);
	item->ask_node = INVAL_NO_NODE;
	item->state = INVAL_ROUTE_OPEN;
}

/*
 * The reason of each refusal is kept, which allocates: not after the commit
 * record.
 */
void
inval_route_keep_errors(InvalRoute *route)
{
	route->errors = palloc0(Max(route->count, 1) * sizeof(char *));
}

/*
 * The first part of a round: gathers what is to be sent, and connects to the
 * nodes that it goes to, until the deadline; if not "patient", to each in its
 * share of the time.  Returns false if nothing can be sent.  Interruptible.
 */
bool
inval_route_reach(InvalRoute *route, const char *commands, uint64 deadline,
				  bool patient)
{
	InvalCluster *cluster = route->cluster;
	InvalRoutePart *by_node[INVAL_MAP_NODES] = {0};
	bool		sendable = false;
	int			i;

	route_free_parts(route);
	route->parts = palloc0(Max(cluster->map.nodes, 1) * sizeof(InvalRoutePart));
	for (i = 0; i < route->count; i++)
	{
		InvalRouteItem *item = &route->items[i];
		bool		ask = item->state == INVAL_ROUTE_ASK;
		int			node = ask ? item->ask_node : cluster->map.owner[item->slot];
		InvalRoutePart *part;

		if (!ask && item->state != INVAL_ROUTE_OPEN)
			continue;
		if (node == INVAL_NO_NODE || node >= cluster->map.nodes)
		{
			/* It will have an owner, and then the map will be another. */
			cluster->stale = true;
			item->state = INVAL_ROUTE_LATER;
			route_note_error(route, "no node of the cluster serves the key's slot");
			continue;
		}
		part = route_part(route, by_node, node, deadline, patient);
		if (part->connection == NULL)
		{
			item->state = INVAL_ROUTE_LATER;
			continue;
		}
		if (ask)
			route_part_add(part, ASKING, strlen(ASKING), ROUTE_NO_ITEM);
		route_part_add(part, commands + item->offset, (Size) item->length, i);
		sendable = true;
	}
	return sendable;
}

/*
 * The part for a node, connected to it if it can be reached.
 */
static InvalRoutePart *
route_part(InvalRoute *route, InvalRoutePart **by_node, int node, uint64 deadline,
		   bool patient)
{
	InvalRoutePart *part = by_node[node];

	if (part != NULL)
		return part;
	if (!patient)
		deadline = inval_cluster_share(deadline);
	part = &route->parts[route->nparts++];
	by_node[node] = part;
	part->route = route;
	part->node = node;
	part->connection = inval_cluster_connection(route->cluster, node, deadline);
	if (part->connection == NULL)
	{
		route->failed = true;
		route_note_error(route, "a node of the cluster is lost");
		/* Who tries lost nodes also finds out who takes their place. */
		if (route->cluster->may_probe)
			route->cluster->stale = true;
		return part;
	}
	initStringInfo(&part->bytes);
	part->max_count = 16;
	part->items = palloc(part->max_count * sizeof(int));
	return part;
}

static void
route_part_add(InvalRoutePart *part, const char *bytes, Size length, int item)
{
	appendBinaryStringInfo(&part->bytes, bytes, (int) length);
	if (part->count == part->max_count)
	{
		part->max_count *= 2;
		part->items = repalloc_huge(part->items, part->max_count * sizeof(int));
	}
	part->items[part->count++] = item;
}

/*
 * The second part of a round: sends to all nodes what can be sent without
 * waiting.  Cannot fail.
 */
void
inval_route_start(InvalRoute *route)
{
	int			i;

	route->started = inval_clock_us();
	for (i = 0; i < route->nparts; i++)
	{
		InvalRoutePart *part = &route->parts[i];

		if (part->connection != NULL)
			inval_redis_start(part->connection, part->bytes.data, part->bytes.len,
							  part->count, route_handle_reply, part);
	}
}

/*
 * The third: sends the rest, reads the replies of all, and notes how the nodes
 * are.  With INVAL_WAIT_HELD it cannot fail.
 */
void
inval_route_finish(InvalRoute *route, uint64 deadline, InvalWait wait)
{
	InvalConnection *connections[INVAL_MAP_NODES];
	int			count = 0;
	int			i;

	for (i = 0; i < route->nparts; i++)
		if (route->parts[i].connection != NULL)
			connections[count++] = route->parts[i].connection;
	inval_redis_finish_group(connections, count, deadline, wait);
	for (i = 0; i < route->nparts; i++)
		if (route->parts[i].connection != NULL)
			route_finish_part(&route->parts[i], deadline);
}

static void
route_finish_part(InvalRoutePart *part, uint64 deadline)
{
	InvalRoute *route = part->route;
	InvalCluster *cluster = route->cluster;
	uint64		now = inval_clock_us();
	uint64		took = now - route->started;

	route->confirmed += part->confirmed;
	if (part->refuses)
	{
		route->failed = true;
		inval_cluster_node_failed(cluster, part->node, part->error, took);
	}
	else if (inval_redis_is_sound(part->connection))
	{
		route->served = true;
		inval_cluster_node_served(cluster, part->node);
	}
	else
	{
		route_note_error(route, inval_redis_error(part->connection));

		/*
		 * Out of time in the midst of a large set is no outage, nor is a
		 * connection that the server had closed before.
		 */
		if (inval_redis_was_closed(part->connection) ||
			(inval_redis_made_progress(part->connection) && now >= deadline))
			inval_cluster_hang_up(cluster, part->node);
		else
		{
			route->failed = true;
			inval_cluster_node_failed(cluster, part->node,
									  inval_redis_error(part->connection), took);
		}
	}
	part->connection = NULL;
}

/*
 * A reply: notes what became of its item.  Allocates only if errors are kept.
 */
static void
route_handle_reply(const InvalReply *reply, void *arg)
{
	InvalRoutePart *part = arg;
	InvalRoute *route = part->route;
	int			number = part->items[part->next++];
	InvalRouteItem *item;
	InvalErrorKind kind;

	if (number == ROUTE_NO_ITEM)
		return;
	item = &route->items[number];
	if (reply->type == INVAL_REPLY_OK)
	{
		item->state = INVAL_ROUTE_CONFIRMED;
		part->confirmed++;
		return;
	}

	route_note_error(route, reply->text);
	kind = inval_error_kind(reply->text);
	switch (kind)
	{
		case INVAL_ERROR_MOVED:
		case INVAL_ERROR_ASK:
			route_redirect(part, item, reply->text, kind == INVAL_ERROR_ASK);
			break;
		case INVAL_ERROR_LATER:
			item->state = INVAL_ROUTE_LATER;
			route->cluster->stale = true;
			break;
		case INVAL_ERROR_SERVER:
			item->state = INVAL_ROUTE_LATER;
			if (!part->refuses)
				strlcpy(part->error, reply->text, sizeof(part->error));
			part->refuses = true;
			break;
		case INVAL_ERROR_ENTRY:
			item->state = INVAL_ROUTE_REFUSED;
			if (route->errors != NULL)
				route->errors[number] = pstrdup(reply->text);
			break;
	}
}

/*
 * Another node has the slot, or may have the key of a slot that is moving.
 */
static void
route_redirect(InvalRoutePart *part, InvalRouteItem *item, const char *error, bool ask)
{
	InvalCluster *cluster = part->route->cluster;
	char		host[INVAL_NODE_HOST_LEN];
	int			port;
	int			slot;
	int			node;

	item->state = INVAL_ROUTE_OPEN;
	if (!inval_error_names(error, &slot, host, sizeof(host), &port) ||
		slot != item->slot)
	{
		/* A name instead of an address, for one: the map will say. */
		cluster->stale = true;
		return;
	}
	if (host[0] == '\0')
		strlcpy(host, cluster->map.node[part->node].host, sizeof(host));
	if (!ask)
	{
		inval_cluster_moved(cluster, slot, host, port);
		return;
	}
	node = inval_slot_map_add(&cluster->map, host, port);
	if (node >= 0)
	{
		item->state = INVAL_ROUTE_ASK;
		item->ask_node = (uint8) node;
	}
}

/*
 * As many rounds as are of use, within one deadline.  Interruptible.
 */
void
inval_route_deliver(InvalRoute *route, const char *commands, uint64 deadline)
{
	int			round;

	for (round = 0; round < ROUTE_ROUNDS; round++)
	{
		uint64		connect_deadline = inval_clock_us() +
			(uint64) inval_connect_timeout * 1000;

		if (!inval_route_reach(route, commands, Min(deadline, connect_deadline), true))
			return;
		inval_route_start(route);
		inval_route_finish(route, deadline, INVAL_WAIT_INTERRUPTIBLE);
		if (!route_is_redirected(route) || inval_clock_us() >= deadline)
			return;
	}
}

static bool
route_is_redirected(InvalRoute *route)
{
	int			i;

	for (i = 0; i < route->count; i++)
		if (route->items[i].state == INVAL_ROUTE_ASK ||
			route->items[i].state == INVAL_ROUTE_OPEN)
			return true;
	return false;
}

static void
route_note_error(InvalRoute *route, const char *error)
{
	if (route->error[0] == '\0')
		strlcpy(route->error, error, sizeof(route->error));
}

static void
route_free_parts(InvalRoute *route)
{
	int			i;

	for (i = 0; i < route->nparts; i++)
		if (route->parts[i].items != NULL)
		{
			pfree(route->parts[i].bytes.data);
			pfree(route->parts[i].items);
		}
	if (route->parts != NULL)
		pfree(route->parts);
	route->parts = NULL;
	route->nparts = 0;
}
