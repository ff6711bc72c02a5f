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
#include "utils/memutils.h"

#include "ddl/frame.h"

static List *frames = NIL;		/* the innermost one last */

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
 * Forgets the frames of the current subtransaction, which never happened.
 */
void
inval_ddl_subabort(void)
{
	int			level = GetCurrentTransactionNestLevel();

	while (frames != NIL && ((InvalDdlFrame *) llast(frames))->level >= level)
		frames = list_truncate(frames, list_length(frames) - 1);
}

/*
 * Forgets all frames.  The memory goes with the transaction.
 */
void
inval_ddl_forget(void)
{
	frames = NIL;
}
