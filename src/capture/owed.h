/*
 * owed.h
 *		Queues what one row owes under one rule.
 */
#ifndef INVAL_OWED_H
#define INVAL_OWED_H

#include "rule/rule.h"

/* A rule being applied to a row */
typedef struct InvalRowOwed
{
	InvalRule  *rule;
	bool		found;			/* an entry at least */
	bool		missing_now;	/* a foreign key leads nowhere */
	bool		missing;		/* nor did it before this transaction */
} InvalRowOwed;

extern void inval_owed_look_up(InvalRowOwed *owed, TupleTableSlot *row);
extern void inval_owed_late(InvalRule *rule, TupleTableSlot *row);
extern void inval_owed_queue(InvalRule *rule, const InvalEntry *entry);
extern void inval_owed_entry(const InvalEntry *entry, void *arg);
extern void inval_owed_missing(InvalRowOwed *owed);
extern void inval_owed_count_row(const InvalRule *rule);
extern void inval_owed_count_skipped(const InvalRule *rule);

#endif							/* INVAL_OWED_H */
