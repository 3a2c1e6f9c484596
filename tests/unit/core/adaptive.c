/* Adaptive grants: sized by the recent rate of use, the sources and the open sessions;
 * Validity-Time with jitter. */
#include "tests/lib/tap.h"
#include "tests/lib/world.h"
#include "tests/unit/core/request.h"

#define MIB INT64_C(1048576)
#define NOW (INT64_C(1800000000) * GY_SECOND_US)

static struct gy_policy policy;
static const struct gy_specific_rule rule = {
	1, 1, 10, GY_UNIT_OCTETS, GY_RULE_PRICED, { 100000, MIB }, INT64_MIN, INT64_MAX
};
static const struct gy_service_context contexts[] = { { .suffix = "32251@3gpp.org" } };
static const struct gy_catalogue catalogue = { .version = 1,
					       .n_policies = 1,
					       .policies = &policy,
					       .n_rules = 1,
					       .rules = &rule,
					       .n_contexts = 1,
					       .contexts = contexts };
static const struct gy_profile profile = { .subscriber_id = 1,
					   .account_id = 1,
					   .group_id = 1,
					   .profile_version = 1,
					   .tariff_id = 1,
					   .state = GY_ACTIVE };
static struct gy_world world;
static struct request r;

static void fresh(void)
{
	const struct gy_account account = { .account_id = 1,
					    .group_id = 1,
					    .version = 1,
					    .profile_version = 1,
					    .state = GY_ACTIVE,
					    .currency = 156,
					    .balance = 1000000000,
					    .valid_until_us = INT64_MAX };

	policy = (struct gy_policy){ .rating_group = 10,
				     .default_grant = 10 * MIB,
				     .min_grant = MIB,
				     .max_grant = 50 * MIB,
				     .validity_s = 3600,
				     .target_s = 600 };
	gy_world_init(&world, &catalogue, &account, 1, NOW);
}

static void done(void)
{
	ck_assert_ptr_null(gy_world_audit(&world));
	gy_world_free(&world);
}

/* used < 0: no report; more: -2 no request, -1 for no amount. Returns what was granted. */
static int64_t say(enum gy_request_type type, uint64_t session, uint32_t number, int64_t used,
		   int64_t more)
{
	request_begin(&r, type, session, number);
	request_service(&r, 10, 0);
	if (used >= 0)
		request_used(&r, GY_UNIT_OCTETS, used);
	if (more >= -1)
		request_more(&r, GY_UNIT_OCTETS, more);
	request_end(&r);
	gy_world_request(&world, &r.ccr, 0, &profile);
	ck_assert_int_eq(world.plan.answer.rc, GY_OK);
	ck_assert_ptr_null(gy_world_audit(&world));
	return world.plan.answer.services[0].granted;
}

static void wait_s(int64_t seconds)
{
	world.now += seconds * GY_SECOND_US;
}

START_TEST(a_grant_lasts_as_long_as_it_should)
{
	ck_assert_int_eq(say(GY_INITIAL, 1, 0, -1, -1), 10 * MIB); /* nothing is known yet */
	wait_s(60);
	ck_assert_int_eq(say(GY_UPDATE, 1, 1, 2 * MIB, -1), 20 * MIB);
	wait_s(60);
	ck_assert_int_eq(say(GY_UPDATE, 1, 2, 15 * MIB, -1),
			 50 * MIB); /* 150 are more than the policy allows */
	wait_s(600);
	ck_assert_int_eq(say(GY_UPDATE, 1, 3, 10240, -1), MIB); /* and 10 KiB less */
	wait_s(60);
	ck_assert_int_eq(say(GY_UPDATE, 1, 4, 0, -1), 10 * MIB);   /* no use tells nothing */
	ck_assert_int_eq(say(GY_UPDATE, 1, 5, MIB, -1), 10 * MIB); /* nor one in no time */
	wait_s(60);
	ck_assert_int_eq(say(GY_UPDATE, 1, 6, MIB / 2, 3 * MIB),
			 3 * MIB); /* an amount is what is asked for */
}
END_TEST

START_TEST(grants_shrink_as_money_runs_low)
{
	int64_t money = 1000000, granted, used = 0; /* 10 MiB */
	uint32_t number = 0;

	world.homes[0]->balance = world.accounts[0].paid = money;
	granted = say(GY_INITIAL, 1, number, -1, -1);
	ck_assert_int_eq(granted, 5 * MIB); /* half of it */
	while (granted > 0 && number < 50) {
		bool last = world.plan.answer.services[0].final_unit != GY_FINAL_NONE;
		int64_t before = granted;

		used += granted;
		wait_s(1);
		granted = say(GY_UPDATE, 1, ++number, before, last ? -2 : -1);
		if (last)
			break;
		ck_assert_int_le(granted, before);
	}
	ck_assert_int_eq(used, 10 * MIB);
	ck_assert_int_eq(world.homes[0]->balance, 0);
}
END_TEST

START_TEST(and_with_the_number_of_sessions)
{
	world.homes[0]->balance = world.accounts[0].paid = 4000000; /* 40 MiB */
	ck_assert_int_eq(say(GY_INITIAL, 1, 0, -1, 50 * MIB), 20 * MIB);
	ck_assert_int_eq(say(GY_INITIAL, 2, 0, -1, 50 * MIB), 5 * MIB);
	ck_assert_int_eq(say(GY_INITIAL, 3, 0, -1, 50 * MIB), 15 * MIB / 6);
	ck_assert_int_eq(world.homes[0]->reserved, 2750000);
}
END_TEST

START_TEST(a_fixed_size_stays_one)
{
	policy.target_s = 0;
	world.homes[0]->balance = world.accounts[0].paid = 2000000;
	ck_assert_int_eq(say(GY_INITIAL, 1, 0, -1, -1), 10 * MIB);
	ck_assert_int_eq(say(GY_INITIAL, 2, 0, -1, -1), 10 * MIB);
	wait_s(60);
	ck_assert_int_eq(say(GY_UPDATE, 1, 1, MIB, -1), 9 * MIB);
}
END_TEST

START_TEST(validity_differs_between_sessions)
{
	uint32_t shortest = UINT32_MAX, longest = 0;

	policy.validity_jitter = 20;
	for (uint64_t session = 1; session <= 60; session++) {
		uint32_t validity_s;

		say(GY_INITIAL, session, 0, -1, -1);
		validity_s = world.plan.answer.services[0].validity_s;
		shortest = validity_s < shortest ? validity_s : shortest;
		longest = validity_s > longest ? validity_s : longest;
		gy_world_request(&world, &r.ccr, 0, &profile); /* a copy is told the same */
		ck_assert_uint_eq(world.plan.answer.services[0].validity_s, validity_s);
	}
	ck_assert_uint_ge(shortest, 2880);
	ck_assert_uint_le(longest, 3600);
	ck_assert_uint_ge(longest - shortest, 360);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("core-adaptive");
	TCase *tests = tcase_create("core-adaptive");

	tcase_add_checked_fixture(tests, fresh, done);
	tcase_add_test(tests, a_grant_lasts_as_long_as_it_should);
	tcase_add_test(tests, grants_shrink_as_money_runs_low);
	tcase_add_test(tests, and_with_the_number_of_sessions);
	tcase_add_test(tests, a_fixed_size_stays_one);
	tcase_add_test(tests, validity_differs_between_sessions);
	suite_add_tcase(suite, tests);
	return gy_tap_run(suite);
}
