/*
 * purge.c
 *		inval_purge: removing keys by a glob pattern.
 *
 * In the session of who calls it, at once, and not when the transaction commits: a
 * purge is for what somebody sees that is wrong in the cache.  What the session cannot
 * do, because the target is away, is queued as part of the transaction: an entry with
 * the action "prefix", whose key is how the pattern starts and whose field is the
 * pattern (worker/removal.c).
 *
 * Leases of what is removed are void first, as readers may be about to store more of
 * it.
 */
#include "postgres.h"

#include "access/xact.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/inval.h"

#include "base/catalog.h"
#include "base/encoding.h"
#include "base/log_keys.h"
#include "base/origin.h"
#include "base/progress.h"
#include "base/settings.h"
#include "commit/commit.h"
#include "commit/pending.h"
#include "key/lookup.h"
#include "outbox/outbox.h"
#include "outbox/purge_log.h"
#include "redis/waiting.h"
#include "target/breaker.h"
#include "target/reach.h"
#include "target/targets.h"
#include "target/usage.h"
#include "target/wipe.h"

#define MAX_REASON_LENGTH	1000

/* The arguments */
enum
{
	PURGE_PATTERN,
	PURGE_REASON,
	PURGE_TARGET
};

typedef struct Purge
{
	InvalTarget *target;
	InvalPurgeRecord record;
	char	   *glob;			/* the pattern as it is sent */
	char	   *start;			/* what all keys start with that it matches */
	InvalWipe	wipe;
	const char *obstacle;		/* why the session cannot go on */
	int64		number;			/* of it, among what this transaction queues */
	InvalProgress *progress;	/* where others see it */
	uint64		stuck_since;	/* a node does not answer; 0: they do */
} Purge;

static void purge_check_moment(void);
static char *purge_text(FunctionCallInfo fcinfo, int argument, const char *name);
static void purge_read_pattern(Purge *purge);
static void purge_check_target(const Purge *purge);
static void purge_do(Purge *purge);
static void purge_run(Purge *purge);
static bool purge_is_possible(Purge *purge);
static bool purge_goes_on(Purge *purge);
static bool purge_waits(Purge *purge);
static void purge_show(const Purge *purge);
static void purge_hide(const Purge *purge);
static void purge_abandon(int code, Datum arg);
static void purge_queue(const Purge *purge);

PG_FUNCTION_INFO_V1(inval_purge);

/*
 * inval_purge(pattern text, reason text, target text) RETURNS bigint
 *
 * How many keys were removed by this session.
 */
Datum
inval_purge(PG_FUNCTION_ARGS)
{
	Purge		purge = {0};
	InvalPurgeRecord *record = &purge.record;

	PreventCommandIfReadOnly("inval_purge()");
	PreventCommandIfParallelMode("inval_purge()");
	PreventCommandDuringRecovery("inval_purge()");
	(void) inval_catalog(false);
	purge_check_moment();

	record->pattern = purge_text(fcinfo, PURGE_PATTERN, "pattern");
	record->reason = purge_text(fcinfo, PURGE_REASON, "reason");
	record->target = purge_text(fcinfo, PURGE_TARGET, "target");
	if (strlen(record->reason) > MAX_REASON_LENGTH)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("reason is longer than %d bytes", MAX_REASON_LENGTH)));
	purge.target = inval_target_by_name(record->target, false);
	inval_target_check_usage(GetUserId(), purge.target->name);
	purge_read_pattern(&purge);

	record->started_at = GetCurrentTimestamp();
	record->session_user = GetUserNameFromId(GetSessionUserId(), false);
	record->user = GetUserNameFromId(GetUserId(), false);
	purge.number = inval_outbox_take_number();
	record->id = inval_outbox_entry_id(GetTopFullTransactionId(), purge.number);
	purge_do(&purge);
	if (purge.wipe.refused > 0)
		ereport(WARNING,
				(errmsg("target \"%s\" refuses to remove " UINT64_FORMAT " keys: %s",
						purge.target->name, purge.wipe.refused, purge.wipe.error)));
	PG_RETURN_INT64(record->removed);
}

/*
 * Where the transaction ends, or keys are looked up for that, its connections are
 * not ours.
 */
static void
purge_check_moment(void)
{
	if (inval_pending_is_flushed() || inval_lookup_is_under_way())
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("inval_purge cannot be called at the end of a transaction, or by the query of a rule")));
}

static char *
purge_text(FunctionCallInfo fcinfo, int argument, const char *name)
{
	char	   *value;

	if (PG_ARGISNULL(argument))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", name)));
	value = text_to_cstring(PG_GETARG_TEXT_PP(argument));
	if (value[strspn(value, " \t\r\n")] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must not be empty", name),
				 argument == PURGE_REASON ?
				 errhint("It is what inval_purge_log says why the keys were removed.") : 0));
	return value;
}

/*
 * Checks the pattern: it may match nothing that the caller may not have removed, and
 * never just anything.
 */
static void
purge_read_pattern(Purge *purge)
{
	const char *problem;
	Size		length;
	Size		start_length;

	purge->glob = inval_encode_key_or_fail(purge->record.pattern, "pattern");
	length = strlen(purge->glob);
	purge->start = palloc(length + 1);
	problem = inval_glob_start(purge->glob, length, purge->start, &start_length);
	purge->start[start_length] = '\0';
	if (problem != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("pattern cannot be used: %s", problem),
				 errhint("It is a glob pattern of Redis, in which * ? [ ] and \\ are special; \\ before one of them makes it stand for itself.")));
	if (start_length == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("pattern must start with literal text"),
				 errdetail("It would match keys of everybody."),
				 errhint("Begin with how the keys begin, as in 'team:42:*'.")));
	if (start_length + length > INVAL_MAX_KEY_LENGTH)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("pattern is too long"),
				 errdetail("It has %zu bytes, with its literal start once more, and can have %d.",
						   start_length + length, INVAL_MAX_KEY_LENGTH)));
	purge_check_target(purge);
}

/*
 * An error if there is no such target any more, or what is to be removed is not within
 * its namespace.  Both can be changed at any time, and a purge takes long.
 */
static void
purge_check_target(const Purge *purge)
{
	InvalEntry	entry = {.key = purge->start,.key_length = (uint32) strlen(purge->start)};
	const InvalTarget *target;

	AcceptInvalidationMessages();
	target = inval_target_by_name(purge->record.target, false);
	if (!inval_target_may_have(target, &entry))
		ereport(ERROR,
				(errcode(ERRCODE_WITH_CHECK_OPTION_VIOLATION),
				 errmsg("pattern is not within the namespace of target \"%s\"", target->name),
				 errdetail("Its literal start must begin with \"%s\".", target->namespace)));
}

/*
 * Does it, and leaves a record, whatever happens: what was removed stays so.
 */
static void
purge_do(Purge *purge)
{
	InvalPurgeRecord *record = &purge->record;

	inval_purge_log_hold();
	PG_ENSURE_ERROR_CLEANUP(purge_abandon, PointerGetDatum(purge));
	{
		purge_run(purge);
		record->removed = (int64) purge->wipe.removed;
		if (purge->obstacle == NULL)
			record->finished_at = GetCurrentTimestamp();
		else
			purge_queue(purge);
		inval_purge_log_write(record);
	}
	PG_END_ENSURE_ERROR_CLEANUP(purge_abandon, PointerGetDatum(purge));
}

/*
 * Goes as far as this session can.
 */
static void
purge_run(Purge *purge)
{
	inval_wipe_init(&purge->wipe, purge->target);
	inval_pattern_of_glob(&purge->wipe.pattern, purge->start, strlen(purge->start),
						  purge->glob, strlen(purge->glob));
	inval_wipe_begin(&purge->wipe, true);
	purge->progress = inval_progress_begin("purge", purge->target->name, -1);
	while (purge_is_possible(purge) && purge_goes_on(purge))
		CHECK_FOR_INTERRUPTS();
	inval_progress_end(purge->progress);
	purge_hide(purge);
}

/*
 * Whether the target takes anything from us now.  Names are the worker's to resolve,
 * and a target that is down its to try, where there is one.
 */
static bool
purge_is_possible(Purge *purge)
{
	InvalTarget *target = purge->target;
	bool		alone = !inval_target_has_worker();

	purge_check_target(purge);
	if (pg_atomic_read_u32(&target->health->paused) != 0)
		purge->obstacle = "is paused";
	else if (!inval_target_is_open(target) && !(alone && inval_target_claim_probe(target)))
		purge->obstacle = "is down";
	else
	{
		inval_target_prepare(target);
		if (!inval_target_connect(target, inval_clock_us() +
								  (uint64) inval_connect_timeout * 1000, alone))
			purge->obstacle = "cannot be reached";
	}
	return purge->obstacle == NULL;
}

/*
 * Goes a step on.  Returns false if there is no further one, or an obstacle.
 */
static bool
purge_goes_on(Purge *purge)
{
	InvalWipeResult result = inval_wipe_step(&purge->wipe);

	purge_show(purge);
	switch (result)
	{
		case INVAL_WIPE_LATER:
			return purge_waits(purge);
		case INVAL_WIPE_MORE:
			purge->stuck_since = 0;
			return true;
		case INVAL_WIPE_DONE:
			return false;
		case INVAL_WIPE_OWED:
			purge->obstacle = "refuses to remove some keys";
			return false;
		case INVAL_WIPE_FAILED:
			purge->obstacle = "does not answer";
			return false;
		case INVAL_WIPE_REFUSED:
			break;
	}
	ereport(ERROR,
			(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
			 errmsg("target \"%s\" cannot be searched: %s", purge->target->name,
					purge->wipe.search.error),
			 errhint("Its user of Redis must be allowed SCAN and UNLINK, and on a cluster CLUSTER NODES.")));
	return false;				/* keep the compiler quiet */
}

/*
 * Waits until the target's rate allows more, or a node may be asked again; not for one
 * that stays away.
 */
static bool
purge_waits(Purge *purge)
{
	uint64		now = inval_clock_us();

	if (!inval_wipe_is_stuck(&purge->wipe))
		purge->stuck_since = 0;
	else if (purge->stuck_since == 0)
		purge->stuck_since = now;
	else if (now - purge->stuck_since > (uint64) inval_reply_timeout * 1000)
	{
		purge->obstacle = "has a node that does not answer";
		return false;
	}
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 Max(inval_wipe_wait_ms(&purge->wipe), 1),
					 inval_waiting(INVAL_WAITING_RATE));
	ResetLatch(MyLatch);
	return true;
}

/*
 * Says in inval_target_status how far it is; the last one of several that run.
 */
static void
purge_show(const Purge *purge)
{
	InvalTargetHealth *health = purge->target->health;
	char		progress[INVAL_PROGRESS_LEN];

	inval_wipe_describe(&purge->wipe, "purge", progress, sizeof(progress));
	SpinLockAcquire(&health->mutex);
	strlcpy(health->purge, progress, sizeof(health->purge));
	health->purge_pid = MyProcPid;
	SpinLockRelease(&health->mutex);
	inval_wipe_progress(&purge->wipe, purge->progress);
}

static void
purge_hide(const Purge *purge)
{
	InvalTargetHealth *health = purge->target->health;

	SpinLockAcquire(&health->mutex);
	if (health->purge_pid == MyProcPid)
		health->purge[0] = '\0';
	SpinLockRelease(&health->mutex);
}

/*
 * An error, or the end of the session, before its record is written: what it has
 * removed is told to the server's log.
 */
static void
purge_abandon(int code, Datum arg)
{
	const Purge *purge = (const Purge *) DatumGetPointer(arg);

	(void) code;
	purge_hide(purge);
	ereport(LOG,
			(errmsg("inval target \"%s\": purge of %s was interrupted when it had removed " UINT64_FORMAT " keys",
					purge->target->name, inval_log_key(purge->record.pattern),
					purge->wipe.removed),
			 errdetail("By \"%s\" as \"%s\", who gave as the reason: %s",
					   purge->record.session_user, purge->record.user,
					   purge->record.reason),
			 errhidestmt(!inval_log_keys)));
}

/*
 * Queues what is left, from the start again: another process knows nothing of how
 * far it has come.
 */
static void
purge_queue(const Purge *purge)
{
	InvalEntry	entry = {.action = INVAL_ACTION_PREFIX,
		.fence = true,
		.key = purge->start,
		.key_length = (uint32) strlen(purge->start),
		.field = purge->glob,
	.field_length = (uint32) strlen(purge->glob)};
	InvalOutboxRow row = {.xid = GetTopFullTransactionId(),
		.first = purge->number,
		.target = purge->target->number,
		.lane = INVAL_LANE_WORKER,
		.entries = 1,
	.queued_at = purge->record.started_at};
	char	   *pack = palloc(inval_entry_size(&entry));

	row.pack = pack;
	row.pack_length = (Size) (inval_entry_write(pack, &entry) - pack);
	inval_origin_of_transaction(&row.origin);
	inval_outbox_write_row(&row, false);
	inval_commit_wrote();
	ereport(NOTICE,
			(errmsg("target \"%s\" %s, so the purge goes on in the background",
					purge->target->name, purge->obstacle),
			 errdetail("It has removed " UINT64_FORMAT " keys so far.", purge->wipe.removed),
			 errhint("It begins again when this transaction is committed and the target answers; inval_purge_log tells when it is finished.")));
}
