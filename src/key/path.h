/*
 * path.h
 *		Foreign-key paths: {task_id.project_id.team_id}.
 */
#ifndef INVAL_PATH_H
#define INVAL_PATH_H

#include "executor/tuptable.h"
#include "utils/rel.h"

#include "key/lookup.h"

/* More names than that in one placeholder are refused. */
#define INVAL_PATH_MAX_STEPS	8

typedef enum InvalPathResult
{
	INVAL_PATH_VALUE,
	INVAL_PATH_NULL,			/* NULL on the way, or at its end */
	INVAL_PATH_MISSING			/* a key that is not NULL names no row */
} InvalPathResult;

/*
 * A path bound to a table.  Lives in the context given to inval_path_bind,
 * and so do the plans of its queries: they go with it.
 */
typedef struct InvalPath
{
	Oid			type;			/* of the last column */
	int32		typmod;
	Oid			collation;
	List	   *relations;		/* OIDs of the tables on the way, without the
								 * tracked one: whenever the relation cache
								 * forgets one of them, bind again */
	List	   *needs;			/* ObjectAddress *: the foreign keys on the way,
								 * and all columns that are read or compared */

	/*
	 * The column that each name stands for: names[i] is column attnums[i] of
	 * table relids[i]; relids[0] is the tracked one.
	 */
	int			nnames;
	Oid		   *relids;
	AttrNumber *attnums;

	/* Private */
	struct InvalPathStep *steps;	/* nnames - 1 */
} InvalPath;

extern InvalPath *inval_path_bind(List *names, Relation tracked,
								  Relation relation, MemoryContext cxt);
extern InvalPathResult inval_path_value(InvalPath *path, TupleTableSlot *row,
										InvalState state, Datum *value);
extern int	inval_path_inputs(const InvalPath *path, const AttrNumber **attnums);
extern bool inval_path_is_touched(InvalPath *path);
extern bool inval_path_may_miss(const InvalPath *path);
extern void inval_path_check_rights(const InvalPath *path, Oid role);

#endif							/* INVAL_PATH_H */
