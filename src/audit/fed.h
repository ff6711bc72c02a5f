/*
 * fed.h
 *		The keys that the rows of an audit feed.
 */
#ifndef INVAL_AUDIT_FED_H
#define INVAL_AUDIT_FED_H

#include "audit/state.h"

extern void inval_audit_find_keys(InvalAudit *audit, int rows);

#endif							/* INVAL_AUDIT_FED_H */
