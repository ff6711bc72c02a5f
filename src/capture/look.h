/*
 * look.h
 *		What a rule needs of a row to look its keys up, as bytes.
 */
#ifndef INVAL_LOOK_H
#define INVAL_LOOK_H

#include "rule/rule.h"

/* The longest that a row of the outbox holds; what is longer is not kept for the worker. */
#define INVAL_LOOK_MAX		7500

/* Bytes of the field of such an entry: what the look-up has found */
#define INVAL_LOOK_DIGEST	sizeof(uint64)

extern void inval_look_write(StringInfo out, const InvalRule *rule, Oid relid,
							 TupleTableSlot *row);
extern Oid	inval_look_relation(const InvalEntry *look);
extern bool inval_look_read(const InvalEntry *look, const InvalRule *rule,
							TupleTableSlot *row);

#endif							/* INVAL_LOOK_H */
