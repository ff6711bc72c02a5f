/*
 * refill.h
 *		Queries that give the value to be put back at a key.
 */
#ifndef INVAL_REFILL_H
#define INVAL_REFILL_H

#include "executor/tuptable.h"
#include "utils/rel.h"

#include "key/via.h"

/* The most bytes of a value that is put back; a reply with one must be readable */
#define INVAL_REFILL_MAX	((Size) 16 * 1024 * 1024)

/*
 * A refill query, or an audit query, bound to a table.  Lives in the context given to
 * inval_refill_bind, and so does its plan.
 */
typedef struct InvalRefill
{
	const char *what;			/* "refill" or "audit" */
	InvalLookup *lookup;		/* lookup->relations: whenever the relation cache
								 * forgets one of them, bind again */
	int			nparams;
	AttrNumber *attnums;		/* of the relation whose rows are rendered, */
	bool	   *given;			/* or of what the rule's via query gives */
	bool		binary;			/* it gives bytea, not text */
	bool		vague;			/* some column tells nothing of the key; set by who
								 * compiles the rule */
	List	   *objects;		/* ObjectAddress *: what the query reads and runs */
} InvalRefill;

typedef struct InvalRefillValue
{
	const char *bytes;			/* NULL: there is none */
	Size		length;
} InvalRefillValue;

extern InvalQuerySource inval_refill_source(const char *what, const InvalVia *via,
											Relation tracked);
extern InvalRefill *inval_refill_bind(const char *query, const InvalQuerySource *source,
									  Relation relation, MemoryContext cxt);
extern InvalRefillValue inval_refill_value(const InvalRefill *refill, TupleTableSlot *row,
										   TupleTableSlot *given);

#endif							/* INVAL_REFILL_H */
