/*
 * moment.c
 *		Whether a function that asks targets about a rule may be called now.
 */
#include "postgres.h"

#include "base/rights.h"
#include "commit/pending.h"
#include "functions/moment.h"
#include "key/lookup.h"
#include "rule/carrier.h"

/*
 * Where the transaction ends, or keys are looked up for that, its connections are
 * not ours.
 */
void
inval_moment_check(const char *function)
{
	if (inval_pending_is_flushed() || inval_lookup_is_under_way())
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("%s cannot be called at the end of a transaction, or by the query of a rule",
						function)));
}

/*
 * An error unless there is such a rule and its table is the caller's, whose keys are
 * shown.
 */
void
inval_moment_check_rule(int32 rule)
{
	const InvalDefinition *definition = inval_carrier_find(rule);

	if (definition != NULL)
		inval_rights_check_owner(definition->relation);
	else
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("rule %d does not exist", rule),
				 errhint("inval_rule has those that there are.")));
}
