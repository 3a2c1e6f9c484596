/* Heapsort: see sort.h. */
#include "core/rating/sort.h"

#include <stdint.h>
#include <string.h>

#include "core/base/assert.h"

static void swap(uint8_t *a, uint8_t *b, size_t size)
{
	uint8_t keep[GY_SORT_SIZE_MAX];

	memcpy(keep, a, size);
	memcpy(a, b, size);
	memcpy(b, keep, size);
}

void gy_sort(void *base, size_t n, size_t size,
	     int (*compare)(const void *a, const void *b, const void *context), const void *context)
{
	uint8_t *items = base;
	size_t start = n / 2, end = n;

	gy_assert(size <= GY_SORT_SIZE_MAX);
	while (end > 1) {
		size_t root;

		if (start > 0) {
			start--;
		} else {
			end--;
			swap(items, items + end * size, size);
		}
		for (root = start; 2 * root + 1 < end;) {
			size_t child = 2 * root + 1;

			if (child + 1 < end &&
			    compare(items + child * size, items + (child + 1) * size, context) < 0)
				child++;
			if (compare(items + root * size, items + child * size, context) >= 0)
				break;
			swap(items + root * size, items + child * size, size);
			root = child;
		}
	}
}
