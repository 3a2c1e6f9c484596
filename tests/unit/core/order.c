/* Order and size of usage reports do not matter: permuted and split reports leave the same balance,
 * to the micro-unit, whatever the account can afford.
 *
 *   decide-order [--seed N] [--steps N]      (or GYRO_SEED; the seed is printed first and last) */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/core/request.h"
#include "tests/unit/core/shop.h"

static const struct gy_profile profile = {
	.subscriber_id = 1,
	.account_id = 1,
	.group_id = 1,
	.profile_version = 1,
	.tariff_id = 1,
	.state = GY_ACTIVE,
};
static uint64_t seed;

__attribute__((format(printf, 1, 2), noreturn)) static void broken(const char *format, ...)
{
	va_list args;

	printf("not ok 1 - permuted and split reports\n# ");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n# seed %" PRIu64 "\n", seed);
	exit(1);
}

/* The balance after one session whose usage of two Rating-Groups comes in these pieces. */
static int64_t spend(const int64_t *pieces, const unsigned *order, unsigned n, int64_t opening)
{
	const int64_t balances[SHOP_ACCOUNTS] = { opening, 0, 0, 0 };
	struct gy_world w;
	struct request r;
	int64_t left;

	shop_open(&w, balances);
	request_begin(&r, GY_INITIAL, 1, 0);
	request_service(&r, 10, 0);
	request_more(&r, GY_UNIT_OCTETS, -1);
	request_end(&r);
	(void)gy_world_request(&w, &r.ccr, 0, &profile);
	for (unsigned i = 0; i < n; i++) {
		w.now += 1000;
		request_begin(&r, GY_UPDATE, 1, order[i] + 1);
		request_service(&r, 10, 0);
		request_used(&r, GY_UNIT_OCTETS, pieces[order[i]]);
		request_more(&r, GY_UNIT_OCTETS, -1);
		request_service(&r, 15, 0);
		request_used(&r, GY_UNIT_OCTETS, pieces[order[i]] / 3);
		request_end(&r);
		(void)gy_world_request(&w, &r.ccr, 0, &profile);
	}
	request_begin(&r, GY_TERMINATION, 1, n + 1);
	request_end(&r);
	(void)gy_world_request(&w, &r.ccr, 0, &profile);
	if (gy_world_audit(&w) || w.accounts[0].account.reserved != 0)
		broken("order of reports: %s",
		       gy_world_audit(&w) ? gy_world_audit(&w) : "reserved");
	left = w.accounts[0].account.balance;
	gy_world_free(&w);
	return left;
}

static void orders_and_splits(unsigned rounds)
{
	for (unsigned round = 0; round < rounds; round++) {
		int64_t pieces[60], whole[1] = { 0 }, whole_third = 0,
				    opening = shop_wide(200000000);
		unsigned order[60], n = shop_below(59) + 1, zero = 0;
		int64_t in_order, permuted, expected;

		for (unsigned i = 0; i < n; i++) {
			pieces[i] = shop_wide(1 << 24);
			whole[0] += pieces[i];
			whole_third += pieces[i] / 3;
			order[i] = i;
		}
		in_order = spend(pieces, order, n, opening);
		for (unsigned i = n - 1; i > 0; i--) {
			unsigned k = shop_below(i + 1), swap = order[i];

			order[i] = order[k];
			order[k] = swap;
		}
		permuted = spend(pieces, order, n, opening);
		if (permuted != in_order)
			broken("%u reports in another order left %" PRId64 ", not %" PRId64, n,
			       permuted, in_order);
		expected = opening - shop_cost(shop_rule(10), whole[0]) -
			   shop_cost(shop_rule(15), whole_third);
		if (in_order != expected)
			broken("%u reports left %" PRId64 ", one would leave %" PRId64, n, in_order,
			       expected);
		/* And the one report, by the core itself. */
		expected = opening - shop_cost(shop_rule(10), whole[0]) -
			   shop_cost(shop_rule(15), whole[0] / 3);
		if (spend(whole, &zero, 1, opening) != expected)
			broken("one report of %" PRId64 " is priced wrongly", whole[0]);
	}
}

int main(int argc, char **argv)
{
	struct shop_options o = shop_options(argc, argv, 300);

	seed = o.seed;
	printf("# seed %" PRIu64 "\n1..1\n", seed);
	orders_and_splits(o.steps);
	printf("ok 1 - permuted and split reports leave the same balance (%u sessions)\n", o.steps);
	printf("# seed %" PRIu64 "\n", seed);
	return 0;
}
