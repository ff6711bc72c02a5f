/*
 * cluster.h
 *		A Redis Cluster: which node has what.
 */
#ifndef INVAL_CLUSTER_H
#define INVAL_CLUSTER_H

#include "target/target.h"

extern bool inval_cluster_find_nodes(InvalTarget *target, uint64 deadline,
									 bool may_resolve, bool anew, InvalFault *fault,
									 char *error, Size error_size);
extern void inval_cluster_url(const InvalTarget *target, const char *host, int port,
							  InvalUrl *url);
extern bool inval_cluster_is_lost(const InvalTarget *target, int node);
extern bool inval_cluster_has_lost_all(InvalTarget *target);

/* Cannot fail: may be called after the commit record */
extern void inval_cluster_node_failed(InvalTarget *target, int node, InvalFault fault,
									  const char *error, uint64 took_us);
extern int	inval_cluster_redirect(InvalTarget *target, int answered, int slot,
								   InvalErrorKind kind, const char *error);

#endif							/* INVAL_CLUSTER_H */
