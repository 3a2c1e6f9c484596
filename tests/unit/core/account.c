/* Keeping an account in order: sessions, reservations, kept answers, request numbers. */
#include <signal.h>
#include <string.h>

#include "core/base/assert.h"
#include "core/charging/duplicate.h"
#include "tests/lib/tap.h"

static struct gy_session sessions[16];
static struct gy_reservation reservations[16];
static struct gy_kept_answer answers[64];
static struct gy_account account;

static struct gy_session_key key(uint64_t n)
{
	return (struct gy_session_key){ n, ~n };
}

static void add_session(uint64_t n, enum gy_session_state state, gy_time_us deadline)
{
	sessions[account.n_sessions++] = (struct gy_session){
		.key = key(n), .state = state, .deadline_us = deadline, .highest = -1
	};
}

/* price 100 per 10 units: granted 25 holds 250 */
static void add_reservation(unsigned session, uint32_t rating_group, int64_t granted)
{
	reservations[account.n_reservations++] = (struct gy_reservation){
		.session = session,
		.rating_group = rating_group,
		.unit = GY_UNIT_OCTETS,
		.granted = granted,
		.reserved = granted * 10,
		.rate = { 100, 10 },
	};
	account.reserved += granted * 10;
}

static void add_answer(unsigned session, enum gy_request_type type, uint32_t number, unsigned rows)
{
	while (rows-- > 0)
		answers[account.n_answers++] = (struct gy_kept_answer){ .session = session,
									.type = type,
									.number = number };
}

static void fresh(void)
{
	account = (struct gy_account){ .state = GY_ACTIVE,
				       .balance = 1000000,
				       .sessions_room = 16,
				       .sessions = sessions,
				       .reservations_room = 16,
				       .reservations = reservations,
				       .answers_room = 64,
				       .answers = answers };
}

START_TEST(available_is_balance_and_credit_less_what_is_held)
{
	account.balance = 100;
	account.credit_limit = 50;
	account.reserved = 30;
	ck_assert_int_eq(gy_account_available(&account), 120);
	account.balance = -200;
	ck_assert_int_eq(gy_account_available(&account), -180);
}
END_TEST

START_TEST(an_open_session_is_found_before_an_ended_one)
{
	ck_assert_int_eq(gy_session_find(&account, key(1)), -1);
	add_session(1, GY_SESSION_TERMINATED, 5);
	ck_assert_int_eq(gy_session_find(&account, key(1)), 0);
	add_session(2, GY_SESSION_OPEN, 5);
	add_session(1, GY_SESSION_OPEN, 5);
	add_session(1, GY_SESSION_EXPIRED, 5);
	ck_assert_int_eq(gy_session_find(&account, key(1)), 2);
	ck_assert_int_eq(gy_session_find(&account, key(2)), 1);
	ck_assert_int_eq(gy_session_find(&account, (struct gy_session_key){ 1, 1 }), -1);
}
END_TEST

START_TEST(a_reservation_is_found_by_all_of_its_key)
{
	add_session(1, GY_SESSION_OPEN, 5);
	add_session(2, GY_SESSION_OPEN, 5);
	add_reservation(0, 10, 1);
	add_reservation(1, 10, 2);
	reservations[1].service_key = 7;
	ck_assert_ptr_eq(gy_reservation_find(&account, 0, 10, 0), &reservations[0]);
	ck_assert_ptr_eq(gy_reservation_find(&account, 1, 10, 7), &reservations[1]);
	ck_assert_ptr_null(gy_reservation_find(&account, 1, 10, 0));
	ck_assert_ptr_null(gy_reservation_find(&account, 0, 11, 0));
}
END_TEST

START_TEST(a_release_gives_back_and_keeps_the_row)
{
	add_session(1, GY_SESSION_OPEN, 5);
	add_reservation(0, 10, 25);
	add_reservation(0, 11, 5);
	reservations[0].carry = 3;
	gy_reservation_release(&account, NULL, &reservations[0]);
	ck_assert_int_eq(account.reserved, 50);
	ck_assert_int_eq(reservations[0].granted, 0);
	ck_assert_int_eq(reservations[0].carry, 3);
	ck_assert_uint_eq(account.n_reservations, 2);
	gy_account_check(&account);
}
END_TEST

START_TEST(removing_a_session_renumbers_the_others)
{
	for (uint64_t n = 1; n <= 3; n++)
		add_session(n, GY_SESSION_OPEN, 5);
	add_reservation(0, 10, 1);
	add_reservation(1, 10, 0);
	add_reservation(2, 10, 3);
	add_answer(0, GY_INITIAL, 0, 1);
	add_answer(1, GY_INITIAL, 0, 2);
	add_answer(2, GY_UPDATE, 9, 1);
	gy_session_remove(&account, 1);
	ck_assert_uint_eq(account.n_sessions, 2);
	ck_assert_int_eq(gy_session_find(&account, key(3)), 1);
	ck_assert_uint_eq(account.n_reservations, 2);
	ck_assert(reservations[1].session == 1 && reservations[1].granted == 3);
	ck_assert_uint_eq(account.n_answers, 2);
	ck_assert(answers[1].session == 1 && answers[1].number == 9);
	gy_account_check(&account);
}
END_TEST

START_TEST(a_session_that_holds_money_is_never_removed)
{
	add_session(1, GY_SESSION_OPEN, 5);
	add_reservation(0, 10, 1);
	gy_session_remove(&account, 0);
}
END_TEST

START_TEST(tombstones_go_oldest_first)
{
	add_session(1, GY_SESSION_TERMINATED, 300);
	add_session(2, GY_SESSION_OPEN, 1);
	add_session(3, GY_SESSION_TERMINATED, 100);
	add_session(4, GY_SESSION_EXPIRED, 200);
	gy_tombstones_trim(&account, 50);
	ck_assert_uint_eq(account.n_sessions, 1 + GY_TOMBSTONES_MAX);
	ck_assert_int_eq(gy_session_find(&account, key(3)), -1);
	ck_assert_int_ge(gy_session_find(&account, key(2)), 0);
	/* Past their late window even the allowed ones go; the open one never. */
	gy_tombstones_trim(&account, 250);
	ck_assert_int_eq(gy_session_find(&account, key(4)), -1);
	ck_assert_int_ge(gy_session_find(&account, key(1)), 0);
	gy_tombstones_trim(&account, 1000);
	ck_assert_uint_eq(account.n_sessions, 1);
	ck_assert_int_ge(gy_session_find(&account, key(2)), 0);
}
END_TEST

START_TEST(kept_answers_are_bounded_by_requests)
{
	add_session(1, GY_SESSION_OPEN, 5);
	add_session(2, GY_SESSION_OPEN, 5);
	add_answer(1, GY_INITIAL, 0, 2);
	for (uint32_t n = 0; n < GY_ANSWERS_KEPT + 2; n++)
		add_answer(0, GY_UPDATE, n, 1);
	gy_kept_answers_trim(&account, 0);
	ck_assert_uint_eq(account.n_answers, 2 + GY_ANSWERS_KEPT);
	ck_assert(answers[0].session == 1 && answers[1].session == 1);
	ck_assert_uint_eq(answers[2].number, 2);
}
END_TEST

START_TEST(kept_answers_are_bounded_by_rows)
{
	add_session(1, GY_SESSION_OPEN, 5);
	add_answer(0, GY_UPDATE, 1, GY_ANSWER_ROWS_KEPT - 1);
	add_answer(0, GY_UPDATE, 2, 2);
	gy_kept_answers_trim(&account, 0);
	ck_assert_uint_eq(account.n_answers, 2);
	ck_assert_uint_eq(answers[0].number, 2);
}
END_TEST

START_TEST(the_newest_answer_stays_however_large)
{
	add_session(1, GY_SESSION_OPEN, 5);
	add_answer(0, GY_UPDATE, 1, 1);
	add_answer(0, GY_UPDATE, 2, GY_ANSWER_ROWS_KEPT + 30);
	gy_kept_answers_trim(&account, 0);
	ck_assert_uint_eq(account.n_answers, GY_ANSWER_ROWS_KEPT + 30);
	ck_assert_uint_eq(answers[0].number, 2);
}
END_TEST

/* ---- request numbers ---- */

static enum gy_seen seen(enum gy_request_type type, uint32_t number)
{
	struct gy_ccr ccr = { .type = type, .number = number };

	return gy_request_seen(&account, 0, &ccr);
}

START_TEST(numbers_are_remembered_exactly_within_64)
{
	add_session(1, GY_SESSION_OPEN, 5);
	ck_assert_int_eq(seen(GY_UPDATE, 0), GY_SEEN_NEVER);
	gy_number_note(&sessions[0], 100);
	ck_assert_int_eq(seen(GY_UPDATE, 100), GY_SEEN_EARLIER);
	ck_assert_int_eq(seen(GY_UPDATE, 101), GY_SEEN_NEVER);
	ck_assert_int_eq(seen(GY_UPDATE, 99), GY_SEEN_NEVER);
	gy_number_note(&sessions[0], 98);
	ck_assert_int_eq(seen(GY_UPDATE, 98), GY_SEEN_EARLIER);
	ck_assert_int_eq(seen(GY_UPDATE, 99), GY_SEEN_NEVER);
	gy_number_note(&sessions[0], 103);
	for (uint32_t n = 95; n <= 103; n++)
		ck_assert_int_eq(seen(GY_UPDATE, n),
				 n == 98 || n == 100 || n == 103 ? GY_SEEN_EARLIER : GY_SEEN_NEVER);
}
END_TEST

/* Below the window nobody knows: the history must be asked, never a guess (G-84). */
START_TEST(numbers_below_the_window_are_unknown)
{
	add_session(1, GY_SESSION_OPEN, 5);
	gy_number_note(&sessions[0], 1000);
	ck_assert_int_eq(seen(GY_UPDATE, 1000 - 63), GY_SEEN_NEVER);
	ck_assert_int_eq(seen(GY_UPDATE, 1000 - 64), GY_SEEN_EARLIER);
	ck_assert_int_eq(seen(GY_UPDATE, 0), GY_SEEN_EARLIER);
	gy_number_note(&sessions[0], 1000 - 63);
	ck_assert_int_eq(seen(GY_UPDATE, 1000 - 63), GY_SEEN_EARLIER);
	gy_number_note(&sessions[0], 1001);
	ck_assert_int_eq(seen(GY_UPDATE, 1000), GY_SEEN_EARLIER);
	ck_assert_int_eq(seen(GY_UPDATE, 1001 - 63), GY_SEEN_NEVER);
}
END_TEST

START_TEST(a_jump_of_64_and_more_forgets_nothing_wrongly)
{
	for (uint32_t jump = 62; jump < 67; jump++) {
		fresh();
		add_session(1, GY_SESSION_OPEN, 5);
		gy_number_note(&sessions[0], 10);
		gy_number_note(&sessions[0], 10 + jump);
		ck_assert_int_eq(seen(GY_UPDATE, 10), GY_SEEN_EARLIER);
		ck_assert_int_eq(seen(GY_UPDATE, 10 + jump), GY_SEEN_EARLIER);
		ck_assert_int_eq(seen(GY_UPDATE, 10 + jump - 1), GY_SEEN_NEVER);
	}
	fresh();
	add_session(1, GY_SESSION_OPEN, 5);
	gy_number_note(&sessions[0], 0);
	gy_number_note(&sessions[0], UINT32_MAX);
	ck_assert_int_eq(seen(GY_UPDATE, UINT32_MAX - 1), GY_SEEN_NEVER);
	ck_assert_int_eq(seen(GY_UPDATE, 0), GY_SEEN_EARLIER);
}
END_TEST

/* Random numbers against a plain set: what was noted is never called new, and what was not noted is
 * called new or unknown, never kept. */
START_TEST(random_numbers_against_a_set)
{
	static bool noted[400];
	uint64_t state = 12345;

	add_session(1, GY_SESSION_OPEN, 5);
	for (int i = 0; i < 3000; i++) {
		uint32_t n;

		state = state * UINT64_C(6364136223846793005) + 1;
		n = (uint32_t)(state >> 33) % 120 + (uint32_t)i / 12;
		if (n >= 400)
			continue;
		if (noted[n])
			ck_assert_int_eq(seen(GY_UPDATE, n), GY_SEEN_EARLIER);
		else if (sessions[0].highest - (int64_t)n < 64)
			ck_assert_int_eq(seen(GY_UPDATE, n), GY_SEEN_NEVER);
		gy_number_note(&sessions[0], n);
		noted[n] = true;
	}
}
END_TEST

START_TEST(initial_and_termination_are_told_apart_from_updates)
{
	add_session(1, GY_SESSION_OPEN, 5);
	sessions[0].initial_number = 7;
	gy_number_note(&sessions[0], 8);
	ck_assert_int_eq(seen(GY_INITIAL, 7), GY_SEEN_EARLIER);
	ck_assert_int_eq(seen(GY_INITIAL, 8), GY_SEEN_NEVER);
	ck_assert_int_eq(seen(GY_UPDATE, 7), GY_SEEN_NEVER);
	ck_assert_int_eq(seen(GY_TERMINATION, 8), GY_SEEN_NEVER);
	sessions[0].state = GY_SESSION_TERMINATED;
	ck_assert_int_eq(seen(GY_TERMINATION, 8), GY_SEEN_EARLIER);
	add_answer(0, GY_UPDATE, 8, 1);
	ck_assert_int_eq(seen(GY_UPDATE, 8), GY_SEEN_KEPT);
	ck_assert_int_eq(seen(GY_TERMINATION, 8), GY_SEEN_EARLIER);
}
END_TEST

/* ---- the core's own check finds what it should ---- */

static void quiet(const char *expression, const char *file, int line)
{
	(void)expression;
	(void)file;
	(void)line;
}

START_TEST(a_broken_account_is_caught)
{
	gy_assert_report = quiet;
	add_session(1, GY_SESSION_OPEN, 5);
	add_session(2, GY_SESSION_TERMINATED, 5);
	add_reservation(0, 10, 25);
	gy_account_check(&account);
	switch (_i) {
	case 0:
		account.reserved++;
		break;
	case 1:
		reservations[0].reserved++;
		account.reserved++;
		break;
	case 2:
		reservations[0].session = 2;
		break;
	case 3:
		reservations[0].session = 1; /* an ended session holds money */
		break;
	case 4:
		reservations[0].granted = -1;
		break;
	case 5:
		add_answer(2, GY_INITIAL, 0, 1);
		break;
	}
	gy_account_check(&account);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("core-account");
	TCase *tests = tcase_create("account");

	tcase_add_checked_fixture(tests, fresh, NULL);
	tcase_add_test(tests, available_is_balance_and_credit_less_what_is_held);
	tcase_add_test(tests, an_open_session_is_found_before_an_ended_one);
	tcase_add_test(tests, a_reservation_is_found_by_all_of_its_key);
	tcase_add_test(tests, a_release_gives_back_and_keeps_the_row);
	tcase_add_test(tests, removing_a_session_renumbers_the_others);
	tcase_add_test_raise_signal(tests, a_session_that_holds_money_is_never_removed, SIGABRT);
	tcase_add_test(tests, tombstones_go_oldest_first);
	tcase_add_test(tests, kept_answers_are_bounded_by_requests);
	tcase_add_test(tests, kept_answers_are_bounded_by_rows);
	tcase_add_test(tests, the_newest_answer_stays_however_large);
	tcase_add_test(tests, numbers_are_remembered_exactly_within_64);
	tcase_add_test(tests, numbers_below_the_window_are_unknown);
	tcase_add_test(tests, a_jump_of_64_and_more_forgets_nothing_wrongly);
	tcase_add_test(tests, random_numbers_against_a_set);
	tcase_add_test(tests, initial_and_termination_are_told_apart_from_updates);
	tcase_add_loop_test_raise_signal(tests, a_broken_account_is_caught, SIGABRT, 0, 6);
	suite_add_tcase(suite, tests);
	return gy_tap_run(suite);
}
