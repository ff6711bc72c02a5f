/*
 * target.h
 *		One Redis deployment: where it is, how it is, our connection to it.
 */
#ifndef INVAL_TARGET_H
#define INVAL_TARGET_H

#include "redis.h"
#include "shared.h"

#define INVAL_DEFAULT_TARGET	"default"

/* This process's view of a target */
typedef struct InvalTarget
{
	const char *name;
	InvalTargetHealth *health;	/* shared */
	char	   *configured;		/* the URL as last seen in the settings */
	InvalUrl	url;
	uint32		url_hash;
	InvalConnection *connection;	/* NULL: none */
} InvalTarget;

extern InvalTarget *inval_target_default(void);
extern bool inval_target_exists(const char *name);
extern InvalTargetHealth *inval_target_health(const char *name);

extern bool inval_target_shares_health(InvalTarget *target);
extern bool inval_target_is_open(InvalTarget *target);
extern bool inval_target_claim_probe(InvalTarget *target);
extern bool inval_target_connect(InvalTarget *target, uint64 deadline,
								 bool may_resolve);
extern void inval_target_disconnect(InvalTarget *target);

/* Cannot fail: may be called after the commit record */
extern void inval_target_failed(InvalTarget *target, const char *error);
extern void inval_target_succeeded(InvalTarget *target, uint64 keys,
								   uint64 round_trip_us);

extern void inval_target_log_change(InvalTarget *target);
extern void inval_target_adopt(InvalTarget *target);
extern uint64 inval_backoff_us(uint32 attempts, uint64 first_us, uint64 max_us);

#endif							/* INVAL_TARGET_H */
