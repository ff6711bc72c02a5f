/*
 * broken.c
 *		Rules that cannot be applied.
 *
 * What a rule names may be gone, or a right that it needs, or a target: after a
 * restore of a part, a REVOKE, DDL while event triggers were off.  Then the
 * rule is broken: rows are written all the same, the other rules of the table
 * are applied as ever, and what is missed is said aloud and counted.
 */
#include "postgres.h"

#include "nodes/pg_list.h"
#include "utils/memutils.h"

#include "base/attempt.h"
#include "rule/broken.h"

/* So many rules a session is told of; then it has the idea. */
#define MAX_WARNINGS	1000

static List *warned = NIL;		/* their numbers */

/*
 * Whether an error that a rule's query has raised means that it cannot be
 * asked: something is not there, or may not be read, or it writes.
 */
bool
inval_rule_is_broken_by(const ErrorData *error)
{
	int			category = ERRCODE_TO_CATEGORY(error->sqlerrcode);

	return inval_attempt_is_servers(error) &&
		(category == ERRCODE_TO_CATEGORY(ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION) ||
		 category == ERRCODE_TO_CATEGORY(ERRCODE_FEATURE_NOT_SUPPORTED) ||
		 category == ERRCODE_TO_CATEGORY(ERRCODE_INVALID_SCHEMA_NAME) ||
		 error->sqlerrcode == ERRCODE_READ_ONLY_SQL_TRANSACTION);
}

/*
 * Says, once in a session, that a rule is not applied, and why.
 */
void
inval_rule_warn_broken(uint32 id, const char *reason)
{
	MemoryContext old;

	if (list_member_int(warned, (int) id) || list_length(warned) == MAX_WARNINGS)
		return;
	old = MemoryContextSwitchTo(TopMemoryContext);
	warned = lappend_int(warned, (int) id);
	MemoryContextSwitchTo(old);
	ereport(WARNING,
			(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
			 errmsg("inval rule %u is broken: %s", id, reason),
			 errdetail("Keys of the rows that it is about are not removed."),
			 errhint("Mend what it names, or drop it by inval_untrack_rule(%u).", id)));
}
