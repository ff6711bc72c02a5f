/*
 * ledger.h
 *		Which transactions had their keys confirmed at commit.
 */
#ifndef INVAL_LEDGER_H
#define INVAL_LEDGER_H

#include "access/transam.h"

typedef enum InvalLedgerState
{
	INVAL_LEDGER_UNKNOWN = 0,	/* not known, or not known any more */
	INVAL_LEDGER_CONFIRMED = 1, /* its commit-lane entries are confirmed */
	INVAL_LEDGER_LEFT = 2,		/* they are left to the worker */
	INVAL_LEDGER_REPEATED = 3	/* confirmed, and again after replay */
} InvalLedgerState;

extern void inval_ledger_init(void);
extern void inval_ledger_attach(void);
extern bool inval_ledger_note(FullTransactionId xid, InvalLedgerState state);
extern InvalLedgerState inval_ledger_look(FullTransactionId xid);
extern uint64 inval_ledger_range(void);
extern uint64 inval_ledger_horizon(void);
extern bool inval_ledger_predates(FullTransactionId xid);

#endif							/* INVAL_LEDGER_H */
