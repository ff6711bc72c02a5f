/*
 * origin.c
 *		Who has queued an invalidation, and by what.
 *
 * Only where inval_history wants to know.  The outbox has it beside the entries, so
 * that it is known, too, of what is delivered later, by another process, after a crash,
 * or by the standby that was promoted.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "utils/guc.h"

#include "base/origin.h"

uint8		inval_origin_commands = 0;

static const InvalOrigin *adopted = NULL;

static const char *origin_application(void);

/*
 * That of the current transaction, or of whom it works for; nothing if nobody wants to
 * know.  Raises errors: before the commit record.
 */
void
inval_origin_of_transaction(InvalOrigin *origin)
{
	char	   *user;

	origin->commands = 0;
	if (!inval_origin_is_wanted())
		return;
	if (adopted != NULL)
	{
		*origin = *adopted;
		return;
	}
	memset(origin, 0, sizeof(*origin));
	origin->commands = inval_origin_commands | INVAL_BY_KNOWN;
	user = GetUserNameFromId(GetSessionUserId(), true);
	strlcpy(origin->user, user != NULL ? user : "", sizeof(origin->user));
	strlcpy(origin->application, origin_application(), sizeof(origin->application));
}

/*
 * What replicates has no name but that of its process.
 */
static const char *
origin_application(void)
{
	if (application_name != NULL && application_name[0] != '\0')
		return application_name;
	return MyBgworkerEntry != NULL ? MyBgworkerEntry->bgw_name : "";
}

/*
 * What this process queues from now on is of that origin, which must stay where it is;
 * NULL: of its own.
 */
void
inval_origin_adopt(const InvalOrigin *origin)
{
	adopted = origin;
}

/*
 * The transaction has ended.  Cannot fail.
 */
void
inval_origin_end(void)
{
	inval_origin_commands = 0;
	adopted = NULL;
}

/*
 * Writes it as the outbox has it, of at most INVAL_ORIGIN_SIZE bytes: the commands, the
 * user, a zero, the application.  Returns how many there are.
 */
Size
inval_origin_write(const InvalOrigin *origin, char *place)
{
	Size		user = strlen(origin->user) + 1;
	Size		application = strlen(origin->application);

	place[0] = (char) origin->commands;
	memcpy(place + 1, origin->user, user);
	memcpy(place + 1 + user, origin->application, application);
	return 1 + user + application;
}

/*
 * The reverse.  Whatever the bytes are, the result is one.
 */
void
inval_origin_read(const char *place, Size length, InvalOrigin *origin)
{
	const char *end = place + length;
	const char *zero;

	memset(origin, 0, sizeof(*origin));
	if (length < 2 || (zero = memchr(place + 1, '\0', length - 1)) == NULL)
		return;
	origin->commands = (uint8) place[0] | INVAL_BY_KNOWN;
	strlcpy(origin->user, place + 1, sizeof(origin->user));
	memcpy(origin->application, zero + 1,
		   Min((Size) (end - zero - 1), sizeof(origin->application) - 1));
}

/*
 * Their names, separated by commas, in the current memory context; NULL if there are
 * none.
 */
char *
inval_origin_names(uint8 commands)
{
	static const char *names[] = {"INSERT", "UPDATE", "DELETE", "TRUNCATE", "DDL", "inval_touch"};
	StringInfoData text;
	int			i;

	initStringInfo(&text);
	for (i = 0; i < (int) lengthof(names); i++)
		if (commands & (1 << i))
			appendStringInfo(&text, "%s%s", text.len > 0 ? ", " : "", names[i]);
	return text.len > 0 ? text.data : NULL;
}
