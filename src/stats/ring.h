/*
 * ring.h
 *		The last invalidations of their kind, to be looked at.
 */
#ifndef INVAL_RING_H
#define INVAL_RING_H

#include "access/transam.h"
#include "datatype/timestamp.h"

#include "base/entry.h"
#include "base/origin.h"
#include "base/shared.h"
#include "target/health.h"

/* The most bytes of a key and its field together that are kept */
#define INVAL_RING_TEXT		1000

typedef enum InvalRingOutcome
{
	INVAL_RING_SHADOW,			/* it was not sent: its rule is in state "shadow" */
	INVAL_RING_COMMIT,			/* confirmed before COMMIT returned, */
	INVAL_RING_WORKER,			/* or to the worker or inval_drain, */
	INVAL_RING_AGAIN,			/* or so once more, see lane "repeat" and its like */
	INVAL_RING_REFUSED			/* the target refuses it; said of the first try */
} InvalRingOutcome;

/* What entries that are noted together have in common */
typedef struct InvalRingNote
{
	const char *target;
	FullTransactionId xid;
	InvalRingOutcome outcome;
	uint64		lag_us;
	const InvalOrigin *origin;	/* NULL: nothing is known */
} InvalRingNote;

/*
 * One invalidation.  With every change the layout of its area is to be raised
 * (ring.c).
 */
typedef struct InvalRingEntry
{
	pg_atomic_uint64 number;	/* in the order of all, from 1 on; 0: there is none;
								 * INVAL_RING_BUSY */
	Oid			database;
	uint32		rule;			/* 0: inval_touch */
	TimestampTz at;				/* when that became of it */
	uint64		xid;			/* 0: none */
	uint64		lag_us;
	uint8		action;
	uint8		outcome;
	bool		has_field;
	uint16		key_length;		/* of what is kept of it */
	uint16		field_length;
	InvalOrigin origin;
	char		target[INVAL_TARGET_NAME_LEN];
	char		text[INVAL_RING_TEXT];	/* the key, and behind it the field */
} InvalRingEntry;

/* Somebody is writing it */
#define INVAL_RING_BUSY		PG_UINT64_MAX

typedef struct InvalRing
{
	InvalSharedArea entries;
	InvalSharedArea head;		/* one number: how many were noted so far */
} InvalRing;

extern InvalRing inval_shadow;	/* what rules in state "shadow" would have sent */
extern InvalRing inval_history; /* what became of what was sent */

extern void inval_rings_init(void);
extern void inval_ring_attach(InvalRing *ring);

/* Cannot fail, once inval_ring_attach was called: so after the commit record, too */
extern void inval_ring_note(InvalRing *ring, const InvalRingNote *note,
							const char *entries, Size length);

typedef void (*InvalRingVisitor) (const InvalRingEntry *entry, void *arg);
extern void inval_ring_each(InvalRing *ring, InvalRingVisitor visit, void *arg);

#endif							/* INVAL_RING_H */
