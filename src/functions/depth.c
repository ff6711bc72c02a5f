/*
 * depth.c
 *		How much is queued for each target.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "functions/depth.h"
#include "outbox/kept.h"
#include "outbox/ledger.h"
#include "outbox/read.h"
#include "target/targets.h"

static bool depth_visit(InvalOutboxRow *row, void *arg);
static void depth_add(const InvalDepths *depths, InvalDepth *depth, int64 entries,
					  TimestampTz queued_at);

/*
 * Measures it, in the current memory context; what was queued before "overdue_at" is
 * overdue.  What is kept for targets that are away is not read again if it has been
 * counted; then all of it is as old as its oldest.  Reads the tables of the outbox
 * otherwise.
 */
void
inval_depths_measure(InvalDepths *depths, TimestampTz overdue_at)
{
	InvalTarget *target;
	int			tables = INVAL_OUTBOX_KEPT;
	int			count = 0;

	inval_ledger_attach();
	for (target = inval_target_default(); target != NULL; target = target->next)
		count++;
	depths->depths = palloc0(count * sizeof(InvalDepth));
	depths->count = 0;
	depths->overdue_at = overdue_at;
	for (target = inval_target_default(); target != NULL; target = target->next)
	{
		InvalDepth *depth = &depths->depths[depths->count];
		int64		entries;
		TimestampTz oldest;

		if (target->dropped)
			continue;
		depths->count++;
		depth->target = target;
		depth->kept = inval_kept_is_known(target, &entries, &oldest);
		if (!depth->kept)
			tables = INVAL_OUTBOX_TABLES;
		else if (entries > 0)
			depth_add(depths, depth, entries, oldest);
	}
	inval_outbox_scan_all(tables, depth_visit, depths);
}

static bool
depth_visit(InvalOutboxRow *row, void *arg)
{
	InvalDepths *depths = arg;
	InvalDepth *depth = depths->depths;

	CHECK_FOR_INTERRUPTS();
	while (depth < depths->depths + depths->count && depth->target->number != row->target)
		depth++;
	if (depth < depths->depths + depths->count && row->lane != INVAL_LANE_REFILL &&
		!(depth->kept && row->table >= INVAL_OUTBOX_KEPT) && inval_outbox_is_owed(row))
		depth_add(depths, depth, row->entries, row->queued_at);
	return true;
}

static void
depth_add(const InvalDepths *depths, InvalDepth *depth, int64 entries, TimestampTz queued_at)
{
	if (depth->entries == 0 || queued_at < depth->oldest)
		depth->oldest = queued_at;
	depth->entries += entries;
	if (queued_at < depths->overdue_at)
		depth->overdue += entries;
}
