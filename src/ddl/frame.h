/*
 * frame.h
 *		What is remembered from the start of a DDL command to its end.
 */
#ifndef INVAL_DDL_FRAME_H
#define INVAL_DDL_FRAME_H

#include "access/tupdesc.h"
#include "nodes/parsenodes.h"

#include "key/via.h"
#include "rule/rule.h"

/* A table that ALTER TABLE may rewrite, as it was */
typedef struct InvalOldTable
{
	Oid			relid;
	TupleDesc	desc;
	InvalRelationRules *rules;
	bool		rewritten;
} InvalOldTable;

/* A rule that looks something up in other tables, as it was */
typedef struct InvalOldRule
{
	InvalDefinition *definition;
	InvalRule	rule;
	Oid			schema;			/* of its table */
	List	   *reads;			/* OIDs of the tables */
	List	   *constraints;	/* OIDs of the foreign keys */
	List	   *functions;		/* OIDs of what its query calls */
	InvalViaQuery *via;			/* NULL: none */
	char	   *via_text;		/* how that reads */
	bool		scanned;		/* its table's rows have been queued */
} InvalOldRule;

typedef struct InvalDdlFrame
{
	MemoryContext context;
	int			level;			/* transaction nesting level */
	Node	   *statement;		/* whose frame it is; not to be looked into */
	bool		drops_extension;
	List	   *tables;			/* of InvalOldTable * */
	List	   *rules;			/* of InvalOldRule * */
	List	   *scanned;		/* OIDs of relations that were queued */
	struct InvalRefresh *refresh;
} InvalDdlFrame;

extern void inval_ddl_frame_init(void);
extern InvalDdlFrame *inval_ddl_push(Node *statement);
extern InvalDdlFrame *inval_ddl_frame(void);
extern InvalDdlFrame *inval_ddl_frame_of(Node *statement);
extern void inval_ddl_pop(void);
extern bool inval_ddl_is_restoring(void);

#endif							/* INVAL_DDL_FRAME_H */
