/*
 * launcher.h
 *		Starts one worker for each database that has the extension.
 */
#ifndef INVAL_LAUNCHER_H
#define INVAL_LAUNCHER_H

#include "postgres.h"

extern void inval_launcher_init(void);
extern void inval_launcher_request_worker(void);
extern PGDLLEXPORT void inval_launcher_main(Datum arg);

#endif							/* INVAL_LAUNCHER_H */
