/*
 * database.h
 *		The databases in which inval was used since the server started.
 */
#ifndef INVAL_DATABASE_H
#define INVAL_DATABASE_H

#include "storage/latch.h"
#include "utils/timestamp.h"

/* How many databases there is room for: see InvalSharedArea */
#define INVAL_DATABASES_PRELOADED	256
#define INVAL_DATABASES_RESERVE		8

/*
 * The slot of a database.  It is claimed under the shared mutex and given back by
 * the launcher when the database is gone.  With every change the layout of its
 * area is to be raised (database.c).
 */
typedef struct InvalDatabase
{
	Oid			database;		/* InvalidOid: free; protected by shared mutex */
	TimestampTz hold_until;		/* no worker before this time */
} InvalDatabase;

extern void inval_database_init(void);
extern InvalDatabase *inval_database(void);
extern InvalDatabase *inval_databases(uint32 *count);
extern void inval_database_free(Oid database);
extern const char *inval_database_name(void);
extern void inval_database_learn_name(void);

/* The process that starts workers */
extern void inval_database_set_launcher(Latch *latch);
extern void inval_database_wake_launcher(void);	/* cannot fail */
extern void inval_database_say_waiting(uint32 waiting);
extern bool inval_database_somebody_waits(void);
extern bool inval_database_make_room(void);

#endif							/* INVAL_DATABASE_H */
