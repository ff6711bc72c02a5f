/*
 * kept.h
 *		How much lies in the tables for targets that are away.
 */
#ifndef INVAL_OUTBOX_KEPT_H
#define INVAL_OUTBOX_KEPT_H

#include "access/transam.h"

#include "target/target.h"

extern void inval_kept_init(void);
extern void inval_kept_change(int32 number, FullTransactionId xid, int64 entries,
							  TimestampTz queued_at);
extern bool inval_kept_is_old(const InvalTarget *target, FullTransactionId xid);
extern void inval_kept_count_old(const InvalTarget *target, int64 entries,
								 TimestampTz since);
extern bool inval_kept_is_known(const InvalTarget *target, int64 *entries,
								TimestampTz *since);

#endif							/* INVAL_OUTBOX_KEPT_H */
