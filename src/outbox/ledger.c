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
 *
 * The two bits are of all targets together.  Where one of them has not confirmed
 * and others have, those are remembered in a table beside the ring: each word is
 * a transaction id and the number of a target's place in shared memory, and
 * what comes later overwrites it.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "common/hashfn.h"
#include "port/atomics.h"

#include "base/shared.h"
#include "outbox/ledger.h"

#define XIDS_PER_WORD	16

typedef struct LedgerHead
{
	uint64		start;			/* first xid that the ledger can know; 0: not set */
} LedgerHead;

/* Bits of a word of the table of parts that are the target's place */
#define PLACE_BITS	16

static void ledger_initialize_word(void *element);
static LedgerHead *ledger_head(void);
static uint64 ledger_range(void);
static pg_atomic_uint64 *ledger_part(FullTransactionId xid,
									 const InvalTargetHealth *target, uint64 *word);
static pg_atomic_uint64 *ledger_word_of(uint64 xid, uint32 *turn);

/* How many words is a power of two. */
static InvalSharedArea word_area = {
	.element_size = sizeof(pg_atomic_uint64),
	.layout = 1,
	.preloaded = 65536,
	.reserve = 2048,
	.initialize = ledger_initialize_word
};

static InvalSharedArea part_area = {
	.element_size = sizeof(pg_atomic_uint64),
	.layout = 1,
	.preloaded = 65536,
	.reserve = 1024,
	.initialize = ledger_initialize_word
};

static InvalSharedArea head_area = {
	.element_size = sizeof(LedgerHead),
	.layout = 1,
	.preloaded = 1,
	.reserve = 1
};

/*
 * Called by _PG_init.
 */
void
inval_ledger_init(void)
{
	inval_shared_add(&word_area);
	inval_shared_add(&part_area);
	inval_shared_add(&head_area);
}

static void
ledger_initialize_word(void *element)
{
	pg_atomic_init_u64(element, 0);
}

static LedgerHead *
ledger_head(void)
{
	return inval_shared_elements(&head_area);
}

/*
 * Attaches to shared memory, and fixes where the ledger's knowledge begins.
 * May raise an error: call it before the commit record.
 */
void
inval_ledger_attach(void)
{
	LedgerHead *head = ledger_head();

	/* On a standby the question is left open until it is promoted. */
	if (unlikely(head->start == 0) && !RecoveryInProgress())
	{
		uint64		next = U64FromFullTransactionId(ReadNextFullTransactionId());
		slock_t    *mutex = inval_shared_mutex();

		SpinLockAcquire(mutex);
		if (head->start == 0)
			head->start = next;
		SpinLockRelease(mutex);
	}
}

/*
 * The word that a transaction's state is in while this is the ring's turn.
 */
static pg_atomic_uint64 *
ledger_word_of(uint64 xid, uint32 *turn)
{
	pg_atomic_uint64 *ring = inval_shared_elements(&word_area);
	uint64		words = word_area.count;
	uint64		number = xid / XIDS_PER_WORD;

	/* Turns start at 1, so that a zeroed word belongs to none. */
	*turn = (uint32) (number / words) + 1;
	return &ring[number % words];
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
	pg_atomic_uint64 *word = ledger_word_of(xid, &turn);
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
	uint64		seen = pg_atomic_read_u64(ledger_word_of(xid, &turn));

	if ((uint32) (seen >> 32) != turn)
		return INVAL_LEDGER_UNKNOWN;
	return (InvalLedgerState) ((seen >> ((xid % XIDS_PER_WORD) * 2)) & 3);
}

/*
 * Notes that a target has confirmed what a transaction owed it at commit, although
 * others have not.  Cannot fail.
 */
void
inval_ledger_note_part(FullTransactionId xid, const InvalTargetHealth *target)
{
	uint64		word;
	pg_atomic_uint64 *place = ledger_part(xid, target, &word);

	if (place != NULL)
		pg_atomic_write_u64(place, word);
}

bool
inval_ledger_has_part(FullTransactionId xid, const InvalTargetHealth *target)
{
	uint64		word;
	pg_atomic_uint64 *place = ledger_part(xid, target, &word);

	return place != NULL && pg_atomic_read_u64(place) == word;
}

/*
 * The place of a part in the table, and what it holds if it is noted.  NULL: it
 * cannot be, because the target has no place in shared memory, or had none then.
 */
static pg_atomic_uint64 *
ledger_part(FullTransactionId xid, const InvalTargetHealth *target, uint64 *word)
{
	pg_atomic_uint64 *parts = inval_shared_elements(&part_area);
	uint32		count;
	InvalTargetHealth *healths = inval_target_healths(&count);

	/* What is older than its place there may have been noted of whose it was. */
	if (!inval_target_has_place(target) || U64FromFullTransactionId(xid) < target->kept_xid)
		return NULL;
	*word = (U64FromFullTransactionId(xid) << PLACE_BITS) | (uint64) (target - healths);
	return &parts[hash_bytes((const unsigned char *) word, sizeof(*word)) % part_area.count];
}

/*
 * Whether a transaction is older than this server's memory, so that nobody
 * can still be about to note its outcome.
 */
bool
inval_ledger_predates(FullTransactionId xid)
{
	inval_ledger_attach();
	if (ledger_head()->start == 0)
		return true;
	return U64FromFullTransactionId(xid) < ledger_head()->start;
}

/*
 * The oldest transaction that the ledger will remember for a good while yet.
 */
uint64
inval_ledger_horizon(void)
{
	uint64		next = U64FromFullTransactionId(ReadNextFullTransactionId());
	uint64		half = ledger_range() / 2;

	return next > half ? next - half : 0;
}

/*
 * How many transactions the ledger can remember.
 */
static uint64
ledger_range(void)
{
	(void) inval_shared_elements(&word_area);
	return (uint64) word_area.count * XIDS_PER_WORD;
}
