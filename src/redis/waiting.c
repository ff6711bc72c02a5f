/*
 * waiting.c
 *		What pg_stat_activity says that a process of ours waits for.
 *
 * From version 17 on the server has names for that; before, all of it is "Extension".
 */
#include "postgres.h"

#include "pgstat.h"
#include "utils/wait_event.h"

#include "redis/waiting.h"
#include "version/server.h"

static const char *const names[INVAL_WAITINGS] =
{
	[INVAL_WAITING_CONNECT] = "InvalRedisConnect",
	[INVAL_WAITING_REPLY] = "InvalRedisReply",
	[INVAL_WAITING_HOST] = "InvalHostLookup",
	[INVAL_WAITING_RATE] = "InvalRate",
	[INVAL_WAITING_DRAIN] = "InvalDrain",
	[INVAL_WAITING_WORKER] = "InvalWorkerMain",
	[INVAL_WAITING_LAUNCHER] = "InvalLauncherMain",
};

/*
 * The number of a wait event, for WaitLatch and pgstat_report_wait_start.  The first
 * call in a process asks for all of them, which may raise an error: it is in
 * connecting, so that nothing is asked for after the commit record.
 */
uint32
inval_waiting(InvalWaiting what)
{
	static uint32 events[INVAL_WAITINGS];
	int			i;

	if (events[INVAL_WAITINGS - 1] == 0)
		for (i = 0; i < INVAL_WAITINGS; i++)
			events[i] = inval_server_wait_event(names[i]);
	return events[what];
}
