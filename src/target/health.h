/*
 * health.h
 *		What the processes of a server know of a target together.
 */
#ifndef INVAL_TARGET_HEALTH_H
#define INVAL_TARGET_HEALTH_H

#include "access/xlogdefs.h"
#include "port/atomics.h"
#include "storage/block.h"
#include "storage/latch.h"
#include "storage/spin.h"
#include "utils/timestamp.h"

#include "base/catalog.h"
#include "target/resolve.h"

#define INVAL_TARGET_NAME_LEN	64
#define INVAL_ERROR_LEN			160
#define INVAL_ADDRESS_LEN		320
#define INVAL_PROGRESS_LEN		128

/* What a server says of itself; see target/vitals.c */
typedef enum InvalVital
{
	INVAL_VITAL_HITS,
	INVAL_VITAL_MISSES,
	INVAL_VITAL_EVICTED,
	INVAL_VITAL_MEMORY,			/* in bytes */
	INVAL_VITALS
} InvalVital;

/* A circuit breaker's memory; see target/breaker.c */
typedef struct InvalBreaker
{
	uint32		attempts;		/* failed tries since it was last up */
	uint32		complaints;		/* of sessions, since it last answered anybody, */
	TimestampTz complained_at;	/* the first of these */
	TimestampTz next_try;		/* when the next probe is due */
	TimestampTz last_answer;	/* to anybody */
} InvalBreaker;

/* A node of a cluster that does not serve at present; see target/lost_node.c */
#define INVAL_LOST_NODES	16

typedef struct InvalLostNode
{
	char		host[INVAL_RESOLVED_LEN];
	int			port;			/* 0: no node has this place */
	bool		lost;			/* false: it serves again, to be logged; or somebody
								 * has complained, no more */
	bool		logged;			/* the server log says so */
	bool		replaced;		/* others have its slots */
	bool		logged_replaced;	/* the server log says that */
	InvalBreaker breaker;
	char		error[INVAL_ERROR_LEN];
} InvalLostNode;

/*
 * What a worker that leaves knows of standbys, for the next one; see outbox/replay.c.
 */
#define INVAL_KEPT_MARKS	2
#define INVAL_KEPT_RUNNING	32

typedef struct InvalMarkHead
{
	XLogRecPtr	place;			/* where the last record of the WAL begins */
	TimestampTz made;			/* 0: there is none */
	TimestampTz passed;			/* found to be replayed, or late; 0: not yet */
	bool		late;			/* it was not waited for any longer */
	uint64		xmin;			/* the snapshot: all before it have ended, */
	uint64		xmax;			/* none from here on has, */
	uint32		nrunning;		/* so many in between have not, in order */
} InvalMarkHead;

typedef struct InvalKeptMark
{
	InvalMarkHead head;
	TransactionId running[INVAL_KEPT_RUNNING];
} InvalKeptMark;

/*
 * One target as seen from one database: its health and its worker.  Zero means:
 * up, never tried.  With every change the layout of its area is to be raised
 * (health.c).
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
	pg_atomic_uint32 recoveries;	/* how often it has come up again */
	pg_atomic_uint32 fences_lost;	/* fences of strict rules that were gone before
									 * they were ended */
	pg_atomic_uint32 no_unlink; /* 1: the server does not know the command */
	pg_atomic_uint32 library_missed;	/* 1: somebody has called a function that was
										 * not there */
	pg_atomic_uint32 work;		/* 1: something may wait for the worker */
	pg_atomic_uint32 idle;		/* 1: the worker sleeps until it is woken */
	pg_atomic_uint32 watching;	/* 1: it looks at the standbys within moments */
	pg_atomic_uint32 low_block[INVAL_OUTBOX_TABLES];	/* first block with rows
														 * committed since the
														 * worker's last look;
														 * InvalidBlockNumber:
														 * none */
	pg_atomic_uint64 trusted_xid;	/* what older transactions had confirmed may be
									 * lost; see target/trust.c */
	pg_atomic_uint64 seen_at;	/* the last time that it was found to be where it
								 * was; 0: not yet */
	pg_atomic_uint64 next_batch;	/* of whoever keeps to the target's rate: not
									 * before, as inval_clock_us gives it */
	pg_atomic_uint32 sessions;	/* that have seats; see target/seat.c.  It goes with the
								 * place, whosever that is */
	pg_atomic_uint64 turned_away;	/* commits that found none */
	bool		pause_known;	/* "paused" is what was stored, or later news */
	slock_t		mutex;			/* protects the fields below */
	pid_t		worker_pid;		/* 0: no worker */
	TimestampTz visit_at;		/* when a worker is to come at the latest, which
								 * has left to give others its place; 0: it did
								 * not, and one is to be there */
	Latch	   *worker_latch;	/* NULL: no worker */
	uint32		url_hash;		/* whose health this is; 0: not known yet */
	InvalBreaker breaker;
	bool		doubted;		/* down, as the worker waits for an answer too long */
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
	char		library_missing[INVAL_ERROR_LEN];	/* why readers have no functions
													 * there; "": they have, or it
													 * is not known */
	InvalLostNode lost[INVAL_LOST_NODES];
	uint64		kept_xid;		/* see outbox/kept.c: older transactions are */
	bool		kept_known;		/* counted once, when this is set */
	int64		kept;			/* entries in the tables for targets that are away */
	TimestampTz kept_since;		/* the oldest of them */
	char		progress[INVAL_PROGRESS_LEN];	/* of a removal that runs; "": none */
	char		purge[INVAL_PROGRESS_LEN];	/* the same of a purge in a session, */
	pid_t		purge_pid;		/* and of which, that of the last one */
	TimestampTz collapsed_at;	/* when the backlog last was; 0: never */
	int64		collapsed_keys; /* how many entries that were */
	bool		vitals_known;	/* somebody has asked, */
	int64		vitals[INVAL_VITALS];	/* and was told; -1: was not */
	TimestampTz audit_at;		/* when the worker audits next; 0: at once */
	uint32		audit_rule;		/* the rule that it audited last */
	InvalKeptMark marks[INVAL_KEPT_MARKS];	/* the worker's alone; of the whole
											 * server, so right whosever the place is */
} InvalTargetHealth;

extern void inval_target_health_init(void);
extern InvalTargetHealth *inval_target_health(const char *name);
extern InvalTargetHealth *inval_target_healths(uint32 *count);
extern bool inval_target_has_place(const InvalTargetHealth *health);
extern void inval_target_give_back(InvalTargetHealth *health);
extern void inval_target_free_database(Oid database);
extern void inval_target_forget_place(InvalTargetHealth *health);
extern void inval_target_wake_worker(InvalTargetHealth *health);	/* cannot fail */

#endif							/* INVAL_TARGET_HEALTH_H */
