/*
 * health.c
 *		What the processes of a server know of a target together.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "target/health.h"

/*
 * The shared health of a target in this database, claimed on first use.
 */
InvalTargetHealth *
inval_target_health(const char *name)
{
	InvalShared *shared = inval_shared();
	InvalTargetHealth *free_slot = NULL;
	InvalTargetHealth *found = NULL;
	uint32		i;

	/* Whoever looks at a target wants the database to have a worker. */
	(void) inval_shared_database();
	SpinLockAcquire(&shared->mutex);
	for (i = 0; i < shared->targets; i++)
	{
		InvalTargetHealth *health = &inval_shared_targets()[i];

		if (health->database == MyDatabaseId && strcmp(health->name, name) == 0)
		{
			found = health;
			break;
		}
		if (free_slot == NULL && !OidIsValid(health->database))
			free_slot = health;
	}
	if (found == NULL)
	{
		/* With none free, the last one's owners share their breaker. */
		found = free_slot ? free_slot : &inval_shared_targets()[shared->targets - 1];
		if (free_slot != NULL)
		{
			free_slot->database = MyDatabaseId;
			strlcpy(free_slot->name, name, sizeof(free_slot->name));
			free_slot->url_hash = 0;
			free_slot->address[0] = '\0';
			pg_atomic_write_u32(&free_slot->resolved_mark, 0);
			inval_target_forget_place(free_slot);
			free_slot->progress[0] = '\0';
			free_slot->collapsed_at = 0;
			free_slot->collapsed_keys = 0;
			pg_atomic_write_u32(&free_slot->paused, 0);
			free_slot->pause_known = false;
		}
	}
	SpinLockRelease(&shared->mutex);
	return found;
}

/*
 * Forgets what is known of the servers that a target was at.  Down or up, it
 * stays so until the new place was tried, which is due now.  Under a mutex.
 */
void
inval_target_forget_place(InvalTargetHealth *health)
{
	health->attempts = 0;
	health->next_try = 0;
	health->last_error[0] = '\0';
	health->resolved[0] = '\0';
	memset(health->lost, 0, sizeof(health->lost));
	pg_atomic_write_u32(&health->lost_nodes, 0);
	pg_atomic_write_u32(&health->lost_news, 0);
	pg_atomic_write_u32(&health->slow_answers, 0);
	pg_atomic_write_u32(&health->slow, 0);
}
