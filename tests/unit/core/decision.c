/* The decision where tables can't reach: a catalogue that changes between requests, accounts and
 * prices that end, limits, and numbers at the edge of what 64 bits hold. */
#include <string.h>

#include "core/base/limits.h"
#include "core/rating/tariff.h"
#include "tests/lib/tap.h"
#include "tests/lib/world.h"
#include "tests/unit/core/request.h"

#define MIB INT64_C(1048576)
#define NOW (INT64_C(1800000000) * GY_SECOND_US)

static struct gy_policy policies[] = {
	{ .rating_group = 10,
	  .default_grant = 10 * MIB,
	  .max_grant = 50 * MIB,
	  .threshold = 2 * MIB,
	  .validity_s = 3600,
	  .quota_holding_s = 600,
	  .final_unit = GY_FINAL_TERMINATE },
	{ .rating_group = 60,
	  .default_grant = 10 * MIB,
	  .max_grant = 50 * MIB,
	  .validity_s = 3600,
	  .final_unit = GY_FINAL_REDIRECT,
	  .redirect_type = GY_REDIRECT_URL,
	  .redirect_address = "http://topup.spec.test/" },
};
static struct gy_specific_rule rules[4];
static const struct gy_service_context contexts[] = {
	{ .suffix = "32251@3gpp.org", .default_rating_group = 10 },
};
static struct gy_catalogue catalogue;
static struct gy_profile profile;
static struct gy_world world;
static struct request r;

/* 0.10 per MiB, for ever. */
static const struct gy_specific_rule standard = {
	.rule_id = 1,
	.tariff_id = 1,
	.rating_group = 10,
	.unit = GY_UNIT_OCTETS,
	.rate = { 100000, MIB },
	.valid_from_us = INT64_MIN,
	.valid_until_us = INT64_MAX,
};

static void fresh(void)
{
	struct gy_account account = {
		.account_id = 1,
		.group_id = 1,
		.version = 1,
		.profile_version = 1,
		.state = GY_ACTIVE,
		.currency = 156,
		.balance = 100000000,
		.valid_until_us = INT64_MAX,
	};

	rules[0] = standard;
	catalogue = (struct gy_catalogue){ .version = 1,
					   .n_policies = 2,
					   .policies = policies,
					   .n_rules = 1,
					   .rules = rules,
					   .n_contexts = 1,
					   .contexts = contexts };
	profile = (struct gy_profile){ .subscriber_id = 1,
				       .account_id = 1,
				       .group_id = 1,
				       .profile_version = 1,
				       .tariff_id = 1,
				       .state = GY_ACTIVE };
	gy_world_init(&world, &catalogue, &account, 1, NOW);
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

/* Sends what r holds; every answer is a proper one and the books balance. */
static const struct gy_answer *sent(void)
{
	const struct gy_answer *answer;

	request_end(&r);
	world.now += 1000;
	answer = gy_world_request(&world, &r.ccr, 0, &profile);
	ck_assert(gy_rc_result_code(answer->rc) != 0);
	ck_assert_ptr_null(gy_world_audit(&world));
	return answer;
}

/* One service for Rating-Group 10: used octets (-1: none) and, or not, a request for more. */
static const struct gy_answer *say(enum gy_request_type type, uint64_t session, uint32_t number,
				   int64_t used, bool more)
{
	request_begin(&r, type, session, number);
	request_service(&r, 10, 0);
	if (used >= 0)
		request_used(&r, GY_UNIT_OCTETS, used);
	if (more)
		request_more(&r, GY_UNIT_OCTETS, -1);
	return sent();
}

#define GRANTED(answer) ((answer)->services[0].granted)

START_TEST(a_new_price_is_never_retroactive)
{
	const struct gy_answer *a = say(GY_INITIAL, 1, 0, -1, true);

	ck_assert_int_eq(GRANTED(a), 10 * MIB);
	rules[0].rate.price_micros = 200000; /* G-98: the next grant only */
	rules[0].rule_id = 2;
	catalogue.version++;
	say(GY_UPDATE, 1, 1, 4 * MIB, true);
	ck_assert_int_eq(account()->balance, 100000000 - 400000);
	ck_assert_int_eq(account()->reserved, 2000000);
	say(GY_UPDATE, 1, 2, 3 * MIB, true);
	ck_assert_int_eq(account()->balance, 100000000 - 400000 - 600000);
	rules[0].rate.price_micros = 50000;
	say(GY_TERMINATION, 1, 3, 2 * MIB, false);
	ck_assert_int_eq(account()->balance, 100000000 - 400000 - 600000 - 400000);
}
END_TEST

START_TEST(a_grant_outlives_its_rule)
{
	const struct gy_answer *a;

	say(GY_INITIAL, 1, 0, -1, true);
	catalogue.n_rules = 0;
	a = say(GY_UPDATE, 1, 1, 4 * MIB, true);
	ck_assert_int_eq(a->rc, GY_OK);
	ck_assert_int_eq(a->services[0].rc, GY_RATING_FAILED);
	ck_assert_int_eq(a->services[0].unit, GY_UNIT_NONE);
	ck_assert_int_eq(account()->balance, 100000000 - 400000);
	ck_assert_int_eq(account()->reserved, 0);
}
END_TEST

START_TEST(a_service_that_becomes_forbidden_or_free_pays_its_old_grant)
{
	const struct gy_answer *a;

	say(GY_INITIAL, 1, 0, -1, true);
	rules[0].kind = _i ? GY_RULE_FREE : GY_RULE_FORBIDDEN;
	rules[0].rate = (struct gy_rate){ 0, 1 };
	a = say(GY_UPDATE, 1, 1, 4 * MIB, true);
	ck_assert_int_eq(a->services[0].rc,
			 _i ? GY_CREDIT_CONTROL_NOT_APPLICABLE : GY_END_USER_SERVICE_DENIED);
	ck_assert_int_eq(account()->balance, 100000000 - 400000);
	ck_assert_int_eq(account()->reserved, 0);
}
END_TEST

START_TEST(the_remainder_survives_another_block_size)
{
	/* Ten octets cost 0.95 of a micro-unit: nothing yet. */
	say(GY_INITIAL, 1, 0, -1, true);
	say(GY_UPDATE, 1, 1, 10, true);
	ck_assert_int_eq(account()->balance, 100000000);
	rules[0].rate = (struct gy_rate){ 1, 10 };
	say(GY_UPDATE, 1, 2, -1, true); /* now granted at 0.1 of a micro-unit per octet */
	say(GY_UPDATE, 1, 3, 1, true);  /* 0.9 + 0.1, or 0.95 + 0.1: one whole, none lost */
	ck_assert_int_eq(account()->balance, 100000000 - 1);
}
END_TEST

START_TEST(a_grant_is_not_valid_beyond_its_price)
{
	const struct gy_answer *a;

	rules[0].valid_until_us = NOW + 100 * GY_SECOND_US;
	a = say(GY_INITIAL, 1, 0, -1, true);
	ck_assert_int_eq(a->services[0].rc, GY_OK);
	ck_assert_uint_ge(a->services[0].validity_s, 1);
	ck_assert_uint_le(a->services[0].validity_s, 100);
}
END_TEST

START_TEST(a_grant_is_not_valid_beyond_the_account)
{
	const struct gy_answer *a;

	account()->valid_until_us = NOW + 100 * GY_SECOND_US;
	a = say(GY_INITIAL, 1, 0, -1, true);
	ck_assert_uint_ge(a->services[0].validity_s, 1);
	ck_assert_uint_le(a->services[0].validity_s, 100);
}
END_TEST

START_TEST(validity_is_never_zero_just_before_the_end)
{
	const struct gy_answer *a;

	account()->valid_until_us = NOW + 500000;
	a = say(GY_INITIAL, 1, 0, -1, true);
	if (a->rc == GY_OK && a->services[0].unit != GY_UNIT_NONE)
		ck_assert_uint_ge(a->services[0].validity_s, 1);
}
END_TEST

START_TEST(an_account_whose_time_is_over_is_refused)
{
	const struct gy_answer *a;

	account()->valid_until_us = NOW;
	a = say(GY_INITIAL, 1, 0, -1, true);
	ck_assert_int_eq(a->rc, GY_END_USER_SERVICE_DENIED);
	ck_assert_uint_eq(account()->n_sessions, 0);
}
END_TEST

START_TEST(usage_is_debited_after_the_account_s_time)
{
	account()->valid_until_us = NOW + 100 * GY_SECOND_US;
	say(GY_INITIAL, 1, 0, -1, true);
	world.now = NOW + 101 * GY_SECOND_US;
	say(GY_UPDATE, 1, 1, 4 * MIB, true);
	ck_assert_int_eq(account()->balance, 100000000 - 400000);
	ck_assert_int_eq(account()->reserved, 0);
}
END_TEST

START_TEST(sessions_of_one_account_are_bounded)
{
	const struct gy_answer *a;

	for (unsigned i = 0; i < GY_ACCOUNT_SESSIONS_MAX; i++) {
		request_begin(&r, GY_INITIAL, i + 1, 0);
		request_end(&r);
		ck_assert_int_eq(gy_world_request(&world, &r.ccr, 0, &profile)->rc, GY_OK);
	}
	a = say(GY_INITIAL, GY_ACCOUNT_SESSIONS_MAX + 1, 0, -1, true);
	ck_assert_int_eq(a->rc, GY_UNABLE_TO_COMPLY);
	ck_assert_uint_eq(account()->n_sessions, GY_ACCOUNT_SESSIONS_MAX);
	/* One that ends makes room, and the refused request may come again (G-35). */
	say(GY_TERMINATION, 5, 1, -1, false);
	a = say(GY_INITIAL, GY_ACCOUNT_SESSIONS_MAX + 1, 0, -1, true);
	ck_assert_int_eq(a->rc, GY_OK);
}
END_TEST

START_TEST(reservations_of_one_session_are_bounded)
{
	unsigned refused = 0;

	say(GY_INITIAL, 1, 0, -1, true);
	for (uint32_t i = 1; i <= GY_SESSION_RESERVATIONS_MAX + 20; i++) {
		request_begin(&r, GY_UPDATE, 1, i);
		request_service(&r, 10, 1);
		r.service_ids[0][0] = 5000 + i;
		r.services[0].service_key = gy_service_key(r.service_ids[0], 1);
		request_more(&r, GY_UNIT_OCTETS, 1000);
		if (sent()->rc != GY_OK || world.plan.answer.services[0].rc != GY_OK)
			refused++;
	}
	ck_assert_uint_ge(refused, 20);
	ck_assert_uint_le(account()->n_reservations, GY_SESSION_RESERVATIONS_MAX);
}
END_TEST

/* A batch has one time for all of its requests. */
START_TEST(a_session_opened_again_within_one_transaction)
{
	gy_time_us first, second;

	say(GY_INITIAL, 1, 0, -1, true);
	first = account()->sessions[0].opened_us;
	world.now -= 1000;
	say(GY_TERMINATION, 1, 1, MIB, false);
	world.now -= 1000;
	ck_assert_uint_eq(say(GY_INITIAL, 1, 5, -1, true)->rc, GY_OK);
	ck_assert_uint_eq(account()->n_sessions, 1);
	second = account()->sessions[0].opened_us;
	ck_assert_int_eq(second, first + 1);
	ck_assert_int_eq(world.plan.record.at_us, second); /* by which auditors know the opening */
	world.now -= 1000;
	say(GY_TERMINATION, 1, 1, MIB, false);
	ck_assert_int_eq(account()->balance, 100000000 - 200000);
}
END_TEST

START_TEST(an_operator_releases_a_session)
{
	say(GY_INITIAL, 1, 0, -1, true);
	request_begin(&r, GY_INITIAL, 1, 0);
	gy_charge_end(account(), r.ccr.session, NULL, GY_SESSION_RELEASED, world.now,
		      world.late_window_us, &world.plan);
	ck_assert(world.plan.changed);
	ck_assert_int_eq(account()->reserved, 0);
	ck_assert_int_eq(account()->balance, 100000000);
	gy_charge_end(account(), r.ccr.session, NULL, GY_SESSION_RELEASED, world.now,
		      world.late_window_us, &world.plan);
	ck_assert(!world.plan.changed);
}
END_TEST

/* G-67: twice the Validity-Time, or as often as is set. */
START_TEST(supervision_is_a_multiple_of_the_validity_time)
{
	int64_t times = _i == 0 ? 2 : _i;

	world.supervision = (unsigned)_i;
	say(GY_INITIAL, 1, 0, -1, true);
	ck_assert_int_eq(account()->sessions[0].deadline_us,
			 world.now + times * 3600 * GY_SECOND_US);
	say(GY_UPDATE, 1, 1, MIB, true);
	ck_assert_int_eq(account()->sessions[0].deadline_us,
			 world.now + times * 3600 * GY_SECOND_US);
}
END_TEST

START_TEST(supervision_before_its_time_does_nothing)
{
	say(GY_INITIAL, 1, 0, -1, true);
	gy_charge_end(account(), r.ccr.session, NULL, GY_SESSION_EXPIRED, world.now,
		      world.late_window_us, &world.plan);
	ck_assert(!world.plan.changed);
	ck_assert_int_gt(world.plan.check_at_us, world.now);
	ck_assert_int_eq(account()->reserved, 1000000);
}
END_TEST

START_TEST(usage_in_another_unit_is_seen)
{
	const struct gy_charge *charges;

	say(GY_INITIAL, 1, 0, -1, true);
	request_begin(&r, GY_UPDATE, 1, 1);
	request_service(&r, 10, 0);
	request_used(&r, GY_UNIT_SECONDS, 60);
	request_more(&r, GY_UNIT_OCTETS, 1 << 20);
	ck_assert_int_eq(sent()->services[0].rc, GY_OK);
	charges = world.plan.charges;
	ck_assert_uint_eq(world.plan.record.n_charges, 2);
	ck_assert(charges[0].unit == GY_UNIT_OCTETS && charges[0].used == 0);
	ck_assert(charges[1].unit == GY_UNIT_SECONDS && charges[1].used == 60);
	ck_assert_uint_eq(charges[1].flags, GY_CHARGE_PART | GY_CHARGE_UNRATED);
	ck_assert_uint_eq(world.plan.record.flags & GY_CHARGE_UNRATED, GY_CHARGE_UNRATED);
	ck_assert_int_eq(world.plan.record.debit, 0);
}
END_TEST

START_TEST(an_update_changes_nothing_when_asked_twice_of_the_same_state)
{
	struct gy_account copy;
	struct gy_session sessions[8];
	struct gy_reservation reservations[8];
	struct gy_kept_answer answers[32];
	struct gy_view view = { .account = &copy, .profile = &profile, .late_window_us = 1 };
	int64_t debit[2], reserved[2], granted[2];

	/* The decision is a function: the same input, the same plan. */
	say(GY_INITIAL, 1, 0, -1, true);
	request_begin(&r, GY_UPDATE, 1, 1);
	request_service(&r, 10, 0);
	request_used(&r, GY_UNIT_OCTETS, 12345);
	request_more(&r, GY_UNIT_OCTETS, -1);
	request_end(&r);
	for (int i = 0; i < 2; i++) {
		struct gy_service_answer services[8];
		struct gy_charge charges[8 * GY_PARTS_MAX];
		struct gy_plan plan = {
			.room = 8, .parts = GY_PARTS_MAX, .services = services, .charges = charges
		};

		copy = *account();
		memcpy(sessions, copy.sessions, copy.n_sessions * sizeof(sessions[0]));
		memcpy(reservations, copy.reservations,
		       copy.n_reservations * sizeof(reservations[0]));
		memcpy(answers, copy.answers, copy.n_answers * sizeof(answers[0]));
		copy.sessions = sessions;
		copy.reservations = reservations;
		copy.answers = answers;
		copy.sessions_room = copy.reservations_room = 8;
		copy.answers_room = 32;
		copy.slices_room = copy.counters_room = 0;
		ck_assert_int_eq(gy_charge_decide(&r.ccr, &view, &catalogue, NOW, &plan), GY_OK);
		debit[i] = plan.record.debit;
		reserved[i] = plan.record.reserved;
		granted[i] = plan.answer.services[0].granted;
	}
	ck_assert_int_eq(debit[0], debit[1]);
	ck_assert_int_eq(reserved[0], reserved[1]);
	ck_assert_int_eq(granted[0], granted[1]);
	ck_assert_int_gt(debit[0], 0);
}
END_TEST

/* ---- numbers that no honest gateway sends: never an abort, never a gain ---- */

START_TEST(the_largest_usage_at_the_dearest_price)
{
	say(GY_INITIAL, 1, 0, -1, true);
	rules[0].rate = (struct gy_rate){ INT64_C(1000000000000000), 1 };
	say(GY_UPDATE, 1, 1, 1, true);
	say(GY_UPDATE, 1, 2, GY_AMOUNT_MAX, true);
	ck_assert_int_le(account()->balance, 100000000);
	say(GY_TERMINATION, 1, 3, GY_AMOUNT_MAX, true);
	ck_assert_int_le(account()->balance, 100000000);
	ck_assert_int_eq(account()->reserved, 0);
}
END_TEST

START_TEST(many_of_the_largest_reports_in_one_service)
{
	static struct gy_used used[GY_USED_MAX];

	for (unsigned i = 0; i < GY_USED_MAX; i++) {
		used[i] = (struct gy_used){ .tariff_change = GY_TCU_ABSENT };
		used[i].present[GY_UNIT_OCTETS] = true;
		used[i].count[GY_UNIT_OCTETS] = GY_AMOUNT_MAX;
	}
	say(GY_INITIAL, 1, 0, -1, true);
	request_begin(&r, GY_UPDATE, 1, 1);
	request_service(&r, 10, 0);
	request_end(&r);
	r.services[0].n_used = GY_USED_MAX;
	r.services[0].used = used;
	(void)gy_world_request(&world, &r.ccr, 0, &profile);
	ck_assert_ptr_null(gy_world_audit(&world));
	ck_assert_int_le(account()->balance, 100000000);
}
END_TEST

START_TEST(enormous_reports_again_and_again)
{
	rules[0].rate = (struct gy_rate){ 1, 1 };
	say(GY_INITIAL, 1, 0, -1, true);
	for (uint32_t n = 1; n < 40; n++) {
		int64_t before = account()->balance;

		say(GY_UPDATE, 1, n, GY_AMOUNT_MAX, true);
		ck_assert_int_le(account()->balance, before);
	}
	ck_assert_int_lt(account()->balance, 0);
}
END_TEST

START_TEST(the_largest_request_is_bounded_by_policy)
{
	const struct gy_answer *a;

	request_begin(&r, GY_INITIAL, 1, 0);
	request_service(&r, 10, 0);
	request_more(&r, GY_UNIT_OCTETS, INT64_MAX);
	a = sent();
	ck_assert_int_eq(GRANTED(a), 50 * MIB);
}
END_TEST

START_TEST(a_price_of_nothing)
{
	const struct gy_answer *a;

	rules[0].rate = (struct gy_rate){ 0, 1 };
	account()->balance = world.accounts[0].paid = 0;
	a = say(GY_INITIAL, 1, 0, -1, true);
	ck_assert_int_eq(a->services[0].rc, GY_OK);
	ck_assert_int_eq(GRANTED(a), 10 * MIB);
	say(GY_UPDATE, 1, 1, 10 * MIB, true);
	ck_assert_int_eq(account()->balance, 0);
	ck_assert_int_eq(account()->reserved, 0);
}
END_TEST

/* A remainder of the dear past must not make a free present hold money that is not there. */
START_TEST(a_price_that_falls_to_nothing_with_an_empty_purse)
{
	account()->balance = world.accounts[0].paid = 1;
	say(GY_INITIAL, 1, 0, -1, true);
	say(GY_UPDATE, 1, 1, 20, true); /* 1.9 micro-units: 1 debited, 0.9 carried, nothing left */
	ck_assert_int_eq(account()->balance, 0);
	rules[0].rate = (struct gy_rate){ 0, MIB };
	say(GY_UPDATE, 1, 2, -1, true);
	ck_assert_int_ge(gy_account_available(account()), 0);
}
END_TEST

/* --- copies by End-to-End identifier (G-84) ---- */

/* A report of one MiB under this number, with T and the identifier of another one. */
static const struct gy_answer *resent_as(uint32_t number, uint32_t end_to_end, int64_t gateway)
{
	request_begin(&r, GY_UPDATE, 1, number);
	request_service(&r, 10, 0);
	request_used(&r, GY_UNIT_OCTETS, MIB);
	request_more(&r, GY_UNIT_OCTETS, -1);
	r.ccr.end_to_end = end_to_end;
	r.ccr.gateway_id = gateway;
	r.ccr.retransmitted = true;
	return sent();
}

START_TEST(a_resend_is_known_by_its_end_to_end_id)
{
	const struct gy_answer *a;
	int64_t balance;

	say(GY_INITIAL, 1, 0, -1, true);
	say(GY_UPDATE, 1, 1, MIB, true);
	balance = account()->balance;
	a = resent_as(2, 1001, 1);
	ck_assert(a->replayed && a->rc == GY_OK);
	ck_assert_int_eq(account()->balance, balance);
	ck_assert_int_eq(account()->sessions[0].highest, 1); /* number 2 was not used */
	ck_assert_uint_eq(world.n_histories, 0);
}
END_TEST

START_TEST(an_end_to_end_id_is_its_origin_host_s_own)
{
	say(GY_INITIAL, 1, 0, -1, true);
	say(GY_UPDATE, 1, 1, MIB, true);
	ck_assert(!resent_as(2, 1001, 2)->replayed);
	ck_assert_int_eq(account()->balance, 100000000 - 2 * 100000);
}
END_TEST

START_TEST(its_own_number_counts_before_the_end_to_end_id)
{
	const struct gy_answer *a;

	say(GY_INITIAL, 1, 0, -1, true);
	say(GY_UPDATE, 1, 1, MIB, true);
	say(GY_UPDATE, 1, 2, -1, false); /* its answer grants nothing */
	a = resent_as(2, 1001, 1);
	ck_assert(a->replayed && GRANTED(a) == 0);
	ck_assert_int_eq(account()->balance, 100000000 - 100000);
}
END_TEST

/* Beyond the kept answers only the number tells: a copy by the standard has the same one. */
START_TEST(the_end_to_end_id_is_known_while_the_answer_is_kept)
{
	say(GY_INITIAL, 1, 0, -1, true);
	for (uint32_t n = 1; n <= GY_ANSWERS_KEPT + 1; n++)
		say(GY_UPDATE, 1, n, MIB, true);
	ck_assert(resent_as(50, 1000 + 2, 1)->replayed);
	ck_assert(!resent_as(51, 1000 + 1, 1)->replayed);
	ck_assert(resent_as(1, 1000 + 1, 1)->replayed);
	ck_assert_uint_eq(world.n_histories, 1); /* of the last one */
}
END_TEST

START_TEST(a_long_answer_is_replayed_whole_under_another_number)
{
	const struct gy_answer *a;

	say(GY_INITIAL, 1, 0, -1, true);
	request_begin(&r, GY_UPDATE, 1, 1);
	for (unsigned i = 0; i < 5; i++) {
		request_service(&r, 10, i % 3);
		request_more(&r, GY_UNIT_OCTETS, -1);
	}
	sent();
	a = resent_as(2, 1001, 1); /* with one service, answered with five */
	ck_assert(a->replayed);
	ck_assert_uint_eq(a->n_services, 5);
}
END_TEST

/* ---- profiles of gateways ---- */

static struct gy_peer_profile profiles[1];

static void gateway_is(enum gy_free_answer free_answer, bool terminate_only)
{
	profiles[0] = (struct gy_peer_profile){ .peer = "*.test",
						.tariff_time_change = true,
						.free_answer = free_answer,
						.terminate_only = terminate_only };
	catalogue.peers = profiles;
	catalogue.n_peers = 1;
}

static void owns(int64_t micros)
{
	account()->balance = world.accounts[0].paid = micros;
}

static const struct gy_answer *ask_for(enum gy_request_type type, uint32_t number, uint32_t group,
				       int64_t used, bool more)
{
	request_begin(&r, type, 1, number);
	request_service(&r, group, 0);
	if (used >= 0)
		request_used(&r, GY_UNIT_OCTETS, used);
	if (more)
		request_more(&r, GY_UNIT_OCTETS, -1);
	return sent();
}

/* G-34: free traffic is granted, also below zero, and costs nothing. */
START_TEST(free_traffic_by_a_grant)
{
	const struct gy_answer *a;

	gateway_is(GY_FREE_BY_GRANT, false);
	rules[0].kind = GY_RULE_FREE;
	rules[0].rate = (struct gy_rate){ 0, 1 };
	owns(_i ? 5 : -1000000);
	a = say(GY_INITIAL, 1, 0, -1, true);
	ck_assert(a->rc == GY_OK && a->services[0].rc == GY_OK);
	ck_assert(a->services[0].unit == GY_UNIT_OCTETS && GRANTED(a) == 10 * MIB);
	ck_assert(a->services[0].final_unit == GY_FINAL_NONE);
	a = say(GY_UPDATE, 1, 1, 100 * MIB, true);
	ck_assert(a->services[0].rc == GY_OK && GRANTED(a) == 10 * MIB);
	say(GY_TERMINATION, 1, 2, 7, false);
	ck_assert_int_eq(account()->balance, _i ? 5 : -1000000);
	ck_assert_int_eq(account()->reserved, 0);
}
END_TEST

/* Free no more, nor any money: the next request is refused like others. */
START_TEST(free_traffic_that_gets_a_price)
{
	gateway_is(GY_FREE_BY_GRANT, false);
	rules[0].kind = GY_RULE_FREE;
	rules[0].rate = (struct gy_rate){ 0, 1 };
	owns(0);
	ck_assert_int_eq(GRANTED(say(GY_INITIAL, 1, 0, -1, true)), 10 * MIB);
	rules[0] = standard;
	ck_assert(say(GY_UPDATE, 1, 1, 4 * MIB, true)->services[0].rc == GY_CREDIT_LIMIT_REACHED);
	ck_assert_int_eq(account()->balance, 0); /* used while it was free (G-98) */
}
END_TEST

/* G-34: 4011 for the command ends credit control before it begins. */
START_TEST(free_traffic_told_for_the_command)
{
	const struct gy_answer *a;

	gateway_is(GY_FREE_BY_COMMAND, false);
	rules[0].kind = GY_RULE_FREE;
	rules[0].rate = (struct gy_rate){ 0, 1 };
	a = say(GY_INITIAL, 1, 0, -1, true);
	ck_assert(a->rc == GY_CREDIT_CONTROL_NOT_APPLICABLE && a->n_services == 0);
	ck_assert_uint_eq(account()->n_sessions, 0);
	ck_assert(say(GY_TERMINATION, 1, 1, 5, false)->rc == GY_UNKNOWN_SESSION_ID);
	/* Beside a service that is refused for another reason the session opens (G-22). */
	request_begin(&r, GY_INITIAL, 2, 0);
	request_service(&r, 10, 0);
	request_more(&r, GY_UNIT_OCTETS, -1);
	request_service(&r, 40, 0);
	request_more(&r, GY_UNIT_OCTETS, -1);
	a = sent();
	ck_assert(a->rc == GY_OK && a->n_services == 2);
	ck_assert(a->services[0].rc == GY_CREDIT_CONTROL_NOT_APPLICABLE);
	ck_assert(a->services[1].rc == GY_RATING_FAILED);
	ck_assert_uint_eq(account()->n_sessions, 1);
}
END_TEST

/* A gateway that knows TERMINATE only: a Rating-Group that redirects ends there. */
START_TEST(final_units_of_a_gateway_that_only_terminates)
{
	const struct gy_answer *a;

	rules[0].rating_group = 60;
	gateway_is(GY_FREE_BY_SERVICE, true);
	owns(300000);
	a = ask_for(GY_INITIAL, 0, 60, -1, true);
	ck_assert_int_eq(GRANTED(a), 3 * MIB);
	ck_assert(a->services[0].final_unit == GY_FINAL_TERMINATE);
	a = ask_for(GY_UPDATE, 1, 60, 3 * MIB, true);
	ck_assert(a->services[0].rc == GY_CREDIT_LIMIT_REACHED);
	ck_assert(a->services[0].final_unit == GY_FINAL_NONE && a->services[0].validity_s == 0);
	gateway_is(GY_FREE_BY_SERVICE, false);
	a = ask_for(GY_UPDATE, 2, 60, -1, true);
	ck_assert(a->services[0].rc == GY_OK && a->services[0].final_unit == GY_FINAL_REDIRECT);
}
END_TEST

/* G-63: not longer than the account. */
START_TEST(after_the_last_units_until_the_account_s_end)
{
	const struct gy_answer *a;

	rules[0].rating_group = 60;
	owns(300000);
	account()->valid_until_us = world.now + 100 * GY_SECOND_US;
	a = ask_for(GY_INITIAL, 0, 60, -1, true);
	ck_assert(a->services[0].final_unit == GY_FINAL_REDIRECT);
	world.now += 40 * GY_SECOND_US;
	a = ask_for(GY_UPDATE, 1, 60, MIB, false);
	ck_assert(a->services[0].rc == GY_OK && a->services[0].unit == GY_UNIT_NONE);
	ck_assert(a->services[0].validity_s >= 58 && a->services[0].validity_s <= 60);
}
END_TEST

/* G-85: a duplicate that names no Rating-Group gets the policy of the context's one again. */
START_TEST(a_duplicate_without_rating_group_is_answered_by_its_policy)
{
	static const struct gy_service_context portal[] = {
		{ .suffix = "32251@3gpp.org", .default_rating_group = 60 },
	};
	const struct gy_answer *a;

	catalogue.contexts = portal;
	rules[0].rating_group = 60;
	owns(300000);
	request_begin(&r, GY_INITIAL, 1, 0);
	request_service(&r, 60, 0);
	r.services[0].has_rating_group = false;
	request_more(&r, GY_UNIT_OCTETS, -1);
	for (int copy = 0; copy < 2; copy++) {
		a = sent();
		ck_assert_int_eq(a->replayed, copy);
		ck_assert(a->services[0].final_unit == GY_FINAL_REDIRECT);
		ck_assert(a->services[0].policy == &policies[1]);
	}
}
END_TEST

/* G-21: an APN that the context doesn't allow. */
START_TEST(an_apn_that_is_not_allowed)
{
	static const char *const listed[] = { "internet" };
	static const struct gy_service_context some[] = {
		{ .suffix = "32251@3gpp.org",
		  .default_rating_group = 10,
		  .apns = listed,
		  .n_apns = 1 },
	};
	const char *apn = _i ? "internet" : "ims";

	catalogue.contexts = some;
	request_begin(&r, GY_INITIAL, 1, 0);
	r.ccr.conditions.apn = (struct gy_bytes){ (const uint8_t *)apn, strlen(apn) };
	request_service(&r, 10, 0);
	request_more(&r, GY_UNIT_OCTETS, -1);
	ck_assert(sent()->rc == (_i ? GY_OK : GY_AUTHORIZATION_REJECTED));
	ck_assert_uint_eq(account()->n_sessions, _i ? 1 : 0);
	ck_assert_int_eq(account()->reserved, _i ? 1000000 : 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("core-decision");
	TCase *tests = tcase_create("decision");

	tcase_add_checked_fixture(tests, fresh, done);
	tcase_add_test(tests, a_new_price_is_never_retroactive);
	tcase_add_test(tests, a_grant_outlives_its_rule);
	tcase_add_loop_test(tests, a_service_that_becomes_forbidden_or_free_pays_its_old_grant, 0,
			    2);
	tcase_add_test(tests, the_remainder_survives_another_block_size);
	tcase_add_test(tests, a_grant_is_not_valid_beyond_its_price);
	tcase_add_test(tests, a_grant_is_not_valid_beyond_the_account);
	tcase_add_test(tests, validity_is_never_zero_just_before_the_end);
	tcase_add_test(tests, an_account_whose_time_is_over_is_refused);
	tcase_add_test(tests, usage_is_debited_after_the_account_s_time);
	tcase_add_test(tests, sessions_of_one_account_are_bounded);
	tcase_add_test(tests, reservations_of_one_session_are_bounded);
	tcase_add_test(tests, a_session_opened_again_within_one_transaction);
	tcase_add_test(tests, an_operator_releases_a_session);
	tcase_add_loop_test(tests, supervision_is_a_multiple_of_the_validity_time, 0, 4);
	tcase_add_test(tests, supervision_before_its_time_does_nothing);
	tcase_add_test(tests, usage_in_another_unit_is_seen);
	tcase_add_test(tests, an_update_changes_nothing_when_asked_twice_of_the_same_state);
	tcase_add_test(tests, the_largest_usage_at_the_dearest_price);
	tcase_add_test(tests, many_of_the_largest_reports_in_one_service);
	tcase_add_test(tests, enormous_reports_again_and_again);
	tcase_add_test(tests, the_largest_request_is_bounded_by_policy);
	tcase_add_test(tests, a_price_of_nothing);
	tcase_add_test(tests, a_price_that_falls_to_nothing_with_an_empty_purse);
	tcase_add_test(tests, a_resend_is_known_by_its_end_to_end_id);
	tcase_add_test(tests, an_end_to_end_id_is_its_origin_host_s_own);
	tcase_add_test(tests, its_own_number_counts_before_the_end_to_end_id);
	tcase_add_test(tests, the_end_to_end_id_is_known_while_the_answer_is_kept);
	tcase_add_test(tests, a_long_answer_is_replayed_whole_under_another_number);
	tcase_add_loop_test(tests, free_traffic_by_a_grant, 0, 2);
	tcase_add_test(tests, free_traffic_that_gets_a_price);
	tcase_add_test(tests, free_traffic_told_for_the_command);
	tcase_add_test(tests, final_units_of_a_gateway_that_only_terminates);
	tcase_add_test(tests, after_the_last_units_until_the_account_s_end);
	tcase_add_test(tests, a_duplicate_without_rating_group_is_answered_by_its_policy);
	tcase_add_loop_test(tests, an_apn_that_is_not_allowed, 0, 2);
	suite_add_tcase(suite, tests);
	return gy_tap_run(suite);
}
