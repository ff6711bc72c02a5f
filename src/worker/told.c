/*
 * told.c
 *		What was said of rules in the server's log, so that it is said once.
 *
 * Lists that a process keeps for its life, of what it has said of a rule last.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "worker/told.h"

typedef struct Told
{
	uint32		rule;
	char	   *why;
} Told;

static Told *told_find(List *told, uint32 rule);

/*
 * Whether something else, or nothing, was said of a rule last.  Notes it as said.
 */
bool
inval_told_is_news(List **told, uint32 rule, const char *why)
{
	Told	   *known = told_find(*told, rule);
	MemoryContext old;

	if (known != NULL && strcmp(known->why, why) == 0)
		return false;
	old = MemoryContextSwitchTo(TopMemoryContext);
	if (known == NULL)
	{
		known = palloc0(sizeof(Told));
		known->rule = rule;
		*told = lappend(*told, known);
	}
	if (known->why != NULL)
		pfree(known->why);
	known->why = pstrdup(why);
	MemoryContextSwitchTo(old);
	return true;
}

/*
 * Whatever is said of a rule next is news.
 */
void
inval_told_forget(List **told, uint32 rule)
{
	Told	   *known = told_find(*told, rule);

	if (known == NULL)
		return;
	*told = list_delete_ptr(*told, known);
	if (known->why != NULL)
		pfree(known->why);
	pfree(known);
}

static Told *
told_find(List *told, uint32 rule)
{
	ListCell   *lc;

	foreach(lc, told)
	{
		Told	   *known = lfirst(lc);

		if (known->rule == rule)
			return known;
	}
	return NULL;
}
