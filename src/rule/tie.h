/*
 * tie.h
 *		Ties rules to what they need.
 */
#ifndef INVAL_TIE_H
#define INVAL_TIE_H

#include "rule/definition.h"

extern int32 inval_tie_put(InvalDefinition *definition);
extern void inval_tie(const InvalDefinition *definition);
extern ErrorData *inval_tie_attempt(const InvalDefinition *definition);
extern void inval_tie_adopt(void);

#endif							/* INVAL_TIE_H */
