/*
 * verdict.h
 *		What a failure says of a server.
 */
#ifndef INVAL_VERDICT_H
#define INVAL_VERDICT_H

#include "redis/connection.h"
#include "target/health.h"

/*
 * After a failure of its own a process leaves a server alone for so long, in us;
 * unless it has come up again meanwhile.
 */
#define INVAL_OWN_PAUSE_US	200000

/* All of them under the mutex; they cannot fail */
extern bool inval_verdict(const InvalTargetHealth *health, InvalBreaker *breaker,
						  InvalFault fault, TimestampTz now);
extern void inval_verdict_pause(InvalBreaker *breaker, TimestampTz now, uint64 longest_us);
extern bool inval_verdict_claim(InvalBreaker *breaker, TimestampTz now);
extern void inval_verdict_answered(InvalBreaker *breaker, TimestampTz now);

#endif							/* INVAL_VERDICT_H */
