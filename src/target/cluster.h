/*
 * cluster.h
 *		A Redis Cluster: which node has what, and our connections to them.
 */
#ifndef INVAL_CLUSTER_H
#define INVAL_CLUSTER_H

#include "redis/connection.h"
#include "redis/slot_map.h"
#include "target/health.h"

/* This process's view of a cluster; numbers of nodes are those of the map */
typedef struct InvalCluster
{
	InvalUrl	url;
	InvalTargetHealth *health;	/* shared; NULL: we know more than one cluster,
								 * and this is not the database's */
	bool		may_probe;		/* lost nodes are ours to try */
	bool		loaded;			/* there is a map */
	bool		stale;			/* and it is known to be wrong somewhere */
	bool		too_many_lost;	/* more nodes than can be noted */
	uint64		asked_at;		/* when it was last asked for */
	uint32		version;		/* health->map_version then */
	InvalSlotMap map;
	InvalConnection *connections[INVAL_MAP_NODES];	/* NULL: none */
} InvalCluster;

extern InvalCluster *inval_cluster_create(void);
extern void inval_cluster_configure(InvalCluster *cluster, const InvalUrl *url);
extern bool inval_cluster_find_nodes(InvalCluster *cluster, uint64 deadline,
									 bool patient, bool anew,
									 char *error, Size error_size);
extern InvalConnection *inval_cluster_connection(InvalCluster *cluster, int node,
												 uint64 deadline);
extern uint64 inval_cluster_share(uint64 deadline);
extern bool inval_cluster_has_lost_all(InvalCluster *cluster);

/* Cannot fail: may be called after the commit record */
extern void inval_cluster_node_failed(InvalCluster *cluster, int node,
									  const char *error, uint64 took_us);
extern void inval_cluster_node_served(InvalCluster *cluster, int node);
extern void inval_cluster_moved(InvalCluster *cluster, int slot,
								const char *host, int port);
extern void inval_cluster_hang_up(InvalCluster *cluster, int node);
extern void inval_cluster_disconnect(InvalCluster *cluster);

#endif							/* INVAL_CLUSTER_H */
