/*
 * inputs.h
 *		Which columns of a row the keys of a rule are made of, or looked up by.
 */
#ifndef INVAL_INPUTS_H
#define INVAL_INPUTS_H

#include "key/render.h"
#include "key/via.h"

typedef struct InvalInput
{
	AttrNumber	attnum;
	int16		length;			/* of its type */
	bool		by_value;
	bool		required;		/* a NULL there means that there is no key */
} InvalInput;

typedef struct InvalInputs
{
	int			count;
	InvalInput *items;
	uint32		shape;			/* a hash of their types */
} InvalInputs;

extern void inval_inputs_bind(InvalInputs *inputs, const InvalVia *via,
							  InvalBoundTemplate *const *templates, int count,
							  int required, Relation relation, MemoryContext context);
extern bool inval_inputs_suffice(const InvalInputs *inputs, TupleTableSlot *row);

#endif							/* INVAL_INPUTS_H */
