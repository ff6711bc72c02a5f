/*
 * cluster.c
 *		A Redis Cluster: which node has what.
 *
 * Each process has a map of its own, asked for when it first delivers.  It is
 * asked for again when it is known to be wrong somewhere: this process was told
 * MOVED, or a node does not answer (its replica may have been promoted), or
 * another process has found that slots moved (health->map_version).  A single
 * slot's MOVED is noted at once, without asking.  Several nodes are asked at once,
 * and the first answer is taken.
 *
 * Everything here that may wait is for where errors are allowed.  After the
 * commit record there are only notes: a node failed, a slot moved.
 *
 * Names in the URL are resolved by the worker, since resolving has no deadline;
 * it publishes the address of a node that answered, from which sessions start.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "redis/await.h"
#include "target/cluster.h"
#include "target/lost_node.h"
#include "target/resolve.h"

/* A map that is known to be wrong is not asked for more often than this. */
#define ASK_PAUSE_US	100000

/* If so many that we are connected to can be asked, no others are. */
#define CONNECTED_ASKED	2

static const char *question[] = {"CLUSTER", "SLOTS"};

/* Whom to ask for the map */
typedef struct ClusterSearch
{
	InvalTarget *target;
	bool		may_resolve;
	bool		incomplete;		/* somebody could not be asked */
	int			count;
	InvalNode	nodes[INVAL_ASKED_MAX];
	InvalConnection *connections[INVAL_ASKED_MAX];
	MemoryContext context;		/* for the answers */
	InvalFault *fault;
	char	   *error;
	Size		error_size;
} ClusterSearch;

static void cluster_gather(ClusterSearch *search);
static bool cluster_is_full(ClusterSearch *search, const char *host, int port);
static void cluster_add_connected(ClusterSearch *search);
static void cluster_add_published(ClusterSearch *search);
static void cluster_add_known(ClusterSearch *search);
static void cluster_add_named(ClusterSearch *search);
static void cluster_add(ClusterSearch *search, const char *host, int port);
static bool cluster_await(ClusterSearch *search, uint64 deadline);
static bool cluster_read(ClusterSearch *search, int i);
static void cluster_adopt(ClusterSearch *search, int i, const InvalSlotMap *map);
static void cluster_publish(InvalTarget *target, const InvalNode *node);
static void cluster_note_failures(ClusterSearch *search);
static void cluster_end(ClusterSearch *search);

/*
 * Makes sure that there is a map, as right as can be known; "anew": that a
 * node has just given it.  On failure returns false, with a message if nobody
 * answered, and without if there was no right to ask everybody.  Interruptible.
 */
bool
inval_cluster_find_nodes(InvalTarget *target, uint64 deadline, bool may_resolve,
						 bool anew, InvalFault *fault, char *error, Size error_size)
{
	InvalCluster *cluster = target->cluster;
	ClusterSearch search = {.target = target,.may_resolve = may_resolve};
	uint32		version = pg_atomic_read_u32(&target->health->map_version);
	bool		wrong = cluster->stale ||
		(inval_target_shares_health(target) && cluster->version != version);
	bool		found;

	if (cluster->loaded && !anew &&
		(!wrong || inval_clock_us() < cluster->asked_at + ASK_PAUSE_US))
		return true;

	search.fault = fault;
	search.error = error;
	search.error_size = error_size;
	search.context = AllocSetContextCreate(CurrentMemoryContext, "inval slots",
										   ALLOCSET_DEFAULT_SIZES);
	cluster->version = version;
	*fault = INVAL_FAULT_NONE;
	strlcpy(error, "no node of the cluster could be asked", error_size);
	cluster_gather(&search);
	found = cluster_await(&search, deadline);
	if (!found)
	{
		cluster_note_failures(&search);
		if (search.incomplete)
			error[0] = '\0';
		cluster->stale = true;
		cluster->asked_at = inval_clock_us();
	}
	cluster_end(&search);
	MemoryContextDelete(search.context);
	return found || (cluster->loaded && !anew);
}

/*
 * Sends the question to those who may know.
 */
static void
cluster_gather(ClusterSearch *search)
{
	cluster_end(search);		/* an interrupt may have left some */
	cluster_add_connected(search);
	if (search->count >= CONNECTED_ASKED)
		return;
	cluster_add_published(search);
	cluster_add_known(search);
	cluster_add_named(search);
}

/*
 * Nodes that we are connected to; not all the same ones each time.
 */
static void
cluster_add_connected(ClusterSearch *search)
{
	InvalTarget *target = search->target;
	InvalCluster *cluster = target->cluster;
	int			nodes = cluster->loaded ? cluster->map.nodes : 0;
	int			i;

	for (i = 0; i < nodes && search->count < CONNECTED_ASKED; i++)
	{
		int			node = (int) ((cluster->turn + (uint32) i) % (uint32) nodes);
		InvalConnection *connection = cluster->connections[node];

		if (connection == NULL || inval_cluster_is_lost(target, node) ||
			!inval_connection_check(connection))
			continue;
		search->nodes[search->count] = cluster->map.node[node];
		search->connections[search->count++] = connection;
		inval_connection_ask(connection, search->context, lengthof(question),
							 question);
	}
	cluster->turn++;
}

/*
 * The node that the worker, or somebody before us, has found.
 */
static void
cluster_add_published(ClusterSearch *search)
{
	InvalTargetHealth *health = search->target->health;
	char		host[INVAL_RESOLVED_LEN];
	int			port;

	if (!inval_target_shares_health(search->target))
		return;
	SpinLockAcquire(&health->mutex);
	strlcpy(host, health->resolved, sizeof(host));
	port = health->resolved_port;
	SpinLockRelease(&health->mutex);
	if (host[0] != '\0')
		cluster_add(search, host, port);
}

/*
 * The other nodes of the present map.
 */
static void
cluster_add_known(ClusterSearch *search)
{
	InvalCluster *cluster = search->target->cluster;
	int			nodes = cluster->loaded ? cluster->map.nodes : 0;
	int			i;

	for (i = 0; i < nodes; i++)
	{
		int			node = (int) ((cluster->turn + (uint32) i) % (uint32) nodes);

		/* Some room is for those that the URL names. */
		if (search->count >= INVAL_ASKED_MAX / 2)
			return;
		cluster_add(search, cluster->map.node[node].host, cluster->map.node[node].port);
	}
}

/*
 * The nodes that the URL names.  Of a name's addresses, all.  Only who has the
 * time, or nobody to do it for him, resolves names.
 */
static void
cluster_add_named(ClusterSearch *search)
{
	InvalTarget *target = search->target;
	uint32		hosts = (uint32) target->url.host_count;
	bool		may_resolve = search->may_resolve || target->cluster->may_probe;
	uint32		i;
	int			a;

	for (i = 0; i < hosts; i++)
	{
		const InvalUrlHost *named = &target->url.hosts[(target->cluster->turn + i) % hosts];
		char		addresses[INVAL_ASKED_MAX][INVAL_RESOLVED_LEN];
		int			count = 0;

		if (may_resolve || inval_url_is_address(named->name))
			count = inval_resolve_all(named->name, addresses, lengthof(addresses),
									  search->error, search->error_size);
		else
			search->incomplete = true;
		for (a = 0; a < count; a++)
			cluster_add(search, addresses[a], named->port);
	}
}

/*
 * A node that we are not connected to.  The worker asks everybody; a session has
 * no time for those who are known not to answer.
 */
static void
cluster_add(ClusterSearch *search, const char *host, int port)
{
	InvalTarget *target = search->target;
	InvalConnection *connection;
	InvalUrl	url;

	if (cluster_is_full(search, host, port) ||
		(!search->may_resolve && inval_target_shares_health(target) &&
		 inval_lost_node_is_lost(target->health, host, port)))
		return;
	inval_cluster_url(target, host, port, &url);
	connection = inval_connection_open(&url, false);
	target->cluster->asked[search->count] = connection;
	strlcpy(search->nodes[search->count].host, host, INVAL_NODE_HOST_LEN);
	search->nodes[search->count].port = port;
	search->connections[search->count++] = connection;
	inval_connection_ask(connection, search->context, lengthof(question),
						 question);
}

/*
 * Whether there is no room for a node, or it is there already.
 */
static bool
cluster_is_full(ClusterSearch *search, const char *host, int port)
{
	int			i;

	for (i = 0; i < search->count; i++)
		if (search->nodes[i].port == port && strcmp(search->nodes[i].host, host) == 0)
			return true;
	return search->count == INVAL_ASKED_MAX;
}

/*
 * Takes the first answer that makes sense.
 */
static bool
cluster_await(ClusterSearch *search, uint64 deadline)
{
	InvalConnection *pending[INVAL_ASKED_MAX];
	InvalConnection *answered;
	int			count = search->count;
	int			i;

	memcpy(pending, search->connections, sizeof(pending));
	while ((answered = inval_await_any(pending, count, deadline,
									   INVAL_WAIT_INTERRUPTIBLE)) != NULL)
	{
		for (i = 0; search->connections[i] != answered; i++)
			;
		if (cluster_read(search, i))
			return true;
		for (i = 0; pending[i] != answered; i++)
			;
		pending[i] = pending[--count];
	}
	inval_await(pending, count, deadline, INVAL_WAIT_INTERRUPTIBLE);
	return false;
}

static bool
cluster_read(ClusterSearch *search, int i)
{
	MemoryContext old = MemoryContextSwitchTo(search->context);
	InvalSlotMap *map = palloc(sizeof(InvalSlotMap));
	const InvalReply *slots = search->connections[i]->answer;
	bool		read = false;

	*search->fault = INVAL_FAULT_SERVER;
	if (slots->type == INVAL_REPLY_ERROR)
		strlcpy(search->error, slots->text, search->error_size);
	else
		read = inval_slot_map_read(map, slots, search->nodes[i].host,
								   search->error, search->error_size);
	if (read)
		cluster_adopt(search, i, map);
	MemoryContextSwitchTo(old);
	return read;
}

/*
 * Replaces the map by what a node has answered.  Connections stay with their
 * nodes.
 */
static void
cluster_adopt(ClusterSearch *search, int answered, const InvalSlotMap *map)
{
	InvalTarget *target = search->target;
	InvalCluster *cluster = target->cluster;
	bool		shares = inval_target_shares_health(target);
	bool		changed = cluster->loaded && !inval_slot_map_same(&cluster->map, map);
	InvalConnection *kept[INVAL_MAP_NODES] = {0};
	int			i;

	for (i = 0; i < cluster->map.nodes; i++)
	{
		InvalNode  *node = &cluster->map.node[i];
		int			number = inval_slot_map_find(map, node->host, node->port);

		if (number >= 0)
			kept[number] = cluster->connections[i];
		else
		{
			if (shares)
				inval_lost_node_replaced(target->health, node->host, node->port);
			if (cluster->connections[i] != NULL)
				inval_connection_close(cluster->connections[i]);
		}
	}
	/* The others may still be about to connect. */
	i = inval_slot_map_find(map, search->nodes[answered].host, search->nodes[answered].port);
	if (i >= 0 && kept[i] == NULL)
	{
		kept[i] = cluster->asked[answered];
		cluster->asked[answered] = NULL;
	}

	/* Who asked because others had found it tells nobody. */
	if (changed && cluster->stale && shares)
		cluster->version = pg_atomic_add_fetch_u32(&target->health->map_version, 1);
	cluster->map = *map;
	memcpy(cluster->connections, kept, sizeof(kept));
	memset(cluster->pause_until, 0, sizeof(cluster->pause_until));
	cluster->loaded = true;
	cluster->stale = false;
	cluster->asked_at = inval_clock_us();
	cluster_publish(target, &search->nodes[answered]);
}

static void
cluster_publish(InvalTarget *target, const InvalNode *node)
{
	InvalTargetHealth *health = target->health;

	if (!inval_target_shares_health(target))
		return;
	SpinLockAcquire(&health->mutex);
	strlcpy(health->resolved, node->host, sizeof(health->resolved));
	health->resolved_port = node->port;
	SpinLockRelease(&health->mutex);
}

/*
 * Nobody has answered: says why, and notes it of the nodes that there are.
 */
static void
cluster_note_failures(ClusterSearch *search)
{
	InvalTarget *target = search->target;
	int			i;

	for (i = 0; i < search->count; i++)
	{
		InvalConnection *connection = search->connections[i];
		InvalNode  *node = &search->nodes[i];

		if (connection->state != INVAL_CONNECTION_FAILED)
			continue;
		strlcpy(search->error, connection->error, search->error_size);
		*search->fault = Max(*search->fault, connection->fault);
		if (inval_target_shares_health(target) && target->cluster->loaded &&
			inval_slot_map_find(&target->cluster->map, node->host, node->port) >= 0 &&
			!inval_lost_node_note(target->health, node->host, node->port,
								  connection->fault, connection->error, 0))
			target->cluster->too_many_lost = true;
	}
}

/*
 * Hangs up on those who were asked and have no place in the map.
 */
static void
cluster_end(ClusterSearch *search)
{
	InvalCluster *cluster = search->target->cluster;
	int			i;

	for (i = 0; i < INVAL_ASKED_MAX; i++)
		if (cluster->asked[i] != NULL)
		{
			inval_connection_close(cluster->asked[i]);
			cluster->asked[i] = NULL;
		}
}

/*
 * The URL of a node.
 */
void
inval_cluster_url(const InvalTarget *target, const char *host, int port, InvalUrl *url)
{
	*url = target->url;
	url->kind = url->kind == INVAL_URL_CLUSTER_TLS ? INVAL_URL_TLS : INVAL_URL_TCP;
	strlcpy(url->host, host, sizeof(url->host));
	url->port = port;
	/* The certificate of each node is for its address, if not for one name. */
	if (url->server_name[0] == '\0')
		strlcpy(url->server_name, host, sizeof(url->server_name));
}

/*
 * Notes that a node could not be reached, did not answer or refuses everything.
 */
void
inval_cluster_node_failed(InvalTarget *target, int node, InvalFault fault,
						  const char *error, uint64 took_us)
{
	InvalCluster *cluster = target->cluster;
	InvalNode  *which = &cluster->map.node[node];

	/* Its replica may be promoted. */
	if (fault != INVAL_FAULT_NONE)
		cluster->stale = true;
	if (inval_target_shares_health(target) &&
		!inval_lost_node_note(target->health, which->host, which->port, fault, error,
							  took_us))
		cluster->too_many_lost = true;
}

bool
inval_cluster_is_lost(const InvalTarget *target, int node)
{
	const InvalNode *which = &target->cluster->map.node[node];

	return inval_target_shares_health(target) &&
		inval_lost_node_is_lost(target->health, which->host, which->port);
}

/*
 * Whether no node that has slots serves, so that the target is down.
 */
bool
inval_cluster_has_lost_all(InvalTarget *target)
{
	InvalCluster *cluster = target->cluster;
	bool		has_slots[INVAL_MAP_NODES] = {0};
	int			i;

	if (!inval_target_shares_health(target))
		return false;
	if (cluster->too_many_lost)
	{
		cluster->too_many_lost = false;
		return true;
	}
	for (i = 0; i < INVAL_SLOTS; i++)
		if (cluster->map.owner[i] != INVAL_NO_NODE)
			has_slots[cluster->map.owner[i]] = true;
	for (i = 0; i < cluster->map.nodes; i++)
		if (has_slots[i] && !inval_cluster_is_lost(target, i))
			return false;
	return true;
}

/*
 * Where a MOVED or ASK points to, which a node has answered to a command for a slot: a
 * node's number, or -1 if it is none that we know.  MOVED is noted in the map.
 */
int
inval_cluster_redirect(InvalTarget *target, int answered, int slot, InvalErrorKind kind,
					   const char *error)
{
	InvalCluster *cluster = target->cluster;
	char		host[INVAL_NODE_NAME_LEN];
	int			named;
	int			port;
	int			node = -1;

	if (inval_error_names(error, &named, host, sizeof(host), &port) && named == slot)
		node = inval_slot_map_meant(&cluster->map, answered, host, port);
	if (node < 0 || kind == INVAL_ERROR_MOVED)
		cluster->stale = true;
	if (node >= 0 && kind == INVAL_ERROR_MOVED)
		cluster->map.owner[slot] = (uint8) node;
	return node;
}
