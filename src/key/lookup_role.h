/*
 * lookup_role.h
 *		As whom, and under which settings, a look-up runs.
 */
#ifndef INVAL_LOOKUP_ROLE_H
#define INVAL_LOOKUP_ROLE_H

/* Whose rights, and which settings */
typedef enum InvalLookupMode
{
	/*
	 * As the owner of a table whose rows are looked up, row security of that
	 * table notwithstanding, as the server's own foreign keys do it.  The
	 * query must be qualified throughout.
	 */
	INVAL_LOOKUP_KEY,

	/*
	 * As the owner of the tracked table, in a security-restricted context,
	 * with the settings pinned of which the meaning of a query or the text of
	 * a value depends.  The query must be qualified throughout.
	 */
	INVAL_LOOKUP_VIA,

	/*
	 * The same for a query as its author has written it, which is only to be
	 * understood and never run: search_path is the tracked table's schema.
	 */
	INVAL_LOOKUP_WRITTEN
} InvalLookupMode;

/* Who and what we were before inval_role_enter */
typedef struct InvalRole
{
	Oid			user;
	int			security;
	int			nest_level;		/* of settings */
	bool		read_only;		/* the transaction was */
	bool		pushed;			/* a snapshot was */
} InvalRole;

extern void inval_role_take_sessions(void);
extern void inval_role_enter(InvalRole *role, InvalLookupMode mode, Oid relid);
extern void inval_role_leave(const InvalRole *role);

#endif							/* INVAL_LOOKUP_ROLE_H */
