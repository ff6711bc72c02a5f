/*
 * attempt.c
 *		Runs something that may fail without harm.
 *
 * An error is caught in a subtransaction, and that is rolled back whatever the
 * error is, before anything else: who catches an error further up rolls back the
 * subtransaction that he finds, and takes it for his own.
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "base/attempt.h"

/* Errors of the server itself; those of procedural languages have others. */
#define ATTEMPT_SERVER_DOMAIN	PG_TEXTDOMAIN("postgres")

static bool attempt_is_accident(const ErrorData *error);

/*
 * Calls a function in a subtransaction.  Returns NULL if all went well;
 * otherwise nothing of it has happened, and the error is returned, in the
 * current memory context.  One that says nothing of what was tried is raised
 * again.
 */
ErrorData *
inval_attempt(void (*apply) (void *arg), void *arg)
{
	ErrorData  *error = inval_attempt_anyhow(apply, arg);

	if (error != NULL && attempt_is_accident(error))
		ReThrowError(error);
	return error;
}

/*
 * The same, with whatever error it is returned.
 */
ErrorData *
inval_attempt_anyhow(void (*apply) (void *arg), void *arg)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		apply(arg);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return error;
}

/*
 * Whether an error says nothing of what was tried: somebody cancelled, or there
 * was no memory or no lock.  A function that raises such an error by hand, as
 * RAISE ... USING errcode does, is just a function that fails.
 */
static bool
attempt_is_accident(const ErrorData *error)
{
	int			category = ERRCODE_TO_CATEGORY(error->sqlerrcode);

	return inval_attempt_is_servers(error) &&
		(category == ERRCODE_TO_CATEGORY(ERRCODE_OPERATOR_INTERVENTION) ||
		category == ERRCODE_TO_CATEGORY(ERRCODE_TRANSACTION_ROLLBACK) ||
		category == ERRCODE_TO_CATEGORY(ERRCODE_INSUFFICIENT_RESOURCES) ||
		error->sqlerrcode == ERRCODE_IO_ERROR ||
		 error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE);
}

/*
 * Whether the server itself has raised an error, not a procedural language, in
 * which anybody can raise any.
 */
bool
inval_attempt_is_servers(const ErrorData *error)
{
	return error->domain != NULL && strcmp(error->domain, ATTEMPT_SERVER_DOMAIN) == 0;
}
