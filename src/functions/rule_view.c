/*
 * rule_view.c
 *		The view inval_rule: all rules as rows, which can be written, too.
 *
 * inval_track and inval_untrack are what changes rules.  Whoever is granted to
 * write to the view can also do it as with any table, for many at once:
 * UPDATE inval_rule SET state = 'off'.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "commands/trigger.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/tuplestore.h"

#include "base/catalog.h"
#include "base/rights.h"
#include "functions/track.h"
#include "rule/carrier.h"
#include "store/pauses.h"

static void view_values(const InvalDefinition *definition, TupleDesc desc,
						Datum *values, bool *nulls);
static void view_definition(InvalDefinition *definition, HeapTuple row, TupleDesc desc);
static HeapTuple view_write(HeapTuple old_row, HeapTuple row, TupleDesc desc);
static Oid	view_carrier(int32 id);
static void view_check_unique(const InvalDefinition *definition);
static void view_check_options(const InvalDefinition *definition);

PG_FUNCTION_INFO_V1(inval_rule_rows);
PG_FUNCTION_INFO_V1(inval_rule_write);

/*
 * inval_rule_rows() RETURNS SETOF record: the rows of inval_rule.
 */
Datum
inval_rule_rows(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	foreach(lc, inval_carriers_all())
	{
		Datum		values[RULE_OPTIONS] = {0};
		bool		nulls[RULE_OPTIONS] = {0};

		CHECK_FOR_INTERRUPTS();
		view_values(lfirst(lc), result->setDesc, values, nulls);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/*
 * Trigger INSTEAD OF INSERT, UPDATE and DELETE on inval_rule.
 */
Datum
inval_rule_write(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	TupleDesc	desc;
	InvalDefinition definition;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_INSTEAD(trigdata->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigdata->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be fired INSTEAD OF ROW", "inval_rule_write")));
	if (RelationGetRelid(trigdata->tg_relation) !=
		get_relname_relid("inval_rule", inval_catalog(false)->schema))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" is for the view inval_rule only", "inval_rule_write")));
	desc = RelationGetDescr(trigdata->tg_relation);
	if (TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event))
		return PointerGetDatum(view_write(trigdata->tg_trigtuple,
										  trigdata->tg_newtuple, desc));
	if (TRIGGER_FIRED_BY_INSERT(trigdata->tg_event))
		return PointerGetDatum(view_write(NULL, trigdata->tg_trigtuple, desc));

	view_definition(&definition, trigdata->tg_trigtuple, desc);
	inval_rights_check_owner(definition.relation);
	return PointerGetDatum(inval_track_drop(definition.relation, NULL,
											inval_definition_id(&definition)) > 0 ?
						   trigdata->tg_trigtuple : NULL);
}

/*
 * A rule as a row of the view.
 */
static void
view_values(const InvalDefinition *definition, TupleDesc desc, Datum *values, bool *nulls)
{
	int			i;

	for (i = 0; i < RULE_OPTIONS; i++)
	{
		const char *text = inval_definition_get(definition, i);
		Oid			input;
		Oid			param;

		nulls[i] = text == NULL && i != RULE_RELATION;
		if (i == RULE_RELATION)
			values[i] = ObjectIdGetDatum(definition->relation);
		else if (text != NULL)
		{
			getTypeInputInfo(TupleDescAttr(desc, i)->atttypid, &input, &param);
			values[i] = OidInputFunctionCall(input, pstrdup(text), param, -1);
		}
	}
}

/*
 * A row of the view as a rule.
 */
static void
view_definition(InvalDefinition *definition, HeapTuple row, TupleDesc desc)
{
	int			i;

	memset(definition, 0, sizeof(*definition));
	for (i = 0; i < RULE_OPTIONS; i++)
	{
		bool		isnull;
		Datum		value = heap_getattr(row, i + 1, desc, &isnull);
		Oid			output;
		bool		is_varlena;

		if (isnull)
			continue;
		if (i == RULE_RELATION)
		{
			definition->relation = DatumGetObjectId(value);
			continue;
		}
		getTypeOutputInfo(TupleDescAttr(desc, i)->atttypid, &output, &is_varlena);
		(void) inval_definition_set(definition, inval_definition_name(i),
									i == RULE_FENCE ?
									pstrdup(DatumGetBool(value) ? "true" : "false") :
									OidOutputFunctionCall(output, value));
	}
}

/*
 * Writes a row that is inserted, or updated from an old one.  Returns it as it
 * is from now on.
 */
static HeapTuple
view_write(HeapTuple old_row, HeapTuple row, TupleDesc desc)
{
	InvalDefinition definition;
	Relation	relation;
	/* The last columns are not the rule's: what is wrong with it, nothing; paused. */
	Datum		values[RULE_OPTIONS + 2] = {0};
	bool		nulls[RULE_OPTIONS + 2] = {0};

	nulls[RULE_OPTIONS] = true;
	view_definition(&definition, row, desc);
	if (!OidIsValid(definition.relation))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("relation must not be null")));
	if (definition.options[RULE_ID] != NULL && inval_definition_id(&definition) < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a rule's id must be positive")));
	if (old_row != NULL)
	{
		InvalDefinition old;

		view_definition(&old, old_row, desc);
		if (old.relation != definition.relation ||
			inval_definition_id(&old) != inval_definition_id(&definition))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("a rule's id and relation cannot be changed"),
					 errhint("Drop the rule by inval_untrack_rule and track the other relation.")));
	}
	else if (definition.options[RULE_ID] != NULL &&
			 inval_carrier_find(inval_definition_id(&definition)) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNIQUE_VIOLATION),
				 errmsg("rule %d exists already", inval_definition_id(&definition))));

	relation = inval_track_open(definition.relation);
	inval_track_check_relation(relation);
	view_check_options(&definition);
	inval_track_check_rule(&definition, relation);
	view_check_unique(&definition);
	relation_close(relation, NoLock);
	if (old_row != NULL)
		definition.carrier = view_carrier(inval_definition_id(&definition));
	(void) inval_track_write(&definition);

	view_values(&definition, desc, values, nulls);
	inval_pauses_refresh();
	values[RULE_OPTIONS + 1] =
		BoolGetDatum(inval_pauses_have((uint32) inval_definition_id(&definition)));
	return heap_form_tuple(desc, values, nulls);
}

/*
 * Where a rule is written down that there is.
 */
static Oid
view_carrier(int32 id)
{
	const InvalDefinition *definition = inval_carrier_find(id);

	return definition != NULL ? definition->carrier : InvalidOid;
}

/*
 * inval_track takes a rule that means the same for the same; here it would be
 * another row.
 */
static void
view_check_unique(const InvalDefinition *definition)
{
	ListCell   *lc;

	foreach(lc, inval_carriers_all())
	{
		const InvalDefinition *other = lfirst(lc);

		if (definition->options[RULE_KEY] != NULL &&
			inval_definition_same_rule(other, definition) &&
			inval_definition_id(other) != inval_definition_id(definition))
			ereport(ERROR,
					(errcode(ERRCODE_UNIQUE_VIOLATION),
					 errmsg("rule %d of the relation is the same", inval_definition_id(other)),
					 errdetail("Relation, key, field, action and via are what identifies a rule.")));
	}
}

/*
 * What inval_track would refuse is refused here, too, if only by the name of
 * the option: there is one place that explains.
 */
static void
view_check_options(const InvalDefinition *definition)
{
	const char *delivery = inval_definition_get(definition, RULE_DELIVERY);
	const char *state = inval_definition_get(definition, RULE_STATE);
	const char *wrong = NULL;

	if (definition->options[RULE_REFILL] != NULL)
		wrong = inval_definition_name(RULE_REFILL);
	if (strcmp(delivery, "commit") != 0 && strcmp(delivery, "background") != 0 &&
		strcmp(delivery, "strict") != 0)
		wrong = inval_definition_name(RULE_DELIVERY);
	if (strcmp(state, "on") != 0 && strcmp(state, "shadow") != 0 && strcmp(state, "off") != 0)
		wrong = inval_definition_name(RULE_STATE);
	if (definition->options[RULE_KEY] == NULL)
		wrong = inval_definition_name(RULE_KEY);
	if (definition->options[RULE_CHANGES] != NULL &&
		inval_definition_list(definition, RULE_CHANGES) == NIL)
		wrong = inval_definition_name(RULE_CHANGES);
	if (wrong != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" of a rule has a value that inval_track would refuse", wrong),
				 errhint("Call inval_track, which says why.")));
}
