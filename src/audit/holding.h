/*
 * holding.h
 *		Asks a target what it holds at a key.
 */
#ifndef INVAL_AUDIT_HOLDING_H
#define INVAL_AUDIT_HOLDING_H

#include "audit/verdict.h"
#include "target/target.h"

/* Commands to Redis that it takes, for the target's rate */
#define INVAL_HOLDING_COMMANDS	2

extern bool inval_holding_ask(InvalTarget *target, const char *key, Size length,
							  InvalHolding *holding, char *error, Size size);

#endif							/* INVAL_AUDIT_HOLDING_H */
