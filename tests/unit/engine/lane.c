/* Single batches on a real database: see lane.h. */
#include "tests/unit/engine/lane.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <talloc.h>

#include "extensions/app_gyro/session_key.h"

#define TIMEOUT_MS 5000

static const char *conninfo;
struct gy_engine *engine;
struct gy_lane lane;
PGconn *sql;
static void *requests; /* the pools of all */

/* What was given back, in order. */
struct gy_request *given[LANE_MOST];
unsigned n_given;
enum gy_outcome wanted;

static void answered(void *data, struct gy_request *request, enum gy_outcome outcome)
{
	(void)data;
	ck_assert_int_eq(outcome, wanted);
	ck_assert_uint_lt(n_given, LANE_MOST);
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

	sql = PQconnectdb(conninfo);
	ck_assert(PQstatus(sql) == CONNECTION_OK);
	/* The sweeper would look for what gateways of earlier tests have lost, and for what was put
	 * off there, and hold the rows that a test is about. */
	run("UPDATE gyro.gateway SET restart_open = false");
	run("UPDATE gyro.session_index SET check_at = now() + interval '1 h'"
	    " WHERE check_at < now() + interval '1 min' AND NOT ended");
	ck_assert_msg(gy_engine_start(&config, &engine, error, sizeof(error)) == GY_OK, "%s",
		      error);
	lane = (struct gy_lane){ .engine = engine };
	ck_assert(gy_cache_init(&lane.cache, 64));
	ck_assert_msg(gy_store_open(conninfo, TIMEOUT_MS, &lane.store, error, sizeof(error)) ==
			      GY_OK,
		      "%s", error);
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

int64_t number_of(const char *query)
{
	PGresult *result = PQexec(sql, query);
	int64_t value;

	ck_assert_msg(PQresultStatus(result) == PGRES_TUPLES_OK, "%s", PQerrorMessage(sql));
	ck_assert_int_eq(PQntuples(result), 1);
	value = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
	PQclear(result);
	return value;
}

void run(const char *statement)
{
	PGresult *result = PQexec(sql, statement);

	ck_assert_msg(PQresultStatus(result) == PGRES_COMMAND_OK, "%s", PQerrorMessage(sql));
	PQclear(result);
}

int64_t balance(void)
{
	return number_of("SELECT balance FROM gyro.account WHERE account_id = 1");
}

int64_t balance_2(void)
{
	return number_of("SELECT balance FROM gyro.account WHERE account_id = 2");
}

int64_t records(const char *session_id, enum gy_request_type type, uint32_t number)
{
	char query[300];

	snprintf(query, sizeof(query),
		 "SELECT count(*) FROM gyro.record r JOIN gyro.session_index i USING (session)"
		 " WHERE i.session_id = '%s' AND request_type = %d AND request_number = %" PRIu32,
		 session_id, (int)type, number);
	return number_of(query);
}

struct gy_bytes bytes(const char *text)
{
	return (struct gy_bytes){ (const uint8_t *)text, strlen(text) };
}

/* Rating-Group 10 of subscriber 1: reports one MiB unless it is a CCR-I, asks unless it is a CCR-T.
 */
struct gy_request *request(const char *session_id, enum gy_request_type type, uint32_t number)
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

struct gy_request *of_subscriber_2(struct gy_request *r)
{
	static const struct gy_identity imsi = {
		.kind = GY_IDENTITY_IMSI, .value = { (const uint8_t *)"460001000000002", 15 }
	};

	r->ccr.identities = &imsi;
	r->who = gy_request_who(&r->ccr, &(uint64_t){ 0 });
	return r;
}

struct gy_request *of_its_session(struct gy_request *r)
{
	r->ccr.n_identities = 0;
	r->who = gy_request_who(&r->ccr, &(uint64_t){ 0 });
	return r;
}

struct gy_request *copy(const char *session_id, enum gy_request_type type, uint32_t number)
{
	struct gy_request *r = request(session_id, type, number);

	r->ccr.retransmitted = true;
	return r;
}

/* One batch of these, until NULL. Returns how many were given back. */
unsigned batch(struct gy_request *first, ...)
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
unsigned again(void)
{
	struct gy_queue queue = lane.retry;
	unsigned before = n_given;

	lane.retry = (struct gy_queue){ NULL, NULL, 0 };
	ck_assert_int_eq(gy_batch_run(&lane, &queue, false), GY_OK);
	return n_given - before;
}

void check_equal(const struct gy_request *a, const struct gy_request *b)
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

/* Of a session that the row has forgotten before, the record alone tells copies. */
void forgotten_session(const char *session_id)
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

int lane_run(const char *name, TCase *tests, int argc, char **argv)
{
	Suite *suite = suite_create(name);

	if (argc != 2)
		return EXIT_FAILURE;
	conninfo = argv[1];
	tcase_set_timeout(tests, 60);
	tcase_add_checked_fixture(tests, begin, end);
	suite_add_tcase(suite, tests);
	return gy_tap_run(suite);
}
