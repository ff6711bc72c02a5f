/*
 * peek.c
 *		What a target holds.
 *
 * Keys are asked for by GET and PTTL, all in one round trip to each node that has
 * some; of a cluster in as many rounds as a delivery makes (delivery.c), since it
 * may point elsewhere.
 *
 * Who asks is a session that wants an answer or an error, so a target that is down
 * or paused is asked all the same.  What becomes of it says nothing of how the
 * target is, except that no connection can be had: a value may be too large for
 * us, or a user of Redis may do no more than deliver.
 *
 * Nothing of this is for where a transaction ends: what is on the way then uses the
 * same connections.
 */
#include "postgres.h"

#include "base/settings.h"
#include "redis/await.h"
#include "redis/pipeline.h"
#include "redis/slot.h"
#include "target/cluster.h"
#include "target/peek.h"
#include "target/reach.h"
#include "version/server.h"

/* As many as of a delivery */
#define ROUNDS			5

#define WRONG_TYPE		"WRONGTYPE "
#define NO_RIGHT		"NOPERM "

typedef enum PeekQuestion
{
	PEEK_ASKING,
	PEEK_GET,
	PEEK_PTTL
} PeekQuestion;

/* What a reply will be about */
typedef struct PeekReply
{
	InvalPeek  *key;
	PeekQuestion question;
} PeekReply;

/* What is asked of one node in one round */
typedef struct PeekPart
{
	struct Peeking *peeking;
	int			node;
	InvalConnection *connection;
	InvalPipeline commands;
	PeekReply  *replies;
	int			max_replies;
	int			next;			/* whose reply comes next */
} PeekPart;

typedef struct Peeking
{
	InvalTarget *target;
	InvalPeek  *keys;
	int			count;
	PeekPart   *parts;
	int			nparts;
	Size		size;			/* of the texts so far */
	bool		too_large;
	char		refusal[INVAL_ERROR_TEXT_LEN];	/* empty: none */
} Peeking;

static void peek_round(Peeking *peeking, uint64 deadline);
static void peek_gather(Peeking *peeking, uint64 deadline);
static int	peek_node_of(const Peeking *peeking, const InvalPeek *key);
static void peek_add(PeekPart *part, InvalPeek *key, PeekQuestion question);
static void peek_send(Peeking *peeking);
static void peek_await(Peeking *peeking, uint64 deadline);
static bool peek_reply(const InvalReply *reply, void *arg);
static bool peek_value(InvalPeek *key, const InvalReply *reply);
static void peek_error(PeekPart *part, InvalPeek *key, const InvalReply *reply);
static void peek_redirect(PeekPart *part, InvalPeek *key, const InvalReply *reply);
static void peek_check(Peeking *peeking);
static void peek_hang_up(Peeking *peeking, bool all);
pg_noreturn static void peek_fail(const InvalTarget *target, const char *why);
pg_noreturn static void peek_fail_unreached(const InvalTarget *target);
pg_noreturn static void peek_refuse_large(void);

/*
 * Asks a target what it holds at some keys, until inval.reply_timeout, and fills in
 * the answers, in the current memory context.  An error if it does not answer all
 * of them: then its connections are closed, as is what was on the way when the
 * caller is interrupted.
 */
void
inval_peek_at(InvalTarget *target, InvalPeek *keys, int count)
{
	Peeking		peeking = {.target = target,.keys = keys,.count = count};
	uint64		deadline = inval_clock_us() + (uint64) inval_reply_timeout * 1000;
	int			round;
	int			i;

	inval_target_prepare(target);
	for (round = 0; round < ROUNDS; round++)
	{
		bool		done = true;

		peek_round(&peeking, deadline);
		for (i = 0; i < count; i++)
			done &= keys[i].state == INVAL_PEEK_DONE;
		if (done)
			return;
	}
	peek_fail(target, "nodes of the cluster point to each other");
}

static void
peek_round(Peeking *peeking, uint64 deadline)
{
	uint64		connect_deadline = inval_clock_us() + (uint64) inval_connect_timeout * 1000;

	peek_gather(peeking, Min(deadline, connect_deadline));
	PG_TRY();
	{
		peek_send(peeking);
		peek_await(peeking, deadline);
	}
	PG_CATCH();
	{
		peek_hang_up(peeking, true);
		PG_RE_THROW();
	}
	PG_END_TRY();
	peek_check(peeking);
}

/*
 * Connects to whom the keys need, and writes what each is to be asked.  Names are
 * the worker's to resolve, and lost nodes its to try, where there is one.
 */
static void
peek_gather(Peeking *peeking, uint64 deadline)
{
	InvalTarget *target = peeking->target;
	int			part_of[INVAL_MAP_NODES];
	int			nodes[INVAL_MAP_NODES] = {0};
	int			i;

	if (!inval_target_connect(target, deadline, !inval_target_has_worker()))
		peek_fail_unreached(target);
	memset(part_of, -1, sizeof(part_of));
	peeking->nparts = 0;
	peeking->parts = palloc0(INVAL_MAP_NODES * sizeof(PeekPart));
	for (i = 0; i < peeking->count; i++)
	{
		InvalPeek  *key = &peeking->keys[i];
		int			node = peek_node_of(peeking, key);
		PeekPart   *part;

		if (key->state == INVAL_PEEK_DONE)
			continue;
		if (part_of[node] < 0)
		{
			part_of[node] = peeking->nparts;
			nodes[peeking->nparts] = node;
			part = &peeking->parts[peeking->nparts++];
			part->peeking = peeking;
			part->node = node;
			inval_pipeline_init(&part->commands);
		}
		part = &peeking->parts[part_of[node]];
		peek_add(part, key, PEEK_GET);
		peek_add(part, key, PEEK_PTTL);
	}
	if (inval_url_is_cluster(&target->url))
		inval_reach_nodes(target, nodes, peeking->nparts, deadline);
	for (i = 0; i < peeking->nparts; i++)
	{
		peeking->parts[i].connection = *inval_reach_place(target, nodes[i]);
		if (peeking->parts[i].connection == NULL)
			peek_fail(target, "a node of the cluster is lost");
	}
}

static int
peek_node_of(const Peeking *peeking, const InvalPeek *key)
{
	InvalTarget *target = peeking->target;
	int			node;

	if (!inval_url_is_cluster(&target->url))
		return 0;
	node = key->state == INVAL_PEEK_ASK ? key->ask_node :
		target->cluster->map.owner[inval_slot_of_key(key->key, key->key_length)];
	if (node < target->cluster->map.nodes)
		return node;
	target->cluster->stale = true;
	peek_fail(target, "no node of the cluster serves the key's slot");
}

/*
 * Adds a question, after ASKING where the node is only about to have the slot.
 */
static void
peek_add(PeekPart *part, InvalPeek *key, PeekQuestion question)
{
	static const char *const words[] = {"ASKING", "GET", "PTTL"};
	const char *arguments[] = {words[question], key->key};
	size_t		lengths[] = {strlen(words[question]), key->key_length};

	if (question != PEEK_ASKING && key->state == INVAL_PEEK_ASK)
		peek_add(part, key, PEEK_ASKING);
	if (part->commands.count == part->max_replies)
	{
		part->max_replies = Max(16, part->max_replies * 2);
		part->replies = part->replies == NULL ?
			palloc(part->max_replies * sizeof(PeekReply)) :
			repalloc_huge(part->replies, part->max_replies * sizeof(PeekReply));
	}
	part->replies[part->commands.count].key = key;
	part->replies[part->commands.count].question = question;
	inval_pipeline_append(&part->commands, question == PEEK_ASKING ? 1 : 2, arguments,
						  lengths);
}

/*
 * Sends what can be sent without waiting.  Replies are kept in the current memory
 * context.
 */
static void
peek_send(Peeking *peeking)
{
	int			i;

	for (i = 0; i < peeking->nparts; i++)
	{
		PeekPart   *part = &peeking->parts[i];

		inval_connection_start(part->connection, part->commands.bytes.data,
							   (Size) part->commands.bytes.len, part->commands.count,
							   peek_reply, part);
		part->connection->reader.context = CurrentMemoryContext;
	}
}

static void
peek_await(Peeking *peeking, uint64 deadline)
{
	InvalConnection *connections[INVAL_MAP_NODES];
	int			i;

	for (i = 0; i < peeking->nparts; i++)
		connections[i] = peeking->parts[i].connection;
	inval_await(connections, peeking->nparts, deadline, INVAL_WAIT_INTERRUPTIBLE);
}

/*
 * A reply.  Returns false if it is none to the question, or more than we take.
 */
static bool
peek_reply(const InvalReply *reply, void *arg)
{
	PeekPart   *part = arg;
	const PeekReply *expected = &part->replies[part->next++];
	InvalPeek  *key = expected->key;

	/* Whatever it is an answer to, it has been kept. */
	if (reply->type == INVAL_REPLY_TEXT)
		part->peeking->size += reply->length;
	if (part->peeking->size > INVAL_PEEK_MAX)
	{
		part->peeking->too_large = true;
		return false;
	}
	if (expected->question == PEEK_ASKING)
		return reply->type == INVAL_REPLY_TEXT || reply->type == INVAL_REPLY_ERROR;
	if (reply->type == INVAL_REPLY_ERROR)
	{
		peek_error(part, key, reply);
		return true;
	}
	if (expected->question == PEEK_GET)
	{
		key->state = INVAL_PEEK_DONE;
		return peek_value(key, reply);
	}
	if (reply->type != INVAL_REPLY_INTEGER || reply->integer < -2 ||
		reply->integer > PG_INT64_MAX / 1000)
		return false;
	key->ttl_ms = reply->integer;
	return true;
}

static bool
peek_value(InvalPeek *key, const InvalReply *reply)
{
	key->value = NULL;
	key->other = false;
	if (reply->type == INVAL_REPLY_NIL)
		return true;
	if (reply->type != INVAL_REPLY_TEXT)
		return false;
	key->value = reply->text;
	key->value_length = reply->length;
	return true;
}

static void
peek_error(PeekPart *part, InvalPeek *key, const InvalReply *reply)
{
	Peeking    *peeking = part->peeking;
	bool		routed = inval_url_is_cluster(&peeking->target->url);

	if (strncmp(reply->text, WRONG_TYPE, strlen(WRONG_TYPE)) == 0)
	{
		key->state = INVAL_PEEK_DONE;
		key->value = NULL;
		key->other = true;
	}
	else if (routed && (reply->kind == INVAL_ERROR_MOVED || reply->kind == INVAL_ERROR_ASK))
		peek_redirect(part, key, reply);
	else if (peeking->refusal[0] == '\0')
		strlcpy(peeking->refusal, reply->text, sizeof(peeking->refusal));
}

/*
 * Another node has the slot, or may have the key.  Both questions are asked there.
 */
static void
peek_redirect(PeekPart *part, InvalPeek *key, const InvalReply *reply)
{
	int			node = inval_cluster_redirect(part->peeking->target, part->node,
											  inval_slot_of_key(key->key, key->key_length),
											  reply->kind, reply->text);

	if (node < 0)
	{
		strlcpy(part->peeking->refusal, reply->text, sizeof(part->peeking->refusal));
		return;
	}
	key->state = INVAL_PEEK_OPEN;
	if (reply->kind == INVAL_ERROR_ASK)
	{
		key->state = INVAL_PEEK_ASK;
		key->ask_node = (uint8) node;
	}
}

/*
 * Raises an error if not all were answered.
 */
static void
peek_check(Peeking *peeking)
{
	InvalTarget *target = peeking->target;
	char		error[INVAL_ERROR_TEXT_LEN] = "";
	int			i;

	for (i = 0; i < peeking->nparts; i++)
		if (peeking->parts[i].connection->state != INVAL_CONNECTION_READY)
			strlcpy(error, peeking->parts[i].connection->error, sizeof(error));
	peek_hang_up(peeking, false);
	if (peeking->too_large || strcmp(error, INVAL_REPLY_TOO_LARGE) == 0)
		peek_refuse_large();
	if (error[0] != '\0')
		peek_fail(target, error);
	if (peeking->refusal[0] != '\0')
		ereport(ERROR,
				(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
				 errmsg("target \"%s\" does not tell: %s", target->name, peeking->refusal),
				 strncmp(peeking->refusal, NO_RIGHT, strlen(NO_RIGHT)) == 0 ?
				 errhint("Its user of Redis must be allowed GET and PTTL for the keys.") : 0));
}

/*
 * Closes the connections that are of no use any more, or all.
 */
static void
peek_hang_up(Peeking *peeking, bool all)
{
	int			i;

	for (i = 0; i < peeking->nparts; i++)
	{
		PeekPart   *part = &peeking->parts[i];
		InvalConnection *connection = part->connection;

		if (!all && connection->state == INVAL_CONNECTION_READY)
			continue;
		part->connection = NULL;
		*inval_reach_place(peeking->target, part->node) = NULL;
		inval_connection_close(connection);
	}
}

static void
peek_fail(const InvalTarget *target, const char *why)
{
	ereport(ERROR,
			(errcode(ERRCODE_CONNECTION_FAILURE),
			 errmsg("could not ask target \"%s\": %s", target->name, why),
			 errhint("inval_target_status shows how it is; inval.reply_timeout is how long an answer is waited for.")));
}

/*
 * Who has tried in vain has noted why; where it was not for us to try, nobody has.
 */
static void
peek_fail_unreached(const InvalTarget *target)
{
	InvalTargetHealth *health = target->health;
	char		error[INVAL_ERROR_LEN];

	SpinLockAcquire(&health->mutex);
	strlcpy(error, health->last_error, sizeof(error));
	SpinLockRelease(&health->mutex);
	peek_fail(target, error[0] != '\0' && inval_target_shares_health(target) ? error :
			  "it cannot be reached");
}

static void
peek_refuse_large(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("values are too large to be shown"),
			 errdetail("They can have %zu MB together.", INVAL_PEEK_MAX / (1024 * 1024)),
			 errhint("Ask for fewer keys at a time.")));
}
