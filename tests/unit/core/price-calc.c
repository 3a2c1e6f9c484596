/* The core's price functions as a filter, for oracle.py: one call a line in, its results out.
 *
 * No arithmetic of its own. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/rating/price.h"

static int64_t next_number(char **cursor)
{
	return strtoll(*cursor, cursor, 10);
}

/* split price block units...: all debits in turn, beginning without remainder. */
static void split(struct gy_rate rate, char *cursor)
{
	int64_t carry = 0, total = 0;

	for (;;) {
		int64_t micros, units;

		while (*cursor == ' ')
			cursor++;
		if (*cursor == '\n' || *cursor == '\0')
			break;
		units = next_number(&cursor);
		if (!gy_price_debit(rate, units, &carry, &micros)) {
			printf("refused\n");
			return;
		}
		total += micros;
	}
	printf("%" PRId64 " %" PRId64 "\n", total, carry);
}

int main(void)
{
	static char line[65536];

	while (fgets(line, sizeof(line), stdin)) {
		char *cursor = line + strcspn(line, " ");
		struct gy_rate rate;
		int64_t a, b, micros;

		rate.price_micros = next_number(&cursor);
		rate.block = next_number(&cursor);
		if (strncmp(line, "split ", 6) == 0) {
			split(rate, cursor);
			continue;
		}
		a = next_number(&cursor);
		b = next_number(&cursor);
		if (strncmp(line, "debit ", 6) == 0) {
			if (gy_price_debit(rate, a, &b, &micros))
				printf("%" PRId64 " %" PRId64 "\n", micros, b);
			else
				printf("refused\n");
		} else if (strncmp(line, "reserve ", 8) == 0) {
			if (gy_price_reserve(rate, a, b, &micros))
				printf("%" PRId64 "\n", micros);
			else
				printf("refused\n");
		} else if (strncmp(line, "afford ", 7) == 0) {
			printf("%" PRId64 "\n", gy_price_affordable(rate, a, b));
		} else if (strncmp(line, "rescale ", 8) == 0) {
			/* here: price = carry, block = from_block, a = to_block */
			printf("%" PRId64 "\n", gy_carry_rescale(rate.price_micros, rate.block, a));
		} else {
			fprintf(stderr, "price-calc: unknown line %s", line);
			return 2;
		}
	}
	return 0;
}
