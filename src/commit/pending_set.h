/*
 * pending_set.h
 *		The invalidations that a transaction owes to one target by one lane.
 */
#ifndef INVAL_PENDING_SET_H
#define INVAL_PENDING_SET_H

#include "base/entry.h"

struct PendingMark;
struct positions_hash;

typedef struct PendingSet
{
	InvalLane	lane;
	int32		target;
	int			after_ms;		/* see InvalOwed */
	MemoryContext context;		/* what is below is allocated in it */
	char	   *log;			/* NULL until first used, as the table is */
	Size		length;
	Size		capacity;
	struct positions_hash *positions;
	struct PendingMark *marks;
	int			nmarks;
	int			max_marks;
	Size		offered;		/* bytes of the entry behind the end of the log */
	uint32		duplicates;		/* found since the table was last empty */
} PendingSet;

extern PendingSet *inval_pending_set_create(MemoryContext context, InvalLane lane,
											int32 target, int after_ms);
extern void inval_pending_set_reserve(PendingSet *set, Size size);
extern bool inval_pending_set_insert(PendingSet *set, const InvalEntry *entry, Size size);

/* Cannot fail */
extern Size inval_pending_set_growth(const PendingSet *set, Size size);
extern Size inval_pending_set_memory(const PendingSet *set);
extern bool inval_pending_set_pays(const PendingSet *set);
extern bool inval_pending_set_is_large(const PendingSet *set);
extern Size inval_pending_set_level_start(const PendingSet *set);
extern void inval_pending_set_truncate(PendingSet *set, Size length);
extern void inval_pending_set_clear(PendingSet *set);
extern void inval_pending_set_subcommit(PendingSet *set, int level);
extern void inval_pending_set_subabort(PendingSet *set, int level);

#endif							/* INVAL_PENDING_SET_H */
