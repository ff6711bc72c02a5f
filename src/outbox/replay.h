/*
 * replay.h
 *		What the standbys have replayed.
 */
#ifndef INVAL_REPLAY_H
#define INVAL_REPLAY_H

#include "access/transam.h"
#include "utils/timestamp.h"

extern bool inval_replay_is_wanted(void);	/* cannot fail */
extern bool inval_replay_is_done(FullTransactionId xid);
extern bool inval_replay_look(void);
extern TimestampTz inval_replay_next_look(void);

#endif							/* INVAL_REPLAY_H */
