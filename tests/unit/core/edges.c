/* Edges inside a grant, each at an instant that is told: values, codes and rules that begin or end,
 * hours on the days of daylight-saving time, days and months that end (spec/tariffs.md, Validity).
 *
 * Snapshots and subscribers in the words of tests/unit/rating/golden.table; the decision through
 * the in-memory store, whose audit runs after every request. 0.10 per MiB, validity an hour. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/tap.h"
#include "tests/lib/world.h"
#include "tests/unit/core/request.h"
#include "tests/unit/rating/table.h"

#define MIB     INT64_C(1048576)
#define OPENING 100000000

/* Berlin in 2026. */
#define BERLIN "zone 1 changes=-:3600,2026-03-29T01:00:00Z:7200,2026-10-25T01:00:00Z:3600 default\n"
#define BASE   "specific 1 rate=100000/1048576\n"

static const struct gy_policy policies[] = {
	{ .rating_group = 10,
	  .default_grant = 10 * MIB,
	  .max_grant = 50 * MIB,
	  .validity_s = 3600,
	  .final_unit = GY_FINAL_TERMINATE },
};
static const struct gy_service_context contexts[] = { { .suffix = "32251@3gpp.org",
							.default_rating_group = 10 } };
static const struct gy_peer_profile no_split[] = { { .peer = "*.test" } };

static struct table table;
static struct question subscriber;
static struct gy_profile profile;
static struct gy_world world;
static struct request r;

/* Rules, and who asks when (a question's words). */
static void shop(const char *snapshot, const char *who)
{
	struct gy_account account = { .account_id = 1,
				      .group_id = 1,
				      .state = GY_ACTIVE,
				      .currency = 156,
				      .balance = OPENING,
				      .valid_until_us = INT64_MAX };
	struct gy_dynamic_fault fault;
	char line[1024];

	while (*snapshot != '\0') {
		size_t n = strcspn(snapshot, "\n");

		ck_assert_uint_lt(n, sizeof(line));
		memcpy(line, snapshot, n);
		line[n] = '\0';
		table_line(&table, line);
		snapshot += n + 1;
	}
	if (table_compile(&table, &fault) != GY_OK)
		ck_abort_msg("%s, rule %ld", gy_fault_text(fault.reason), (long)fault.rule_id);
	table.dynamic.counts = true;
	table.catalogue.version = 1;
	table.catalogue.n_policies = 1;
	table.catalogue.policies = policies;
	table.catalogue.n_contexts = 1;
	table.catalogue.contexts = contexts;
	snprintf(line, sizeof(line), "rate %s", who);
	table_question(&table, line, &subscriber);
	profile = (struct gy_profile){ .subscriber_id = 1,
				       .account_id = 1,
				       .group_id = 1,
				       .tariff_id = 1,
				       .state = GY_ACTIVE,
				       .attributes = &subscriber.attributes };
	gy_world_init(&world, &table.catalogue, &account, 1, subscriber.input.now);
}

static void fresh(void)
{
	table_clear(&table);
	table.catalogue.n_peers = 0;
}

static void done(void)
{
	ck_assert_ptr_null(gy_world_audit(&world));
	gy_world_free(&world);
	table_clear(&table);
}

static gy_time_us instant(const char *text)
{
	struct question q;
	char line[64];

	snprintf(line, sizeof(line), "rate at=%s", text);
	table_question(&table, line, &q);
	return q.input.now;
}

static struct gy_account *account(void)
{
	return &world.accounts[0].account;
}

static const struct gy_service_answer *sent(void)
{
	const struct gy_answer *answer;

	request_end(&r);
	answer = gy_world_request(&world, &r.ccr, 0, &profile);
	ck_assert_int_eq(answer->rc, GY_OK);
	ck_assert_ptr_null(gy_world_audit(&world));
	return answer->services;
}

static void begin(enum gy_request_type type, uint32_t number)
{
	request_begin(&r, type, 1, number);
	request_service(&r, 10, 0);
}

static void used(int64_t octets, enum gy_tariff_change_usage change)
{
	request_used(&r, GY_UNIT_OCTETS, octets);
	r.used[0][r.services[0].n_used - 1].tariff_change = change;
}

static const struct gy_service_answer *asked(enum gy_request_type type, uint32_t number)
{
	begin(type, number);
	request_more(&r, GY_UNIT_OCTETS, -1);
	return sent();
}

/* Two MiB before and three after the change, and no more. */
static void ended_at(const char *when)
{
	world.now = instant(when);
	begin(GY_TERMINATION, 9);
	used(2 * MIB, GY_TCU_BEFORE);
	used(3 * MIB, GY_TCU_AFTER);
	sent();
}

static void switches_at(const struct gy_service_answer *s, const char *when)
{
	ck_assert_uint_eq(s->switch_s, (uint32_t)(instant(when) / GY_SECOND_US));
}

/* ---- values, codes, rules ---- */

#define LEVELS                                                         \
	BERLIN BASE "attribute 1\ncode 11 attribute=1\n"               \
		    "rule 101 code=11 when=3 replace=300000/1048576\n" \
		    "rule 105 code=11 when=5 replace=50000/1048576\n"

START_TEST(a_value_that_changes_within_a_grant)
{
	const struct gy_service_answer *s;

	shop(LEVELS, "at=2026-05-01T08:00:00Z codes=11 attr=1:3@-..2026-05-01T08:20:00Z "
		     "attr=1:5@2026-05-01T08:20:00Z..+");
	s = asked(GY_INITIAL, 0);
	switches_at(s, "2026-05-01T08:20:00Z");
	ck_assert_uint_eq(s->validity_s, 3600);
	ck_assert_int_eq(account()->reserved, 3000000); /* the dearer side */
	ended_at("2026-05-01T08:40:00Z");
	ck_assert_int_eq(account()->balance, OPENING - 600000 - 150000);
}
END_TEST

START_TEST(a_value_that_ends_leaves_the_specific_rule)
{
	shop(LEVELS, "at=2026-05-01T08:00:00Z codes=11 attr=1:5@-..2026-05-01T08:20:00Z");
	switches_at(asked(GY_INITIAL, 0), "2026-05-01T08:20:00Z");
	ended_at("2026-05-01T08:40:00Z");
	ck_assert_int_eq(account()->balance, OPENING - 100000 - 300000);
}
END_TEST

START_TEST(a_code_that_begins_within_a_grant)
{
	shop(LEVELS, "at=2026-05-01T08:00:00Z codes=11@2026-05-01T08:20:00Z..+ attr=1:5");
	switches_at(asked(GY_INITIAL, 0), "2026-05-01T08:20:00Z");
	ended_at("2026-05-01T08:40:00Z");
	ck_assert_int_eq(account()->balance, OPENING - 200000 - 150000);
}
END_TEST

START_TEST(a_rule_that_ends_within_a_grant)
{
	shop(BERLIN BASE "rule 101 multiply=500000 until=2026-05-01T08:20:00Z\n",
	     "at=2026-05-01T08:00:00Z");
	switches_at(asked(GY_INITIAL, 0), "2026-05-01T08:20:00Z");
	ended_at("2026-05-01T08:40:00Z");
	ck_assert_int_eq(account()->balance, OPENING - 100000 - 300000);
}
END_TEST

/* [from, to): the instant itself is the new value's, and there is nothing left to change. */
START_TEST(an_edge_at_the_very_instant_has_passed)
{
	shop(LEVELS, "at=2026-05-01T08:20:00Z codes=11 attr=1:3@-..2026-05-01T08:20:00Z "
		     "attr=1:5@2026-05-01T08:20:00Z..+");
	ck_assert_uint_eq(asked(GY_INITIAL, 0)->switch_s, 0);
	ck_assert_int_eq(account()->reserved, 500000);
}
END_TEST

START_TEST(an_edge_at_the_end_of_validity_is_none)
{
	const struct gy_service_answer *s;

	shop(LEVELS, "at=2026-05-01T08:00:00Z codes=11 attr=1:5@-..2026-05-01T09:00:00Z");
	s = asked(GY_INITIAL, 0);
	ck_assert_uint_eq(s->switch_s, 0);
	ck_assert_uint_eq(s->validity_s, 3600);
}
END_TEST

START_TEST(a_second_edge_ends_the_validity)
{
	const struct gy_service_answer *s;

	shop(LEVELS, "at=2026-05-01T08:00:00Z codes=11 attr=1:5@-..2026-05-01T08:20:00Z "
		     "attr=1:3@2026-05-01T08:30:00Z..+");
	s = asked(GY_INITIAL, 0);
	switches_at(s, "2026-05-01T08:20:00Z");
	ck_assert_uint_eq(s->validity_s, 1800);
}
END_TEST

START_TEST(a_gateway_that_does_not_split_asks_again_at_the_edge)
{
	const struct gy_service_answer *s;

	shop(LEVELS, "at=2026-05-01T08:00:00Z codes=11 attr=1:5@-..2026-05-01T08:20:00Z");
	table.catalogue.n_peers = 1;
	table.catalogue.peers = no_split;
	begin(GY_INITIAL, 0);
	r.ccr.origin_host = (struct gy_bytes){ (const uint8_t *)"pgw.test", 8 };
	request_more(&r, GY_UNIT_OCTETS, -1);
	s = sent();
	ck_assert_uint_eq(s->switch_s, 0);
	ck_assert_uint_eq(s->validity_s, 1200);
	ck_assert_int_eq(account()->reserved, 500000);
}
END_TEST

/* ---- the clock ---- */

#define NIGHT                                            \
	BERLIN BASE "attribute 4 source=clock of=hour\n" \
		    "rule 104 attribute=4 when=[22,6) multiply=500000\n"

/* The night ends at 6 o'clock: at 5:00 UTC in winter, at 4:00 on the day that the clocks go
 * forward. */
START_TEST(the_night_in_which_the_clocks_go_forward)
{
	shop(NIGHT, "at=2026-03-29T03:30:00Z");
	switches_at(asked(GY_INITIAL, 0), "2026-03-29T04:00:00Z");
	ended_at("2026-03-29T04:20:00Z");
	ck_assert_int_eq(account()->balance, OPENING - 100000 - 300000);
}
END_TEST

START_TEST(the_night_before)
{
	shop(NIGHT, "at=2026-03-28T04:30:00Z");
	switches_at(asked(GY_INITIAL, 0), "2026-03-28T05:00:00Z");
}
END_TEST

/* The clocks change in the middle of this grant, its price doesn't. */
START_TEST(the_change_itself_is_no_edge)
{
	const struct gy_service_answer *s;

	shop(NIGHT, "at=2026-03-29T00:30:00Z");
	s = asked(GY_INITIAL, 0);
	ck_assert_uint_eq(s->switch_s, 0);
	ck_assert_uint_eq(s->validity_s, 3600);
}
END_TEST

/* The hour from 2 to 3 isn't there. */
START_TEST(an_hour_that_is_left_out)
{
	shop(BERLIN BASE
	     "attribute 4 source=clock of=hour\nrule 104 attribute=4 when=2 multiply=500000\n",
	     "at=2026-03-29T00:30:00Z");
	ck_assert_uint_eq(asked(GY_INITIAL, 0)->switch_s, 0);
	ck_assert_int_eq(account()->reserved, 1000000);
}
END_TEST

/* The hour from 2 to 3 is there twice: from 0:00 to 2:00 UTC. */
START_TEST(an_hour_that_comes_twice)
{
	shop(BERLIN BASE
	     "attribute 4 source=clock of=hour\nrule 104 attribute=4 when=2 multiply=500000\n",
	     "at=2026-10-24T23:30:00Z");
	switches_at(asked(GY_INITIAL, 0), "2026-10-25T00:00:00Z");
	world.now = instant("2026-10-25T00:30:00Z");
	ck_assert_uint_eq(asked(GY_UPDATE, 1)->switch_s, 0);
	ck_assert_int_eq(account()->reserved, 500000);
	world.now = instant("2026-10-25T01:30:00Z");
	switches_at(asked(GY_UPDATE, 2), "2026-10-25T02:00:00Z");
	ended_at("2026-10-25T02:10:00Z");
	ck_assert_int_eq(account()->balance, OPENING - 100000 - 300000);
}
END_TEST

/* ---- counters ---- */

#define MONTH                                                     \
	BERLIN BASE "attribute 6 source=counter of=units-month\n" \
		    "rule 106 attribute=6 when=[20971520,) multiply=250000\n"

/* March ends at 22:00 UTC; what was used in it counts no more. */
START_TEST(a_month_that_ends_within_a_grant)
{
	shop(MONTH, "at=2026-03-31T20:00:00Z");
	ck_assert_int_eq(asked(GY_INITIAL, 0)->granted, 10 * MIB);
	begin(GY_UPDATE, 1);
	used(25 * MIB, GY_TCU_ABSENT);
	sent();
	ck_assert_int_eq(account()->balance, OPENING - 2500000);
	world.now = instant("2026-03-31T21:30:00Z");
	switches_at(asked(GY_UPDATE, 2), "2026-03-31T22:00:00Z");
	ck_assert_int_eq(account()->reserved, 1000000);
	ended_at("2026-03-31T22:20:00Z");
	ck_assert_int_eq(account()->balance, OPENING - 2500000 - 50000 - 300000);
	for (unsigned i = 0; i < account()->n_counters; i++) {
		ck_assert_int_eq(account()->counters[i].month, 2026 * 12 + 4);
		ck_assert_int_eq(account()->counters[i].units_month, 3 * MIB);
	}
}
END_TEST

START_TEST(the_next_month_begins_with_the_price_before)
{
	shop(MONTH, "at=2026-03-31T20:00:00Z");
	asked(GY_INITIAL, 0);
	begin(GY_UPDATE, 1);
	used(25 * MIB, GY_TCU_ABSENT);
	request_more(&r, GY_UNIT_OCTETS, -1);
	sent();
	ck_assert_int_eq(account()->reserved, 250000);
	world.now = instant("2026-03-31T22:00:00Z");
	ck_assert_uint_eq(asked(GY_UPDATE, 2)->switch_s, 0);
	ck_assert_int_eq(account()->reserved, 1000000);
}
END_TEST

/* What a grant had promised of the day's free units is there again for the next one, also when
 * nothing was used of it. */
START_TEST(free_units_that_were_not_used_are_promised_again)
{
	shop(BERLIN BASE "rule 107 free=5242880\n", "at=2026-05-01T08:00:00Z");
	asked(GY_INITIAL, 0);
	ck_assert_int_eq(account()->reserved, 500000);
	asked(GY_UPDATE, 1);
	ck_assert_int_eq(account()->reserved, 500000);
}
END_TEST

/* The day of the subscriber ends at 22:00 UTC in summer. */
START_TEST(free_units_of_a_day_that_ends_within_a_grant)
{
	shop(BERLIN BASE "rule 107 free=5242880\n", "at=2026-05-01T21:30:00Z");
	asked(GY_INITIAL, 0);
	begin(GY_UPDATE, 1);
	used(5 * MIB, GY_TCU_ABSENT);
	request_more(&r, GY_UNIT_OCTETS, -1);
	switches_at(sent(), "2026-05-01T22:00:00Z");
	ck_assert_int_eq(account()->reserved, 1000000);
	ended_at("2026-05-01T22:10:00Z");
	ck_assert_int_eq(account()->balance, OPENING - 200000);
}
END_TEST

/* A request of one of several sessions: the free units of a day are there once for all of them. */
static const struct gy_service_answer *session(uint64_t session, enum gy_request_type type,
					       uint32_t number, const char *when, int64_t before,
					       int64_t after, int64_t more)
{
	world.now = instant(when);
	request_begin(&r, type, session, number);
	request_service(&r, 10, 0);
	if (before > 0)
		used(before, GY_TCU_BEFORE);
	if (after > 0)
		used(after, GY_TCU_AFTER);
	if (type != GY_TERMINATION)
		request_more(&r, GY_UNIT_OCTETS, more);
	return sent();
}

static const struct gy_counter *counter(enum gy_counted_kind kind)
{
	for (unsigned i = 0; i < account()->n_counters; i++)
		if (account()->counters[i].kind == kind)
			return &account()->counters[i];
	ck_abort_msg("no counter of kind %d", (int)kind);
}

START_TEST(what_a_grant_holds_after_midnight_is_not_promised_twice)
{
	shop(BERLIN BASE "rule 107 free=5242880\n", "at=2026-05-01T21:30:00Z");
	session(1, GY_INITIAL, 0, "2026-05-01T21:30:00Z", 0, 0, -1);
	session(1, GY_UPDATE, 1, "2026-05-01T21:31:00Z", 5 * MIB, 0, -1);
	ck_assert_int_eq(account()->reserved, 1000000); /* before: none free; after: five */
	if (_i == 0) {                                  /* tomorrow's five are promised already */
		session(2, GY_INITIAL, 0, "2026-05-01T21:32:00Z", 0, 0, -1);
		session(1, GY_TERMINATION, 2, "2026-05-01T22:04:00Z", 0, 5 * MIB, 0);
		session(2, GY_TERMINATION, 1, "2026-05-01T22:04:00Z", 0, 5 * MIB, 0);
		ck_assert_int_eq(account()->balance, OPENING - 500000);
		return;
	}
	session(2, GY_INITIAL, 0, "2026-05-01T22:05:00Z", 0, 0, -1);
	ck_assert_int_eq(account()->reserved, 2 * 1000000);
	session(1, GY_TERMINATION, 2, "2026-05-01T22:06:00Z", 0, 2 * MIB, 0);
	session(2, GY_UPDATE, 1, "2026-05-01T22:07:00Z", 0, 0, -1);
	ck_assert_int_eq(account()->reserved, 700000); /* three of five are left */
}
END_TEST

/* Yesterday's usage, told after midnight by the second session, leaves what the first has used
 * today. */
START_TEST(usage_of_yesterday_leaves_today_s_counters)
{
	shop(BERLIN BASE "rule 107 free=5242880\n", "at=2026-05-01T21:30:00Z");
	session(1, GY_INITIAL, 0, "2026-05-01T21:30:00Z", 0, 0, -1);
	session(1, GY_UPDATE, 1, "2026-05-01T21:31:00Z", MIB, 0, 2 * MIB);
	session(2, GY_INITIAL, 0, "2026-05-01T21:32:00Z", 0, 0, -1);
	session(1, GY_UPDATE, 2, "2026-05-01T22:10:00Z", 0, 5 * MIB, 2 * MIB);
	ck_assert_int_eq(counter(GY_COUNTED_FREE)->day, counter(GY_COUNTED_ALL)->day);
	ck_assert_int_eq(counter(GY_COUNTED_ALL)->units_day, 5 * MIB);
	session(2, GY_TERMINATION, 1, "2026-05-01T22:20:00Z", 3 * MIB, 0, 0);
	ck_assert_int_eq(counter(GY_COUNTED_ALL)->units_day, 5 * MIB);
	ck_assert_int_eq(counter(GY_COUNTED_ALL)->units_month, 9 * MIB);
	ck_assert_int_eq(counter(GY_COUNTED_FREE)->units_day, 2 * MIB);
	session(3, GY_INITIAL, 0, "2026-05-01T22:30:00Z", 0, 0, 10 * MIB);
	ck_assert_int_eq(account()->reserved, 200000 + 700000);
}
END_TEST

/* Two rules give free units, one before and one after the change: four counters of one report. */
START_TEST(free_units_of_two_rules_in_one_grant)
{
	shop(BERLIN BASE "rule 107 free=5242880 until=2026-05-01T08:20:00Z\n"
			 "rule 108 free=5242880 from=2026-05-01T08:20:00Z\n",
	     "at=2026-05-01T08:00:00Z");
	switches_at(asked(GY_INITIAL, 0), "2026-05-01T08:20:00Z");
	ended_at("2026-05-01T08:40:00Z");
	ck_assert_uint_eq(account()->n_counters, 4);
	ck_assert_int_eq(account()->balance, OPENING);
}
END_TEST

/* So many Rating-Groups that no row is left to count free units in: none are given. */
START_TEST(free_units_that_cannot_be_counted_are_not_given)
{
	shop(BERLIN BASE "rule 107 free=5242880\n", "at=2026-05-01T08:00:00Z");
	account()->counters = realloc(account()->counters, 256 * sizeof(struct gy_counter));
	for (int64_t i = 0; i < 256; i++)
		account()->counters[account()->n_counters++] = (struct gy_counter){
			.subscriber_id = 1,
			.kind = GY_COUNTED_GROUP,
			.id = 1000 + i,
			.unit = GY_UNIT_OCTETS,
			.day = instant("2026-05-01T08:00:00Z") / GY_SECOND_US / 86400 - _i,
			.month = 2026 * 12 + 5 - _i,
		};
	asked(GY_INITIAL, 0);
	ck_assert_int_eq(account()->reserved, _i == 0 ? 1000000 : 500000);
	begin(GY_UPDATE, 1);
	used(5 * MIB, GY_TCU_ABSENT);
	request_more(&r, GY_UNIT_OCTETS, -1);
	sent();
	ck_assert_int_eq(account()->balance, _i == 0 ? OPENING - 500000 : OPENING);
	ck_assert_int_eq(account()->reserved, 1000000);
}
END_TEST

/* The clock goes back over midnight: the free units of the new day are not given twice. */
START_TEST(a_clock_that_goes_back_gives_no_free_units_again)
{
	shop(BERLIN BASE "rule 107 free=5242880\n", "at=2026-05-01T22:05:00Z");
	session(1, GY_INITIAL, 0, "2026-05-01T22:05:00Z", 0, 0, -1);
	session(1, GY_UPDATE, 1, "2026-05-01T22:10:00Z", 4 * MIB, 0, -1);
	session(1, GY_UPDATE, 2, "2026-05-01T21:50:00Z", 4 * MIB, 0, -1);
	ck_assert_int_eq(account()->balance, OPENING - 300000);
	ck_assert_int_eq(account()->reserved, 1000000);
	session(1, GY_UPDATE, 3, "2026-05-01T22:20:00Z", 0, 0, -1);
	ck_assert_int_ge(account()->reserved, 900000); /* one is left of the five, at most */
}
END_TEST

START_TEST(usage_of_last_month_leaves_this_month_s_counters)
{
	shop(MONTH, "at=2026-03-31T20:00:00Z");
	session(1, GY_INITIAL, 0, "2026-03-31T20:00:00Z", 0, 0, -1);
	session(1, GY_UPDATE, 1, "2026-03-31T20:30:00Z", 25 * MIB, 0, -1);
	session(1, GY_UPDATE, 2, "2026-03-31T21:30:00Z", 0, 0, -1);
	session(2, GY_INITIAL, 0, "2026-03-31T21:30:00Z", 0, 0, -1);
	session(1, GY_UPDATE, 3, "2026-03-31T22:20:00Z", 0, 3 * MIB, -1);
	session(2, GY_UPDATE, 1, "2026-03-31T22:21:00Z", 2 * MIB, MIB, -1);
	for (unsigned i = 0; i < account()->n_counters; i++) {
		ck_assert_int_eq(account()->counters[i].month, 2026 * 12 + 4);
		ck_assert_int_eq(account()->counters[i].units_month, 4 * MIB);
		ck_assert_int_eq(account()->counters[i].units_day, 4 * MIB);
	}
}
END_TEST

/* A client without MSCC that reports with its CCR-I: the free units are gone, and nothing is left
 * to grant. What was used is remembered, also by copies. */
START_TEST(free_units_used_up_by_a_request_that_is_refused)
{
	const struct gy_answer *answer;

	shop(BERLIN BASE "rule 107 free=5242880\n", "at=2026-05-01T08:00:00Z");
	account()->balance = world.accounts[0].paid = 0;
	for (unsigned copy = 0; copy < 2; copy++) {
		begin(GY_INITIAL, 0);
		used(5 * MIB, GY_TCU_ABSENT);
		request_more(&r, GY_UNIT_OCTETS, -1);
		r.ccr.services_at_command_level = true;
		request_end(&r);
		answer = gy_world_request(&world, &r.ccr, 0, &profile);
		ck_assert_int_eq(answer->rc, GY_CREDIT_LIMIT_REACHED);
		ck_assert_int_eq(answer->replayed, copy);
		ck_assert_uint_eq(world.n_records, 1);
		ck_assert_int_eq(counter(GY_COUNTED_FREE)->units_day, 5 * MIB);
	}
}
END_TEST

/* ---- usage that moves its own price ---- */

#define DEARER                                                  \
	BERLIN BASE "attribute 6 source=counter of=units-day\n" \
		    "rule 106 attribute=6 when=[104857600,) replace=100/1024\n"

/* A session reports before it was granted anything: the report is paid at the price before it, and
 * what follows is priced after it. Its remainder, of the larger block, goes along. */
START_TEST(a_first_report_that_moves_its_own_price)
{
	int64_t micros = INT64_C(104857601) * 100000 / MIB;

	shop(DEARER, "at=2026-05-01T08:00:00Z");
	if (_i > 0) {
		request_begin(&r, GY_INITIAL, 1, 0);
		sent();
	}
	if (_i == 2)
		profile.state = GY_BARRED;
	begin(_i > 0 ? GY_UPDATE : GY_INITIAL, 1);
	used(INT64_C(104857601), GY_TCU_ABSENT);
	request_more(&r, GY_UNIT_OCTETS, -1);
	sent();
	ck_assert_int_eq(account()->balance, OPENING - micros);
	ck_assert_uint_eq(account()->n_reservations, 1);
	ck_assert_int_lt(account()->reservations[0].carry, account()->reservations[0].rate.block);
}
END_TEST

/* Over-use before midnight, reported after it, takes none of the new day's free units. */
START_TEST(over_use_of_yesterday_is_not_free_today)
{
	shop(BERLIN BASE "rule 107 free=5242880\n", "at=2026-05-01T21:00:00Z");
	asked(GY_INITIAL, 0);
	begin(GY_UPDATE, 1);
	used(4 * MIB, GY_TCU_ABSENT);
	sent();
	world.now = instant("2026-05-01T21:30:00Z");
	begin(GY_UPDATE, 2);
	request_more(&r, GY_UNIT_OCTETS, MIB);
	switches_at(sent(), "2026-05-01T22:00:00Z");
	world.now = instant("2026-05-01T22:10:00Z");
	begin(GY_TERMINATION, 3);
	used(3 * MIB, GY_TCU_BEFORE);
	used(2 * MIB, GY_TCU_AFTER); /* one granted, one beyond it */
	sent();
	ck_assert_int_eq(account()->balance, OPENING - 200000);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("core-edges");
	TCase *tests = tcase_create("edges");

	tcase_add_checked_fixture(tests, fresh, done);
	tcase_add_test(tests, a_value_that_changes_within_a_grant);
	tcase_add_test(tests, a_value_that_ends_leaves_the_specific_rule);
	tcase_add_test(tests, a_code_that_begins_within_a_grant);
	tcase_add_test(tests, a_rule_that_ends_within_a_grant);
	tcase_add_test(tests, an_edge_at_the_very_instant_has_passed);
	tcase_add_test(tests, an_edge_at_the_end_of_validity_is_none);
	tcase_add_test(tests, a_second_edge_ends_the_validity);
	tcase_add_test(tests, a_gateway_that_does_not_split_asks_again_at_the_edge);
	tcase_add_test(tests, the_night_in_which_the_clocks_go_forward);
	tcase_add_test(tests, the_night_before);
	tcase_add_test(tests, the_change_itself_is_no_edge);
	tcase_add_test(tests, an_hour_that_is_left_out);
	tcase_add_test(tests, an_hour_that_comes_twice);
	tcase_add_test(tests, a_month_that_ends_within_a_grant);
	tcase_add_test(tests, the_next_month_begins_with_the_price_before);
	tcase_add_test(tests, free_units_that_were_not_used_are_promised_again);
	tcase_add_test(tests, free_units_of_a_day_that_ends_within_a_grant);
	tcase_add_test(tests, over_use_of_yesterday_is_not_free_today);
	tcase_add_loop_test(tests, what_a_grant_holds_after_midnight_is_not_promised_twice, 0, 2);
	tcase_add_test(tests, usage_of_yesterday_leaves_today_s_counters);
	tcase_add_test(tests, free_units_of_two_rules_in_one_grant);
	tcase_add_loop_test(tests, free_units_that_cannot_be_counted_are_not_given, 0, 2);
	tcase_add_test(tests, a_clock_that_goes_back_gives_no_free_units_again);
	tcase_add_test(tests, free_units_used_up_by_a_request_that_is_refused);
	tcase_add_test(tests, usage_of_last_month_leaves_this_month_s_counters);
	tcase_add_loop_test(tests, a_first_report_that_moves_its_own_price, 0, 3);
	suite_add_tcase(suite, tests);
	return gy_tap_run(suite);
}
