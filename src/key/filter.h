/*
 * filter.h
 *		Filters of placeholders.
 */
#ifndef INVAL_FILTER_H
#define INVAL_FILTER_H

#include "lib/stringinfo.h"

#include "key/template.h"

extern void inval_filters_apply(StringInfo out, int start, const InvalFilterCall *filters,
								int nfilters);

#endif							/* INVAL_FILTER_H */
