/*
 * path.c
 *		Foreign-key paths: {task_id.project_id.team_id}.
 *
 * Each name but the last is a column of a foreign key, which leads to the
 * table of which the next name is a column.  For each step there is one
 * look-up, by all columns of the foreign key, that gives the columns which the
 * next step needs.  The queries are built as ri_triggers.c builds them, with
 * the operators of the constraint, since types on both sides may differ.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "lib/stringinfo.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/relcache.h"
#include "utils/syscache.h"

#include "base/catalog.h"
#include "base/rights.h"
#include "key/path.h"
#include "key/template.h"
#include "version/server.h"

typedef struct InvalPathStep
{
	InvalLookup *lookup;
	int			nkeys;
	AttrNumber	attnums[INDEX_MAX_KEYS];	/* first step only: of the row */
} InvalPathStep;

static Relation path_bind_step(InvalPath *path, int i, List *names, Relation table,
							   ForeignKeyCacheInfo **key);
static void path_bind_end(InvalPath *path, List *names, Relation table);
static AttrNumber path_bind_name(InvalPath *path, int i, List *names, Relation table);
static void path_need_key(InvalPath *path, const ForeignKeyCacheInfo *key);
static void path_need(InvalPath *path, Oid class, Oid object, int32 column);
static AttrNumber path_column(Relation table, const char *name, List *names);
static ForeignKeyCacheInfo *path_key(Relation table, AttrNumber attnum, List *names);
static List *path_keys_with(Relation table, AttrNumber attnum);
static bool path_key_is_derived(ForeignKeyCacheInfo *key);
static bool path_keys_differ(ForeignKeyCacheInfo *a, ForeignKeyCacheInfo *b);
static void path_check_key(ForeignKeyCacheInfo *key);
static InvalLookup *path_lookup(ForeignKeyCacheInfo *key, int nresults,
								const AttrNumber *results, MemoryContext cxt);
static char *path_text(List *names);

/*
 * Binds a path, a list of at least two names (char *), to a table.  "tracked"
 * is the table that the rule is on, "relation" the one whose rows are
 * rendered; they differ for partitions and children.  The result lives in
 * cxt.  A path that cannot be followed is an error.
 */
InvalPath *
inval_path_bind(List *names, Relation tracked, Relation relation, MemoryContext cxt)
{
	InvalPath  *path = MemoryContextAllocZero(cxt, sizeof(InvalPath));
	int			nsteps = list_length(names) - 1;
	ForeignKeyCacheInfo *keys[INVAL_PATH_MAX_STEPS];
	Relation	table = tracked;
	int			i;
	int			k;

	if (list_length(names) > INVAL_PATH_MAX_STEPS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("path \"%s\" has more than %d steps",
						path_text(names), INVAL_PATH_MAX_STEPS)));
	path->nnames = list_length(names);
	path->relids = MemoryContextAlloc(cxt, path->nnames * sizeof(Oid));
	path->attnums = MemoryContextAlloc(cxt, path->nnames * sizeof(AttrNumber));
	path->steps = MemoryContextAllocZero(cxt, nsteps * sizeof(InvalPathStep));

	for (i = 0; i < nsteps; i++)
	{
		Relation	parent = path_bind_step(path, i, names, table, &keys[i]);

		if (i > 0)
			table_close(table, NoLock);
		table = parent;
	}
	path_bind_end(path, names, table);
	table_close(table, NoLock);

	/* What each step must give is known now. */
	for (i = 0; i < nsteps; i++)
	{
		InvalPathStep *step = &path->steps[i];
		bool		last = i == nsteps - 1;

		step->nkeys = keys[i]->nkeys;
		for (k = 0; i == 0 && k < step->nkeys; k++)
			step->attnums[k] = inval_catalog_column(keys[0]->conkey[k], tracked, relation);
		step->lookup = path_lookup(keys[i], last ? 1 : keys[i + 1]->nkeys,
								   last ? &path->attnums[nsteps] : keys[i + 1]->conkey,
								   cxt);
		path_need_key(path, keys[i]);
	}
	path_need(path, RelationRelationId, path->relids[nsteps], path->attnums[nsteps]);
	return path;
}

/*
 * Binds the i-th name, a column of "table", and finds its foreign key.  Returns the
 * table that this refers to.
 */
static Relation
path_bind_step(InvalPath *path, int i, List *names, Relation table,
			   ForeignKeyCacheInfo **key)
{
	MemoryContext old;

	*key = path_key(table, path_bind_name(path, i, names, table), names);
	old = MemoryContextSwitchTo(GetMemoryChunkContext(path));
	path->relations = list_append_unique_oid(path->relations, (*key)->confrelid);
	MemoryContextSwitchTo(old);
	return table_open((*key)->confrelid, AccessShareLock);
}

/*
 * Binds the last name, the column that the path gives.
 */
static void
path_bind_end(InvalPath *path, List *names, Relation table)
{
	AttrNumber	attnum = path_bind_name(path, path->nnames - 1, names, table);
	Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(table), attnum - 1);

	path->type = attribute->atttypid;
	path->typmod = attribute->atttypmod;
	path->collation = attribute->attcollation;
}

static AttrNumber
path_bind_name(InvalPath *path, int i, List *names, Relation table)
{
	AttrNumber	attnum = path_column(table, list_nth(names, i), names);

	path->relids[i] = RelationGetRelid(table);
	path->attnums[i] = attnum;
	return attnum;
}

static void
path_need_key(InvalPath *path, const ForeignKeyCacheInfo *key)
{
	int			k;

	path_need(path, ConstraintRelationId, key->conoid, 0);
	for (k = 0; k < key->nkeys; k++)
	{
		path_need(path, RelationRelationId, key->conrelid, key->conkey[k]);
		path_need(path, RelationRelationId, key->confrelid, key->confkey[k]);
	}
}

static void
path_need(InvalPath *path, Oid class, Oid object, int32 column)
{
	MemoryContext old = MemoryContextSwitchTo(GetMemoryChunkContext(path));
	ObjectAddress *address = palloc(sizeof(ObjectAddress));

	ObjectAddressSubSet(*address, class, object, column);
	path->needs = lappend(path->needs, address);
	MemoryContextSwitchTo(old);
}

static AttrNumber
path_column(Relation table, const char *name, List *names)
{
	AttrNumber	attnum = get_attnum(RelationGetRelid(table), name);

	if (attnum == InvalidAttrNumber)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of relation \"%s\" does not exist",
						name, RelationGetRelationName(table)),
				 errdetail("The path is \"%s\".", path_text(names)),
				 errhint("Placeholders name columns exactly as they are spelled in the catalog.")));
	if (attnum < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_COLUMN_REFERENCE),
				 errmsg("system column \"%s\" cannot be part of a key", name),
				 errdetail("The path is \"%s\".", path_text(names)),
				 errhint("Use ordinary columns.")));
	if (inval_server_is_virtual(TupleDescAttr(RelationGetDescr(table), attnum - 1)))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("virtual generated column \"%s\" cannot be part of a key", name),
				 errdetail("The path is \"%s\".", path_text(names)),
				 errhint("Use a stored generated column, or the columns that it is made of.")));
	return attnum;
}

/*
 * The foreign key that a column stands for: the one of that column alone, or
 * else the one that the column is part of.
 */
static ForeignKeyCacheInfo *
path_key(Relation table, AttrNumber attnum, List *names)
{
	List	   *keys = path_keys_with(table, attnum);
	char	   *name = get_attname(RelationGetRelid(table), attnum, false);
	ForeignKeyCacheInfo *best = NULL;
	ListCell   *lc;

	foreach(lc, keys)
	{
		ForeignKeyCacheInfo *key = lfirst(lc);

		if (best == NULL || (best->nkeys > 1 && key->nkeys == 1))
			best = key;
	}
	if (best == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_COLUMN_REFERENCE),
				 errmsg("column \"%s\" of relation \"%s\" is in no foreign key",
						name, RelationGetRelationName(table)),
				 errdetail("The path is \"%s\".", path_text(names)),
				 errhint("Only foreign keys can be followed. For other tables, use \"via\".")));
	foreach(lc, keys)
	{
		ForeignKeyCacheInfo *key = lfirst(lc);

		if ((key->nkeys > 1 && best->nkeys == 1) || !path_keys_differ(key, best))
			continue;
		ereport(ERROR,
				(errcode(ERRCODE_AMBIGUOUS_COLUMN),
				 errmsg("column \"%s\" of relation \"%s\" is in several foreign keys",
						name, RelationGetRelationName(table)),
				 errdetail("Foreign key \"%s\" refers to \"%s\", foreign key \"%s\" to \"%s\".",
						   get_constraint_name(best->conoid), get_rel_name(best->confrelid),
						   get_constraint_name(key->conoid), get_rel_name(key->confrelid)),
				 errhint("Use a column that is in only one of them, or \"via\".")));
	}
	path_check_key(best);
	return best;
}

/*
 * Copies of the foreign keys of a table that contain a column.  Without those
 * that the server keeps for each partition of the table referred to.
 */
static List *
path_keys_with(Relation table, AttrNumber attnum)
{
	List	   *all = copyObject(RelationGetFKeyList(table));
	List	   *keys = NIL;
	ListCell   *lc;

	foreach(lc, all)
	{
		ForeignKeyCacheInfo *key = lfirst(lc);
		int			k;

		for (k = 0; k < key->nkeys && key->conkey[k] != attnum; k++)
			 /* look on */ ;
		if (k < key->nkeys && !path_key_is_derived(key))
			keys = lappend(keys, key);
	}
	return keys;
}

/*
 * Such a key belongs to one of the same table.  (That of a partition, to one of
 * the table that this is a partition of.)
 */
static bool
path_key_is_derived(ForeignKeyCacheInfo *key)
{
	HeapTuple	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(key->conoid));
	HeapTuple	parent;
	bool		derived = false;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for constraint %u", key->conoid);
	parent = SearchSysCache1(CONSTROID,
							 ObjectIdGetDatum(((Form_pg_constraint) GETSTRUCT(tuple))->conparentid));
	if (HeapTupleIsValid(parent))
	{
		derived = ((Form_pg_constraint) GETSTRUCT(parent))->conrelid == key->conrelid;
		ReleaseSysCache(parent);
	}
	ReleaseSysCache(tuple);
	return derived;
}

/*
 * Whether two foreign keys may lead to different rows.
 */
static bool
path_keys_differ(ForeignKeyCacheInfo *a, ForeignKeyCacheInfo *b)
{
	Size		length = a->nkeys * sizeof(AttrNumber);

	return a->confrelid != b->confrelid || a->nkeys != b->nkeys ||
		memcmp(a->conkey, b->conkey, length) != 0 ||
		memcmp(a->confkey, b->confkey, length) != 0;
}

/*
 * A temporal foreign key may need several rows.
 */
static void
path_check_key(ForeignKeyCacheInfo *key)
{
	HeapTuple	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(key->conoid));
	bool		temporal;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for constraint %u", key->conoid);
	temporal = inval_server_is_temporal((Form_pg_constraint) GETSTRUCT(tuple));
	ReleaseSysCache(tuple);
	if (temporal)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("temporal foreign key \"%s\" cannot be followed",
						get_constraint_name(key->conoid)),
				 errhint("Use \"via\".")));
}

/*
 * The look-up by a foreign key that gives these columns.
 */
static InvalLookup *
path_lookup(ForeignKeyCacheInfo *key, int nresults, const AttrNumber *results,
			MemoryContext cxt)
{
	Oid			types[INDEX_MAX_KEYS];
	StringInfoData query;
	int			i;

	initStringInfo(&query);
	for (i = 0; i < nresults; i++)
		appendStringInfo(&query, "%s x.%s", i == 0 ? "SELECT" : ",",
						 quote_identifier(get_attname(key->confrelid, results[i], false)));
	appendStringInfo(&query, " FROM %s%s x",
					 get_rel_relkind(key->confrelid) == RELKIND_PARTITIONED_TABLE ? "" : "ONLY ",
					 quote_qualified_identifier(get_namespace_name(get_rel_namespace(key->confrelid)),
												get_rel_name(key->confrelid)));
	for (i = 0; i < key->nkeys; i++)
	{
		const char *column = quote_identifier(get_attname(key->confrelid, key->confkey[i], false));

		types[i] = get_atttype(key->conrelid, key->conkey[i]);
		appendStringInfoString(&query, i == 0 ? " WHERE " : " AND ");
		generate_operator_clause(&query, psprintf("x.%s", column),
								 get_atttype(key->confrelid, key->confkey[i]),
								 key->conpfeqop[i], psprintf("$%d", i + 1), types[i]);
	}
	return inval_lookup_create(query.data, key->nkeys, types, INVAL_LOOKUP_KEY,
							   key->confrelid, cxt);
}

static char *
path_text(List *names)
{
	StringInfoData text;
	ListCell   *lc;

	initStringInfo(&text);
	foreach(lc, names)
	{
		appendStringInfo(&text, "%s%s", text.len > 0 ? "." : "",
						 inval_template_quote_column(lfirst(lc)));
	}
	return text.data;
}

/*
 * Follows a path from a row of the relation that it is bound to.  A value is
 * in the current memory context, into which this leaks; it is only set if
 * there is one.
 */
InvalPathResult
inval_path_value(InvalPath *path, TupleTableSlot *row, InvalState state, Datum *value)
{
	int			nsteps = path->nnames - 1;
	Datum		values[INDEX_MAX_KEYS] = {0};
	bool		nulls[INDEX_MAX_KEYS] = {0};
	int			i;
	int			k;

	for (i = 0; i < nsteps; i++)
	{
		InvalPathStep *step = &path->steps[i];

		for (k = 0; k < step->nkeys; k++)
		{
			if (i == 0)
				values[k] = slot_getattr(row, step->attnums[k], &nulls[k]);

			/* A key with a NULL refers to nothing. */
			if (nulls[k])
				return INVAL_PATH_NULL;
		}
		if (!inval_lookup_first(step->lookup, values, NULL, state, values, nulls))
			return INVAL_PATH_MISSING;
	}
	if (nulls[0])
		return INVAL_PATH_NULL;
	*value = values[0];
	return INVAL_PATH_VALUE;
}

/*
 * The columns of the row that a path starts from, and how many there are.
 */
int
inval_path_inputs(const InvalPath *path, const AttrNumber **attnums)
{
	*attnums = path->steps[0].attnums;
	return path->steps[0].nkeys;
}

/*
 * Whether this transaction may have changed one of the tables on the way.
 */
bool
inval_path_is_touched(InvalPath *path)
{
	int			i;

	for (i = 0; i < path->nnames - 1; i++)
		if (inval_lookup_is_touched(path->steps[i].lookup))
			return true;
	return false;
}

/*
 * Whether a foreign key on the way may lead nowhere: one that was not
 * validated, or is not enforced.
 */
bool
inval_path_may_miss(const InvalPath *path)
{
	ListCell   *lc;
	bool		valid = true;

	foreach(lc, path->needs)
	{
		const ObjectAddress *need = lfirst(lc);
		HeapTuple	tuple;

		if (need->classId != ConstraintRelationId)
			continue;
		tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(need->objectId));
		if (!HeapTupleIsValid(tuple))
			return true;
		valid &= ((Form_pg_constraint) GETSTRUCT(tuple))->convalidated;
		ReleaseSysCache(tuple);
	}
	return !valid;
}

/*
 * An error for a role that may not read all columns that the path does in other
 * tables, in all rows.  Foreign keys need less: to refer to a table is not to
 * read it.
 */
void
inval_path_check_rights(const InvalPath *path, Oid role)
{
	ListCell   *lc;

	foreach(lc, path->needs)
	{
		const ObjectAddress *need = lfirst(lc);

		if (need->classId == RelationRelationId && need->objectId != path->relids[0])
			inval_rights_check_read(need->objectId, (AttrNumber) need->objectSubId, role);
	}
}
