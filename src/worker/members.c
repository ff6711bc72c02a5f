/*
 * members.c
 *		The removal of what a set lists, from a cluster.
 *
 * A single server does it by one function, in one step (inval.lua).  The members of
 * a set on a cluster are on all its nodes, so here it takes several:
 *
 *		the set is moved aside, to a name beside it (RENAMENX)
 *		some of what is listed there is asked for,
 *		removed, each lease before its key, and struck off that list;
 *		so again until nothing is left
 *
 * A reader that registers meanwhile does so in a new set at the old place, and is met
 * by the next change.  What was moved aside stays there until it is gone, so whoever
 * dies on the way has forgotten nothing: the next one goes on with the list that is
 * there.  To strike members off the set itself would forget who registers between
 * being listed and being struck off.  For the same reason only one process at a time
 * is at the sets of a target.
 *
 * How far it is lies in the cluster alone, so a large set takes as many batches as it
 * needs, and deletes go on between them.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/memutils.h"

#include "redis/marker.h"
#include "redis/reader.h"
#include "redis/wire.h"
#include "target/pace.h"
#include "worker/members.h"

/* So long the rest of a batch waits for it, in us */
#define MEMBERS_US			100000

/*
 * So many members are asked for at once.  Their names have no bound: if they are too
 * much to be kept, or to come and go in time, fewer are; and one more again after each
 * step.
 */
#define MEMBERS_OF_STEP		256
#define MEMBERS_FEWER		16

static int	members_most = MEMBERS_OF_STEP; /* until a set is gone */

/* What tells our advisory locks from those that SQL can take, which have 1 and 2 */
#define MEMBERS_LOCK		3

/* A set, and where it is moved to */
typedef struct MembersSet
{
	InvalMembers *members;
	const char *key;
	Size		length;
	char	   *taken;
	Size		taken_length;
	MemoryContext context;		/* of the error */
	char	   *error;			/* why it is refused */
} MembersSet;

static void members_tag(const InvalMembers *members, LOCKTAG *tag);
static InvalOutcome members_take(MembersSet *set, bool *in_the_way);
static InvalOutcome members_remove_some(MembersSet *set, bool *left);
static bool members_fewer(void);
static InvalOutcome members_unlink(MembersSet *set, const InvalReply *listed,
								   bool *gone);
static bool members_is_ours(const MembersSet *set, const InvalReply *member);
static InvalOutcome members_strike_off(MembersSet *set, const InvalReply *listed,
									   const bool *gone);
static InvalOutcome members_ask(MembersSet *set, InvalShipment *shipment,
								InvalCommandAnswer answer, int argc,
								const char **words, const size_t *lengths);

/*
 * Begins, in the current memory context, unless somebody else is at it: then nothing
 * is removed.
 */
void
inval_members_begin(InvalMembers *members, InvalTarget *target, bool own_transactions)
{
	LOCKTAG		tag;

	memset(members, 0, sizeof(*members));
	members->target = target;
	members->own_transactions = own_transactions;
	members->until = inval_clock_us() + MEMBERS_US;
	members->context = AllocSetContextCreate(CurrentMemoryContext, "inval members",
											 ALLOCSET_DEFAULT_SIZES);
	members_tag(members, &tag);
	/* Within a transaction it ends with that at the latest, without one with us. */
	members->locked = LockAcquire(&tag, ExclusiveLock, own_transactions, true) !=
		LOCKACQUIRE_NOT_AVAIL;
}

void
inval_members_end(InvalMembers *members)
{
	LOCKTAG		tag;

	members_tag(members, &tag);
	if (members->locked)
		(void) LockRelease(&tag, ExclusiveLock, members->own_transactions);
	MemoryContextDelete(members->context);
}

static void
members_tag(const InvalMembers *members, LOCKTAG *tag)
{
	SET_LOCKTAG_ADVISORY(*tag, MyDatabaseId, 0, (uint32) members->target->number,
						 MEMBERS_LOCK);
}

/*
 * Removes what a set lists, and the set.  Confirmed, refused with an error in the
 * current memory context, or open: then it is to be tried again, and goes on.
 */
InvalOutcome
inval_members_remove(InvalMembers *members, const InvalEntry *entry, char **error)
{
	MembersSet	set = {.members = members,.key = entry->key,.length = entry->key_length};
	InvalOutcome outcome = INVAL_OUTCOME_CONFIRMED;
	bool		in_the_way = true;
	bool		left = true;

	if (!members->locked)
		return INVAL_OUTCOME_OPEN;
	set.context = CurrentMemoryContext;
	set.taken = palloc(INVAL_MARKER_SIZE(set.length));
	set.taken_length = inval_marker_write(INVAL_TAKEN, set.key, set.length, set.taken);
	while (outcome == INVAL_OUTCOME_CONFIRMED && (in_the_way || left))
	{
		if (inval_clock_us() >= members->until)
		{
			members->unfinished++;
			return INVAL_OUTCOME_OPEN;
		}
		/* What somebody else has left there goes first. */
		if (in_the_way)
			outcome = members_take(&set, &in_the_way);
		/* Whoever has begun does something, however slow the cluster is. */
		do
		{
			left = true;
			if (outcome == INVAL_OUTCOME_CONFIRMED)
				outcome = members_remove_some(&set, &left);
		} while (outcome == INVAL_OUTCOME_CONFIRMED && left &&
				 inval_clock_us() < members->until);
	}
	*error = set.error;
	return outcome;
}

/*
 * Moves a set aside, if it is there; "in_the_way": something is there where it would
 * be moved to.  What is no set is left alone.
 */
static InvalOutcome
members_take(MembersSet *set, bool *in_the_way)
{
	const char *count[] = {"SCARD", set->key};
	const size_t count_lengths[] = {strlen("SCARD"), set->length};
	const char *move[] = {"RENAMENX", set->key, set->taken};
	const size_t move_lengths[] = {strlen("RENAMENX"), set->length, set->taken_length};
	InvalShipment shipment;
	InvalOutcome outcome;

	MemoryContextReset(set->members->context);
	*in_the_way = false;
	outcome = members_ask(set, &shipment, INVAL_ANSWER_NUMBER, lengthof(count), count,
						  count_lengths);
	if (outcome != INVAL_OUTCOME_CONFIRMED || shipment.number == 0)
		return outcome;
	outcome = members_ask(set, &shipment, INVAL_ANSWER_NUMBER, lengthof(move), move,
						  move_lengths);
	*in_the_way = outcome == INVAL_OUTCOME_CONFIRMED && shipment.number == 0;
	/* It has just expired. */
	if (outcome == INVAL_OUTCOME_REFUSED && strstr(set->error, "no such key") != NULL)
		return INVAL_OUTCOME_CONFIRMED;
	return outcome;
}

/*
 * Removes some of what was moved aside; "left": there may be more.
 */
static InvalOutcome
members_remove_some(MembersSet *set, bool *left)
{
	InvalTarget *target = set->members->target;
	char		most[16];
	const char *words[] = {"SRANDMEMBER", set->taken, most};
	size_t		lengths[] = {strlen("SRANDMEMBER"), set->taken_length, 0};
	MemoryContext old = CurrentMemoryContext;
	InvalShipment shipment;
	InvalOutcome outcome;
	InvalOutcome struck;
	bool	   *gone;

	CHECK_FOR_INTERRUPTS();
	do
	{
		MemoryContextReset(set->members->context);
		lengths[2] = (size_t) snprintf(most, sizeof(most), "%d",
									   Min(members_most, inval_pace_batch(target)));
		outcome = members_ask(set, &shipment, INVAL_ANSWER_LIST, lengthof(words), words,
							  lengths);
	} while (outcome == INVAL_OUTCOME_REFUSED &&
			 strcmp(set->error, INVAL_REPLY_TOO_LARGE) == 0 && members_fewer());
	if (outcome == INVAL_OUTCOME_OPEN)
		(void) members_fewer();
	if (outcome != INVAL_OUTCOME_CONFIRMED)
		return outcome;
	*left = shipment.list.count > 0;
	if (!*left)
	{
		members_most = MEMBERS_OF_STEP;
		return outcome;
	}
	MemoryContextSwitchTo(set->members->context);
	gone = palloc0((Size) shipment.list.count * sizeof(bool));
	outcome = members_unlink(set, &shipment.list, gone);
	MemoryContextSwitchTo(old);
	inval_pace_sent(target, shipment.list.count);
	struck = members_strike_off(set, &shipment.list, gone);
	if (struck == INVAL_OUTCOME_OPEN || memchr(gone, true, shipment.list.count) == NULL)
		(void) members_fewer();
	else
		members_most = Min(members_most + 1, MEMBERS_OF_STEP);
	return outcome == INVAL_OUTCOME_CONFIRMED ? struck : outcome;
}

/*
 * Fewer members are to be asked for, as those were too much, or may have been.  Returns
 * whether there can be fewer.
 */
static bool
members_fewer(void)
{
	if (members_most == 1)
		return false;
	members_most = Max(members_most / MEMBERS_FEWER, 1);
	return true;
}

/*
 * Removes members, as any keys are removed, with the leases of readers on them.  Says
 * of which ones there is nothing more to be done.
 */
static InvalOutcome
members_unlink(MembersSet *set, const InvalReply *listed, bool *gone)
{
	InvalTarget *target = set->members->target;
	InvalEntry *entries = palloc0((Size) listed->count * sizeof(InvalEntry));
	int		   *numbers = palloc((Size) listed->count * sizeof(int));
	InvalOutcome outcome = INVAL_OUTCOME_CONFIRMED;
	InvalShipment shipment;
	int			i;

	inval_shipment_init(&shipment, target, true);
	for (i = 0; i < listed->count; i++)
	{
		InvalEntry *entry = &entries[shipment.entries];

		gone[i] = !members_is_ours(set, &listed->items[i]);
		if (gone[i])
			continue;
		entry->action = INVAL_ACTION_DELETE;
		entry->fence = true;
		entry->key = listed->items[i].text;
		entry->key_length = (uint32) listed->items[i].length;
		numbers[shipment.entries] = i;
		inval_shipment_add(&shipment, entry);
	}
	inval_shipment_seal(&shipment);
	if (shipment.entries > 0)
		(void) inval_shipment_send_singly(&shipment, entries, target);
	for (i = 0; i < shipment.entries; i++)
	{
		gone[numbers[i]] = shipment.outcomes[i] == INVAL_OUTCOME_CONFIRMED;
		if (shipment.outcomes[i] == INVAL_OUTCOME_REFUSED)
		{
			outcome = INVAL_OUTCOME_REFUSED;
			set->error = MemoryContextStrdup(set->context, shipment.errors[i]);
		}
		else if (!gone[numbers[i]] && outcome == INVAL_OUTCOME_CONFIRMED)
			outcome = INVAL_OUTCOME_OPEN;
	}
	return outcome;
}

/*
 * Whether a member is a key that may be removed: within the namespace, and not the set
 * by which others have registered since, what was moved aside, or somebody's fence.
 */
static bool
members_is_ours(const MembersSet *set, const InvalReply *member)
{
	const InvalTarget *target = set->members->target;
	InvalEntry	entry = {.key = member->text,.key_length = (uint32) member->length};

	return member->type == INVAL_REPLY_TEXT && inval_target_may_have(target, &entry) &&
		!(member->length == set->length &&
		  memcmp(member->text, set->key, set->length) == 0) &&
		!inval_marker_stays(member->text, member->length);
}

/*
 * Strikes members off what was moved aside.  The last of them takes the list with it.
 */
static InvalOutcome
members_strike_off(MembersSet *set, const InvalReply *listed, const bool *gone)
{
	MemoryContext old = MemoryContextSwitchTo(set->members->context);
	const char **words = palloc(((Size) listed->count + 2) * sizeof(char *));
	size_t	   *lengths = palloc(((Size) listed->count + 2) * sizeof(size_t));
	InvalShipment shipment;
	int			argc = 2;
	int			i;

	MemoryContextSwitchTo(old);
	words[0] = "SREM";
	lengths[0] = strlen(words[0]);
	words[1] = set->taken;
	lengths[1] = set->taken_length;
	for (i = 0; i < listed->count; i++)
		if (gone[i])
		{
			words[argc] = listed->items[i].text;
			lengths[argc++] = listed->items[i].length;
		}
	if (argc == 2)
		return INVAL_OUTCOME_CONFIRMED;
	return members_ask(set, &shipment, INVAL_ANSWER_NUMBER, argc, words, lengths);
}

/*
 * Sends one command to the set's node, wherever that is now.  The answer is in the
 * shipment, which lives until the next step.
 */
static InvalOutcome
members_ask(MembersSet *set, InvalShipment *shipment, InvalCommandAnswer answer, int argc,
			const char **words, const size_t *lengths)
{
	MemoryContext old = MemoryContextSwitchTo(set->members->context);
	InvalCommand *command;

	inval_shipment_init(shipment, set->members->target, true);
	shipment->keep = answer == INVAL_ANSWER_LIST ? CurrentMemoryContext : NULL;
	command = inval_commands_append(&shipment->commands, argc, words, lengths, set->key,
									set->length);
	command->answer = (uint8) answer;
	command->entries = 1;
	shipment->entries = 1;
	inval_shipment_seal(shipment);
	(void) inval_shipment_send_singly(shipment, NULL, set->members->target);
	MemoryContextSwitchTo(old);
	if (shipment->outcomes[0] == INVAL_OUTCOME_REFUSED)
		set->error = MemoryContextStrdup(set->context, shipment->errors[0]);
	return shipment->outcomes[0];
}
