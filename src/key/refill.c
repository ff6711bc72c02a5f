/*
 * refill.c
 *		Queries that give the value of a key: to be put back, or as it should be.
 *
 * They are written, bound and run as via queries are, as the owner of the tracked
 * table.  Their placeholders are columns of the changed row, and, where the rule
 * has a via query, first of all the columns that one gives: those are what the key
 * is made of.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "parser/parse_coerce.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "base/catalog.h"
#include "base/encoding.h"
#include "key/refill.h"
#include "key/via_canonical.h"
#include "key/via_rights.h"
#include "version/server.h"

static void refill_check_result(InvalRefill *refill);
static InvalRefillValue refill_bytes(const InvalRefill *refill, Datum value);
static void refill_check_size(Size length);

/*
 * What placeholders of a query for a value ("refill" or "audit") can name; "via" is
 * the rule's, or NULL.
 */
InvalQuerySource
inval_refill_source(const char *what, const InvalVia *via, Relation tracked)
{
	InvalQuerySource source = {what, tracked, via ? via->lookup->descriptor : NULL};

	return source;
}

/*
 * Binds such a query to a table, as inval_via_bind does a via query.  A query that
 * cannot be used is an error.
 */
InvalRefill *
inval_refill_bind(const char *query, const InvalQuerySource *source, Relation relation,
				  MemoryContext cxt)
{
	Relation	tracked = source->tracked;
	InvalViaQuery *analyzed = inval_query_analyze(query, source, INVAL_LOOKUP_VIA);
	InvalRefill *refill = MemoryContextAllocZero(cxt, sizeof(InvalRefill));
	MemoryContext old;
	int			i;

	inval_via_query_check_rights(analyzed, tracked, tracked->rd_rel->relowner);
	refill->what = source->what;
	refill->nparams = analyzed->nparams;
	refill->attnums = MemoryContextAlloc(cxt, Max(refill->nparams, 1) * sizeof(AttrNumber));
	refill->given = MemoryContextAlloc(cxt, Max(refill->nparams, 1) * sizeof(bool));
	for (i = 0; i < refill->nparams; i++)
	{
		refill->given[i] = analyzed->given[i];
		refill->attnums[i] = refill->given[i] ? analyzed->attnums[i] :
			inval_catalog_column(analyzed->attnums[i], tracked, relation);
	}
	old = MemoryContextSwitchTo(cxt);
	refill->objects = inval_via_objects(analyzed->query);
	MemoryContextSwitchTo(old);
	refill->lookup = inval_lookup_create(analyzed->text, analyzed->nparams,
										 analyzed->types, INVAL_LOOKUP_VIA,
										 RelationGetRelid(tracked), cxt);
	inval_query_check_relations(refill->lookup, source->what);
	refill_check_result(refill);
	return refill;
}

/*
 * One text or bytea.
 */
static void
refill_check_result(InvalRefill *refill)
{
	TupleDesc	descriptor = refill->lookup->descriptor;
	Oid			type;

	if (descriptor->natts != 1)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("%s query gives %d columns", refill->what, descriptor->natts),
				 errdetail("It must give one, the value of the key."),
				 errhint("Make one value of them, as in row_to_json(t)::text.")));
	type = getBaseType(TupleDescAttr(descriptor, 0)->atttypid);
	refill->binary = type == BYTEAOID;
	if (!refill->binary && !IsBinaryCoercible(type, TEXTOID))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("%s query gives type %s", refill->what, format_type_be(type)),
				 errdetail("It must give text or bytea."),
				 errhint("Cast the value, as in (...)::text.")));
}

/*
 * What the query gives for a row of the relation that it is bound to, and for one
 * that the rule's via query has given (NULL where it has none): NULL as bytes if it
 * gives no row or a NULL.  In the current memory context.  More than one row, and a
 * value that is too large, are errors, as is whatever the query raises.
 */
InvalRefillValue
inval_refill_value(const InvalRefill *refill, TupleTableSlot *row, TupleTableSlot *given)
{
	InvalRefillValue none = {NULL, 0};
	Datum	   *params = palloc((refill->nparams + 1) * sizeof(Datum));
	bool	   *nulls = palloc((refill->nparams + 1) * sizeof(bool));
	HeapTuple  *rows;
	Datum		value;
	bool		isnull;
	int			count;
	int			i;

	for (i = 0; i < refill->nparams; i++)
		params[i] = slot_getattr(refill->given[i] ? given : row, refill->attnums[i], &nulls[i]);
	count = inval_lookup_some(refill->lookup, params, nulls, INVAL_STATE_NOW, 2, &rows);
	if (count > 1)
		ereport(ERROR,
				(errcode(ERRCODE_CARDINALITY_VIOLATION),
				 errmsg("%s query gives more than one row", refill->what)));
	if (count == 0)
		return none;
	value = heap_getattr(rows[0], 1, refill->lookup->descriptor, &isnull);
	return isnull ? none : refill_bytes(refill, value);
}

/*
 * Text is UTF-8 in Redis, as keys are; bytea as it is.
 */
static InvalRefillValue
refill_bytes(const InvalRefill *refill, Datum value)
{
	struct varlena *bytes = PG_DETOAST_DATUM_PACKED(value);
	InvalRefillValue result = {VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes)};
	int			length;

	refill_check_size(result.length);
	if (refill->binary)
		return result;
	result.bytes = inval_encode_key(result.bytes, (int) result.length, &length);
	if (result.bytes == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNTRANSLATABLE_CHARACTER),
				 errmsg("value cannot be converted to UTF-8"),
				 errhint("Let the query give bytea.")));
	result.length = (Size) length;
	refill_check_size(result.length);
	return result;
}

static void
refill_check_size(Size length)
{
	if (length > INVAL_REFILL_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("value is too large for a key"),
				 errdetail("It has %zu bytes, and can have %zu.", length, INVAL_REFILL_MAX)));
}
