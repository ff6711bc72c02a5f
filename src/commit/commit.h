/*
 * commit.h
 *		What happens when a transaction ends.
 */
#ifndef INVAL_COMMIT_H
#define INVAL_COMMIT_H

#include "base/entry.h"

extern void inval_commit_init(void);
extern void inval_commit_begin(void);
extern void inval_commit_wrote(void);
extern bool inval_commit_queue(InvalLane lane, int32 target, const InvalEntry *entry);
extern void inval_commit_queue_repeat(int32 target, int after_ms, const InvalEntry *entry);

#endif							/* INVAL_COMMIT_H */
