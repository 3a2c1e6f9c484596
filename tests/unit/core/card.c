/* Usage drained from traffic cards: order of consumption, split grants, pools, hours of the day,
 * over-use (spec/cards.md). */
#include "tests/unit/core/wallet.h"

/* 3 MB of a card and 7 MB of money are one grant of 10 MB; usage drains them in order. */
START_TEST(a_grant_is_split)
{
	begin();
	card(0, 1, 3 * MIB);
	bind_card(0, 0, 1);
	open_shop(100000000);
	ck_assert_int_eq(say(0, GY_INITIAL, 0, 10, -1, 10 * MIB), 10 * MIB);
	ck_assert_int_eq(left(0, 1)->reserved, 3 * MIB);
	ck_assert_int_eq(world.homes[0]->reserved, 700000);
	say(0, GY_TERMINATION, 1, 10, 5 * MIB, -1);
	ck_assert_int_eq(left(0, 1)->used, 3 * MIB);
	ck_assert_int_eq(left(0, 1)->reserved, 0);
	ck_assert_int_eq(BALANCE(0), 100000000 - 200000);
	done();
}
END_TEST

/* What isn't used goes back to the card; without money the card alone gives. */
START_TEST(a_card_alone)
{
	begin();
	card(0, 1, 3 * MIB);
	bind_card(0, 0, 1);
	open_shop(0);
	ck_assert_int_eq(say(0, GY_INITIAL, 0, 10, -1, 10 * MIB), 3 * MIB);
	ck_assert_int_eq(world.plan.answer.services[0].final_unit, GY_FINAL_TERMINATE);
	say(0, GY_TERMINATION, 1, 10, 1 * MIB, -1);
	ck_assert_int_eq(left(0, 1)->used, 1 * MIB);
	ck_assert_int_eq(left(0, 1)->reserved, 0);
	ck_assert_int_eq(BALANCE(0), 0);
	done();
}
END_TEST

START_TEST(directed_before_general_and_only_its_targets)
{
	begin();
	card(0, 1, 100 * MIB);
	card(0, 2, 100 * MIB);
	bind_card(0, 0, 1)->priority = 9;
	directed(bind_card(0, 0, 2));
	open_shop(100000000);
	say(0, GY_INITIAL, 0, 99, -1, MIB);
	ck_assert_int_eq(left(0, 2)->reserved, MIB);
	say(0, GY_UPDATE, 1, 10, -1, MIB);
	ck_assert_int_eq(left(0, 1)->reserved, MIB);
	ck_assert_int_eq(left(0, 2)->reserved, MIB);
	say(0, GY_TERMINATION, 2, 10, MIB, -1);
	ck_assert_int_eq(left(0, 1)->used, MIB);
	ck_assert_int_eq(left(0, 2)->used + left(0, 2)->reserved, 0);
	done();
}
END_TEST

/* Priority, then sponsor before user, hours before always, earliest end, lowest price, lowest id:
 * each pair differs in one of them, with the ones before it equal. */
START_TEST(the_order_of_consumption)
{
	static const int64_t order[] = { 8, 4, 7, 6, 5, 2, 3 };

	begin();
	card(0, 2, MIB)->valid_until_us = NOW + 9 * H;
	card(0, 3, MIB)->valid_until_us = NOW + 9 * H;
	card(0, 5, MIB)->valid_until_us = NOW + 5 * H;
	card(0, 6, MIB)->valid_until_us = NOW + 9 * H;
	card(0, 8, MIB);
	card(2, 4, MIB)->rate = (struct gy_rate){ 1, MIB };
	card(2, 7, MIB)->rate = (struct gy_rate){ 2, MIB };
	for (unsigned i = 0; i < 3; i++)
		bind_card(0, 0, (int64_t[]){ 3, 2, 5 }[i]);
	bind_card(0, 0, 6)->window_from = 0;
	bound[0][3].window_until = 23 * 60;
	bind_card(0, 0, 8)->priority = 2;
	bind_card(0, 2, 7);
	bind_card(0, 2, 4);
	open_shop(100000000);
	say(0, GY_INITIAL, 0, 10, -1, MIB);
	for (uint32_t i = 0; i < 7; i++) {
		const struct gy_slice *slice = &world.homes[0]->slices[0];

		ck_assert_int_eq(slice->from, GY_FROM_CARD);
		ck_assert_int_eq(slice->from_id, order[i]);
		say(0, GY_UPDATE, i + 1, 10, MIB, MIB);
	}
	ck_assert_int_eq(BALANCE(0), 100000000);
	say(0, GY_TERMINATION, 9, 10, MIB, -1);
	ck_assert_int_eq(BALANCE(0), 100000000 - 100000);
	done();
}
END_TEST

/* More cards than a grant can hold: it ends with them, and the next one goes on. */
START_TEST(many_small_cards)
{
	int64_t granted;
	uint32_t number = 0;

	begin();
	for (int64_t id = 1; id <= 8; id++) {
		card(0, id, MIB);
		bind_card(0, 0, id);
	}
	open_shop(0);
	granted = say(0, GY_INITIAL, number, 10, -1, 10 * MIB);
	ck_assert_int_eq(granted, GY_CARDS_PER_GRANT * MIB);
	ck_assert_int_eq(world.plan.answer.services[0].final_unit, GY_FINAL_NONE);
	granted = say(0, GY_UPDATE, ++number, 10, granted, 10 * MIB);
	ck_assert_int_eq(granted, 2 * MIB);
	ck_assert_int_eq(world.plan.answer.services[0].final_unit, GY_FINAL_TERMINATE);
	say(0, GY_TERMINATION, ++number, 10, granted, -1);
	for (int64_t id = 1; id <= 8; id++)
		ck_assert_int_eq(left(0, id)->used, MIB);
	ck_assert_int_eq(BALANCE(0), 0);
	done();
}
END_TEST

/* Over-use (G-37): first what cards have left, then money. */
START_TEST(over_use_goes_to_the_next_sources)
{
	begin();
	card(0, 1, 2 * MIB);
	bind_card(0, 0, 1);
	open_shop(100000000);
	ck_assert_int_eq(say(0, GY_INITIAL, 0, 10, -1, MIB), MIB);
	say(0, GY_TERMINATION, 1, 10, 5 * MIB, -1);
	ck_assert_int_eq(left(0, 1)->used, 2 * MIB);
	ck_assert_int_eq(BALANCE(0), 100000000 - 300000);
	done();
}
END_TEST

/* Bound in mid-session: usage is of the old grant's source, the next grant is the card's. */
START_TEST(a_bind_switches_the_next_grant)
{
	begin();
	card(0, 1, 20 * MIB);
	open_shop(100000000);
	say(0, GY_INITIAL, 0, 10, -1, 10 * MIB);
	ck_assert_int_eq(world.homes[0]->reserved, 1000000);
	bind_card(0, 0, 1);
	say(0, GY_UPDATE, 1, 10, 4 * MIB, 10 * MIB);
	ck_assert_int_eq(BALANCE(0), 100000000 - 400000);
	ck_assert_int_eq(world.homes[0]->reserved, 0);
	ck_assert_int_eq(left(0, 1)->reserved, 10 * MIB);
	profile[0].cards = NULL; /* unbound with quota held: it stays the session's */
	say(0, GY_TERMINATION, 2, 10, 10 * MIB, -1);
	ck_assert_int_eq(left(0, 1)->used, 10 * MIB);
	ck_assert_int_eq(BALANCE(0), 100000000 - 400000);
	done();
}
END_TEST

/* Two sessions of two users on one pool: never more than the quota, the cap, or the sponsor's
 * money. */
START_TEST(a_pool)
{
	begin();
	card(2, 7, 12 * MIB);
	bind_card(0, 2, 7);
	bind_card(1, 2, 7)->cap = 3 * MIB;
	open_shop(0);
	ck_assert_int_eq(say(0, GY_INITIAL, 0, 10, -1, 8 * MIB), 8 * MIB);
	ck_assert_int_eq(say(1, GY_INITIAL, 0, 10, -1, 8 * MIB), 3 * MIB);
	ck_assert_int_eq(left(2, 7)->reserved, 11 * MIB);
	ck_assert_int_eq(say(0, GY_UPDATE, 1, 10, 8 * MIB, 8 * MIB), 1 * MIB);
	say(1, GY_UPDATE, 1, 10, 2 * MIB, -1);
	ck_assert_int_eq(say(1, GY_UPDATE, 2, 10, -1, 8 * MIB), 1 * MIB); /* the cap */
	say(1, GY_TERMINATION, 3, 10, 1 * MIB, -1);
	say(0, GY_TERMINATION, 2, 10, 1 * MIB, -1);
	ck_assert_int_eq(left(2, 7)->used, 12 * MIB);
	ck_assert_int_eq(BALANCE(2), 100000000);
	done();
}
END_TEST

/* The cap counts what the session reports beyond its grant, too; the rest is the user's money. */
START_TEST(over_use_stays_below_the_cap)
{
	begin();
	card(2, 7, 12 * MIB);
	bind_card(0, 2, 7)->cap = 5 * MIB;
	open_shop(100000000);
	ck_assert_int_eq(say(0, GY_INITIAL, 0, 10, -1, 3 * MIB), 3 * MIB);
	say(0, GY_TERMINATION, 1, 10, 6 * MIB, -1);
	ck_assert_int_eq(left(2, 7)->used, 5 * MIB);
	ck_assert_int_eq(BALANCE(0), 100000000 - 100000);
	done();
}
END_TEST

/* A sponsor out of credit stops the pool; users fall to their own sources. */
START_TEST(a_sponsor_without_credit)
{
	begin();
	card(2, 7, 1000 * MIB)->rate = (struct gy_rate){ 20000000, MIB };
	bind_card(0, 2, 7);
	open_shop(100000000);
	ck_assert_int_eq(say(0, GY_INITIAL, 0, 10, -1, 8 * MIB), 8 * MIB);
	ck_assert_int_eq(left(2, 7)->reserved, 5 * MIB); /* 100 at 20 each */
	ck_assert_int_eq(world.homes[0]->reserved, 300000);
	say(0, GY_UPDATE, 1, 10, 5 * MIB, 8 * MIB);
	ck_assert_int_eq(left(2, 7)->used, 5 * MIB);
	ck_assert_int_eq(left(2, 7)->reserved, 0);
	ck_assert_int_eq(world.homes[0]->reserved, 800000);
	world.homes[2]->state = GY_BARRED;
	say(0, GY_TERMINATION, 2, 10, 8 * MIB, -1);
	ck_assert_int_eq(BALANCE(0), 100000000 - 800000);
	done();
}
END_TEST

/* 00-08 h: at 07:59:30 the grant changes its source at 08:00; both halves are held, each once. */
START_TEST(an_idle_time_card)
{
	const struct gy_answer *answer;

	begin();
	card(0, 1, 100 * MIB);
	bind_card(0, 0, 1)->window_from = 0;
	bound[0][0].window_until = 8 * 60;
	open_shop(100000000);
	world.now = NOW - 30 * GY_SECOND_US;
	ck_assert_int_eq(say(0, GY_INITIAL, 0, 10, -1, 10 * MIB), 10 * MIB);
	ck_assert_int_eq(world.plan.answer.services[0].switch_s, NOW / GY_SECOND_US);
	ck_assert_int_eq(left(0, 1)->reserved, 10 * MIB);
	ck_assert_int_eq(world.homes[0]->reserved, 1000000);
	world.now = NOW + 60 * GY_SECOND_US;
	request_begin(&r, GY_UPDATE, 1, 1);
	request_service(&r, 10, 0);
	request_used(&r, GY_UNIT_OCTETS, 4 * MIB);
	r.used[0][0].tariff_change = GY_TCU_BEFORE;
	request_used(&r, GY_UNIT_OCTETS, 3 * MIB);
	r.used[0][1].tariff_change = GY_TCU_AFTER;
	request_more(&r, GY_UNIT_OCTETS, 10 * MIB);
	answer = sent(0);
	ck_assert_int_eq(answer->services[0].granted, 10 * MIB);
	ck_assert_int_eq(answer->services[0].switch_s, 0);
	ck_assert_int_eq(left(0, 1)->used, 4 * MIB);
	ck_assert_int_eq(left(0, 1)->reserved, 0);
	ck_assert_int_eq(BALANCE(0), 100000000 - 300000);
	say(0, GY_TERMINATION, 2, 10, 0, -1);
	done();
}
END_TEST

/* Validity from the first use: it begins with the first report, and no grant reaches beyond it. */
START_TEST(validity_from_the_first_use)
{
	begin();
	card(0, 1, 100 * MIB)->lasts_us = H / 2;
	bind_card(0, 0, 1);
	open_shop(100000000);
	say(0, GY_INITIAL, 0, 10, -1, MIB);
	ck_assert_int_eq(world.plan.answer.services[0].validity_s, 3600);
	say(0, GY_UPDATE, 1, 10, MIB, MIB);
	ck_assert_int_eq(left(0, 1)->lasts_us, 0);
	ck_assert_int_eq(left(0, 1)->valid_until_us, world.now + H / 2);
	ck_assert_int_eq(world.plan.answer.services[0].validity_s, 1800);
	world.now += H;
	say(0, GY_UPDATE, 2, 10, MIB, MIB); /* used under the grant of before: the card's */
	ck_assert_int_eq(left(0, 1)->used, 2 * MIB);
	ck_assert_int_eq(left(0, 1)->reserved, 0);
	ck_assert_int_eq(world.homes[0]->reserved, 100000);
	say(0, GY_TERMINATION, 3, 10, 0, -1);
	done();
}
END_TEST

/* Supervision gives back what a lost session held of a card. */
START_TEST(a_lost_session)
{
	begin();
	card(2, 7, 10 * MIB);
	bind_card(0, 2, 7);
	open_shop(0);
	say(0, GY_INITIAL, 0, 10, -1, 10 * MIB);
	ck_assert_int_eq(left(2, 7)->reserved, 10 * MIB);
	world.now += 10 * H;
	ck_assert_uint_eq(gy_world_sweep(&world), 1);
	ck_assert_int_eq(left(2, 7)->reserved, 0);
	done();
}
END_TEST

/* A purchase that isn't confirmed, a frozen and a revoked card give nothing. */
START_TEST(only_issued_cards_give)
{
	static const enum gy_card_state states[] = { GY_CARD_HELD, GY_CARD_FROZEN,
						     GY_CARD_REVOKED };

	for (unsigned i = 0; i < 3; i++) {
		begin();
		card(0, 1, 10 * MIB)->state = states[i];
		bind_card(0, 0, 1);
		open_shop(100000000);
		say(0, GY_INITIAL, 0, 10, -1, MIB);
		ck_assert_int_eq(left(0, 1)->reserved, 0);
		say(0, GY_TERMINATION, 1, 10, MIB, -1);
		ck_assert_int_eq(BALANCE(0), 100000000 - 100000);
		done();
	}
}
END_TEST

/* A Rating-Group without a price is charged from cards only: then 4012, and over-use has no price.
 */
START_TEST(cards_only)
{
	const struct gy_answer *answer;

	begin();
	card(0, 1, 3 * MIB);
	bind_card(0, 0, 1);
	open_shop(100000000);
	ck_assert_int_eq(say(0, GY_INITIAL, 0, 20, -1, 10 * MIB), 3 * MIB);
	ck_assert_int_eq(world.plan.answer.services[0].final_unit, GY_FINAL_TERMINATE);
	ck_assert_int_eq(world.homes[0]->reserved, 0);
	request_begin(&r, GY_UPDATE, 1, 1);
	request_service(&r, 20, 0);
	request_used(&r, GY_UNIT_OCTETS, 4 * MIB);
	request_more(&r, GY_UNIT_OCTETS, 10 * MIB);
	answer = sent(0);
	ck_assert_int_eq(answer->services[0].rc, GY_CREDIT_LIMIT_REACHED);
	ck_assert_int_eq(left(0, 1)->used, 3 * MIB);
	ck_assert_int_eq(BALANCE(0), 100000000);
	ck_assert_uint_eq(world.plan.record.flags & GY_CHARGE_UNRATED, GY_CHARGE_UNRATED);
	profile[0].cards = NULL;
	request_begin(&r, GY_UPDATE, 1, 2);
	request_service(&r, 20, 0);
	request_more(&r, GY_UNIT_OCTETS, 10 * MIB);
	ck_assert_int_eq(sent(0)->services[0].rc, GY_RATING_FAILED);
	done();
}
END_TEST

/* The most parts that usage can have: six cards, free ones beyond them, and money, before the
 * change and after it. No report may ask for more than the plan has room for. */
START_TEST(as_many_parts_as_there_can_be)
{
	begin();
	for (int64_t id = 1; id <= 26; id++) {
		struct gy_bound_card *b;

		card(0, id, MIB);
		b = bind_card(0, 0, id);
		b->priority = (uint32_t)(100 - id);
		b->window_from =
			id <= 12 ? 0 : 8 * 60; /* half of them before 08:00, half after it */
		b->window_until = id <= 12 ? 8 * 60 : 24 * 60;
	}
	open_shop(100000000);
	world.now = NOW - 30 * GY_SECOND_US;
	ck_assert_int_eq(say(0, GY_INITIAL, 0, 10, -1, 10 * MIB), GY_CARDS_PER_GRANT * MIB);
	request_begin(&r, GY_UPDATE, 1, 1);
	request_service(&r, 10, 0);
	request_used(&r, GY_UNIT_OCTETS, 20 * MIB);
	r.used[0][0].tariff_change = GY_TCU_BEFORE;
	request_used(&r, GY_UNIT_OCTETS, 20 * MIB);
	r.used[0][1].tariff_change = GY_TCU_AFTER;
	world.now = NOW + 60 * GY_SECOND_US;
	sent(0);
	ck_assert_uint_gt(world.plan.record.n_charges, 24);
	say(0, GY_TERMINATION, 2, 10, 0, -1);
	done();
}
END_TEST
int main(void)
{
	Suite *suite = suite_create("core-card");
	TCase *tests = tcase_create("core-card");

	tcase_add_test(tests, a_grant_is_split);
	tcase_add_test(tests, a_card_alone);
	tcase_add_test(tests, directed_before_general_and_only_its_targets);
	tcase_add_test(tests, the_order_of_consumption);
	tcase_add_test(tests, many_small_cards);
	tcase_add_test(tests, over_use_goes_to_the_next_sources);
	tcase_add_test(tests, a_bind_switches_the_next_grant);
	tcase_add_test(tests, a_pool);
	tcase_add_test(tests, over_use_stays_below_the_cap);
	tcase_add_test(tests, a_sponsor_without_credit);
	tcase_add_test(tests, an_idle_time_card);
	tcase_add_test(tests, validity_from_the_first_use);
	tcase_add_test(tests, a_lost_session);
	tcase_add_test(tests, only_issued_cards_give);
	tcase_add_test(tests, cards_only);
	tcase_add_test(tests, as_many_parts_as_there_can_be);
	suite_add_tcase(suite, tests);
	return gy_tap_run(suite);
}
