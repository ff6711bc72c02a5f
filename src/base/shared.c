/*
 * shared.c
 *		What the processes of one server know together.
 *
 * One block of shared memory: which database has a worker, how the targets
 * are doing, which transactions were confirmed at commit (the ledger), the
 * counters.  It is a cache of facts and never the truth: the truth is the
 * outbox.  A server that starts with this block empty delivers what it finds
 * in the outbox once more and is right.
 *
 * With shared_preload_libraries = 'inval' the block is requested at start.
 * Without, a small one is taken on first use from the reserve that the server
 * keeps for such cases (as contrib's autoprewarm does); and where that is used
 * up, each process has its own, and only loses the convenience of knowing.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/memutils.h"

#include "base/shared.h"

/* To be raised with every change of the structs in shared.h */
#define SHARED_LAYOUT	10

/* Array sizes when preloaded, and when taken from the reserve. */
typedef struct SharedSizes
{
	uint32		ledger_words;	/* power of two; 16 xids each */
	uint32		databases;
	uint32		targets;
	uint32		stats;
	uint32		refusals;
} SharedSizes;

static const SharedSizes preloaded_sizes = {65536, 256, 256, 16384, 256};
static const SharedSizes reserve_sizes = {2048, 8, 8, 16, 8};

static InvalShared *shared = NULL;
static InvalDatabase *my_database = NULL;
static bool preloaded = false;

static shmem_startup_hook_type prev_shmem_startup_hook = NULL;
#if PG_VERSION_NUM >= 150000
static shmem_request_hook_type prev_shmem_request_hook = NULL;
#endif

static void shared_request(void);
static void shared_startup(void);
static Size shared_size(const SharedSizes *sizes);
static void shared_create(const SharedSizes *sizes);
static void shared_initialize(InvalShared *block, const SharedSizes *sizes);
static void *shared_array(int which);

/*
 * Called by _PG_init.  Hooks in where the library is preloaded.
 */
void
inval_shared_init(void)
{
	if (!process_shared_preload_libraries_in_progress)
		return;
	preloaded = true;
	prev_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = shared_request;
	prev_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = shared_startup;
}

bool
inval_shared_is_preloaded(void)
{
	return preloaded;
}

static void
shared_request(void)
{
	if (prev_shmem_request_hook)
		prev_shmem_request_hook();
	RequestAddinShmemSpace(shared_size(&preloaded_sizes));
}

static void
shared_startup(void)
{
	if (prev_shmem_startup_hook)
		prev_shmem_startup_hook();
	shared = NULL;
	my_database = NULL;
	shared_create(&preloaded_sizes);
}

static Size
shared_size(const SharedSizes *sizes)
{
	Size		size = MAXALIGN(sizeof(InvalShared));

	size = add_size(size, mul_size(sizes->ledger_words, sizeof(pg_atomic_uint64)));
	size = add_size(size, mul_size(sizes->databases, sizeof(InvalDatabase)));
	size = add_size(size, mul_size(sizes->targets, sizeof(InvalTargetHealth)));
	size = add_size(size, mul_size(sizes->stats, sizeof(InvalStatsSlot)));
	size = add_size(size, mul_size(sizes->refusals, sizeof(InvalRefusal)));
	return add_size(size, 8 * MAXIMUM_ALIGNOF);
}

/*
 * Finds or makes the block in shared memory.  Raises an error if there is no
 * room for it.
 */
static void
shared_create(const SharedSizes *sizes)
{
	InvalShared *block;
	bool		found;
	char		name[NAMEDATALEN];

	/*
	 * The name tells layouts apart, for a library that is replaced while the
	 * server runs.
	 */
	snprintf(name, sizeof(name), "inval %d %zu", SHARED_LAYOUT, shared_size(sizes));

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	block = ShmemInitStruct(name, shared_size(sizes), &found);
	if (!found)
		shared_initialize(block, sizes);
	LWLockRelease(AddinShmemInitLock);
	shared = block;
}

static void
shared_initialize(InvalShared *block, const SharedSizes *sizes)
{
	InvalShared *saved = shared;
	uint32		i;
	int			j;

	memset(block, 0, shared_size(sizes));
	block->ledger_words = sizes->ledger_words;
	block->databases = sizes->databases;
	block->targets = sizes->targets;
	block->stats = sizes->stats;
	block->refusals = sizes->refusals;
	SpinLockInit(&block->mutex);
	SpinLockInit(&block->refusal_mutex);

	shared = block;
	for (i = 0; i < sizes->ledger_words; i++)
		pg_atomic_init_u64(&inval_shared_ledger()[i], 0);
	for (i = 0; i < sizes->databases; i++)
	{
		InvalDatabase *db = &inval_shared_databases()[i];

		pg_atomic_init_u32(&db->current_fast, 0);
		pg_atomic_init_u32(&db->current_slow, INVAL_OUTBOX_GROUP);
		pg_atomic_init_u32(&db->unswept, 0);
		pg_atomic_init_u64(&db->swept_xid, 0);
		SpinLockInit(&db->mutex);
	}
	for (i = 0; i < sizes->targets; i++)
	{
		InvalTargetHealth *target = &inval_shared_targets()[i];

		pg_atomic_init_u32(&target->down, 0);
		pg_atomic_init_u32(&target->logged_down, 0);
		pg_atomic_init_u32(&target->slow_answers, 0);
		pg_atomic_init_u32(&target->slow, 0);
		pg_atomic_init_u32(&target->paused, 0);
		pg_atomic_init_u32(&target->map_version, 0);
		pg_atomic_init_u32(&target->lost_nodes, 0);
		pg_atomic_init_u32(&target->lost_news, 0);
		pg_atomic_init_u32(&target->resolved_mark, 0);
		pg_atomic_init_u32(&target->work, 0);
		pg_atomic_init_u32(&target->idle, 0);
		pg_atomic_init_u32(&target->watching, 0);
		for (j = 0; j < INVAL_OUTBOX_TABLES; j++)
			pg_atomic_init_u32(&target->low_block[j], InvalidBlockNumber);
		SpinLockInit(&target->mutex);
	}
	shared = saved;
}

/*
 * The block, attached on first use.
 */
InvalShared *
inval_shared(void)
{
	MemoryContext caller = CurrentMemoryContext;

	if (likely(shared != NULL))
		return shared;

	PG_TRY();
	{
		shared_create(&reserve_sizes);
	}
	PG_CATCH();
	{
		ErrorData  *edata;
		InvalShared *block;

		/* Only a lack of room is expected here; anything else goes on up. */
		if (geterrcode() != ERRCODE_OUT_OF_MEMORY)
			PG_RE_THROW();
		/* The error reset the count that LWLockRelease is about to lower. */
		HOLD_INTERRUPTS();
		LWLockRelease(AddinShmemInitLock);
		MemoryContextSwitchTo(caller);
		edata = CopyErrorData();
		FlushErrorState();
		ereport(LOG,
				(errmsg("inval keeps its state in this process only"),
				 errdetail("%s", edata->message),
				 errhint("Add \"inval\" to shared_preload_libraries.")));
		FreeErrorData(edata);
		block = MemoryContextAlloc(TopMemoryContext, shared_size(&reserve_sizes));
		shared_initialize(block, &reserve_sizes);
		shared = block;
	}
	PG_END_TRY();
	return shared;
}

/*
 * The arrays lie behind the header, in the order of this switch.
 */
static void *
shared_array(int which)
{
	InvalShared *block = inval_shared();
	char	   *place = (char *) block + MAXALIGN(sizeof(InvalShared));

	if (which-- == 0)
		return place;
	place += MAXALIGN(block->ledger_words * sizeof(pg_atomic_uint64));
	if (which-- == 0)
		return place;
	place += MAXALIGN(block->databases * sizeof(InvalDatabase));
	if (which-- == 0)
		return place;
	place += MAXALIGN(block->targets * sizeof(InvalTargetHealth));
	if (which-- == 0)
		return place;
	place += MAXALIGN(block->stats * sizeof(InvalStatsSlot));
	return place;
}

pg_atomic_uint64 *
inval_shared_ledger(void)
{
	return shared_array(0);
}

InvalDatabase *
inval_shared_databases(void)
{
	return shared_array(1);
}

InvalTargetHealth *
inval_shared_targets(void)
{
	return shared_array(2);
}

InvalStatsSlot *
inval_shared_stats(void)
{
	return shared_array(3);
}

InvalRefusal *
inval_shared_refusals(void)
{
	return shared_array(4);
}

/*
 * This database's slot, claimed on first use, which is a request for a worker
 * too.  When all are taken the last one serves for the rest: they then share
 * hints, which is harmless, but only one of them can have a worker.  Cannot
 * fail once inval_shared was called.
 */
InvalDatabase *
inval_shared_database(void)
{
	InvalShared *block = inval_shared();
	InvalDatabase *databases = inval_shared_databases();
	InvalDatabase *free_slot = NULL;
	uint32		i;

	/* A worker that found no extension may have given the slot back. */
	if (likely(my_database != NULL && my_database->database == MyDatabaseId))
		return my_database;
	my_database = NULL;

	SpinLockAcquire(&block->mutex);
	for (i = 0; i < block->databases; i++)
	{
		if (databases[i].database == MyDatabaseId)
		{
			my_database = &databases[i];
			break;
		}
		if (free_slot == NULL && !OidIsValid(databases[i].database))
			free_slot = &databases[i];
	}
	if (my_database == NULL)
	{
		if (free_slot != NULL)
			free_slot->database = MyDatabaseId;
		else
			free_slot = &databases[block->databases - 1];
		my_database = free_slot;
	}
	SpinLockRelease(&block->mutex);
	if (free_slot == my_database)
		inval_shared_wake_launcher();
	return my_database;
}

/*
 * Gives back what a database held that was dropped, or has no extension.  The
 * launcher calls this, or the worker of its target "default".
 */
void
inval_shared_forget_database(Oid database)
{
	InvalShared *block = inval_shared();
	uint32		i;

	SpinLockAcquire(&block->mutex);
	for (i = 0; i < block->databases; i++)
	{
		InvalDatabase *db = &inval_shared_databases()[i];

		if (db->database == database)
		{
			db->database = InvalidOid;
			db->hold_until = 0;
			pg_atomic_write_u32(&db->current_fast, 0);
			pg_atomic_write_u32(&db->current_slow, INVAL_OUTBOX_GROUP);
		}
	}
	for (i = 0; i < block->targets; i++)
		if (inval_shared_targets()[i].database == database)
		{
			InvalTargetHealth *target = &inval_shared_targets()[i];

			target->database = InvalidOid;
			target->wanted = false;
			target->worker_pid = 0;
			target->worker_latch = NULL;
			pg_atomic_write_u32(&target->down, 0);
			pg_atomic_write_u32(&target->logged_down, 0);
			pg_atomic_write_u32(&target->paused, 0);
		}
	for (i = 0; i < block->stats; i++)
		if (inval_shared_stats()[i].database == database)
			inval_shared_stats()[i].database = InvalidOid;
	SpinLockRelease(&block->mutex);

	SpinLockAcquire(&block->refusal_mutex);
	for (i = 0; i < block->refusals; i++)
		if (inval_shared_refusals()[i].database == database)
		{
			inval_shared_refusals()[i].database = InvalidOid;
			block->refusals_used--;
		}
	SpinLockRelease(&block->refusal_mutex);
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
inval_shared_wake_worker(InvalTargetHealth *target)
{
	Latch	   *latch;

	pg_atomic_write_u32(&target->work, 1);
	pg_memory_barrier();
	if (target->worker_pid != 0 && pg_atomic_read_u32(&target->idle) == 0)
		return;
	SpinLockAcquire(&target->mutex);
	latch = target->worker_latch;
	SpinLockRelease(&target->mutex);
	if (latch != NULL)
		SetLatch(latch);
	else
		inval_shared_wake_launcher();
}

/*
 * Tells the launcher that a database wants a worker.  Cannot fail.
 */
void
inval_shared_wake_launcher(void)
{
	Latch	   *latch = NULL;

	if (shared != NULL)
	{
		SpinLockAcquire(&shared->mutex);
		latch = shared->launcher_latch;
		SpinLockRelease(&shared->mutex);
	}
	if (latch != NULL)
		SetLatch(latch);
}
