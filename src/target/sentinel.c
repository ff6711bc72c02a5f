/*
 * sentinel.c
 *		Which server the sentinels call the master.
 *
 * They are asked in turn, beginning with the one that answered last, each for
 * its share of the time that is left.  What one says is checked: the server
 * must be there and call itself a master, because in the midst of a failover,
 * or on the wrong side of a broken network, a sentinel tells what was.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "redis/await.h"
#include "target/health.h"
#include "target/resolve.h"
#include "target/sentinel.h"

static bool sentinel_ask(const InvalUrl *url, const InvalUrlHost *sentinel,
						 uint64 deadline, char *host, int *port,
						 char *error, Size error_size);
static bool sentinel_question(InvalConnection *connection, const InvalUrl *url,
							  uint64 deadline,
							  char host[INVAL_URL_PART_LEN], int *port,
							  char *error, Size error_size);
static MemoryContext sentinel_answer_context(void);
static bool sentinel_check(const InvalUrl *url, const char *host, int port,
						   uint64 deadline, char *error, Size error_size);
static bool sentinel_is_master(InvalConnection *connection, uint64 deadline,
							   char *error, Size error_size);

/*
 * Gives address and port of the master, or says why not.  Where they hold those
 * of the master that is connected to, it is not checked anew; an empty host means
 * none.  Interruptible: before the commit record only.
 */
InvalSentinelVerdict
inval_sentinel_find_master(const InvalUrl *url, uint64 deadline,
						   char host[INVAL_URL_PART_LEN], int *port,
						   char *error, Size error_size)
{
	static int	first = 0;
	InvalSentinelVerdict verdict = INVAL_SENTINEL_SILENT;
	char		found[INVAL_URL_PART_LEN];
	char		failed[INVAL_URL_PART_LEN] = "";
	int			found_port;
	int			failed_port = 0;
	int			i;

	first %= url->host_count;
	for (i = 0; i < url->host_count; i++)
	{
		int			which = (first + i) % url->host_count;
		uint64		now = inval_clock_us();
		uint64		share = now + (Max(deadline, now) - now) / (url->host_count - i);
		char		problem[INVAL_ERROR_LEN];

		if (!sentinel_ask(url, &url->hosts[which], share, found, &found_port,
						  problem, sizeof(problem)))
		{
			/* That a master fails says more than that a sentinel does. */
			if (verdict == INVAL_SENTINEL_SILENT)
				snprintf(error, error_size, "sentinel %s:%d: %s",
						 url->hosts[which].name, url->hosts[which].port, problem);
		}
		else if (strcmp(found, failed) == 0 && found_port == failed_port)
			continue;			/* it did not stand the check just now */
		else if ((strcmp(found, host) == 0 && found_port == *port) ||
				 sentinel_check(url, found, found_port, share, problem, sizeof(problem)))
		{
			first = which;
			strlcpy(host, found, INVAL_URL_PART_LEN);
			*port = found_port;
			return INVAL_SENTINEL_MASTER;
		}
		else
		{
			verdict = INVAL_SENTINEL_NO_MASTER;
			strlcpy(failed, found, sizeof(failed));
			failed_port = found_port;
			snprintf(error, error_size, "master %s:%d: %s", found, found_port, problem);
		}
	}
	return verdict;
}

/*
 * What one sentinel says.  Sentinels have passwords of their own: that in
 * sentinelpassfile, or else the URL's.
 */
static bool
sentinel_ask(const InvalUrl *url, const InvalUrlHost *sentinel, uint64 deadline,
			 char *host, int *port, char *error, Size error_size)
{
	InvalConnection *connection;
	InvalUrl	place = *url;
	char		named[INVAL_URL_PART_LEN];
	volatile bool done = false;

	place.port = sentinel->port;
	place.db = 0;
	if (url->sentinelpassfile[0] != '\0')
	{
		strlcpy(place.passfile, url->sentinelpassfile, sizeof(place.passfile));
		place.user[0] = place.password[0] = '\0';
	}
	if (!inval_resolve_host(sentinel->name, place.host, error, error_size))
		return false;
	connection = inval_await_connection(&place, deadline, error, error_size);
	if (connection == NULL)
		return false;
	PG_TRY();
	{
		done = sentinel_question(connection, url, deadline, named, port, error, error_size);
	}
	PG_FINALLY();
	{
		inval_connection_close(connection);
	}
	PG_END_TRY();

	/* A name, where the sentinels are configured to announce names. */
	return done && inval_resolve_host(named, host, error, error_size);
}

static bool
sentinel_question(InvalConnection *connection, const InvalUrl *url, uint64 deadline,
				  char host[INVAL_URL_PART_LEN], int *port,
				  char *error, Size error_size)
{
	const char *words[] = {"SENTINEL", "get-master-addr-by-name", url->master};
	MemoryContext context = sentinel_answer_context();
	const InvalReply *answer = inval_await_answer(connection, context,
												  lengthof(words), words, deadline,
												  error, error_size);
	const char *name = answer ? inval_reply_text(answer, 0) : NULL;
	const char *number = answer ? inval_reply_text(answer, 1) : NULL;
	bool		known = false;

	if (answer != NULL)
	{
		*port = number != NULL && strlen(number) <= 5 ? atoi(number) : 0;
		known = name != NULL && strlen(name) < INVAL_URL_PART_LEN &&
			*port > 0 && *port <= 65535;
		if (known)
			strlcpy(host, name, INVAL_URL_PART_LEN);
		else
			strlcpy(error, "it knows no master of that name", error_size);
	}
	MemoryContextDelete(context);
	return known;
}

/*
 * Memory for an answer.  The worker asks for as long as it lives, and what it has at hand
 * is never given back.
 */
static MemoryContext
sentinel_answer_context(void)
{
	return AllocSetContextCreate(CurrentMemoryContext, "inval sentinel",
								 ALLOCSET_SMALL_SIZES);
}

/*
 * Whether the server that a sentinel named is there and a master.
 */
static bool
sentinel_check(const InvalUrl *url, const char *host, int port, uint64 deadline,
			   char *error, Size error_size)
{
	InvalConnection *connection;
	InvalUrl	place = *url;
	volatile bool is_master = false;

	place.kind = INVAL_URL_TCP;
	strlcpy(place.host, host, sizeof(place.host));
	place.port = port;
	connection = inval_await_connection(&place, deadline, error, error_size);
	if (connection == NULL)
		return false;
	PG_TRY();
	{
		is_master = sentinel_is_master(connection, deadline, error, error_size);
	}
	PG_FINALLY();
	{
		inval_connection_close(connection);
	}
	PG_END_TRY();
	return is_master;
}

static bool
sentinel_is_master(InvalConnection *connection, uint64 deadline,
				   char *error, Size error_size)
{
	const char *words[] = {"ROLE"};
	MemoryContext context = sentinel_answer_context();
	const InvalReply *answer = inval_await_answer(connection, context, 1,
												  words, deadline, error, error_size);
	const char *role = answer ? inval_reply_text(answer, 0) : NULL;
	bool		is_master = role != NULL && strcmp(role, "master") == 0;

	/* Who may not ask learns from READONLY, should it be none. */
	if (answer == NULL)
		is_master = strncmp(error, "NOPERM ", 7) == 0;
	else if (!is_master)
		strlcpy(error, "it is not a master now", error_size);
	MemoryContextDelete(context);
	return is_master;
}
