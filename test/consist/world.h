/*
 * world.h
 *		The rows that are changed, the keys that they feed, and the queries that
 *		give the values.
 *
 * A row has a version, which every change counts up.  The value of a key is the
 * versions of the rows that it is made of, so whoever has a value knows how old
 * it is.
 */
#ifndef CONSIST_WORLD_H
#define CONSIST_WORLD_H

#include <stdint.h>

/* How a row's keys are found. */
typedef enum Kind
{
	OWN,						/* item: from its own column, item:{id} */
	PATH,						/* task: along a foreign key,
								 * tasks:{project_id.team_id} */
	VIA,						/* tag: by a query, article:{article_id} */
	KINDS
} Kind;

#define ITEMS		24
#define TEAMS		16			/* each with a project of two tasks */
#define ARTICLES	16			/* each with two tags, which have two articles */

#define ROWS		(ITEMS + 2 * TEAMS + ARTICLES)
#define KEYS		(ITEMS + TEAMS + ARTICLES)

/* A set of keys is a number; this many keys there are at most. */
_Static_assert(KEYS <= 64, "keys do not fit into a set");

/* Rows that a key is made of, at most. */
#define PARTS		2

typedef struct Key
{
	Kind		kind;
	int			id;				/* of the item, team, or article */
	char		name[32];
	int			parts;
	int			rows[PARTS];	/* by id, as the query has them */
} Key;

extern Key	world_keys[KEYS];

extern void world_make(void);

/* The statement that changes a row, $1, and returns its version. */
extern const char *world_update(Kind kind);

/* The query that gives the versions of what a key is made of; $1 is its id. */
extern const char *world_query(Kind kind);

/* One of the keys that a row feeds. */
extern int	world_key_of(int row);

extern Kind world_row_kind(int row);
extern int	world_row_id(int row);

/* The key of that name; -1 if there is none. */
extern int	world_find_key(const char *name);

#endif
