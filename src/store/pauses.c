/*
 * pauses.c
 *		Rules that are paused: what they owe is held back.
 *
 * A pause of a rule is an item of the store (store.c): transactional, in every dump,
 * known to a session as soon as it hears of the commit.  Nothing else is stored of
 * it.  What a paused rule owes lies in the outbox as what others owe does, and
 * whoever sends asks here, entry by entry, whether it may go.  So a pause holds for
 * what was queued before it, too, and its end needs no more than another look.
 *
 * What is not held back: what other rules owe as well (base/entry.c: "shared"); what
 * ends a fence, since readers are not served while it stands; look-ups, which owe
 * nothing yet.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "store/pauses.h"
#include "store/store.h"

static uint64 known = 0;		/* generation of the store; 0: nothing is known */
static uint64 version = 1;		/* grows with every change of what follows */
static uint32 *rules = NULL;	/* that are paused, in order */
static int	nrules = 0;

static int	pauses_compare(const void *a, const void *b);
static void pauses_log(uint32 rule, const char *what);

/*
 * Takes notice of what has changed in the store.  Reads system catalogs, so not after
 * the commit record.
 */
void
inval_pauses_refresh(void)
{
	uint64		generation = inval_store_generation();
	List	   *items;
	ListCell   *lc;
	uint32	   *found = NULL;
	int			nfound = 0;

	if (likely(known == generation))
		return;
	items = inval_store_list(INVAL_STORE_RULE_PAUSE, CurrentMemoryContext);
	if (items != NIL)
		found = MemoryContextAlloc(TopMemoryContext, list_length(items) * sizeof(uint32));
	foreach(lc, items)
		found[nfound++] = (uint32) strtoul(((InvalStored *) lfirst(lc))->name, NULL, 10);
	if (nfound > 0)
		qsort(found, nfound, sizeof(uint32), pauses_compare);
	if (nfound != nrules ||
		(nfound > 0 && memcmp(found, rules, nfound * sizeof(uint32)) != 0))
		version++;
	if (rules != NULL)
		pfree(rules);
	rules = found;
	nrules = nfound;
	known = generation;
}

static int
pauses_compare(const void *a, const void *b)
{
	uint32		first = *(const uint32 *) a;
	uint32		second = *(const uint32 *) b;

	return first < second ? -1 : first > second;
}

/*
 * Whether any rule is paused, as of the last inval_pauses_refresh; and so for those
 * below.  Cannot fail.
 */
bool
inval_pauses_any(void)
{
	return nrules > 0;
}

/*
 * A number that grows when another rule is paused, or one no longer.
 */
uint64
inval_pauses_version(void)
{
	return version;
}

bool
inval_pauses_have(uint32 rule)
{
	return nrules > 0 &&
		bsearch(&rule, rules, nrules, sizeof(uint32), pauses_compare) != NULL;
}

/*
 * Whether an entry is held back.
 */
bool
inval_pauses_hold(const InvalEntry *entry)
{
	return nrules > 0 && !entry->strict && !entry->shared &&
		entry->action != INVAL_ACTION_LOOK && inval_pauses_have(entry->rule);
}

/*
 * Pauses a rule, when this transaction commits.  Returns whether it was not before.
 */
bool
inval_pauses_put(uint32 rule)
{
	char	   *name = psprintf("%u", rule);

	(void) inval_store_lock();
	if (inval_store_get(INVAL_STORE_RULE_PAUSE, name, true) != NULL)
		return false;
	(void) inval_store_put(INVAL_STORE_RULE_PAUSE, name, NIL);
	pauses_log(rule, "paused");
	return true;
}

/*
 * Ends the pause of a rule.  Returns whether there was one.
 */
bool
inval_pauses_remove(uint32 rule)
{
	bool		was_paused = inval_store_remove(INVAL_STORE_RULE_PAUSE, psprintf("%u", rule));

	if (was_paused)
		pauses_log(rule, "resumed");
	return was_paused;
}

static void
pauses_log(uint32 rule, const char *what)
{
	ereport(LOG,
			(errmsg("inval rule %u is %s", rule, what),
			 errdetail("By \"%s\", when transaction %llu commits.",
					   GetUserNameFromId(GetUserId(), false),
					   (unsigned long long) U64FromFullTransactionId(GetTopFullTransactionId())),
			 errhidestmt(true)));
}

/*
 * A rule is dropped, and with it its pause: what it has left in the queue goes out.
 * Where it was not paused, nothing is locked.
 */
void
inval_pauses_rule_gone(uint32 rule)
{
	inval_pauses_refresh();
	if (inval_pauses_have(rule))
		(void) inval_pauses_remove(rule);
}
