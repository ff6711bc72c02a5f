/*
 * target.h
 *		One Redis deployment: where it is, how it is, our connection to it.
 */
#ifndef INVAL_TARGET_H
#define INVAL_TARGET_H

#include "base/entry.h"
#include "base/shared.h"
#include "redis/connection.h"
#include "target/cluster.h"

#define INVAL_DEFAULT_TARGET	"default"

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

/* targets.c */
extern int32 inval_target_number(const char *name);
extern void inval_targets_refresh(void);
extern InvalTarget *inval_targets(void);
extern InvalTarget *inval_target_default(void);
extern InvalTarget *inval_target_by_number(int32 number);
extern InvalTarget *inval_target_by_name(const char *name, bool missing_ok);

/* target.c */
extern void inval_target_configure(InvalTarget *target, const char *url);
extern InvalTargetHealth *inval_target_health(const char *name);

extern bool inval_target_may_have(const InvalTarget *target, const InvalEntry *entry);
extern bool inval_target_shares_health(const InvalTarget *target);
extern bool inval_target_is_open(InvalTarget *target);
extern bool inval_target_claim_probe(InvalTarget *target);
extern bool inval_target_is_connected(InvalTarget *target);
extern bool inval_target_connect(InvalTarget *target, uint64 deadline,
								 bool may_resolve);
extern void inval_target_disconnect(InvalTarget *target);

/* Cannot fail: may be called after the commit record */
extern void inval_target_failed(InvalTarget *target, const char *error);
extern void inval_target_measured(InvalTarget *target, uint64 round_trip_us);
extern void inval_target_succeeded(InvalTarget *target, uint64 keys,
								   uint64 round_trip_us);

extern void inval_target_log_change(InvalTarget *target);
extern void inval_target_adopt(InvalTarget *target);
extern uint64 inval_backoff_us(uint32 attempts, uint64 first_us, uint64 max_us);

#endif							/* INVAL_TARGET_H */
