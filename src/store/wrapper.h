/*
 * wrapper.h
 *		The foreign data wrapper that the store's items are servers of.
 */
#ifndef INVAL_STORE_WRAPPER_H
#define INVAL_STORE_WRAPPER_H

#include "utils/array.h"

#define INVAL_STORE_WRAPPER		"inval"

extern ArrayType *inval_store_array(const char *literal);
extern void inval_store_created(Oid server);
extern void inval_store_adopt(void);

#endif							/* INVAL_STORE_WRAPPER_H */
