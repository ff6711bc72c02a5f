/*
 * verdict.c
 *		What a failure says of a server.
 *
 * That a server is down is shared by all sessions of a database, which then leave
 * their keys to the worker without trying: a circuit breaker.  So it must not be
 * said for the sake of one connection.  What a session suffers by itself (it is
 * new and has no time left to connect, there are too many clients, its connection
 * was cut off) leaves its keys to the worker, and keeps that session from trying
 * again for a moment, and no more.  The worker, which is told that it has
 * something to do, finds out in its own, longer time: its failure is the verdict.
 *
 * Only who was connected and got no answer at all may be the first to know.  So
 * if several such complain, and nobody was answered since the first, they need
 * not wait for the worker.  Where there is none, every complaint counts.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "base/backoff.h"
#include "base/settings.h"
#include "target/target.h"
#include "target/verdict.h"

/* So many complaints agree, if the first is no older than that, in us. */
#define COMPLAINTS			3
#define COMPLAINTS_US		5000000

/*
 * Even the worker may be refused a connection that others have, or lose its own:
 * who has answered somebody in the last so many us is not down for that.
 */
#define JUST_ANSWERED_US	1000000

/* The first pause after a failure; doubles with each further one. */
#define FIRST_PAUSE_US		100000

/*
 * Whether a failure shows that the server is down.  Notes it as a complaint, if
 * not.
 */
bool
inval_verdict(const InvalTargetHealth *health, InvalBreaker *breaker, InvalFault fault,
			  TimestampTz now)
{
	if (fault == INVAL_FAULT_NONE)
		return false;
	if (health->worker_pid == MyProcPid)
		return fault == INVAL_FAULT_SERVER ||
			now - breaker->last_answer > JUST_ANSWERED_US;
	if (inval_target_has_worker() && fault == INVAL_FAULT_CONNECTION)
		return false;
	if (breaker->complaints == 0 || now - breaker->complained_at > COMPLAINTS_US)
	{
		breaker->complaints = 0;
		breaker->complained_at = now;
	}
	return ++breaker->complaints >= COMPLAINTS;
}

/*
 * Notes a failed try, and when the next one is due.
 */
void
inval_verdict_pause(InvalBreaker *breaker, TimestampTz now, uint64 longest_us)
{
	breaker->next_try = now + (int64) inval_backoff_us(breaker->attempts, FIRST_PAUSE_US,
													   longest_us);
	breaker->attempts++;
}

/*
 * Whether the next try is due, and ours.  Moves its time ahead, so that nobody
 * else does it.
 */
bool
inval_verdict_claim(InvalBreaker *breaker, TimestampTz now)
{
	if (now < breaker->next_try)
		return false;
	breaker->next_try = now + (int64) inval_retry_max * 1000;
	return true;
}

/*
 * Notes that somebody was answered.
 */
void
inval_verdict_answered(InvalBreaker *breaker, TimestampTz now)
{
	breaker->attempts = 0;
	breaker->complaints = 0;
	breaker->next_try = 0;
	breaker->last_answer = now;
}
