/*
 * connect.c
 *		Our connection to a target.
 */
#include "postgres.h"

#include "target/address.h"
#include "target/breaker.h"
#include "target/cluster.h"
#include "target/connect.h"
#include "target/lost_node.h"

static bool connect_cluster(InvalTarget *target, uint64 deadline,
							bool may_resolve);

/*
 * Makes sure that there is a connection that can be used; for a cluster, that
 * its nodes are known.  On failure opens the breaker and returns false.
 * Interruptible: before the commit record only.
 */
bool
inval_target_connect(InvalTarget *target, uint64 deadline, bool may_resolve)
{
	char		error[INVAL_ERROR_LEN] = "";
	InvalUrl	url;
	uint32		mark;

	if (inval_url_is_cluster(&target->url))
		return connect_cluster(target, deadline, may_resolve);
	if (inval_target_is_connected(target) && !inval_address_is_questionable(target))
		return true;
	if (!inval_address_find(target, deadline, may_resolve, &url, &mark,
							error, sizeof(error)))
	{
		/* Without a reason it is the worker's to find out. */
		if (error[0] != '\0')
			inval_target_failed(target, error);
		return false;
	}
	if (inval_target_is_connected(target) && target->connected_mark == mark)
		return true;
	inval_target_disconnect(target);
	target->connection = inval_redis_connect(&url, deadline, error, sizeof(error));
	target->connected_mark = mark;
	if (target->connection != NULL)
	{
		target->connections++;
		return true;
	}
	inval_target_failed(target, error);
	return false;
}

/*
 * A cluster that is down shows that it is back by telling its nodes; whether
 * those take anything, the next delivery shows.
 */
static bool
connect_cluster(InvalTarget *target, uint64 deadline, bool may_resolve)
{
	InvalCluster *cluster = target->cluster;
	bool		down = !inval_target_is_open(target);
	char		error[INVAL_ERROR_LEN];

	cluster->health = inval_target_shares_health(target) ? target->health : NULL;
	cluster->may_probe = cluster->health != NULL &&
		(may_resolve || !inval_target_has_worker());
	if (inval_cluster_find_nodes(cluster, deadline, may_resolve, down,
								 error, sizeof(error)))
	{
		if (down && cluster->may_probe)
			inval_lost_node_retry_all(cluster->health);
		return true;
	}
	if (error[0] != '\0')
		inval_target_failed(target, error);
	return false;
}
