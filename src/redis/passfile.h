/*
 * passfile.h
 *		A password that is kept in a file.
 */
#ifndef INVAL_PASSFILE_H
#define INVAL_PASSFILE_H

/* Tokens that stand for passwords at some providers have 2 kB. */
#define INVAL_PASSWORD_LEN	4096

extern bool inval_passfile_read(const char *path, char password[INVAL_PASSWORD_LEN],
								char *error, Size error_size);
extern void inval_passfile_hide(const char *password, char *text, Size size);

#endif							/* INVAL_PASSFILE_H */
