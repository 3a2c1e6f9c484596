/* Events and traffic cards: debits, questions, refunds (spec/cards.md, order of consumption; G-74
 * to G-77). */
#include "tests/unit/core/wallet.h"

/* CCR-E number n of a user: so many units (-1: none named) of a Rating-Group. */
static const struct gy_answer *event(int user, uint64_t n, enum gy_requested_action action,
				     uint32_t group, int64_t units)
{
	request_begin(&r, GY_EVENT, 100 + n, 0);
	r.ccr.action = action;
	request_service(&r, group, 0);
	request_more(&r, GY_UNIT_OCTETS, units);
	return sent(user);
}

/* The order of consumption holds for events, too: cards, then money, or nothing at all. */
START_TEST(an_event_draws_from_cards)
{
	const struct gy_answer *a;

	begin();
	card(0, 1, 3 * MIB);
	bind_card(0, 0, 1);
	open_shop(100000);
	a = event(0, 0, GY_PRICE_ENQUIRY, 10, 4 * MIB);
	ck_assert_int_eq(a->cost_micros, 100000); /* what money would pay */
	ck_assert_int_eq(event(0, 1, GY_PRICE_ENQUIRY, 10, 3 * MIB)->cost_micros, 0);
	a = event(0, 2, GY_CHECK_BALANCE, 10, 4 * MIB);
	ck_assert_int_eq(a->check_balance, GY_CHECK_ENOUGH);
	a = event(0, 3, GY_CHECK_BALANCE, 10, 5 * MIB);
	ck_assert_int_eq(a->check_balance, GY_CHECK_NO_CREDIT);
	a = event(0, 4, GY_DIRECT_DEBITING, 10, 5 * MIB);
	ck_assert_int_eq(a->services[0].rc, GY_CREDIT_LIMIT_REACHED);
	ck_assert_int_eq(left(0, 1)->used, 0);
	a = event(0, 5, GY_DIRECT_DEBITING, 10, 4 * MIB);
	ck_assert_int_eq(a->services[0].rc, GY_OK);
	ck_assert_int_eq(a->services[0].granted, 4 * MIB);
	ck_assert_int_eq(left(0, 1)->used, 3 * MIB);
	ck_assert_int_eq(BALANCE(0), 0);
	/* A copy gets the same answer, and draws nothing. */
	r.ccr.retransmitted = true;
	ck_assert_int_eq(sent(0)->services[0].granted, 4 * MIB);
	ck_assert_int_eq(left(0, 1)->used, 3 * MIB);
	ck_assert_int_eq(event(0, 6, GY_CHECK_BALANCE, 10, 1)->check_balance, GY_CHECK_NO_CREDIT);
	done();
}
END_TEST

START_TEST(an_event_from_many_cards)
{
	begin();
	for (int64_t id = 1; id <= 8; id++) {
		card(0, id, MIB);
		bind_card(0, 0, id);
	}
	open_shop(0);
	ck_assert_int_eq(event(0, 1, GY_DIRECT_DEBITING, 10, 8 * MIB)->services[0].rc, GY_OK);
	for (int64_t id = 1; id <= 8; id++)
		ck_assert_int_eq(left(0, id)->used, MIB);
	done();
}
END_TEST

/* Without a price cards are all there is: enough of them, or 4012. */
START_TEST(an_event_from_cards_only)
{
	const struct gy_answer *a;

	begin();
	card(0, 1, 3 * MIB);
	bind_card(0, 0, 1);
	open_shop(100000000);
	ck_assert_int_eq(event(0, 1, GY_PRICE_ENQUIRY, 20, 9 * MIB)->cost_micros, 0);
	ck_assert_int_eq(event(0, 2, GY_CHECK_BALANCE, 20, 3 * MIB)->check_balance,
			 GY_CHECK_ENOUGH);
	ck_assert_int_eq(event(0, 3, GY_CHECK_BALANCE, 20, 4 * MIB)->check_balance,
			 GY_CHECK_NO_CREDIT);
	ck_assert_int_eq(event(0, 7, GY_CHECK_BALANCE, 20, -1)->check_balance, GY_CHECK_ENOUGH);
	a = event(0, 4, GY_DIRECT_DEBITING, 20, 4 * MIB);
	ck_assert_int_eq(a->services[0].rc, GY_CREDIT_LIMIT_REACHED);
	ck_assert_int_eq(left(0, 1)->used, 0);
	ck_assert_int_eq(event(0, 5, GY_DIRECT_DEBITING, 20, 3 * MIB)->services[0].rc, GY_OK);
	ck_assert_int_eq(left(0, 1)->used, 3 * MIB);
	ck_assert_int_eq(event(0, 8, GY_CHECK_BALANCE, 20, -1)->check_balance, GY_CHECK_NO_CREDIT);
	ck_assert_int_eq(event(0, 6, GY_REFUND_ACCOUNT, 20, MIB)->services[0].rc, GY_RATING_FAILED);
	ck_assert_int_eq(BALANCE(0), 100000000);
	done();
}
END_TEST

/* Without an amount any unit of any source is enough (G-76). */
START_TEST(a_question_without_an_amount)
{
	static const struct {
		int64_t card, money;
		uint32_t group;
		enum gy_check_balance want;
	} rows[] = {
		{ 1, 0, 10, GY_CHECK_ENOUGH },       { 0, 1, 10, GY_CHECK_ENOUGH },
		{ 0, 0, 10, GY_CHECK_NO_CREDIT },    { 1, 0, 20, GY_CHECK_ENOUGH },
		{ 0, 1000, 20, GY_CHECK_NO_CREDIT },
	};

	begin();
	card(0, 1, MIB);
	bind_card(0, 0, 1);
	open_shop(rows[_i].money);
	if (rows[_i].card == 0) {
		event(0, 0, GY_DIRECT_DEBITING, rows[_i].group, MIB);
	}
	ck_assert_int_eq(event(0, 1, GY_CHECK_BALANCE, rows[_i].group, -1)->check_balance,
			 rows[_i].want);
	done();
}
END_TEST

/* One question about two services has the card once. */
START_TEST(a_question_about_two_services)
{
	begin();
	card(0, 1, 3 * MIB);
	bind_card(0, 0, 1);
	open_shop(100000);
	for (int i = 0; i < 2; i++) {
		request_begin(&r, GY_EVENT, 100 + (uint64_t)i, 0);
		r.ccr.action = GY_CHECK_BALANCE;
		request_service(&r, 10, 0);
		request_more(&r, GY_UNIT_OCTETS, 2 * MIB);
		request_service(&r, 99, 0);
		request_more(&r, GY_UNIT_OCTETS, (2 + i) * MIB);
		ck_assert_int_eq(sent(0)->check_balance,
				 i == 0 ? GY_CHECK_ENOUGH : GY_CHECK_NO_CREDIT);
	}
	done();
}
END_TEST

/* A free Rating-Group's event is free, and an event's units count under the cap. */
START_TEST(events_of_a_pool)
{
	begin();
	card(2, 7, 100 * MIB);
	bind_card(0, 2, 7)->cap = 5 * MIB;
	open_shop(0);
	ck_assert_int_eq(event(0, 1, GY_DIRECT_DEBITING, 30, MIB)->services[0].rc,
			 GY_CREDIT_CONTROL_NOT_APPLICABLE);
	ck_assert_int_eq(event(0, 2, GY_DIRECT_DEBITING, 10, 3 * MIB)->services[0].rc, GY_OK);
	ck_assert_int_eq(say(0, GY_INITIAL, 0, 10, -1, 10 * MIB), 2 * MIB);
	ck_assert_int_eq(event(0, 3, GY_DIRECT_DEBITING, 10, MIB)->services[0].rc,
			 GY_CREDIT_LIMIT_REACHED);
	say(0, GY_TERMINATION, 1, 10, 0, -1);
	ck_assert_int_eq(left(2, 7)->used, 3 * MIB);
	done();
}
END_TEST

/* An owner's own event leaves him the money that his card's settlement takes. */
START_TEST(an_owners_event)
{
	begin();
	card(2, 7, 4 * MIB)->rate = (struct gy_rate){ 24990000, MIB };
	bind_card(2, 2, 7);
	open_shop(0); /* the owner has 100 */
	ck_assert_int_eq(event(2, 1, GY_DIRECT_DEBITING, 10, 5 * MIB)->services[0].rc,
			 GY_CREDIT_LIMIT_REACHED);
	ck_assert_int_eq(event(2, 2, GY_CHECK_BALANCE, 10, 5 * MIB)->check_balance,
			 GY_CHECK_NO_CREDIT);
	ck_assert_int_eq(event(2, 3, GY_DIRECT_DEBITING, 10, 4 * MIB)->services[0].rc, GY_OK);
	ck_assert_int_eq(gy_account_spendable(world.homes[2]), 40000);
	done();
}
END_TEST

/* The refund of a debit that took units of a card is refused, all of it (README). */
START_TEST(a_refund_of_what_a_card_gave)
{
	const struct gy_answer *a;

	begin();
	card(0, 1, 3 * MIB);
	bind_card(0, 0, 1);
	open_shop(100000000);
	for (uint64_t n = 0; n < 2; n++) { /* from card and money; from money alone */
		ck_assert_int_eq(event(0, n, GY_DIRECT_DEBITING, 10, 4 * MIB)->services[0].rc,
				 GY_OK);
		request_begin(&r, GY_EVENT, 100 + n, gy_refund_number(0, 0));
		r.ccr.action = GY_REFUND_ACCOUNT;
		r.ccr.refund.bound = true;
		request_service(&r, 10, 0);
		a = sent(0);
		ck_assert_int_eq(a->rc, n == 0 ? GY_UNABLE_TO_COMPLY : GY_OK);
	}
	ck_assert_int_eq(BALANCE(0), 100000000 - 100000);
	ck_assert_int_eq(left(0, 1)->used, 3 * MIB);
	done();
}
END_TEST

/* G-89: however short the late window of sessions, the copies of an event are known for a day. */
START_TEST(an_event_is_remembered_for_a_day)
{
	begin();
	open_shop(1000000);
	world.late_window_us = GY_SECOND_US;
	ck_assert_int_eq(event(0, 0, GY_DIRECT_DEBITING, 10, MIB)->services[0].rc, GY_OK);
	ck_assert(world.plan.opened && world.plan.check_at_us >= NOW + 24 * H);
	world.now += 23 * H;
	ck_assert_int_eq(event(0, 1, GY_DIRECT_DEBITING, 10, MIB)->services[0].rc, GY_OK);
	ck_assert_uint_eq(world.homes[0]->n_sessions, 2);
	done();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("core-card-event");
	TCase *tests = tcase_create("core-card-event");

	tcase_add_test(tests, an_event_draws_from_cards);
	tcase_add_test(tests, an_event_from_many_cards);
	tcase_add_test(tests, an_event_from_cards_only);
	tcase_add_loop_test(tests, a_question_without_an_amount, 0, 5);
	tcase_add_test(tests, a_question_about_two_services);
	tcase_add_test(tests, events_of_a_pool);
	tcase_add_test(tests, an_owners_event);
	tcase_add_test(tests, a_refund_of_what_a_card_gave);
	tcase_add_test(tests, an_event_is_remembered_for_a_day);
	suite_add_tcase(suite, tests);
	return gy_tap_run(suite);
}
