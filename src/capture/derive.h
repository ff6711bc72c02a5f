/*
 * derive.h
 *		Which invalidations a row owes under a rule.
 */
#ifndef INVAL_DERIVE_H
#define INVAL_DERIVE_H

#include "rule/rule.h"

/* Called with each entry; its bytes are good until the callback returns. */
typedef void (*InvalEntryCallback) (const InvalEntry *entry, void *arg);

extern bool inval_derive_plain(InvalRule *rule, TupleTableSlot *row,
							   InvalEntry *entry);
extern InvalRenderResult inval_derive_each(InvalRule *rule, TupleTableSlot *row,
										   InvalState state,
										   InvalEntryCallback callback, void *arg);

#endif							/* INVAL_DERIVE_H */
