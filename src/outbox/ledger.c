/*
 * ledger.c
 *		Which transactions had their keys confirmed at commit.
 *
 * The commit callback cannot touch a table any more, so it notes its outcome
 * here: two bits for a transaction, in a ring of shared memory indexed by the
 * 64-bit transaction id.  Readers of the outbox skip what is noted as
 * confirmed, and rotation (rotate.c) removes it for good.
 *
 * A word of the ring is one atomic: 32 bits of two-bit states for 16
 * consecutive xids, and above them the turn of the ring that they belong to.
 * A later turn overwrites an earlier one, never the other way round.  Whatever
 * is forgotten that way reads as unknown and is delivered once more, which is
 * harmless.  No locks, nothing that can fail.
 */
#include "postgres.h"

#include "access/xlog.h"

#include "base/shared.h"
#include "outbox/ledger.h"

#define XIDS_PER_WORD	16

static uint64 ledger_word_of(uint64 xid, uint32 *turn);

/*
 * Attaches to shared memory, and fixes where the ledger's knowledge begins.
 * May raise an error: call it before the commit record.
 */
void
inval_ledger_attach(void)
{
	InvalShared *shared = inval_shared();

	/* On a standby the question is left open until it is promoted. */
	if (unlikely(shared->ledger_start == 0) && !RecoveryInProgress())
	{
		uint64		next = U64FromFullTransactionId(ReadNextFullTransactionId());

		SpinLockAcquire(&shared->mutex);
		if (shared->ledger_start == 0)
			shared->ledger_start = next;
		SpinLockRelease(&shared->mutex);
	}
}

static uint64
ledger_word_of(uint64 xid, uint32 *turn)
{
	uint64		words = inval_shared()->ledger_words;
	uint64		number = xid / XIDS_PER_WORD;

	/* Turns start at 1, so that a zeroed word belongs to none. */
	*turn = (uint32) (number / words) + 1;
	return number % words;
}

/*
 * Notes how the delivery of a transaction's commit lane, or of the one row that
 * it has queued, ended.  Returns whether that is news.  Cannot fail; may be
 * called after the commit record, once inval_ledger_attach was.
 */
bool
inval_ledger_note(FullTransactionId fxid, InvalLedgerState state)
{
	uint64		xid = U64FromFullTransactionId(fxid);
	uint32		turn;
	uint64		place = ledger_word_of(xid, &turn);
	pg_atomic_uint64 *word = &inval_shared_ledger()[place];
	int			shift = (int) (xid % XIDS_PER_WORD) * 2;
	uint64		seen = pg_atomic_read_u64(word);

	for (;;)
	{
		uint32		seen_turn = (uint32) (seen >> 32);
		uint32		bits = (uint32) seen;

		if (seen_turn > turn)
			return false;		/* too old to be remembered */
		if (seen_turn < turn)
			bits = 0;
		bits &= ~((uint32) 3 << shift);
		bits |= (uint32) state << shift;
		if (pg_atomic_compare_exchange_u64(word, &seen,
										   ((uint64) turn << 32) | bits))
			return (uint32) seen != bits || seen_turn < turn;
	}
}

InvalLedgerState
inval_ledger_look(FullTransactionId fxid)
{
	uint64		xid = U64FromFullTransactionId(fxid);
	uint32		turn;
	uint64		place = ledger_word_of(xid, &turn);
	uint64		seen = pg_atomic_read_u64(&inval_shared_ledger()[place]);

	if ((uint32) (seen >> 32) != turn)
		return INVAL_LEDGER_UNKNOWN;
	return (InvalLedgerState) ((seen >> ((xid % XIDS_PER_WORD) * 2)) & 3);
}

/*
 * Whether a transaction is older than this server's memory, so that nobody
 * can still be about to note its outcome.
 */
bool
inval_ledger_predates(FullTransactionId xid)
{
	inval_ledger_attach();
	if (inval_shared()->ledger_start == 0)
		return true;
	return U64FromFullTransactionId(xid) < inval_shared()->ledger_start;
}

/*
 * The oldest transaction that the ledger will remember for a good while yet.
 */
uint64
inval_ledger_horizon(void)
{
	uint64		next = U64FromFullTransactionId(ReadNextFullTransactionId());
	uint64		half = inval_ledger_range() / 2;

	return next > half ? next - half : 0;
}

/*
 * How many transactions the ledger can remember.
 */
uint64
inval_ledger_range(void)
{
	return (uint64) inval_shared()->ledger_words * XIDS_PER_WORD;
}
