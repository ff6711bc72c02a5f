/*
 * lost_node.c
 *		Nodes of a cluster that do not serve at present.
 *
 * A breaker for each node, as breaker.c has one for the target.  The list is
 * shared by the sessions of a database, which leave the keys of a lost node's
 * slots to the worker without trying, while those of all other nodes go at commit
 * as ever.  Only the worker tries a lost node (where there is none, one session
 * at a time), with pauses that double up to inval.retry_max; what takes it off
 * the list is a delivery.  A node that somebody has complained of is on the list
 * too, and is not lost for that (verdict.c).
 *
 * A primary that was replaced stays on the list: who does not know yet must not
 * try it.  Should it have slots again, the worker tries it as any other.
 *
 * The list is short.  Its places are taken by whoever fails, from nodes that
 * nobody has tried for long; where there is no such, the cluster has lost so
 * many at a time that it counts as down.
 */
#include "postgres.h"

#include "base/settings.h"
#include "target/lost_node.h"
#include "target/verdict.h"

/* A node that could have been tried this long ago is in nobody's map. */
#define FORGOTTEN_US	60000000

/* Of the worker's time, a node that does not answer gets one part in: */
#define TRY_SHARE		5

static InvalLostNode *lost_find(InvalTargetHealth *health, const char *host, int port);
static InvalLostNode *lost_find_room(InvalTargetHealth *health, TimestampTz now);
static void lost_log_node(InvalTargetHealth *health, const InvalLostNode *node);

/*
 * The node's place on the list or NULL; under the mutex.
 */
static InvalLostNode *
lost_find(InvalTargetHealth *health, const char *host, int port)
{
	int			i;

	for (i = 0; i < INVAL_LOST_NODES; i++)
	{
		InvalLostNode *node = &health->lost[i];

		if (node->port == port && strcmp(node->host, host) == 0)
			return node;
	}
	return NULL;
}

/*
 * A place for another node, or NULL; under the mutex.
 */
static InvalLostNode *
lost_find_room(InvalTargetHealth *health, TimestampTz now)
{
	InvalLostNode *oldest = NULL;
	int			i;

	for (i = 0; i < INVAL_LOST_NODES; i++)
	{
		InvalLostNode *node = &health->lost[i];

		if (node->port == 0)
		{
			pg_atomic_write_u32(&health->lost_nodes,
								pg_atomic_read_u32(&health->lost_nodes) + 1);
			return node;
		}
		if (node->breaker.next_try < now - FORGOTTEN_US &&
			(oldest == NULL || node->breaker.next_try < oldest->breaker.next_try))
			oldest = node;
	}
	return oldest;
}

/*
 * Whether a node is on the list.
 */
bool
inval_lost_node_is_lost(InvalTargetHealth *health, const char *host, int port)
{
	InvalLostNode *node;
	bool		lost;

	if (likely(pg_atomic_read_u32(&health->lost_nodes) == 0))
		return false;
	SpinLockAcquire(&health->mutex);
	node = lost_find(health, host, port);
	lost = node != NULL && node->lost;
	SpinLockRelease(&health->mutex);
	return lost;
}

/*
 * Whether a lost node should be tried now, by us.
 */
bool
inval_lost_node_claim(InvalTargetHealth *health, const char *host, int port)
{
	InvalLostNode *node;
	bool		claimed;

	SpinLockAcquire(&health->mutex);
	node = lost_find(health, host, port);
	claimed = node == NULL || !node->lost ||
		inval_verdict_claim(&node->breaker, GetCurrentTimestamp());
	SpinLockRelease(&health->mutex);
	return claimed;
}

/*
 * Notes a failure of a node, and how long it took to find out, which for the tries
 * that follow is inval.connect_timeout at most.  If that says something of the
 * node, it is lost.  Returns false if there is no room to note it.
 */
bool
inval_lost_node_note(InvalTargetHealth *health, const char *host, int port,
					 InvalFault fault, const char *error, uint64 took_us)
{
	TimestampTz now = GetCurrentTimestamp();
	InvalLostNode *node;

	took_us = Min(took_us, (uint64) inval_connect_timeout * 1000);
	SpinLockAcquire(&health->mutex);
	node = lost_find(health, host, port);
	if (node == NULL)
	{
		node = lost_find_room(health, now);
		if (node != NULL)
		{
			memset(node, 0, sizeof(*node));
			strlcpy(node->host, host, sizeof(node->host));
			node->port = port;
			node->logged = true;
		}
	}
	if (node != NULL && inval_verdict(health, &node->breaker, fault, now))
	{
		inval_verdict_pause(&node->breaker, now, (uint64) inval_retry_max * 1000);
		node->breaker.next_try = Max(node->breaker.next_try,
									 now + (int64) took_us * (TRY_SHARE - 1));
		if (!node->lost)
		{
			node->logged = false;
			pg_atomic_write_u32(&health->lost_news, 1);
		}
		node->lost = true;
		strlcpy(node->error, error, sizeof(node->error));
	}
	snprintf(health->last_error, sizeof(health->last_error), "node %s:%d: %s",
			 host, port, error);
	SpinLockRelease(&health->mutex);
	return node != NULL;
}

/*
 * Whether sessions have complained of a node since it last answered.
 */
bool
inval_lost_node_is_doubted(InvalTargetHealth *health, const char *host, int port)
{
	InvalLostNode *node;
	bool		doubted;

	if (likely(pg_atomic_read_u32(&health->lost_nodes) == 0))
		return false;
	SpinLockAcquire(&health->mutex);
	node = lost_find(health, host, port);
	doubted = node != NULL && !node->lost && node->breaker.complaints > 0;
	SpinLockRelease(&health->mutex);
	return doubted;
}

/*
 * Notes that a node took what was sent to it.
 */
void
inval_lost_node_serves(InvalTargetHealth *health, const char *host, int port)
{
	InvalLostNode *node;

	if (likely(pg_atomic_read_u32(&health->lost_nodes) == 0))
		return;
	SpinLockAcquire(&health->mutex);
	node = lost_find(health, host, port);
	if (node != NULL)
	{
		inval_verdict_answered(&node->breaker, GetCurrentTimestamp());
		if (node->lost)
		{
			node->lost = false;
			node->logged = false;
		}
		pg_atomic_write_u32(&health->lost_news, 1);
	}
	SpinLockRelease(&health->mutex);
}

/*
 * Notes that a node has no slots any more.
 */
void
inval_lost_node_replaced(InvalTargetHealth *health, const char *host, int port)
{
	InvalLostNode *node;

	if (likely(pg_atomic_read_u32(&health->lost_nodes) == 0))
		return;
	SpinLockAcquire(&health->mutex);
	node = lost_find(health, host, port);
	if (node != NULL && node->lost && !node->replaced)
	{
		node->replaced = true;
		pg_atomic_write_u32(&health->lost_news, 1);
	}
	SpinLockRelease(&health->mutex);
}

/*
 * Lets each lost node be tried at once.
 */
void
inval_lost_node_retry_all(InvalTargetHealth *health)
{
	int			i;

	SpinLockAcquire(&health->mutex);
	for (i = 0; i < INVAL_LOST_NODES; i++)
		health->lost[i].breaker.next_try = 0;
	SpinLockRelease(&health->mutex);
}

/*
 * Logs what nobody has logged yet, and gives back the places of nodes that
 * serve again.
 */
void
inval_lost_node_log(InvalTargetHealth *health)
{
	int			i;

	if (likely(pg_atomic_read_u32(&health->lost_news) == 0) ||
		pg_atomic_exchange_u32(&health->lost_news, 0) == 0)
		return;
	for (i = 0; i < INVAL_LOST_NODES; i++)
	{
		InvalLostNode copy;

		SpinLockAcquire(&health->mutex);
		copy = health->lost[i];
		health->lost[i].logged = true;
		health->lost[i].logged_replaced = copy.replaced;
		if (copy.port != 0 && !copy.lost && copy.breaker.complaints == 0)
		{
			memset(&health->lost[i], 0, sizeof(InvalLostNode));
			pg_atomic_write_u32(&health->lost_nodes,
								pg_atomic_read_u32(&health->lost_nodes) - 1);
		}
		SpinLockRelease(&health->mutex);

		if (copy.port != 0)
			lost_log_node(health, &copy);
	}
}

static void
lost_log_node(InvalTargetHealth *health, const InvalLostNode *node)
{
	if (!node->lost && !node->logged)
		ereport(LOG,
				(errmsg("inval target \"%s\": node %s:%d is back", health->name,
						node->host, node->port),
				 errhidestmt(true)));
	if (node->lost && !node->logged)
		ereport(LOG,
				(errmsg("inval target \"%s\": node %s:%d is lost: %s", health->name,
						node->host, node->port, node->error),
				 errdetail("Invalidations of keys in its slots are queued."),
				 errhidestmt(true)));
	if (node->lost && node->replaced && !node->logged_replaced)
		ereport(LOG,
				(errmsg("inval target \"%s\": node %s:%d has been replaced", health->name,
						node->host, node->port),
				 errdetail("Other nodes have its slots."),
				 errhidestmt(true)));
}
