/*
 * reach.c
 *		Our connections to a target.
 *
 * A server by itself is a target of one node; of a cluster those are connected to
 * that the keys need, all at once, until one deadline.
 *
 * A connection that idled long may be dead without anybody knowing, since
 * balancers and firewalls forget such.  So it is asked for a sign of life first,
 * and replaced if it gives none, which says nothing of the server.
 *
 * Before a session connects it takes a seat (seat.c), which it has until all is closed.
 * Workers have none.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/resowner.h"

#include "base/settings.h"
#include "redis/await.h"
#include "target/address.h"
#include "target/breaker.h"
#include "target/cluster.h"
#include "target/lost_node.h"
#include "target/reach.h"
#include "target/targets.h"
#include "target/verdict.h"

/* A connection that was of use less than this ago, in us, is taken to be alive. */
#define FRESH_US		10000

/* What idled longer than that, in us, is asked whether it lives, */
#define IDLE_US			5000000

/* and has this part of the time that there is for connecting. */
#define IDLE_SHARE		4

static void reach_release_callback(ResourceReleasePhase phase, bool isCommit,
								   bool isTopLevel, void *arg);
static bool reach_is_connected(const InvalTarget *target);
static void reach_take_seat(InvalTarget *target);
static bool reach_cluster(InvalTarget *target, uint64 deadline, bool may_resolve);
static bool reach_may_try(InvalTarget *target, int node);
static void reach_check(InvalTarget *target, const int *nodes, int count, uint64 deadline);
static void reach_open(InvalTarget *target, const int *nodes, int count,
					   const InvalUrl *url, bool patient, uint64 deadline);
static void reach_hang_up(InvalConnection **place);

/*
 * Called by _PG_init, before commit.c's: so ours is called after it, when the replies
 * were waited for.
 */
void
inval_reach_init(void)
{
	RegisterResourceReleaseCallback(reach_release_callback, NULL);
}

/*
 * A transaction has ended: closes what is not to be kept.  Cannot fail.
 */
static void
reach_release_callback(ResourceReleasePhase phase, bool isCommit, bool isTopLevel,
					   void *arg)
{
	InvalTarget *target;

	(void) isCommit;
	(void) arg;
	if (likely(inval_seats_taken == 0 || inval_max_connections == 0) ||
		phase != RESOURCE_RELEASE_AFTER_LOCKS || !isTopLevel)
		return;
	for (target = inval_targets(); target != NULL; target = target->next)
		if (target->seat.at != NULL &&
			(!reach_is_connected(target) ||
			 inval_seat_is_to_leave(&target->seat, inval_max_connections)))
			inval_target_disconnect(target);
}

static bool
reach_is_connected(const InvalTarget *target)
{
	int			i;

	if (!inval_url_is_cluster(&target->url))
		return target->connection != NULL;
	for (i = 0; i < target->cluster->map.nodes; i++)
		if (target->cluster->connections[i] != NULL)
			return true;
	return false;
}

/*
 * Whether a session may be connected to a target for a commit: inval.max_connections.
 * If not, the worker has to deliver; so where there is none, everybody may.
 */
bool
inval_reach_is_admitted(InvalTarget *target)
{
	return target->health->worker_pid == MyProcPid ||
		inval_seat_take(&target->seat, target->health,
						inval_target_has_worker() ? inval_max_connections : 0);
}

/*
 * The same for what is not for the worker to do: whether or not there is one.
 */
static void
reach_take_seat(InvalTarget *target)
{
	if (target->health->worker_pid != MyProcPid)
		(void) inval_seat_take(&target->seat, target->health, 0);
}

/*
 * Makes sure that there is a connection that can be used; for a cluster, that
 * its nodes are known.  On failure notes that and returns false.  Interruptible:
 * before the commit record only.
 */
bool
inval_target_connect(InvalTarget *target, uint64 deadline, bool may_resolve)
{
	static const int single[] = {0};
	char		error[INVAL_ERROR_LEN] = "";
	InvalUrl	url;
	uint32		mark;

	if (inval_url_is_cluster(&target->url))
		return reach_cluster(target, deadline, may_resolve);
	reach_check(target, single, 1, deadline);
	if (target->connection != NULL && !inval_address_is_questionable(target))
		return true;
	if (!inval_address_find(target, deadline, may_resolve, &url, &mark,
							error, sizeof(error)))
	{
		/* Without a reason it is the worker's to find out. */
		if (error[0] != '\0')
			inval_target_failed(target, INVAL_FAULT_SERVER, error);
		return false;
	}
	if (target->connection != NULL && target->connected_mark == mark)
		return true;
	reach_hang_up(&target->connection);
	target->connected_mark = mark;
	reach_open(target, single, 1, &url, may_resolve, deadline);
	return target->connection != NULL;
}

/*
 * A cluster that is down shows that it is back by telling its nodes; whether
 * those take anything, the next delivery shows.
 */
static bool
reach_cluster(InvalTarget *target, uint64 deadline, bool may_resolve)
{
	InvalCluster *cluster = target->cluster;
	bool		down = pg_atomic_read_u32(&target->health->down) != 0 &&
		inval_target_shares_health(target);
	InvalFault	fault;
	char		error[INVAL_ERROR_LEN];

	reach_take_seat(target);
	cluster->may_probe = inval_target_shares_health(target) &&
		(may_resolve || !inval_target_has_worker());
	if (inval_cluster_find_nodes(target, deadline, may_resolve, down, &fault,
								 error, sizeof(error)))
	{
		if (down && cluster->may_probe)
			inval_lost_node_retry_all(target->health);
		return true;
	}
	if (error[0] != '\0')
		inval_target_failed(target, fault, error);
	return false;
}

/*
 * Sees to connections to some nodes of a cluster, all at once.  Those that cannot
 * be had until the deadline are noted as failed, those that are not to be tried
 * now are not; either has none then.  Interruptible.
 */
void
inval_reach_nodes(InvalTarget *target, const int *nodes, int count, uint64 deadline)
{
	int			missing[INVAL_MAP_NODES];
	int			missed = 0;
	int			i;

	reach_check(target, nodes, count, deadline);
	for (i = 0; i < count; i++)
	{
		InvalConnection **place = inval_reach_place(target, nodes[i]);

		if (!reach_may_try(target, nodes[i]))
			reach_hang_up(place);
		else if (*place == NULL)
			missing[missed++] = nodes[i];
	}
	if (missed > 0)
		reach_open(target, missing, missed, NULL, target->cluster->may_probe, deadline);
}

/*
 * Whether a node is to be tried by us now.  A lost one is connected to anew, which
 * shows whether it answers.
 */
static bool
reach_may_try(InvalTarget *target, int node)
{
	InvalCluster *cluster = target->cluster;
	const InvalNode *which = &cluster->map.node[node];

	if (inval_cluster_is_lost(target, node))
	{
		if (!cluster->may_probe ||
			!inval_lost_node_claim(target->health, which->host, which->port))
			return false;
		reach_hang_up(inval_reach_place(target, node));
		return true;
	}
	return cluster->may_probe || cluster->pause_until[node] == 0 ||
		inval_clock_us() >= cluster->pause_until[node];
}

/*
 * Closes connections that are of no use any more.
 */
static void
reach_check(InvalTarget *target, const int *nodes, int count, uint64 deadline)
{
	InvalConnection *idle[INVAL_MAP_NODES];
	uint64		now = inval_clock_us();
	int			idled = 0;
	int			i;

	for (i = 0; i < count; i++)
	{
		InvalConnection **place = inval_reach_place(target, nodes[i]);

		if (*place == NULL)
			continue;
		if ((*place)->state == INVAL_CONNECTION_READY && now - (*place)->last_use < FRESH_US)
			continue;
		if (!inval_connection_check(*place))
			reach_hang_up(place);
		else if (now - (*place)->last_use >= IDLE_US)
		{
			inval_connection_ping(*place);
			idle[idled++] = *place;
		}
	}
	if (idled == 0)
		return;
	inval_await(idle, idled, now + (Max(deadline, now) - now) / IDLE_SHARE,
				INVAL_WAIT_INTERRUPTIBLE);
	for (i = 0; i < count; i++)
	{
		InvalConnection **place = inval_reach_place(target, nodes[i]);

		if (*place != NULL && (*place)->state != INVAL_CONNECTION_READY)
			reach_hang_up(place);
	}
}

/*
 * Connects to nodes, or to the one server that the URL is of.  Who is patient waits
 * for its answers anyway; but who was lost must show that he is back.
 */
static void
reach_open(InvalTarget *target, const int *nodes, int count, const InvalUrl *url,
		   bool patient, uint64 deadline)
{
	InvalConnection *opened[INVAL_MAP_NODES];
	uint64		start = inval_clock_us();
	int			i;

	reach_take_seat(target);
	for (i = 0; i < count; i++)
	{
		InvalUrl	place;

		if (url == NULL)
		{
			const InvalNode *node = &target->cluster->map.node[nodes[i]];

			inval_cluster_url(target, node->host, node->port, &place);
		}
		opened[i] = inval_connection_open(url != NULL ? url : &place,
										  !patient || (url == NULL &&
													   inval_cluster_is_lost(target, nodes[i])));
		*inval_reach_place(target, nodes[i]) = opened[i];
	}
	inval_await(opened, count, deadline, INVAL_WAIT_INTERRUPTIBLE);
	for (i = 0; i < count; i++)
		if (opened[i]->state != INVAL_CONNECTION_READY)
			inval_reach_failed(target, nodes[i], opened[i]->fault, opened[i]->error,
							   inval_clock_us() - start);
		else if (url != NULL && !patient)
			inval_target_measured(target, opened[i]->login_us);
}

/*
 * Where the connection to a node is kept.
 */
InvalConnection **
inval_reach_place(InvalTarget *target, int node)
{
	return inval_url_is_cluster(&target->url) ?
		&target->cluster->connections[node] : &target->connection;
}

/*
 * Notes that a node could not be reached, or served no more, and hangs up.
 */
void
inval_reach_failed(InvalTarget *target, int node, InvalFault fault, const char *error,
				   uint64 took_us)
{
	if (!inval_url_is_cluster(&target->url))
	{
		inval_target_failed(target, fault, error);
		/* Whether it is slow or silent, a commit cannot tell. */
		if (fault != INVAL_FAULT_NONE && target->health->worker_pid != MyProcPid &&
			took_us > (uint64) inval_commit_timeout * 1000 / 2)
			inval_target_measured(target, took_us);
		return;
	}
	target->cluster->pause_until[node] = inval_clock_us() + INVAL_OWN_PAUSE_US;
	inval_cluster_node_failed(target, node, fault, error, took_us);
	/* Last, because the error may be the connection's own. */
	reach_hang_up(inval_reach_place(target, node));
}

static void
reach_hang_up(InvalConnection **place)
{
	InvalConnection *connection = *place;

	*place = NULL;
	if (connection != NULL)
		inval_connection_close(connection);
}
