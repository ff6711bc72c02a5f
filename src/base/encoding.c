/*
 * encoding.c
 *		Keys are UTF-8, whatever the database's encoding is.
 *
 * What client libraries write into Redis is UTF-8, so that is what keys and
 * fields are from the moment they are rendered: filters, limits, the outbox and
 * what is sent know UTF-8 only.  They become text of the database again when
 * somebody looks at them.
 *
 * Conversions are those of the system catalog: a session can put others on its
 * search path, and its keys would be others.
 */
#include "postgres.h"

#include "catalog/pg_conversion.h"
#include "catalog/pg_namespace.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#include "base/encoding.h"

static bool encoding_differs(void);
static bool encoding_is_ascii(const char *bytes, int length);
static int	encoding_convert(int from, int to, const char *source, int length,
							 char *place, Size size);
static Oid	encoding_procedure(int from, int to);
static int	encoding_escape(StringInfo shown, const char *key, int length);

/*
 * The key that a text of the database is, as a copy, and its length; NULL if it
 * has characters that are not in UTF-8, or bytes that are none.
 */
char *
inval_encode_key(const char *text, int length, int *key_length)
{
	Size		size = (Size) length * MAX_CONVERSION_GROWTH + 1;
	char	   *key;

	if (!encoding_differs() || encoding_is_ascii(text, length))
	{
		*key_length = length;
		return pnstrdup(text, length);
	}
	key = palloc_extended(size, MCXT_ALLOC_HUGE);
	if (encoding_convert(GetDatabaseEncoding(), PG_UTF8, text, length, key, size) != length)
	{
		pfree(key);
		return NULL;
	}
	*key_length = (int) strlen(key);
	return key;
}

/*
 * The same for a terminated text, with an error that names what it is.
 */
char *
inval_encode_key_or_fail(const char *text, const char *what)
{
	int			length;
	char	   *key = inval_encode_key(text, (int) strlen(text), &length);

	if (key == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNTRANSLATABLE_CHARACTER),
				 errmsg("%s cannot be converted from %s to UTF-8",
						what, GetDatabaseEncodingName()),
				 errdetail("Keys are UTF-8 in Redis."),
				 errhint("Use other characters.")));
	return key;
}

/*
 * The same for what was checked when it was stored, or is not the database's alone, such
 * as a name in a shared catalog: NULL is NULL, and what cannot be converted stays as it is.
 */
const char *
inval_encode_or_keep(const char *text)
{
	int			length;
	const char *key;

	if (text == NULL)
		return NULL;
	key = inval_encode_key(text, (int) strlen(text), &length);
	return key != NULL ? key : text;
}

/*
 * Converts what stands in "out" from "start" on.  Returns false, and takes it
 * away, if that cannot be done.
 */
bool
inval_encode_tail(StringInfo out, int start)
{
	char	   *key;
	int			length = out->len - start;

	if (!encoding_differs() || encoding_is_ascii(out->data + start, length))
		return true;
	key = inval_encode_key(out->data + start, length, &length);
	out->len = start;
	out->data[start] = '\0';
	if (key == NULL)
		return false;
	appendBinaryStringInfo(out, key, length);
	pfree(key);
	return true;
}

/*
 * The text of the database that a key is, as a copy; NULL if it has none.
 */
char *
inval_decode_key(const char *key, int length, int *text_length)
{
	Size		size = (Size) length * MAX_CONVERSION_GROWTH + 1;
	char	   *text;

	if (!encoding_differs() || encoding_is_ascii(key, length))
	{
		*text_length = length;
		return pnstrdup(key, length);
	}
	text = palloc_extended(size, MCXT_ALLOC_HUGE);
	if (encoding_convert(PG_UTF8, GetDatabaseEncoding(), key, length, text, size) != length)
	{
		pfree(text);
		return NULL;
	}
	*text_length = (int) strlen(text);
	return text;
}

/*
 * A key as it is shown.  What the database has no character for is shown by its
 * bytes, as in \xe2\x82\xac: whoever looks at a queue wants no error.
 */
text *
inval_show_key(const char *key, int length)
{
	StringInfoData shown;
	text	   *result;

	if (GetDatabaseEncoding() == PG_SQL_ASCII || encoding_is_ascii(key, length))
		return cstring_to_text_with_len(key, length);
	initStringInfo(&shown);
	while (length > 0)
	{
		int			good;

		if (encoding_differs())
		{
			Size		size = (Size) length * MAX_CONVERSION_GROWTH + 1;
			char	   *place = palloc(size);

			good = encoding_convert(PG_UTF8, GetDatabaseEncoding(), key, length,
									place, size);
			appendStringInfoString(&shown, place);
			pfree(place);
		}
		else
		{
			good = pg_encoding_verifymbstr(PG_UTF8, key, length);
			appendBinaryStringInfo(&shown, key, good);
		}
		key += good;
		length -= good;
		if (length > 0)
		{
			good = encoding_escape(&shown, key, length);
			key += good;
			length -= good;
		}
	}
	result = cstring_to_text_with_len(shown.data, shown.len);
	pfree(shown.data);
	return result;
}

/*
 * How many bytes of a key so many characters are.
 */
int
inval_key_clip(const char *key, int length, int characters)
{
	int			clipped = 0;

	if (GetDatabaseEncoding() == PG_SQL_ASCII)
		return Min(length, characters);
	while (clipped < length && characters-- > 0)
		clipped += pg_encoding_mblen(PG_UTF8, key + clipped);
	return Min(clipped, length);
}

/*
 * Whether text of this database must be converted to be a key.  Text of SQL_ASCII
 * is bytes, and so are its keys.
 */
static bool
encoding_differs(void)
{
	int			encoding = GetDatabaseEncoding();

	return encoding != PG_UTF8 && encoding != PG_SQL_ASCII;
}

static bool
encoding_is_ascii(const char *bytes, int length)
{
	int			i;

	for (i = 0; i < length; i++)
		if (IS_HIGHBIT_SET(bytes[i]))
			return false;
	return true;
}

/*
 * Converts up to the first character that cannot be; returns how many bytes that
 * were.  The result is terminated.
 */
static int
encoding_convert(int from, int to, const char *source, int length, char *place, Size size)
{
	/* A conversion takes the number of bytes that is sure to fit. */
	return pg_do_encoding_conversion_buf(encoding_procedure(from, to), from, to,
										 (unsigned char *) unconstify(char *, source),
										 length, (unsigned char *) place,
										 (int) Min(size, PG_INT32_MAX), true);
}

/*
 * Looked up once: these have the same OID in every database.
 */
static Oid
encoding_procedure(int from, int to)
{
	static Oid	procedures[2];
	Oid		   *procedure = &procedures[to == PG_UTF8 ? 1 : 0];

	if (!OidIsValid(*procedure))
		*procedure = FindDefaultConversion(PG_CATALOG_NAMESPACE, from, to);
	if (!OidIsValid(*procedure))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("there is no conversion from %s to %s in the schema pg_catalog",
						pg_encoding_to_char(from), pg_encoding_to_char(to))));
	return *procedure;
}

/*
 * Writes the bytes of the first character, or the first byte if it begins none;
 * returns how many they are.
 */
static int
encoding_escape(StringInfo shown, const char *key, int length)
{
	int			bytes = pg_encoding_mblen(PG_UTF8, key);
	int			i;

	if (bytes > length || pg_encoding_verifymbchar(PG_UTF8, key, length) != bytes)
		bytes = 1;
	for (i = 0; i < bytes; i++)
		appendStringInfo(shown, "\\x%02x", (unsigned char) key[i]);
	return bytes;
}
