/*
 * peek.c
 *		inval_peek: what the target holds now.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "base/catalog.h"
#include "base/encoding.h"
#include "commit/pending.h"
#include "key/lookup.h"
#include "target/peek.h"
#include "target/targets.h"
#include "target/usage.h"

#define PEEK_COLUMNS	3

static void peek_check_moment(void);
static void peek_read_key(const InvalTarget *target, const char *text, InvalPeek *key);
static void peek_put(ReturnSetInfo *result, Datum shown, const InvalPeek *key);

PG_FUNCTION_INFO_V1(inval_peek);

/*
 * inval_peek(VARIADIC keys text[]) RETURNS SETOF record
 *
 * A row for each key, in their order.
 */
Datum
inval_peek(PG_FUNCTION_ARGS)
{
	InvalTarget *target;
	InvalPeek  *keys;
	Datum	   *texts;
	bool	   *nulls;
	int			count;
	int			others = 0;
	int			i;

	(void) inval_catalog(false);
	peek_check_moment();
	InitMaterializedSRF(fcinfo, 0);
	target = inval_target_default();
	inval_target_check_usage(GetUserId(), target->name);

	deconstruct_array(PG_GETARG_ARRAYTYPE_P(0), TEXTOID, -1, false, TYPALIGN_INT,
					  &texts, &nulls, &count);
	if (count == 0)
		return (Datum) 0;
	keys = MemoryContextAllocExtended(CurrentMemoryContext, count * sizeof(InvalPeek),
									  MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	for (i = 0; i < count; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("key must not be null")));
		peek_read_key(target, TextDatumGetCString(texts[i]), &keys[i]);
	}
	inval_peek_at(target, keys, count);
	for (i = 0; i < count; i++)
	{
		peek_put((ReturnSetInfo *) fcinfo->resultinfo, texts[i], &keys[i]);
		others += keys[i].other;
	}
	if (others > 0)
		ereport(WARNING,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("%d of the keys hold something else than a string", others),
				 errdetail("They are there, although their value is NULL.")));
	return (Datum) 0;
}

/*
 * Where the transaction ends, or keys are looked up for that, its connections are
 * not ours, and nobody waits for values.
 */
static void
peek_check_moment(void)
{
	if (inval_pending_is_flushed() || inval_lookup_is_under_way())
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("inval_peek cannot be called at the end of a transaction, or by the query of a rule")));
}

/*
 * A key as it is sent, if it may be: the rules are those of inval_touch.
 */
static void
peek_read_key(const InvalTarget *target, const char *text, InvalPeek *key)
{
	InvalEntry	entry = {0};

	key->key = inval_encode_key_or_fail(text, "key");
	key->key_length = strlen(key->key);
	entry.key = key->key;
	entry.key_length = (uint32) key->key_length;
	inval_target_check_key(target, &entry);
}

static void
peek_put(ReturnSetInfo *result, Datum shown, const InvalPeek *key)
{
	Datum		values[PEEK_COLUMNS] = {0};
	bool		nulls[PEEK_COLUMNS] = {0};
	Interval   *ttl = palloc0(sizeof(Interval));
	bytea	   *value = NULL;

	/* It may have gone between the two questions. */
	nulls[1] = key->value == NULL || key->ttl_ms == -2;
	nulls[2] = key->ttl_ms < 0;
	values[0] = shown;
	if (!nulls[1])
	{
		value = palloc(VARHDRSZ + key->value_length);
		SET_VARSIZE(value, VARHDRSZ + key->value_length);
		memcpy(VARDATA(value), key->value, key->value_length);
		values[1] = PointerGetDatum(value);
	}
	ttl->time = key->ttl_ms * 1000;
	values[2] = IntervalPGetDatum(ttl);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	if (value != NULL)
		pfree(value);
	pfree(ttl);
}
