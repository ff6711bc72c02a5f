/*
 * origin.h
 *		Who has queued an invalidation, and by what.
 */
#ifndef INVAL_ORIGIN_H
#define INVAL_ORIGIN_H

#include "base/settings.h"

/* Kinds of commands, as bits; stored in the outbox: never renumber */
#define INVAL_BY_INSERT		0x01
#define INVAL_BY_UPDATE		0x02
#define INVAL_BY_DELETE		0x04
#define INVAL_BY_TRUNCATE	0x08
#define INVAL_BY_DDL		0x10
#define INVAL_BY_TOUCH		0x20
#define INVAL_BY_KNOWN		0x80	/* of any origin that is known at all */

/* Of a transaction */
typedef struct InvalOrigin
{
	uint8		commands;		/* 0: nothing is known */
	char		user[NAMEDATALEN];	/* of the session */
	char		application[NAMEDATALEN];
} InvalOrigin;

/* Most bytes of one in the outbox */
#define INVAL_ORIGIN_SIZE	(1 + 2 * NAMEDATALEN)

extern uint8 inval_origin_commands;

/*
 * Notes that the current transaction has run such a command.  What was rolled back to
 * a savepoint stays noted.
 */
static inline void
inval_origin_saw(uint8 command)
{
	inval_origin_commands |= command;
}

static inline bool
inval_origin_is_wanted(void)
{
	return inval_history_keys > 0;
}

extern void inval_origin_of_transaction(InvalOrigin *origin);
extern void inval_origin_adopt(const InvalOrigin *origin);
extern void inval_origin_end(void);
extern Size inval_origin_write(const InvalOrigin *origin, char *place);
extern void inval_origin_read(const char *place, Size length, InvalOrigin *origin);
extern char *inval_origin_names(uint8 commands);

#endif							/* INVAL_ORIGIN_H */
