/*
 * activity.c
 *		What a worker does now, in pg_stat_activity.
 *
 * Its columns state and query, which a background worker has no other use for, say so;
 * without keys, since others than those who may see keys read it.
 */
#include "postgres.h"

#include "utils/backend_status.h"
#include "utils/guc.h"

#include "base/activity.h"

/* The most bytes of what is said */
#define ACTIVITY_LEN	160

static void activity_report(BackendState state, const char *format, va_list arguments)
			__attribute__((format(printf, 2, 0)));

/*
 * Sets what application_name says of this process.
 */
void
inval_activity_name(const char *name)
{
	SetConfigOption("application_name", name, PGC_USERSET, PGC_S_OVERRIDE);
}

void
inval_activity_busy(const char *format,...)
{
	va_list		arguments;

	va_start(arguments, format);
	activity_report(STATE_RUNNING, format, arguments);
	va_end(arguments);
}

void
inval_activity_idle(const char *format,...)
{
	va_list		arguments;

	va_start(arguments, format);
	activity_report(STATE_IDLE, format, arguments);
	va_end(arguments);
}

/*
 * What is said already is not said again: state_change is when it began.
 */
static void
activity_report(BackendState state, const char *format, va_list arguments)
{
	static char said[ACTIVITY_LEN] = "";
	static BackendState before = STATE_UNDEFINED;
	char		text[ACTIVITY_LEN];

	(void) vsnprintf(text, sizeof(text), format, arguments);
	if (state == before && strcmp(text, said) == 0)
		return;
	before = state;
	strlcpy(said, text, sizeof(said));
	/* Of what is idle the server keeps the text of before. */
	if (state == STATE_IDLE)
		pgstat_report_activity(STATE_RUNNING, text);
	pgstat_report_activity(state, text);
}
