/*
 * command_guard.h
 *		Commands of the server that inval has to know of.
 */
#ifndef INVAL_COMMAND_GUARD_H
#define INVAL_COMMAND_GUARD_H

extern void inval_command_guard_init(void);

#endif							/* INVAL_COMMAND_GUARD_H */
