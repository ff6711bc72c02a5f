/*
 * refusal.h
 *		Entries that their target refuses by themselves.
 */
#ifndef INVAL_REFUSAL_H
#define INVAL_REFUSAL_H

#include "target/health.h"

/*
 * An entry that its target refused by itself: shown by inval_queue.  With every
 * change the layout of its area is to be raised (refusal.c).
 */
typedef struct InvalRefusal
{
	Oid			database;		/* InvalidOid: free */
	int64		id;				/* as in inval_queue */
	uint32		attempts;
	TimestampTz next_try;
	char		error[INVAL_ERROR_LEN];
} InvalRefusal;

extern void inval_refusal_init(void);
extern bool inval_refusal_is_due(int64 id, bool alone, TimestampTz now);
extern void inval_refusal_note(int64 id, const char *error);
extern void inval_refusal_forget(int64 id);
extern bool inval_refusal_find(int64 id, InvalRefusal *copy);
extern void inval_refusal_free_database(Oid database);

#endif							/* INVAL_REFUSAL_H */
