/*
 * traffic.h
 *		Which of some keys are just being invalidated.
 */
#ifndef INVAL_AUDIT_TRAFFIC_H
#define INVAL_AUDIT_TRAFFIC_H

#include "utils/rel.h"
#include "utils/snapshot.h"

#include "base/catalog.h"
#include "outbox/outbox.h"
#include "redis/pattern.h"
#include "target/target.h"

/*
 * Keys and targets; of each key at each target (key * ntargets + target) whether an
 * invalidation of it was still owed, and whether there was one since the beginning.
 */
typedef struct InvalTraffic
{
	Snapshot	since;			/* the beginning */
	Relation	outbox[INVAL_OUTBOX_TABLES];
	InvalPrefix *keys;			/* in order */
	int			nkeys;
	InvalTarget **targets;
	int			ntargets;
	bool	   *owed;
	bool	   *changed;
	bool	   *marks;			/* which of these is being filled in */
	List	   *starts;			/* how the keys of rules that look up begin */
	Snapshot	looked;			/* what was visible at the first look */
	Snapshot	until;			/* the end */
	bool		members;		/* a set of keys was yet to be removed then, */
	bool		looks;			/* or something to be looked up */
} InvalTraffic;

extern bool inval_traffic_begin(InvalTraffic *traffic);
extern void inval_traffic_look(InvalTraffic *traffic);
extern void inval_traffic_look_back(InvalTraffic *traffic);
extern void inval_traffic_end(InvalTraffic *traffic);

#endif							/* INVAL_AUDIT_TRAFFIC_H */
