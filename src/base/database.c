/*
 * database.c
 *		The databases in which inval was used since the server started.
 *
 * Each has a slot in shared memory.  A slot without a worker is a request for
 * one, which the launcher is woken for.
 */
#include "postgres.h"

#include "commands/dbcommands.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "utils/lsyscache.h"

#include "base/database.h"
#include "base/encoding.h"
#include "base/shared.h"

typedef struct DatabaseLauncher
{
	Latch	   *latch;			/* NULL: not preloaded, or not running; protected
								 * by shared mutex */
	pg_atomic_uint32 waiting;	/* how many wait for a worker's place */
} DatabaseLauncher;

static void database_initialize_launcher(void *element);

static InvalSharedArea database_area = {
	.element_size = sizeof(InvalDatabase),
	.layout = 1,
	.preloaded = INVAL_DATABASES_PRELOADED,
	.reserve = INVAL_DATABASES_RESERVE
};

static InvalSharedArea launcher_area = {
	.element_size = sizeof(DatabaseLauncher),
	.layout = 2,
	.preloaded = 1,
	.reserve = 1,
	.initialize = database_initialize_launcher
};

static InvalDatabase *my_database = NULL;
static char my_name[NAMEDATALEN * MAX_CONVERSION_GROWTH];

/*
 * Called by _PG_init.
 */
void
inval_database_init(void)
{
	inval_shared_add(&database_area);
	inval_shared_add(&launcher_area);
}

static void
database_initialize_launcher(void *element)
{
	pg_atomic_init_u32(&((DatabaseLauncher *) element)->waiting, 0);
}

InvalDatabase *
inval_databases(uint32 *count)
{
	InvalDatabase *databases = inval_shared_elements(&database_area);

	*count = database_area.count;
	return databases;
}

/*
 * This database's slot, claimed on first use, which is a request for a worker
 * too.  When all are taken the last one serves for the rest: they then share
 * hints, which is harmless, but only one of them can have a worker.  Cannot
 * fail once inval_shared_attach was called.
 */
InvalDatabase *
inval_database(void)
{
	slock_t    *mutex;
	InvalDatabase *databases;
	InvalDatabase *free_slot = NULL;
	uint32		count;
	uint32		i;

	/* A worker that found no extension may have given the slot back. */
	if (likely(my_database != NULL && my_database->database == MyDatabaseId))
		return my_database;
	my_database = NULL;

	mutex = inval_shared_mutex();
	databases = inval_databases(&count);
	SpinLockAcquire(mutex);
	for (i = 0; i < count; i++)
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
			free_slot = &databases[count - 1];
		my_database = free_slot;
	}
	SpinLockRelease(mutex);
	if (free_slot == my_database)
		inval_database_wake_launcher();
	return my_database;
}

/*
 * The name of this database, in UTF-8.  It cannot be renamed while we are connected to it.
 */
const char *
inval_database_name(void)
{
	return my_name;
}

/*
 * To be called in a transaction before the name is asked for.
 */
void
inval_database_learn_name(void)
{
	const char *name = inval_encode_or_keep(get_database_name(MyDatabaseId));

	strlcpy(my_name, name != NULL ? name : "", sizeof(my_name));
}

/*
 * Gives back the slot of a database.  Under the shared mutex.
 */
void
inval_database_free(Oid database)
{
	uint32		count;
	InvalDatabase *databases = inval_databases(&count);
	uint32		i;

	for (i = 0; i < count; i++)
		if (databases[i].database == database)
		{
			databases[i].database = InvalidOid;
			databases[i].hold_until = 0;
		}
}

/*
 * Says whom to wake; NULL: nobody any more.
 */
void
inval_database_set_launcher(Latch *latch)
{
	((DatabaseLauncher *) inval_shared_elements(&launcher_area))->latch = latch;
}

/*
 * The launcher says how many wait for a worker and find no place; workers ask
 * whether somebody does, and give one of them a place by leaving.
 */
void
inval_database_say_waiting(uint32 waiting)
{
	DatabaseLauncher *launcher = inval_shared_elements(&launcher_area);

	pg_atomic_write_u32(&launcher->waiting, waiting);
}

bool
inval_database_somebody_waits(void)
{
	DatabaseLauncher *launcher = inval_shared_elements(&launcher_area);

	return pg_atomic_read_u32(&launcher->waiting) > 0;
}

/*
 * Returns false if others have made room enough.
 */
bool
inval_database_make_room(void)
{
	DatabaseLauncher *launcher = inval_shared_elements(&launcher_area);
	uint32		waiting = pg_atomic_read_u32(&launcher->waiting);

	while (waiting > 0)
		if (pg_atomic_compare_exchange_u32(&launcher->waiting, &waiting, waiting - 1))
			return true;
	return false;
}

/*
 * Tells the launcher that a database wants a worker.
 */
void
inval_database_wake_launcher(void)
{
	DatabaseLauncher *launcher = launcher_area.elements;
	Latch	   *latch = NULL;

	if (launcher != NULL)
	{
		slock_t    *mutex = inval_shared_mutex();

		SpinLockAcquire(mutex);
		latch = launcher->latch;
		SpinLockRelease(mutex);
	}
	if (latch != NULL)
		SetLatch(latch);
}
