/*
 * audit.h
 *		Compares what targets hold at keys of a rule with what they should.
 */
#ifndef INVAL_AUDIT_H
#define INVAL_AUDIT_H

#include "audit/state.h"

extern void inval_audit_begin(InvalAudit *audit, int32 rule, InvalTarget *target);
extern bool inval_audit_read(InvalAudit *audit, int rows);
extern void inval_audit_ask(InvalAudit *audit, bool wait);
extern void inval_audit_judge(InvalAudit *audit);
extern void inval_audit_repair(InvalAudit *audit);
extern void inval_audit_end(InvalAudit *audit);

#endif							/* INVAL_AUDIT_H */
