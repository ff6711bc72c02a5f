/*
 * gather.h
 *		What is read from the outbox at a time, and sent.
 */
#ifndef INVAL_GATHER_H
#define INVAL_GATHER_H

#include "worker/batch.h"
#include "worker/pass.h"

extern void inval_batch_gather(InvalBatch *batch, InvalPass *pass);

#endif							/* INVAL_GATHER_H */
