/*
 * look.c
 *		What a rule needs of a row to look its keys up, as bytes.
 *
 * A rule with a path or a query needs some columns of the row: its inputs
 * (rule.h).  They are kept in place of the row, so that many rows that lead to
 * the same answer are one; in the pending set, and in the outbox for the
 * worker.  The bytes are:
 *
 *		relation	4: the OID of the one whose row it is
 *		rule		4
 *		shape		4: a hash of the inputs' types
 *		inputs		for each: 1 byte (0: NULL), then the value; one that has
 *					no fixed length has it first, 4 bytes
 *
 * They live for moments, on one machine.  A value whose type has changed since
 * is not read: what changes a column's type has queued the keys of all rows.
 */
#include "postgres.h"

#include "utils/datum.h"
#include "utils/rel.h"

#include "capture/look.h"
#include "version/server.h"

static const char *look_read_value(const char *place, const char *end,
								   const InvalInput *input, Datum *value);

/*
 * Appends what the rule needs of a row.  Leaks into the current memory context.
 */
void
inval_look_write(StringInfo out, const InvalRule *rule, Oid relid, TupleTableSlot *row)
{
	int			i;

	appendBinaryStringInfo(out, (const char *) &relid, sizeof(relid));
	appendBinaryStringInfo(out, (const char *) &rule->id, sizeof(rule->id));
	appendBinaryStringInfo(out, (const char *) &rule->inputs.shape, sizeof(rule->inputs.shape));
	for (i = 0; i < rule->inputs.count; i++)
	{
		const InvalInput *input = &rule->inputs.items[i];
		bool		isnull;
		Datum		value = slot_getattr(row, input->attnum, &isnull);

		appendStringInfoChar(out, isnull ? 0 : 1);
		if (isnull)
			continue;
		if (input->by_value)
			appendBinaryStringInfo(out, (const char *) &value, sizeof(value));
		else if (input->length == -1)
		{
			struct varlena *bytes = PG_DETOAST_DATUM_PACKED(value);
			uint32		length = VARSIZE_ANY_EXHDR(bytes);

			appendBinaryStringInfo(out, (const char *) &length, sizeof(length));
			appendBinaryStringInfo(out, VARDATA_ANY(bytes), (int) length);
		}
		else
		{
			uint32		length = (uint32) datumGetSize(value, false, input->length);

			appendBinaryStringInfo(out, (const char *) &length, sizeof(length));
			appendBinaryStringInfo(out, DatumGetPointer(value), (int) length);
		}
	}
}

/*
 * The relation whose row it is; InvalidOid if these bytes are nothing of ours.
 */
Oid
inval_look_relation(const InvalEntry *look)
{
	Oid			relid;

	if (look->action != INVAL_ACTION_LOOK || look->key_length < 3 * sizeof(uint32))
		return InvalidOid;
	memcpy(&relid, look->key, sizeof(relid));
	return relid;
}

/*
 * Puts the inputs into a virtual slot of the rule's relation, in which all else
 * is NULL.  Values are in the current memory context.  Returns false if they
 * do not fit the rule as it is now.
 */
bool
inval_look_read(const InvalEntry *look, const InvalRule *rule, TupleTableSlot *row)
{
	const char *place = look->key + 2 * sizeof(uint32);
	const char *end = look->key + look->key_length;
	int			natts = row->tts_tupleDescriptor->natts;
	uint32		shape;
	int			i;

	memcpy(&shape, place, sizeof(shape));
	place += sizeof(shape);
	if (shape != rule->inputs.shape)
		return false;
	ExecClearTuple(row);
	for (i = 0; i < natts; i++)
	{
		row->tts_values[i] = (Datum) 0;
		row->tts_isnull[i] = true;
	}
	for (i = 0; i < rule->inputs.count; i++)
	{
		const InvalInput *input = &rule->inputs.items[i];

		if (place >= end)
			return false;
		if (*place++ == 0)
			continue;
		place = look_read_value(place, end, input, &row->tts_values[input->attnum - 1]);
		if (place == NULL)
			return false;
		row->tts_isnull[input->attnum - 1] = false;
	}
	ExecStoreVirtualTuple(row);
	return true;
}

static const char *
look_read_value(const char *place, const char *end, const InvalInput *input, Datum *value)
{
	uint32		length;
	char	   *copy;

	if (input->by_value)
	{
		if ((Size) (end - place) < sizeof(Datum))
			return NULL;
		memcpy(value, place, sizeof(Datum));
		return place + sizeof(Datum);
	}
	if ((Size) (end - place) < sizeof(length))
		return NULL;
	memcpy(&length, place, sizeof(length));
	place += sizeof(length);
	if ((Size) (end - place) < length)
		return NULL;
	if (input->length == -1)
	{
		copy = palloc(VARHDRSZ + length);
		SET_VARSIZE(copy, VARHDRSZ + length);
		memcpy(VARDATA(copy), place, length);
	}
	else
	{
		copy = palloc(length);
		memcpy(copy, place, length);
	}
	*value = PointerGetDatum(copy);
	return place + length;
}
