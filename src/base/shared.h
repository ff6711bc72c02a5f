/*
 * shared.h
 *		What the processes of one server know together.
 */
#ifndef INVAL_SHARED_H
#define INVAL_SHARED_H

#include "port/atomics.h"
#include "storage/block.h"
#include "storage/latch.h"
#include "storage/spin.h"
#include "utils/timestamp.h"

#define INVAL_TARGET_NAME_LEN	64
#define INVAL_ERROR_LEN			160
#define INVAL_ADDRESS_LEN		320
#define INVAL_RESOLVED_LEN		64
#define INVAL_PROGRESS_LEN		128

/*
 * Outbox tables in one group of rotation.  The first group is written at
 * commit (fast), the second before that or kept longer (slow).
 */
#define INVAL_OUTBOX_GROUP		3
#define INVAL_OUTBOX_TABLES		(2 * INVAL_OUTBOX_GROUP)

/*
 * A database in which inval was used since the server started.  The slot is
 * claimed under InvalShared.mutex and given back by the launcher when the
 * database is gone.
 */
typedef struct InvalDatabase
{
	Oid			database;		/* InvalidOid: free; protected by the mutex */
	pg_atomic_uint32 current_fast;	/* outbox table that commits write to */
	pg_atomic_uint32 current_slow;	/* the same for spills and prepared ones */
	pg_atomic_uint32 unswept;	/* commits since the outbox was swept, and */
	pg_atomic_uint64 swept_xid; /* the next xid then; without a worker only */
	slock_t		mutex;			/* protects the field below */
	TimestampTz hold_until;		/* no worker before this time */
} InvalDatabase;

/* A node of a cluster that does not serve at present; see target/lost_node.c */
#define INVAL_LOST_NODES	16

typedef struct InvalLostNode
{
	char		host[INVAL_RESOLVED_LEN];
	int			port;			/* 0: no node has this place */
	bool		lost;			/* false: it serves again, to be logged */
	bool		logged;			/* the server log says so */
	bool		replaced;		/* others have its slots */
	bool		logged_replaced;	/* the server log says that */
	uint32		attempts;		/* failed tries since it last served */
	TimestampTz next_try;
	char		error[96];
} InvalLostNode;

/*
 * One target as seen from one database: its health and its worker.  Zero means: up, never
 * tried.
 */
typedef struct InvalTargetHealth
{
	Oid			database;		/* InvalidOid: free; protected by shared mutex */
	char		name[INVAL_TARGET_NAME_LEN];	/* written once, with the slot */
	pg_atomic_uint32 down;		/* 1: breaker open, commits do not try */
	pg_atomic_uint32 logged_down;	/* what the server log says it is */
	pg_atomic_uint32 slow_answers;	/* in a row, see inval_target_measured */
	pg_atomic_uint32 slow;		/* 1: that is why it is down */
	pg_atomic_uint32 paused;	/* 1: nobody sends */
	pg_atomic_uint32 map_version;	/* of a cluster's slots: changes when
									 * somebody finds that they moved */
	pg_atomic_uint32 lost_nodes;	/* places taken in "lost" */
	pg_atomic_uint32 lost_news; /* 1: a change of it is yet to be logged */
	pg_atomic_uint32 resolved_mark; /* a hash of the last known such place; 0:
									 * none yet */
	bool		pause_known;	/* "paused" is what was stored, or later news */
	pg_atomic_uint32 work;		/* 1: something may wait for the worker */
	pg_atomic_uint32 idle;		/* 1: the worker sleeps until it is woken */
	pg_atomic_uint32 watching;	/* 1: it looks at the standbys within moments */
	pg_atomic_uint32 low_block[INVAL_OUTBOX_TABLES];	/* first block with rows
														 * committed since the
														 * worker's last look;
														 * InvalidBlockNumber:
														 * none */
	slock_t		mutex;			/* protects the fields below */
	bool		wanted;			/* a worker of its own; "default" always */
	pid_t		worker_pid;		/* 0: no worker */
	Latch	   *worker_latch;	/* NULL: no worker */
	uint32		url_hash;		/* whose health this is; 0: not known yet */
	uint32		attempts;		/* failed tries since it was last up */
	TimestampTz next_try;		/* when the next probe is due */
	TimestampTz state_since;	/* last change between up and down */
	TimestampTz last_delivery;
	uint32		round_trip_us;
	int64		window_second;	/* epoch second that window_keys counts */
	uint64		window_keys;
	uint64		rate;			/* keys in the last full second that had any */
	char		address[INVAL_ADDRESS_LEN]; /* without credentials */
	char		resolved[INVAL_RESOLVED_LEN];	/* where the target is now, if the
												 * URL has no address; empty:
												 * not known.  Of a cluster,
												 * one of its nodes */
	int			resolved_port;
	char		last_error[INVAL_ERROR_LEN];
	InvalLostNode lost[INVAL_LOST_NODES];
	char		progress[INVAL_PROGRESS_LEN];	/* of a removal that runs; "": none */
	TimestampTz collapsed_at;	/* when the backlog last was; 0: never */
	int64		collapsed_keys; /* how many entries that were */
} InvalTargetHealth;

/*
 * Log-scale histogram of lags: four buckets to the octave, in microseconds,
 * up to 2^36 (19 hours).
 */
#define INVAL_LAG_BUCKETS	144

/* Counters of one rule on one target */
typedef struct InvalStatsSlot
{
	Oid			database;		/* InvalidOid: free; protected by shared mutex */
	uint32		rule;			/* 0: inval_touch */
	char		target[INVAL_TARGET_NAME_LEN];
	pg_atomic_uint64 rows_seen;
	pg_atomic_uint64 keys_queued;
	pg_atomic_uint64 keys_coalesced;
	pg_atomic_uint64 delivered_at_commit;
	pg_atomic_uint64 delivered_by_worker;
	pg_atomic_uint64 failed_tries;
	pg_atomic_uint64 skipped;
	pg_atomic_uint64 lag_max_us;
	pg_atomic_uint64 last_delivery; /* a TimestampTz, 0: never */
	pg_atomic_uint32 lag[INVAL_LAG_BUCKETS];
} InvalStatsSlot;

/* Entries that their target refused one by one: shown by inval_queue */
typedef struct InvalRefusal
{
	Oid			database;		/* InvalidOid: free */
	int64		id;				/* as in inval_queue */
	uint32		attempts;
	TimestampTz next_try;
	char		error[INVAL_ERROR_LEN];
} InvalRefusal;

typedef struct InvalShared
{
	slock_t		mutex;			/* claims and releases slots of the arrays */
	Latch	   *launcher_latch; /* NULL: not preloaded, or not running */
	uint64		ledger_start;	/* first xid that the ledger can know; 0: not set */
	uint32		ledger_words;	/* sizes of the arrays, fixed at creation */
	uint32		databases;
	uint32		targets;
	uint32		stats;
	uint32		refusals;
	uint32		refusals_used;	/* places taken */
	slock_t		refusal_mutex;	/* protects refusals and refusals_used */
	/* the arrays follow; see shared.c */
} InvalShared;

extern void inval_shared_init(void);

/*
 * All of these attach on first use (which may raise an error, so do it before
 * the commit record).  They never return NULL: where shared memory is not to
 * be had, the arrays are this process's own and nothing is known together.
 */
extern InvalShared *inval_shared(void);
extern pg_atomic_uint64 *inval_shared_ledger(void);
extern InvalTargetHealth *inval_shared_targets(void);
extern InvalStatsSlot *inval_shared_stats(void);
extern InvalRefusal *inval_shared_refusals(void);
extern InvalDatabase *inval_shared_databases(void);

extern bool inval_shared_is_preloaded(void);
extern InvalDatabase *inval_shared_database(void);
extern void inval_shared_forget_database(Oid database);
extern void inval_shared_wake_worker(InvalTargetHealth *target);
extern void inval_shared_wake_launcher(void);

#endif							/* INVAL_SHARED_H */
