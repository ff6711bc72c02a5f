/*
 * owed.h
 *		Queues what one row owes under one rule.
 */
#ifndef INVAL_OWED_H
#define INVAL_OWED_H

#include "rule/rule.h"

extern void inval_owed_queue(InvalRule *rule, const InvalEntry *entry);
extern void inval_owed_missing(const InvalRule *rule);
extern void inval_owed_lost(const InvalRule *rule);
extern void inval_owed_failed(const InvalRule *rule, const ErrorData *error);
extern void inval_owed_not_refilled(const InvalRule *rule, const char *why);
extern void inval_owed_count_row(const InvalRule *rule);
extern void inval_owed_count_skipped(const InvalRule *rule);
extern void inval_owed_count_unasked(const InvalDefinition *definition);
extern void inval_owed_broken(const InvalRule *rule);

#endif							/* INVAL_OWED_H */
