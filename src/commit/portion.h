/*
 * portion.h
 *		What of that which a transaction owes is delivered at commit.
 */
#ifndef INVAL_PORTION_H
#define INVAL_PORTION_H

extern bool inval_portion_split(Size *at_commit);
extern bool inval_portion_is_all(int32 target, const Size *at_commit);

#endif							/* INVAL_PORTION_H */
