/*
 * wipe.c
 *		Removing keys of a target by how they look.
 *
 * It takes as long as the target is large, so it goes on in steps, each a bounded
 * question for keys (search.c) or a bounded batch of UNLINK.  What was found is
 * removed before more is looked for.  How far it is, is known to this process only:
 * whatever is interrupted starts anew.
 *
 * Keys that an ACL forbids to remove are counted and left: to try for ever would
 * remove the others for ever.  Whatever else is said instead of removing one keeps
 * none of the others, but the end: it is owed, and the search is to begin again.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "redis/marker.h"
#include "target/delivery.h"
#include "target/pace.h"
#include "target/wipe.h"

static void wipe_take(InvalWipe *wipe, const InvalReply *keys);
static bool wipe_unlink(InvalWipe *wipe);
static void wipe_settle(InvalWipe *wipe, const InvalShipment *shipment);
static void wipe_refused(InvalWipe *wipe, const char *error);

/*
 * Makes one that does not run yet, with memory below the current memory context.
 */
void
inval_wipe_init(InvalWipe *wipe, InvalTarget *target)
{
	memset(wipe, 0, sizeof(*wipe));
	wipe->target = target;
	wipe->context = AllocSetContextCreate(CurrentMemoryContext, "inval wipe",
										  ALLOCSET_DEFAULT_SIZES);
	wipe->found_context = AllocSetContextCreate(wipe->context, "inval found keys",
												ALLOCSET_DEFAULT_SIZES);
}

/*
 * Begins to remove what wipe->pattern is of, which lies in wipe->context.
 */
void
inval_wipe_begin(InvalWipe *wipe, bool leases_first)
{
	MemoryContext old = MemoryContextSwitchTo(wipe->context);

	inval_search_begin(&wipe->search, wipe->target, &wipe->pattern, leases_first);
	MemoryContextSwitchTo(old);
	wipe->found_count = wipe->next = 0;
	wipe->removed = wipe->refused = 0;
	wipe->error[0] = wipe->doubt[0] = '\0';
}

/*
 * Gives back what it has in memory.
 */
void
inval_wipe_end(InvalWipe *wipe)
{
	MemoryContextReset(wipe->found_context);
	MemoryContextResetOnly(wipe->context);
	wipe->found_count = wipe->next = 0;
}

/*
 * When the next step may be taken, in ms.
 */
long
inval_wipe_wait_ms(const InvalWipe *wipe)
{
	uint64		now = inval_clock_us();
	long		wait = inval_pace_wait_ms(wipe->target);

	if (wipe->search.not_before > now)
		wait = Max(wait, (long) ((wipe->search.not_before - now + 999) / 1000));
	return wait;
}

/*
 * Whether it waits for a node that does not answer.
 */
bool
inval_wipe_is_stuck(const InvalWipe *wipe)
{
	return wipe->search.not_before > inval_clock_us();
}

/*
 * Goes a step on, over the target's connection, which must be there; for a cluster,
 * its nodes must be known.  Interruptible.
 */
InvalWipeResult
inval_wipe_step(InvalWipe *wipe)
{
	InvalSearchResult result;
	const InvalReply *keys;
	MemoryContext old;

	if (inval_wipe_wait_ms(wipe) > 0)
		return INVAL_WIPE_LATER;
	if (wipe->next < wipe->found_count)
		return wipe_unlink(wipe) ? INVAL_WIPE_MORE : INVAL_WIPE_FAILED;

	MemoryContextReset(wipe->found_context);
	wipe->found_count = wipe->next = 0;
	old = MemoryContextSwitchTo(wipe->found_context);
	result = inval_search_step(&wipe->search, &keys);
	if (keys != NULL)
		wipe_take(wipe, keys);
	MemoryContextSwitchTo(old);
	switch (result)
	{
		case INVAL_SEARCH_LATER:
			return INVAL_WIPE_LATER;
		case INVAL_SEARCH_THROUGH:
			return wipe->doubt[0] == '\0' ? INVAL_WIPE_DONE : INVAL_WIPE_OWED;
		case INVAL_SEARCH_REFUSED:
			return INVAL_WIPE_REFUSED;
		case INVAL_SEARCH_FAILED:
			return INVAL_WIPE_FAILED;
		case INVAL_SEARCH_MORE:
			break;
	}
	if (wipe->found_count > 0)
		return wipe_unlink(wipe) ? INVAL_WIPE_MORE : INVAL_WIPE_FAILED;
	/* A look that finds nothing is work for the server too. */
	inval_pace_sent(wipe->target, 1);
	return INVAL_WIPE_MORE;
}

/*
 * Makes deletes of the keys that were found.
 */
static void
wipe_take(InvalWipe *wipe, const InvalReply *keys)
{
	int			i;

	wipe->found = palloc0(Max(keys->count, 1) * sizeof(InvalEntry));
	for (i = 0; i < keys->count; i++)
	{
		const InvalReply *key = &keys->items[i];
		InvalEntry *entry = &wipe->found[wipe->found_count];

		if (!inval_pattern_has(&wipe->pattern, key->text, key->length))
			continue;
		entry->action = INVAL_ACTION_DELETE;
		entry->key = key->text;
		entry->key_length = (uint32) key->length;
		wipe->found_count++;
	}
}

/*
 * Removes the next of the keys that were found.  Returns false if the target
 * failed.
 */
static bool
wipe_unlink(InvalWipe *wipe)
{
	InvalTarget *target = wipe->target;
	int			count = Min(wipe->found_count - wipe->next, inval_pace_batch(target));
	MemoryContext old = MemoryContextSwitchTo(wipe->found_context);
	InvalShipment shipment;
	bool		alive;
	int			i;

	inval_shipment_init(&shipment, target, true);
	for (i = 0; i < count; i++)
		inval_shipment_add(&shipment, &wipe->found[wipe->next + i]);
	inval_shipment_seal(&shipment);
	inval_pace_sent(target, count);
	alive = inval_shipment_send_singly(&shipment, wipe->found + wipe->next, target);
	wipe_settle(wipe, &shipment);
	MemoryContextSwitchTo(old);
	return alive && (shipment.commands.routed || target->connection != NULL);
}

/*
 * Counts what became of a batch.  What a single server has left open stays to be
 * removed; of a cluster it is found again.
 */
static void
wipe_settle(InvalWipe *wipe, const InvalShipment *shipment)
{
	int			end = wipe->next + shipment->entries;
	int			kept = end;
	int			i;

	for (i = shipment->entries - 1; i >= 0; i--)
	{
		InvalEntry *entry = &wipe->found[wipe->next + i];

		if (shipment->outcomes[i] == INVAL_OUTCOME_CONFIRMED)
			wipe->removed += inval_marker_is(entry->key, entry->key_length) ? 0 : 1;
		else if (shipment->outcomes[i] == INVAL_OUTCOME_OPEN)
			wipe->found[--kept] = *entry;
		else
			wipe_refused(wipe, shipment->errors[i]);
	}
	wipe->next = kept;
	if (kept < end && shipment->commands.routed)
	{
		wipe->next = wipe->found_count;
		inval_search_again(&wipe->search);
	}
}

/*
 * Notes that a key was refused.
 */
static void
wipe_refused(InvalWipe *wipe, const char *error)
{
	bool		forbidden = strncmp(error, "NOPERM ", 7) == 0;
	char	   *first = forbidden ? wipe->error : wipe->doubt;

	wipe->refused += forbidden;
	if (first[0] == '\0')
		strlcpy(first, error, INVAL_ERROR_LEN);
}

/*
 * Writes how far it is, as inval_target_status shows it.
 */
void
inval_wipe_describe(const InvalWipe *wipe, const char *what, char *text, Size size)
{
	snprintf(text, size, "%s: about %d %%, " UINT64_FORMAT " keys removed%s", what,
			 (int) (inval_search_share(&wipe->search) * 100), wipe->removed,
			 inval_wipe_is_stuck(wipe) ? ", waiting for a node" : "");
}

/*
 * The same in inval_progress.
 */
void
inval_wipe_progress(const InvalWipe *wipe, InvalProgress *progress)
{
	char		detail[64];

	snprintf(detail, sizeof(detail), "about %d %% searched%s",
			 (int) (inval_search_share(&wipe->search) * 100),
			 inval_wipe_is_stuck(wipe) ? ", waiting for a node" : "");
	inval_progress_detail(progress, detail);
	inval_progress_update(progress, (int64) wipe->removed);
}
