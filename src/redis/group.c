/*
 * group.c
 *		Exchanges with several Redis servers at once.
 *
 * All were started (inval_redis_start) before any reply is waited for, and all
 * have the same absolute deadline, so the whole takes as long as the slowest.
 * They are waited for together: one server that does not answer must not keep
 * us from reading what the others have answered, or it would be held against
 * them.
 */
#include "postgres.h"

#include <poll.h>
#include <sched.h>

#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"

#include "redis/group.h"

/* How long replies are looked for without going to sleep: see connection.c. */
#define SPIN_US		100
#define SPIN_PAUSE	100

static uint64 group_spin_until(void);
static void group_wait_held(const struct pollfd *sockets, int count, int timeout);
static void group_wait_interruptible(const struct pollfd *sockets, int count,
									 int timeout);

/* Groups before spinning is tried again. */
static int	no_spin = 0;

/*
 * Finishes exchanges that were started, on at most INVAL_GROUP_MAX connections.
 * The array is used up; what became of each is known to its connection
 * (inval_redis_is_sound).  With INVAL_WAIT_HELD it raises no error.
 */
void
inval_redis_finish_group(InvalConnection **connections, int count,
						 uint64 deadline, InvalWait wait)
{
	struct pollfd sockets[INVAL_GROUP_MAX];
	uint64		spin_until = wait == INVAL_WAIT_HELD ? group_spin_until() : 0;

	Assert(count <= INVAL_GROUP_MAX);
	for (;;)
	{
		uint64		now = inval_clock_us();
		int			pending = 0;
		int			timeout;
		int			i;

		for (i = 0; i < count; i++)
		{
			InvalConnection *connection = connections[i];

			if (!inval_redis_step(connection))
				continue;
			sockets[pending].fd = inval_redis_socket(connection);
			sockets[pending].events = inval_redis_events(connection);
			sockets[pending].revents = 0;
			connections[pending++] = connection;
		}
		if (pending == 0)
			return;
		count = pending;
		if (now >= deadline)
			break;
		if (now < spin_until)
		{
			/* Gives way to whoever wants the processor. */
			(void) sched_yield();
			continue;
		}
		if (spin_until > 0)
			no_spin = SPIN_PAUSE;	/* that was in vain */
		spin_until = 0;
		timeout = (int) Min((deadline - now + 999) / 1000, 60000);
		if (wait == INVAL_WAIT_HELD)
			group_wait_held(sockets, count, timeout);
		else
			group_wait_interruptible(sockets, count, timeout);
	}
	while (count > 0)
		inval_redis_give_up(connections[--count]);
}

/*
 * Until when replies are looked for without going to sleep; 0: not at all.
 */
static uint64
group_spin_until(void)
{
	if (no_spin == 0)
		return inval_clock_us() + SPIN_US;
	no_spin--;
	return 0;
}

static void
group_wait_held(const struct pollfd *sockets, int count, int timeout)
{
	pgstat_report_wait_start(inval_wire_wait_event());
	(void) poll(unconstify(struct pollfd *, sockets), (nfds_t) count, timeout);
	pgstat_report_wait_end();
}

/*
 * By the latch, so that interrupts are served.
 */
static void
group_wait_interruptible(const struct pollfd *sockets, int count, int timeout)
{
	WaitEventSet *set;
	WaitEvent	event;
	int			i;

#if PG_VERSION_NUM >= 170000
	set = CreateWaitEventSet(NULL, count + 2);
#else
	set = CreateWaitEventSet(CurrentMemoryContext, count + 2);
#endif
	(void) AddWaitEventToSet(set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
	(void) AddWaitEventToSet(set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
	for (i = 0; i < count; i++)
		(void) AddWaitEventToSet(set, WL_SOCKET_READABLE |
								 (sockets[i].events & POLLOUT ? WL_SOCKET_WRITEABLE : 0),
								 sockets[i].fd, NULL, NULL);
	(void) WaitEventSetWait(set, timeout, &event, 1, inval_wire_wait_event());
	FreeWaitEventSet(set);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}
