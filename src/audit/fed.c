/*
 * fed.c
 *		The keys that the rows of an audit feed.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "audit/fed.h"
#include "capture/derive.h"

/* A row may feed several keys: so many are looked at for each row, on average. */
#define FED_KEYS_PER_ROW		10

/* What is made of a row */
typedef struct FedRow
{
	InvalAudit *audit;
	int			number;
	HeapTuple	given;			/* by the rule's query of via; NULL: it has none */
} FedRow;

static void fed_given(FedRow *row);
static void fed_take_entry(const InvalEntry *entry, void *arg);
static void fed_take_text(StringInfo text, void *arg);
static void fed_take_key(FedRow *row, const char *key, Size length);
static int	fed_compare(const void *a, const void *b);
static void fed_sort(InvalAudit *audit);

/*
 * Finds the keys of the sample, each once and in order, in the current memory context.
 * Between inval_lookup_begin and inval_lookup_end.
 */
void
inval_audit_find_keys(InvalAudit *audit, int rows)
{
	int			i;

	audit->max_keys = rows * FED_KEYS_PER_ROW;
	audit->keys = palloc0(audit->max_keys * sizeof(InvalAuditKey));
	for (i = 0; i < audit->sample.count; i++)
	{
		FedRow	row = {audit, i, NULL};

		CHECK_FOR_INTERRUPTS();
		ExecStoreHeapTuple(audit->sample.rows[i], audit->row, false);
		if (audit->rule->via != NULL)
			fed_given(&row);
		else
			(void) inval_derive_each(audit->rule, audit->row, INVAL_STATE_NOW,
									 fed_take_entry, &row);
	}
	fed_sort(audit);
}

static void
fed_given(FedRow *row)
{
	InvalRule  *rule = row->audit->rule;
	InvalViaRows *rows = inval_via_rows(rule->via, row->audit->row, INVAL_STATE_NOW);
	TupleTableSlot *given;
	StringInfoData key;

	initStringInfo(&key);
	while ((given = inval_via_next(rows)) != NULL)
	{
		row->given = ExecCopySlotHeapTuple(given);
		resetStringInfo(&key);
		(void) inval_render_each(&key, rule->templates[INVAL_RULE_KEY], given, INVAL_STATE_NOW,
								 fed_take_text, row);
	}
}

static void
fed_take_entry(const InvalEntry *entry, void *arg)
{
	fed_take_key(arg, entry->key, entry->key_length);
}

static void
fed_take_text(StringInfo text, void *arg)
{
	if (text->len <= INVAL_MAX_KEY_LENGTH)
		fed_take_key(arg, text->data, (Size) text->len);
}

static void
fed_take_key(FedRow *row, const char *key, Size length)
{
	InvalAudit *audit = row->audit;
	InvalAuditKey *place = &audit->keys[audit->nkeys];

	if (audit->nkeys == audit->max_keys)
		return;
	place->name.bytes = MemoryContextStrdup(audit->context, pnstrdup(key, length));
	place->name.length = length;
	place->row = row->number;
	place->given = row->given;
	audit->nkeys++;
}

/*
 * Puts them in order, each once.
 */
static void
fed_sort(InvalAudit *audit)
{
	int			kept = 0;
	int			i;

	qsort(audit->keys, audit->nkeys, sizeof(InvalAuditKey), fed_compare);
	for (i = 0; i < audit->nkeys; i++)
		if (kept == 0 || fed_compare(&audit->keys[kept - 1], &audit->keys[i]) != 0)
			audit->keys[kept++] = audit->keys[i];
	audit->nkeys = kept;
}

static int
fed_compare(const void *a, const void *b)
{
	const InvalPrefix *first = &((const InvalAuditKey *) a)->name;
	const InvalPrefix *second = &((const InvalAuditKey *) b)->name;
	int			order = memcmp(first->bytes, second->bytes, Min(first->length, second->length));

	if (order != 0)
		return order;
	return first->length < second->length ? -1 : first->length > second->length;
}
