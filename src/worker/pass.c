/*
 * pass.c
 *		A pass through the outbox, and how far it is.
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/memutils.h"

#include "base/transaction.h"
#include "redis/wire.h"
#include "store/pauses.h"
#include "worker/pass.h"

/*
 * Prepares for passes; each begins with inval_pass_rewind.  "own_transactions"
 * is for the worker, which also is who announcements are for.
 */
void
inval_pass_begin(InvalPass *pass, InvalTarget *target, bool own_transactions)
{
	memset(pass, 0, sizeof(*pass));
	pass->target = target;
	pass->own_transactions = own_transactions;
	pass->context = AllocSetContextCreate(CurrentMemoryContext, "inval batch",
										  ALLOCSET_DEFAULT_SIZES);
}

/*
 * Starts a pass: through all of the outbox, or through what was announced
 * since the last one (inval_outbox_announce).  The second is what makes a
 * wake-up cheap; the first finds what nobody announced, such as the rows of a
 * transaction that was prepared elsewhere.  "kept": of the whole, the tables for
 * targets that are away are part.
 */
void
inval_pass_rewind(InvalPass *pass, bool whole, bool kept)
{
	pass->whole = whole;
	pass->kept = kept;
	pass->kept_met = false;
	pass->started = inval_clock_us();
	pass->look_us = 0;
	pass->pauses = inval_pauses_version();
	memset(pass->cursors, 0, sizeof(pass->cursors));
	pass->cursors[INVAL_PASS_NEWS].active = pass->own_transactions;
	pass->cursors[INVAL_PASS_ALL].active = whole;
	pass->found = 0;
	pass->open = 0;
	pass->paused = 0;
	pass->next_due = 0;
}

void
inval_pass_end(InvalPass *pass)
{
	MemoryContextDelete(pass->context);
}

/*
 * Begins what reads or writes the outbox, and ends it.  Within a caller's
 * transaction, what it wrote is made visible to what comes next.
 */
void
inval_pass_start_transaction(InvalPass *pass)
{
	if (pass->own_transactions)
		inval_transaction_begin();
	MemoryContextSwitchTo(pass->context);
}

void
inval_pass_commit_transaction(InvalPass *pass)
{
	if (pass->own_transactions)
		inval_transaction_commit();
	else
		CommandCounterIncrement();
	MemoryContextSwitchTo(pass->context);
}
