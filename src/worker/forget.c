/*
 * forget.c
 *		Forgets a database.
 */
#include "postgres.h"

#include "base/database.h"
#include "base/shared.h"
#include "outbox/tables.h"
#include "stats/stats.h"
#include "target/health.h"
#include "worker/forget.h"
#include "worker/refusal.h"

/*
 * Gives back what a database held that was dropped, or has no extension.  The
 * launcher calls this, or the worker of its target "default".
 */
void
inval_forget_database(Oid database)
{
	slock_t    *mutex = inval_shared_mutex();

	SpinLockAcquire(mutex);
	inval_outbox_free_database(database);
	inval_database_free(database);
	inval_target_free_database(database);
	inval_stats_free_database(database);
	SpinLockRelease(mutex);
	inval_refusal_free_database(database);
}
