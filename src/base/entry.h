/*
 * entry.h
 *		One invalidation, as bytes.
 */
#ifndef INVAL_ENTRY_H
#define INVAL_ENTRY_H

#include "access/transam.h"
#include "datatype/timestamp.h"

/* The most bytes of a key and its field together */
#define INVAL_MAX_KEY_LENGTH	7500

/*
 * Numbers are stored in the outbox: never renumber.  A prefix entry is alone in
 * its row, because it is delivered by other means (worker/removal.h).
 */
typedef enum InvalAction
{
	INVAL_ACTION_DELETE = 0,
	INVAL_ACTION_VERSION = 1,	/* another number at the key */
	INVAL_ACTION_MEMBERS = 2,	/* the keys that the set lists, and the set */
	INVAL_ACTION_PREFIX = 3,	/* every key that starts with this one */
	INVAL_ACTION_EXPIRE = 4,	/* the key ends soon */
	INVAL_ACTION_NONE = 5,		/* only what is announced of it */
	INVAL_ACTION_REFILL = 6,	/* no invalidation: a value that is put back at the
								 * key; see capture/refill.c */
	INVAL_ACTION_LOOK = 15		/* no invalidation yet: what a row's look-ups
								 * need; see capture/looks.c */
} InvalAction;

/* How an invalidation travels */
typedef enum InvalLane
{
	INVAL_LANE_COMMIT,			/* sent by the commit callback */
	INVAL_LANE_STRICT,			/* the same, and fenced before the commit; the
								 * outbox has it as "commit" */
	INVAL_LANE_WORKER,			/* sent by the worker */
	INVAL_LANE_REPEAT,			/* sent by the worker once more, later */
	INVAL_LANE_REPLAY,			/* the same, when standbys have replayed it */
	INVAL_LANE_HELD,			/* confirmed; sent once more if that is lost, see
								 * target/trust.c */
	INVAL_LANE_LOOK,			/* looked up again by the worker, see
								 * INVAL_ACTION_LOOK */
	INVAL_LANE_REFILL,			/* made a value of by the worker, see
								 * INVAL_ACTION_REFILL */
	INVAL_LANE_SHADOW			/* counted only, neither stored nor sent */
} InvalLane;

/* What lane "look" has for a target: it is none's. */
#define INVAL_LOOK_TARGET	(-1)

/* The pointers point into somebody else's bytes and are not terminated. */
typedef struct InvalEntry
{
	InvalAction action;
	bool		fence;			/* void the leases of readers on it, too */
	bool		strict;			/* end the fence that its transaction has on it */
	bool		shared;			/* other rules than this one owe it, too */
	uint32		rule;			/* 0: inval_touch */
	const char *key;
	uint32		key_length;
	const char *field;			/* NULL: none */
	uint32		field_length;
	uint32		ttl_ms;			/* action "expire" */
	const char *channel;		/* where the key is published; NULL: nowhere */
	uint32		channel_length;
	const char *stream;			/* which stream says so; NULL: none */
	uint32		stream_length;

	/* Not among the bytes: who has queued it, and when */
	FullTransactionId xid;		/* invalid: not known yet */
	TimestampTz queued_at;
	bool		only_told;		/* what is to be done to the key is done */
} InvalEntry;

extern Size inval_entry_size(const InvalEntry *entry);
extern char *inval_entry_write(char *place, const InvalEntry *entry);
extern const char *inval_entry_read(const char *place, const char *end,
									InvalEntry *entry);
extern void inval_entry_merge(char *place, const InvalEntry *other);

extern uint32 inval_entry_hash(const InvalEntry *entry);
extern bool inval_entry_equal(const InvalEntry *a, const InvalEntry *b);

extern const char *inval_action_name(InvalAction action);
extern bool inval_action_from_name(const char *name, InvalAction *action);
extern bool inval_entry_is_told(const InvalEntry *entry);

#endif							/* INVAL_ENTRY_H */
