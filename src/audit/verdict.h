/*
 * verdict.h
 *		What a target holds at a key, and what that says.
 */
#ifndef INVAL_AUDIT_VERDICT_H
#define INVAL_AUDIT_VERDICT_H

#include "key/refill.h"

typedef enum InvalVerdict
{
	INVAL_VERDICT_FRESH,		/* it is what it should be */
	INVAL_VERDICT_MISSING,		/* nothing is there: a reader asks the database */
	INVAL_VERDICT_STALE,		/* it is something else */
	INVAL_VERDICT_UNKNOWN,		/* it is in another format */
	INVAL_VERDICT_SKIPPED		/* it is just being changed, or could not be read */
} InvalVerdict;

/* What is there */
typedef struct InvalHolding
{
	const char *value;			/* NULL: no string is */
	Size		length;
	const char *other;			/* but this, or why it is not known; NULL: nothing */
	bool		fenced;			/* a strict commit of the key is under way */
	bool		leased;			/* a reader is filling it */
	bool		kept;			/* the value is stale, and kept until it is filled */
} InvalHolding;

/* A verdict, and why; a static text, or one in the caller's memory context */
typedef struct InvalFinding
{
	InvalVerdict verdict;
	const char *detail;			/* NULL: nothing is to be said */
} InvalFinding;

extern InvalFinding inval_compare(const InvalRefillValue *expected, bool binary,
								  const InvalHolding *holding);
extern bool inval_value_is_same(const InvalRefillValue *a, const InvalRefillValue *b);
extern const char *inval_verdict_name(InvalVerdict verdict);

#endif							/* INVAL_AUDIT_VERDICT_H */
