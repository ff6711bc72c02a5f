/*
 * value.c
 *		A column's value as text that is the same in every session.
 *
 * A key that depends on DateStyle or TimeZone is another key in another
 * session, and then one of them is stale.  The types that keys are mostly made
 * of have a rendering of their own here; of the others, those whose output
 * depends on the value alone use their output function.  What is left runs its
 * output function with all the settings pinned that output functions look at.
 *
 * To set them by the server's own means and to reset them costs several times
 * what the rest of a key costs.  Most of them are plain variables to output
 * functions: how a date, an interval, a float or a bytea is written.  These are
 * exchanged directly for the time of a call.  That is enough for output
 * functions that are IMMUTABLE, which look at such variables all the same, and
 * for arrays, ranges and composites of such types.  Composites can get other columns
 * at any time: the server numbers what a type is made of.  The others (names of objects,
 * money, composites of composites) get the full treatment.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "common/shortest_dec.h"
#include "miscadmin.h"
#include "pgtime.h"
#include "utils/builtins.h"
#include "utils/bytea.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/float.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"
#include "utils/varlena.h"

#include "key/value.h"
#include "version/server.h"

/* What output functions look at, and what it is pinned to. */
static const struct
{
	const char *name;
	const char *value;
}			pinned_settings[] =
{
	{"DateStyle", "ISO, YMD"},
	{"TimeZone", "UTC"},
	{"IntervalStyle", "iso_8601"},
	{"bytea_output", "hex"},
	{"extra_float_digits", "1"},
	{"lc_monetary", "C"},
	{"xmlbinary", "base64"},
	{"quote_all_identifiers", "off"},
	{"search_path", "pg_catalog, pg_temp"},
};

/* The variables that most output functions look at */
typedef struct Formatting
{
	int			date_style;
	int			date_order;
	int			interval_style;
	int			bytea_output;
	int			extra_float_digits;
	pg_tz	   *time_zone;
} Formatting;

static void value_append_integer(StringInfo out, int64 value);
static bool value_append_special(StringInfo out, double number);
static void value_append_date(StringInfo out, DateADT date);
static void value_append_timestamp(StringInfo out, Timestamp timestamp, bool utc);
static void value_append_output(StringInfo out, FmgrInfo *output, Datum value);
static bool value_is_formatted(Oid type_oid);
static bool value_has_formatted_columns(InvalValueType *type);
static void value_append_pinned(StringInfo out, FmgrInfo *output, Datum value);
static void value_append_formatted(StringInfo out, FmgrInfo *output, Datum value);
static Formatting value_exchange_formatting(Formatting formatting);

/*
 * Finds out how to render a type; domains render as what they are over.
 * Memory that the output function keeps is allocated in cxt.
 */
void
inval_value_prepare(InvalValueType *type, Oid type_oid, MemoryContext cxt)
{
	Oid			base = getBaseType(type_oid);
	Oid			output;
	bool		is_varlena;

	memset(type, 0, sizeof(*type));
	switch (base)
	{
		case INT2OID:
			type->kind = INVAL_VALUE_INT2;
			return;
		case INT4OID:
			type->kind = INVAL_VALUE_INT4;
			return;
		case INT8OID:
			type->kind = INVAL_VALUE_INT8;
			return;
		case TEXTOID:
		case VARCHAROID:
			type->kind = INVAL_VALUE_TEXT;
			return;
		case BPCHAROID:
			type->kind = INVAL_VALUE_CHAR;
			return;
		case BOOLOID:
			type->kind = INVAL_VALUE_BOOL;
			return;
		case DATEOID:
			type->kind = INVAL_VALUE_DATE;
			return;
		case TIMESTAMPOID:
			type->kind = INVAL_VALUE_TIMESTAMP;
			return;
		case TIMESTAMPTZOID:
			type->kind = INVAL_VALUE_TIMESTAMPTZ;
			return;
		case BYTEAOID:
			type->kind = INVAL_VALUE_BYTEA;
			return;
		case FLOAT4OID:
			type->kind = INVAL_VALUE_FLOAT4;
			return;
		case FLOAT8OID:
			type->kind = INVAL_VALUE_FLOAT8;
			return;
		case UUIDOID:
		case NUMERICOID:
		case OIDOID:
		case NAMEOID:
		case CHAROID:
		case JSONOID:
		case JSONBOID:
		case INETOID:
		case CIDROID:
		case MACADDROID:
		case MACADDR8OID:
		case BITOID:
		case VARBITOID:
		case XIDOID:
		case XID8OID:
		case TIDOID:
		case PG_LSNOID:
		case TIMEOID:
			type->kind = INVAL_VALUE_STABLE;
			break;
		default:
			if (type_is_enum(base))
				type->kind = INVAL_VALUE_STABLE;
			else if (value_is_formatted(base))
				type->kind = INVAL_VALUE_FORMATTED;
			else if (get_typtype(base) == TYPTYPE_COMPOSITE)
			{
				type->kind = INVAL_VALUE_COMPOSITE;
				type->composite = base;
			}
			else
				type->kind = INVAL_VALUE_SESSION;
			break;
	}
	getTypeOutputInfo(base, &output, &is_varlena);
	fmgr_info_cxt(output, &type->output, cxt);
}

/*
 * Appends a value, which must not be NULL.  Leaks what the output function
 * allocates into the current memory context.
 */
void
inval_value_append(StringInfo out, InvalValueType *type, Datum value)
{
	switch (type->kind)
	{
		case INVAL_VALUE_INT2:
			value_append_integer(out, DatumGetInt16(value));
			break;
		case INVAL_VALUE_INT4:
			value_append_integer(out, DatumGetInt32(value));
			break;
		case INVAL_VALUE_INT8:
			value_append_integer(out, DatumGetInt64(value));
			break;
		case INVAL_VALUE_TEXT:
			{
				struct varlena *text = PG_DETOAST_DATUM_PACKED(value);

				appendBinaryStringInfo(out, VARDATA_ANY(text), VARSIZE_ANY_EXHDR(text));
				if ((Pointer) text != DatumGetPointer(value))
					pfree(text);
				break;
			}
		case INVAL_VALUE_CHAR:
			{
				struct varlena *text = PG_DETOAST_DATUM_PACKED(value);
				int			length = (int) VARSIZE_ANY_EXHDR(text);

				length = bpchartruelen(VARDATA_ANY(text), length);
				appendBinaryStringInfo(out, VARDATA_ANY(text), length);
				break;
			}
		case INVAL_VALUE_BOOL:
			appendStringInfoString(out, DatumGetBool(value) ? "true" : "false");
			break;
		case INVAL_VALUE_DATE:
			value_append_date(out, DatumGetDateADT(value));
			break;
		case INVAL_VALUE_TIMESTAMP:
			value_append_timestamp(out, DatumGetTimestamp(value), false);
			break;
		case INVAL_VALUE_TIMESTAMPTZ:
			value_append_timestamp(out, DatumGetTimestampTz(value), true);
			break;
		case INVAL_VALUE_BYTEA:
			{
				bytea	   *bytes = PG_DETOAST_DATUM_PACKED(value);
				int			length = (int) VARSIZE_ANY_EXHDR(bytes);

				appendStringInfoString(out, "\\x");
				enlargeStringInfo(out, length * 2);
				out->len += (int) hex_encode(VARDATA_ANY(bytes), length,
											 out->data + out->len);
				out->data[out->len] = '\0';
				break;
			}
		case INVAL_VALUE_FLOAT4:
			{
				float4		number = DatumGetFloat4(value);

				if (!value_append_special(out, number))
				{
					enlargeStringInfo(out, FLOAT_SHORTEST_DECIMAL_LEN);
					out->len += float_to_shortest_decimal_buf(number, out->data + out->len);
				}
				break;
			}
		case INVAL_VALUE_FLOAT8:
			{
				float8		number = DatumGetFloat8(value);

				if (!value_append_special(out, number))
				{
					enlargeStringInfo(out, DOUBLE_SHORTEST_DECIMAL_LEN);
					out->len += double_to_shortest_decimal_buf(number, out->data + out->len);
				}
				break;
			}
		case INVAL_VALUE_STABLE:
			value_append_output(out, &type->output, value);
			break;
		case INVAL_VALUE_FORMATTED:
			value_append_formatted(out, &type->output, value);
			break;
		case INVAL_VALUE_COMPOSITE:
			if (value_has_formatted_columns(type))
				value_append_formatted(out, &type->output, value);
			else
				value_append_pinned(out, &type->output, value);
			break;
		case INVAL_VALUE_SESSION:
			value_append_pinned(out, &type->output, value);
			break;
	}
}

/*
 * Pins the settings that output functions look at, until the caller's GUC nest
 * level ends.
 */
void
inval_value_pin_settings(void)
{
	Size		i;

	for (i = 0; i < lengthof(pinned_settings); i++)
		(void) set_config_option(pinned_settings[i].name, pinned_settings[i].value,
								 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
								 false);
}

static void
value_append_integer(StringInfo out, int64 value)
{
	enlargeStringInfo(out, MAXINT8LEN + 1);
	out->len += pg_lltoa(value, out->data + out->len);
}

/*
 * Appends a number that has no digits, or returns false: the words are those of
 * float8out.
 */
static bool
value_append_special(StringInfo out, double number)
{
	if (isnan(number))
		appendStringInfoString(out, "NaN");
	else if (isinf(number))
		appendStringInfoString(out, number > 0 ? "Infinity" : "-Infinity");
	else
		return false;
	return true;
}

/*
 * ISO 8601, as SELECT to_json gives it.
 */
static void
value_append_date(StringInfo out, DateADT date)
{
	struct pg_tm tm;
	char		text[MAXDATELEN + 1];

	if (DATE_NOT_FINITE(date))
		EncodeSpecialDate(date, text);
	else
	{
		memset(&tm, 0, sizeof(tm));
		j2date(date + POSTGRES_EPOCH_JDATE, &tm.tm_year, &tm.tm_mon, &tm.tm_mday);
		EncodeDateOnly(&tm, USE_XSD_DATES, text);
	}
	appendStringInfoString(out, text);
}

static void
value_append_timestamp(StringInfo out, Timestamp timestamp, bool utc)
{
	struct pg_tm tm;
	fsec_t		fsec;
	char		text[MAXDATELEN + 1];

	if (TIMESTAMP_NOT_FINITE(timestamp))
	{
		EncodeSpecialTimestamp(timestamp, text);
		appendStringInfoString(out, text);
		return;
	}

	/* Without a zone, the number is taken as it is: a timestamptz's is UTC. */
	if (timestamp2tm(timestamp, NULL, &tm, &fsec, NULL, NULL) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("timestamp out of range")));
	EncodeDateTime(&tm, fsec, false, 0, NULL, USE_XSD_DATES, text);
	if (utc)
	{
		/* The era, if any, comes last: 0044-03-15T00:00:00Z BC. */
		char	   *era = strstr(text, " BC");

		appendBinaryStringInfo(out, text, era ? (int) (era - text) : (int) strlen(text));
		appendStringInfoChar(out, 'Z');
		if (era != NULL)
			appendStringInfoString(out, era);
	}
	else
		appendStringInfoString(out, text);
}

/*
 * Whether the output of a type looks at nothing but the value and formatting.
 */
static bool
value_is_formatted(Oid type_oid)
{
	Oid			base = getBaseType(type_oid);
	Oid			part = get_element_type(base);
	Oid			output;
	bool		is_varlena;

	if (!OidIsValid(part))
		part = get_range_subtype(base);
	if (!OidIsValid(part))
		part = get_multirange_range(base);
	if (OidIsValid(part))
		return value_is_formatted(part);

	switch (base)
	{
			/* STABLE, because of formatting */
		case DATEOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
		case INTERVALOID:
			return true;
		default:
			getTypeOutputInfo(base, &output, &is_varlena);
			return type_is_enum(base) || func_volatile(output) == PROVOLATILE_IMMUTABLE;
	}
}

/*
 * The same for what a composite type is made of now.  Its output function sees the same
 * columns, since nothing is heard from other sessions in between.
 */
static bool
value_has_formatted_columns(InvalValueType *type)
{
	TypeCacheEntry *entry = lookup_type_cache(type->composite, TYPECACHE_TUPDESC);
	int			i;

	if (entry->tupDesc == NULL)
		return false;
	if (type->columns == entry->tupDesc_identifier)
		return type->formatted;
	type->columns = 0;
	type->formatted = true;
	for (i = 0; i < entry->tupDesc->natts && type->formatted; i++)
	{
		Form_pg_attribute column = TupleDescAttr(entry->tupDesc, i);

		type->formatted = column->attisdropped || value_is_formatted(column->atttypid);
	}
	type->columns = entry->tupDesc_identifier;
	return type->formatted;
}

static void
value_append_pinned(StringInfo out, FmgrInfo *output, Datum value)
{
	int			nest_level = NewGUCNestLevel();

	inval_value_pin_settings();
	value_append_output(out, output, value);
	AtEOXact_GUC(true, nest_level);
}

static void
value_append_formatted(StringInfo out, FmgrInfo *output, Datum value)
{
	static Formatting pinned = {
		.date_style = USE_ISO_DATES,
		.date_order = DATEORDER_YMD,
		.interval_style = INTSTYLE_ISO_8601,
		.bytea_output = BYTEA_OUTPUT_HEX,
		.extra_float_digits = 1,
	};
	Formatting	theirs;

	if (unlikely(pinned.time_zone == NULL))
		pinned.time_zone = pg_tzset("UTC");
	theirs = value_exchange_formatting(pinned);
	PG_TRY();
	{
		value_append_output(out, output, value);
	}
	PG_FINALLY();
	{
		(void) value_exchange_formatting(theirs);
	}
	PG_END_TRY();
}

/*
 * Sets the variables; returns what they were.  Their settings go on saying
 * that, so nothing that reads a setting may run before they are set back.
 */
static Formatting
value_exchange_formatting(Formatting formatting)
{
	Formatting	was = {
		.date_style = DateStyle,
		.date_order = DateOrder,
		.interval_style = IntervalStyle,
		.bytea_output = bytea_output,
		.extra_float_digits = extra_float_digits,
		.time_zone = session_timezone,
	};

	DateStyle = formatting.date_style;
	DateOrder = formatting.date_order;
	IntervalStyle = formatting.interval_style;
	bytea_output = formatting.bytea_output;
	extra_float_digits = formatting.extra_float_digits;
	session_timezone = formatting.time_zone;
	return was;
}

static void
value_append_output(StringInfo out, FmgrInfo *output, Datum value)
{
	char	   *text = OutputFunctionCall(output, value);

	appendStringInfoString(out, text);
	pfree(text);
}
