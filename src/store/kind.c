/*
 * kind.c
 *		Kinds of settings that live in the database.
 */
#include "postgres.h"

#include "store/kind.h"

static const struct
{
	const char *kind;
	const char *prefix;			/* of the server's name */
}			store_kinds[] =
{
	{INVAL_STORE_RULE, "inval_rule_"},
	{INVAL_STORE_VARIABLE, "inval_var_"},
	{INVAL_STORE_GUARD, "inval_guard_"},
	{INVAL_STORE_TARGET, "inval_target_"},
	{INVAL_STORE_PAUSE, "inval_pause_"},
	{INVAL_STORE_RULE_PAUSE, "inval_rule_pause_"},
};

/*
 * What the names of the servers of a kind start with, NULL if there is no such
 * kind.
 */
const char *
inval_store_prefix(const char *kind)
{
	Size		i;

	for (i = 0; i < lengthof(store_kinds); i++)
		if (strcmp(store_kinds[i].kind, kind) == 0)
			return store_kinds[i].prefix;
	return NULL;
}
