/*
 * shadow.h
 *		What rules in state "shadow" would have sent last.
 */
#ifndef INVAL_SHADOW_H
#define INVAL_SHADOW_H

#include "access/transam.h"
#include "datatype/timestamp.h"

#include "base/entry.h"
#include "target/health.h"

/* The most bytes of a key and its field together that are kept */
#define INVAL_SHADOW_TEXT	1000

/*
 * One invalidation.  With every change the layout of its area is to be raised
 * (shadow.c).
 */
typedef struct InvalShadowEntry
{
	Oid			database;		/* InvalidOid: there is none */
	uint32		rule;
	TimestampTz at;				/* when it was committed */
	uint64		xid;
	uint8		action;
	bool		has_field;
	uint16		key_length;		/* of what is kept of it */
	uint16		field_length;
	char		target[INVAL_TARGET_NAME_LEN];
	char		text[INVAL_SHADOW_TEXT];	/* the key, and behind it the field */
} InvalShadowEntry;

extern void inval_shadow_init(void);
extern void inval_shadow_attach(void);
extern void inval_shadow_note(const char *target, FullTransactionId xid,
							  const char *entries, Size length);
extern uint32 inval_shadow_count(void);
extern bool inval_shadow_get(uint32 number, InvalShadowEntry *copy);

#endif							/* INVAL_SHADOW_H */
