/*
 * frame.h
 *		What is remembered from the start of a DDL command to its end.
 */
#ifndef INVAL_DDL_FRAME_H
#define INVAL_DDL_FRAME_H

#include "access/tupdesc.h"
#include "nodes/parsenodes.h"

#include "rule/queries.h"
#include "rule/rules.h"

/* A table that ALTER TABLE may rewrite, as it was */
typedef struct InvalOldTable
{
	Oid			relid;
	TupleDesc	desc;
	InvalRelationRules *rules;
	bool		rewritten;
} InvalOldTable;

/* A rule whose queries may name what is about to be renamed */
typedef struct InvalOldQueries
{
	Oid			carrier;
	InvalRuleQueries queries;	/* as they were understood; NULL: one was not */
} InvalOldQueries;

typedef struct InvalDdlFrame
{
	MemoryContext context;
	int			level;			/* transaction nesting level */
	Node	   *statement;		/* whose frame it is; not to be looked into */
	bool		drops_extension;
	List	   *tables;			/* of InvalOldTable * */
	List	   *queries;		/* of InvalOldQueries * */
	List	   *untied;			/* ObjectAddress * of carriers to be tied again */
	List	   *scanned;		/* OIDs of relations whose rows were queued, */
	List	   *scanned_rules;	/* and of carriers, for whose rules they were */
	List	   *staying;		/* OIDs of relations that do not go with their rules */
	List	   *stripped;		/* OIDs of relations that lost triggers of ours */
	List	   *gone;			/* InvalDefinition * of rules that went */
	struct InvalRefresh *refresh;
} InvalDdlFrame;

extern void inval_ddl_frame_init(void);
extern InvalDdlFrame *inval_ddl_push(Node *statement);
extern InvalDdlFrame *inval_ddl_frame(void);
extern InvalDdlFrame *inval_ddl_frame_of(Node *statement);
extern void inval_ddl_pop(void);
extern List *inval_ddl_note(InvalDdlFrame *frame, List *list, Oid object);
extern bool inval_ddl_is_last(NodeTag tag);

#endif							/* INVAL_DDL_FRAME_H */
