/* Exact prices: int64 micro-units, 128-bit intermediates, no floating point.
 *
 * A rate is price_micros per block of units, linear. The remainder of each division (in 1/block of
 * a micro-unit) is carried per session and Rating-Group, so that many small reports cost to the
 * micro-unit what one big one costs (spec/tariffs.md, Arithmetic). */
#ifndef GY_RATING_PRICE_H
#define GY_RATING_PRICE_H

#include <stdbool.h>

#include "core/rating/catalogue.h"

/* Price of used units, rounded down; *carry (0 <= carry < block) goes in and comes out.
 * False, and nothing changed, if the price exceeds GY_AMOUNT_MAX. */
bool gy_price_debit(struct gy_rate rate, int64_t units, int64_t *carry,
		    int64_t *micros) GY_MUST_CHECK;

/* What must be held so that a debit of up to these units is covered: rounded up.
 * False if it exceeds GY_AMOUNT_MAX. */
bool gy_price_reserve(struct gy_rate rate, int64_t units, int64_t carry,
		      int64_t *micros) GY_MUST_CHECK;

/* The most units whose reserve fits into micros; at most GY_AMOUNT_MAX, 0 if micros <= 0
 * (a price of zero affords everything as long as micros >= 0). */
int64_t gy_price_affordable(struct gy_rate rate, int64_t micros, int64_t carry);

/* A carry of one block size in terms of another; loses less than 1/to_block of a micro-unit. */
int64_t gy_carry_rescale(int64_t carry, int64_t from_block, int64_t to_block);

#endif
