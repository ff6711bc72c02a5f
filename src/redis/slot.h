/*
 * slot.h
 *		The hash slot of a key in a Redis Cluster.
 */
#ifndef INVAL_SLOT_H
#define INVAL_SLOT_H

#define INVAL_SLOTS		16384

extern int	inval_slot_of_key(const char *key, Size length);

#endif							/* INVAL_SLOT_H */
