/* Credit pools (G-72): what one Rating-Group of a session uses beyond its grant is taken from what
 * others of its pool were granted, to the micro-unit, and nothing is held or paid twice. */
#include <stdlib.h>

#include "tests/lib/tap.h"
#include "tests/lib/world.h"
#include "tests/unit/core/request.h"

#define MIB  INT64_C(1048576)
#define NOW  (INT64_C(1800000000) * GY_SECOND_US)
#define POOL 7

static struct gy_policy policies[4];
static struct gy_specific_rule rules[5];
static const struct gy_service_context contexts[] = { { .suffix = "32251@3gpp.org" } };
static struct gy_peer_profile peer;
static struct gy_catalogue catalogue;
static const struct gy_profile profile = { .subscriber_id = 1,
					   .account_id = 1,
					   .group_id = 1,
					   .profile_version = 1,
					   .tariff_id = 1,
					   .state = GY_ACTIVE };
static struct gy_world world;
static struct request r;

/* 10 by octets, 20 by seconds and 30 by octets are in one pool, 40 in none. */
static void fresh(void)
{
	const struct gy_account account = { .account_id = 1,
					    .group_id = 1,
					    .version = 1,
					    .profile_version = 1,
					    .state = GY_ACTIVE,
					    .currency = 156,
					    .balance = 10000000,
					    .valid_until_us = INT64_MAX };

	for (uint32_t i = 0; i < 4; i++) {
		policies[i] = (struct gy_policy){ .rating_group = 10 * (i + 1),
						  .default_grant = i == 1 ? 600 : 10 * MIB,
						  .max_grant = 100 * MIB,
						  .validity_s = 3600,
						  .pool = i < 3 ? POOL : 0 };
		rules[i] = (struct gy_specific_rule){
			i + 1,
			1,
			10 * (i + 1),
			i == 1 ? GY_UNIT_SECONDS : GY_UNIT_OCTETS,
			GY_RULE_PRICED,
			i == 1 ? (struct gy_rate){ 50000, 60 } : (struct gy_rate){ 100000, MIB },
			INT64_MIN,
			INT64_MAX
		};
	}
	rules[2].rate = (struct gy_rate){ 70001, 3 * MIB };
	catalogue = (struct gy_catalogue){ .version = 1,
					   .n_policies = 4,
					   .policies = policies,
					   .n_rules = 4,
					   .rules = rules,
					   .n_contexts = 1,
					   .contexts = contexts };
	gy_world_init(&world, &catalogue, &account, 1, NOW);
}

static void done(void)
{
	ck_assert_ptr_null(gy_world_audit(&world));
	gy_world_free(&world);
}

static void owns(int64_t micros)
{
	world.homes[0]->balance = world.accounts[0].paid = micros;
}

static void begin(enum gy_request_type type, uint32_t number)
{
	request_begin(&r, type, 1, number);
}

/* used < 0: no report; more: whether units are asked for. */
static void about(uint32_t group, int64_t used, bool more)
{
	enum gy_unit unit = group == 20 ? GY_UNIT_SECONDS : GY_UNIT_OCTETS;

	request_service(&r, group, 0);
	if (used >= 0)
		request_used(&r, unit, used);
	if (more)
		request_more(&r, unit, -1);
}

static const struct gy_answer *again(void)
{
	gy_world_request(&world, &r.ccr, 0, &profile);
	ck_assert_ptr_null(gy_world_audit(&world));
	return &world.plan.answer;
}

static const struct gy_answer *send(void)
{
	request_end(&r);
	again();
	ck_assert_int_eq(world.plan.answer.rc, GY_OK);
	return &world.plan.answer;
}

/* A session with a grant in each of the Rating-Groups. */
static const struct gy_answer *open(unsigned n, const uint32_t *groups)
{
	begin(GY_INITIAL, 0);
	for (unsigned i = 0; i < n; i++)
		about(groups[i], -1, true);
	return send();
}

static const struct gy_answer *open_two(void)
{
	return open(2, (const uint32_t[]){ 10, 20 });
}

static const struct gy_reservation *row(uint32_t group)
{
	return gy_reservation_find(world.homes[0], 0, group, 0);
}

static void is_in_pool(const struct gy_service_answer *a, uint32_t pool, int64_t price,
		       int64_t block)
{
	ck_assert_uint_eq(a->pool, pool);
	if (pool == 0)
		return;
	ck_assert_int_eq(a->pool_rate.price_micros, price);
	ck_assert_int_eq(a->pool_rate.block, block);
}

START_TEST(a_grant_names_its_pool_and_what_a_unit_is_worth)
{
	const struct gy_answer *a = open(4, (const uint32_t[]){ 10, 20, 30, 40 });

	is_in_pool(&a->services[0], POOL, 100000, MIB);
	is_in_pool(&a->services[1], POOL, 50000, 60);
	is_in_pool(&a->services[2], POOL, 70001, 3 * MIB);
	is_in_pool(&a->services[3], 0, 0, 0);
	ck_assert_uint_eq(row(10)->pool, POOL);
	ck_assert_uint_eq(row(40)->pool, 0);
}
END_TEST

START_TEST(one_uses_what_another_was_granted)
{
	owns(1500000); /* 10 MiB and 600 s, and nothing else */
	open_two();
	ck_assert_int_eq(world.homes[0]->reserved, 1500000);
	begin(GY_UPDATE, 1);
	about(10, 14 * MIB, false);
	send();
	ck_assert_int_eq(world.plan.record.debit, 1400000);
	ck_assert_uint_eq(world.plan.record.flags & GY_CHARGE_OVERRUN, 0);
	ck_assert_int_eq(world.homes[0]->balance, 100000);
	ck_assert_int_eq(row(20)->granted, 120);
	ck_assert_int_eq(row(20)->reserved, 100000);
	ck_assert_uint_eq(world.plan.record.n_charges, 2);
	ck_assert_uint_eq(world.plan.charges[1].flags, GY_CHARGE_PART | GY_CHARGE_SHRUNK);
	ck_assert_int_eq(world.plan.charges[1].granted, 120);
	begin(GY_UPDATE, 2);
	about(20, 120, false);
	send();
	ck_assert_int_eq(world.homes[0]->balance, 0);
	ck_assert_int_eq(world.homes[0]->reserved, 0);
}
END_TEST

/* What another grant lost is nobody's business any more: a record that ends a session grants
 * nothing. */
START_TEST(the_end_of_a_session_leaves_no_grant)
{
	owns(1500000);
	open_two();
	begin(GY_TERMINATION, 1);
	about(10, 14 * MIB, false);
	send();
	ck_assert_int_eq(world.homes[0]->balance, 100000);
	ck_assert_int_eq(world.homes[0]->reserved, 0);
	ck_assert_uint_eq(world.plan.record.n_charges, 1);
	ck_assert_int_eq(world.plan.charges[0].granted, 0);
}
END_TEST

START_TEST(beyond_the_whole_pool_is_over_use)
{
	owns(1500000);
	open_two();
	begin(GY_TERMINATION, 1);
	about(10, 20 * MIB, false);
	send();
	ck_assert_int_eq(world.homes[0]->balance, -500000);
	ck_assert_uint_ne(world.plan.record.flags & GY_CHARGE_OVERRUN, 0);
	ck_assert_uint_eq(world.plan.record.n_charges, 1);
	ck_assert_int_eq(world.homes[0]->reserved, 0);
}
END_TEST

/* The one that lacks comes last, and the first asks for all that is left. */
START_TEST(nothing_is_granted_twice_within_a_request)
{
	const struct gy_answer *a;

	owns(1500000);
	open_two();
	begin(GY_UPDATE, 1);
	about(20, 60, true);
	about(10, 14 * MIB, true);
	a = send();
	ck_assert_int_eq(world.plan.record.debit, 50000 + 1400000);
	ck_assert_int_ge(gy_account_available(world.homes[0]), 0);
	ck_assert_int_eq(world.homes[0]->balance, 50000);
	ck_assert_int_eq(a->services[0].granted, 60); /* what 0.05 pay for */
	ck_assert_int_eq(a->services[1].granted, 0);
}
END_TEST

START_TEST(what_a_report_needs_itself_is_not_taken)
{
	owns(1500000);
	open_two();
	begin(GY_UPDATE, 1);
	about(10, 14 * MIB, false);
	about(20, 400, false); /* more than the 120 that would be left: over-use of the pool */
	send();
	ck_assert_int_eq(world.plan.record.debit, 1400000 + 333333);
	ck_assert_int_eq(world.homes[0]->balance, -233333);
	ck_assert_uint_eq(world.plan.record.n_charges, 2);
}
END_TEST

START_TEST(three_share)
{
	owns(2000000);
	open(3, (const uint32_t[]){ 10, 20, 30 });
	begin(GY_UPDATE, 1);
	about(30, 60 * MIB, false); /* 1.400020; its own 10 MiB are 0.233337 */
	send();
	ck_assert_int_eq(world.plan.record.debit, 1400020);
	ck_assert_uint_eq(world.plan.record.n_charges, 3);
	ck_assert_int_eq(row(10)->granted, 0);
	ck_assert_int_le(row(20)->reserved, 333317);
	ck_assert_int_ge(row(20)->reserved, 333317 - 834); /* whole seconds */
	ck_assert_int_ge(gy_account_available(world.homes[0]), 0);
}
END_TEST

START_TEST(a_copy_is_told_of_the_pool_too)
{
	const struct gy_answer *a;
	struct request first;

	open_two();
	first = r;
	a = again();
	ck_assert(a->replayed);
	is_in_pool(&a->services[0], POOL, 100000, MIB);
	is_in_pool(&a->services[1], POOL, 50000, 60);
	for (uint32_t n = 1; n <= 6; n++) { /* the row forgets the answer, the record doesn't */
		begin(GY_UPDATE, n);
		about(10, MIB, true);
		send();
	}
	r = first;
	request_end(&r);
	a = again();
	ck_assert(a->replayed && world.n_histories > 0);
	is_in_pool(&a->services[0], POOL, 100000, MIB);
	is_in_pool(&a->services[1], POOL, 50000, 60);
	ck_assert_int_eq(a->services[1].granted, 600);
}
END_TEST

/* The grant stands at another price by then, or in no pool: the copy is told what was said first.
 */
START_TEST(a_copy_is_told_the_price_of_its_time)
{
	struct request first;

	open_two();
	begin(GY_UPDATE, 1);
	about(10, MIB, true);
	send();
	first = r;
	rules[0].rate.price_micros = 200000;
	rules[0].rule_id = 11;
	begin(GY_UPDATE, 2);
	about(10, MIB, true);
	is_in_pool(&send()->services[0], POOL, 200000, MIB);
	r = first;
	request_end(&r);
	is_in_pool(&again()->services[0], POOL, 100000, MIB);
	policies[0].pool = 0;
	begin(GY_UPDATE, 3);
	about(10, MIB, true);
	ck_assert_uint_eq(send()->services[0].pool, 0);
	r = first;
	request_end(&r);
	is_in_pool(&again()->services[0], POOL, 100000, MIB);
	ck_assert(world.plan.answer.replayed);
}
END_TEST

/* Neither for a gateway without, nor for units of no price, nor where the answer has no MSCC. */
START_TEST(not_everything_is_pooled)
{
	const struct gy_answer *a;

	peer = (struct gy_peer_profile){ .peer = "*.test", .tariff_time_change = true };
	catalogue.peers = &peer;
	catalogue.n_peers = _i == 0;
	if (_i == 1)
		rules[0].rate = (struct gy_rate){ 0, 1 };
	begin(GY_INITIAL, 0);
	about(10, -1, true);
	r.ccr.services_at_command_level = _i == 2;
	a = send();
	ck_assert_int_gt(a->services[0].granted, 0);
	is_in_pool(&a->services[0], 0, 0, 0);
}
END_TEST

/* A multiplier is one price: where that changes, the grant ends. */
START_TEST(no_tariff_time_change_in_a_pool)
{
	const struct gy_answer *a;

	rules[4] = rules[3];
	rules[3] = rules[2];
	rules[2] = rules[1];
	rules[1] = rules[0];
	rules[0].valid_until_us = rules[1].valid_from_us = NOW + 600 * GY_SECOND_US;
	rules[1].rule_id = 9;
	rules[1].rate.price_micros = 200000;
	catalogue.n_rules = 5;
	a = open_two();
	ck_assert_uint_eq(a->services[0].switch_s, 0);
	ck_assert_uint_eq(a->services[0].validity_s, 600);
	is_in_pool(&a->services[0], POOL, 100000, MIB);
	world.now += 601 * GY_SECOND_US;
	begin(GY_UPDATE, 1);
	about(10, MIB, true);
	is_in_pool(&send()->services[0], POOL, 200000, MIB);
}
END_TEST

START_TEST(other_sessions_are_not_touched)
{
	open_two();
	request_begin(&r, GY_INITIAL, 2, 0);
	about(20, -1, true);
	send();
	begin(GY_UPDATE, 1);
	about(10, 16 * MIB, false); /* 1.60 of 1.50 */
	send();
	ck_assert_int_eq(gy_reservation_find(world.homes[0], 1, 20, 0)->granted, 600);
	ck_assert_int_eq(row(20)->granted, 0);
}
END_TEST

/* A gateway that counts as it was told to never uses more than was held for it. */
START_TEST(within_the_pool_there_is_always_enough)
{
	srand((unsigned)_i + 1);
	for (unsigned round = 0; round < 300; round++) {
		int64_t left, spent = 0;
		uint32_t number = 1;

		done();
		fresh();
		rules[0].rate = (struct gy_rate){ rand() % 200000 + 1, rand() % (2 * MIB) + 1 };
		rules[1].rate = (struct gy_rate){ rand() % 200000 + 1, rand() % 300 + 1 };
		rules[2].rate = (struct gy_rate){ rand() % 2000 + 1, rand() % 1000 + 1 };
		owns(INT64_C(1000000000000));
		open(3, (const uint32_t[]){ 10, 20, 30 });
		owns(world.homes[0]->reserved);      /* not a micro-unit more */
		left = world.homes[0]->reserved - 3; /* each was rounded up */
		while (left > 0 && number < 20) {
			uint32_t group = 10 * ((uint32_t)rand() % 3 + 1);
			struct gy_rate rate = rules[group / 10 - 1].rate;
			int64_t micros = number > 12 ? left : rand() % (left + 1);
			int64_t units =
				(int64_t)((__int128)micros * rate.block / rate.price_micros);

			begin(GY_UPDATE, number++);
			about(group, units, false);
			send();
			spent += world.plan.record.debit;
			left -= (int64_t)(((__int128)units * rate.price_micros + rate.block - 1) /
					  rate.block);
			ck_assert_int_ge(world.homes[0]->balance, 0);
			ck_assert_int_ge(gy_account_available(world.homes[0]), 0);
		}
		ck_assert_int_gt(spent, 0);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("core-pool");
	TCase *tests = tcase_create("core-pool");

	tcase_add_checked_fixture(tests, fresh, done);
	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, a_grant_names_its_pool_and_what_a_unit_is_worth);
	tcase_add_test(tests, one_uses_what_another_was_granted);
	tcase_add_test(tests, the_end_of_a_session_leaves_no_grant);
	tcase_add_test(tests, beyond_the_whole_pool_is_over_use);
	tcase_add_test(tests, nothing_is_granted_twice_within_a_request);
	tcase_add_test(tests, what_a_report_needs_itself_is_not_taken);
	tcase_add_test(tests, three_share);
	tcase_add_test(tests, a_copy_is_told_of_the_pool_too);
	tcase_add_test(tests, a_copy_is_told_the_price_of_its_time);
	tcase_add_loop_test(tests, not_everything_is_pooled, 0, 3);
	tcase_add_test(tests, no_tariff_time_change_in_a_pool);
	tcase_add_test(tests, other_sessions_are_not_touched);
	tcase_add_loop_test(tests, within_the_pool_there_is_always_enough, 0, 4);
	suite_add_tcase(suite, tests);
	return gy_tap_run(suite);
}
