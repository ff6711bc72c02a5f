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

#include "key/lookup.h"
#include "key/path.h"
#include "key/template.h"
#include "key/value.h"
#include "key/via.h"

/* The most keys that a row may give under a rule */
#define INVAL_MAX_KEYS	1000000

/* What a template's names mean */
typedef struct InvalRenderSource
{
	Relation	relation;		/* the one whose rows are rendered */
	Relation	tracked;		/* the one that the rule is on */
	InvalVia   *via;			/* a query, whose result's columns take the
								 * place of the relation's; NULL: none */
} InvalRenderSource;

/* A segment whose column is bound */
typedef struct InvalBoundSegment
{
	AttrNumber	attnum;			/* 0: not a column of the row itself */
	InvalPath  *path;			/* NULL: not a path */
	char	   *variable;		/* NULL: not a variable */
	char	   *literal;
	int			literal_length;
	bool		elements;		/* of an array, of this type: */
	Oid			element_type;
	int16		element_length;
	bool		element_by_value;
	char		element_align;
	InvalValueType value;
	int			nfilters;
	InvalFilterCall *filters;
} InvalBoundSegment;

typedef struct InvalBoundTemplate
{
	bool		manifold;		/* may give several texts, or look something up */
	bool		lost;			/* a text was left out because it cannot be
								 * written in UTF-8; whoever looks resets it */
	int			nsegments;
	InvalBoundSegment *segments;
} InvalBoundTemplate;

typedef enum InvalRenderResult
{
	INVAL_RENDER_DONE,
	INVAL_RENDER_NULL,			/* a column is NULL, or there is no element */
	INVAL_RENDER_MISSING		/* a foreign key points to no row */
} InvalRenderResult;

/* Called with each rendered text, which stands at the end of "out" */
typedef void (*InvalRenderCallback) (StringInfo out, void *arg);

extern InvalBoundTemplate *inval_render_bind(List *segments,
											 const InvalRenderSource *source,
											 MemoryContext cxt);
extern bool inval_render(StringInfo out, InvalBoundTemplate *template,
						 TupleTableSlot *row);
extern bool inval_render_is_same(InvalBoundTemplate *template, TupleTableSlot *a,
								 TupleTableSlot *b);
extern InvalRenderResult inval_render_each(StringInfo out, InvalBoundTemplate *template,
										   TupleTableSlot *row, InvalState state,
										   InvalRenderCallback callback, void *arg);
extern void inval_render_refuse_many(void);
extern Size inval_render_literal_length(const InvalBoundTemplate *template);
extern List *inval_render_reads(const InvalBoundTemplate *template);
extern bool inval_render_is_touched(InvalBoundTemplate *template);
extern bool inval_render_may_miss(const InvalBoundTemplate *template);

#endif							/* INVAL_RENDER_H */
