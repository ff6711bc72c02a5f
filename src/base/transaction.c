/*
 * transaction.c
 *		The short transactions of background workers.
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/snapmgr.h"

#include "base/transaction.h"

/*
 * Begins a transaction, with a snapshot, where none is.
 */
void
inval_transaction_begin(void)
{
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
}

void
inval_transaction_commit(void)
{
	PopActiveSnapshot();
	CommitTransactionCommand();
}
