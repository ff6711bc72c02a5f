/*
 * shared.c
 *		What the processes of one server know together.
 *
 * One block of shared memory, made of areas whose contents are known to those
 * that add them: which database has a worker, how the targets are doing, which
 * transactions were confirmed at commit, the counters.  It is a cache of facts
 * and never the truth: the truth is the outbox.  A server that starts with
 * this block empty delivers what it finds in the outbox once more and is right.
 *
 * With shared_preload_libraries = 'inval' the block is requested at start.
 * Without, a small one is taken on first use from the reserve that the server
 * keeps for such cases (as contrib's autoprewarm does); and where that is used
 * up, each process has its own, and only loses the convenience of knowing.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/memutils.h"

#include "base/shared.h"

/* To be raised with every change of the block itself */
#define SHARED_LAYOUT	10

#define SHARED_AREAS	24

/* What the block begins with; the areas follow, in the order of their adding. */
typedef struct SharedHead
{
	slock_t		mutex;			/* see inval_shared_mutex */
} SharedHead;

static InvalSharedArea *areas[SHARED_AREAS];
static int	area_count = 0;
static SharedHead *shared = NULL;
static bool preloaded = false;

static shmem_startup_hook_type prev_shmem_startup_hook = NULL;
static shmem_request_hook_type prev_shmem_request_hook = NULL;

static void shared_request(void);
static void shared_startup(void);
static uint32 shared_count(const InvalSharedArea *area, bool preload);
static Size shared_area_size(const InvalSharedArea *area, bool preload);
static Size shared_size(bool preload);
static uint32 shared_layout(bool preload);
static void shared_create(bool preload);
static void shared_initialize(SharedHead *block, bool preload);
static void shared_use(SharedHead *block, bool preload);

/*
 * Called by _PG_init.  The area gets its elements when the block is attached.
 */
void
inval_shared_add(InvalSharedArea *area)
{
	if (area_count == SHARED_AREAS)
		elog(ERROR, "inval has more than %d areas in shared memory", SHARED_AREAS);
	areas[area_count++] = area;
}

/*
 * Called by _PG_init, when all areas are known.  Hooks in where the library is
 * preloaded.
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
	RequestAddinShmemSpace(shared_size(true));
}

static void
shared_startup(void)
{
	if (prev_shmem_startup_hook)
		prev_shmem_startup_hook();
	shared = NULL;
	shared_create(true);
}

static uint32
shared_count(const InvalSharedArea *area, bool preload)
{
	return preload ? area->preloaded : area->reserve;
}

static Size
shared_area_size(const InvalSharedArea *area, bool preload)
{
	return MAXALIGN(mul_size(shared_count(area, preload), area->element_size));
}

static Size
shared_size(bool preload)
{
	Size		size = MAXALIGN(sizeof(SharedHead));
	int			i;

	for (i = 0; i < area_count; i++)
		size = add_size(size, shared_area_size(areas[i], preload));
	return size;
}

/*
 * A number that changes with the layout of the block.
 */
static uint32
shared_layout(bool preload)
{
	uint32		layout = SHARED_LAYOUT;
	int			i;

	for (i = 0; i < area_count; i++)
	{
		layout = hash_combine(layout, areas[i]->layout);
		layout = hash_combine(layout, (uint32) areas[i]->element_size);
		layout = hash_combine(layout, shared_count(areas[i], preload));
	}
	return layout;
}

/*
 * Finds or makes the block in shared memory.  Raises an error if there is no
 * room for it.
 */
static void
shared_create(bool preload)
{
	SharedHead *block;
	bool		found;
	char		name[NAMEDATALEN];

	/*
	 * The name tells layouts apart, for a library that is replaced while the
	 * server runs.
	 */
	snprintf(name, sizeof(name), "inval %08x %zu", shared_layout(preload),
			 shared_size(preload));

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	block = ShmemInitStruct(name, shared_size(preload), &found);
	if (!found)
		shared_initialize(block, preload);
	LWLockRelease(AddinShmemInitLock);
	shared_use(block, preload);
}

static void
shared_initialize(SharedHead *block, bool preload)
{
	char	   *place = (char *) block + MAXALIGN(sizeof(SharedHead));
	int			i;
	uint32		j;

	memset(block, 0, shared_size(preload));
	SpinLockInit(&block->mutex);
	for (i = 0; i < area_count; i++)
	{
		const InvalSharedArea *area = areas[i];

		for (j = 0; area->initialize != NULL && j < shared_count(area, preload); j++)
			area->initialize(place + j * area->element_size);
		place += shared_area_size(area, preload);
	}
}

/*
 * From now on this process works with the block.  Cannot fail.
 */
static void
shared_use(SharedHead *block, bool preload)
{
	char	   *place = (char *) block + MAXALIGN(sizeof(SharedHead));
	int			i;

	for (i = 0; i < area_count; i++)
	{
		areas[i]->count = shared_count(areas[i], preload);
		areas[i]->elements = place;
		place += shared_area_size(areas[i], preload);
	}
	shared = block;
}

/*
 * Attaches to the block, if this process has not done so yet.  Nothing that is
 * asked of shared memory can fail after that.
 */
void
inval_shared_attach(void)
{
	MemoryContext caller = CurrentMemoryContext;

	if (likely(shared != NULL))
		return;

	PG_TRY();
	{
		shared_create(false);
	}
	PG_CATCH();
	{
		ErrorData  *edata;
		SharedHead *block;

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
		block = MemoryContextAlloc(TopMemoryContext, shared_size(false));
		shared_initialize(block, false);
		shared_use(block, false);
	}
	PG_END_TRY();
}

/*
 * The mutex under which elements are claimed and given back, whichever the
 * area, so that what belongs together is seen together.
 */
slock_t *
inval_shared_mutex(void)
{
	inval_shared_attach();
	return &shared->mutex;
}
