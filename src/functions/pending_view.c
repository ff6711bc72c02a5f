/*
 * pending_view.c
 *		inval_pending: what this transaction would invalidate so far.
 *
 * What is owed is in three places: in the pending set; in the outbox, if it was
 * too much for that; and nowhere yet, where keys are looked up when the
 * transaction ends.  These are looked up here for show, which changes nothing of
 * what is queued in the end.
 *
 * A transaction may owe keys that are made of rows which its user may not read: a
 * cascade or a function with other rights has changed them.  So a key is shown to
 * who could find it by inval_preview, or will find it in inval_queue; to others
 * only that the rule owes something.
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "parser/parse_func.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rls.h"
#include "utils/tuplestore.h"

#include "base/catalog.h"
#include "base/encoding.h"
#include "base/rights.h"
#include "capture/looks.h"
#include "commit/pending.h"
#include "outbox/read.h"
#include "rule/carrier.h"
#include "target/targets.h"
#include "version/server.h"

#define PENDING_COLUMNS	5

/* Whether the keys of a rule are shown */
typedef struct PendingRule
{
	uint32		id;				/* 0: inval_touch */
	bool		visible;
} PendingRule;

typedef struct PendingView
{
	ReturnSetInfo *result;
	List	   *rules;			/* of PendingRule *: those that were met */
	MemoryContext context;		/* of the list */
	MemoryContext row;			/* of what is being shown */
} PendingView;

static void view_lane(PendingView *view, InvalLane lane, int32 target,
					  const char *entries, Size length);
static bool view_visit_row(InvalOutboxRow *row, void *arg);
static bool view_may_look(const InvalRule *rule, void *arg);
static void view_found(const InvalRule *rule, const InvalEntry *entry, void *arg);
static void view_put(PendingView *view, const InvalTarget *target,
					 const InvalEntry *entry, bool visible);
static bool view_is_visible(PendingView *view, uint32 rule);
static bool view_check_rule(uint32 rule);
static bool view_check_touch(void);
static bool view_check_table(Oid relid, uint32 rule);

PG_FUNCTION_INFO_V1(inval_pending_rows);

/*
 * Rows of inval_pending: one may come more than once.  Raises what looking up would
 * raise at the end of the transaction.
 */
Datum
inval_pending_rows(PG_FUNCTION_ARGS)
{
	PendingView view = {0};
	int			i;

	InitMaterializedSRF(fcinfo, 0);
	(void) inval_catalog(false);
	view.result = (ReturnSetInfo *) fcinfo->resultinfo;
	view.context = CurrentMemoryContext;
	view.row = AllocSetContextCreate(CurrentMemoryContext, "inval pending row",
									 ALLOCSET_SMALL_SIZES);
	inval_targets_refresh();
	inval_outbox_scan_own(view_visit_row, &view);
	/* In a transaction that is ending the outbox has it all. */
	for (i = 0; i < inval_pending_sets() && !inval_pending_is_flushed(); i++)
	{
		InvalOwed	owed = inval_pending_set(i);

		view_lane(&view, owed.lane, owed.target, owed.entries, owed.length);
	}
	return (Datum) 0;
}

static bool
view_visit_row(InvalOutboxRow *row, void *arg)
{
	view_lane(arg, row->lane, row->target, row->pack, row->pack_length);
	return true;
}

/*
 * Shows entries of one lane.  A repetition is of what another lane has, or had.
 */
static void
view_lane(PendingView *view, InvalLane lane, int32 number, const char *entries,
		  Size length)
{
	const char *end = entries + length;
	InvalTarget *target;

	if (lane == INVAL_LANE_LOOK)
	{
		if (length > 0)
			inval_looks_show(entries, length, view_may_look, view_found, view);
		return;
	}
	target = inval_target_by_number(number);
	if (target == NULL || (lane != INVAL_LANE_COMMIT && lane != INVAL_LANE_STRICT &&
						   lane != INVAL_LANE_WORKER))
		return;
	while (entries < end)
	{
		InvalEntry	entry;

		CHECK_FOR_INTERRUPTS();
		entries = inval_entry_read(entries, end, &entry);
		view_put(view, target, &entry, view_is_visible(view, entry.rule));
	}
}

/*
 * Whether the keys of a rule are looked up: not only for show to nobody.
 */
static bool
view_may_look(const InvalRule *rule, void *arg)
{
	InvalEntry	hidden = {.action = rule->action,.rule = rule->id};
	int			i;

	if (view_is_visible(arg, rule->id))
		return true;
	for (i = 0; i < rule->ntargets; i++)
		view_put(arg, rule->targets[i], &hidden, false);
	return false;
}

/*
 * What a look-up has found, for the targets to which it may be sent.
 */
static void
view_found(const InvalRule *rule, const InvalEntry *entry, void *arg)
{
	int			i;

	for (i = 0; i < rule->ntargets; i++)
		if (inval_target_may_have(rule->targets[i], entry))
			view_put(arg, rule->targets[i], entry, true);
}

static void
view_put(PendingView *view, const InvalTarget *target, const InvalEntry *entry,
		 bool visible)
{
	MemoryContext old = MemoryContextSwitchTo(view->row);
	Datum		values[PENDING_COLUMNS] = {0};
	bool		nulls[PENDING_COLUMNS] = {0};

	nulls[0] = entry->rule == 0;
	nulls[3] = !visible;
	nulls[4] = !visible || entry->field == NULL;
	values[0] = Int32GetDatum((int32) entry->rule);
	values[1] = CStringGetTextDatum(target->name);
	values[2] = CStringGetTextDatum(inval_action_name(entry->action));
	if (!nulls[3])
		values[3] = PointerGetDatum(inval_show_key(entry->key, (int) entry->key_length));
	if (!nulls[4])
		values[4] = PointerGetDatum(inval_show_key(entry->field,
												   (int) entry->field_length));
	tuplestore_putvalues(view->result->setResult, view->result->setDesc, values, nulls);
	MemoryContextSwitchTo(old);
	MemoryContextReset(view->row);
}

/*
 * Whether the current user may see the keys of a rule; found out once for each.
 */
static bool
view_is_visible(PendingView *view, uint32 rule)
{
	MemoryContext old;
	PendingRule *met;
	ListCell   *lc;

	foreach(lc, view->rules)
	{
		met = lfirst(lc);
		if (met->id == rule)
			return met->visible;
	}
	old = MemoryContextSwitchTo(view->context);
	met = palloc(sizeof(PendingRule));
	met->id = rule;
	met->visible = inval_rights_see_keys() ||
		(rule == 0 ? view_check_touch() : view_check_rule(rule));
	view->rules = lappend(view->rules, met);
	MemoryContextSwitchTo(old);
	return met->visible;
}

/*
 * Of a rule that has gone nobody knows any more whose rows it was about.
 */
static bool
view_check_rule(uint32 rule)
{
	InvalDefinition *definition = inval_carrier_find((int32) rule);

	return definition != NULL &&
		(inval_rights_is_owner(definition->relation) ||
		 view_check_table(definition->relation, rule));
}

/*
 * What was queued by hand is shown to who may do so.
 */
static bool
view_check_touch(void)
{
	Oid			types[] = {TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID};
	char	   *schema = get_namespace_name(inval_catalog(false)->schema);
	Oid			touch = LookupFuncName(list_make2(makeString(schema),
												  makeString("inval_touch")),
									   lengthof(types), types, true);

	if (!OidIsValid(touch))
		return false;
	return inval_server_may_execute(touch, GetUserId());
}

/*
 * Who reads all of the table can tell what its rows feed, if nothing is looked up
 * with the rights of its owner.
 */
static bool
view_check_table(Oid relid, uint32 rule)
{
	InvalRelationRules *rules;
	Relation	relation;
	bool		plain = false;
	int			i;

	if (pg_class_aclcheck(relid, GetUserId(), ACL_SELECT) != ACLCHECK_OK ||
		check_enable_rls(relid, GetUserId(), true) == RLS_ENABLED)
		return false;
	relation = try_relation_open(relid, AccessShareLock);
	if (relation == NULL)
		return false;
	rules = inval_rules_of(relation);
	for (i = 0; i < rules->nrules; i++)
		if (rules->rules[i].id == rule)
			plain = rules->rules[i].broken == NULL && !rules->rules[i].looks;
	relation_close(relation, AccessShareLock);
	return plain;
}
