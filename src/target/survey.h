/*
 * survey.h
 *		Which servers of a target are to be searched, and what they have.
 */
#ifndef INVAL_SURVEY_H
#define INVAL_SURVEY_H

#include "target/target.h"

/* A server that is, or was, searched */
typedef struct InvalSearchNode
{
	char		host[INVAL_NODE_HOST_LEN];
	int			port;
	uint64		state;			/* what it had said of its slots when it was last searched
								 * (InvalSlotClaim); 0: it never was */
	bool		due;			/* to be searched in this round */
	bool		there;			/* the last survey has met it; */
	bool		known;			/* and it has answered, this: */
	uint64		seen;
	bool		imports;
} InvalSearchNode;

typedef struct InvalSurvey
{
	InvalTarget *target;
	InvalSearchNode *nodes;		/* room for INVAL_MAP_NODES */
	int			count;
	bool		complete;		/* all have answered, and have all slots together */
	char		error[INVAL_ERROR_LEN]; /* what one of them refuses; "": none does */
} InvalSurvey;

extern bool inval_survey(InvalSurvey *survey);

#endif							/* INVAL_SURVEY_H */
