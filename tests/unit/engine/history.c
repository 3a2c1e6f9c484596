/* Late and repeated requests among very many records of others: searches for them hold the rows of
 * a batch, so they must not read days. GYRO_RECORDS: how many others, instead of so many as don't
 * take long. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "core/store/connection.h"
#include "tests/unit/engine/lane.h"

#define RECORDS "300000"
#define LATE    16 /* as many histories as a batch reads */
#define PAGES \
	400 /* that a search may touch; the records of others are at least twenty times that */
#define SOON_NS INT64_C(2000000000) /* a statement may take as long */

/* Usage of other sessions, decided now. */
static void records_of_others(void)
{
	const char *records = getenv("GYRO_RECORDS");
	char statement[900];

	snprintf(
		statement, sizeof(statement),
		"INSERT INTO gyro.record (at, account_id, group_id, subscriber_id, gateway_id,"
		" session, opened, request_number, end_to_end, content_hash, debit, balance,"
		" reserved, result, request_type, flags, catalogue, charges, correlation)"
		" SELECT clock_timestamp(), 9, 9, 9, 1, gen_random_uuid(), now(), i, i, i, 0, 0, 0,"
		" 2001, 2, 0, 1, '{}', repeat('x', 120) FROM generate_series(1, %s) i",
		records != NULL ? records : RECORDS);
	run("INSERT INTO gyro.account (account_id, group_id, currency) VALUES (9, 9, 156)"
	    " ON CONFLICT DO NOTHING");
	run(statement);
	/* As autovacuum does. */
	number_of("SELECT sum(brin_summarize_new_values(indexrelid)) FROM pg_index"
		  " JOIN pg_inherits ON inhrelid = indexrelid"
		  " WHERE inhparent = 'gyro.record_at'::regclass");
	run("CHECKPOINT"); /* the disk is quiet again */
}

static void name(char *out, size_t size, const char *prefix, unsigned i)
{
	snprintf(out, size, "%s;%u", prefix, i);
}

static void open_sessions(const char *prefix)
{
	char id[40];

	for (unsigned i = 0; i < LATE; i++) {
		name(id, sizeof(id), prefix, i);
		batch(request(id, GY_INITIAL, 0), NULL);
		batch(request(id, GY_UPDATE, 7), NULL);
	}
}

/* What supervision does, or an operator: no CCR-T has come. */
static void end_without_request(const char *prefix)
{
	const struct timespec pause = { .tv_nsec = 20000000 };
	char statement[200], query[200];

	snprintf(statement, sizeof(statement),
		 "UPDATE gyro.session_index SET release_requested = true, check_at = now()"
		 " WHERE session_id LIKE '%s;%%'",
		 prefix);
	snprintf(query, sizeof(query),
		 "SELECT count(*) FROM gyro.session_index WHERE session_id LIKE '%s;%%' AND NOT "
		 "ended",
		 prefix);
	run(statement);
	for (unsigned i = 0; i < 500 && number_of(query) > 0; i++) {
		atomic_store(&engine->sweep_soon, true);
		gy_maintenance_wake(engine);
		nanosleep(&pause, NULL);
	}
	ck_assert_int_eq(number_of(query), 0);
}

/* One batch of such requests of all these sessions, and an update of somebody else. Returns how
 * long it took. */
static int64_t come_back(const char *prefix, enum gy_request_type type, uint32_t number,
			 struct gy_request *other)
{
	struct gy_queue queue = { NULL, NULL, 0 };
	int64_t began_ns = gy_engine_now_ns();
	char id[40];

	n_given = 0;
	for (unsigned i = 0; i < LATE; i++) {
		name(id, sizeof(id), prefix, i);
		gy_queue_push(&queue, request(id, type, number));
	}
	gy_queue_push(&queue, other);
	ck_assert_int_eq(gy_batch_run(&lane, &queue, false), GY_OK);
	ck_assert_uint_eq(n_given, LATE + 1);
	for (unsigned i = 0; i < LATE; i++)
		ck_assert_int_eq(given[i]->answer.rc, GY_UNKNOWN_SESSION_ID);
	ck_assert_msg(given[LATE]->answer.rc == GY_OK, "%s", given[LATE]->answer.message);
	return gy_engine_now_ns() - began_ns;
}

/* After a cut that outlasted supervision: the row knows two of the sessions, the rest is forgotten.
 * All are debited, at once, and nobody is refused meanwhile. */
START_TEST(gateways_that_come_back_are_answered_at_once)
{
	int64_t before, late_ns;

	number_of("SELECT gyro.topup(2, 10000000, 'history')");
	batch(of_subscriber_2(request("other;q", GY_INITIAL, 0)), NULL);
	open_sessions("q");
	records_of_others();
	end_without_request("q");
	before = balance();
	late_ns = come_back("q", GY_UPDATE, 8, of_subscriber_2(request("other;q", GY_UPDATE, 1)));
	ck_assert_int_lt(late_ns, SOON_NS);
	ck_assert_int_eq(before - balance(), LATE * 100000);
	late_ns = come_back("q", GY_TERMINATION, 9,
			    of_subscriber_2(request("other;q", GY_UPDATE, 2)));
	ck_assert_int_lt(late_ns, SOON_NS);
	ck_assert_int_eq(before - balance(), 2 * LATE * 100000);
	/* Their copies find what was found then. */
	come_back("q", GY_UPDATE, 8, of_subscriber_2(copy("other;q", GY_UPDATE, 2)));
	late_ns = come_back("q", GY_TERMINATION, 9, of_subscriber_2(copy("other;q", GY_UPDATE, 2)));
	ck_assert_int_lt(late_ns, SOON_NS);
	ck_assert_int_eq(before - balance(), 2 * LATE * 100000);
	for (unsigned i = 0; i < LATE; i++)
		ck_assert(given[i]->answer.replayed);
	batch(of_subscriber_2(request("other;q", GY_TERMINATION, 3)), NULL);
}
END_TEST

/* And what was decided in their course is found: nothing is paid again. */
START_TEST(an_update_from_before_the_end_is_a_copy)
{
	int64_t before;

	open_sessions("r");
	end_without_request("r");
	before = balance();
	n_given = 0;
	batch(copy("r;0", GY_UPDATE, 7), copy("r;0", GY_INITIAL, 0), copy("r;1", GY_UPDATE, 7),
	      copy("r;1", GY_UPDATE, 6), NULL);
	ck_assert_uint_eq(n_given, 4);
	ck_assert(given[0]->answer.replayed && given[1]->answer.replayed &&
		  given[2]->answer.replayed && !given[3]->answer.replayed);
	ck_assert_int_eq(before - balance(), 100000);
}
END_TEST

/* --- the plans, as a node makes them ---- */

/* Pages that a statement touches. */
static int64_t pages_of(const char *execute)
{
	static const char *const keys[] = { "\"Shared Hit Blocks\": ", "\"Shared Read Blocks\": " };
	char query[600];
	PGresult *result;
	int64_t pages = 0;

	snprintf(query, sizeof(query), "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE %s",
		 execute);
	result = PQexec(sql, query);
	ck_assert_msg(PQresultStatus(result) == PGRES_TUPLES_OK, "%s", PQerrorMessage(sql));
	for (unsigned i = 0; i < 2; i++) { /* of the topmost node */
		const char *at = strstr(PQgetvalue(result, 0, 0), keys[i]);

		ck_assert_ptr_nonnull(at);
		pages += strtoll(at + strlen(keys[i]), NULL, 10);
	}
	PQclear(result);
	return pages;
}

static void prepare(enum gy_sql statement)
{
	PGresult *result = PQprepare(sql, gy_sql_name[statement], gy_sql_text[statement], 0, NULL);

	ck_assert_msg(PQresultStatus(result) == PGRES_COMMAND_OK, "%s", PQerrorMessage(sql));
	PQclear(result);
}

START_TEST(no_search_reads_the_records_of_others)
{
	static const char *const searches[] = {
		"'history_session(%L)'",
		"'history_record(%L, %L, 1, 0, true)'",   /* the one that opened it */
		"'history_record(%L, %L, 1, 77, true)'",  /* no such */
		"'history_record(%L, %L, 2, 77, false)'", /* above all that it had */
		"'history_record(%L, %L, 3, 77, true)'",  /* its end */
		"'history_record(%L, %L, 4, 77, true)'",  /* an event, a refund */
	};
	int64_t all;

	batch(request("s;1", GY_INITIAL, 0), NULL);
	records_of_others();
	all = number_of("SELECT sum(pg_relation_size(inhrelid)) / 8192 FROM pg_inherits"
			" WHERE inhparent = 'gyro.record'::regclass");
	ck_assert_int_gt(all, 20 * PAGES);
	run("SET plan_cache_mode = force_generic_plan");
	run("SET enable_seqscan = off");
	prepare(GY_SQL_HISTORY_SESSION);
	prepare(GY_SQL_HISTORY_RECORD);
	for (unsigned i = 0; i < sizeof(searches) / sizeof(*searches); i++) {
		char query[300];
		PGresult *execute;
		int64_t pages;

		snprintf(query, sizeof(query),
			 "SELECT format(%s, session, opened) FROM gyro.session_index"
			 " WHERE session_id = 's;1'",
			 searches[i]);
		execute = PQexec(sql, query);
		ck_assert_int_eq(PQntuples(execute), 1);
		pages = pages_of(PQgetvalue(execute, 0, 0));
		printf("# %s: %lld pages of %lld\n", PQgetvalue(execute, 0, 0), (long long)pages,
		       (long long)all);
		PQclear(execute);
		ck_assert_int_lt(pages, PAGES);
	}
}
END_TEST

int main(int argc, char **argv)
{
	TCase *tests = tcase_create("history");

	tcase_add_test(tests, gateways_that_come_back_are_answered_at_once);
	tcase_add_test(tests, an_update_from_before_the_end_is_a_copy);
	tcase_add_test(tests, no_search_reads_the_records_of_others);
	return lane_run("engine-history", tests, argc, argv);
}
