/*
 * inval.c
 *		PostgreSQL invalidates the cache.
 *
 * The entry point of the library.  docs/architecture.md shows how the files
 * belong together.
 */
#include "postgres.h"

#include "fmgr.h"

#include "base/settings.h"
#include "base/shared.h"
#include "capture/deferred.h"
#include "commit/commit.h"
#include "ddl/command_guard.h"
#include "ddl/drop.h"
#include "ddl/frame.h"
#include "ddl/swap.h"
#include "worker/launcher.h"

PG_MODULE_MAGIC;

void		_PG_init(void);

void
_PG_init(void)
{
	inval_settings_init();
	inval_shared_init();
	inval_commit_init();
	inval_deferred_init();
	inval_launcher_init();
	inval_command_guard_init();
	inval_ddl_frame_init();
	inval_ddl_drop_init();
	inval_ddl_swap_init();
}
