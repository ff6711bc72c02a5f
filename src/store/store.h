/*
 * store.h
 *		Settings that live in the database, as foreign servers of inval.
 */
#ifndef INVAL_STORE_H
#define INVAL_STORE_H

#include "nodes/pg_list.h"
#include "utils/array.h"

/* The foreign data wrapper */
#define INVAL_STORE_WRAPPER		"inval"

/* The option of the user mapping of a target */
#define INVAL_STORE_SECRET		"url"

/* Kinds of items, which are the TYPE of their servers */
#define INVAL_STORE_RULE		"rule"
#define INVAL_STORE_VARIABLE	"variable"
#define INVAL_STORE_GUARD		"guard"
#define INVAL_STORE_TARGET		"target"

typedef struct InvalStored
{
	Oid			oid;			/* of the foreign server */
	const char *kind;
	char	   *name;			/* without the prefix of its kind */
	List	   *options;		/* DefElem with a String each */
} InvalStored;

/* store.c */
extern Oid	inval_store_lock(void);
extern Oid	inval_store_put(const char *kind, const char *name, List *options);
extern bool inval_store_remove(const char *kind, const char *name);
extern List *inval_store_list(const char *kind, MemoryContext context);
extern InvalStored *inval_store_get(const char *kind, const char *name,
									bool missing_ok);
extern void inval_store_put_secret(Oid server, const char *secret);
extern const char *inval_store_secret(Oid server);
extern void inval_store_adopt_secret(Oid server);
extern const char *inval_store_option(const InvalStored *stored, const char *name);
extern List *inval_store_add_option(List *options, const char *name,
									const char *value);
extern const char *inval_store_prefix(const char *kind);
extern uint64 inval_store_generation(void);

/* wrapper.c */
extern ArrayType *inval_store_array(const char *literal);
extern void inval_store_created(Oid server);
extern void inval_store_adopt(void);

#endif							/* INVAL_STORE_H */
