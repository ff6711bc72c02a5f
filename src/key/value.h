/*
 * value.h
 *		A column's value as text that is the same in every session.
 */
#ifndef INVAL_VALUE_H
#define INVAL_VALUE_H

#include "fmgr.h"
#include "lib/stringinfo.h"

typedef enum InvalValueKind
{
	INVAL_VALUE_INT2,
	INVAL_VALUE_INT4,
	INVAL_VALUE_INT8,
	INVAL_VALUE_TEXT,			/* text and varchar: the bytes themselves */
	INVAL_VALUE_CHAR,			/* character(n): without its padding */
	INVAL_VALUE_BOOL,
	INVAL_VALUE_DATE,
	INVAL_VALUE_TIMESTAMP,
	INVAL_VALUE_TIMESTAMPTZ,
	INVAL_VALUE_BYTEA,
	INVAL_VALUE_FLOAT4,
	INVAL_VALUE_FLOAT8,
	INVAL_VALUE_STABLE,			/* output depends on the value alone */
	INVAL_VALUE_FORMATTED,		/* output looks at variables of formatting */
	INVAL_VALUE_COMPOSITE,		/* one of the two others, as its columns are now */
	INVAL_VALUE_SESSION			/* output may depend on settings: pin them */
} InvalValueKind;

/* How the values of one type are rendered */
typedef struct InvalValueType
{
	InvalValueKind kind;
	FmgrInfo	output;			/* set for the last four kinds */
	Oid			composite;		/* of the kind "composite" only: the type, */
	uint64		columns;		/* which columns were looked at, 0: none yet, */
	bool		formatted;		/* and whether they are all of the kind "formatted" */
} InvalValueType;

extern void inval_value_prepare(InvalValueType *type, Oid type_oid, MemoryContext cxt);
extern void inval_value_pin_settings(void);
extern void inval_value_append(StringInfo out, InvalValueType *type, Datum value);

#endif							/* INVAL_VALUE_H */
