/* Heapsort with a context, for layers that may not use libc's qsort (it may allocate). Not stable:
 * comparisons should leave no ties that matter. */
#ifndef GY_RATING_SORT_H
#define GY_RATING_SORT_H

#include <stddef.h>

/* Largest element, octets. */
#define GY_SORT_SIZE_MAX 32

/* compare(a, b, context): negative, 0, positive. */
void gy_sort(void *base, size_t n, size_t size,
	     int (*compare)(const void *a, const void *b, const void *context),
	     const void *context);

#endif
