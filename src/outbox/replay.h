/*
 * replay.h
 *		What the standbys have replayed.
 */
#ifndef INVAL_REPLAY_H
#define INVAL_REPLAY_H

#include "access/transam.h"
#include "utils/timestamp.h"

/* What is known of a committed transaction */
typedef enum InvalReplayState
{
	INVAL_REPLAY_OPEN,			/* some standby may not have replayed it */
	INVAL_REPLAY_DONE,			/* all have, or were waited for long enough */
	INVAL_REPLAY_NEEDLESS		/* there was no standby to wait for */
} InvalReplayState;

extern bool inval_replay_is_wanted(void);	/* cannot fail */
extern InvalReplayState inval_replay_state(FullTransactionId xid);
extern bool inval_replay_look(void);
extern TimestampTz inval_replay_next_look(void);

#endif							/* INVAL_REPLAY_H */
