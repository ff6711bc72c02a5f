/*
 * world.c
 *		The rows that are changed, and the keys that they feed.
 *
 * test/perl/Inval/Consistency.pm makes the tables and the rules.
 */
#include <stdio.h>
#include <string.h>

#include "world.h"

Key			world_keys[KEYS];

/* Where the rows of each kind begin, all rows being numbered. */
static const int first_row[KINDS] = {0, ITEMS, ITEMS + 2 * TEAMS};

static void
make_key(Key *key, Kind kind, int id)
{
	static const char *const names[KINDS] = {"item", "tasks", "article"};

	key->kind = kind;
	key->id = id;
	snprintf(key->name, sizeof(key->name), "%s:%d", names[kind], id);
	key->parts = kind == OWN ? 1 : 2;
	if (kind == OWN)
		key->rows[0] = first_row[OWN] + id - 1;
	else if (kind == PATH)
	{
		/* Project n is the only one of team n, and has the tasks 2n - 1, 2n. */
		key->rows[0] = first_row[PATH] + 2 * (id - 1);
		key->rows[1] = key->rows[0] + 1;
	}
	else
	{
		/* Article n has the tags n and n + 1, the last one 1 and the last. */
		key->rows[0] = first_row[VIA] + (id == ARTICLES ? 0 : id - 1);
		key->rows[1] = first_row[VIA] + (id == ARTICLES ? ARTICLES - 1 : id);
	}
}

void
world_make(void)
{
	Key		   *key = world_keys;

	for (int id = 1; id <= ITEMS; id++)
		make_key(key++, OWN, id);
	for (int id = 1; id <= TEAMS; id++)
		make_key(key++, PATH, id);
	for (int id = 1; id <= ARTICLES; id++)
		make_key(key++, VIA, id);
}

const char *
world_update(Kind kind)
{
	static const char *const statements[KINDS] = {
		"UPDATE item SET v = v + 1 WHERE id = $1 RETURNING v",
		"UPDATE task SET v = v + 1 WHERE id = $1 RETURNING v",
		"UPDATE tag SET v = v + 1 WHERE id = $1 RETURNING v"
	};

	return statements[kind];
}

const char *
world_query(Kind kind)
{
	static const char *const queries[KINDS] = {
		"SELECT v FROM item WHERE id = $1",
		"SELECT t.v FROM task t JOIN project p ON p.id = t.project_id"
		" WHERE p.team_id = $1 ORDER BY t.id",
		"SELECT t.v FROM article_tag a JOIN tag t ON t.id = a.tag_id"
		" WHERE a.article_id = $1 ORDER BY t.id"
	};

	return queries[kind];
}

Kind
world_row_kind(int row)
{
	return row < first_row[PATH] ? OWN : row < first_row[VIA] ? PATH : VIA;
}

int
world_row_id(int row)
{
	return row - first_row[world_row_kind(row)] + 1;
}

int
world_key_of(int row)
{
	int			key = 0;

	while (world_keys[key].rows[0] != row && world_keys[key].rows[world_keys[key].parts - 1] != row)
		key++;
	return key;
}

int
world_find_key(const char *name)
{
	for (int i = 0; i < KEYS; i++)
		if (strcmp(world_keys[i].name, name) == 0)
			return i;
	return -1;
}
