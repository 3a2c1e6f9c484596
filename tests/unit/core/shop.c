/* The catalogue, accounts and random numbers of the random tests: see shop.h. */
#include "tests/unit/core/shop.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static const struct gy_policy policies[] = {
	{ .rating_group = 10,
	  .default_grant = 10485760,
	  .max_grant = 52428800,
	  .threshold = 2097152,
	  .validity_s = SHOP_VALIDITY_S,
	  .quota_holding_s = 600,
	  .final_unit = GY_FINAL_TERMINATE },
	{ .rating_group = 11,
	  .default_grant = 1000000,
	  .max_grant = 5000000,
	  .threshold = 999999,
	  .validity_s = SHOP_VALIDITY_S,
	  .final_unit = GY_FINAL_TERMINATE },
	{ .rating_group = 12,
	  .default_grant = 1 << 30,
	  .max_grant = INT64_C(1) << 34,
	  .validity_s = SHOP_VALIDITY_S,
	  .final_unit = GY_FINAL_TERMINATE },
	{ .rating_group = 13,
	  .default_grant = 300,
	  .max_grant = 3600,
	  .threshold = 30,
	  .validity_s = SHOP_VALIDITY_S,
	  .final_unit = GY_FINAL_REDIRECT,
	  .redirect_type = GY_REDIRECT_URL,
	  .redirect_address = "http://topup.spec.test/" },
	{ .rating_group = 14,
	  .default_grant = 1,
	  .max_grant = 10,
	  .validity_s = SHOP_VALIDITY_S,
	  .final_unit = GY_FINAL_TERMINATE },
	{ .rating_group = 15,
	  .default_grant = 1000,
	  .max_grant = 1 << 20,
	  .threshold = 10,
	  .validity_s = SHOP_VALIDITY_S,
	  .final_unit = GY_FINAL_RESTRICT_ACCESS },
	{ .rating_group = 16,
	  .default_grant = 1000,
	  .max_grant = 1 << 20,
	  .threshold = 10,
	  .validity_s = SHOP_VALIDITY_S,
	  .final_unit = GY_FINAL_TERMINATE },
	{ .rating_group = 30,
	  .default_grant = 1000,
	  .max_grant = 1000,
	  .validity_s = SHOP_VALIDITY_S },
	{ .rating_group = 50,
	  .default_grant = 1000,
	  .max_grant = 1000,
	  .validity_s = SHOP_VALIDITY_S },
};

#define ALWAYS .tariff_id = 1, .valid_from_us = INT64_MIN, .valid_until_us = INT64_MAX

static const struct gy_specific_rule rules[] = {
	{ ALWAYS, .rule_id = 1, .rating_group = 10, .unit = GY_UNIT_OCTETS,
	  .rate = { 100000, 1048576 } },
	{ ALWAYS, .rule_id = 2, .rating_group = 11, .unit = GY_UNIT_OCTETS, .rate = { 7, 3 } },
	{ ALWAYS, .rule_id = 3, .rating_group = 12, .unit = GY_UNIT_OCTETS,
	  .rate = { 1, 1000000007 } },
	{ ALWAYS, .rule_id = 4, .rating_group = 13, .unit = GY_UNIT_SECONDS,
	  .rate = { 600001, 60 } },
	{ ALWAYS, .rule_id = 5, .rating_group = 14, .unit = GY_UNIT_SERVICE,
	  .rate = { 1000000, 1 } },
	{ ALWAYS, .rule_id = 6, .rating_group = 15, .unit = GY_UNIT_OCTETS,
	  .rate = { 999983, 1009 } },
	{ ALWAYS, .rule_id = 7, .rating_group = 16, .unit = GY_UNIT_OCTETS, .rate = { 0, 1 } },
	{ ALWAYS, .rule_id = 8, .rating_group = 30, .unit = GY_UNIT_OCTETS, .kind = GY_RULE_FREE,
	  .rate = { 0, 1 } },
	{ ALWAYS, .rule_id = 9, .rating_group = 50, .unit = GY_UNIT_OCTETS,
	  .kind = GY_RULE_FORBIDDEN, .rate = { 0, 1 } },
};

static const struct gy_service_context contexts[] = {
	{ .suffix = "32251@3gpp.org", .default_rating_group = 10 },
};
const uint32_t shop_rating_groups[] = { 10, 10, 11, 11, 12, 13, 14, 15, 16, 30, 40, 50 };

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
const unsigned shop_n_rating_groups = COUNT(shop_rating_groups);

const struct gy_catalogue shop_catalogue = {
	.version = 1,
	.n_policies = COUNT(policies),
	.policies = policies,
	.n_rules = COUNT(rules),
	.rules = rules,
	.n_contexts = COUNT(contexts),
	.contexts = contexts,
};

/* ---- random numbers: the same on every machine ---- */

static uint64_t state;

uint64_t shop_random(void)
{
	uint64_t z = state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

unsigned shop_below(unsigned n)
{
	return (unsigned)(shop_random() % n);
}

int64_t shop_wide(int64_t most)
{
	unsigned bits = shop_below(64 - (unsigned)__builtin_clzll((uint64_t)most | 1)) + 1;
	int64_t value = (int64_t)(shop_random() >> (64 - bits));

	return value < most ? value : most;
}

const struct gy_specific_rule *shop_rule(uint32_t rating_group)
{
	for (size_t i = 0; i < COUNT(rules); i++)
		if (rules[i].rating_group == rating_group)
			return &rules[i];
	return NULL;
}

const struct gy_policy *shop_policy(uint32_t rating_group)
{
	for (size_t i = 0; i < COUNT(policies); i++)
		if (policies[i].rating_group == rating_group)
			return &policies[i];
	return NULL;
}

int64_t shop_cost(const struct gy_specific_rule *rule, int64_t units)
{
	return (int64_t)((__int128)units * rule->rate.price_micros / rule->rate.block);
}

void shop_open(struct gy_world *world, const int64_t balances[SHOP_ACCOUNTS])
{
	struct gy_account accounts[SHOP_ACCOUNTS];

	for (int i = 0; i < SHOP_ACCOUNTS; i++)
		accounts[i] = (struct gy_account){
			.account_id = i + 1,
			.group_id = i + 1,
			.version = 1,
			.profile_version = 1,
			.state = GY_ACTIVE,
			.currency = 156,
			.balance = balances[i],
			.credit_limit = i == 2 ? 5000000 : 0,
			.valid_until_us = INT64_MAX,
		};
	gy_world_init(world, &shop_catalogue, accounts, SHOP_ACCOUNTS,
		      INT64_C(1800000000) * GY_SECOND_US);
}

struct shop_options shop_options(int argc, char **argv, unsigned steps)
{
	const char *given = getenv("GYRO_SEED");
	struct shop_options o = { given ? strtoull(given, NULL, 10) : 0, steps };

	for (int i = 1; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "--seed") == 0)
			o.seed = strtoull(argv[i + 1], NULL, 10);
		else if (strcmp(argv[i], "--steps") == 0)
			o.steps = (unsigned)strtoul(argv[i + 1], NULL, 10);
	}
	if (o.seed == 0)
		o.seed = (uint64_t)time(NULL);
	state = o.seed;
	return o;
}
