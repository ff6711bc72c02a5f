/*
 * action.c
 *		Invalidations as Redis commands.
 *
 * The one place that knows what an action sends.  Each command is harmless when it
 * is sent twice, as everything may be.
 *
 * Most entries are keys to be removed, and share a command.  Others are several
 * commands, of which each but the last "leads" the next: they go one behind the
 * other, and if one has to be sent again, all are, from the first (confirm.c).  That
 * order is: the lease, the key, the fence, what is told of it.  Who takes a lease
 * behind the first reads what is new; who hears of it finds the key gone.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "common/pg_prng.h"
#include "utils/timestamp.h"

#include "base/database.h"
#include "base/settings.h"
#include "redis/marker.h"
#include "target/action.h"

/* An entry may live up to a tenth shorter than it is told, so that not all end at once. */
#define JITTER			10

/* Digits of a 64-bit number, its sign and end */
#define NUMBER_LEN		24

/* Most bytes of the name of who has a fence */
#define OWNER_LEN		48

/* A command that is being put together */
typedef struct ActionWords
{
	int			count;
	const char *words[24];
	size_t		lengths[24];
} ActionWords;

static void action_add_key(InvalCommands *commands, const InvalTarget *target,
						   const InvalEntry *entry);
static void action_remove(InvalCommands *commands, const InvalEntry *entry, bool alone);
static void action_void_lease(InvalCommands *commands, const InvalEntry *entry);
static void action_count_up(InvalCommands *commands, const InvalEntry *entry);
static void action_remove_members(InvalCommands *commands, const InvalTarget *target,
								  const InvalEntry *entry);
static void action_shorten_life(InvalCommands *commands, const InvalEntry *entry);
static void action_publish(InvalCommands *commands, const InvalEntry *entry);
static void action_append_stream(InvalCommands *commands, const InvalTarget *target,
								 const InvalEntry *entry);
static void action_lead(InvalCommands *commands, int first);
static void action_expect_fence(InvalCommand *command, uint8 lost);
static Size action_owner(FullTransactionId xid, char *owner);
static int64 action_unix_us(TimestampTz time);
static void words_add(ActionWords *words, const char *text);
static void words_add_bytes(ActionWords *words, const char *bytes, Size length);
static InvalCommand *words_append(ActionWords *words, InvalCommands *commands,
								  const InvalEntry *entry);

/*
 * Adds what an entry sends.  Its bytes must stay where they are until
 * inval_commands_finish.  What only the worker can do (inval_action_is_for_worker)
 * sends nothing, so that nothing confirms it.
 */
void
inval_action_add(InvalCommands *commands, const InvalTarget *target, const InvalEntry *entry)
{
	bool		alone = inval_action_is_alone(entry) || (entry->fence && commands->routed);
	int			first;

	if (!alone)
	{
		action_remove(commands, entry, false);
		return;
	}
	if (inval_action_is_for_worker(target, entry) && !entry->only_told)
		return;
	inval_commands_finish(commands);
	first = commands->pipeline.count;
	if (!entry->only_told)
		action_add_key(commands, target, entry);
	if (entry->strict)
		inval_action_add_end(commands, entry);
	if (entry->channel != NULL)
		action_publish(commands, entry);
	if (entry->stream != NULL)
		action_append_stream(commands, target, entry);
	action_lead(commands, first);
}

/*
 * Whether an entry is more than a key to be removed, and shares no command.
 */
bool
inval_action_is_alone(const InvalEntry *entry)
{
	return entry->action != INVAL_ACTION_DELETE || entry->field != NULL || entry->strict ||
		inval_entry_is_told(entry);
}

/*
 * Whether an entry is no command but is done in steps, by the worker alone.  The
 * members of a set are on all nodes of a cluster (worker/members.c).
 */
bool
inval_action_is_for_worker(const InvalTarget *target, const InvalEntry *entry)
{
	return entry->action == INVAL_ACTION_MEMBERS && inval_url_is_cluster(&target->url);
}

/*
 * What is done to the key.
 */
static void
action_add_key(InvalCommands *commands, const InvalTarget *target, const InvalEntry *entry)
{
	/* That of a removal goes with the key, and those of members with them. */
	if (entry->fence && (entry->action == INVAL_ACTION_VERSION ||
						 entry->action == INVAL_ACTION_EXPIRE ||
						 entry->action == INVAL_ACTION_NONE))
	{
		action_void_lease(commands, entry);
		inval_commands_finish(commands);
	}
	switch (entry->action)
	{
		case INVAL_ACTION_DELETE:
			action_remove(commands, entry, true);
			break;
		case INVAL_ACTION_VERSION:
			action_count_up(commands, entry);
			break;
		case INVAL_ACTION_MEMBERS:
			action_remove_members(commands, target, entry);
			break;
		case INVAL_ACTION_EXPIRE:
			action_shorten_life(commands, entry);
			break;
		case INVAL_ACTION_NONE:
			break;
		case INVAL_ACTION_PREFIX:
		case INVAL_ACTION_REFILL:
		case INVAL_ACTION_LOOK:
			elog(ERROR, "invalidations with the action \"%s\" are no commands",
				 inval_action_name(entry->action));
	}
}

/*
 * Each of an entry's commands but the last leads the next; the last stands for it.
 */
static void
action_lead(InvalCommands *commands, int first)
{
	int			last = commands->pipeline.count - 1;
	int			i;

	Assert(last >= first);
	for (i = first; i <= last; i++)
	{
		commands->commands[i].leads = i < last;
		commands->commands[i].entries = i == last;
	}
}

/*
 * The removal of a key or of a field.  A cluster gets the lease by a command of its
 * own, since a slot that is being moved takes one name at a time.
 */
static void
action_remove(InvalCommands *commands, const InvalEntry *entry, bool alone)
{
	if (entry->field != NULL)
	{
		ActionWords words = {0};
		InvalCommand *command;

		words_add(&words, "HDEL");
		words_add_bytes(&words, entry->key, entry->key_length);
		words_add_bytes(&words, entry->field, entry->field_length);
		command = words_append(&words, commands, entry);
		command->answer = INVAL_ANSWER_COUNT;
		command->keys = 1;
		command->removes = true;
		command->rule = entry->rule;
		return;
	}
	if (commands->waiting + 2 > INVAL_COMMAND_KEYS || commands->waiting_rule != entry->rule)
		inval_commands_finish(commands);
	commands->waiting_rule = entry->rule;
	if (entry->fence)
	{
		action_void_lease(commands, entry);
		if (commands->routed)
			inval_commands_finish(commands);
	}
	inval_commands_remove(commands, entry->key, entry->key_length);
	commands->waiting_entries++;
	if (alone || commands->routed || commands->waiting == INVAL_COMMAND_KEYS)
		inval_commands_finish(commands);
}

/*
 * Its lease is among the keys that the next command removes.
 */
static void
action_void_lease(InvalCommands *commands, const InvalEntry *entry)
{
	Size		length;
	char	   *name = inval_commands_marker(commands, INVAL_LEASE, entry->key,
											 entry->key_length, &length);

	inval_commands_remove(commands, name, length);
}

/*
 * A number that was never there, or was evicted, starts from the clock, so that it
 * does not come to numbers which readers have seen.
 */
static void
action_count_up(InvalCommands *commands, const InvalEntry *entry)
{
	ActionWords start = {0};
	ActionWords step = {0};
	char		now[NUMBER_LEN];

	snprintf(now, sizeof(now), INT64_FORMAT, action_unix_us(GetCurrentTimestamp()));
	words_add(&start, "SET");
	words_add_bytes(&start, entry->key, entry->key_length);
	words_add(&start, now);
	words_add(&start, "NX");
	words_append(&start, commands, entry)->answer = INVAL_ANSWER_TEXT;

	words_add(&step, "INCR");
	words_add_bytes(&step, entry->key, entry->key_length);
	words_append(&step, commands, entry)->answer = INVAL_ANSWER_SIGNED;
}

/*
 * One step of the server, by a function of the library.
 */
static void
action_remove_members(InvalCommands *commands, const InvalTarget *target,
					  const InvalEntry *entry)
{
	ActionWords words = {0};
	InvalCommand *command;

	words_add(&words, "FCALL");
	words_add(&words, "inval_members");
	words_add(&words, "1");
	words_add_bytes(&words, entry->key, entry->key_length);
	if (target->namespace_key != NULL)
		words_add_bytes(&words, target->namespace_key, target->namespace_length);
	command = words_append(&words, commands, entry);
	command->removes = true;
	command->rule = entry->rule;
}

/*
 * At most so long, and no longer than it has anyway.
 */
static void
action_shorten_life(InvalCommands *commands, const InvalEntry *entry)
{
	ActionWords words = {0};
	char		life[NUMBER_LEN];
	uint32		jitter = (uint32) pg_prng_uint64_range(&pg_global_prng_state, 0,
													   entry->ttl_ms / JITTER);

	snprintf(life, sizeof(life), "%u", Max(entry->ttl_ms - jitter, 1));
	words_add(&words, "PEXPIRE");
	words_add_bytes(&words, entry->key, entry->key_length);
	words_add(&words, life);
	words_add(&words, "LT");
	(void) words_append(&words, commands, entry);
}

/*
 * To the node that has the key: another may be ahead of it.
 */
static void
action_publish(InvalCommands *commands, const InvalEntry *entry)
{
	ActionWords words = {0};

	words_add(&words, "PUBLISH");
	words_add_bytes(&words, entry->channel, entry->channel_length);
	words_add_bytes(&words, entry->key, entry->key_length);
	(void) words_append(&words, commands, entry);
}

/*
 * What a stream is told.  Its number is given by the server (inval_append), which
 * knows what the stream has.
 */
static void
action_append_stream(InvalCommands *commands, const InvalTarget *target,
					 const InvalEntry *entry)
{
	ActionWords words = {0};
	char		most[NUMBER_LEN];
	char		xid[NUMBER_LEN];
	char		rule[NUMBER_LEN];
	char		at[NUMBER_LEN];
	InvalEntry	stream = {.key = entry->stream,.key_length = entry->stream_length};

	snprintf(most, sizeof(most), "%d", inval_stream_max_entries);
	snprintf(xid, sizeof(xid), UINT64_FORMAT, U64FromFullTransactionId(entry->xid));
	snprintf(rule, sizeof(rule), "%u", entry->rule);
	snprintf(at, sizeof(at), INT64_FORMAT, action_unix_us(entry->queued_at) / 1000);
	words_add(&words, "FCALL");
	words_add(&words, "inval_append");
	words_add(&words, "1");
	words_add_bytes(&words, entry->stream, entry->stream_length);
	words_add(&words, most);
	words_add(&words, "region");
	words_add(&words, target->region_key != NULL ? target->region_key : "");
	words_add(&words, "database");
	words_add(&words, inval_database_name());
	words_add(&words, "xid");
	words_add(&words, xid);
	words_add(&words, "committed_ms");
	words_add(&words, at);
	words_add(&words, "rule");
	words_add(&words, rule);
	words_add(&words, "action");
	words_add(&words, inval_action_name(entry->action));
	words_add(&words, "key");
	words_add_bytes(&words, entry->key, entry->key_length);
	if (entry->field != NULL)
	{
		words_add(&words, "field");
		words_add_bytes(&words, entry->field, entry->field_length);
	}
	(void) words_append(&words, commands, &stream);
}

/*
 * Adds the end of the fence that an entry's transaction has on its key.  Of nobody
 * else's: others may be about to commit.
 */
void
inval_action_add_end(InvalCommands *commands, const InvalEntry *entry)
{
	ActionWords words = {0};
	char		owner[OWNER_LEN];
	Size		length;
	char	   *fence;

	inval_commands_finish(commands);
	fence = inval_commands_marker(commands, INVAL_FENCE, entry->key, entry->key_length,
								  &length);
	words_add(&words, "ZREM");
	words_add_bytes(&words, fence, length);
	words_add_bytes(&words, owner, action_owner(entry->xid, owner));
	action_expect_fence(words_append(&words, commands, entry), 0);
}

/*
 * Adds the fence of an entry's transaction on its key, for so long, in ms.
 */
void
inval_action_add_fence(InvalCommands *commands, const InvalEntry *entry, int life_ms)
{
	ActionWords words = {0};
	char		owner[OWNER_LEN];
	char		life[NUMBER_LEN];
	Size		length;
	char	   *fence;

	inval_commands_finish(commands);
	fence = inval_commands_marker(commands, INVAL_FENCE, entry->key, entry->key_length,
								  &length);
	snprintf(life, sizeof(life), "%d", life_ms);
	words_add(&words, "FCALL");
	words_add(&words, "inval_fence");
	words_add(&words, "1");
	words_add_bytes(&words, fence, length);
	words_add_bytes(&words, owner, action_owner(entry->xid, owner));
	words_add(&words, life);
	action_expect_fence(words_append(&words, commands, entry), 1);
}

/*
 * A command for an entry, about a fence that should be there: of which answer says
 * that it is not.
 */
static void
action_expect_fence(InvalCommand *command, uint8 lost)
{
	command->answer = INVAL_ANSWER_COUNT;
	command->keys = 1;
	command->entries = 1;
	command->has_fence = true;
	command->fence_answer = lost;
}

/*
 * Writes what a transaction's fences are known by, of OWNER_LEN bytes at most;
 * returns its length.  The same after a crash or a promotion.
 */
static Size
action_owner(FullTransactionId xid, char *owner)
{
	return (Size) snprintf(owner, OWNER_LEN, UINT64_FORMAT "." UINT64_FORMAT,
						   GetSystemIdentifier(), U64FromFullTransactionId(xid));
}

/*
 * As other systems count time, from 1970 on.
 */
static int64
action_unix_us(TimestampTz time)
{
	return time + (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;
}

static void
words_add(ActionWords *words, const char *text)
{
	words_add_bytes(words, text, strlen(text));
}

static void
words_add_bytes(ActionWords *words, const char *bytes, Size length)
{
	Assert(words->count < (int) lengthof(words->words));
	words->words[words->count] = bytes;
	words->lengths[words->count] = length;
	words->count++;
}

static InvalCommand *
words_append(ActionWords *words, InvalCommands *commands, const InvalEntry *entry)
{
	return inval_commands_append(commands, words->count, words->words, words->lengths,
								 entry->key, entry->key_length);
}
