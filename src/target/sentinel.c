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

#include "redis/answer.h"
#include "redis/passfile.h"
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
static bool sentinel_log_in(InvalConnection *connection, const InvalUrl *url,
							uint64 deadline, char *error, Size error_size);
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
 * What one sentinel says.
 */
static bool
sentinel_ask(const InvalUrl *url, const InvalUrlHost *sentinel, uint64 deadline,
			 char *host, int *port, char *error, Size error_size)
{
	InvalConnection *connection;
	InvalUrl	place = {.kind = INVAL_URL_TCP};
	char		named[INVAL_URL_PART_LEN];
	volatile bool done = false;

	place.port = sentinel->port;
	if (!inval_resolve_host(sentinel->name, 0, place.host, sizeof(place.host),
							error, error_size))
		return false;
	connection = inval_redis_connect(&place, deadline, error, error_size);
	if (connection == NULL)
		return false;
	PG_TRY();
	{
		done = sentinel_log_in(connection, url, deadline, error, error_size) &&
			sentinel_question(connection, url, deadline, named, port, error, error_size);
	}
	PG_FINALLY();
	{
		inval_redis_close(connection);
	}
	PG_END_TRY();
	if (!done)
		return false;

	/* A name, where the sentinels are configured to announce names. */
	return inval_resolve_host(named, 0, host, INVAL_RESOLVED_LEN,
							  error, error_size);
}

static bool
sentinel_question(InvalConnection *connection, const InvalUrl *url, uint64 deadline,
				  char host[INVAL_URL_PART_LEN], int *port,
				  char *error, Size error_size)
{
	const char *words[] = {"SENTINEL", "get-master-addr-by-name", url->master};

	InvalAnswer *answer = inval_redis_ask(connection, lengthof(words), words,
										  deadline, error, error_size);
	bool		known;

	if (answer == NULL)
		return false;
	known = inval_answer_text(answer, 0) != NULL && inval_answer_text(answer, 1) != NULL;
	if (known)
	{
		strlcpy(host, inval_answer_text(answer, 0), INVAL_URL_PART_LEN);
		*port = atoi(inval_answer_text(answer, 1));
	}
	else
		strlcpy(error, "it knows no master of that name", error_size);
	inval_answer_free(answer);
	return known;
}

/*
 * Sentinels have passwords of their own: that in sentinelpassfile; or else the
 * URL's, where it matters not if they say that they want none.  One that wants
 * another refuses the question.
 */
static bool
sentinel_log_in(InvalConnection *connection, const InvalUrl *url, uint64 deadline,
				char *error, Size error_size)
{
	const char *passfile = url->sentinelpassfile[0] != '\0' ?
		url->sentinelpassfile : url->passfile;
	const char *user = url->sentinelpassfile[0] != '\0' ? "" : url->user;
	char		password[INVAL_PASSWORD_LEN];
	const char *with_user[] = {"AUTH", user, password};
	const char *without_user[] = {"AUTH", password};

	strlcpy(password, url->password, sizeof(password));
	if (passfile[0] != '\0' &&
		!inval_passfile_read(passfile, password, error, error_size))
		return false;
	if (user[0] == '\0' && password[0] == '\0')
		return true;
	inval_answer_free(inval_redis_ask(connection, user[0] != '\0' ? 3 : 2,
									  user[0] != '\0' ? with_user : without_user,
									  deadline, error, error_size));
	explicit_bzero(password, sizeof(password));
	return inval_redis_is_sound(connection);
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
	connection = inval_redis_connect(&place, deadline, error, error_size);
	if (connection == NULL)
		return false;
	PG_TRY();
	{
		is_master = sentinel_is_master(connection, deadline, error, error_size);
	}
	PG_FINALLY();
	{
		inval_redis_close(connection);
	}
	PG_END_TRY();
	return is_master;
}

static bool
sentinel_is_master(InvalConnection *connection, uint64 deadline,
				   char *error, Size error_size)
{
	const char *words[] = {"ROLE"};
	InvalAnswer *answer = inval_redis_ask(connection, 1, words, deadline,
										  error, error_size);
	const char *role;
	bool		is_master;

	/* Who may not ask learns from READONLY, should it be none. */
	if (answer == NULL)
		return strncmp(error, "NOPERM ", 7) == 0;
	role = inval_answer_text(answer, 0);
	is_master = role != NULL && strcmp(role, "master") == 0;
	if (!is_master)
		strlcpy(error, "it is not a master now", error_size);
	inval_answer_free(answer);
	return is_master;
}
