/*
 * looks.h
 *		Rows whose keys are looked up at the end of the transaction.
 */
#ifndef INVAL_LOOKS_H
#define INVAL_LOOKS_H

/*
 * Evaluates what has been noted so far.  Look-ups are made at once as yet, so
 * there is nothing to do.
 */
static inline void
inval_looks_run(void)
{
}

#endif							/* INVAL_LOOKS_H */
