/*
 * worker.h
 *		The process that delivers for one database.
 */
#ifndef INVAL_WORKER_H
#define INVAL_WORKER_H

#include "postgres.h"

extern PGDLLEXPORT void inval_worker_main(Datum database);

#endif							/* INVAL_WORKER_H */
