/*
 * url.c
 *		URLs: what is said of one ends where it must, and has no password in it.
 */
#include "postgres.h"

#include "redis/url.h"
#include "version/server.h"
#include "stubs.h"

/* Of a part that all of a URL's strings are */
static void
check_part(const char *part)
{
	FUZZ_CHECK(memchr(part, '\0', INVAL_URL_PART_LEN) != NULL);
}

static void
check_url(const InvalUrl *url)
{
	char		shown[INVAL_URL_SHOWN_LEN];
	int			i;

	check_part(url->host);
	check_part(url->user);
	check_part(url->password);
	check_part(url->master);
	check_part(url->server_name);
	FUZZ_CHECK(url->host_count >= 0 && url->host_count <= INVAL_URL_HOSTS);
	for (i = 0; i < url->host_count; i++)
		check_part(url->hosts[i].name);
	for (i = 0; inval_url_options[i].name != NULL; i++)
		check_part((const char *) url + inval_url_options[i].place);
	(void) inval_url_names_files(url);

	memset(shown, 'x', sizeof(shown));
	inval_url_show(url, shown, sizeof(shown));
	FUZZ_CHECK(memchr(shown, '\0', sizeof(shown)) != NULL);
	memset(shown, 'x', sizeof(shown));
	inval_url_address(url, shown, sizeof(shown));
	FUZZ_CHECK(memchr(shown, '\0', sizeof(shown)) != NULL);
}

/*
 * A URL that differs in the password alone is shown the same.
 */
static void
check_secret(const InvalUrl *url)
{
	static InvalUrl other;
	char		shown[INVAL_URL_SHOWN_LEN];
	char		other_shown[INVAL_URL_SHOWN_LEN];

	if (url->password[0] == '\0')
		return;
	other = *url;
	strlcpy(other.password, "another", sizeof(other.password));
	inval_url_show(url, shown, sizeof(shown));
	inval_url_show(&other, other_shown, sizeof(other_shown));
	FUZZ_CHECK(strcmp(shown, other_shown) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8 *bytes, size_t length)
{
	static InvalUrl url;
	char		problem[INVAL_URL_PROBLEM_LEN];
	char	   *text = fuzz_text(bytes, length);

	memset(problem, 'x', sizeof(problem));
	if (inval_url_parse(text, &url, problem))
	{
		check_url(&url);
		check_secret(&url);
	}
	else
		FUZZ_CHECK(memchr(problem, '\0', sizeof(problem)) != NULL);
	fuzz_forget();
	return 0;
}
