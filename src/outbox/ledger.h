/*
 * ledger.h
 *		Which transactions had their keys confirmed at commit.
 */
#ifndef INVAL_LEDGER_H
#define INVAL_LEDGER_H

#include "access/transam.h"

#include "target/health.h"

typedef enum InvalLedgerState
{
	INVAL_LEDGER_UNKNOWN = 0,	/* not known, or not known any more */
	INVAL_LEDGER_CONFIRMED = 1, /* its commit-lane entries are confirmed */
	INVAL_LEDGER_LEFT = 2,		/* they are left to the workers, but those of
								 * targets that inval_ledger_has_part names */
	INVAL_LEDGER_REPEATED = 3	/* confirmed, and again after replay */
} InvalLedgerState;

extern void inval_ledger_init(void);
extern void inval_ledger_attach(void);
extern bool inval_ledger_note(FullTransactionId xid, InvalLedgerState state);
extern InvalLedgerState inval_ledger_look(FullTransactionId xid);
extern void inval_ledger_note_part(FullTransactionId xid, const InvalTargetHealth *target);
extern bool inval_ledger_has_part(FullTransactionId xid, const InvalTargetHealth *target);
extern uint64 inval_ledger_horizon(void);
extern bool inval_ledger_predates(FullTransactionId xid);

#endif							/* INVAL_LEDGER_H */
