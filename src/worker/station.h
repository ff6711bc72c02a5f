/*
 * station.h
 *		A worker's place: taken, kept, and given to others.
 */
#ifndef INVAL_STATION_H
#define INVAL_STATION_H

#include "target/target.h"

extern InvalTarget *inval_station_take(Oid database);
extern void inval_station_check(void);
extern void inval_station_give_place(bool busy, TimestampTz visit_at);

#endif							/* INVAL_STATION_H */
