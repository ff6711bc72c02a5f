/*
 * stats.h
 *		Counters of rules.
 */
#ifndef INVAL_STATS_H
#define INVAL_STATS_H

#include "nodes/pg_list.h"
#include "port/atomics.h"

#include "target/shipment.h"

/*
 * Log-scale histogram of lags: four buckets to the octave, in microseconds,
 * up to 2^36 (19 hours).
 */
#define INVAL_LAG_BUCKETS	144
#define INVAL_STATS_LONGEST_LAG_US	(UINT64CONST(1) << 36)

/* What is counted; as columns of inval_stats */
typedef enum InvalStatsCount
{
	INVAL_STATS_ROWS_SEEN,
	INVAL_STATS_KEYS_QUEUED,
	INVAL_STATS_KEYS_COALESCED,
	INVAL_STATS_KEYS_REMOVED,
	INVAL_STATS_DELIVERED_AT_COMMIT,
	INVAL_STATS_DELIVERED_BY_WORKER,
	INVAL_STATS_FAILED_TRIES,
	INVAL_STATS_SKIPPED,
	INVAL_STATS_REFILLED,
	INVAL_STATS_REFILL_FAILED,
	INVAL_STATS_AUDITED,		/* keys that an audit has compared, as follows */
	INVAL_STATS_AUDIT_FRESH,
	INVAL_STATS_AUDIT_MISSING,
	INVAL_STATS_AUDIT_STALE,
	INVAL_STATS_AUDIT_UNKNOWN,
	INVAL_STATS_AUDIT_FAILED,	/* audits that the rule's query has ended */
	INVAL_STATS_ORPHANS,		/* keys that no row feeds, whose removal was queued */
	INVAL_STATS_ORPHANS_IDLE_S,	/* how long nobody had asked for them, together */
	INVAL_STATS_COUNTS
} InvalStatsCount;

/*
 * Counters of one rule on one target.  With every change the layout of its area
 * is to be raised (slots.c).
 */
typedef struct InvalStatsSlot
{
	Oid			database;		/* InvalidOid: free; protected by shared mutex */
	uint32		rule;			/* 0: inval_touch */
	char		target[INVAL_TARGET_NAME_LEN];
	pg_atomic_uint64 counts[INVAL_STATS_COUNTS];
	pg_atomic_uint64 lag_max_us;
	pg_atomic_uint64 last_delivery; /* a TimestampTz, 0: never */
	pg_atomic_uint64 lag[INVAL_LAG_BUCKETS];
} InvalStatsSlot;

typedef struct InvalCounts
{
	uint64		rows;
	uint64		coalesced;
	uint64		skipped;
	uint64		refill_failed;
	uint64		orphans;
	uint64		orphans_idle_s;
	uint64		queued;			/* set when the outbox is written */
	uint64		at_commit;		/* of those, sent by the commit callback */
} InvalCounts;

/*
 * What a slot has for a rule if it counts for all those that found none free;
 * -1 in inval_stats
 */
#define INVAL_STATS_OTHERS		PG_UINT32_MAX

/* The counts as they were when a nesting level began to count */
typedef struct InvalTallyMark
{
	int			level;			/* transaction nesting level, from 2 on */
	InvalCounts counts;
} InvalTallyMark;

typedef struct InvalTallyKey
{
	uint32		rule;			/* 0: inval_touch */
	int32		target;			/* its number */
} InvalTallyKey;

/*
 * What one rule did in the current transaction.  Kept for the life of the
 * process, so that pointers to it stay good.
 */
typedef struct InvalTally
{
	InvalTallyKey key;
	InvalStatsSlot *slot;		/* NULL: none claimed, or none free */
	bool		active;			/* on the list of this transaction */
	struct InvalTally *next;	/* on that list */
	InvalCounts counts;
	InvalTallyMark *marks;
	int			nmarks;
	int			max_marks;
} InvalTally;

extern InvalTally *inval_stats_tally(uint32 rule, int32 target);
extern void inval_stats_count_queued(int32 target, const char *entries, Size length,
									 bool at_commit);

/* Raises errors if memory is short: before the commit record */
extern void inval_stats_prepare(void);

/* Cannot fail: may be called after the commit record */
extern void inval_stats_commit(void);
extern void inval_stats_commit_target(int32 target, bool delivered, uint64 lag_us);
extern void inval_stats_commit_removed(const InvalShipment *shipment);
extern void inval_stats_forget(void);
extern void inval_stats_subcommit(void);
extern void inval_stats_subabort(void);

extern void inval_stats_init(void);
extern void inval_stats_file_init(void);
extern InvalStatsSlot *inval_stats_slot(uint32 rule, const char *target);
extern InvalStatsSlot *inval_stats_claim(Oid database, uint32 rule, const char *target);
extern void inval_stats_removed(const InvalShipment *shipment);
extern void inval_stats_count_removed(uint32 rule, const char *target, uint64 keys);
extern void inval_stats_delivered(InvalStatsSlot *slot, uint64 keys,
								  uint64 lag_us, bool by_worker);
extern void inval_stats_lags(InvalStatsSlot *slot, uint64 *buckets);
extern double inval_stats_lag_ms(const uint64 *buckets, double share);
extern uint64 inval_stats_lag_edge_us(int bucket);
extern uint64 inval_stats_lags_within(const uint64 *buckets, uint64 within_us);
extern void inval_stats_clear(void);
extern InvalStatsSlot *inval_stats_slots(uint32 *count);

typedef void (*InvalStatsVisitor) (InvalStatsSlot *slot, void *arg);
extern void inval_stats_each(InvalStatsVisitor visit, void *arg);

extern void inval_stats_free_database(Oid database);
extern bool inval_stats_are_scarce(void);
extern List *inval_stats_rules(void);
extern void inval_stats_give_back(const List *rules);

#endif							/* INVAL_STATS_H */
