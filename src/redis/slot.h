/*
 * slot.h
 *		The hash slot of a key in a Redis Cluster.
 */
#ifndef INVAL_SLOT_H
#define INVAL_SLOT_H

#define INVAL_SLOTS		16384

/* None of these can fail */
extern int	inval_slot_of_key(const char *key, Size length);
extern bool inval_slot_find_tag(const char **key, Size *length);
extern uint16 inval_slot_crc16(const char *bytes, Size length);

#endif							/* INVAL_SLOT_H */
