/*
 * search.h
 *		Finding keys of a target by how they look.
 */
#ifndef INVAL_SEARCH_H
#define INVAL_SEARCH_H

#include "redis/pattern.h"
#include "redis/scan.h"
#include "target/survey.h"

typedef enum InvalSearchResult
{
	INVAL_SEARCH_MORE,			/* it goes on; some keys may have been found */
	INVAL_SEARCH_LATER,			/* a node is away: not before a pause */
	INVAL_SEARCH_THROUGH,		/* all there was has been found */
	INVAL_SEARCH_REFUSED,		/* the server does not let us search */
	INVAL_SEARCH_FAILED			/* the target has failed, which is noted */
} InvalSearchResult;

/* A search, which goes on from step to step */
typedef struct InvalSearch
{
	const InvalPattern *pattern;
	bool		leases_first;
	bool		leases;			/* they are being searched for */
	bool		again;			/* this round is of importing nodes only, once more */
	bool		begun;			/* and where: */
	bool		through;
	InvalSurvey survey;			/* the target, and its nodes */
	int			current;		/* which of them was asked last; -1: none yet */
	uint64		connection;		/* over which one the cursor is good; 0: none */
	uint64		server;			/* the connection to a single server; 0: not yet */
	InvalCursor cursor;
	uint64		not_before;		/* is the next step, as inval_clock_us */
	char		error[INVAL_ERROR_LEN]; /* why it was refused */
} InvalSearch;

extern void inval_search_begin(InvalSearch *search, InvalTarget *target,
							   const InvalPattern *pattern, bool leases_first);
extern InvalSearchResult inval_search_step(InvalSearch *search, const InvalReply **keys);
extern void inval_search_again(InvalSearch *search);
extern double inval_search_share(const InvalSearch *search);

#endif							/* INVAL_SEARCH_H */
