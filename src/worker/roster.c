/*
 * roster.c
 *		Which workers there are, and which are wanted.
 *
 * The launcher's memory: an entry for each target of each database.  What is
 * asked for is read from shared memory anew each time.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "base/database.h"
#include "target/health.h"
#include "target/targets.h"
#include "worker/forget.h"
#include "worker/roster.h"

/* A worker that died is started again after this time. */
#define RESTART_PAUSE_MS	1000

static HTAB *workers = NULL;

static InvalRosterWorker *roster_enter(InvalRosterKey key);
static void roster_note_requests(void);
static InvalRosterWorker *roster_find(Oid database, int32 target);
static int	roster_compare(const ListCell *a, const ListCell *b);

/*
 * Begins with an empty one.
 */
void
inval_roster_init(void)
{
	HASHCTL		ctl = {0};

	ctl.keysize = sizeof(InvalRosterKey);
	ctl.entrysize = sizeof(InvalRosterWorker);
	workers = hash_create("inval workers", 64, &ctl, HASH_ELEM | HASH_BLOBS);
}

/*
 * Whether a database asks for a worker that was not there when the list was
 * read.
 */
bool
inval_roster_meets_new_database(void)
{
	uint32		count;
	InvalDatabase *slots = inval_databases(&count);
	uint32		i;

	for (i = 0; i < count; i++)
	{
		/* Read without the mutex: at worst we look once too often. */
		InvalRosterWorker *db = roster_find(slots[i].database, 0);

		if (OidIsValid(slots[i].database) && (db == NULL || !db->exists))
			return true;
	}
	return false;
}

/*
 * What is known of a worker, made on first use.
 */
static InvalRosterWorker *
roster_enter(InvalRosterKey key)
{
	bool		found;
	InvalRosterWorker *worker = hash_search(workers, &key, HASH_ENTER, &found);

	if (!found)
	{
		memset(worker, 0, sizeof(*worker));
		worker->key = key;
	}
	return worker;
}

/*
 * Reads pg_database: new ones are to be visited, what belonged to dropped ones
 * is given back.
 */
void
inval_roster_read_databases(void)
{
	Relation	relation;
	TableScanDesc scan;
	HeapTuple	tuple;
	HASH_SEQ_STATUS status;
	InvalRosterWorker *db;

	hash_seq_init(&status, workers);
	while ((db = hash_seq_search(&status)) != NULL)
		db->exists = db->exists && db->key.target != 0;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	(void) GetTransactionSnapshot();
	relation = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(relation, 0, NULL);
	while (HeapTupleIsValid(tuple = heap_getnext(scan, ForwardScanDirection)))
	{
		Form_pg_database form = (Form_pg_database) GETSTRUCT(tuple);
		InvalRosterKey key = {form->oid, 0};

		if (form->datallowconn)
			roster_enter(key)->exists = true;
	}
	table_endscan(scan);
	table_close(relation, AccessShareLock);
	CommitTransactionCommand();

	hash_seq_init(&status, workers);
	while ((db = hash_seq_search(&status)) != NULL)
		if (!db->exists && db->handle == NULL)
		{
			if (db->key.target == 0)
				inval_forget_database(db->key.database);
			(void) hash_search(workers, &db->key, HASH_REMOVE, NULL);
		}
}

/*
 * Learns from shared memory who asks for a worker and who has one.  While somebody
 * wants a database for themselves (ddl/command_guard.c), the start is put off.
 */
static void
roster_note_requests(void)
{
	TimestampTz now = GetCurrentTimestamp();
	uint32		count;
	InvalDatabase *slots = inval_databases(&count);
	uint32		targets;
	InvalTargetHealth *healths = inval_target_healths(&targets);
	HASH_SEQ_STATUS status;
	InvalRosterWorker *worker;
	uint32		i;

	hash_seq_init(&status, workers);
	while ((worker = hash_seq_search(&status)) != NULL)
	{
		worker->asked = worker->present = worker->left = false;
		worker->hold_until = 0;
		worker->exists = worker->exists && worker->key.target == 0;
	}
	for (i = 0; i < count; i++)
	{
		/* Read without the mutex: at worst we look once more. */
		worker = roster_find(slots[i].database, 0);
		if (worker == NULL)
			continue;
		worker->asked = true;
		worker->hold_until = slots[i].hold_until;
		worker->not_before = Max(worker->not_before, worker->hold_until);
	}
	for (i = 0; i < targets; i++)
	{
		InvalTargetHealth *health = &healths[i];
		InvalRosterKey key = {health->database, inval_target_number(health->name)};
		InvalRosterWorker *database = roster_find(key.database, 0);

		if (!OidIsValid(key.database) || database == NULL || !database->exists)
			continue;
		worker = roster_enter(key);
		worker->exists = true;
		worker->present = health->worker_pid != 0;
		worker->visit_at = health->visit_at;
		worker->left = worker->visit_at != 0;
		worker->asked = pg_atomic_read_u32(&health->work) != 0 || now >= worker->visit_at;
		worker->not_before = Max(worker->not_before, database->hold_until);
	}
}

static InvalRosterWorker *
roster_find(Oid database, int32 target)
{
	InvalRosterKey key = {database, target};

	return hash_search(workers, &key, HASH_FIND, NULL);
}

/*
 * Lists the workers that are wanted: those that somebody asks for, those that are
 * to look at a database, those that have left and may come back if there is room.
 * Counts those that run, and of these those that are leaving; says whether any has
 * ended, and lowers *timeout to when one will be asked for.
 */
List *
inval_roster_take_stock(int *running, int *leaving, bool *ended, long *timeout)
{
	HASH_SEQ_STATUS status;
	InvalRosterWorker *db;
	List	   *wanted = NIL;
	TimestampTz now = GetCurrentTimestamp();
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

	roster_note_requests();
	hash_seq_init(&status, workers);
	while ((db = hash_seq_search(&status)) != NULL)
	{
		pid_t		pid;

		if (db->handle != NULL &&
			GetBackgroundWorkerPid(db->handle, &pid) == BGWH_STOPPED)
		{
			pfree(db->handle);
			db->handle = NULL;
			*ended = true;
			/* One that has nothing to do says so: this one died. */
			if (!db->left)
				db->not_before = Max(db->not_before,
									 TimestampTzPlusMilliseconds(now, RESTART_PAUSE_MS));
		}
		if (db->handle != NULL)
		{
			(*running)++;
			/* That it will come back it says last; see inval_roster_say_visit. */
			if (db->left)
				(*leaving)++;
		}
		else if (db->exists && !db->present && (db->asked || !db->visited || db->left))
		{
			if (db->since == 0)
				db->since = now;
			wanted = lappend(wanted, db);
			if (!db->asked && db->left)
				*timeout = Min(*timeout,
							   TimestampDifferenceMilliseconds(now, db->visit_at) + 1);
		}
		else
			db->since = 0;
	}
	MemoryContextSwitchTo(old);
	list_sort(wanted, roster_compare);
	return wanted;
}

/*
 * Says when the worker of a target that has none is to come back; 0: one is being
 * started, so that what the last one has said does not look like its leaving.
 */
void
inval_roster_say_visit(const InvalRosterWorker *db, TimestampTz visit_at)
{
	uint32		targets;
	InvalTargetHealth *healths = inval_target_healths(&targets);
	uint32		i;

	for (i = 0; i < targets; i++)
		if (healths[i].database == db->key.database && healths[i].worker_pid == 0 &&
			inval_target_number(healths[i].name) == db->key.target)
			healths[i].visit_at = visit_at;
}

static int
roster_compare(const ListCell *a, const ListCell *b)
{
	const InvalRosterWorker *first = lfirst(a);
	const InvalRosterWorker *second = lfirst(b);

	if (first->asked != second->asked)
		return first->asked ? -1 : 1;
	if (first->visited != second->visited)
		return second->visited ? -1 : 1;
	return first->since < second->since ? -1 : first->since > second->since;
}

/*
 * Whether a database is still there, so that no worker is started in vain.
 */
bool
inval_roster_database_exists(InvalRosterWorker *db)
{
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	db->exists = SearchSysCacheExists1(DATABASEOID, ObjectIdGetDatum(db->key.database));
	CommitTransactionCommand();
	return db->exists;
}
