/* One batch of the engine's on a real database, its requests chosen one by one: what copies in the
 * same batch come to, and how many histories a batch reads. */
#include <stdio.h>
#include <string.h>
#include <talloc.h>
#include <time.h>

#include "tests/unit/engine/lane.h"

#define HISTORIES 16 /* that a batch reads; HISTORIES_MAX of batch.c */

/* --- copies in one batch ---- */

START_TEST(an_initial_request_and_its_copy_open_one_session)
{
	ck_assert_uint_eq(batch(request("a;1", GY_INITIAL, 0), copy("a;1", GY_INITIAL, 0), NULL),
			  2);
	ck_assert(!given[0]->answer.replayed && given[1]->answer.replayed);
	check_equal(given[0], given[1]);
	ck_assert_int_eq(given[0]->answer.services[0].granted, 10 * MIB);
	ck_assert_int_eq(records("a;1", GY_INITIAL, 0), 1);
}
END_TEST

START_TEST(an_update_and_its_copy_are_debited_once)
{
	int64_t before;

	batch(request("b;1", GY_INITIAL, 0), NULL);
	before = balance();
	n_given = 0;
	ck_assert_uint_eq(batch(request("b;1", GY_UPDATE, 1), copy("b;1", GY_UPDATE, 1),
				request("b;1", GY_UPDATE, 1), NULL),
			  3);
	ck_assert(!given[0]->answer.replayed && given[1]->answer.replayed &&
		  given[2]->answer.replayed);
	check_equal(given[0], given[1]);
	check_equal(given[0], given[2]);
	ck_assert_int_eq(before - balance(), 100000);
	ck_assert_int_eq(records("b;1", GY_UPDATE, 1), 1);
}
END_TEST

/* The row keeps two ended sessions: within the batch it forgets the first, whose records are not
 * written yet. Its copy has to wait for them. */
START_TEST(a_copy_of_a_termination_that_its_own_batch_forgot_waits)
{
	int64_t before;

	batch(request("c;1", GY_INITIAL, 0), request("c;2", GY_INITIAL, 0),
	      request("c;3", GY_INITIAL, 0), NULL);
	before = balance();
	n_given = 0;
	ck_assert_uint_eq(
		batch(request("c;1", GY_TERMINATION, 1), request("c;2", GY_TERMINATION, 1),
		      request("c;3", GY_TERMINATION, 1), copy("c;1", GY_TERMINATION, 1), NULL),
		3);
	ck_assert_uint_eq(lane.retry.n, 1);
	ck_assert_int_eq(before - balance(), 3 * 100000);
	ck_assert_uint_eq(again(), 1);
	ck_assert(given[3]->answer.replayed);
	check_equal(given[0], given[3]);
	ck_assert_int_eq(before - balance(), 3 * 100000);
	ck_assert_int_eq(records("c;1", GY_TERMINATION, 1), 1);
}
END_TEST

START_TEST(late_usage_and_its_copy_are_debited_once)
{
	int64_t before;

	forgotten_session("d;1");
	before = balance();
	ck_assert_uint_eq(batch(request("d;1", GY_UPDATE, 5), request("d;1", GY_UPDATE, 5),
				copy("d;1", GY_UPDATE, 5), NULL),
			  1);
	ck_assert_uint_eq(lane.retry.n, 2);
	ck_assert_int_eq(before - balance(), 100000);
	ck_assert_uint_eq(again(), 2);
	ck_assert(!given[0]->answer.replayed && given[1]->answer.replayed &&
		  given[2]->answer.replayed);
	check_equal(given[0], given[1]);
	check_equal(given[0], given[2]);
	ck_assert_int_eq(before - balance(), 100000);
	ck_assert_int_eq(records("d;1", GY_UPDATE, 5), 1);
}
END_TEST

/* Other sessions of the account don't hold each other up. */
START_TEST(late_usage_of_another_session_is_decided_at_once)
{
	int64_t before;

	forgotten_session("e;1");
	forgotten_session("e;2");
	before = balance();
	ck_assert_uint_eq(batch(request("e;1", GY_UPDATE, 5), request("e;2", GY_UPDATE, 5), NULL),
			  2);
	ck_assert_uint_eq(lane.retry.n, 0);
	ck_assert_int_eq(before - balance(), 2 * 100000);
}
END_TEST

/* --- histories ---- */

START_TEST(a_batch_reads_so_many_histories_and_puts_the_rest_off)
{
	struct gy_queue queue = { NULL, NULL, 0 };
	char name[20];
	int64_t before;

	/* 40 CCR-Ts of sessions that were never there: nothing but the history knows that. One
	 * update in their middle that needs none. */
	batch(request("f;1", GY_INITIAL, 0), NULL);
	before = balance();
	n_given = 0;
	for (unsigned i = 0; i < 40; i++) {
		snprintf(name, sizeof(name), "f;none;%u", i);
		gy_queue_push(&queue, request(name, GY_TERMINATION, 1));
	}
	gy_queue_push(&queue, request("f;1", GY_UPDATE, 1));
	ck_assert_int_eq(gy_batch_run(&lane, &queue, false), GY_OK);
	ck_assert_uint_eq(n_given, HISTORIES + 1);
	ck_assert_int_eq(given[HISTORIES]->answer.rc, GY_OK);
	ck_assert_uint_eq(lane.retry.n, 40 - HISTORIES);
	/* Not as if somebody held their rows: these would be waited for alone. */
	ck_assert_uint_eq(lane.retry.first->attempts, 0);
	ck_assert_uint_eq(again(), HISTORIES);
	ck_assert_uint_eq(again(), 40 - 2 * HISTORIES);
	ck_assert_uint_eq(lane.retry.n, 0);
	for (unsigned i = 0; i < n_given; i++)
		ck_assert_int_eq(given[i]->answer.rc,
				 i == HISTORIES ? GY_OK : GY_UNKNOWN_SESSION_ID);
	ck_assert_int_eq(before - balance(), 100000);
}
END_TEST

/* --- gateways that restart, and gateways that take over ---- */

static struct gy_request *from(struct gy_request *r, const char *host, const char *realm)
{
	r->ccr.origin_host = bytes(host);
	r->ccr.origin_realm = bytes(realm);
	return r;
}

/* From HOST.spec.test, which tells this Origin-State-Id. */
static struct gy_request *told(uint32_t origin_state, const char *host, struct gy_request *r)
{
	r->ccr.has_origin_state = true;
	r->ccr.origin_state = origin_state;
	return from(r, talloc_asprintf(r->pool, "%s.spec.test", host), "spec.test");
}

static int64_t reserved(void)
{
	return number_of("SELECT reserved FROM gyro.account WHERE account_id = 1");
}

static int64_t is_open(const char *session_id)
{
	char query[200];

	snprintf(query, sizeof(query),
		 "SELECT count(*) FROM gyro.session WHERE session_id = '%s' AND state = 1",
		 session_id);
	return number_of(query);
}

/* The sweeper, which is told of a restart, too, finds all these sessions held by somebody. */
static void without_sweeper(void)
{
	PQclear(PQexec(sql, "BEGIN; SELECT FROM gyro.session_index FOR UPDATE"));
}

/* The request itself finds the money free (G-92). */
START_TEST(a_restart_gives_back_what_the_account_holds_at_once)
{
	int64_t before = reserved();

	batch(told(100, "h", request("h;1", GY_INITIAL, 0)), NULL);
	batch(from(request("h;other", GY_INITIAL, 0), "other.spec.test", "spec.test"), NULL);
	ck_assert_int_eq(reserved() - before, 2 * 1000000);
	without_sweeper();
	batch(told(101, "h", request("h;2", GY_INITIAL, 0)), NULL);
	ck_assert_int_eq(given[2]->answer.rc, GY_OK);
	ck_assert_int_eq(reserved() - before, 2 * 1000000);
	ck_assert(is_open("h;2") && is_open("h;other") && !is_open("h;1"));
	ck_assert_int_eq(records("h;1", 0, 0), 1);
	PQclear(PQexec(sql, "ROLLBACK"));
	/* What it used meanwhile is paid all the same. */
	before = balance();
	batch(told(101, "h", request("h;1", GY_UPDATE, 1)), NULL);
	ck_assert_int_eq(given[3]->answer.rc, GY_UNKNOWN_SESSION_ID);
	ck_assert_int_eq(before - balance(), 100000);
	/* And its copy in the batch that ends it is paid once. */
	batch(told(101, "h", request("h;3", GY_INITIAL, 0)), NULL);
	before = balance();
	without_sweeper();
	batch(told(102, "h", request("h;4", GY_INITIAL, 0)),
	      told(102, "h", request("h;3", GY_UPDATE, 1)),
	      told(102, "h", copy("h;3", GY_UPDATE, 1)), NULL);
	while (lane.retry.n > 0)
		again();
	ck_assert_int_eq(before - balance(), 100000);
	ck_assert(is_open("h;4") && !is_open("h;3") && !is_open("h;2"));
}
END_TEST

START_TEST(the_session_whose_request_told_the_restart_goes_on)
{
	batch(told(100, "i", request("i;1", GY_INITIAL, 0)),
	      told(100, "i", request("i;2", GY_INITIAL, 0)), NULL);
	without_sweeper();
	batch(told(101, "i", request("i;1", GY_UPDATE, 1)), NULL);
	ck_assert_int_eq(given[2]->answer.rc, GY_OK);
	ck_assert(is_open("i;1") && !is_open("i;2"));
	batch(told(101, "i", request("i;1", GY_TERMINATION, 2)), NULL);
	ck_assert_int_eq(given[3]->answer.rc, GY_OK);
}
END_TEST

/* Three are lost and the row keeps two that have ended: their late usage asks the index. */
START_TEST(late_usage_of_many_lost_sessions_is_debited_once)
{
	int64_t before;
	const char *names[] = { "j;1", "j;2", "j;3" };

	for (unsigned i = 0; i < 3; i++)
		batch(told(100, "j", request(names[i], GY_INITIAL, 0)), NULL);
	before = balance();
	without_sweeper();
	batch(told(101, "j", request("j;4", GY_INITIAL, 0)),
	      told(101, "j", request("j;1", GY_UPDATE, 1)),
	      told(101, "j", copy("j;1", GY_UPDATE, 1)),
	      told(101, "j", request("j;2", GY_UPDATE, 1)), NULL);
	while (lane.retry.n > 0)
		again();
	ck_assert_uint_eq(n_given, 3 + 4);
	ck_assert_int_eq(before - balance(), 2 * 100000);
	ck_assert(is_open("j;4") && !is_open("j;1") && !is_open("j;2") && !is_open("j;3"));
}
END_TEST

/* The gateway that has it now knows it, whichever of the two restarts. */
START_TEST(a_session_that_was_taken_over_outlives_both_gateways_restarts)
{
	batch(told(100, "k1", request("k;1", GY_INITIAL, 0)),
	      told(100, "k2", request("k;2", GY_INITIAL, 0)), NULL);
	while (lane.retry.n > 0)
		again();
	batch(told(100, "k2", request("k;1", GY_UPDATE, 1)), NULL);
	while (lane.retry.n > 0)
		again();
	without_sweeper();
	batch(told(101, "k1", request("k;3", GY_INITIAL, 0)),
	      told(101, "k2", request("k;4", GY_INITIAL, 0)), NULL);
	while (lane.retry.n > 0)
		again();
	ck_assert(is_open("k;1") && !is_open("k;2"));
	batch(told(101, "k2", request("k;1", GY_TERMINATION, 2)), NULL);
	ck_assert_int_eq(given[n_given - 1]->answer.rc, GY_OK);
}
END_TEST

START_TEST(a_gateway_of_another_realm_takes_no_session)
{
	int64_t before, held;

	batch(from(request("l;1", GY_INITIAL, 0), "l.spec.test", "spec.test"), NULL);
	batch(from(request("l;2", GY_INITIAL, 0), "l.spec.test", "spec.test"), NULL);
	batch(from(request("l;2", GY_TERMINATION, 1), "l.spec.test", "spec.test"), NULL);
	before = balance();
	held = reserved();
	n_given = 0;
	batch(from(request("l;1", GY_UPDATE, 1), "l.other.test", "other.test"),
	      from(request("l;1", GY_TERMINATION, 2), "l.other.test", "other.test"),
	      from(request("l;2", GY_TERMINATION, 1), "l.other.test", "other.test"), /* no copy */
	      from(request("l;2", GY_UPDATE, 7), "l.other.test", "other.test"), NULL);
	for (unsigned i = 0; i < 4; i++)
		ck_assert_int_eq(given[i]->answer.rc, GY_UNKNOWN_SESSION_ID);
	batch(from(copy("l;1", GY_INITIAL, 0), "l.other.test", "other.test"), NULL);
	ck_assert_int_eq(given[4]->answer.rc, GY_UNABLE_TO_COMPLY);
	ck_assert(balance() == before && reserved() == held && is_open("l;1"));
	ck_assert_int_eq(number_of("SELECT count(*) FROM gyro.unmatched_usage WHERE origin_host = "
				   "'l.other.test'"),
			 4);
	/* One of the same realm, in other letters, does. */
	batch(from(request("l;1", GY_UPDATE, 1), "l2.Spec.test", "SPEC.test"), NULL);
	ck_assert_int_eq(given[5]->answer.rc, GY_OK);
	ck_assert_int_eq(before - balance(), 100000);
}
END_TEST

/* The row has forgotten it: the index tells whose it was. */
START_TEST(nor_one_that_the_row_has_forgotten)
{
	int64_t before;

	forgotten_session("m;1");
	before = balance();
	batch(from(request("m;1", GY_UPDATE, 5), "m.other.test", "other.test"),
	      from(request("m;1", GY_TERMINATION, 9), "m.other.test", "other.test"), NULL);
	ck_assert_int_eq(given[0]->answer.rc, GY_UNKNOWN_SESSION_ID);
	ck_assert(!given[1]->answer.replayed);
	ck_assert_int_eq(given[1]->answer.rc, GY_UNKNOWN_SESSION_ID);
	ck_assert_int_eq(before, balance());
}
END_TEST

/* --- what is tried again ---- */

static _Atomic bool flooding, held_answered;
static _Atomic uint32_t flood_number;

/* A lane that always has work: each answer is followed by the next request. */
static struct gy_request *next_of_flood(void)
{
	struct gy_request *r = request("g;1", GY_UPDATE, atomic_fetch_add(&flood_number, 1));

	r->host = &flooding;
	return r;
}

static void answered_in_flood(void *data, struct gy_request *r, enum gy_outcome outcome)
{
	(void)data;
	(void)outcome;
	if (r->host != &flooding)
		atomic_store(&held_answered, true);
	else if (atomic_load(&flooding))
		gy_engine_submit(engine, next_of_flood());
}

static bool answered_within(unsigned ms)
{
	const struct timespec pause = { .tv_nsec = 1000000 };
	int64_t until_ns = gy_engine_now_ns() + ms * INT64_C(1000000);

	while (!atomic_load(&held_answered) && gy_engine_now_ns() < until_ns)
		nanosleep(&pause, NULL);
	return atomic_load(&held_answered);
}

/* A row that somebody holds for a while, in a lane that never has a quiet moment. */
START_TEST(what_is_tried_again_is_not_forgotten_in_a_busy_lane)
{
	struct gy_request *held = of_subscriber_2(request("g;2", GY_INITIAL, 0)), *first[4];

	batch(request("g;1", GY_INITIAL, 0), NULL);
	engine->config.answered = answered_in_flood;
	PQclear(PQexec(sql, "BEGIN; SELECT FROM gyro.account WHERE account_id = 2 FOR UPDATE"));
	atomic_store(&flooding, true);
	atomic_store(&flood_number, 1);
	for (unsigned i = 0; i < 4; i++)
		first[i] = next_of_flood(); /* from now on the lane alone makes them */
	for (unsigned i = 0; i < 4; i++)
		gy_engine_submit(engine, first[i]);
	gy_engine_submit(engine, held);
	ck_assert(!answered_within(200));
	PQclear(PQexec(sql, "ROLLBACK"));
	ck_assert_uint_gt(atomic_load(&flood_number), 12); /* the others go on meanwhile */
	ck_assert(answered_within(700));
	ck_assert_int_eq(held->answer.rc, GY_OK);
	atomic_store(&flooding, false);
	gy_engine_drain(engine, 5000);
}
END_TEST
int main(int argc, char **argv)
{
	TCase *tests = tcase_create("batch");

	tcase_add_test(tests, an_initial_request_and_its_copy_open_one_session);
	tcase_add_test(tests, an_update_and_its_copy_are_debited_once);
	tcase_add_test(tests, a_copy_of_a_termination_that_its_own_batch_forgot_waits);
	tcase_add_test(tests, late_usage_and_its_copy_are_debited_once);
	tcase_add_test(tests, late_usage_of_another_session_is_decided_at_once);
	tcase_add_test(tests, a_batch_reads_so_many_histories_and_puts_the_rest_off);
	tcase_add_test(tests, a_restart_gives_back_what_the_account_holds_at_once);
	tcase_add_test(tests, the_session_whose_request_told_the_restart_goes_on);
	tcase_add_test(tests, late_usage_of_many_lost_sessions_is_debited_once);
	tcase_add_test(tests, a_session_that_was_taken_over_outlives_both_gateways_restarts);
	tcase_add_test(tests, a_gateway_of_another_realm_takes_no_session);
	tcase_add_test(tests, nor_one_that_the_row_has_forgotten);
	tcase_add_test(tests, what_is_tried_again_is_not_forgotten_in_a_busy_lane);
	return lane_run("engine-batch", tests, argc, argv);
}
