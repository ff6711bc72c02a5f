/*
 * host_lookup.c
 *		getaddrinfo() that can be interrupted.
 *
 * Where no name server answers, getaddrinfo() takes as long as resolv.conf says,
 * and cares for no signal.  A worker that is in it does not leave when asked; and
 * worse, DROP DATABASE waits until every process of the server, whatever its
 * database, has taken notice of it (a ProcSignalBarrier).  So a thread does it,
 * which knows nothing of the server: it touches the request and the C library
 * only, and takes no signals.  Meanwhile we wait as the server expects it of us.
 *
 * Whoever comes last frees the request.  If an interrupt takes us away, that is
 * the thread.
 */
#include "postgres.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "redis/wire.h"
#include "target/host_lookup.h"

/* In the C library's memory, which is the only one a thread may use */
typedef struct HostLookup
{
	pthread_mutex_t mutex;		/* protects the two that follow */
	bool		done;
	bool		abandoned;		/* nobody waits for it any more */
	int			bell[2];		/* a pipe: closed by the thread when done */
	int			problem;		/* as getaddrinfo() returns it */
	struct addrinfo *found;
	char	   *host;
} HostLookup;

static HostLookup *lookup_create(const char *host);
static void lookup_free(HostLookup *lookup);
static bool lookup_start(HostLookup *lookup);
static void *lookup_run(void *arg);
static void lookup_wait(HostLookup *lookup);
static void lookup_abandon(HostLookup *lookup);

/*
 * Looks a host name up.  Returns what getaddrinfo() does; "found" is for
 * freeaddrinfo().  Interruptible.
 */
int
inval_host_lookup(const char *host, struct addrinfo **found)
{
	HostLookup *lookup = lookup_create(host);
	int			problem;

	*found = NULL;
	if (lookup == NULL)
		return EAI_MEMORY;
	if (!lookup_start(lookup))
	{
		lookup_free(lookup);
		return EAI_AGAIN;
	}
	PG_TRY();
	{
		lookup_wait(lookup);
	}
	PG_CATCH();
	{
		lookup_abandon(lookup);
		PG_RE_THROW();
	}
	PG_END_TRY();

	/* Until the thread has let go of it. */
	pthread_mutex_lock(&lookup->mutex);
	pthread_mutex_unlock(&lookup->mutex);
	problem = lookup->problem;
	*found = lookup->found;
	lookup->found = NULL;
	lookup_free(lookup);
	return problem;
}

static HostLookup *
lookup_create(const char *host)
{
	HostLookup *lookup = calloc(1, sizeof(HostLookup));

	if (lookup == NULL)
		return NULL;
	lookup->host = strdup(host);
	if (lookup->host == NULL || pipe2(lookup->bell, O_CLOEXEC) != 0)
	{
		free(lookup->host);
		free(lookup);
		return NULL;
	}
	pthread_mutex_init(&lookup->mutex, NULL);
	return lookup;
}

/*
 * The end of the pipe that the thread has is closed by it, or never was its own.
 */
static void
lookup_free(HostLookup *lookup)
{
	if (lookup->bell[1] >= 0)
		close(lookup->bell[1]);
	close(lookup->bell[0]);
	if (lookup->found != NULL)
		freeaddrinfo(lookup->found);
	pthread_mutex_destroy(&lookup->mutex);
	free(lookup->host);
	free(lookup);
}

/*
 * Starts the thread.  It inherits the mask of signals: none is to be served there.
 */
static bool
lookup_start(HostLookup *lookup)
{
	pthread_attr_t attributes;
	pthread_t	thread;
	sigset_t	all;
	sigset_t	old;
	bool		started;

	if (pthread_attr_init(&attributes) != 0)
		return false;
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	started = pthread_create(&thread, &attributes, lookup_run, lookup) == 0;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attributes);
	return started;
}

/*
 * The thread: nothing of the server may be called here.
 */
static void *
lookup_run(void *arg)
{
	HostLookup *lookup = arg;
	struct addrinfo hints = {0};
	bool		abandoned;

	hints.ai_socktype = SOCK_STREAM;
	lookup->problem = getaddrinfo(lookup->host, NULL, &hints, &lookup->found);
	if (lookup->problem != 0)
		lookup->found = NULL;

	pthread_mutex_lock(&lookup->mutex);
	lookup->done = true;
	abandoned = lookup->abandoned;
	close(lookup->bell[1]);
	lookup->bell[1] = -1;
	pthread_mutex_unlock(&lookup->mutex);
	if (abandoned)
		lookup_free(lookup);
	return NULL;
}

/*
 * Waits until the thread is done.
 */
static void
lookup_wait(HostLookup *lookup)
{
	bool		done = false;

	while (!done)
	{
		struct pollfd sockets[2] = {{.fd = lookup->bell[0],.events = POLLIN}};

		inval_wire_wait(sockets, 1, PG_UINT64_MAX, INVAL_WAIT_INTERRUPTIBLE,
						INVAL_WAITING_HOST);
		pthread_mutex_lock(&lookup->mutex);
		done = lookup->done;
		pthread_mutex_unlock(&lookup->mutex);
	}
}

/*
 * Leaves the request to the thread, unless that is done.
 */
static void
lookup_abandon(HostLookup *lookup)
{
	bool		done;

	pthread_mutex_lock(&lookup->mutex);
	lookup->abandoned = true;
	done = lookup->done;
	pthread_mutex_unlock(&lookup->mutex);
	if (done)
		lookup_free(lookup);
}
