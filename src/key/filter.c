/*
 * filter.c
 *		Filters of placeholders: what becomes of a value's text.
 */
#include "postgres.h"

#include "catalog/pg_collation.h"
#include "common/cryptohash.h"
#include "common/md5.h"
#include "common/sha2.h"
#include "utils/builtins.h"
#include "utils/formatting.h"

#include "base/encoding.h"
#include "key/filter.h"

static void filter_apply(StringInfo out, int start, const InvalFilterCall *call);
static char *filter_result(const char *text, int length, InvalFilter filter);
static char *filter_case(const char *text, int length,
						 char *(*change) (const char *, size_t, Oid));
static char *filter_md5(const char *text, int length);
static char *filter_sha256(const char *text, int length);
static char *filter_url(const char *text, int length);

/*
 * Replaces what stands in "out" from "start" on, which is UTF-8, by what the filters
 * make of it, one after the other.  Leaks nothing.
 */
void
inval_filters_apply(StringInfo out, int start, const InvalFilterCall *filters, int nfilters)
{
	int			i;

	for (i = 0; i < nfilters; i++)
		filter_apply(out, start, &filters[i]);
}

static void
filter_apply(StringInfo out, int start, const InvalFilterCall *call)
{
	char	   *result = filter_result(out->data + start, out->len - start, call->filter);
	int			length = (int) strlen(result);

	out->len = start;
	if (call->keep > 0)
		length = inval_key_clip(result, length, call->keep);
	appendBinaryStringInfo(out, result, length);
	pfree(result);
}

static char *
filter_result(const char *text, int length, InvalFilter filter)
{
	switch (filter)
	{
		case INVAL_FILTER_MD5:
			return filter_md5(text, length);
		case INVAL_FILTER_SHA256:
			return filter_sha256(text, length);
		case INVAL_FILTER_LOWER:
			return filter_case(text, length, str_tolower);
		case INVAL_FILTER_UPPER:
			return filter_case(text, length, str_toupper);
		case INVAL_FILTER_URL:
			return filter_url(text, length);
	}
	pg_unreachable();
}

/*
 * Changes the case as the database's own lower() and upper() do, which know the
 * database's encoding only.  What came from there can go back; a character
 * whose other case is in none of the two is left as it is.
 */
static char *
filter_case(const char *text, int length,
			char *(*change) (const char *, size_t, Oid))
{
	char	   *native = inval_decode_key(text, length, &length);
	char	   *changed;
	char	   *result;
	int			result_length;

	if (native == NULL)
		return pnstrdup(text, length);
	changed = change(native, length, DEFAULT_COLLATION_OID);
	result = inval_encode_key(changed, (int) strlen(changed), &result_length);
	pfree(native);
	pfree(changed);
	return result;
}

static char *
filter_md5(const char *text, int length)
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
filter_sha256(const char *text, int length)
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
filter_url(const char *text, int length)
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
