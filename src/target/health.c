/*
 * health.c
 *		What the processes of a server know of a target together.
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xlog.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "base/database.h"
#include "base/settings.h"
#include "base/shared.h"
#include "target/health.h"

static void health_initialize(void *element);
static void health_claim(InvalTargetHealth *health, const char *name, uint64 next_xid);
static void health_free(InvalTargetHealth *health);
static uint32 health_sessions(InvalTargetHealth *health);

static InvalSharedArea health_area = {
	.element_size = sizeof(InvalTargetHealth),
	.layout = 13,
	.preloaded = 256,
	.reserve = 8,
	.initialize = health_initialize
};

/*
 * Called by _PG_init.
 */
void
inval_target_health_init(void)
{
	health_area.preloaded = (uint32) inval_max_targets;
	inval_shared_add(&health_area);
}

static void
health_initialize(void *element)
{
	InvalTargetHealth *health = element;
	int			i;

	pg_atomic_init_u32(&health->down, 0);
	pg_atomic_init_u32(&health->logged_down, 0);
	pg_atomic_init_u32(&health->slow_answers, 0);
	pg_atomic_init_u32(&health->slow, 0);
	pg_atomic_init_u32(&health->paused, 0);
	pg_atomic_init_u32(&health->map_version, 0);
	pg_atomic_init_u32(&health->lost_nodes, 0);
	pg_atomic_init_u32(&health->lost_news, 0);
	pg_atomic_init_u32(&health->resolved_mark, 0);
	pg_atomic_init_u32(&health->recoveries, 0);
	pg_atomic_init_u32(&health->fences_lost, 0);
	pg_atomic_init_u32(&health->no_unlink, 0);
	pg_atomic_init_u32(&health->library_missed, 0);
	pg_atomic_init_u64(&health->trusted_xid, 0);
	pg_atomic_init_u64(&health->seen_at, 0);
	pg_atomic_init_u64(&health->next_batch, 0);
	pg_atomic_init_u32(&health->work, 0);
	pg_atomic_init_u32(&health->idle, 0);
	pg_atomic_init_u32(&health->watching, 0);
	pg_atomic_init_u32(&health->sessions, 0);
	pg_atomic_init_u64(&health->turned_away, 0);
	for (i = 0; i < INVAL_OUTBOX_TABLES; i++)
		pg_atomic_init_u32(&health->low_block[i], InvalidBlockNumber);
	SpinLockInit(&health->mutex);
}

/*
 * The health of all targets of all databases, and how many places there are.
 */
InvalTargetHealth *
inval_target_healths(uint32 *count)
{
	InvalTargetHealth *healths = inval_shared_elements(&health_area);

	*count = health_area.count;
	return healths;
}

/*
 * The shared health of a target in this database, claimed on first use.  Where
 * there is no place left it is this process's own: nobody else knows of it, and
 * there is no worker (inval_target_has_place).
 */
InvalTargetHealth *
inval_target_health(const char *name)
{
	slock_t    *mutex = inval_shared_mutex();
	uint32		count;
	InvalTargetHealth *healths = inval_target_healths(&count);
	InvalTargetHealth *free_slot = NULL;
	InvalTargetHealth *found = NULL;
	bool		claimed = false;
	uint64		next_xid = RecoveryInProgress() ? PG_UINT64_MAX :
		U64FromFullTransactionId(ReadNextFullTransactionId());
	uint32		i;

	/* Whoever looks at a target wants it and the database to have a worker. */
	(void) inval_database();
	SpinLockAcquire(mutex);
	for (i = 0; i < count; i++)
	{
		InvalTargetHealth *health = &healths[i];

		if (health->database == MyDatabaseId && strcmp(health->name, name) == 0)
		{
			found = health;
			break;
		}
		if (!OidIsValid(health->database) &&
			(free_slot == NULL || health_sessions(health) < health_sessions(free_slot)))
			free_slot = health;
	}
	if (found == NULL && free_slot != NULL)
	{
		found = free_slot;
		health_claim(found, name, next_xid);
		claimed = true;
	}
	/* Claimed on a standby, which has been promoted since */
	if (found != NULL && found->kept_xid == PG_UINT64_MAX)
		found->kept_xid = next_xid;
	SpinLockRelease(mutex);
	if (claimed)
		inval_database_wake_launcher();
	if (found == NULL)
	{
		found = MemoryContextAllocZero(TopMemoryContext, sizeof(InvalTargetHealth));
		health_initialize(found);
		health_claim(found, name, next_xid);
	}
	return found;
}

/*
 * How many are counted there, be it for the target that had the place before; so the
 * place with the fewest of them is taken: they would turn others away (seat.c).
 */
static uint32
health_sessions(InvalTargetHealth *health)
{
	return pg_atomic_read_u32(&health->sessions);
}

/*
 * Whether others see this health.
 */
bool
inval_target_has_place(const InvalTargetHealth *health)
{
	uint32		count;
	InvalTargetHealth *healths = inval_target_healths(&count);

	return health >= healths && health < healths + count;
}

/*
 * Begins a target's health.
 */
static void
health_claim(InvalTargetHealth *health, const char *name, uint64 next_xid)
{
	int			i;

	health->database = MyDatabaseId;
	strlcpy(health->name, name, sizeof(health->name));
	health->url_hash = 0;
	health->address[0] = '\0';
	pg_atomic_write_u32(&health->resolved_mark, 0);
	pg_atomic_write_u64(&health->trusted_xid, 0);
	pg_atomic_write_u64(&health->seen_at, 0);
	pg_atomic_write_u64(&health->next_batch, 0);
	pg_atomic_write_u64(&health->turned_away, 0);
	inval_target_forget_place(health);
	health->visit_at = 0;
	health->kept_xid = next_xid;
	health->kept_known = false;
	health->kept = 0;
	health->kept_since = 0;
	health->progress[0] = '\0';
	health->purge[0] = '\0';
	health->collapsed_at = 0;
	health->collapsed_keys = 0;
	health->audit_at = 0;
	health->audit_rule = 0;
	pg_atomic_write_u32(&health->paused, 0);
	health->pause_known = false;
	for (i = 0; i < INVAL_OUTBOX_TABLES; i++)
		pg_atomic_write_u32(&health->low_block[i], InvalidBlockNumber);
}

/*
 * Forgets what is known of the servers that a target was at.  Down or up, it
 * stays so until the new place was tried, which is due now.  Under a mutex.
 */
void
inval_target_forget_place(InvalTargetHealth *health)
{
	memset(&health->breaker, 0, sizeof(health->breaker));
	health->doubted = false;
	health->last_error[0] = '\0';
	health->library_missing[0] = '\0';
	health->vitals_known = false;
	health->resolved[0] = '\0';
	memset(health->lost, 0, sizeof(health->lost));
	pg_atomic_write_u32(&health->lost_nodes, 0);
	pg_atomic_write_u32(&health->lost_news, 0);
	pg_atomic_write_u32(&health->slow_answers, 0);
	pg_atomic_write_u32(&health->slow, 0);
	pg_atomic_write_u32(&health->no_unlink, 0);
}

/*
 * Gives back the place of a target of this database that is gone, unless another
 * worker is still at it, or already.
 */
void
inval_target_give_back(InvalTargetHealth *health)
{
	slock_t    *mutex = inval_shared_mutex();

	SpinLockAcquire(mutex);
	if (health->database == MyDatabaseId &&
		(health->worker_pid == 0 || health->worker_pid == MyProcPid))
		health_free(health);
	SpinLockRelease(mutex);
}

/*
 * Gives back the places of a database's targets.  Under the shared mutex.
 */
void
inval_target_free_database(Oid database)
{
	uint32		count;
	InvalTargetHealth *healths = inval_target_healths(&count);
	uint32		i;

	for (i = 0; i < count; i++)
		if (healths[i].database == database)
			health_free(&healths[i]);
}

static void
health_free(InvalTargetHealth *health)
{
	health->database = InvalidOid;
	health->worker_pid = 0;
	health->worker_latch = NULL;
	pg_atomic_write_u32(&health->down, 0);
	pg_atomic_write_u32(&health->logged_down, 0);
	pg_atomic_write_u32(&health->paused, 0);
	pg_atomic_write_u32(&health->work, 0);
}

/*
 * Tells the worker of a target that something waits for it.  Cannot fail;
 * may be called after the commit record.  A latch that is no longer the
 * worker's is set in vain, which every latch owner must expect.
 *
 * Waking costs a system call, so a worker that is about to look anyway is not
 * woken.  It says that it is idle before its last look at "work", and we look
 * at "idle" after setting "work": one of us sees the other.
 */
void
inval_target_wake_worker(InvalTargetHealth *health)
{
	Latch	   *latch;

	pg_atomic_write_u32(&health->work, 1);
	pg_memory_barrier();
	if (health->worker_pid != 0 && pg_atomic_read_u32(&health->idle) == 0)
		return;
	SpinLockAcquire(&health->mutex);
	latch = health->worker_latch;
	SpinLockRelease(&health->mutex);
	if (latch != NULL)
		SetLatch(latch);
	else
		inval_database_wake_launcher();
}
