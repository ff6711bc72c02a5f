/*
 * target.h
 *		One Redis deployment: where it is, and what we know of it.
 */
#ifndef INVAL_TARGET_H
#define INVAL_TARGET_H

#include "base/entry.h"
#include "redis/connection.h"
#include "redis/slot_map.h"
#include "target/health.h"
#include "target/seat.h"

/* Whom a cluster's map was asked of, at most so many at once */
#define INVAL_ASKED_MAX		8

/*
 * This process's view of a cluster; numbers of nodes are those of the map.  See
 * target/cluster.c.
 */
typedef struct InvalCluster
{
	bool		may_probe;		/* lost nodes are ours to try */
	bool		loaded;			/* there is a map */
	bool		stale;			/* and it is known to be wrong somewhere */
	bool		too_many_lost;	/* more nodes than can be noted */
	uint64		asked_at;		/* when it was last asked for */
	uint32		version;		/* health->map_version then */
	uint32		turn;			/* whom to begin with the next time */
	InvalSlotMap map;
	InvalConnection *connections[INVAL_MAP_NODES];	/* NULL: none */
	uint64		pause_until[INVAL_MAP_NODES];	/* as that of the target */
	InvalConnection *asked[INVAL_ASKED_MAX];	/* not (yet) among these */
} InvalCluster;

/* This process's view of a target */
typedef struct InvalTarget
{
	const char *name;
	int32		number;			/* what the outbox calls it by */
	const char *region;			/* NULL: none */
	const char *region_key;		/* the same in UTF-8 */
	const char *namespace;		/* what its keys must start with, as text; NULL:
								 * nothing */
	const char *namespace_key;	/* the same as the bytes of a key */
	Size		namespace_length;	/* of those */
	int			max_rate;		/* keys per second, 0: no limit */
	const char *stored_url;		/* of all but the target "default" */
	bool		dropped;
	InvalTargetHealth *health;	/* shared */
	InvalSeat	seat;
	char	   *configured;		/* the URL as last seen */
	InvalUrl	url;
	uint32		url_hash;
	InvalConnection *connection;	/* NULL: none; of a single server */
	uint32		connected_mark; /* of the place that it leads to; 0: the URL says
								 * it, so that it never moves */
	uint64		pause_until;	/* it failed here: not before that is it tried again, */
	uint32		pause_recoveries;	/* while health->recoveries is this; 0: no pause */
	uint64		prepared_at;	/* when its files were looked at */
	uint64		next_question;	/* when the sentinels are due to be asked */
	uint64		next_library_look;	/* see target/library.c */
	uint32		library_losses; /* connections lost over that, in a row */
	uint64		next_vitals_look;	/* see target/vitals.c */
	uint32		vitals_losses;	/* looks in a row that have lost connections */
	InvalCluster *cluster;		/* if the URL is a cluster's; else perhaps NULL */
	struct InvalTarget *next;	/* as of inval_targets */
} InvalTarget;

extern void inval_target_configure(InvalTarget *target, const char *url);
extern void inval_target_adopt(InvalTarget *target);
extern bool inval_target_may_have(const InvalTarget *target, const InvalEntry *entry);
extern bool inval_target_may_have_stream(const InvalTarget *target,
										 const InvalEntry *entry);
extern bool inval_target_shares_health(const InvalTarget *target);
extern bool inval_target_has_worker(void);
extern void inval_target_prepare(InvalTarget *target);
extern void inval_target_disconnect(InvalTarget *target);

#endif							/* INVAL_TARGET_H */
