/*
 * render.h
 *		Renders a template for a row.
 */
#ifndef INVAL_RENDER_H
#define INVAL_RENDER_H

#include "access/tupdesc.h"
#include "executor/tuptable.h"
#include "lib/stringinfo.h"
#include "utils/rel.h"

#include "template.h"
#include "value.h"

/* A segment whose column is bound to one relation */
typedef struct InvalBoundSegment
{
	AttrNumber	attnum;			/* 0: the literal */
	char	   *literal;
	int			literal_length;
	InvalValueType value;
	int			nfilters;
	InvalFilterCall *filters;
} InvalBoundSegment;

typedef struct InvalBoundTemplate
{
	int			nsegments;
	InvalBoundSegment *segments;
} InvalBoundTemplate;

extern InvalBoundTemplate *inval_render_bind(List *segments, Relation relation,
											 Relation tracked, MemoryContext cxt);
extern bool inval_render(StringInfo out, InvalBoundTemplate *template,
						 TupleTableSlot *row);

#endif							/* INVAL_RENDER_H */
