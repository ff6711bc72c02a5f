/*
 * template.h
 *		Key templates: text with placeholders, parsed.
 */
#ifndef INVAL_TEMPLATE_H
#define INVAL_TEMPLATE_H

#include "nodes/pg_list.h"

typedef enum InvalFilter
{
	INVAL_FILTER_MD5,
	INVAL_FILTER_SHA256,
	INVAL_FILTER_LOWER,
	INVAL_FILTER_UPPER,
	INVAL_FILTER_URL
} InvalFilter;

typedef struct InvalFilterCall
{
	InvalFilter filter;
	int			keep;			/* that many characters; 0: all */
} InvalFilterCall;

typedef enum InvalSegmentKind
{
	INVAL_SEGMENT_LITERAL,
	INVAL_SEGMENT_COLUMN,
	INVAL_SEGMENT_VARIABLE,
	INVAL_SEGMENT_TABLE,
	INVAL_SEGMENT_SCHEMA
} InvalSegmentKind;

typedef struct InvalSegment
{
	InvalSegmentKind kind;
	char	   *text;			/* the literal, the variable's name, or the
								 * column as it was written */
	List	   *names;			/* char *: the column; or a path, the column
								 * that is wanted last */
	bool		elements;		/* one key for each element of the array */
	int			nfilters;
	InvalFilterCall *filters;
} InvalSegment;

/* A list of InvalSegment pointers */
extern List *inval_template_parse(const char *template, const char *what);
extern char *inval_template_quote(const char *literal);
extern char *inval_template_quote_column(const char *name);
extern char *inval_template_write(List *segments);

#endif							/* INVAL_TEMPLATE_H */
