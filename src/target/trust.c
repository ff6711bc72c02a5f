/*
 * trust.c
 *		How far what a target has confirmed can be relied on.
 *
 * Redis answers before its replicas have heard of it.  When one of them becomes
 * the master, the keys that the old one has removed within the last moments
 * live on; and sentinels promote first and tell later, and we hear of it later
 * still.  So a confirmation is settled only when the sentinels, asked some
 * seconds after it, still name the same master.  Until then its row stays in the
 * outbox, although it is not owed (outbox/rotate.c).
 *
 * When the master is another, or does not answer, no transaction that is older
 * than that news has anything confirmed: the rows that are still there are owed
 * again, and delivered like any.  Whoever has a newer transaction has also seen
 * the news when he looked where the target is, which comes after he has the
 * transaction's id.
 *
 * Where nobody asks sentinels at intervals, because they are not what the URL
 * names or there are no workers, what is confirmed is settled at once.
 */
#include "postgres.h"

#include "target/trust.h"

/*
 * How long a row of a confirmed key stays, in ms, and how much of that may have
 * passed already when it is confirmed.  What is between them, five seconds,
 * covers what the replica was behind by, the second that sentinels take from
 * promoting a replica to saying so, and the half second until they are asked.
 */
#define SETTLE_MS		6000
#define PROMPT_US		1000000

/*
 * Whether what the target confirms may be lost with one of its servers while
 * another takes over.
 */
bool
inval_trust_is_limited(const InvalTarget *target)
{
	return target->url.kind == INVAL_URL_SENTINEL && inval_target_has_worker() &&
		inval_target_has_place(target->health);
}

/*
 * Whether what a transaction had confirmed counts.
 */
bool
inval_trust_covers(const InvalTarget *target, FullTransactionId xid)
{
	return U64FromFullTransactionId(xid) >=
		pg_atomic_read_u64(&target->health->trusted_xid);
}

/*
 * Whether a row that is confirmed so long after it was queued may stay where it
 * is until that is settled: it stays for a time from when it was queued.  Cannot
 * fail.
 */
bool
inval_trust_is_prompt(const InvalTarget *target, uint64 age_us)
{
	return age_us < PROMPT_US || !inval_trust_is_limited(target);
}

/*
 * Whether what was queued at that time and is confirmed will stay so.
 */
bool
inval_trust_is_settled(const InvalTarget *target, TimestampTz since)
{
	return !inval_trust_is_limited(target) ||
		TimestampTzPlusMilliseconds(since, SETTLE_MS) <=
		(TimestampTz) pg_atomic_read_u64(&target->health->seen_at);
}

/*
 * Says that those who know where the target is were asked at that time, and that
 * it is where it was, or that they are silent and it goes on answering.
 */
void
inval_trust_renew(InvalTarget *target, TimestampTz asked_at)
{
	pg_atomic_write_u64(&target->health->seen_at, (uint64) asked_at);
}

/*
 * Says that the target is elsewhere, or that it is down, so that it will perhaps
 * be elsewhere.  To be called when others have been told.  The worker finds what is
 * owed again as if all of it had just been announced.
 */
void
inval_trust_end(InvalTarget *target)
{
	uint64		next;
	uint64		seen;
	int			i;

	if (!inval_trust_is_limited(target))
		return;
	next = U64FromFullTransactionId(ReadNextFullTransactionId());
	seen = pg_atomic_read_u64(&target->health->trusted_xid);
	/* Somebody may have later news. */
	while (seen < next &&
		   !pg_atomic_compare_exchange_u64(&target->health->trusted_xid, &seen, next))
		 /* try again */ ;
	pg_memory_barrier();
	for (i = 0; i < INVAL_OUTBOX_TABLES; i++)
		pg_atomic_write_u32(&target->health->low_block[i], 0);
}
