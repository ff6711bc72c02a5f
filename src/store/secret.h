/*
 * secret.h
 *		What an item of the store keeps from everybody but superusers.
 */
#ifndef INVAL_STORE_SECRET_H
#define INVAL_STORE_SECRET_H

/* The option of the user mapping of a target */
#define INVAL_STORE_SECRET		"url"

extern void inval_store_put_secret(Oid server, const char *secret);
extern const char *inval_store_secret(Oid server);
extern void inval_store_adopt_secret(Oid server);

#endif							/* INVAL_STORE_SECRET_H */
