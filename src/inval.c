/*
 * inval.c
 *		PostgreSQL invalidates the cache.
 *
 * The entry point of the library.  docs/architecture.md shows how the files
 * belong together.
 */
#include "postgres.h"

#include "fmgr.h"

#include "base/database.h"
#include "base/fencers.h"
#include "base/progress.h"
#include "base/settings.h"
#include "base/shared.h"
#include "base/skips.h"
#include "capture/looks.h"
#include "commit/commit.h"
#include "ddl/command_guard.h"
#include "ddl/drop.h"
#include "ddl/frame.h"
#include "ddl/swap.h"
#include "key/lookup.h"
#include "outbox/ledger.h"
#include "outbox/kept.h"
#include "outbox/tables.h"
#include "stats/ring.h"
#include "stats/stats.h"
#include "target/health.h"
#include "target/reach.h"
#include "worker/launcher.h"
#include "worker/refusal.h"

PG_MODULE_MAGIC;

void		_PG_init(void);

void
_PG_init(void)
{
	inval_settings_init();
	inval_database_init();
	inval_target_health_init();
	inval_ledger_init();
	inval_outbox_tables_init();
	inval_kept_init();
	inval_stats_init();
	inval_refusal_init();
	inval_fencers_init();
	inval_rings_init();
	inval_progress_init();
	inval_shared_init();
	inval_stats_file_init();
	inval_skips_init();			/* before what may skip something at commit */
	inval_reach_init();			/* before commit: it is called after it */
	inval_commit_init();
	inval_looks_init();
	inval_lookup_init();
	inval_launcher_init();
	inval_command_guard_init();
	inval_ddl_frame_init();
	inval_ddl_drop_init();
	inval_ddl_swap_init();
}
