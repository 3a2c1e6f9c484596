/* One batch of the engine's on a real database, its requests chosen one by one: what copies in the
 * same batch come to, and how many histories a batch reads.
 *
 *   engine-batch CONNINFO    the schema is there, and tests/cases/fixture.yaml applied (batch.py)
 *
 * The batches run on a lane of the test's own, so that nothing depends on when a thread wakes up.
 */
#include <inttypes.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <string.h>
#include <talloc.h>
#include <time.h>

#include "core/engine/internal.h"
#include "extensions/app_gyro/session_key.h"
#include "tests/lib/tap.h"

#define MIB        INT64_C(1048576)
#define MOST       64
#define HISTORIES  16 /* that a batch reads; HISTORIES_MAX of batch.c */
#define TIMEOUT_MS 5000

static const char *conninfo;
static struct gy_engine *engine;
static struct gy_lane lane;
static PGconn *sql;
static void *requests; /* the pools of all */

/* What was given back, in order. */
static struct gy_request *given[MOST];
static unsigned n_given;
static enum gy_outcome wanted; /* of all that is given back */

static void answered(void *data, struct gy_request *request, enum gy_outcome outcome)
{
	(void)data;
	ck_assert_int_eq(outcome, wanted);
	ck_assert_uint_lt(n_given, MOST);
	given[n_given++] = request;
}

static void complain(void *data, enum gy_log_level level, const char *line)
{
	(void)data;
	if (level >= GY_LOG_WARNING)
		printf("# %s\n", line);
}

static void begin(void)
{
	struct gy_engine_config config = { .database = conninfo,
					   .lanes = 1,
					   .sweep_ms = 3600000,
					   .answered = answered,
					   .log = complain };
	char error[300] = "";

	ck_assert_msg(gy_engine_start(&config, &engine, error, sizeof(error)) == GY_OK, "%s",
		      error);
	lane = (struct gy_lane){ .engine = engine };
	ck_assert(gy_cache_init(&lane.cache, 64));
	ck_assert_msg(gy_store_open(conninfo, TIMEOUT_MS, &lane.store, error, sizeof(error)) ==
			      GY_OK,
		      "%s", error);
	sql = PQconnectdb(conninfo);
	ck_assert(PQstatus(sql) == CONNECTION_OK);
	requests = talloc_new(NULL);
	n_given = 0;
	wanted = GY_ANSWER;
}

static void end(void)
{
	PQfinish(sql);
	gy_store_close(lane.store);
	gy_cache_free(&lane.cache);
	gy_engine_stop(engine);
	talloc_free(requests);
}

static int64_t number_of(const char *query)
{
	PGresult *result = PQexec(sql, query);
	int64_t value;

	ck_assert_msg(PQresultStatus(result) == PGRES_TUPLES_OK, "%s", PQerrorMessage(sql));
	ck_assert_int_eq(PQntuples(result), 1);
	value = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
	PQclear(result);
	return value;
}

static void run(const char *statement)
{
	PGresult *result = PQexec(sql, statement);

	ck_assert_msg(PQresultStatus(result) == PGRES_COMMAND_OK, "%s", PQerrorMessage(sql));
	PQclear(result);
}

static int64_t balance(void)
{
	return number_of("SELECT balance FROM gyro.account WHERE account_id = 1");
}

static int64_t balance_2(void)
{
	return number_of("SELECT balance FROM gyro.account WHERE account_id = 2");
}

static int64_t records(const char *session_id, enum gy_request_type type, uint32_t number)
{
	char query[300];

	snprintf(query, sizeof(query),
		 "SELECT count(*) FROM gyro.record r JOIN gyro.session_index i USING (session)"
		 " WHERE i.session_id = '%s' AND request_type = %d AND request_number = %" PRIu32,
		 session_id, (int)type, number);
	return number_of(query);
}

static struct gy_bytes bytes(const char *text)
{
	return (struct gy_bytes){ (const uint8_t *)text, strlen(text) };
}

/* Rating-Group 10 of subscriber 1: reports one MiB unless it is a CCR-I, asks unless it is a CCR-T.
 */
static struct gy_request *request(const char *session_id, enum gy_request_type type,
				  uint32_t number)
{
	static const struct gy_identity imsi = {
		.kind = GY_IDENTITY_IMSI, .value = { (const uint8_t *)"460001000000001", 15 }
	};
	void *pool = talloc_new(requests);
	struct gy_request *r = talloc_zero(pool, struct gy_request);
	struct gy_service *service = talloc_zero(pool, struct gy_service);
	struct gy_used *used = talloc_zero(pool, struct gy_used);

	used->present[GY_UNIT_OCTETS] = true;
	used->count[GY_UNIT_OCTETS] = MIB;
	used->tariff_change = GY_TCU_ABSENT;
	*service = (struct gy_service){
		.has_rating_group = true,
		.rating_group = 10,
		.requested = type != GY_TERMINATION,
		.n_used = type != GY_INITIAL,
		.used = used,
	};
	r->pool = pool;
	r->arrived_ns = gy_engine_now_ns();
	r->ccr = (struct gy_ccr){
		.session_id = bytes(talloc_strdup(pool, session_id)),
		.type = type,
		.number = number,
		.end_to_end = (uint32_t)type << 16 | number,
		.content_hash = (uint64_t)type << 32 | number,
		.origin_host = bytes("pgw1.spec.test"),
		.origin_realm = bytes("spec.test"),
		.service_context = bytes("32251@3gpp.org"),
		.multiple_services = true,
		.action = GY_ACTION_NONE,
		.n_identities = 1,
		.identities = &imsi,
		.n_services = 1,
		.services = service,
	};
	r->ccr.session = gy_session_key(r->ccr.session_id, false, 0);
	r->who = gy_request_who(&r->ccr, &(uint64_t){ 0 });
	return r;
}

static struct gy_request *of_subscriber_2(struct gy_request *r)
{
	static const struct gy_identity imsi = {
		.kind = GY_IDENTITY_IMSI, .value = { (const uint8_t *)"460001000000002", 15 }
	};

	r->ccr.identities = &imsi;
	r->who = gy_request_who(&r->ccr, &(uint64_t){ 0 });
	return r;
}

static struct gy_request *of_its_session(struct gy_request *r)
{
	r->ccr.n_identities = 0;
	r->who = gy_request_who(&r->ccr, &(uint64_t){ 0 });
	return r;
}

static struct gy_request *copy(const char *session_id, enum gy_request_type type, uint32_t number)
{
	struct gy_request *r = request(session_id, type, number);

	r->ccr.retransmitted = true;
	return r;
}

/* One batch of these, until NULL. Returns how many were given back. */
static unsigned batch(struct gy_request *first, ...)
{
	struct gy_queue queue = { NULL, NULL, 0 };
	struct gy_request *r = first;
	unsigned before = n_given;
	va_list more;

	va_start(more, first);
	for (; r != NULL; r = va_arg(more, struct gy_request *))
		gy_queue_push(&queue, r);
	va_end(more);
	ck_assert_int_eq(gy_batch_run(&lane, &queue, false), GY_OK);
	return n_given - before;
}

/* What the batch before wants to try again. */
static unsigned again(void)
{
	struct gy_queue queue = lane.retry;
	unsigned before = n_given;

	lane.retry = (struct gy_queue){ NULL, NULL, 0 };
	ck_assert_int_eq(gy_batch_run(&lane, &queue, false), GY_OK);
	return n_given - before;
}

static void check_equal(const struct gy_request *a, const struct gy_request *b)
{
	ck_assert_int_eq(a->answer.rc, b->answer.rc);
	if (a->answer.rc != GY_OK)
		return; /* no services are sent with it (G-32) */
	ck_assert_uint_eq(a->answer.n_services, b->answer.n_services);
	for (unsigned i = 0; i < a->answer.n_services; i++) {
		ck_assert_int_eq(a->answer.services[i].rc, b->answer.services[i].rc);
		ck_assert_int_eq(a->answer.services[i].granted, b->answer.services[i].granted);
	}
}

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

/* Of a session that the row has forgotten before, the record alone tells copies. */
static void forgotten_session(const char *session_id)
{
	char other[2][40];

	batch(request(session_id, GY_INITIAL, 0), NULL);
	batch(request(session_id, GY_TERMINATION, 9), NULL);
	for (unsigned i = 0; i < 2; i++) {
		snprintf(other[i], sizeof(other[i]), "%s;other%u", session_id, i);
		batch(request(other[i], GY_INITIAL, 0), NULL);
		batch(request(other[i], GY_TERMINATION, 1), NULL);
	}
	n_given = 0;
}

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
	batch(told(100, "k2", request("k;1", GY_UPDATE, 1)), NULL);
	without_sweeper();
	batch(told(101, "k1", request("k;3", GY_INITIAL, 0)),
	      told(101, "k2", request("k;4", GY_INITIAL, 0)), NULL);
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

int main(int argc, char **argv)
{
	Suite *suite = suite_create("engine-batch");
	TCase *tests = tcase_create("batch");

	if (argc != 2)
		return EXIT_FAILURE;
	conninfo = argv[1];
	tcase_set_timeout(tests, 60);
	tcase_add_checked_fixture(tests, begin, end);
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
	tcase_add_test(tests, a_session_that_has_become_another_s);
	tcase_add_test(tests, a_new_session_is_of_nobody_s_session);
	tcase_add_test(tests, usage_that_cannot_be_kept_does_not_hold_up_what_is_durable);
	tcase_add_test(tests, what_may_have_happened_is_not_refused);
	tcase_add_test(tests, a_copy_is_known_after_the_clock_went_back);
	tcase_add_test(tests, a_row_that_cannot_be_read_does_not_stop_supervision);
	suite_add_tcase(suite, tests);
	return gy_tap_run(suite);
}
