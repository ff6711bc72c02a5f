/*
 * check.h
 *		Which of the values that came from the cache were too old.
 */
#ifndef CONSIST_CHECK_H
#define CONSIST_CHECK_H

#include "history.h"

/* By how much a value was too old; the first includes the others. */
typedef enum Grade
{
	VISIBLE,					/* a newer one had been seen, or its commit
								 * had returned, before the read began */
	AFTER_RETURN,				/* its commit had returned */
	AFTER_DELIVERY,				/* one of the two, and then a look at the queue
								 * did not show the key any more */
	GRADES
} Grade;

typedef struct Verdict
{
	long		checked;
	long		old[GRADES];
	Time		oldest[GRADES]; /* the longest time since that could be known */
} Verdict;

/*
 * Judges the reads of all histories, given what they and all histories of
 * earlier calls say of the rows, and clears them.  Adds to the verdict, and
 * describes the first few of each grade, one a line, on standard error.
 */
extern void check_histories(History **histories, int count, Verdict *verdict);

#endif
