/*
 * ask.c
 *		Commands about one key, and what the target answers.
 *
 * For who goes on with an answer.  They go one behind the other to who has
 * the key; of a cluster, where that points elsewhere, all of them once more.
 */
#include "postgres.h"

#include "base/settings.h"
#include "redis/await.h"
#include "redis/pipeline.h"
#include "redis/slot.h"
#include "target/ask.h"
#include "target/cluster.h"
#include "target/reach.h"

/* As many as of a delivery */
#define ROUNDS			5

/* Questions on their way */
typedef struct Asking
{
	InvalTarget *target;
	int			slot;			/* of a cluster's key */
	int			node;			/* who is asked */
	bool		importing;		/* it is only about to have the slot */
	int			expected;		/* replies to come, the last of which is kept */
	const InvalReply *answer;
	InvalErrorKind kind;		/* of the first error */
	char		error[INVAL_ERROR_TEXT_LEN];	/* empty: there was none */
} Asking;

static InvalConnection *ask_connect(Asking *asking, char *error, Size size);
static void ask_write(const Asking *asking, InvalQuestion *questions, int count,
					  InvalPipeline *commands);
static void ask_await(Asking *asking, InvalConnection *connection,
					  const InvalPipeline *commands, uint64 deadline);
static bool ask_reply(const InvalReply *reply, void *arg);
static InvalReply *ask_copy(const InvalReply *reply);
static void ask_lost(Asking *asking, InvalConnection *connection);
static bool ask_redirect(Asking *asking);

/*
 * Appends a word to a question.
 */
void
inval_question_add(InvalQuestion *question, const char *word, Size length)
{
	Assert(question->argc < INVAL_ASK_WORDS);
	question->words[question->argc] = word;
	question->lengths[question->argc++] = length;
}

/*
 * Asks who has a key.  Returns the answer to the last question, in the current memory
 * context; NULL if there is none, or if any answer is an error: then *error says why.
 * Interruptible.  Raises no error for the target's sake.
 */
const InvalReply *
inval_ask(InvalTarget *target, const char *key, Size key_length,
		  InvalQuestion *questions, int count, char *error, Size size)
{
	Asking		asking = {.target = target,.node = -1};
	uint64		deadline = inval_clock_us() + (uint64) inval_reply_timeout * 1000;
	int			round;

	if (inval_url_is_cluster(&target->url))
		asking.slot = inval_slot_of_key(key, key_length);
	for (round = 0; round < ROUNDS; round++)
	{
		InvalConnection *connection = ask_connect(&asking, error, size);
		InvalPipeline commands;

		if (connection == NULL)
			return NULL;
		ask_write(&asking, questions, count, &commands);
		asking.expected = commands.count;
		asking.answer = NULL;
		asking.error[0] = '\0';
		ask_await(&asking, connection, &commands, deadline);
		pfree(commands.bytes.data);
		if (connection->state != INVAL_CONNECTION_READY)
		{
			strlcpy(error, connection->error, size);
			ask_lost(&asking, connection);
			return NULL;
		}
		connection->reader.context = NULL;
		if (asking.error[0] == '\0')
			return asking.answer;
		strlcpy(error, asking.error, size);
		if (!ask_redirect(&asking))
			return NULL;
	}
	return NULL;
}

/*
 * A connection to who is to be asked; NULL if there is none.
 */
static InvalConnection *
ask_connect(Asking *asking, char *error, Size size)
{
	InvalTarget *target = asking->target;
	uint64		deadline = inval_clock_us() + (uint64) inval_connect_timeout * 1000;
	InvalConnection *connection = NULL;

	strlcpy(error, "it cannot be reached", size);
	if (!inval_target_connect(target, deadline, true))
		return NULL;
	if (!inval_url_is_cluster(&target->url))
		asking->node = 0;
	else
	{
		if (asking->node < 0)
			asking->node = target->cluster->map.owner[asking->slot];
		if (asking->node >= target->cluster->map.nodes)
		{
			target->cluster->stale = true;
			strlcpy(error, "no node of the cluster serves the key's slot", size);
			return NULL;
		}
		inval_reach_nodes(target, &asking->node, 1, deadline);
	}
	connection = *inval_reach_place(target, asking->node);
	return connection;
}

static void
ask_write(const Asking *asking, InvalQuestion *questions, int count,
		  InvalPipeline *commands)
{
	static const char *word = "ASKING";
	int			i;

	inval_pipeline_init(commands);
	for (i = 0; i < count; i++)
	{
		if (asking->importing)
			inval_pipeline_words(commands, 1, &word);
		inval_pipeline_append(commands, questions[i].argc, questions[i].words,
							  questions[i].lengths);
	}
}

/*
 * Sends, and waits for the replies.  If that is interrupted, what comes over the
 * connection is nobody's.
 */
static void
ask_await(Asking *asking, InvalConnection *connection, const InvalPipeline *commands,
		  uint64 deadline)
{
	inval_connection_start(connection, commands->bytes.data, (Size) commands->bytes.len,
						   commands->count, ask_reply, asking);
	connection->reader.context = CurrentMemoryContext;
	PG_TRY();
	{
		inval_await(&connection, 1, deadline, INVAL_WAIT_INTERRUPTIBLE);
	}
	PG_CATCH();
	{
		connection->reader.context = NULL;
		*inval_reach_place(asking->target, asking->node) = NULL;
		inval_connection_close(connection);
		PG_RE_THROW();
	}
	PG_END_TRY();
}

/*
 * A reply.  The last one is kept, and so is the first error.
 */
static bool
ask_reply(const InvalReply *reply, void *arg)
{
	Asking	   *asking = arg;

	asking->expected--;
	if (reply->type == INVAL_REPLY_ERROR && asking->error[0] == '\0')
	{
		asking->kind = reply->kind;
		strlcpy(asking->error, reply->text, sizeof(asking->error));
	}
	if (asking->expected == 0 && reply->type != INVAL_REPLY_ERROR)
		asking->answer = ask_copy(reply);
	return asking->expected >= 0;
}

/*
 * The reader uses its place for the reply again; what that points to is ours.
 */
static InvalReply *
ask_copy(const InvalReply *reply)
{
	InvalReply *copy = palloc(sizeof(InvalReply));

	*copy = *reply;
	return copy;
}

/*
 * A connection has failed.  One that was of no use any more is no outage, nor is a
 * value that is too large for us.
 */
static void
ask_lost(Asking *asking, InvalConnection *connection)
{
	connection->reader.context = NULL;
	if (connection->fault != INVAL_FAULT_NONE &&
		strcmp(connection->error, INVAL_REPLY_TOO_LARGE) != 0)
	{
		inval_reach_failed(asking->target, asking->node, connection->fault,
						   connection->error, 0);
		return;
	}
	*inval_reach_place(asking->target, asking->node) = NULL;
	inval_connection_close(connection);
}

/*
 * Whether somebody else is to be asked, after an error.
 */
static bool
ask_redirect(Asking *asking)
{
	int			node;

	if (!inval_url_is_cluster(&asking->target->url) ||
		(asking->kind != INVAL_ERROR_MOVED && asking->kind != INVAL_ERROR_ASK))
		return false;
	node = inval_cluster_redirect(asking->target, asking->node, asking->slot, asking->kind,
								  asking->error);
	if (node < 0)
		return false;
	asking->importing = asking->kind == INVAL_ERROR_ASK;
	asking->node = node;
	return true;
}
