/*
 * looking.h
 *		Making one look-up after the other.
 */
#ifndef INVAL_LOOKING_H
#define INVAL_LOOKING_H

#include "rule/rules.h"

/* Takes what a look-up finds, in place of queueing it */
typedef void (*InvalLookingShow) (const InvalRule *rule, const InvalEntry *entry,
								  void *arg);

/* Look-ups being made, of one relation after the other */
typedef struct InvalLooking
{
	bool		last;			/* it is the last time in this transaction */
	bool		spilling;		/* they may go to the outbox as they are */
	bool		tell;			/* of a foreign key that leads nowhere */
	Oid			only;			/* of this relation's rows; InvalidOid: of all */
	bool		only_now;		/* the other state is none of these look-ups' */
	bool		counting;		/* nothing is queued, only the digest made */
	InvalLookingShow show;		/* nothing is queued, counted or said, but shown to
								 * this; NULL: it is for good */
	void	   *show_arg;
	bool		failed;			/* the query has */
	uint64		queued;			/* so many invalidations were */
	Relation	relation;		/* NULL: none is open */
	TupleTableSlot *row;
	MemoryContext context;		/* of one look-up */
	InvalRule  *rule;
	bool		old;			/* others have seen the row */
	bool		found;			/* something was found before */
	bool		left;			/* it is left to the worker */
	InvalState	state;
	uint64		digest;			/* of what was found in the state NOW */
	StringInfoData again;		/* for the worker */
} InvalLooking;

extern void inval_looking_begin(InvalLooking *looking);
extern bool inval_looking_open(InvalLooking *looking, const InvalEntry *look);
extern void inval_looking_make(InvalLooking *looking);
extern void inval_looking_close(InvalLooking *looking);
extern void inval_looking_end(InvalLooking *looking);
extern void inval_looking_forget(void);

extern void inval_looking_lose(uint32 rule);
extern InvalRelationRules *inval_looking_use(InvalRelationRules *rules);

#endif							/* INVAL_LOOKING_H */
