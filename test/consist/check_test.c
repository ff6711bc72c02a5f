/*
 * check_test.c
 *		The checker, on small histories by hand: what it must call too old, and
 *		what it must not.
 *
 * Prints TAP.  Each case has a row of its own, since what is known of a row stays.
 */
#include <stdio.h>
#include <stdbool.h>
#include <stdlib.h>

#include "check.h"

static int	tests;
static int	failures;

/*
 * A case: a fact (version 2 of the row), a look at the queue, and a read of a
 * version.  Version 1 has been there for ever.  A time of 0 leaves it out.
 */
typedef struct Case
{
	const char *what;
	How			how;
	Time		fact;
	Time		look_begin;
	Time		look_end;
	bool		queued;
	Time		read_begin;
	Time		read_end;
	int			version;
	bool		expected[GRADES];
} Case;

static const Case cases[] = {
	{"a newer commit returned before: too old", RETURNED, 100, 0, 0, false,
	101, 110, 1, {true, true, false}},
	{"a newer version was seen before: too old, but not after its return", SEEN, 100, 0, 0,
	false, 101, 110, 1, {true, false, false}},
	{"the newer commit returned while the read was under way", RETURNED, 105, 0, 0, false,
	101, 110, 1, {false, false, false}},
	{"it returned at the very moment", RETURNED, 101, 0, 0, false,
	101, 110, 1, {false, false, false}},
	{"it returned later", RETURNED, 200, 0, 0, false,
	101, 110, 1, {false, false, false}},
	{"the newest version is right", RETURNED, 100, 0, 0, false,
	101, 110, 2, {false, false, false}},
	{"a version that nobody knows yet is not too old", RETURNED, 100, 0, 0, false,
	101, 110, 3, {false, false, false}},
	{"a look in between did not show the key: delivered", RETURNED, 100, 102, 103, false,
	104, 110, 1, {true, true, true}},
	{"the same of what was seen", SEEN, 100, 102, 103, false,
	104, 110, 1, {true, false, true}},
	{"the look showed the key", RETURNED, 100, 102, 103, true,
	104, 110, 1, {true, true, false}},
	{"the look began before the commit returned", RETURNED, 100, 99, 103, false,
	104, 110, 1, {true, true, false}},
	{"the look ended after the read began", RETURNED, 100, 102, 105, false,
	104, 110, 1, {true, true, false}},
};

static void
report(bool good, const char *what)
{
	printf("%sok %d - %s\n", good ? "" : "not ", ++tests, what);
	failures += !good;
}

static void
run_case(const Case *one, int number)
{
	History		writer = {0};
	History		reader = {0};
	History    *histories[] = {&writer, &reader};
	Verdict		verdict = {0};
	int			row = world_keys[number].rows[0];
	Read		read = {
		.key = (short) number, .versions = {one->version}
	};
	/* A look tells of all keys: those of other cases are long ago. */
	Time		base = 1000 * (1 + number);
	bool		good;

	history_fact(&writer, row, 2, one->how, base + one->fact);
	history_fact(&writer, row, 1, RETURNED, 1);
	if (one->look_end > 0)
	{
		Look		look = {
			base + one->look_begin, base + one->look_end,
			one->queued ? UINT64_C(1) << number : 0
		};

		history_look(&writer, &look);
	}
	read.begin = base + one->read_begin;
	read.end = base + one->read_end;
	history_read(&reader, &read);
	check_histories(histories, 2, &verdict);
	good = verdict.checked == 1;
	for (Grade grade = 0; grade < GRADES; grade++)
		good = good && verdict.old[grade] == one->expected[grade];
	report(good, one->what);
}

/* A key of two rows: one of them may be too old although the other is new. */
static void
run_parts(void)
{
	History		history = {0};
	History    *histories[] = {&history};
	Verdict		verdict = {0};
	int			number = world_find_key("tasks:1");
	const Key  *key = &world_keys[number];
	Read		read = {.begin = 100000, .end = 100001, .key = (short) number, .versions = {9, 4}};

	history_fact(&history, key->rows[1], 5, RETURNED, 99500);
	history_fact(&history, key->rows[1], 6, RETURNED, 99700);
	history_fact(&history, key->rows[0], 9, RETURNED, 99300);
	history_read(&history, &read);
	check_histories(histories, 1, &verdict);
	report(verdict.old[VISIBLE] == 1, "one of the parts is too old");
	report(verdict.oldest[VISIBLE] == 500, "since there was the first newer version");
	read.versions[1] = 6;
	history_read(&history, &read);
	check_histories(histories, 1, &verdict);
	report(verdict.old[VISIBLE] == 1 && verdict.checked == 2,
		   "what is known stays known to later rounds, and both parts are right");
}

int
main(void)
{
	world_make();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		run_case(&cases[i], (int) i);
	run_parts();
	printf("1..%d\n", tests);
	return failures > 0;
}
