/*
 * pattern.c
 *		Which keys of a Redis server are searched for.
 *
 * All that start with one of several prefixes, or those that a glob pattern of
 * Redis matches.  The server is asked for what it can tell with one pattern, which
 * for several prefixes is all that starts like all of them; what it finds is
 * compared with the prefixes here.
 */
#include "postgres.h"

#include "redis/marker.h"
#include "redis/pattern.h"

/*
 * Most stars in a pattern.  Some versions of Redis try for each of them all places
 * where the last one could end, and serve nobody meanwhile.
 */
#define MAX_STARS		4

static int	pattern_compare(const void *a, const void *b);
static bool pattern_starts_with(const InvalPrefix *text, const InvalPrefix *prefix);
static char *pattern_escape(const char *prefix, Size length, const char *rest);
static const char *glob_end_of_class(const char *place, const char *end);

/*
 * All keys that start with one of these, which are text: no zero bytes.  Copies
 * them; all in the current memory context.
 */
void
inval_pattern_of_prefixes(InvalPattern *pattern, const InvalPrefix *prefixes, int count)
{
	const InvalPrefix *first;
	const InvalPrefix *last;
	int			i;

	pattern->prefixes = palloc(count * sizeof(InvalPrefix));
	for (i = 0; i < count; i++)
	{
		pattern->prefixes[i].bytes = pnstrdup(prefixes[i].bytes, prefixes[i].length);
		pattern->prefixes[i].length = prefixes[i].length;
	}
	qsort(pattern->prefixes, count, sizeof(InvalPrefix), pattern_compare);
	pattern->count = 1;
	for (i = 1; i < count; i++)
		if (!pattern_starts_with(&pattern->prefixes[i], &pattern->prefixes[pattern->count - 1]))
			pattern->prefixes[pattern->count++] = pattern->prefixes[i];

	/* What the first and the last have in common is common to those between them. */
	first = &pattern->prefixes[0];
	last = &pattern->prefixes[pattern->count - 1];
	for (i = 0; (Size) i < Min(first->length, last->length) &&
		 first->bytes[i] == last->bytes[i]; i++)
		;
	pattern->common = (Size) i;
	pattern->keys = pattern_escape(first->bytes, pattern->common, "*");
	pattern->leases = pattern_escape(first->bytes, pattern->common, "*" INVAL_LEASE "*");
}

/*
 * The keys that a glob pattern matches, of which inval_glob_start has told how they
 * start.
 */
void
inval_pattern_of_glob(InvalPattern *pattern, const char *start, Size start_length,
					  const char *glob, Size length)
{
	pattern->prefixes = palloc(sizeof(InvalPrefix));
	pattern->prefixes->bytes = pnstrdup(start, start_length);
	pattern->prefixes->length = start_length;
	pattern->count = 1;
	pattern->common = start_length;
	pattern->keys = pnstrdup(glob, length);
	pattern->leases = psprintf("%s" INVAL_LEASE "*", pattern->keys);
}

static int
pattern_compare(const void *a, const void *b)
{
	const InvalPrefix *first = a;
	const InvalPrefix *second = b;
	int			order = memcmp(first->bytes, second->bytes,
							   Min(first->length, second->length));

	if (order != 0)
		return order;
	return first->length < second->length ? -1 : first->length > second->length;
}

static bool
pattern_starts_with(const InvalPrefix *text, const InvalPrefix *prefix)
{
	return text->length >= prefix->length &&
		memcmp(text->bytes, prefix->bytes, prefix->length) == 0;
}

/*
 * A prefix as a glob pattern, with what is special in one escaped, and what may
 * follow.
 */
static char *
pattern_escape(const char *prefix, Size length, const char *rest)
{
	Size		rest_length = strlen(rest);
	char	   *pattern = palloc(2 * length + rest_length + 1);
	char	   *place = pattern;
	Size		i;

	for (i = 0; i < length; i++)
	{
		if (strchr("*?[]\\", prefix[i]) != NULL)
			*place++ = '\\';
		*place++ = prefix[i];
	}
	memcpy(place, rest, rest_length + 1);
	return pattern;
}

/*
 * Whether a key that was found is one to be removed.  Whatever a server answers to
 * a pattern: what does not start with a prefix is left alone.  So is a fence, which
 * is a ban that only its owner may lift.
 */
bool
inval_pattern_has(const InvalPattern *pattern, const char *key, Size length)
{
	InvalPrefix text = {key, length};
	int			low = 0;
	int			high = pattern->count;

	/* The last prefix that is not behind the key is the only one that can be its. */
	while (low < high)
	{
		int			middle = (low + high) / 2;

		if (pattern_compare(&pattern->prefixes[middle], &text) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low > 0 && pattern_starts_with(&text, &pattern->prefixes[low - 1]) &&
		!inval_marker_stays(key, length);
}

/*
 * What all keys start with that a glob pattern of Redis matches: written to "start",
 * which has room for as much as the pattern has.  Returns NULL, or what is wrong
 * with the pattern: a server would take it in its own way.
 */
const char *
inval_glob_start(const char *glob, Size length, char *start, Size *start_length)
{
	const char *place = glob;
	const char *end = glob + length;
	bool		literal = true;
	bool		star = false;	/* one is before the place */
	int			stars = 0;

	*start_length = 0;
	while (place < end)
	{
		literal &= strchr("*?[", *place) == NULL;
		stars += *place == '*' && !star;
		star = *place == '*';
		if (*place == '[')
		{
			place = glob_end_of_class(place + 1, end);
			if (place == NULL)
				return "it has a [ without a ]";
		}
		else if (*place == '\\' && ++place == end)
			return "it ends with a \\ that nothing follows";
		if (literal)
			start[(*start_length)++] = *place;
		place++;
	}
	return stars > MAX_STARS ? "it has more than 4 *" : NULL;
}

/*
 * The ] that ends what a [ begins; NULL if none does.  One can be the end of a range.
 */
static const char *
glob_end_of_class(const char *place, const char *end)
{
	if (place < end && *place == '^')
		place++;
	for (; place < end; place++)
	{
		if (*place == ']')
			return place;
		if (*place == '\\')
			place++;
		else if (end - place >= 3 && place[1] == '-')
			place += 2;
	}
	return NULL;
}
