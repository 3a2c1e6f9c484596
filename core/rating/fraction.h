/* Exact rates while rules work on them: reduced fractions of int64, 128-bit intermediates, no
 * rounding. What can't be represented is refused, never approximated. */
#ifndef GY_RATING_FRACTION_H
#define GY_RATING_FRACTION_H

#include <stdbool.h>

#include "core/rating/catalogue.h"

/* micros / block in lowest terms; micros may be negative, block is in 1..GY_AMOUNT_MAX. */
struct gy_fraction {
	int64_t micros;
	int64_t block;
};

/* Greatest common divisor of two non-negative numbers; gcd(0, x) = x. */
uint64_t gy_gcd(uint64_t a, uint64_t b);

struct gy_fraction gy_fraction_of(int64_t micros, int64_t block);

/* The result may need a block above GY_AMOUNT_MAX or micros beyond int64: false, *value unchanged.
 */
bool gy_fraction_multiply(struct gy_fraction *value, struct gy_fraction by) GY_MUST_CHECK;
bool gy_fraction_add(struct gy_fraction *value, struct gy_fraction term) GY_MUST_CHECK;

/* -1, 0 or 1. */
int gy_fraction_compare(struct gy_fraction a, struct gy_fraction b);

/* As a rate whose block is the smallest multiple of `block` at which the price is whole. */
bool gy_fraction_rate(struct gy_fraction value, int64_t block, struct gy_rate *rate) GY_MUST_CHECK;

#endif
