/*
 * shared.h
 *		What the processes of one server know together.
 */
#ifndef INVAL_SHARED_H
#define INVAL_SHARED_H

#include "storage/spin.h"

/*
 * An array in shared memory.  Whose it is knows what is in it and how many
 * elements there should be, and keeps the struct for the life of the process.
 */
typedef struct InvalSharedArea
{
	Size		element_size;
	uint32		layout;			/* to be raised with every change of an element */
	uint32		preloaded;		/* how many where the library is preloaded, */
	uint32		reserve;		/* and where they come out of the reserve */
	void		(*initialize) (void *element);	/* which is zero; NULL: that will do */

	/* Set when this process attaches; see inval_shared_elements */
	uint32		count;
	void	   *elements;
} InvalSharedArea;

/* Called by _PG_init: first all areas, then the rest */
extern void inval_shared_add(InvalSharedArea *area);
extern void inval_shared_init(void);

extern bool inval_shared_is_preloaded(void);
extern void inval_shared_attach(void);
extern slock_t *inval_shared_mutex(void);

/*
 * The elements of an area, and from then on how many there are.  Attaches on
 * first use (which may raise an error, so do it before the commit record).
 * Never NULL: where shared memory is not to be had, the areas are this
 * process's own and nothing is known together.
 */
static inline void *
inval_shared_elements(InvalSharedArea *area)
{
	if (unlikely(area->elements == NULL))
		inval_shared_attach();
	return area->elements;
}

#endif							/* INVAL_SHARED_H */
