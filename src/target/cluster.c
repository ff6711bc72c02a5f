/*
 * cluster.c
 *		A Redis Cluster: which node has what, and our connections to them.
 *
 * Each process has a map of its own, asked for when it first delivers.  It is
 * asked for again when it is known to be wrong somewhere: this process was told
 * MOVED, or a node does not answer (its replica may have been promoted), or
 * another process has found that slots moved (health->map_version).  A single
 * slot's MOVED is noted at once, without asking.
 *
 * Everything here that may wait is for where errors are allowed.  After the
 * commit record there are only notes: a node failed, a slot moved.
 *
 * Names in the URL are resolved by the worker, since resolving has no deadline;
 * it publishes the address of a node that answered, from which sessions start.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "base/settings.h"
#include "redis/answer.h"
#include "redis/pipeline.h"
#include "target/cluster.h"
#include "target/lost_node.h"
#include "target/resolve.h"

/* A map that is known to be wrong is not asked for more often than this. */
#define ASK_PAUSE_US	100000

/* Of the commit timeout, a node is not tried in less than one part in: */
#define LEAST_SHARE		16

/* Whom to ask for the map */
typedef struct ClusterSearch
{
	InvalCluster *cluster;
	uint64		last;			/* the deadline of all who are asked, */
	uint64		deadline;		/* and of the one that is asked now */
	bool		patient;		/* each that is asked has time of its own */
	bool		incomplete;		/* somebody was not asked */
	char	   *error;
	Size		error_size;
} ClusterSearch;

static bool cluster_ask_nodes(ClusterSearch *search);
static bool cluster_ask_published(ClusterSearch *search);
static bool cluster_ask_named(ClusterSearch *search);
static bool cluster_was_asked(ClusterSearch *search, const char *host, int port);
static bool cluster_ask(ClusterSearch *search, const char *host, int port);
static void cluster_start_asking(ClusterSearch *search);
static bool cluster_load(ClusterSearch *search, InvalConnection *connection,
						 const char *host, int port);
static void cluster_adopt(InvalCluster *cluster, const InvalSlotMap *map);
static void cluster_publish(InvalCluster *cluster, const char *host, int port);
static InvalConnection *cluster_open(InvalCluster *cluster, const char *host,
									 int port, uint64 deadline,
									 char *error, Size error_size);
static bool cluster_is_alive(InvalConnection *connection, uint64 deadline,
							 char *error, Size error_size);
static void cluster_note_failure(InvalCluster *cluster, const char *host, int port,
								 const char *error, uint64 took_us);
static bool cluster_is_lost(InvalCluster *cluster, const char *host, int port);
static void cluster_connection_reply(const InvalReply *reply, void *arg);

/*
 * Makes one, for the life of this process.
 */
InvalCluster *
inval_cluster_create(void)
{
	return MemoryContextAllocZero(TopMemoryContext, sizeof(InvalCluster));
}

/*
 * Says where it is.  What was known of another place is forgotten.
 */
void
inval_cluster_configure(InvalCluster *cluster, const InvalUrl *url)
{
	inval_cluster_disconnect(cluster);
	memset(cluster, 0, sizeof(*cluster));
	cluster->url = *url;
	inval_slot_map_clear(&cluster->map);
}

/*
 * Makes sure that there is a map, as right as can be known; "anew": that a
 * node has just given it.  On failure returns false, with a message if nobody
 * answered, and without if there was no time, or no right, to ask everybody.
 * "patient": the deadline is that of each node that is asked, counted from the
 * asking, as in inval.connect_timeout.  Interruptible.
 */
bool
inval_cluster_find_nodes(InvalCluster *cluster, uint64 deadline, bool patient,
						 bool anew, char *error, Size error_size)
{
	ClusterSearch search = {cluster, deadline, deadline, patient, false, error, error_size};
	uint32		version = cluster->health ?
		pg_atomic_read_u32(&cluster->health->map_version) : 0;
	bool		wrong = cluster->stale || cluster->version != version;

	if (cluster->loaded && !anew &&
		(!wrong || inval_clock_us() < cluster->asked_at + ASK_PAUSE_US))
		return true;

	cluster->version = version;
	strlcpy(error, "no node of the cluster could be asked", error_size);
	if (cluster_ask_nodes(&search) || cluster_ask_published(&search) ||
		cluster_ask_named(&search))
		return true;
	if (search.incomplete)
		error[0] = '\0';
	cluster->stale = true;
	cluster->asked_at = inval_clock_us();
	return cluster->loaded && !anew;
}

/*
 * Asks the nodes of the present map: first those that we are connected to.
 */
static bool
cluster_ask_nodes(ClusterSearch *search)
{
	InvalCluster *cluster = search->cluster;
	int			nodes = cluster->loaded ? cluster->map.nodes : 0;
	int			i;

	for (i = 0; i < nodes; i++)
	{
		InvalNode  *node = &cluster->map.node[i];
		uint64		start = inval_clock_us();

		cluster_start_asking(search);
		if (cluster->connections[i] == NULL || start >= search->deadline ||
			cluster_is_lost(cluster, node->host, node->port))
			continue;
		if (!inval_redis_is_usable(cluster->connections[i]))
			inval_cluster_hang_up(cluster, i);
		else if (cluster_load(search, cluster->connections[i], node->host, node->port))
			return true;
		else if (!inval_redis_is_sound(cluster->connections[i]))
			inval_cluster_node_failed(cluster, i, search->error,
									  inval_clock_us() - start);
	}
	for (i = 0; i < nodes; i++)
	{
		InvalNode	node = cluster->map.node[i];

		if (cluster_ask(search, node.host, node.port))
			return true;
	}
	return false;
}

/*
 * Asks the node that the worker, or somebody before us, has found.
 */
static bool
cluster_ask_published(ClusterSearch *search)
{
	InvalTargetHealth *health = search->cluster->health;
	char		host[INVAL_RESOLVED_LEN];
	int			port;

	if (health == NULL)
		return false;
	SpinLockAcquire(&health->mutex);
	strlcpy(host, health->resolved, sizeof(host));
	port = health->resolved_port;
	SpinLockRelease(&health->mutex);
	return host[0] != '\0' && !cluster_was_asked(search, host, port) &&
		cluster_ask(search, host, port);
}

/*
 * Asks the nodes that the URL names.  Of a name's addresses, all.  Only who has
 * the time, or nobody to do it for him, resolves names.
 */
static bool
cluster_ask_named(ClusterSearch *search)
{
	InvalCluster *cluster = search->cluster;
	bool		may_resolve = search->patient || cluster->may_probe;
	int			i;
	int			a;

	for (i = 0; i < cluster->url.host_count; i++)
	{
		const InvalUrlHost *named = &cluster->url.hosts[i];
		int			port = named->port;
		char		addresses[8][INVAL_RESOLVED_LEN];
		int			count = 0;

		if (may_resolve || inval_url_is_address(named->name))
			count = inval_resolve_all(named->name, addresses, lengthof(addresses),
									  search->error, search->error_size);
		else
			search->incomplete = true;
		for (a = 0; a < count; a++)
			if (!cluster_was_asked(search, addresses[a], port) &&
				cluster_ask(search, addresses[a], port))
				return true;
	}
	return false;
}

/*
 * Whether a node is one of the map's, all of which are asked first.
 */
static bool
cluster_was_asked(ClusterSearch *search, const char *host, int port)
{
	return search->cluster->loaded &&
		inval_slot_map_find(&search->cluster->map, host, port) >= 0;
}

/*
 * Asks a node that we may not be connected to.  The worker asks everybody; a
 * session has no time for those who are known not to answer.
 */
static bool
cluster_ask(ClusterSearch *search, const char *host, int port)
{
	InvalCluster *cluster = search->cluster;
	InvalConnection *connection;
	uint64		start = inval_clock_us();
	int			node;

	cluster_start_asking(search);
	if (start >= search->deadline)
	{
		search->incomplete = true;
		return false;
	}
	if (!search->patient && cluster_is_lost(cluster, host, port))
		return false;
	connection = cluster_open(cluster, host, port, search->deadline,
							  search->error, search->error_size);
	if (connection == NULL)
	{
		cluster_note_failure(cluster, host, port, search->error,
							 inval_clock_us() - start);
		return false;
	}
	PG_TRY();
	{
		if (!cluster_load(search, connection, host, port))
		{
			if (!inval_redis_is_sound(connection))
				cluster_note_failure(cluster, host, port, search->error,
									 inval_clock_us() - start);
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
	if (connection == NULL)
		return false;

	node = inval_slot_map_find(&cluster->map, host, port);
	if (node >= 0 && cluster->connections[node] == NULL)
		cluster->connections[node] = connection;
	else
		inval_redis_close(connection);
	return true;
}

static void
cluster_start_asking(ClusterSearch *search)
{
	if (search->patient)
		search->deadline = inval_clock_us() + (uint64) inval_connect_timeout * 1000;
	else
		search->deadline = inval_cluster_share(search->last);
}

/*
 * The deadline of one node of those that a commit has to reach until a common
 * one: half of what is left, so that one that does not answer leaves some to the
 * others.  0 if that is too little to say anything about the node.
 */
uint64
inval_cluster_share(uint64 deadline)
{
	uint64		now = inval_clock_us();
	uint64		share = (Max(deadline, now) - now) / 2;

	return share < (uint64) inval_commit_timeout * 1000 / LEAST_SHARE ? 0 : now + share;
}

/*
 * Asks for the map over a connection, and adopts what it says.
 */
static bool
cluster_load(ClusterSearch *search, InvalConnection *connection,
			 const char *host, int port)
{
	static const char *words[] = {"CLUSTER", "SLOTS"};
	InvalCluster *cluster = search->cluster;
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "inval slots",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	InvalSlotMap *map = palloc(sizeof(InvalSlotMap));
	InvalAnswer *slots = inval_redis_ask(connection, 2, words, search->deadline,
										search->error, search->error_size);
	bool		read = slots != NULL &&
		inval_slot_map_read(map, slots, host, search->error, search->error_size);

	if (read)
	{
		cluster_publish(cluster, host, port);
		cluster_adopt(cluster, map);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return read;
}

/*
 * Replaces the map.  Connections stay with their nodes.
 */
static void
cluster_adopt(InvalCluster *cluster, const InvalSlotMap *map)
{
	InvalConnection *kept[INVAL_MAP_NODES] = {0};
	int			i;

	for (i = 0; i < cluster->map.nodes; i++)
	{
		InvalNode  *node = &cluster->map.node[i];
		int			number = inval_slot_map_find(map, node->host, node->port);

		if (number < 0)
		{
			inval_cluster_hang_up(cluster, i);
			if (cluster->health != NULL)
				inval_lost_node_replaced(cluster->health, node->host, node->port);
		}
		else
			kept[number] = cluster->connections[i];
	}

	/* Who asked because others had found it tells nobody. */
	if (cluster->loaded && cluster->stale && cluster->health != NULL &&
		!inval_slot_map_same(&cluster->map, map))
		cluster->version =
			pg_atomic_add_fetch_u32(&cluster->health->map_version, 1);
	cluster->map = *map;
	memcpy(cluster->connections, kept, sizeof(kept));
	cluster->loaded = true;
	cluster->stale = false;
	cluster->asked_at = inval_clock_us();
}

static void
cluster_publish(InvalCluster *cluster, const char *host, int port)
{
	InvalTargetHealth *health = cluster->health;

	if (health == NULL)
		return;
	SpinLockAcquire(&health->mutex);
	strlcpy(health->resolved, host, sizeof(health->resolved));
	health->resolved_port = port;
	SpinLockRelease(&health->mutex);
}

/*
 * The connection to a node, opened if there is none; NULL if it cannot be had
 * until the deadline, or the node is lost and not to be tried now.
 * Interruptible.
 */
InvalConnection *
inval_cluster_connection(InvalCluster *cluster, int node, uint64 deadline)
{
	char		host[INVAL_NODE_HOST_LEN];
	int			port = cluster->map.node[node].port;
	char		error[INVAL_ERROR_LEN];
	uint64		start = inval_clock_us();
	bool		lost;

	strlcpy(host, cluster->map.node[node].host, sizeof(host));
	lost = cluster_is_lost(cluster, host, port);
	if (lost && (!cluster->may_probe ||
				 !inval_lost_node_claim(cluster->health, host, port)))
		return NULL;
	if (cluster->connections[node] != NULL &&
		(lost || !inval_redis_is_usable(cluster->connections[node])))
		inval_cluster_hang_up(cluster, node);
	if (cluster->connections[node] == NULL)
	{
		/* What came before has taken the time; that is not this node's fault. */
		if (start >= deadline)
			return NULL;
		cluster->connections[node] = cluster_open(cluster, host, port, deadline,
												  error, sizeof(error));
		if (cluster->connections[node] == NULL)
		{
			inval_cluster_node_failed(cluster, node, error, inval_clock_us() - start);
			return NULL;
		}
	}
	/* A server that was stopped accepts connections and nothing else. */
	if (lost && !cluster_is_alive(cluster->connections[node], deadline,
								  error, sizeof(error)))
	{
		inval_cluster_node_failed(cluster, node, error, inval_clock_us() - start);
		return NULL;
	}
	return cluster->connections[node];
}

static InvalConnection *
cluster_open(InvalCluster *cluster, const char *host, int port, uint64 deadline,
			 char *error, Size error_size)
{
	InvalUrl	url = cluster->url;

	url.kind = url.kind == INVAL_URL_CLUSTER_TLS ? INVAL_URL_TLS : INVAL_URL_TCP;
	strlcpy(url.host, host, sizeof(url.host));
	url.port = port;
	/* The certificate of each node is for its address, if not for one name. */
	if (url.server_name[0] == '\0')
		strlcpy(url.server_name, host, sizeof(url.server_name));
	return inval_redis_connect(&url, deadline, error, error_size);
}

static bool
cluster_is_alive(InvalConnection *connection, uint64 deadline,
				 char *error, Size error_size)
{
	InvalPipeline ping;
	InvalReply	answer = {0};
	bool		done;

	inval_pipeline_init(&ping);
	inval_pipeline_ping(&ping);
	done = inval_redis_exchange(connection, ping.bytes.data, ping.bytes.len,
								ping.count, deadline, INVAL_WAIT_INTERRUPTIBLE,
								cluster_connection_reply, &answer);
	inval_pipeline_free(&ping);
	if (!done)
		strlcpy(error, inval_redis_error(connection), error_size);
	else
		strlcpy(error, answer.text, error_size);
	return done && answer.type != INVAL_REPLY_ERROR;
}

static void
cluster_connection_reply(const InvalReply *reply, void *arg)
{
	*(InvalReply *) arg = *reply;
}

/*
 * Notes that a node could not be reached, did not answer or refuses everything,
 * and closes the connection.
 */
void
inval_cluster_node_failed(InvalCluster *cluster, int node, const char *error,
						  uint64 took_us)
{
	/* Its replica may be promoted. */
	cluster->stale = true;
	cluster_note_failure(cluster, cluster->map.node[node].host,
						 cluster->map.node[node].port, error, took_us);
	/* Last, because the error may be the connection's own. */
	inval_cluster_hang_up(cluster, node);
}

static void
cluster_note_failure(InvalCluster *cluster, const char *host, int port,
					 const char *error, uint64 took_us)
{
	if (cluster->health != NULL &&
		!inval_lost_node_note(cluster->health, host, port, error, took_us))
		cluster->too_many_lost = true;
}

static bool
cluster_is_lost(InvalCluster *cluster, const char *host, int port)
{
	return cluster->health != NULL &&
		inval_lost_node_is_lost(cluster->health, host, port);
}

/*
 * Notes that a node took what was sent to it.
 */
void
inval_cluster_node_served(InvalCluster *cluster, int node)
{
	if (cluster->health != NULL)
		inval_lost_node_serves(cluster->health, cluster->map.node[node].host,
							   cluster->map.node[node].port);
}

/*
 * Whether no node that has slots serves, so that the target is down.
 */
bool
inval_cluster_has_lost_all(InvalCluster *cluster)
{
	bool		has_slots[INVAL_MAP_NODES] = {0};
	int			i;

	if (cluster->health == NULL)
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
		if (has_slots[i] && !cluster_is_lost(cluster, cluster->map.node[i].host,
											 cluster->map.node[i].port))
			return false;
	return true;
}

/*
 * Notes what a MOVED says.  The rest of the map may be wrong as well.
 */
void
inval_cluster_moved(InvalCluster *cluster, int slot, const char *host, int port)
{
	int			node = inval_slot_map_add(&cluster->map, host, port);

	if (node >= 0)
		cluster->map.owner[slot] = (uint8) node;
	cluster->stale = true;
}

/*
 * Closes the connection to a node, if there is one.
 */
void
inval_cluster_hang_up(InvalCluster *cluster, int node)
{
	InvalConnection *connection = cluster->connections[node];

	cluster->connections[node] = NULL;
	if (connection != NULL)
		inval_redis_close(connection);
}

void
inval_cluster_disconnect(InvalCluster *cluster)
{
	int			i;

	for (i = 0; i < INVAL_MAP_NODES; i++)
		inval_cluster_hang_up(cluster, i);
}
