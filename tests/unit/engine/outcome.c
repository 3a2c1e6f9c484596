/* What comes of a request, on a real database: whose it is, and what is said when something fails
 * or the clock goes back. The sweeper among rows that can't be read. */
#include <stdio.h>
#include <time.h>

#include "tests/unit/engine/lane.h"

/* --- requests that name nobody ---- */

/* A Session-Id that is used again, by another subscriber: whoever had it before is not charged. */
START_TEST(a_session_that_has_become_another_s)
{
	int64_t before, before_2;

	batch(request("s;1", GY_INITIAL, 0), NULL);
	batch(of_its_session(request("s;1", GY_UPDATE, 1)), NULL);
	batch(of_its_session(request("s;1", GY_TERMINATION, 2)), NULL);
	batch(of_subscriber_2(request("s;1", GY_INITIAL, 7)), NULL);
	before = balance();
	before_2 = balance_2();
	n_given = 0;
	if (batch(of_its_session(request("s;1", GY_UPDATE, 8)), NULL) == 0)
		ck_assert_uint_eq(again(), 1);
	ck_assert_int_eq(balance(), before);
	ck_assert_int_eq(before_2 - balance_2(), 100000);
	ck_assert_int_eq(given[0]->answer.rc, GY_OK);
	batch(of_its_session(request("s;1", GY_TERMINATION, 9)), NULL);
	ck_assert_int_eq(before_2 - balance_2(), 200000);
}
END_TEST

/* What the cache knows of a session is no subscriber of a new one. */
START_TEST(a_new_session_is_of_nobody_s_session)
{
	batch(request("s;2", GY_INITIAL, 0), NULL);
	batch(of_its_session(request("s;2", GY_TERMINATION, 1)), NULL);
	batch(of_its_session(request("s;2", GY_INITIAL, 2)), NULL);
	ck_assert_int_eq(given[1]->answer.rc, GY_OK);
	ck_assert_int_eq(given[2]->answer.rc, GY_USER_UNKNOWN);
}
END_TEST

/* --- what is durable is answered ---- */

/* Usage of unknown sessions is kept after the batch's own transaction. If that fails, the batch's
 * other requests have happened, and their answers say so. */
START_TEST(usage_that_cannot_be_kept_does_not_hold_up_what_is_durable)
{
	struct gy_queue queue = { NULL, NULL, 0 };
	int64_t before;

	batch(request("u;1", GY_INITIAL, 0), NULL);
	before = balance();
	n_given = 0;
	run("ALTER TABLE gyro.unmatched_usage ADD CONSTRAINT spoilt CHECK (false) NOT VALID");
	gy_queue_push(&queue, request("u;1", GY_UPDATE, 1));
	gy_queue_push(&queue, request("u;none", GY_TERMINATION, 1));
	ck_assert_int_eq(gy_batch_run(&lane, &queue, false), GY_STORE_REFUSED);
	ck_assert_uint_eq(n_given, 1);
	ck_assert_uint_eq(given[0]->ccr.type, GY_UPDATE);
	ck_assert_int_eq(given[0]->answer.rc, GY_OK);
	ck_assert_int_eq(before - balance(), 100000);
	/* Alone it meets its fate: it was not kept, and is told so. */
	queue = lane.retry;
	lane.retry = (struct gy_queue){ NULL, NULL, 0 };
	ck_assert_uint_eq(queue.n, 1);
	ck_assert_int_eq(gy_batch_run(&lane, &queue, false), GY_STORE_REFUSED);
	ck_assert_uint_eq(n_given, 2);
	ck_assert_int_eq(given[1]->answer.rc, GY_UNABLE_TO_COMPLY);
	run("ALTER TABLE gyro.unmatched_usage DROP CONSTRAINT spoilt");
	batch(request("u;none", GY_TERMINATION, 1), NULL);
	ck_assert_int_eq(given[2]->answer.rc, GY_UNKNOWN_SESSION_ID);
	ck_assert_int_eq(before - balance(), 100000);
}
END_TEST

/* A COMMIT of it may have come through: no error may say that it has not. */
START_TEST(what_may_have_happened_is_not_refused)
{
	struct gy_queue queue = { NULL, NULL, 0 };

	batch(request("v;1", GY_INITIAL, 0), NULL);
	run("ALTER TABLE gyro.record ADD CONSTRAINT spoilt CHECK (request_type <> 2) NOT VALID");
	gy_queue_push(&queue, request("v;1", GY_UPDATE, 1));
	queue.first->unsettled = true;
	wanted = GY_NO_ANSWER;
	ck_assert_int_eq(gy_batch_run(&lane, &queue, false), GY_STORE_REFUSED);
	ck_assert_uint_eq(n_given, 2);
	run("ALTER TABLE gyro.record DROP CONSTRAINT spoilt");
}
END_TEST

/* --- the database's clock goes back (P9) ---- */

/* As if all that is there had happened an hour later than it did. */
static void clock_goes_back(void)
{
	run("DO $$ BEGIN"
	    " UPDATE gyro.record SET at = at + interval '1 h', opened = opened + interval '1 h';"
	    " UPDATE gyro.session_index SET opened = opened + interval '1 h',"
	    "  check_at = check_at + interval '1 h';"
	    " FOR i IN 1..100 LOOP"
	    "  UPDATE gyro.account SET sessions[i][6] = sessions[i][6] + 3600000000,"
	    "   sessions[i][7] = sessions[i][7] + 3600000000 WHERE array_length(sessions, 1) >= i;"
	    " END LOOP; END $$");
}

/* The row has forgotten the answer; its record is found all the same. */
START_TEST(a_copy_is_known_after_the_clock_went_back)
{
	int64_t before;

	batch(request("p;1", GY_INITIAL, 0), NULL);
	batch(request("p;2", GY_INITIAL, 0), NULL);
	clock_goes_back();
	before = balance();
	for (uint32_t n = 1; n <= 6; n++)
		batch(request("p;1", GY_UPDATE, n), NULL);
	forgotten_session("p;3");
	n_given = 0;
	batch(request("p;2", GY_TERMINATION, 1), NULL);
	forgotten_session("p;4");
	ck_assert_int_eq(before - balance(), 13 * 100000);
	ck_assert_uint_eq(batch(copy("p;1", GY_UPDATE, 1), copy("p;2", GY_TERMINATION, 1), NULL),
			  2);
	ck_assert(given[0]->answer.replayed && given[1]->answer.replayed);
	ck_assert_int_eq(before - balance(), 13 * 100000);
}
END_TEST

/* --- supervision ---- */

/* Opened without a grant it may be silent for long; its first grant, or a shorter one, for less. */
START_TEST(a_deadline_that_comes_nearer_is_kept)
{
	static const char *const look =
		"SELECT (i.check_at = s.deadline)::int FROM gyro.session_index i"
		" JOIN gyro.session s USING (session) WHERE i.session_id = 'd;1'";

	batch(request("d;1", GY_INITIAL, 0), NULL);
	ck_assert_int_eq(number_of(look), 1);
	run("DO $$ BEGIN FOR i IN 1..100 LOOP"
	    " UPDATE gyro.account SET sessions[i][7] = sessions[i][7] + 36000000000"
	    "  WHERE array_length(sessions, 1) >= i; END LOOP;"
	    " UPDATE gyro.session_index SET check_at = check_at + interval '10 h'"
	    "  WHERE session_id = 'd;1'; END $$");
	batch(request("d;1", GY_UPDATE, 1), NULL);
	ck_assert_int_eq(number_of(look), 1);
	/* A later deadline is found when the sweeper looks. */
	batch(request("d;1", GY_UPDATE, 2), NULL);
	ck_assert_int_eq(number_of(look), 0);
	batch(request("d;1", GY_TERMINATION, 3), NULL);
}
END_TEST

static bool true_within(unsigned ms, const char *query)
{
	const struct timespec pause = { .tv_nsec = 5000000 };
	int64_t until_ns = gy_engine_now_ns() + ms * INT64_C(1000000);

	while (number_of(query) == 0 && gy_engine_now_ns() < until_ns)
		nanosleep(&pause, NULL);
	return number_of(query) != 0;
}

/* A row that another hand has spoilt is passed over, also as the home of a card; it comes again
 * some time later. */
START_TEST(a_row_that_cannot_be_read_does_not_stop_supervision)
{
	struct gy_engine_config config = engine->config;
	struct gy_engine *sweeper;
	char error[300] = "";

	batch(request("sick;1", GY_INITIAL, 0), of_subscriber_2(request("sick;2", GY_INITIAL, 0)),
	      NULL);
	run("UPDATE gyro.account SET reservations[1][9] = reservations[1][9] + reservations[1][8]"
	    " WHERE account_id = 1");
	run("UPDATE gyro.session_index SET check_at = now() - interval '1 s',"
	    " release_requested = true WHERE session_id IN ('sick;1', 'sick;2')");
	config.sweep_ms = 20;
	ck_assert(gy_engine_start(&config, &sweeper, error, sizeof(error)) == GY_OK);
	ck_assert(true_within(5000, "SELECT ended::int FROM gyro.session_index"
				    " WHERE session_id = 'sick;2'"));
	gy_engine_stop(sweeper);
	ck_assert_int_eq(number_of("SELECT (check_at > now() + interval '30 s' AND NOT ended"
				   " AND release_requested)::int FROM gyro.session_index WHERE "
				   "session_id = 'sick;1'"),
			 1);
	run("UPDATE gyro.account SET reservations[1][9] = reservations[1][9] - reservations[1][8]"
	    " WHERE account_id = 1");
}
END_TEST

/* Opens so many sessions NAME;N of subscriber 1, without a reservation, and NAME of subscriber 2.
 */
static void open_many(const char *name, unsigned count)
{
	struct gy_queue queue;
	char session_id[40];

	for (unsigned i = 0; i < count; i += n_given) {
		queue = (struct gy_queue){ NULL, NULL, 0 };
		for (unsigned k = i; k < count && k < i + LANE_MOST; k++) {
			snprintf(session_id, sizeof(session_id), "%s;%u", name, k);
			gy_queue_push(&queue, request(session_id, GY_INITIAL, 0));
			queue.last->ccr.n_services = 0;
		}
		n_given = 0;
		ck_assert_int_eq(gy_batch_run(&lane, &queue, false), GY_OK);
	}
	n_given = 0;
	batch(of_subscriber_2(request(name, GY_INITIAL, 0)), NULL);
}

/* Does it come true that so many of the sessions named like this have not ended? */
static bool left_within(unsigned ms, const char *like, unsigned count)
{
	char query[200];

	snprintf(query, sizeof(query),
		 "SELECT (count(*) = %u)::int FROM gyro.session_index"
		 " WHERE session_id LIKE '%s' AND NOT ended",
		 count, like);
	return true_within(ms, query);
}

/* Somebody holds the row of more sessions than the sweeper takes at a time, and all of them come
 * before another's. */
static void sweep_behind_a_held_row(const char *name, const char *all, const char *make_due)
{
	struct gy_engine_config config = engine->config;
	struct gy_engine *sweeper;
	char error[300] = "";

	open_many(name, 600);
	run(make_due);
	PQclear(PQexec(sql, "BEGIN; SELECT FROM gyro.account WHERE account_id = 1 FOR UPDATE"));
	config.sweep_ms = 1000;
	ck_assert(gy_engine_start(&config, &sweeper, error, sizeof(error)) == GY_OK);
	ck_assert(left_within(2000, name, 0));
	ck_assert(left_within(0, all, 600));
	run("ROLLBACK");
	ck_assert(left_within(10000, all, 0));
	gy_engine_stop(sweeper);
}

START_TEST(a_held_row_does_not_keep_what_is_due_waiting)
{
	sweep_behind_a_held_row("due", "due%",
				"UPDATE gyro.session_index SET release_requested = true,"
				" check_at = now() - interval '1 h' * (1 + (account_id = 1)::int)"
				" WHERE session_id LIKE 'due%'");
}
END_TEST

START_TEST(a_held_row_does_not_keep_what_is_lost_waiting)
{
	sweep_behind_a_held_row("lost", "lost%",
				"UPDATE gyro.gateway SET restart_open = true,"
				" restarted_at = clock_timestamp(),"
				" restarted_by = gyro.session_uuid(1, 1)"
				" WHERE origin_host = 'pgw1.spec.test'");
}
END_TEST

int main(int argc, char **argv)
{
	TCase *tests = tcase_create("outcome");

	tcase_add_test(tests, a_session_that_has_become_another_s);
	tcase_add_test(tests, a_new_session_is_of_nobody_s_session);
	tcase_add_test(tests, usage_that_cannot_be_kept_does_not_hold_up_what_is_durable);
	tcase_add_test(tests, what_may_have_happened_is_not_refused);
	tcase_add_test(tests, a_copy_is_known_after_the_clock_went_back);
	tcase_add_test(tests, a_deadline_that_comes_nearer_is_kept);
	tcase_add_test(tests, a_row_that_cannot_be_read_does_not_stop_supervision);
	tcase_add_test(tests, a_held_row_does_not_keep_what_is_due_waiting);
	tcase_add_test(tests, a_held_row_does_not_keep_what_is_lost_waiting);
	return lane_run("engine-outcome", tests, argc, argv);
}
