/*
 * lost_node.h
 *		Nodes of a cluster that do not serve at present.
 */
#ifndef INVAL_LOST_NODE_H
#define INVAL_LOST_NODE_H

#include "redis/connection.h"
#include "target/health.h"

extern bool inval_lost_node_is_lost(InvalTargetHealth *health, const char *host,
									int port);
extern bool inval_lost_node_is_doubted(InvalTargetHealth *health, const char *host,
									   int port);
extern bool inval_lost_node_claim(InvalTargetHealth *health, const char *host,
								  int port);

/* Cannot fail: may be called after the commit record */
extern bool inval_lost_node_note(InvalTargetHealth *health, const char *host,
								 int port, InvalFault fault, const char *error,
								 uint64 took_us);
extern void inval_lost_node_serves(InvalTargetHealth *health, const char *host,
								   int port);

extern void inval_lost_node_replaced(InvalTargetHealth *health, const char *host,
									 int port);
extern void inval_lost_node_retry_all(InvalTargetHealth *health);
extern void inval_lost_node_log(InvalTargetHealth *health);

#endif							/* INVAL_LOST_NODE_H */
