/*
 * stats_file.c
 *		Counters of rules outlast a restart of the server.
 *
 * As those of pg_stat_statements do, and the server's own: the postmaster writes them to
 * a file when it shuts down in order, and reads and removes that when it starts.  So
 * after a crash they begin anew, which costs nobody but who looks at figures.
 */
#include "postgres.h"

#include <unistd.h>

#include "miscadmin.h"
#include "pgstat.h"
#include "storage/fd.h"
#include "storage/ipc.h"

#include "base/shared.h"
#include "stats/stats.h"

#define STATS_FILE		PGSTAT_STAT_PERMANENT_DIRECTORY "/inval.stat"

/* To be changed with what a record is */
#define STATS_FILE_FORMAT	0x494e5601

/* What stands in front of the records; one that differs in anything is not read */
typedef struct StatsFileHead
{
	uint32		format;
	uint32		record_size;
	uint32		counts;
	uint32		buckets;
	uint32		records;
} StatsFileHead;

/* The counters of one rule on one target */
typedef struct StatsRecord
{
	Oid			database;
	uint32		rule;
	char		target[INVAL_TARGET_NAME_LEN];
	uint64		counts[INVAL_STATS_COUNTS];
	uint64		lag_max_us;
	uint64		last_delivery;
	uint64		lag[INVAL_LAG_BUCKETS];
} StatsRecord;

static shmem_startup_hook_type prev_shmem_startup_hook = NULL;

static void stats_file_startup(void);
static void stats_file_load(void);
static bool stats_file_read(FILE *file);
static bool stats_file_is_whole(FILE *file, const StatsFileHead *head);
static bool stats_file_take(const StatsRecord *record);
static void stats_file_save(int code, Datum arg);
static bool stats_file_write(FILE *file);
static void stats_file_fill(StatsRecord *record, InvalStatsSlot *slot);

/*
 * Called by _PG_init, after inval_shared_init.
 */
void
inval_stats_file_init(void)
{
	if (!inval_shared_is_preloaded())
		return;
	prev_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = stats_file_startup;
}

static void
stats_file_startup(void)
{
	if (prev_shmem_startup_hook)
		prev_shmem_startup_hook();
	if (IsUnderPostmaster)
		return;
	on_shmem_exit(stats_file_save, (Datum) 0);
	stats_file_load();
}

/*
 * What cannot be read is said, and is no reason not to start.
 */
static void
stats_file_load(void)
{
	FILE	   *file = AllocateFile(STATS_FILE, PG_BINARY_R);

	if (file == NULL)
	{
		if (errno != ENOENT)
			ereport(LOG,
					(errcode_for_file_access(),
					 errmsg("could not read file \"%s\": %m", STATS_FILE)));
		return;
	}
	if (!stats_file_read(file))
		ereport(LOG,
				(errmsg("statistics of inval begin anew: file \"%s\" is of another version or damaged, or there is no room for all of it",
						STATS_FILE)));
	FreeFile(file);
	(void) unlink(STATS_FILE);
}

/*
 * Returns false if not all of it is what was written.
 */
static bool
stats_file_read(FILE *file)
{
	StatsFileHead head;
	StatsRecord record;
	uint32		i;

	if (fread(&head, sizeof(head), 1, file) != 1 || head.format != STATS_FILE_FORMAT ||
		head.record_size != sizeof(StatsRecord) || head.counts != INVAL_STATS_COUNTS ||
		head.buckets != INVAL_LAG_BUCKETS || !stats_file_is_whole(file, &head))
		return false;
	for (i = 0; i < head.records; i++)
		if (fread(&record, sizeof(record), 1, file) != 1 || !stats_file_take(&record))
			return false;
	return true;
}

/*
 * Whether there are as many records as the head says, which has been read.  Half of them
 * would say nothing.
 */
static bool
stats_file_is_whole(FILE *file, const StatsFileHead *head)
{
	off_t		size = (off_t) sizeof(StatsFileHead) +
		(off_t) head->records * (off_t) sizeof(StatsRecord);

	return fseeko(file, 0, SEEK_END) == 0 && ftello(file) == size &&
		fseeko(file, sizeof(StatsFileHead), SEEK_SET) == 0;
}

static bool
stats_file_take(const StatsRecord *record)
{
	InvalStatsSlot *slot;
	int			i;

	if (!OidIsValid(record->database) ||
		memchr(record->target, '\0', sizeof(record->target)) == NULL)
		return false;
	slot = inval_stats_claim(record->database, record->rule, record->target);
	if (slot == NULL)
		return false;
	for (i = 0; i < INVAL_STATS_COUNTS; i++)
		pg_atomic_write_u64(&slot->counts[i], record->counts[i]);
	pg_atomic_write_u64(&slot->lag_max_us, record->lag_max_us);
	pg_atomic_write_u64(&slot->last_delivery, record->last_delivery);
	for (i = 0; i < INVAL_LAG_BUCKETS; i++)
		pg_atomic_write_u64(&slot->lag[i], record->lag[i]);
	return true;
}

/*
 * The postmaster ends, and nobody counts any more.
 */
static void
stats_file_save(int code, Datum arg)
{
	FILE	   *file;
	bool		written;

	(void) arg;
	if (code != 0)
		return;
	file = AllocateFile(STATS_FILE ".tmp", PG_BINARY_W);
	written = file != NULL && stats_file_write(file);
	if (file != NULL && FreeFile(file) != 0)
		written = false;
	if (written && durable_rename(STATS_FILE ".tmp", STATS_FILE, LOG) == 0)
		return;
	ereport(LOG,
			(errcode_for_file_access(),
			 errmsg("could not write file \"%s\": %m", STATS_FILE)));
	(void) unlink(STATS_FILE ".tmp");
}

static bool
stats_file_write(FILE *file)
{
	StatsFileHead head = {
		.format = STATS_FILE_FORMAT,.record_size = sizeof(StatsRecord),
		.counts = INVAL_STATS_COUNTS,.buckets = INVAL_LAG_BUCKETS
	};
	uint32		count;
	InvalStatsSlot *slots = inval_stats_slots(&count);
	StatsRecord record;
	uint32		i;

	for (i = 0; i < count; i++)
		head.records += OidIsValid(slots[i].database);
	if (fwrite(&head, sizeof(head), 1, file) != 1)
		return false;
	for (i = 0; i < count; i++)
	{
		if (!OidIsValid(slots[i].database))
			continue;
		stats_file_fill(&record, &slots[i]);
		if (fwrite(&record, sizeof(record), 1, file) != 1)
			return false;
	}
	return true;
}

static void
stats_file_fill(StatsRecord *record, InvalStatsSlot *slot)
{
	int			i;

	memset(record, 0, sizeof(*record));
	record->database = slot->database;
	record->rule = slot->rule;
	strlcpy(record->target, slot->target, sizeof(record->target));
	for (i = 0; i < INVAL_STATS_COUNTS; i++)
		record->counts[i] = pg_atomic_read_u64(&slot->counts[i]);
	record->lag_max_us = pg_atomic_read_u64(&slot->lag_max_us);
	record->last_delivery = pg_atomic_read_u64(&slot->last_delivery);
	inval_stats_lags(slot, record->lag);
}
