/*
 * render.c
 *		Renders a template for a row.
 */
#include "postgres.h"

#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "common/cryptohash.h"
#include "common/md5.h"
#include "common/sha2.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/formatting.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "render.h"

static void render_bind_column(InvalBoundSegment *bound, const char *name,
							   Relation relation, MemoryContext cxt);
static void render_filter(StringInfo out, int start, const InvalFilterCall *call);
static char *render_md5(const char *text, int length);
static char *render_sha256(const char *text, int length);
static char *render_url(const char *text, int length);

/*
 * Binds parsed segments to the columns of a relation.  "tracked" is the table
 * that the rule is on, "relation" the one whose rows are rendered; they differ
 * for partitions.  The result is allocated in cxt.  A column that does not
 * exist is an error.
 */
InvalBoundTemplate *
inval_render_bind(List *segments, Relation relation, Relation tracked,
				  MemoryContext cxt)
{
	MemoryContext old = MemoryContextSwitchTo(cxt);
	InvalBoundTemplate *template = palloc(sizeof(InvalBoundTemplate));
	ListCell   *lc;
	int			i = 0;

	template->nsegments = list_length(segments);
	template->segments = palloc0(template->nsegments * sizeof(InvalBoundSegment));
	foreach(lc, segments)
	{
		InvalSegment *segment = lfirst(lc);
		InvalBoundSegment *bound = &template->segments[i++];

		switch (segment->kind)
		{
			case INVAL_SEGMENT_LITERAL:
				bound->literal = pstrdup(segment->text);
				break;
			case INVAL_SEGMENT_TABLE:
				bound->literal = pstrdup(RelationGetRelationName(tracked));
				break;
			case INVAL_SEGMENT_SCHEMA:
				bound->literal = get_namespace_name(RelationGetNamespace(tracked));
				break;
			case INVAL_SEGMENT_COLUMN:
				render_bind_column(bound, segment->text, relation, cxt);
				break;
		}
		bound->literal_length = bound->literal ? (int) strlen(bound->literal) : 0;
		bound->nfilters = segment->nfilters;
		if (segment->nfilters > 0)
		{
			bound->filters = palloc(segment->nfilters * sizeof(InvalFilterCall));
			memcpy(bound->filters, segment->filters,
				   segment->nfilters * sizeof(InvalFilterCall));
		}
	}
	MemoryContextSwitchTo(old);
	return template;
}

static void
render_bind_column(InvalBoundSegment *bound, const char *name, Relation relation,
				   MemoryContext cxt)
{
	AttrNumber	attnum = get_attnum(RelationGetRelid(relation), name);
	Form_pg_attribute attribute;

	if (attnum == InvalidAttrNumber)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of relation \"%s\" does not exist",
						name, RelationGetRelationName(relation)),
				 errhint("Placeholders name columns exactly as they are spelled in the catalog.")));
	if (attnum < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_COLUMN_REFERENCE),
				 errmsg("system column \"%s\" cannot be part of a key", name),
				 errhint("Use ordinary columns.")));
	attribute = TupleDescAttr(RelationGetDescr(relation), attnum - 1);
	bound->attnum = attnum;
	inval_value_prepare(&bound->value, attribute->atttypid, cxt);
}

/*
 * Appends the rendered text to "out" and returns true; or, where a column
 * that it needs is NULL, leaves "out" as it was and returns false.  Leaks into
 * the current memory context.
 */
bool
inval_render(StringInfo out, InvalBoundTemplate *template, TupleTableSlot *row)
{
	int			begin = out->len;
	int			i;

	for (i = 0; i < template->nsegments; i++)
	{
		InvalBoundSegment *segment = &template->segments[i];
		int			start = out->len;
		int			f;

		if (segment->attnum == 0)
			appendBinaryStringInfo(out, segment->literal, segment->literal_length);
		else
		{
			bool		isnull;
			Datum		value = slot_getattr(row, segment->attnum, &isnull);

			if (isnull)
			{
				out->len = begin;
				out->data[begin] = '\0';
				return false;
			}
			inval_value_append(out, &segment->value, value);
		}
		for (f = 0; f < segment->nfilters; f++)
			render_filter(out, start, &segment->filters[f]);
	}
	return true;
}

/*
 * Replaces what stands in "out" from "start" on by the filtered text.
 */
static void
render_filter(StringInfo out, int start, const InvalFilterCall *call)
{
	char	   *text = out->data + start;
	int			length = out->len - start;
	char	   *result = NULL;

	switch (call->filter)
	{
		case INVAL_FILTER_MD5:
			result = render_md5(text, length);
			break;
		case INVAL_FILTER_SHA256:
			result = render_sha256(text, length);
			break;
		case INVAL_FILTER_LOWER:
			result = str_tolower(text, length, DEFAULT_COLLATION_OID);
			break;
		case INVAL_FILTER_UPPER:
			result = str_toupper(text, length, DEFAULT_COLLATION_OID);
			break;
		case INVAL_FILTER_URL:
			result = render_url(text, length);
			break;
	}

	out->len = start;
	length = (int) strlen(result);
	if (call->keep > 0)
		length = pg_mbcharcliplen(result, length, call->keep);
	appendBinaryStringInfo(out, result, length);
	pfree(result);
}

static char *
render_md5(const char *text, int length)
{
	char	   *hex = palloc(MD5_DIGEST_LENGTH * 2 + 1);
	const char *error = NULL;

	if (!pg_md5_hash(text, length, hex, &error))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not compute MD5 hash: %s", error)));
	return hex;
}

static char *
render_sha256(const char *text, int length)
{
	pg_cryptohash_ctx *ctx = pg_cryptohash_create(PG_SHA256);
	uint8		digest[PG_SHA256_DIGEST_LENGTH];
	char	   *hex = palloc(PG_SHA256_DIGEST_LENGTH * 2 + 1);

	if (ctx == NULL || pg_cryptohash_init(ctx) < 0 ||
		pg_cryptohash_update(ctx, (const uint8 *) text, length) < 0 ||
		pg_cryptohash_final(ctx, digest, sizeof(digest)) < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not compute SHA256 hash: %s",
						ctx ? pg_cryptohash_error(ctx) : "out of memory")));
	pg_cryptohash_free(ctx);
	hex_encode((const char *) digest, sizeof(digest), hex);
	hex[PG_SHA256_DIGEST_LENGTH * 2] = '\0';
	return hex;
}

/*
 * Percent-encodes all but the unreserved characters of RFC 3986.
 */
static char *
render_url(const char *text, int length)
{
	static const char digits[] = "0123456789ABCDEF";
	char	   *encoded = palloc((Size) length * 3 + 1);
	char	   *place = encoded;
	int			i;

	for (i = 0; i < length; i++)
	{
		unsigned char c = (unsigned char) text[i];

		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			(c >= '0' && c <= '9') || (c != '\0' && strchr("-._~", c) != NULL))
			*place++ = (char) c;
		else
		{
			*place++ = '%';
			*place++ = digits[c >> 4];
			*place++ = digits[c & 15];
		}
	}
	*place = '\0';
	return encoded;
}
