/* The last words of a node that found a bug of its own: see assert.h. */
#include "core/base/assert.h"

#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>
#include <string.h>

void (*gy_assert_report)(const char *expression, const char *file, int line);

void gy_assert_failed(const char *expression, const char *file, int line)
{
	if (gy_assert_report != NULL) {
		gy_assert_report(expression, file, line);
	} else {
		/* write(2): nothing here may allocate or lock. */
		if (write(STDERR_FILENO, "gyro: assertion failed: ", 24) < 0 ||
		    write(STDERR_FILENO, expression, strlen(expression)) < 0 ||
		    write(STDERR_FILENO, "\n", 1) < 0)
			abort();
	}
	abort();
}
