/* What the random tests of the decision share: a small catalogue with awkward prices, accounts,
 * random numbers that are the same on every machine, and a naive price. */
#ifndef GY_TESTS_SHOP_H
#define GY_TESTS_SHOP_H

#include "tests/lib/world.h"

#define SHOP_ACCOUNTS   4
#define SHOP_VALIDITY_S 3600

extern const struct gy_catalogue shop_catalogue;
/* Rating-Groups to choose from: priced ones, 30 free, 40 without tariff, 50 forbidden. */
extern const uint32_t shop_rating_groups[];
extern const unsigned shop_n_rating_groups;

/* NULL if the Rating-Group has none. */
const struct gy_specific_rule *shop_rule(uint32_t rating_group);
const struct gy_policy *shop_policy(uint32_t rating_group);

/* The price of units that were never reported before, rounded down. */
int64_t shop_cost(const struct gy_specific_rule *rule, int64_t units);

/* A world of SHOP_ACCOUNTS accounts; the third has a credit limit. */
void shop_open(struct gy_world *world, const int64_t balances[SHOP_ACCOUNTS]);

/* --seed N, --steps N, or GYRO_SEED; without a seed one is taken from the clock. */
struct shop_options {
	uint64_t seed;
	unsigned steps;
};
struct shop_options shop_options(int argc, char **argv, unsigned steps);

uint64_t shop_random(void);
unsigned shop_below(unsigned n);
/* From 0 to most; the magnitude, not the value, is evenly spread. */
int64_t shop_wide(int64_t most);

#endif
