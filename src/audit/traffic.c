/*
 * traffic.c
 *		Which of some keys are just being invalidated.
 *
 * Every change that others see has written what it invalidates to the outbox, in the
 * same transaction.  So of a key that is compared with the database
 *
 *		before it is read from the target, what was visible until then and is not
 *		confirmed yet may be on its way: what the target holds says nothing;
 *		after it was read, what has become visible since the beginning may have
 *		come in between.
 *
 * The first is what is owed, as inval_queue shows it.  For the second all rows are read,
 * confirmed or deleted or not: none of them can be gone, because from the beginning to
 * the end no table of the outbox can be emptied, for our locks, nor a dead row be
 * removed, for our snapshot.  Both are held for moments.  No clock counts, neither ours
 * nor that of a target.
 *
 * Entries that do not name the keys that they remove stand for all that they could:
 * prefixes for what begins so; look-ups that are yet to be made for what the keys of
 * their rule begin with; sets, whose members only the target knows, for everything.
 * There may be some at any time, so the latter two, as far as they were there when the
 * database was read, are waited for a little.  Those that come later make the database
 * differ, if they matter.
 */
#include "postgres.h"

#include "access/relation.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "audit/traffic.h"
#include "base/encoding.h"
#include "key/template.h"
#include "outbox/ledger.h"
#include "outbox/read.h"
#include "rule/carrier.h"
#include "target/targets.h"

/* Look-ups and sets are waited for so often, for so many ms. */
#define WAITS			10
#define WAIT_MS			5

/* How the keys of a rule begin */
typedef struct TrafficStart
{
	uint32		rule;
	InvalPrefix start;
} TrafficStart;

static bool traffic_may_pass(const InvalTraffic *traffic);
static bool traffic_visit_owed(InvalOutboxRow *row, void *arg);
static bool traffic_visit_new(InvalOutboxRow *row, void *arg);
static bool traffic_is_on_its_way(const InvalOutboxRow *row);
static void traffic_take(InvalTraffic *traffic, const InvalOutboxRow *row, bool owed);
static void traffic_take_entry(InvalTraffic *traffic, int target, const InvalEntry *entry);
static void traffic_take_prefix(InvalTraffic *traffic, int target, const InvalPrefix *prefix);
static int	traffic_find(const InvalTraffic *traffic, const InvalPrefix *key);
static int	traffic_compare(const InvalPrefix *a, const InvalPrefix *b);
static const InvalPrefix *traffic_start_of(InvalTraffic *traffic, uint32 rule);
static InvalPrefix traffic_read_start(uint32 rule);
static bool traffic_was_visible(const InvalOutboxRow *row, Snapshot snapshot);

/*
 * The beginning: what is read of the database must be read after it.  Returns false if
 * the outbox is locked by somebody, for a worker, which does not wait.  An error takes
 * back all that is held.
 */
bool
inval_traffic_begin(InvalTraffic *traffic)
{
	int			table;

	memset(traffic, 0, sizeof(*traffic));
	inval_ledger_attach();
	for (table = 0; table < INVAL_OUTBOX_TABLES; table++)
	{
		traffic->outbox[table] = inval_outbox_open(table, AccessShareLock);
		if (traffic->outbox[table] == NULL)
		{
			inval_traffic_end(traffic);
			return false;
		}
	}
	traffic->since = RegisterSnapshot(GetLatestSnapshot());
	return true;
}

void
inval_traffic_end(InvalTraffic *traffic)
{
	int			table;

	if (traffic->looked != NULL)
		UnregisterSnapshot(traffic->looked);
	if (traffic->until != NULL)
		UnregisterSnapshot(traffic->until);
	if (traffic->since != NULL)
		UnregisterSnapshot(traffic->since);
	for (table = 0; table < INVAL_OUTBOX_TABLES; table++)
		if (traffic->outbox[table] != NULL)
			relation_close(traffic->outbox[table], AccessShareLock);
	memset(traffic, 0, sizeof(*traffic));
}

/*
 * Finds what is owed, of all that was visible when the database was read; before the
 * targets are.  The keys and the targets are filled in by now.
 */
void
inval_traffic_look(InvalTraffic *traffic)
{
	Size		cells = Max((Size) traffic->nkeys * traffic->ntargets, 1);
	int			waits;

	traffic->owed = palloc(cells * sizeof(bool));
	traffic->changed = palloc0(cells * sizeof(bool));
	traffic->marks = traffic->owed;
	traffic->looked = RegisterSnapshot(GetLatestSnapshot());
	inval_targets_refresh();
	for (waits = 0;; waits++)
	{
		memset(traffic->owed, false, cells * sizeof(bool));
		traffic->members = traffic->looks = false;
		inval_outbox_scan_all(INVAL_OUTBOX_TABLES, traffic_visit_owed, traffic);
		if (!traffic_may_pass(traffic) || waits == WAITS)
			break;
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 WAIT_MS, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	if (traffic->members)
		memset(traffic->owed, true, cells * sizeof(bool));
}

/*
 * Whether there is something that is soon over.  The worker of "default" is who makes
 * look-ups, so it would wait in vain.
 */
static bool
traffic_may_pass(const InvalTraffic *traffic)
{
	return traffic->members ||
		(traffic->looks && inval_target_default()->health->worker_pid != MyProcPid);
}

/*
 * Finds what has been invalidated since the beginning, after the database was read for
 * the last time.
 */
void
inval_traffic_look_back(InvalTraffic *traffic)
{
	int			table;

	traffic->marks = traffic->changed;
	traffic->until = RegisterSnapshot(GetLatestSnapshot());
	for (table = 0; table < INVAL_OUTBOX_TABLES; table++)
		inval_outbox_scan_relation(traffic->outbox[table], SnapshotAny, table, 0,
								   traffic_visit_new, traffic);
}

static bool
traffic_visit_owed(InvalOutboxRow *row, void *arg)
{
	InvalTraffic *traffic = arg;

	CHECK_FOR_INTERRUPTS();
	if (row->lane == INVAL_LANE_LOOK && !traffic_was_visible(row, traffic->looked))
		return true;
	traffic->looks |= row->lane == INVAL_LANE_LOOK;
	if (traffic_is_on_its_way(row))
		traffic_take(traffic, row, true);
	return true;
}

/*
 * Whether a row that is visible may still be sent.  What is confirmed, but may be lost
 * in a failover, is as good as owed.
 */
static bool
traffic_is_on_its_way(const InvalOutboxRow *row)
{
	return row->lane == INVAL_LANE_REFILL || inval_outbox_is_owed(row) ||
		!inval_outbox_is_settled(row);
}

/*
 * What is not visible at the end has changed nothing that was read.  Of transactions that
 * were rolled back there are rows, too: they are counted in.
 */
static bool
traffic_visit_new(InvalOutboxRow *row, void *arg)
{
	InvalTraffic *traffic = arg;

	CHECK_FOR_INTERRUPTS();
	if (row->lane != INVAL_LANE_LOOK && !traffic_was_visible(row, traffic->since) &&
		traffic_was_visible(row, traffic->until))
		traffic_take(traffic, row, false);
	return true;
}

/*
 * Whether a row's transaction, for which a row may have been written anew by a worker,
 * had ended when a snapshot was taken.
 */
static bool
traffic_was_visible(const InvalOutboxRow *row, Snapshot snapshot)
{
	return !XidInMVCCSnapshot(XidFromFullTransactionId(row->xid), snapshot);
}

static void
traffic_take(InvalTraffic *traffic, const InvalOutboxRow *row, bool owed)
{
	static const InvalPrefix all = {"", 0};
	int			target;
	int			i;

	for (target = 0; target < traffic->ntargets; target++)
	{
		const char *place;

		if (row->lane != INVAL_LANE_LOOK && traffic->targets[target]->number != row->target)
			continue;
		if (!inval_outbox_is_readable(row))
		{
			traffic_take_prefix(traffic, target, &all);
			continue;
		}
		place = row->pack;
		for (i = 0; i < row->entries; i++)
		{
			InvalEntry	entry;

			place = inval_entry_read(place, row->pack + row->pack_length, &entry);
			traffic_take_entry(traffic, target, &entry);
			traffic->members |= owed && entry.action == INVAL_ACTION_MEMBERS &&
				traffic_was_visible(row, traffic->looked);
		}
	}
}

static void
traffic_take_entry(InvalTraffic *traffic, int target, const InvalEntry *entry)
{
	InvalPrefix key = {entry->key, entry->key_length};
	int			place;

	if (entry->action == INVAL_ACTION_LOOK)
		key = *traffic_start_of(traffic, entry->rule);
	if (key.bytes == NULL)
		return;
	if (entry->action == INVAL_ACTION_PREFIX || entry->action == INVAL_ACTION_LOOK)
		traffic_take_prefix(traffic, target, &key);
	else
	{
		place = traffic_find(traffic, &key);
		if (place < traffic->nkeys && traffic_compare(&traffic->keys[place], &key) == 0)
			traffic->marks[place * traffic->ntargets + target] = true;
	}
}

/*
 * All keys that begin so.
 */
static void
traffic_take_prefix(InvalTraffic *traffic, int target, const InvalPrefix *prefix)
{
	int			place = traffic_find(traffic, prefix);

	for (; place < traffic->nkeys; place++)
	{
		const InvalPrefix *key = &traffic->keys[place];

		if (key->length < prefix->length ||
			memcmp(key->bytes, prefix->bytes, prefix->length) != 0)
			break;
		traffic->marks[place * traffic->ntargets + target] = true;
	}
}

/*
 * The place of the first key that is not before this one.
 */
static int
traffic_find(const InvalTraffic *traffic, const InvalPrefix *key)
{
	int			low = 0;
	int			high = traffic->nkeys;

	while (low < high)
	{
		int			middle = (low + high) / 2;

		if (traffic_compare(&traffic->keys[middle], key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static int
traffic_compare(const InvalPrefix *a, const InvalPrefix *b)
{
	int			order = memcmp(a->bytes, b->bytes, Min(a->length, b->length));

	if (order != 0)
		return order;
	return a->length < b->length ? -1 : a->length > b->length;
}

/*
 * How the keys begin that a rule may find when it looks once more.
 */
static const InvalPrefix *
traffic_start_of(InvalTraffic *traffic, uint32 rule)
{
	TrafficStart *start;
	ListCell   *lc;

	foreach(lc, traffic->starts)
	{
		start = lfirst(lc);
		if (start->rule == rule)
			return &start->start;
	}
	start = palloc(sizeof(TrafficStart));
	start->rule = rule;
	start->start = traffic_read_start(rule);
	traffic->starts = lappend(traffic->starts, start);
	return &start->start;
}

/*
 * One that is gone finds nothing: NULL.
 */
static InvalPrefix
traffic_read_start(uint32 rule)
{
	const InvalDefinition *definition = inval_carrier_find((int32) rule);
	InvalPrefix start = {NULL, 0};
	List	   *segments;
	const InvalSegment *first;

	if (definition == NULL)
		return start;
	start.bytes = "";
	segments = inval_template_parse(inval_definition_get(definition, RULE_KEY), "key");
	first = segments != NIL ? linitial(segments) : NULL;
	if (first != NULL && first->kind == INVAL_SEGMENT_LITERAL && first->nfilters == 0)
	{
		start.bytes = inval_encode_or_keep(first->text);
		start.length = strlen(start.bytes);
	}
	return start;
}
