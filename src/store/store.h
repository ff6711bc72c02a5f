/*
 * store.h
 *		Settings that live in the database, as foreign servers of inval.
 */
#ifndef INVAL_STORE_H
#define INVAL_STORE_H

#include "nodes/pg_list.h"

#include "store/kind.h"

typedef struct InvalStored
{
	Oid			oid;			/* of the foreign server */
	const char *kind;
	char	   *name;			/* without the prefix of its kind */
	List	   *options;		/* DefElem with a String each */
} InvalStored;

extern Oid	inval_store_lock(void);
extern Oid	inval_store_put(const char *kind, const char *name, List *options);
extern bool inval_store_remove(const char *kind, const char *name);
extern List *inval_store_list(const char *kind, MemoryContext context);
extern InvalStored *inval_store_get(const char *kind, const char *name,
									bool missing_ok);
extern const char *inval_store_option(const InvalStored *stored, const char *name);
extern List *inval_store_add_option(List *options, const char *name,
									const char *value);
extern char *inval_store_server_name(const char *kind, const char *name);
extern uint64 inval_store_generation(void);

#endif							/* INVAL_STORE_H */
