/* Grants across a change of tariff, and free units of the day: what is held, and at which price
 * what was used is paid (G-70, G-71; spec/tariffs.md). Catalogues made here, the decision through
 * the in-memory store, whose audit runs after every request. */
#include <string.h>

#include "core/rating/dynamic.h"
#include "tests/lib/tap.h"
#include "tests/lib/world.h"
#include "tests/unit/core/request.h"

#define MIB     INT64_C(1048576)
#define NOW     (INT64_C(1800000000) * GY_SECOND_US)
#define OPENING 100000000

static const struct gy_policy policies[] = {
	{ .rating_group = 10,
	  .default_grant = 10 * MIB,
	  .max_grant = 50 * MIB,
	  .threshold = 2 * MIB,
	  .validity_s = 3600,
	  .final_unit = GY_FINAL_TERMINATE },
};
static const struct gy_service_context contexts[] = {
	{ .suffix = "32251@3gpp.org", .default_rating_group = 10 },
};
static struct gy_specific_rule rules[2];
static struct gy_dynamic_rule dynamic_rules[2];
static struct gy_dynamic dynamic;
static const struct gy_zone_change no_change = { 0, 0 };
static const struct gy_zone utc = { 1, "UTC", 1, &no_change };
static char memory[65536] __attribute__((aligned(16)));
static struct gy_peer_profile peers[1];
static struct gy_catalogue catalogue;
static const struct gy_attributes attributes;
static struct gy_profile profile;
static struct gy_world world;
static struct request r;

static void open_world(int64_t balance)
{
	struct gy_account account = { .account_id = 1,
				      .group_id = 1,
				      .state = GY_ACTIVE,
				      .currency = 156,
				      .balance = balance,
				      .valid_until_us = INT64_MAX };

	gy_world_init(&world, &catalogue, &account, 1, NOW);
}

/* 0.10 per MiB, from 1,800 s on 0.20. */
static void fresh(void)
{
	rules[0] = (struct gy_specific_rule){ .rule_id = 1,
					      .tariff_id = 1,
					      .rating_group = 10,
					      .unit = GY_UNIT_OCTETS,
					      .rate = { 100000, MIB },
					      .valid_from_us = INT64_MIN,
					      .valid_until_us = NOW + 1800 * GY_SECOND_US };
	rules[1] = rules[0];
	rules[1].rule_id = 2;
	rules[1].rate.price_micros = 200000;
	rules[1].valid_from_us = rules[0].valid_until_us;
	rules[1].valid_until_us = INT64_MAX;
	catalogue = (struct gy_catalogue){ .version = 1,
					   .n_policies = 1,
					   .policies = policies,
					   .n_rules = 2,
					   .rules = rules,
					   .n_contexts = 1,
					   .contexts = contexts,
					   .peers = peers };
	profile = (struct gy_profile){ .subscriber_id = 1,
				       .account_id = 1,
				       .group_id = 1,
				       .tariff_id = 1,
				       .state = GY_ACTIVE,
				       .attributes = &attributes };
	open_world(OPENING);
}

/* The first 5 MiB of a day are free; one price for ever. */
static void with_free_units(void)
{
	struct gy_dynamic_fault fault;

	rules[0].valid_until_us = INT64_MAX;
	catalogue.n_rules = 1;
	dynamic_rules[0] =
		(struct gy_dynamic_rule){ .rule_id = 7,
					  .rating_group = GY_ANY_RATING_GROUP,
					  .unit = GY_UNIT_OCTETS,
					  .predicate = { .match = GY_MATCH_ANY },
					  .effect = { .kind = GY_EFFECT_FREE, .amount = 5 * MIB },
					  .valid_from_us = INT64_MIN,
					  .valid_until_us = INT64_MAX };
	dynamic = (struct gy_dynamic){
		.n_rules = 1, .rules = dynamic_rules, .zones = { 1, &utc, 1 }, .counts = true
	};
	ck_assert_uint_le(gy_dynamic_memory(&dynamic), sizeof(memory));
	ck_assert_int_eq(gy_dynamic_compile(&catalogue, &dynamic, memory, sizeof(memory), &fault),
			 GY_OK);
	catalogue.dynamic = &dynamic;
}

static void done(void)
{
	ck_assert_ptr_null(gy_world_audit(&world));
	gy_world_free(&world);
}

static struct gy_account *account(void)
{
	return &world.accounts[0].account;
}

static const struct gy_answer *sent(void)
{
	const struct gy_answer *answer;

	request_end(&r);
	world.now += 1000;
	answer = gy_world_request(&world, &r.ccr, 0, &profile);
	ck_assert_int_eq(answer->rc, GY_OK);
	ck_assert_ptr_null(gy_world_audit(&world));
	return answer;
}

static void begin(enum gy_request_type type, uint64_t session, uint32_t number)
{
	request_begin(&r, type, session, number);
	request_service(&r, 10, 0);
}

static void used(int64_t octets, enum gy_tariff_change_usage change)
{
	request_used(&r, GY_UNIT_OCTETS, octets);
	r.used[0][r.services[0].n_used - 1].tariff_change = change;
}

static const struct gy_answer *opened(uint64_t session)
{
	begin(GY_INITIAL, session, 0);
	request_more(&r, GY_UNIT_OCTETS, -1);
	return sent();
}

START_TEST(a_grant_across_a_change_holds_the_dearer_price)
{
	const struct gy_service_answer *s = opened(1)->services;

	ck_assert_int_eq(s->granted, 10 * MIB);
	ck_assert_uint_eq(s->switch_s, (uint32_t)((NOW + 1800 * GY_SECOND_US) / GY_SECOND_US));
	ck_assert_uint_eq(s->validity_s, 3600);
	ck_assert_int_eq(account()->reserved, 2000000);
}
END_TEST

START_TEST(each_side_is_paid_at_its_price)
{
	opened(1);
	world.now = NOW + 2000 * GY_SECOND_US;
	begin(GY_UPDATE, 1, 1);
	used(2 * MIB, GY_TCU_BEFORE);
	used(3 * MIB, GY_TCU_AFTER);
	request_more(&r, GY_UNIT_OCTETS, -1);
	ck_assert_uint_eq(sent()->services->switch_s, 0);
	ck_assert_int_eq(account()->balance, OPENING - 200000 - 600000);
	ck_assert_int_eq(account()->reserved, 2000000);
	begin(GY_TERMINATION, 1, 2);
	used(MIB, GY_TCU_ABSENT);
	sent();
	ck_assert_int_eq(account()->balance, OPENING - 1000000);
	ck_assert_int_eq(account()->reserved, 0);
}
END_TEST

START_TEST(what_is_not_split_is_paid_as_before_the_change)
{
	opened(1);
	begin(GY_TERMINATION, 1, 1);
	used(MIB, GY_TCU_INDETERMINATE);
	used(MIB, GY_TCU_ABSENT);
	sent();
	ck_assert_int_eq(account()->balance, OPENING - 200000);
}
END_TEST

START_TEST(over_use_of_either_side_is_paid_in_full)
{
	opened(1);
	begin(GY_TERMINATION, 1, 1);
	used(12 * MIB, GY_TCU_BEFORE);
	used(11 * MIB, GY_TCU_AFTER);
	sent();
	ck_assert_int_eq(account()->balance, OPENING - 1200000 - 2200000);
}
END_TEST

START_TEST(the_grant_is_what_the_dearer_side_affords)
{
	const struct gy_service_answer *s;

	gy_world_free(&world);
	open_world(1000000);
	s = opened(1)->services;
	ck_assert_int_eq(s->granted, 5 * MIB);
	ck_assert_int_eq(s->final_unit, GY_FINAL_TERMINATE);
	ck_assert_int_eq(account()->reserved, 1000000);
}
END_TEST

START_TEST(a_gateway_that_does_not_split_asks_again_at_the_change)
{
	const struct gy_service_answer *s;

	peers[0] = (struct gy_peer_profile){ .peer = "*.test", .tariff_time_change = false };
	catalogue.n_peers = 1;
	r.ccr.origin_host = (struct gy_bytes){ (const uint8_t *)"pgw.test", 8 };
	begin(GY_INITIAL, 1, 0);
	r.ccr.origin_host = (struct gy_bytes){ (const uint8_t *)"pgw.test", 8 };
	request_more(&r, GY_UNIT_OCTETS, -1);
	s = sent()->services;
	ck_assert_uint_eq(s->switch_s, 0);
	ck_assert_uint_ge(s->validity_s, 1799);
	ck_assert_uint_le(s->validity_s, 1800);
	ck_assert_int_eq(account()->reserved, 1000000);
}
END_TEST

START_TEST(a_copy_gets_the_same_change)
{
	struct gy_service_answer first = *opened(1)->services;

	request_end(&r);
	r.ccr.retransmitted = true;
	world.now += 1000;
	ck_assert_uint_eq(gy_world_request(&world, &r.ccr, 0, &profile)->services->switch_s,
			  first.switch_s);
	ck_assert_uint_ne(first.switch_s, 0);
}
END_TEST

START_TEST(free_units_come_first)
{
	with_free_units();
	ck_assert_int_eq(opened(1)->services->granted, 10 * MIB);
	ck_assert_int_eq(account()->reserved, 500000);
	begin(GY_UPDATE, 1, 1);
	used(7 * MIB, GY_TCU_ABSENT);
	request_more(&r, GY_UNIT_OCTETS, -1);
	ck_assert_int_eq(sent()->services->granted, 10 * MIB);
	ck_assert_int_eq(account()->balance, OPENING - 200000);
	ck_assert_int_eq(account()->reserved, 1000000); /* none left today */
	begin(GY_TERMINATION, 1, 2);
	used(MIB, GY_TCU_ABSENT);
	sent();
	ck_assert_int_eq(account()->balance, OPENING - 300000);
}
END_TEST

START_TEST(free_units_are_promised_once)
{
	with_free_units();
	opened(1);
	opened(2);
	ck_assert_int_eq(account()->reserved, 500000 + 1000000);
	begin(GY_TERMINATION, 1, 1);
	used(MIB, GY_TCU_ABSENT);
	sent();
	ck_assert_int_eq(account()->balance, OPENING);
	begin(GY_UPDATE, 2, 1);
	request_more(&r, GY_UNIT_OCTETS, -1);
	sent();
	ck_assert_int_eq(account()->reserved, 600000); /* four MiB of today's are there again */
}
END_TEST

START_TEST(free_units_come_back_with_the_next_day)
{
	with_free_units();
	opened(1);
	begin(GY_UPDATE, 1, 1);
	used(5 * MIB, GY_TCU_ABSENT);
	sent();
	world.now += 86400 * GY_SECOND_US;
	begin(GY_UPDATE, 1, 2);
	request_more(&r, GY_UNIT_OCTETS, -1);
	sent();
	ck_assert_int_eq(account()->balance, OPENING);
	ck_assert_int_eq(account()->reserved, 500000);
}
END_TEST

START_TEST(free_units_without_money)
{
	const struct gy_service_answer *s;

	gy_world_free(&world);
	open_world(0);
	with_free_units();
	s = opened(1)->services;
	ck_assert_int_eq(s->rc, GY_OK);
	ck_assert_int_eq(s->granted, 5 * MIB);
	ck_assert_int_eq(s->final_unit, GY_FINAL_TERMINATE);
	ck_assert_int_eq(account()->reserved, 0);
}
END_TEST

/* Over-use takes what no grant holds of the day's free units, then money (G-37, G-97). */
START_TEST(over_use_takes_free_units_first)
{
	with_free_units();
	begin(GY_INITIAL, 1, 0);
	request_more(&r, GY_UNIT_OCTETS, 2 * MIB);
	sent();
	begin(GY_INITIAL, 2, 0);
	request_more(&r, GY_UNIT_OCTETS, 1 * MIB);
	sent();
	ck_assert_int_eq(account()->reserved, 0);
	begin(GY_UPDATE, 1, 1);
	used(6 * MIB, GY_TCU_ABSENT); /* two granted, two left, two that cost */
	sent();
	ck_assert_int_eq(account()->balance, OPENING - 200000);
	begin(GY_TERMINATION, 2, 1);
	used(1 * MIB, GY_TCU_ABSENT);
	sent();
	ck_assert_int_eq(account()->balance, OPENING - 200000);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("core-change");
	TCase *tests = tcase_create("change");

	tcase_add_checked_fixture(tests, fresh, done);
	tcase_add_test(tests, a_grant_across_a_change_holds_the_dearer_price);
	tcase_add_test(tests, each_side_is_paid_at_its_price);
	tcase_add_test(tests, what_is_not_split_is_paid_as_before_the_change);
	tcase_add_test(tests, over_use_of_either_side_is_paid_in_full);
	tcase_add_test(tests, the_grant_is_what_the_dearer_side_affords);
	tcase_add_test(tests, a_gateway_that_does_not_split_asks_again_at_the_change);
	tcase_add_test(tests, a_copy_gets_the_same_change);
	tcase_add_test(tests, free_units_come_first);
	tcase_add_test(tests, free_units_are_promised_once);
	tcase_add_test(tests, free_units_come_back_with_the_next_day);
	tcase_add_test(tests, free_units_without_money);
	tcase_add_test(tests, over_use_takes_free_units_first);
	suite_add_tcase(suite, tests);
	return gy_tap_run(suite);
}
