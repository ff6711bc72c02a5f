/*
 * trust.h
 *		How far what a target has confirmed can be relied on.
 */
#ifndef INVAL_TRUST_H
#define INVAL_TRUST_H

#include "access/transam.h"

#include "target/target.h"

extern bool inval_trust_is_limited(const InvalTarget *target);
extern bool inval_trust_covers(const InvalTarget *target, FullTransactionId xid);
extern bool inval_trust_is_prompt(const InvalTarget *target, uint64 age_us);
extern bool inval_trust_is_settled(const InvalTarget *target, TimestampTz since);
extern void inval_trust_renew(InvalTarget *target, TimestampTz asked_at);
extern void inval_trust_end(InvalTarget *target);

#endif							/* INVAL_TRUST_H */
