/*
 * wipe.h
 *		Removing keys of a target by how they look.
 */
#ifndef INVAL_WIPE_H
#define INVAL_WIPE_H

#include "base/progress.h"
#include "target/search.h"

typedef enum InvalWipeResult
{
	INVAL_WIPE_LATER,			/* not yet, for the target's rate or a node that is away */
	INVAL_WIPE_MORE,			/* it goes on */
	INVAL_WIPE_DONE,
	INVAL_WIPE_OWED,			/* gone through, but keys are left; see doubt */
	INVAL_WIPE_REFUSED,			/* the target does not let us search; see search.error */
	INVAL_WIPE_FAILED			/* the target has failed, which is noted */
} InvalWipeResult;

/* One that goes on from step to step */
typedef struct InvalWipe
{
	InvalTarget *target;
	MemoryContext context;		/* of the search, and of: */
	MemoryContext found_context;	/* what the last step of it has found, */
	InvalEntry *found;			/* as deletes, */
	int			found_count;
	int			next;			/* of which so many are done with */
	InvalPattern pattern;
	InvalSearch search;
	uint64		removed;		/* keys, so far */
	uint64		refused;		/* and how often one was that an ACL forbids */
	char		error[INVAL_ERROR_LEN]; /* what was said of the first of these */
	char		doubt[INVAL_ERROR_LEN]; /* of the first that was refused for another
										 * reason, which may pass; "": none was */
} InvalWipe;

extern void inval_wipe_init(InvalWipe *wipe, InvalTarget *target);
extern void inval_wipe_begin(InvalWipe *wipe, bool leases_first);
extern void inval_wipe_end(InvalWipe *wipe);
extern InvalWipeResult inval_wipe_step(InvalWipe *wipe);
extern long inval_wipe_wait_ms(const InvalWipe *wipe);
extern bool inval_wipe_is_stuck(const InvalWipe *wipe);
extern void inval_wipe_progress(const InvalWipe *wipe, InvalProgress *progress);
extern void inval_wipe_describe(const InvalWipe *wipe, const char *what, char *text,
								Size size);

#endif							/* INVAL_WIPE_H */
