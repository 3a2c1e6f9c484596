/* What must not be drawn from traffic cards, or not any more: free Rating-Groups, caps, hours that
 * end, the money of whoever pays, other Service-Identifiers (spec/cards.md). */
#include "core/rating/clock.h"
#include "tests/unit/core/wallet.h"

/* Berlin in 2027: the clocks go forward on 28 March, back on 31 October, both at 01:00 UTC. */
#define MARCH_28   (INT64_C(1806195600) * GY_SECOND_US)
#define OCTOBER_31 (INT64_C(1824944400) * GY_SECOND_US)
static const struct gy_zone_change berlin_changes[] = { { 0, 3600 },
							{ MARCH_28, 7200 },
							{ OCTOBER_31, 3600 } };
static const struct gy_zone berlin = { 2, "Europe/Berlin", 3, berlin_changes };

/* ---- free Rating-Groups ---- */

/* Nothing of what is free is a card's: neither usage that no grant was made for, nor what goes
 * beyond a grant that tells a gateway so (G-34). */
START_TEST(a_free_group_drains_no_card)
{
	begin();
	card(0, 1, 10 * MIB);
	bind_card(0, 0, 1);
	open_shop(0);
	say(0, GY_INITIAL, 0, 30, MIB, -1);
	ck_assert_int_eq(left(0, 1)->used, 0);
	request_begin(&r, GY_UPDATE, 1, 1);
	r.ccr.origin_host = (struct gy_bytes){ (const uint8_t *)"pgw2.spec.test", 14 };
	request_service(&r, 30, 0);
	request_more(&r, GY_UNIT_OCTETS, MIB);
	ck_assert_int_eq(sent(0)->services[0].granted, MIB);
	say(0, GY_TERMINATION, 2, 30, 3 * MIB, -1);
	ck_assert_int_eq(left(0, 1)->used, 0);
	ck_assert_int_eq(BALANCE(0), 0);
	done();
}
END_TEST

/* ... but a price of nothing is no free Rating-Group: its over-use is still the cards' first. */
START_TEST(over_use_of_cards_only_drains_cards)
{
	begin();
	card(0, 1, 10 * MIB);
	bind_card(0, 0, 1);
	open_shop(0);
	ck_assert_int_eq(say(0, GY_INITIAL, 0, 20, -1, MIB), MIB);
	say(0, GY_TERMINATION, 1, 20, 3 * MIB, -1);
	ck_assert_int_eq(left(0, 1)->used, 3 * MIB);
	ck_assert_uint_eq(world.plan.record.flags & GY_CHARGE_UNRATED, 0);
	done();
}
END_TEST

/* ---- caps ---- */

static void unbind_all(int user)
{
	bindings[user].n = 0;
	profile[user].cards = NULL;
}

/* What was held when he was unbound counts when it is reported: bound again, he has the rest. */
START_TEST(a_cap_outlives_an_unbinding)
{
	begin();
	card(2, 7, 100 * MIB);
	bind_card(0, 2, 7)->cap = 5 * MIB;
	open_shop(0);
	ck_assert_int_eq(say(0, GY_INITIAL, 0, 10, -1, 4 * MIB), 4 * MIB);
	unbind_all(0);
	say(0, GY_UPDATE, 1, 10, 4 * MIB, -1);
	ck_assert_int_eq(left(2, 7)->used, 4 * MIB);
	bind_card(0, 2, 7)->cap = 5 * MIB;
	ck_assert_int_eq(say(0, GY_UPDATE, 2, 10, -1, 10 * MIB), 1 * MIB);
	say(0, GY_TERMINATION, 3, 10, 1 * MIB, -1);
	ck_assert_int_eq(left(2, 7)->used, 5 * MIB);
	done();
}
END_TEST

/* ---- hours ---- */

/* 00-08 h, and hardly any money for after it: the grant ends with the hours and gives what the card
 * has, instead of what both sides could. */
static void an_idle_time_card_that_ends(int64_t balance, uint32_t group)
{
	const struct gy_service_answer *s = NULL;

	begin();
	card(0, 1, 100 * MIB);
	bind_card(0, 0, 1)->window_from = 0;
	bound[0][0].window_until = 8 * 60;
	open_shop(balance);
	world.now = NOW - 600 * GY_SECOND_US;
	ck_assert_int_eq(say(0, GY_INITIAL, 0, group, -1, 10 * MIB), 10 * MIB);
	s = &world.plan.answer.services[0];
	ck_assert_int_eq(s->final_unit, GY_FINAL_NONE);
	ck_assert_uint_eq(s->switch_s, 0);
	ck_assert_uint_eq(s->validity_s, 599); /* some of a second has passed */
	ck_assert_int_eq(world.homes[0]->reserved, 0);
	say(0, GY_UPDATE, 1, group, 10 * MIB, -1);
	ck_assert_int_eq(left(0, 1)->used, 10 * MIB);
	world.now = NOW;
	request_begin(&r, GY_UPDATE, 1, 2);
	request_service(&r, group, 0);
	request_more(&r, GY_UNIT_OCTETS, 10 * MIB);
	s = &sent(0)->services[0];
	ck_assert_int_eq(s->rc, balance > 0 && group != 20 ? GY_OK : GY_CREDIT_LIMIT_REACHED);
	say(0, GY_TERMINATION, 3, group, 0, -1);
	done();
}

START_TEST(hours_that_end_without_money)
{
	an_idle_time_card_that_ends(0, 10);
}
END_TEST

START_TEST(hours_that_end_with_little_money)
{
	an_idle_time_card_that_ends(100000, 10);
}
END_TEST

START_TEST(hours_that_end_and_cards_only)
{
	an_idle_time_card_that_ends(100000000, 20);
}
END_TEST

/* Before the hours there is hardly any money: its units are the last ones until the hours begin,
 * and the gateway comes back then. */
START_TEST(hours_that_begin_with_little_money)
{
	begin();
	card(0, 1, 100 * MIB);
	bind_card(0, 0, 1)->window_from = 8 * 60;
	bound[0][0].window_until = 9 * 60;
	open_shop(100000);
	world.now = NOW - 600 * GY_SECOND_US;
	ck_assert_int_eq(say(0, GY_INITIAL, 0, 10, -1, 10 * MIB), MIB);
	ck_assert_int_eq(world.plan.answer.services[0].final_unit, GY_FINAL_TERMINATE);
	ck_assert_uint_eq(world.plan.answer.services[0].switch_s, 0);
	ck_assert_uint_eq(world.plan.answer.services[0].validity_s, 599);
	ck_assert_int_eq(left(0, 1)->reserved, 0);
	world.now = NOW;
	ck_assert_int_eq(say(0, GY_UPDATE, 1, 10, 0, 10 * MIB), 10 * MIB);
	ck_assert_int_eq(world.plan.answer.services[0].final_unit, GY_FINAL_NONE);
	say(0, GY_TERMINATION, 2, 10, 0, -1);
	done();
}
END_TEST

/* Hours of Berlin, on the nights in which its clocks are set: from 22:00 to 02:30. */
static void the_night(gy_time_us at, int from, int until, gy_time_us edge)
{
	begin();
	zones[1] = berlin;
	bindings[0].zone_id = berlin.zone_id;
	card(0, 1, 100 * MIB);
	bind_card(0, 0, 1)->window_from = from;
	bound[0][0].window_until = until;
	open_shop(0);
	world.now = at - 1000;
	ck_assert_int_eq(say(0, GY_INITIAL, 0, 10, -1, MIB), MIB);
	ck_assert_int_eq(world.plan.answer.services[0].validity_s, (edge - at) / GY_SECOND_US);
	ck_assert_uint_eq(world.plan.answer.services[0].switch_s, 0);
	say(0, GY_TERMINATION, 1, 10, 0, -1);
	done();
}

START_TEST(hours_of_another_zone)
{
	/* 07:30 in Berlin, 06:30 UTC: until 08:00 there. */
	the_night(NOW - 3 * H / 2, 0, 8 * 60, NOW - H);
	/* Over midnight: 23:30 there, until 00:15. */
	the_night(NOW + 14 * H + H / 2, 23 * 60, 15, NOW + 15 * H + H / 4);
	/* 02:30 is left out: the hours end when the clocks go from 02:00 to 03:00. */
	the_night(MARCH_28 - H / 2, 22 * 60, 2 * 60 + 30, MARCH_28);
	/* 07:30 of that day is at 05:30 UTC. */
	the_night(MARCH_28 + 4 * H + H / 2, 0, 8 * 60, MARCH_28 + 5 * H);
	/* 02:30 comes twice: for the first time an hour before the clocks are set at 03:00. */
	the_night(OCTOBER_31 - H, 22 * 60, 2 * 60 + 30, OCTOBER_31 - H / 2);
}
END_TEST

/* ---- who pays for a pool ---- */

/* Two cards that one sponsor pays for by usage have his money once, in a grant and beyond it. */
START_TEST(one_sponsors_money_for_two_cards)
{
	begin();
	card(2, 7, 4 * MIB)->rate = (struct gy_rate){ 20000000, MIB };
	card(2, 8, 100 * MIB)->rate = (struct gy_rate){ 20000000, MIB };
	bind_card(0, 2, 7)->priority = 2;
	bind_card(0, 2, 8);
	open_shop(0);
	ck_assert_int_eq(say(0, GY_INITIAL, 0, 10, -1, 10 * MIB), 5 * MIB); /* 100 at 20 each */
	ck_assert_int_eq(left(2, 7)->reserved, 4 * MIB);
	ck_assert_int_eq(left(2, 8)->reserved, 1 * MIB);
	say(0, GY_TERMINATION, 1, 10, 0, -1);
	say(0, GY_INITIAL, 2, 20, 10 * MIB, -1);
	ck_assert_int_eq(left(2, 7)->used, 4 * MIB);
	ck_assert_int_eq(left(2, 8)->used, 1 * MIB);
	done();
}
END_TEST

/* What an owner owes for his card, he cannot spend otherwise: not in a grant of his own ... */
START_TEST(an_owner_keeps_what_he_owes)
{
	begin();
	card(2, 7, 4 * MIB)->rate = (struct gy_rate){ 20000000, MIB };
	bind_card(0, 2, 7);
	bind_card(2, 2, 7);
	open_shop(0);
	ck_assert_int_eq(say(0, GY_INITIAL, 0, 10, -1, 1 * MIB), 1 * MIB);
	say(0, GY_TERMINATION, 1, 10, 1 * MIB, -1);
	ck_assert_int_eq(gy_account_spendable(world.homes[2]), 80000000);
	/* ... which takes the card first, and leaves money for its settlement: 80 - 3 * 20. */
	world.homes[2]->balance -= 79900000 - 60000000;
	world.accounts[2].paid -= 79900000 - 60000000;
	ck_assert_int_eq(say(2, GY_INITIAL, 0, 10, -1, 10 * MIB), 4 * MIB);
	ck_assert_int_eq(world.homes[2]->reserved, 100000);
	say(2, GY_TERMINATION, 1, 10, 4 * MIB, -1);
	ck_assert_int_eq(gy_account_spendable(world.homes[2]), 0);
	done();
}
END_TEST

/* Who is barred, or whose account has expired, pays for nothing more. */
START_TEST(a_sponsor_who_is_barred_or_has_expired)
{
	for (int i = 0; i < 2; i++) {
		begin();
		card(2, 7, 1000 * MIB)->rate = (struct gy_rate){ 1, MIB };
		bind_card(0, 2, 7);
		open_shop(100000000);
		say(0, GY_INITIAL, 0, 10, -1, MIB);
		ck_assert_int_eq(left(2, 7)->reserved, MIB);
		if (i == 0)
			world.homes[2]->state = GY_BARRED;
		else
			world.homes[2]->valid_until_us = world.now;
		say(0, GY_UPDATE, 1, 10, MIB, MIB);
		ck_assert_int_eq(left(2, 7)->used, MIB);
		ck_assert_int_eq(left(2, 7)->reserved, 0);
		ck_assert_int_eq(world.homes[0]->reserved, 100000);
		say(0, GY_TERMINATION, 2, 10, MIB, -1);
		done();
	}
}
END_TEST

/* ---- usage that no grant was made for ---- */

START_TEST(cards_only_without_a_grant)
{
	begin();
	card(0, 1, 3 * MIB);
	bind_card(0, 0, 1);
	open_shop(100000000);
	say(0, GY_INITIAL, 0, 20, 2 * MIB, -1);
	ck_assert_int_eq(left(0, 1)->used, 2 * MIB);
	ck_assert_uint_eq(world.plan.record.flags & GY_CHARGE_UNRATED, 0);
	say(0, GY_TERMINATION, 1, 20, 0, -1);
	request_begin(&r, GY_UPDATE, 1, 2); /* late, and more than there is */
	request_service(&r, 20, 0);
	request_used(&r, GY_UNIT_OCTETS, 4 * MIB);
	ck_assert_int_eq(sent(0)->rc, GY_UNKNOWN_SESSION_ID);
	ck_assert_int_eq(left(0, 1)->used, 3 * MIB);
	ck_assert_uint_eq(world.plan.record.flags & GY_CHARGE_UNRATED, GY_CHARGE_UNRATED);
	ck_assert_int_eq(BALANCE(0), 100000000);
	done();
}
END_TEST

/* G-39: what is asked for, or nothing; money is no unit that a card has, but an amount. */
START_TEST(a_card_gives_no_other_unit_than_was_asked)
{
	const struct gy_service_answer *a;

	begin();
	card(0, 1, 10 * MIB);
	bind_card(0, 0, 1);
	open_shop(1000000);
	for (uint32_t n = 0; n < 2; n++) { /* before a grant in octets, and after it */
		request_begin(&r, n == 0 ? GY_INITIAL : GY_UPDATE, 1, 2 * n);
		request_service(&r, 20, 0);
		request_more(&r, GY_UNIT_SECONDS, 60);
		ck_assert_int_eq(sent(0)->services[0].rc, GY_RATING_FAILED);
		ck_assert_int_eq(left(0, 1)->reserved, 0);
		ck_assert_int_eq(say(0, GY_UPDATE, 2 * n + 1, 20, -1, MIB), MIB);
	}
	request_begin(&r, GY_UPDATE, 1, 4);
	request_service(&r, 20, 0);
	request_more(&r, GY_UNIT_MONEY, 500000);
	a = sent(0)->services;
	ck_assert(a->unit == GY_UNIT_MONEY && a->granted == 500000);
	request_begin(&r, GY_UPDATE, 1, 5);
	request_service(&r, 20, 0);
	request_more(&r, GY_UNIT_MONEY, 500000);
	request_more(&r, GY_UNIT_OCTETS, MIB);
	a = sent(0)->services;
	ck_assert(a->unit == GY_UNIT_OCTETS && a->granted == MIB); /* cards first (G-97) */
	done();
}
END_TEST

/* ---- Service-Identifiers ---- */

/* A report of several Service-Identifiers is one sum: all of them must be the card's. */
START_TEST(all_service_identifiers_must_be_targets)
{
	static const struct gy_card_target first[] = { { 99, 1 } };
	static const struct gy_card_target both[] = { { 99, 1 }, { 99, 2 } };

	for (unsigned n = 1; n <= 2; n++) {
		begin();
		card(0, 1, 10 * MIB);
		directed(bind_card(0, 0, 1));
		bound[0][0].n_targets = n;
		bound[0][0].targets = n == 1 ? first : both;
		open_shop(100000000);
		for (unsigned ids = 0; ids <= 2; ids++) {
			request_begin(&r, GY_INITIAL, 10 + ids, 0);
			request_service(&r, 99, ids);
			request_more(&r, GY_UNIT_OCTETS, MIB);
			sent(0);
			ck_assert_int_eq(world.homes[0]->slices != NULL &&
						 world.homes[0]->n_slices > 0,
					 ids >= 1 && ids <= n);
			request_begin(&r, GY_TERMINATION, 10 + ids, 1);
			request_service(&r, 99, ids);
			request_used(&r, GY_UNIT_OCTETS, MIB);
			sent(0);
		}
		ck_assert_int_eq(left(0, 1)->used, n * MIB);
		ck_assert_int_eq(BALANCE(0), 100000000 - (3 - n) * 100000);
		done();
	}
}
END_TEST
/* A group that is charged from cards only ends like others: a report after the last units is told
 * when to ask again (G-63), and then a new card lifts the restriction (G-64). */
START_TEST(after_the_last_units_of_a_card)
{
	const struct gy_service_answer *a = NULL;

	begin();
	card(0, 1, 3 * MIB);
	bind_card(0, 0, 1);
	card(0, 2, 20 * MIB);
	open_shop(0);
	ck_assert_int_eq(say(0, GY_INITIAL, 0, 21, -1, 10 * MIB), 3 * MIB);
	a = &world.plan.answer.services[0];
	ck_assert(a->final_unit == GY_FINAL_RESTRICT_ACCESS);
	say(0, GY_UPDATE, 1, 21, 3 * MIB, -1);
	a = &world.plan.answer.services[0];
	ck_assert(a->rc == GY_OK && a->unit == GY_UNIT_NONE);
	ck_assert_uint_eq(a->validity_s, 3600);
	bind_card(0, 0, 2);
	ck_assert_int_eq(say(0, GY_UPDATE, 2, 21, -1, 10 * MIB), 10 * MIB);
	a = &world.plan.answer.services[0];
	ck_assert(a->final_unit == GY_FINAL_NONE);
	say(0, GY_UPDATE, 3, 21, MIB, -1);
	a = &world.plan.answer.services[0];
	ck_assert_uint_eq(a->validity_s, 0);
	done();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("core-card-limits");
	TCase *tests = tcase_create("core-card-limits");

	tcase_add_test(tests, a_free_group_drains_no_card);
	tcase_add_test(tests, over_use_of_cards_only_drains_cards);
	tcase_add_test(tests, a_cap_outlives_an_unbinding);
	tcase_add_test(tests, hours_that_end_without_money);
	tcase_add_test(tests, hours_that_end_with_little_money);
	tcase_add_test(tests, hours_that_end_and_cards_only);
	tcase_add_test(tests, hours_that_begin_with_little_money);
	tcase_add_test(tests, hours_of_another_zone);
	tcase_add_test(tests, one_sponsors_money_for_two_cards);
	tcase_add_test(tests, an_owner_keeps_what_he_owes);
	tcase_add_test(tests, a_sponsor_who_is_barred_or_has_expired);
	tcase_add_test(tests, cards_only_without_a_grant);
	tcase_add_test(tests, a_card_gives_no_other_unit_than_was_asked);
	tcase_add_test(tests, all_service_identifiers_must_be_targets);
	tcase_add_test(tests, after_the_last_units_of_a_card);
	suite_add_tcase(suite, tests);
	return gy_tap_run(suite);
}
