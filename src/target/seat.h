/*
 * seat.h
 *		How many sessions are connected to a target.
 */
#ifndef INVAL_SEAT_H
#define INVAL_SEAT_H

#include "target/health.h"

/* A session's, of one target.  Zero means: none. */
typedef struct InvalSeat
{
	InvalTargetHealth *at;		/* where it is counted; NULL: nowhere */
	bool		passing;		/* to be given up with the transaction */
	uint64		used_at;		/* by a commit, as inval_clock_us gives it */
	bool		listed;			/* among those of this process, */
	struct InvalSeat *next;		/* of which this is the next */
} InvalSeat;

extern int	inval_seats_taken;	/* by this process */

extern bool inval_seat_take(InvalSeat *seat, InvalTargetHealth *health, int limit);

/* Cannot fail: may be called after the commit record */
extern bool inval_seat_is_to_leave(InvalSeat *seat, int limit);
extern void inval_seat_leave(InvalSeat *seat);

#endif							/* INVAL_SEAT_H */
