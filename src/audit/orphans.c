/*
 * orphans.c
 *		Keys that no row feeds any more.
 *
 * Rows that went while nothing was tracked, values of variables from before: what reads
 * such keys is gone, too, so they stay until they expire, if they do.  The target is
 * searched for keys that begin as the rule's do, those that have the rule's shape are
 * read back, and the database is asked for their rows, for many at a time, as the
 * table's owner.
 *
 * A row may come between that and the removal of its key: then a reader misses a value,
 * which is all that is lost.  Removals are queued like any, so they keep to the target's
 * rate and namespace.
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "executor/spi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "audit/orphans.h"
#include "base/catalog.h"
#include "base/encoding.h"
#include "base/progress.h"
#include "base/settings.h"
#include "commit/commit.h"
#include "key/lookup_role.h"
#include "redis/marker.h"
#include "stats/stats.h"
#include "target/ask.h"
#include "target/breaker.h"
#include "target/pace.h"
#include "target/reach.h"
#include "target/targets.h"
#include "version/server.h"

/* So many keys are asked for at a time: a table may have to be read whole for it. */
#define ORPHANS_BATCH		10000

/* Commands to Redis that an orphan takes, for the target's rate */
#define ORPHANS_COMMANDS	2

static void orphans_search(InvalOrphans *orphans);
static bool orphans_pattern(const InvalOrphans *orphans, InvalPattern *pattern);
static void orphans_reach(InvalTarget *target);
static void orphans_wait(long ms);
pg_noreturn static void orphans_fail(const InvalTarget *target, const char *why);
static void orphans_take(InvalOrphans *orphans, const InvalReply *keys);
static bool orphans_read(InvalOrphans *orphans, const InvalReply *key, InvalShapeKey *read);
static void orphans_look(InvalOrphans *orphans);
static int64 *orphans_rowless(const InvalOrphans *orphans, uint64 *count);
static char *orphans_query(const InvalOrphans *orphans);
static Datum orphans_column(const InvalOrphans *orphans, int column);
static void orphans_add(InvalOrphans *orphans, const InvalPrefix *key, const char *variable);
static bool orphans_ask(InvalTarget *target, InvalOrphan *orphan);
static const InvalReply *orphans_question(InvalTarget *target, const InvalPrefix *key,
										  const char *command, const char *word);

/*
 * Finds up to so many orphans of a rule, at all of its targets.  A rule whose keys do
 * not tell their rows, and a target that cannot be searched now, are errors.
 */
void
inval_orphans_find(InvalOrphans *orphans, int32 rule, int max)
{
	HASHCTL		ctl = {.keysize = sizeof(uint64),.entrysize = sizeof(uint64)};
	MemoryContext old;
	int			i;

	memset(orphans, 0, sizeof(*orphans));
	orphans->context = AllocSetContextCreate(CurrentMemoryContext, "inval orphans",
											 ALLOCSET_DEFAULT_SIZES);
	orphans->batch_context = AllocSetContextCreate(orphans->context, "inval orphans to be",
												   ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(orphans->context);
	inval_subject_open(&orphans->subject, rule, orphans->context);
	inval_shape_make(&orphans->shape, &orphans->subject);
	orphans->max = max;
	orphans->found = MemoryContextAllocHuge(orphans->context, max * sizeof(InvalOrphan));
	orphans->candidates = palloc(ORPHANS_BATCH * sizeof(InvalPrefix));
	orphans->columns = MemoryContextAllocHuge(orphans->context, sizeof(InvalPrefix) *
											  ORPHANS_BATCH * Max(orphans->shape.ncolumns, 1));
	for (i = 0; i < orphans->subject.rule->ntargets; i++)
	{
		ctl.hcxt = orphans->context;
		orphans->known = hash_create("inval orphans", 1024, &ctl,
									 HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
		orphans->target = orphans->subject.rule->targets[i];
		orphans_search(orphans);
		hash_destroy(orphans->known);
	}
	MemoryContextSwitchTo(old);
}

/*
 * Searches one target.
 */
static void
orphans_search(InvalOrphans *orphans)
{
	MemoryContext step_context = AllocSetContextCreate(orphans->context, "inval orphans step",
													   ALLOCSET_DEFAULT_SIZES);
	InvalTarget *target = orphans->target;
	InvalSearchResult result = INVAL_SEARCH_MORE;
	InvalProgress *progress;
	int64		seen = 0;
	InvalPattern pattern;
	InvalSearch search;

	if (!orphans_pattern(orphans, &pattern))
		return;
	inval_search_begin(&search, target, &pattern, false);
	progress = inval_progress_begin("orphans", target->name, -1);
	while (result != INVAL_SEARCH_THROUGH && orphans->count < orphans->max)
	{
		MemoryContext old = MemoryContextSwitchTo(step_context);
		const InvalReply *keys;

		orphans_reach(target);
		result = inval_search_step(&search, &keys);
		if (result == INVAL_SEARCH_REFUSED)
			orphans_fail(target, search.error);
		if (result == INVAL_SEARCH_FAILED)
			orphans_fail(target, "it does not answer");
		if (result == INVAL_SEARCH_LATER)
			orphans_wait(100);
		inval_pace_sent(target, 1);
		if (keys != NULL)
		{
			orphans_take(orphans, keys);
			seen += keys->count;
			inval_progress_update(progress, seen);
		}
		MemoryContextSwitchTo(old);
		MemoryContextReset(step_context);
	}
	orphans->cut |= result != INVAL_SEARCH_THROUGH;
	orphans_look(orphans);
	inval_progress_end(progress);
	MemoryContextDelete(step_context);
}

/*
 * What is searched for: how the rule's keys begin, as far as that is within the target's
 * namespace.  Returns false if nothing of it is.
 */
static bool
orphans_pattern(const InvalOrphans *orphans, InvalPattern *pattern)
{
	const InvalTarget *target = orphans->target;
	InvalPrefix start = orphans->shape.parts[0].literal;

	if (target->namespace != NULL)
	{
		if (memcmp(start.bytes, target->namespace_key,
				   Min(start.length, target->namespace_length)) != 0)
			return false;
		if (target->namespace_length > start.length)
			start = (InvalPrefix) {target->namespace_key, target->namespace_length};
	}
	inval_pattern_of_prefixes(pattern, &start, 1);
	return true;
}

/*
 * Sees to it that there is a connection, and keeps to the target's rate.
 */
static void
orphans_reach(InvalTarget *target)
{
	long		ms;

	CHECK_FOR_INTERRUPTS();
	while ((ms = inval_pace_wait_ms(target)) > 0)
		orphans_wait(ms);
	if (pg_atomic_read_u32(&target->health->paused) != 0)
		orphans_fail(target, "it is paused");
	if (!inval_target_is_open(target))
		orphans_fail(target, "it is down");
	inval_target_prepare(target);
	if (!inval_target_connect(target, inval_clock_us() + (uint64) inval_connect_timeout * 1000,
							  !inval_target_has_worker()))
		orphans_fail(target, "it cannot be reached");
}

static void
orphans_wait(long ms)
{
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, ms,
					 PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

static void
orphans_fail(const InvalTarget *target, const char *why)
{
	ereport(ERROR,
			(errcode(ERRCODE_CONNECTION_FAILURE),
			 errmsg("could not search target \"%s\": %s", target->name, why),
			 errhint("inval_target_status shows how it is. "
					 "Its user of Redis must be allowed SCAN, PTTL and OBJECT IDLETIME.")));
}

/*
 * Takes those of the keys that were found that have the rule's shape.
 */
static void
orphans_take(InvalOrphans *orphans, const InvalReply *keys)
{
	int			ncolumns = orphans->shape.ncolumns;
	int			i;

	for (i = 0; i < keys->count && orphans->count < orphans->max; i++)
	{
		const InvalReply *key = &keys->items[i];
		InvalShapeKey read;

		read.columns = &orphans->columns[orphans->ncandidates * Max(ncolumns, 1)];
		if (!orphans_read(orphans, key, &read))
			continue;
		orphans->seen++;
		if (read.variable != NULL)
		{
			InvalPrefix name = {key->text, key->length};

			orphans_add(orphans, &name, read.variable);
		}
		else if (ncolumns > 0)
		{
			InvalPrefix *candidate = &orphans->candidates[orphans->ncandidates++];
			int			c;

			candidate->bytes = MemoryContextStrdup(orphans->batch_context, key->text);
			candidate->length = key->length;
			for (c = 0; c < ncolumns; c++)
				read.columns[c].bytes = candidate->bytes + (read.columns[c].bytes - key->text);
		}
		if (orphans->ncandidates == ORPHANS_BATCH)
			orphans_look(orphans);
	}
	orphans->cut |= i < keys->count;
}

/*
 * Whether a key has the rule's shape.
 */
static bool
orphans_read(InvalOrphans *orphans, const InvalReply *key, InvalShapeKey *read)
{
	InvalEntry	entry = {.key = key->text,.key_length = (uint32) key->length};

	return key->length <= INVAL_MAX_KEY_LENGTH &&
		memchr(key->text, '\0', key->length) == NULL &&
		pg_verify_mbstr(PG_UTF8, key->text, (int) key->length, true) &&
		!inval_marker_is(key->text, key->length) &&
		inval_target_may_have(orphans->target, &entry) &&
		inval_shape_read(&orphans->shape, key->text, key->length, read);
}

/*
 * Takes those of the candidates that have no row.
 */
static void
orphans_look(InvalOrphans *orphans)
{
	MemoryContext old = MemoryContextSwitchTo(orphans->batch_context);
	uint64		count = 0;
	int64	   *numbers = orphans->ncandidates > 0 ? orphans_rowless(orphans, &count) : NULL;
	uint64		i;

	for (i = 0; i < count; i++)
		orphans_add(orphans, &orphans->candidates[numbers[i] - 1], NULL);
	orphans->ncandidates = 0;
	MemoryContextSwitchTo(old);
	MemoryContextReset(orphans->batch_context);
}

/*
 * Asks the database, as the table's owner.  Returns their numbers, from 1 on, in the
 * current memory context.
 */
static int64 *
orphans_rowless(const InvalOrphans *orphans, uint64 *count)
{
	int			ncolumns = orphans->shape.ncolumns;
	int64	   *numbers = palloc(orphans->ncandidates * sizeof(int64));
	Datum	   *params = palloc(ncolumns * sizeof(Datum));
	Oid		   *types = palloc(ncolumns * sizeof(Oid));
	char	   *query = orphans_query(orphans);
	InvalRole	role;
	uint64		i;

	for (i = 0; i < (uint64) ncolumns; i++)
	{
		params[i] = orphans_column(orphans, (int) i);
		types[i] = TEXTARRAYOID;
	}
	inval_role_enter(&role, INVAL_LOOKUP_KEY, RelationGetRelid(orphans->subject.tracked));
	PushActiveSnapshot(GetLatestSnapshot());
	SPI_connect();
	if (SPI_execute_with_args(query, ncolumns, types, params, NULL, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "SPI_execute_with_args failed: %s", query);
	*count = SPI_processed;
	for (i = 0; i < SPI_processed; i++)
	{
		bool		isnull;

		numbers[i] = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc,
												 1, &isnull));
	}
	SPI_finish();
	PopActiveSnapshot();
	inval_role_leave(&role);
	return numbers;
}

/*
 * Texts are compared as their columns are, so what would be equal there counts as a row.
 */
static char *
orphans_query(const InvalOrphans *orphans)
{
	static const char *const casts[] = {
		[INVAL_SHAPE_INTEGER] = "int8",
		[INVAL_SHAPE_BOOLEAN] = "bool",
		[INVAL_SHAPE_UUID] = "uuid",
		[INVAL_SHAPE_TEXT] = "text"
	};
	Relation	tracked = orphans->subject.tracked;
	StringInfoData unnest;
	StringInfoData names;
	StringInfoData equal;
	int			column = 0;
	int			i;

	initStringInfo(&unnest);
	initStringInfo(&names);
	initStringInfo(&equal);
	for (i = 0; i < orphans->shape.nparts; i++)
	{
		const InvalShapePart *part = &orphans->shape.parts[i];
		Form_pg_attribute attribute;

		if (part->attnum == 0)
			continue;
		attribute = TupleDescAttr(RelationGetDescr(tracked), part->attnum - 1);
		column++;
		appendStringInfo(&unnest, "%sunnest($%d)", column > 1 ? ", " : "", column);
		appendStringInfo(&names, "c%d, ", column);
		appendStringInfo(&equal, "%st.%s = k.c%d::%s", column > 1 ? " AND " : "",
						 quote_identifier(NameStr(attribute->attname)), column,
						 casts[part->kind]);
	}
	return psprintf("SELECT k.n FROM ROWS FROM (%s) WITH ORDINALITY AS k(%sn) "
					"WHERE NOT EXISTS (SELECT FROM %s t WHERE %s) ORDER BY k.n",
					unnest.data, names.data,
					inval_catalog_relation_name(RelationGetRelid(tracked)), equal.data);
}

/*
 * What the candidates have for a column, as an array of texts.
 */
static Datum
orphans_column(const InvalOrphans *orphans, int column)
{
	Datum	   *values = palloc(Max(orphans->ncandidates, 1) * sizeof(Datum));
	int			i;

	for (i = 0; i < orphans->ncandidates; i++)
	{
		const InvalPrefix *value = &orphans->columns[i * orphans->shape.ncolumns + column];
		int			length;
		char	   *text = inval_decode_key(value->bytes, (int) value->length, &length);

		/* What the database has no character for is in no row; nor, most likely, is this. */
		values[i] = PointerGetDatum(text ? cstring_to_text_with_len(text, length) :
									cstring_to_text("\x01"));
	}
	return PointerGetDatum(construct_array(values, orphans->ncandidates, TEXTOID, -1, false,
										   TYPALIGN_INT));
}

/*
 * Adds an orphan, unless the search has met it before, or it is gone by now.
 */
static void
orphans_add(InvalOrphans *orphans, const InvalPrefix *key, const char *variable)
{
	uint64		hash = hash_bytes_extended((const unsigned char *) key->bytes,
										   (int) key->length, 0);
	InvalOrphan orphan = {*key, orphans->target, variable, -1, -1};
	bool		found;

	(void) hash_search(orphans->known, &hash, HASH_ENTER, &found);
	if (found)
		return;
	if (orphans->count == orphans->max)
	{
		orphans->cut = true;
		return;
	}
	orphans_reach(orphans->target);
	if (!orphans_ask(orphans->target, &orphan))
		return;
	orphan.name.bytes = MemoryContextStrdup(orphans->context, key->bytes);
	orphans->found[orphans->count++] = orphan;
}

/*
 * Asks how long it will live, and how long it has not been asked for.  Returns false if
 * it is gone.  Where the server keeps something else than that (maxmemory-policy), or
 * does not tell, it is not known.
 */
static bool
orphans_ask(InvalTarget *target, InvalOrphan *orphan)
{
	const InvalReply *answer = orphans_question(target, &orphan->name, "PTTL", NULL);

	inval_pace_sent(target, ORPHANS_COMMANDS);
	if (answer != NULL && answer->type == INVAL_REPLY_INTEGER)
	{
		if (answer->integer == -2)
			return false;
		orphan->ttl_ms = answer->integer;
	}
	answer = orphans_question(target, &orphan->name, "OBJECT", "IDLETIME");
	if (answer != NULL && answer->type == INVAL_REPLY_INTEGER)
		orphan->idle_s = answer->integer;
	return true;
}

static const InvalReply *
orphans_question(InvalTarget *target, const InvalPrefix *key, const char *command,
				 const char *word)
{
	char		error[INVAL_ERROR_TEXT_LEN];
	InvalQuestion question = {0};

	inval_question_add(&question, command, strlen(command));
	if (word != NULL)
		inval_question_add(&question, word, strlen(word));
	inval_question_add(&question, key->bytes, key->length);
	return inval_ask(target, key->bytes, key->length, &question, 1, error, sizeof(error));
}

/*
 * Queues the removal of what was found, in the background.
 */
void
inval_orphans_remove(InvalOrphans *orphans)
{
	const InvalRule *rule = orphans->subject.rule;
	int			i;

	for (i = 0; i < orphans->count; i++)
	{
		const InvalOrphan *orphan = &orphans->found[i];
		InvalEntry	entry = {.action = rule->action == INVAL_ACTION_MEMBERS ?
			INVAL_ACTION_MEMBERS : INVAL_ACTION_DELETE,
			.fence = rule->fence,.rule = rule->id,.key = orphan->name.bytes,
		.key_length = (uint32) orphan->name.length};
		InvalTally *tally = inval_stats_tally(rule->id, orphan->target->number);

		CHECK_FOR_INTERRUPTS();
		if (!inval_commit_queue(INVAL_LANE_WORKER, orphan->target->number, &entry))
			tally->counts.coalesced++;
		tally->counts.orphans++;
		tally->counts.orphans_idle_s += orphan->idle_s > 0 ? (uint64) orphan->idle_s : 0;
	}
}

void
inval_orphans_end(InvalOrphans *orphans)
{
	relation_close(orphans->subject.tracked, AccessShareLock);
	MemoryContextDelete(orphans->context);
}
