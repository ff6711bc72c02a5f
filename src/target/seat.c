/*
 * seat.c
 *		How many sessions are connected to a target.
 *
 * A session that has connections to a target, or is about to, has a seat there: of
 * a cluster, one for all of its nodes, each of which has at most one connection of
 * each session.  inval.max_connections bounds the seats.  A commit that finds none
 * leaves its keys to the worker, which says nothing of the target.  What cannot be
 * left to the worker is not bounded: it is counted, and leaves with its transaction.
 *
 * Sessions keep their connections, as most servers have room for all.  But where a
 * pool of a thousand has a hundred seats, those who came first would have them for
 * ever, idle or not.  So the last quarter is for who comes and goes: he gives his
 * seat up after each transaction.  And where less than that quarter is left, who has
 * kept one gives it up after a transaction if he had not used it for a while.
 * Nothing can be had of a session that does nothing at all.
 *
 * The count is in shared memory, at the place that a target has there.  When that is
 * another's it does not begin anew: who is counted there leaves there, be it when the
 * process ends.  (So a place where nobody is counted is taken first.)  Whoever is killed
 * so that he cannot takes all of shared memory with him.
 */
#include "postgres.h"

#include "storage/ipc.h"

#include "redis/wire.h"
#include "target/seat.h"

/* Who has not used a scarce seat for so long, in us, gives it up. */
#define IDLE_US		1000000

int			inval_seats_taken = 0;

static InvalSeat *seats = NULL;

static void seat_list(InvalSeat *seat);
static void seat_exit(int code, Datum arg);
static bool seat_is_scarce(uint32 taken, int limit);

/*
 * Takes a seat, unless this session has it; limit 0: whether or not there is one.
 * Returns false if all are taken.  Errors are raised before it is.
 */
bool
inval_seat_take(InvalSeat *seat, InvalTargetHealth *health, int limit)
{
	uint32		taken = pg_atomic_read_u32(&health->sessions);
	uint64		now = limit > 0 ? inval_clock_us() : 0;

	if (seat->at != NULL && limit == 0)
		return true;
	if (seat->at != NULL)
	{
		seat->passing |= seat_is_scarce(taken, limit) && now - seat->used_at >= IDLE_US;
		seat->used_at = now;
		return true;
	}
	seat_list(seat);
	do
	{
		if (limit > 0 && taken >= (uint32) limit)
		{
			pg_atomic_fetch_add_u64(&health->turned_away, 1);
			return false;
		}
	} while (!pg_atomic_compare_exchange_u32(&health->sessions, &taken, taken + 1));
	seat->at = health;
	seat->passing = limit > 0 && seat_is_scarce(taken + 1, limit);
	seat->used_at = now;
	inval_seats_taken++;
	return true;
}

/*
 * So that it is known when the process ends.
 */
static void
seat_list(InvalSeat *seat)
{
	if (seat->listed)
		return;
	/* As in progress.c, not before_shmem_exit. */
	if (seats == NULL)
		on_shmem_exit(seat_exit, (Datum) 0);
	seat->next = seats;
	seats = seat;
	seat->listed = true;
}

static void
seat_exit(int code, Datum arg)
{
	InvalSeat  *seat;

	(void) code;
	(void) arg;
	for (seat = seats; seat != NULL; seat = seat->next)
		inval_seat_leave(seat);
}

/*
 * Whether only those seats are left that nobody keeps, or less.
 */
static bool
seat_is_scarce(uint32 taken, int limit)
{
	return taken > (uint32) (limit - Max(limit / 4, 1));
}

/*
 * Whether a seat is to be given up now that the transaction has ended.  Cannot fail.
 */
bool
inval_seat_is_to_leave(InvalSeat *seat, int limit)
{
	uint32		taken = pg_atomic_read_u32(&seat->at->sessions);

	if (!seat_is_scarce(taken, limit))
	{
		seat->passing = false;
		return false;
	}
	return seat->passing || taken > (uint32) limit ||
		inval_clock_us() - seat->used_at >= IDLE_US;
}

/*
 * Gives a seat up, if there is one; the connections are closed.  Cannot fail.
 */
void
inval_seat_leave(InvalSeat *seat)
{
	InvalTargetHealth *at = seat->at;

	if (at == NULL)
		return;
	seat->at = NULL;
	inval_seats_taken--;
	(void) pg_atomic_fetch_sub_u32(&at->sessions, 1);
}
