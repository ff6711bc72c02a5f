/*
 * url.h
 *		Where a Redis is, as a URL.
 */
#ifndef INVAL_URL_H
#define INVAL_URL_H

#define INVAL_URL_PART_LEN		256
#define INVAL_URL_PROBLEM_LEN	160
#define INVAL_URL_SHOWN_LEN		(2 * INVAL_URL_PART_LEN + 64)

/* A parsed URL.  It holds its strings, so that nothing has to be freed. */
typedef struct InvalUrl
{
	bool		is_unix;
	char		host[INVAL_URL_PART_LEN];	/* or the path of the socket */
	int			port;
	char		user[INVAL_URL_PART_LEN];	/* empty: none */
	char		password[INVAL_URL_PART_LEN];	/* empty: none */
	int			db;
} InvalUrl;

extern bool inval_url_parse(const char *text, InvalUrl *url,
							char problem[INVAL_URL_PROBLEM_LEN]);
extern void inval_url_address(const InvalUrl *url, char *address, Size size);
extern void inval_url_show(const InvalUrl *url, char *text, Size size);

#endif							/* INVAL_URL_H */
