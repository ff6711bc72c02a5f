/*
 * check.c
 *		Which of the values that came from the cache were too old.
 *
 * A read that begins at t and is given the version n of a row got something too
 * old if by then a version above n was there for everybody.  That is certain in
 * two cases:
 *
 *	- The commit that made such a version had returned to its client before t.
 *	- A query of the database had shown one and had ended before t.  The version
 *	  was committed when that query took its snapshot; and what one snapshot
 *	  shows, every later one does, since a transaction that has once left the
 *	  list of the running ones never comes back, and leaves it after its commit
 *	  record is on disk.
 *
 * "Before" is between the end of one operation and the begin of another, taken
 * from one clock: whatever happens inside an operation happens between its begin
 * and its end, so it did happen before.  Operations that overlap prove nothing,
 * and are not used.  Nor is a commit whose answer was lost, until a query shows it.
 * So nothing is called too old that was not.
 *
 * The reverse does not hold, and need not: what became visible moments before t,
 * and nobody had heard of yet, counts as current.
 *
 * Which of these values had been invalidated, and came or stayed nevertheless, is
 * what looks at the queue tell.  What was known of a row before a look began is
 * visible to that look, and with it what it owes (written by the same
 * transaction).  If the look does not show the key, the invalidation was confirmed
 * before the look ended; so an older value that is read after that was not removed by
 * it.  (An invalidation that is confirmed but lost with its Redis is such a case,
 * too.)
 */
#include <stdio.h>
#include <stdlib.h>

#include "check.h"
#include "common.h"

/* Of each grade that many are described. */
#define DESCRIBED	5

/* What is known of a row: versions that go up with the time. */
typedef struct Steps
{
	Fact	   *facts;
	size_t		count;
	size_t		room;
} Steps;

/* All that is known, and what is known from commits alone. */
static Steps known[ROWS];
static Steps returned[ROWS];

/* Looks that did not show a key. */
typedef struct Looks
{
	Look	   *looks;
	size_t		count;
	size_t		room;
} Looks;

static Looks delivered[KEYS];

static void
add_step(Steps *steps, const Fact *fact)
{
	if (steps->count > 0 && steps->facts[steps->count - 1].version >= fact->version)
		return;
	if (steps->count == steps->room)
	{
		steps->room = steps->room == 0 ? 64 : 2 * steps->room;
		steps->facts = realloc(steps->facts, steps->room * sizeof(Fact));
		if (steps->facts == NULL)
			die("out of memory");
	}
	steps->facts[steps->count++] = *fact;
}

/* The last one before that time; NULL if there is none. */
static const Fact *
step_before(const Steps *steps, Time when)
{
	size_t		low = 0;
	size_t		high = steps->count;

	while (low < high)
	{
		size_t		middle = (low + high) / 2;

		if (steps->facts[middle].when < when)
			low = middle + 1;
		else
			high = middle;
	}
	return low == 0 ? NULL : &steps->facts[low - 1];
}

/* The first one with a newer version; there is one. */
static const Fact *
step_above(const Steps *steps, int version)
{
	size_t		low = 0;
	size_t		high = steps->count;

	while (low < high)
	{
		size_t		middle = (low + high) / 2;

		if (steps->facts[middle].version <= version)
			low = middle + 1;
		else
			high = middle;
	}
	return &steps->facts[low];
}

static int
compare_facts(const void *left, const void *right)
{
	Time		a = ((const Fact *) left)->when;
	Time		b = ((const Fact *) right)->when;

	return a < b ? -1 : a > b;
}

static void
learn_facts(History **histories, int count)
{
	size_t		all = 0;
	Fact	   *facts;

	for (int i = 0; i < count; i++)
		all += histories[i]->facts_count;
	facts = malloc((all + 1) * sizeof(Fact));
	if (facts == NULL)
		die("out of memory");
	all = 0;
	for (int i = 0; i < count; i++)
		for (size_t n = 0; n < histories[i]->facts_count; n++)
			facts[all++] = histories[i]->facts[n];
	qsort(facts, all, sizeof(Fact), compare_facts);
	for (size_t n = 0; n < all; n++)
	{
		add_step(&known[facts[n].row], &facts[n]);
		if (facts[n].how == RETURNED)
			add_step(&returned[facts[n].row], &facts[n]);
	}
	free(facts);
}

/* Looks are those of one thread, in their order. */
static void
learn_looks(const History *history)
{
	for (size_t n = 0; n < history->looks_count; n++)
		for (int key = 0; key < KEYS; key++)
		{
			Looks	   *list = &delivered[key];

			if (history->looks[n].queued & UINT64_C(1) << key)
				continue;
			if (list->count == list->room)
			{
				list->room = list->room == 0 ? 1024 : 2 * list->room;
				list->looks = realloc(list->looks, list->room * sizeof(Look));
				if (list->looks == NULL)
					die("out of memory");
			}
			list->looks[list->count++] = history->looks[n];
		}
}

/* All that a later read can ask for is the last one, so that hours fit into memory. */
static void
forget_looks(void)
{
	for (int key = 0; key < KEYS; key++)
	{
		Looks	   *list = &delivered[key];

		if (list->count > 1)
		{
			list->looks[0] = list->looks[list->count - 1];
			list->count = 1;
		}
	}
}

/* When the last look began that had ended by then without the key; 0: none. */
static Time
last_look_before(int key, Time when)
{
	const Looks *list = &delivered[key];
	size_t		low = 0;
	size_t		high = list->count;

	while (low < high)
	{
		size_t		middle = (low + high) / 2;

		if (list->looks[middle].end < when)
			low = middle + 1;
		else
			high = middle;
	}
	return low == 0 ? 0 : list->looks[low - 1].begin;
}

static void
describe(Grade grade, const Read *read, int part, const Fact *newer)
{
	static const char *const grades[GRADES] = {
		"was visible", "had been committed", "had been delivered"
	};
	const Key  *key = &world_keys[read->key];

	fprintf(stderr, "%s (%s): version %d of row %d, of which version %d %s %.3f ms before"
			" the read began (at %.6f s, %.3f ms long)\n",
			key->name, read->source == HIT ? "hit" : "stale", read->versions[part],
			world_row_id(key->rows[part]), newer->version, grades[grade],
			(double) (read->begin - newer->when) / 1e6,
			(double) read->begin / 1e9, (double) (read->end - read->begin) / 1e6);
}

/*
 * Whether a part of a read was too old: by then, at least this was certain.
 */
static void
check_grade(const Read *read, Grade grade, const Steps *all, Time when, Verdict *verdict)
{
	const Key  *key = &world_keys[read->key];
	Time		age = -1;
	const Fact *worst = NULL;
	int			worst_part = 0;

	for (int part = 0; part < key->parts; part++)
	{
		const Steps *steps = &all[key->rows[part]];
		const Fact *last = step_before(steps, when);

		if (last != NULL && last->version > read->versions[part])
		{
			const Fact *newer = step_above(steps, read->versions[part]);

			if (read->begin - newer->when > age)
			{
				age = read->begin - newer->when;
				worst = newer;
				worst_part = part;
			}
		}
	}
	if (worst == NULL)
		return;
	if (verdict->old[grade]++ < DESCRIBED)
		describe(grade, read, worst_part, worst);
	if (age > verdict->oldest[grade])
		verdict->oldest[grade] = age;
}

void
check_histories(History **histories, int count, Verdict *verdict)
{
	learn_facts(histories, count);
	for (int i = 0; i < count; i++)
		learn_looks(histories[i]);
	for (int i = 0; i < count; i++)
	{
		for (size_t n = 0; n < histories[i]->reads_count; n++)
		{
			const Read *read = &histories[i]->reads[n];

			verdict->checked++;
			check_grade(read, VISIBLE, known, read->begin, verdict);
			check_grade(read, AFTER_RETURN, returned, read->begin, verdict);
			check_grade(read, AFTER_DELIVERY, known,
						last_look_before(read->key, read->begin), verdict);
		}
		history_clear(histories[i]);
	}
	forget_looks();
}
