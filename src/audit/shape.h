/*
 * shape.h
 *		How the keys of a rule look, and what of a row one tells.
 */
#ifndef INVAL_AUDIT_SHAPE_H
#define INVAL_AUDIT_SHAPE_H

#include "audit/subject.h"
#include "redis/pattern.h"

typedef enum InvalShapeKind
{
	INVAL_SHAPE_LITERAL,
	INVAL_SHAPE_INTEGER,
	INVAL_SHAPE_BOOLEAN,
	INVAL_SHAPE_UUID,
	INVAL_SHAPE_TEXT,			/* anything */
	INVAL_SHAPE_VARIABLE		/* anything, too: values of before are not known */
} InvalShapeKind;

typedef struct InvalShapePart
{
	InvalShapeKind kind;
	InvalPrefix literal;
	AttrNumber	attnum;			/* of a column */
	const char *variable;
	char	  **values;			/* that it has now, as bytes of keys */
	int			nvalues;
} InvalShapePart;

typedef struct InvalShape
{
	InvalShapePart *parts;
	int			nparts;
	int			ncolumns;
	int			open;			/* the part that can be anything; nparts: none */
} InvalShape;

/* A key as it was read */
typedef struct InvalShapeKey
{
	InvalPrefix *columns;		/* in the order of the parts */
	const char *variable;		/* one that has not the value that the key has; NULL: all
								 * are as they are now */
} InvalShapeKey;

extern void inval_shape_make(InvalShape *shape, const InvalSubject *subject);
extern bool inval_shape_read(const InvalShape *shape, const char *key, Size length,
							 InvalShapeKey *read);

#endif							/* INVAL_AUDIT_SHAPE_H */
