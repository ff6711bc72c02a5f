/*
 * latency.c
 *		How long Redis takes to answer a client that reads one key at a time.
 *
 *		latency CACHE INTERVAL_US
 *
 * Until its standard input ends.  A line for each read: when it was asked and
 * how long the answer took, both in microseconds, the former by the clock that
 * counts from some fixed moment.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "cache.h"
#include "common.h"

static bool
input_ended(void)
{
	struct pollfd input = {.fd = 0, .events = POLLIN};

	return poll(&input, 1, 0) > 0;
}

int
main(int count, char **arguments)
{
	Cache	   *cache;

	if (count != 3)
		die("usage: latency CACHE INTERVAL_US");
	cache = cache_open(arguments[1]);
	while (!input_ended())
	{
		double		asked = now_us();

		cache_has(cache, "nobody:has:this:key");
		printf("%.0f %.1f\n", asked, now_us() - asked);
		pause_us((unsigned) atoi(arguments[2]));
	}
	return 0;
}
