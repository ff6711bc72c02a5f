/*
 * replay.h
 *		What the standbys have replayed.
 */
#ifndef INVAL_REPLAY_H
#define INVAL_REPLAY_H

#include "access/transam.h"
#include "utils/timestamp.h"

#include "target/health.h"

extern bool inval_replay_is_wanted(void);	/* cannot fail */
extern bool inval_replay_is_done(FullTransactionId xid);
extern bool inval_replay_is_to_look(void);
extern bool inval_replay_look(void);
extern TimestampTz inval_replay_next_look(void);
extern void inval_replay_rest(void);
extern void inval_replay_come(InvalTargetHealth *health);
extern void inval_replay_leave(void);

#endif							/* INVAL_REPLAY_H */
