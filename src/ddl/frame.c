/*
 * frame.c
 *		What is remembered from the start of a DDL command to its end.
 *
 * Commands nest (a function may run one within another), so frames form a
 * stack.  A command that fails has no end: its frame goes with the
 * (sub)transaction.
 */
#include "postgres.h"

#include "access/xact.h"
#include "nodes/plannodes.h"
#include "tcop/pquery.h"
#include "utils/memutils.h"

#include "ddl/frame.h"

static List *frames = NIL;		/* the innermost one last */

static void frame_xact_callback(XactEvent event, void *arg);
static void frame_subxact_callback(SubXactEvent event, SubTransactionId subxact,
								   SubTransactionId parent, void *arg);

/*
 * Called by _PG_init.
 */
void
inval_ddl_frame_init(void)
{
	RegisterXactCallback(frame_xact_callback, NULL);
	RegisterSubXactCallback(frame_subxact_callback, NULL);
}

/*
 * Begins a frame.  What it holds is allocated in its context, which lives in
 * TopTransactionContext.
 */
InvalDdlFrame *
inval_ddl_push(Node *statement)
{
	MemoryContext context = AllocSetContextCreate(TopTransactionContext, "inval DDL",
												  ALLOCSET_SMALL_SIZES);
	InvalDdlFrame *frame = MemoryContextAllocZero(context, sizeof(InvalDdlFrame));
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);

	frame->context = context;
	frame->level = GetCurrentTransactionNestLevel();
	frame->statement = statement;
	frames = lappend(frames, frame);
	MemoryContextSwitchTo(old);
	return frame;
}

/*
 * The innermost frame, NULL if no command that matters is under way.
 */
InvalDdlFrame *
inval_ddl_frame(void)
{
	return frames == NIL ? NULL : llast(frames);
}

/*
 * The frame of a command; NULL if it has none: it began before the extension
 * was there, or it has committed in its midst.
 */
InvalDdlFrame *
inval_ddl_frame_of(Node *statement)
{
	InvalDdlFrame *frame = inval_ddl_frame();

	return frame != NULL && frame->statement == statement ? frame : NULL;
}

/*
 * Ends the innermost frame.
 */
void
inval_ddl_pop(void)
{
	MemoryContextDelete(((InvalDdlFrame *) llast(frames))->context);
	frames = list_delete_last(frames);
}

/*
 * Appends an object to one of a frame's lists, unless it is there.
 */
List *
inval_ddl_note(InvalDdlFrame *frame, List *list, Oid object)
{
	MemoryContext old = MemoryContextSwitchTo(frame->context);

	list = list_append_unique_oid(list, object);
	MemoryContextSwitchTo(old);
	return list;
}

/*
 * Whether the statement under way, of a certain kind, is all of its transaction:
 * nothing can follow that would look at what is there now.  In doubt it is not.
 */
bool
inval_ddl_is_last(NodeTag tag)
{
	PlannedStmt *statement;

	if (IsTransactionBlock() || IsSubTransaction() || ActivePortal == NULL ||
		list_length(frames) > 1 || list_length(ActivePortal->stmts) != 1)
		return false;
	statement = linitial_node(PlannedStmt, ActivePortal->stmts);
	return statement->utilityStmt != NULL && nodeTag(statement->utilityStmt) == tag;
}

/*
 * Forgets all frames when the transaction ends.  The memory goes with it.
 */
static void
frame_xact_callback(XactEvent event, void *arg)
{
	(void) arg;
	if (event != XACT_EVENT_PRE_COMMIT && event != XACT_EVENT_PRE_PREPARE)
		frames = NIL;
}

/*
 * Forgets the frames of a subtransaction that never happened.
 */
static void
frame_subxact_callback(SubXactEvent event, SubTransactionId subxact,
					   SubTransactionId parent, void *arg)
{
	int			level = GetCurrentTransactionNestLevel();

	(void) subxact;
	(void) parent;
	(void) arg;
	if (event != SUBXACT_EVENT_ABORT_SUB)
		return;
	while (frames != NIL && ((InvalDdlFrame *) llast(frames))->level >= level)
		frames = list_truncate(frames, list_length(frames) - 1);
}
