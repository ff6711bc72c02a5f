/*
 * fencers.h
 *		The transactions that have fences now.
 */
#ifndef INVAL_FENCERS_H
#define INVAL_FENCERS_H

#include "access/transam.h"
#include "storage/block.h"
#include "utils/timestamp.h"

#include "base/catalog.h"

/* A transaction with fences, as others see it */
typedef struct InvalFencer
{
	FullTransactionId xid;		/* invalid: none */
	Oid			database;
	TimestampTz since;			/* when it took them, or was rolled back */
	bool		left;			/* it was rolled back, and has yet to end them: its
								 * rows say which they are */
	BlockNumber blocks[INVAL_OUTBOX_TABLES];	/* where its rows may be: from there
												 * on; InvalidBlockNumber: not
												 * in that table */
} InvalFencer;

extern void inval_fencers_init(void);
extern bool inval_fencers_enter(FullTransactionId xid, const BlockNumber *blocks);
extern uint32 inval_fencers_count(void);
extern bool inval_fencers_read(uint32 number, InvalFencer *copy);
extern void inval_fencers_forget(uint32 number, FullTransactionId xid);
extern bool inval_fencers_were_before(TimestampTz time);
extern bool inval_fencers_need(int table);

/* Cannot fail */
extern bool inval_fencers_roll_back(void);
extern void inval_fencers_leave(bool ended);

#endif							/* INVAL_FENCERS_H */
