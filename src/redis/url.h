/*
 * url.h
 *		Where a Redis is, as a URL.
 */
#ifndef INVAL_URL_H
#define INVAL_URL_H

#define INVAL_URL_PART_LEN		256
#define INVAL_URL_PROBLEM_LEN	160
#define INVAL_URL_HOSTS			8
#define INVAL_URL_SHOWN_LEN		((INVAL_URL_HOSTS + 8) * (INVAL_URL_PART_LEN * 3 + 16))

typedef enum InvalUrlKind
{
	INVAL_URL_TCP,				/* redis:// */
	INVAL_URL_TLS,				/* rediss:// */
	INVAL_URL_UNIX,				/* unix:// */
	INVAL_URL_SENTINEL,			/* redis+sentinel:// */
	INVAL_URL_CLUSTER,			/* redis+cluster:// */
	INVAL_URL_CLUSTER_TLS		/* rediss+cluster:// */
} InvalUrlKind;

typedef struct InvalUrlHost
{
	char		name[INVAL_URL_PART_LEN];
	int			port;
} InvalUrlHost;

/*
 * A parsed URL.  It holds its strings, so that nothing has to be freed; an
 * empty one was not given.
 */
typedef struct InvalUrl
{
	InvalUrlKind kind;
	char		host[INVAL_URL_PART_LEN];	/* or the path of the socket */
	int			port;
	char		user[INVAL_URL_PART_LEN];
	char		password[INVAL_URL_PART_LEN];
	char		passfile[INVAL_URL_PART_LEN];	/* whose first line is the password */
	int			db;

	/* Over TLS */
	char		cacert[INVAL_URL_PART_LEN]; /* empty: those the system trusts */
	char		cert[INVAL_URL_PART_LEN];
	char		key[INVAL_URL_PART_LEN];
	char		server_name[INVAL_URL_PART_LEN];	/* as in its certificate: sni,
													 * else the host */

	/* The sentinels, or some nodes of a cluster; "host" is left empty then */
	InvalUrlHost hosts[INVAL_URL_HOSTS];
	int			host_count;
	char		master[INVAL_URL_PART_LEN]; /* its name */
	char		sentinelpassfile[INVAL_URL_PART_LEN];
} InvalUrl;

/* For hints */
#define INVAL_URL_FORMS \
	"redis://[user:password@]host[:port][/db], rediss:// (the same over TLS), " \
	"redis+sentinel://host,.../master[/db], redis+cluster://host,..., rediss+cluster:// " \
	"or unix:///path?db=0"

/* The options that are strings */
#define INVAL_URL_ONLY(kind)	(1 << (kind))

typedef struct InvalUrlOption
{
	const char *name;			/* NULL: the end of the list */
	int			kinds;			/* bits of those that take it */
	bool		is_path;
	size_t		place;			/* in InvalUrl */
} InvalUrlOption;

extern const InvalUrlOption inval_url_options[];

extern bool inval_url_parse(const char *text, InvalUrl *url,
							char problem[INVAL_URL_PROBLEM_LEN]);
extern bool inval_url_is_cluster(const InvalUrl *url);
extern bool inval_url_is_address(const char *host);
extern bool inval_url_names_files(const InvalUrl *url);
extern void inval_url_address(const InvalUrl *url, char *address, Size size);
extern void inval_url_show(const InvalUrl *url, char *text, Size size);

#endif							/* INVAL_URL_H */
