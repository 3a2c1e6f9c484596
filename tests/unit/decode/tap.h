/* TAP on standard output. */
#ifndef GY_TEST_TAP_H
#define GY_TEST_TAP_H

#include <stdbool.h>
#include <stdio.h>

static unsigned tap_count, tap_failed;

static inline bool ok(bool good, const char *name)
{
	tap_count++;
	tap_failed += !good;
	printf("%sok %u - %s\n", good ? "" : "not ", tap_count, name);
	return good;
}

static inline int tap_end(void)
{
	printf("1..%u\n", tap_count);
	if (tap_failed > 0)
		printf("# %u of %u failed\n", tap_failed, tap_count);
	return tap_failed > 0;
}

#endif
