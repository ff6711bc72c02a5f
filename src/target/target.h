/*
 * target.h
 *		One Redis deployment: where it is, and what we know of it.
 */
#ifndef INVAL_TARGET_H
#define INVAL_TARGET_H

#include "base/entry.h"
#include "redis/connection.h"
#include "target/cluster.h"
#include "target/health.h"

/* This process's view of a target */
typedef struct InvalTarget
{
	const char *name;
	int32		number;			/* what the outbox calls it by */
	const char *region;			/* NULL: none */
	const char *namespace;		/* what its keys must start with, as text; NULL:
								 * nothing */
	const char *namespace_key;	/* the same as the bytes of a key */
	Size		namespace_length;	/* of those */
	int			max_rate;		/* keys per second, 0: no limit */
	uint64		next_batch;		/* not before, as inval_clock_us gives it */
	const char *stored_url;		/* of all but the target "default" */
	bool		dropped;
	InvalTargetHealth *health;	/* shared */
	char	   *configured;		/* the URL as last seen */
	InvalUrl	url;
	uint32		url_hash;
	InvalConnection *connection;	/* NULL: none; of a single server */
	uint64		connections;	/* how many there have been */
	uint32		connected_mark; /* of the place that it leads to; 0: the URL says
								 * it, so that it never moves */
	uint64		next_question;	/* when the sentinels are due to be asked */
	InvalCluster *cluster;		/* if the URL is a cluster's */
	struct InvalTarget *next;	/* as of inval_targets */
} InvalTarget;

extern void inval_target_configure(InvalTarget *target, const char *url);
extern void inval_target_adopt(InvalTarget *target);
extern bool inval_target_may_have(const InvalTarget *target, const InvalEntry *entry);
extern bool inval_target_shares_health(const InvalTarget *target);
extern bool inval_target_has_worker(void);
extern bool inval_target_is_connected(InvalTarget *target);
extern void inval_target_disconnect(InvalTarget *target);

#endif							/* INVAL_TARGET_H */
