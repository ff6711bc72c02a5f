/*
 * settings.c
 *		The settings, as inval.* in postgresql.conf.
 */
#include "postgres.h"

#include <limits.h>

#include "access/parallel.h"
#include "access/xact.h"
#include "datatype/timestamp.h"
#include "tcop/tcopprot.h"
#include "miscadmin.h"
#include "utils/guc.h"

#include "base/settings.h"
#include "redis/url.h"
#include "version/server.h"

/*
 * Where the target "default" is.  A superuser may set it for a database (ALTER
 * DATABASE), so that databases of one cluster use different Redis databases.
 *
 * It may hold a password, which the server would write to its log when the
 * setting changes or is malformed.  So the server gets to keep REDIS_URL_KEPT
 * whatever is set, and never sees a change worth logging; the URL itself is
 * what the check hook hands to the assign hook, and what is shown is made
 * without the password.
 */
const char *inval_redis_url = NULL;
static char *redis_url_kept = NULL;

#define REDIS_URL_KEPT		"(not shown)"

/*
 * The longest that a COMMIT may wait for its keys to be confirmed.
 */
int			inval_commit_timeout = 100;

/*
 * More keys than this in one transaction: the rest is left to the worker, so
 * that a bulk change does not turn COMMIT into a bulk load of Redis.
 */
int			inval_commit_max_keys = 100000;

/* How long connecting may take, before the commit record and in the worker. */
int			inval_connect_timeout = 500;

/* How long the worker waits for a batch of replies before it gives up. */
int			inval_reply_timeout = 5000;

/*
 * Memory of the set of keys that a transaction has touched.  Beyond it the
 * keys go to the outbox early and are delivered by the worker.
 */
int			inval_pending_memory = 16 * 1024;

/*
 * The longest pause between two tries to reach a target that is down.  A try
 * is one connection and one PING.  A single entry that its target refuses is
 * retried at most 60 times as rarely.
 */
int			inval_retry_max = 1000;

/*
 * How often the worker looks at the outbox without being woken: how soon a
 * COMMIT PREPARED is noticed and how soon an idle outbox is emptied.
 */
int			inval_sweep_interval = 1000;

/* How many keys of rules in state "shadow" are kept to be looked at. */
int			inval_shadow_keys = 100;

/* How many invalidations are kept to be looked at, once it is known what became of them. */
int			inval_history_keys = 0;

/* How long the query of a rule for a value to be put back may take. */
int			inval_refill_timeout = 1000;

/*
 * How often a worker audits the next of its target's rules; 0: never.  Audits are
 * reads of the database and of the target, so it is for those who want them.
 */
int			inval_audit_interval = 0;

/* The rows of which such an audit looks at the keys. */
int			inval_audit_sample = 100;

/* How many keys the worker reads, sends and marks done at a time. */
int			inval_batch_keys = 10000;

/*
 * How many workers there are at a time.  Where there are more databases and targets
 * they take turns: one that has nothing to do gives its place to whoever waits.
 */
int			inval_workers = 8;

/*
 * How many targets all databases have together, "default" in each of them
 * included: each has a place of a few kB in shared memory.
 */
int			inval_max_targets = 256;

/*
 * How many sessions of a database may be connected to a target at the same time, where
 * it has less room than the server has sessions: hosted ones often do.
 */
int			inval_max_connections = 0;

/*
 * How much may be queued for a target that is down before its backlog collapses
 * into the removal of its namespace (worker/backlog.c).  The default keeps a long
 * outage from filling the disk, at about a gigabyte; by then there are more
 * keys to remove than most caches hold.  There is no limit of age by default,
 * since a short list of old entries costs nothing, and the removal of a whole
 * namespace does.
 */
int			inval_backlog_max_keys = 10000000;
int			inval_backlog_max_age = 0;

/*
 * Whether the worker makes each look-up once more after its transaction has
 * committed.  That closes the moment between the look-up before the commit and
 * the commit itself, in which somebody else can commit a change of what was
 * read; and it costs a row in the outbox for each transaction that looks
 * something up.  Who knows that nobody writes to what is read can do without.
 */
bool		inval_look_again = true;

/*
 * Whether what was delivered is delivered once more when all standbys show the
 * change: for readers that fill the cache from standbys.
 */
bool		inval_repeat_after_replay = false;

/*
 * How long a standby is waited for, so that one that is stuck or will not come
 * back does not make the outbox grow.
 */
int			inval_replay_timeout = 60 * 1000;

/*
 * Whether the worker loads the functions that readers call into Redis: somebody
 * else may be who does that, or may not want it.
 */
bool		inval_load_library = true;

/*
 * How long a transaction with strict rules may wait for its fences, before it fails.
 */
int			inval_strict_timeout = 1000;

/*
 * How long a fence stands if nobody is heard of who has it: its transaction has
 * died, or cannot reach Redis any more.  Readers bypass the cache so long.
 */
int			inval_fence_life = 30 * 1000;

/* How many entries, or a few more, a stream has before the oldest go. */
int			inval_stream_max_entries = 100000;

/*
 * How often work that takes long tells the client how far it is, which inval_progress
 * shows to others.
 */
int			inval_progress_interval = 5000;

/*
 * Whether lines of the server's log may have keys and fields in them, which can hold
 * personal data.  Logs are kept for longer than caches, and read by others.
 */
bool		inval_log_keys = false;

/* What is shown as inval.version */
static char *library_version = NULL;

/*
 * The library is being loaded, perhaps by somebody's statement: what is wrong
 * with a value is none of that one's business, and must not end the loading.
 */
static bool defining = false;

static bool redis_url_check(char **newval, void **extra, GucSource source);
static bool redis_url_refuse(const char *problem, const char *detail, const char *hint);
static void redis_url_assign(const char *newval, void *extra);
static const char *redis_url_show(void);

void
inval_settings_init(void)
{
	defining = true;
	DefineCustomStringVariable("inval.redis_url",
							   "Sets the Redis server of the target \"default\".",
							   INVAL_URL_FORMS ".",
							   &redis_url_kept,
							   "redis://127.0.0.1:6379/0",
							   PGC_SUSET, GUC_SUPERUSER_ONLY,
							   redis_url_check, redis_url_assign, redis_url_show);
	defining = false;
	DefineCustomIntVariable("inval.commit_timeout",
							"Sets how long COMMIT may wait for keys to be confirmed.",
							"What is not confirmed by then is delivered by the worker.  "
							"0 leaves all delivery to the worker.",
							&inval_commit_timeout, 100, 0, 60000,
							PGC_SUSET, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("inval.commit_max_keys",
							"Sets how many keys of one transaction are delivered at commit.",
							"The rest is delivered by the worker.",
							&inval_commit_max_keys, 100000, 0, 10000000,
							PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("inval.connect_timeout",
							"Sets how long connecting to a target may take.",
							NULL,
							&inval_connect_timeout, 500, 1, 60000,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("inval.reply_timeout",
							"Sets how long the worker waits for the replies to a batch.",
							NULL,
							&inval_reply_timeout, 5000, 10, 600000,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("inval.pending_memory",
							"Sets the memory for the keys that a transaction has touched.",
							"Beyond it keys are written to the outbox before commit "
							"and delivered by the worker.",
							&inval_pending_memory, 16 * 1024, 64, 1024 * 1024,
							PGC_USERSET, GUC_UNIT_KB, NULL, NULL, NULL);
	DefineCustomIntVariable("inval.retry_max",
							"Sets the longest pause between two tries to deliver.",
							NULL,
							&inval_retry_max, 1000, 100, 3600 * 1000,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("inval.sweep_interval",
							"Sets how often the worker looks at the outbox without being woken.",
							NULL,
							&inval_sweep_interval, 1000, 10, 60000,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("inval.refill_timeout",
							"Sets how long the query of a rule for a value to be put back may take.",
							"The worker does nothing else meanwhile.",
							&inval_refill_timeout, 1000, 1, 60000,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("inval.audit_interval",
							"Sets how often a worker audits the next of its target's rules.",
							"Rules with a query of audit or refill have their turns.  0 means never.",
							&inval_audit_interval, 0, 0, 7 * 24 * 3600 * 1000,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("inval.audit_sample",
							"Sets of how many rows an audit by a worker looks at the keys.",
							NULL,
							&inval_audit_sample, 100, 1, 10000,
							PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("inval.batch_keys",
							"Sets how many keys the worker delivers at a time.",
							NULL,
							&inval_batch_keys, 10000, 1, 1000000,
							PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("inval.workers",
							"Sets how many workers can run at the same time.",
							"There is one for each target of each database, or they take turns.  "
							"Each takes one of max_worker_processes.",
							&inval_workers, 8, 0, 256,
							PGC_SIGHUP, 0, NULL, NULL, NULL);
	/* Shared memory is made at the start only. */
	if (process_shared_preload_libraries_in_progress)
		DefineCustomIntVariable("inval.shadow_keys",
								"Sets how many keys of rules in state \"shadow\" are listed in inval_shadow.",
								"All databases share them; 0 lists none.",
								&inval_shadow_keys, 100, 0, 100000,
								PGC_POSTMASTER, 0, NULL, NULL, NULL);
	if (process_shared_preload_libraries_in_progress)
		DefineCustomIntVariable("inval.history_keys",
								"Sets how many invalidations are listed in inval_history.",
								"All databases share them; each takes 1.3 kB of shared memory; 0 lists none.",
								&inval_history_keys, 0, 0, 1000000,
								PGC_POSTMASTER, 0, NULL, NULL, NULL);
	if (process_shared_preload_libraries_in_progress)
		DefineCustomIntVariable("inval.max_targets",
								"Sets how many targets all databases can have together.",
								"The target \"default\" of each database counts.",
								&inval_max_targets, 256, 8, 65536,
								PGC_POSTMASTER, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("inval.max_connections",
							"Sets how many sessions of a database may be connected to a target to deliver at commit.",
							"The keys of others are delivered by the worker.  0 sets no limit.",
							&inval_max_connections, 0, 0, 262143,
							PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("inval.backlog_max_keys",
							"Sets how many invalidations may be queued for a target that is down.",
							"Beyond it they are replaced by the removal of the target's namespace; "
							"without a namespace there is a warning.  0 sets no limit.",
							&inval_backlog_max_keys, 10000000, 0, INT_MAX,
							PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("inval.backlog_max_age",
							"Sets how long invalidations may be queued for a target that is down.",
							"Beyond it they are replaced by the removal of the target's namespace; "
							"without a namespace there is a warning.  0 sets no limit.",
							&inval_backlog_max_age, 0, 0, 366 * SECS_PER_DAY,
							PGC_SIGHUP, GUC_UNIT_S, NULL, NULL, NULL);
	DefineCustomIntVariable("inval.progress_interval",
							"Sets how often long work tells the client how far it is.",
							"-1 keeps it quiet; inval_progress shows it all the same.",
							&inval_progress_interval, 5000, -1, 3600 * 1000,
							PGC_USERSET, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomBoolVariable("inval.log_keys",
							 "Sets whether keys and fields may appear in the server's log.",
							 "They can hold personal data.  Else their length and a hash is shown.",
							 &inval_log_keys, false,
							 PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("inval.look_again",
							 "Sets whether keys are looked up once more after the commit.",
							 "For what others commit between the look-up before the commit and the commit.",
							 &inval_look_again, true,
							 PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("inval.repeat_after_replay",
							 "Sets whether keys are removed once more when all standbys have replayed the commit.",
							 "For readers that fill the cache from a standby, which may still show the old row.",
							 &inval_repeat_after_replay, false,
							 PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("inval.replay_timeout",
							"Sets how long inval.repeat_after_replay waits for a standby.",
							"After that time keys are removed once more without waiting for it.  "
							"0 waits without a limit.",
							&inval_replay_timeout, 60 * 1000, 0, 24 * 3600 * 1000,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);

	DefineCustomBoolVariable("inval.load_library",
							 "Sets whether the worker loads the functions for readers into Redis.",
							 "A library \"inval\" that is as new, or newer, is left as it is.",
							 &inval_load_library, true,
							 PGC_SIGHUP, 0, NULL, NULL, NULL);

	DefineCustomIntVariable("inval.strict_timeout",
							"Sets how long a transaction with strict rules may wait for its fences.",
							"A transaction whose keys cannot be fenced by then fails.",
							&inval_strict_timeout, 1000, 1, 60000,
							PGC_SUSET, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("inval.fence_life",
							"Sets how long a fence stands if its transaction is not heard of.",
							"Readers bypass the cache until then; after it the key is removed.",
							&inval_fence_life, 30 * 1000, 1000, 3600 * 1000,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("inval.stream_max_entries",
							"Sets how many entries a stream keeps.",
							"Older ones go, some later than they could.  0 keeps all.",
							&inval_stream_max_entries, 100000, 0, INT_MAX,
							PGC_SIGHUP, 0, NULL, NULL, NULL);

	/* What scripts that update the objects in SQL ask for. */
	DefineCustomStringVariable("inval.version",
							   "Shows the version of the library that this session uses.",
							   "An open session keeps its library when a newer one is installed.",
							   &library_version, INVAL_VERSION,
							   PGC_INTERNAL, GUC_NOT_IN_SAMPLE | GUC_DISALLOW_IN_FILE,
							   NULL, NULL, NULL);

	MarkGUCPrefixReserved("inval");
}

/*
 * Refuses a URL that cannot be understood, without repeating it; else puts it
 * aside for redis_url_assign.
 */
static bool
redis_url_check(char **newval, void **extra, GucSource source)
{
	InvalUrl	url;
	char		problem[INVAL_URL_PROBLEM_LEN];
	const char *url_text = *newval;
	char	   *kept;

	/*
	 * A parallel worker is told what its leader's server keeps, and goes on
	 * with the URL it has; it delivers nothing.
	 */
	if (InitializingParallelWorker && strcmp(*newval, REDIS_URL_KEPT) == 0)
		url_text = inval_redis_url;

	if (!inval_url_parse(url_text, &url, problem))
		return redis_url_refuse("invalid value for parameter \"inval.redis_url\"",
								problem, "Use " INVAL_URL_FORMS ".");

	/* ALTER DATABASE, ALTER ROLE and functions keep it where all can read it. */
	if (source == PGC_S_TEST && url.password[0] != '\0')
		return redis_url_refuse("parameter \"inval.redis_url\" cannot be set here to a URL with a password",
								"Everybody can read the settings of databases, roles and functions.",
								"Set it in postgresql.conf or by ALTER SYSTEM, or use the option passfile of the URL.");

	*extra = inval_server_setting_allocate(strlen(url_text) + 1);
	kept = inval_server_setting_allocate(sizeof(REDIS_URL_KEPT));
	if (*extra == NULL || kept == NULL)
	{
		inval_server_setting_free(*extra);
		inval_server_setting_free(kept);
		*extra = NULL;
		return false;
	}
	memcpy(*extra, url_text, strlen(url_text) + 1);
	memcpy(kept, REDIS_URL_KEPT, sizeof(REDIS_URL_KEPT));
	inval_server_setting_free(*newval);
	*newval = kept;
	return true;
}

/*
 * Says why a value is refused.  The server logs the statement that has failed,
 * and with it the password.  So where one is being executed, the error that our
 * caller is about to raise is raised here, and hides it.
 */
static bool
redis_url_refuse(const char *problem, const char *detail, const char *hint)
{
	if (!defining && debug_query_string != NULL && IsTransactionState())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s", problem),
				 errdetail("%s", detail),
				 errhint("%s", hint),
				 errhidestmt(true),
				 errhidecontext(true)));
	GUC_check_errmsg("%s", problem);
	GUC_check_errdetail("%s", detail);
	GUC_check_errhint("%s", hint);
	return false;
}

static void
redis_url_assign(const char *newval, void *extra)
{
	(void) newval;
	inval_redis_url = extra;
}

/*
 * What SHOW and pg_settings say: the URL without its password.
 */
static const char *
redis_url_show(void)
{
	static char shown[INVAL_URL_SHOWN_LEN];
	InvalUrl	url;
	char		problem[INVAL_URL_PROBLEM_LEN];

	if (!inval_url_parse(inval_redis_url, &url, problem))
		return "";
	inval_url_show(&url, shown, sizeof(shown));
	return shown;
}
