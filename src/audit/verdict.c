/*
 * verdict.c
 *		Compares what a target holds at a key with what should be there.
 *
 * Values are compared by their bytes.  Those that are JSON on both sides count as
 * equal if they mean the same: clients leave out blanks, or put names in another
 * order.  A value that is not in the format of the expected one, as a pickle or
 * something compressed, may mean the same or not, so nothing is said of it.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

#include "audit/verdict.h"
#include "base/attempt.h"

/* Larger values are not read as JSON, which takes its time, in a worker, too. */
#define VERDICT_JSON_MAX	((Size) 1024 * 1024)

/* A text being read as JSON */
typedef struct VerdictJson
{
	const char *bytes;
	Size		length;
	Datum		json;
} VerdictJson;

static InvalFinding verdict_of_text(const InvalRefillValue *expected, const InvalHolding *holding);
static bool verdict_looks_like_json(const char *bytes, Size length);
static bool verdict_read_json(VerdictJson *text);
static void verdict_read_json_in(void *arg);
static bool verdict_is_text(const char *bytes, Size length);
static bool verdict_has_controls(const char *bytes, Size length);

/*
 * The verdict on what a target holds at a key for which a query has given a value
 * ("binary": as bytea).  It may be what a commit under way is about to remove; the
 * caller knows of that.
 */
InvalFinding
inval_compare(const InvalRefillValue *expected, bool binary, const InvalHolding *holding)
{
	InvalRefillValue value = {holding->value, holding->length};

	if (holding->value == NULL && holding->other != NULL)
		return (InvalFinding) {INVAL_VERDICT_UNKNOWN, holding->other};
	if (inval_value_is_same(expected, &value))
		return (InvalFinding) {INVAL_VERDICT_FRESH, NULL};
	if (holding->fenced)
		return (InvalFinding) {INVAL_VERDICT_SKIPPED, "fenced"};
	if (holding->leased)
		return (InvalFinding) {INVAL_VERDICT_SKIPPED, "a reader is filling it"};
	if (value.bytes == NULL)
		return (InvalFinding) {INVAL_VERDICT_MISSING, NULL};
	if (holding->kept)
		return (InvalFinding) {INVAL_VERDICT_SKIPPED, "kept until a reader fills it"};
	if (expected->bytes == NULL)
		return (InvalFinding) {INVAL_VERDICT_STALE, "there should be nothing"};
	if (binary)
		return (InvalFinding) {INVAL_VERDICT_STALE, "another value"};
	return verdict_of_text(expected, holding);
}

/*
 * Whether two values are the same, byte by byte, or none is there.
 */
bool
inval_value_is_same(const InvalRefillValue *a, const InvalRefillValue *b)
{
	if (a->bytes == NULL || b->bytes == NULL)
		return a->bytes == b->bytes;
	return a->length == b->length && memcmp(a->bytes, b->bytes, a->length) == 0;
}

const char *
inval_verdict_name(InvalVerdict verdict)
{
	static const char *const names[] = {"fresh", "missing", "stale", "unknown", "skipped"};

	return names[verdict];
}

/*
 * The same for values that differ, where a text is expected.
 */
static InvalFinding
verdict_of_text(const InvalRefillValue *expected, const InvalHolding *holding)
{
	VerdictJson wanted = {expected->bytes, expected->length, (Datum) 0};
	VerdictJson found = {holding->value, holding->length, (Datum) 0};

	if (!verdict_is_text(holding->value, holding->length) ||
		(verdict_has_controls(holding->value, holding->length) &&
		 !verdict_has_controls(expected->bytes, expected->length)))
		return (InvalFinding) {INVAL_VERDICT_UNKNOWN, "not a text"};
	if (!verdict_looks_like_json(expected->bytes, expected->length))
		return (InvalFinding) {INVAL_VERDICT_STALE, "another value"};
	if (Max(expected->length, holding->length) > VERDICT_JSON_MAX)
		return (InvalFinding) {INVAL_VERDICT_UNKNOWN, "too large to be compared as JSON"};
	if (!verdict_read_json(&wanted))
		return (InvalFinding) {INVAL_VERDICT_STALE, "another value"};
	if (!verdict_read_json(&found))
		return (InvalFinding) {INVAL_VERDICT_UNKNOWN, "not JSON"};
	if (DatumGetBool(DirectFunctionCall2(jsonb_eq, wanted.json, found.json)))
		return (InvalFinding) {INVAL_VERDICT_FRESH, "the same JSON"};
	return (InvalFinding) {INVAL_VERDICT_STALE, "another value"};
}

/*
 * Numbers and words are JSON, too, but nobody means it.
 */
static bool
verdict_looks_like_json(const char *bytes, Size length)
{
	while (length > 0 && strchr(" \t\r\n", *bytes) != NULL)
		bytes++, length--;
	return length > 0 && (*bytes == '{' || *bytes == '[');
}

static bool
verdict_read_json(VerdictJson *text)
{
	return inval_attempt(verdict_read_json_in, text) == NULL;
}

static void
verdict_read_json_in(void *arg)
{
	VerdictJson *text = arg;
	char	   *copy = pnstrdup(text->bytes, text->length);

	text->json = DirectFunctionCall1(jsonb_in,
									 CStringGetDatum(pg_any_to_server(copy, (int) text->length,
																	  PG_UTF8)));
}

/*
 * Texts in Redis are UTF-8, as keys are.
 */
static bool
verdict_is_text(const char *bytes, Size length)
{
	return memchr(bytes, '\0', length) == NULL &&
		pg_verify_mbstr(PG_UTF8, bytes, (int) length, true);
}

/*
 * What no text has, but what is compressed or serialized is likely to have.
 */
static bool
verdict_has_controls(const char *bytes, Size length)
{
	Size		i;

	for (i = 0; i < length; i++)
		if ((unsigned char) bytes[i] < ' ' && strchr("\t\r\n", bytes[i]) == NULL)
			return true;
	return false;
}
