/* One connection and its rounds: see connection.h. */
#include "core/store/connection.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/assert.h"
#include "core/store/connect.h"
#include "core/store/schema/schema.h"
#include "core/store/sqlstate.h"

/* What every connection of a node needs, whatever the cluster's defaults are.
 * - generic plans: the batch statements are planned once; no JIT for them;
 * - locks: a row held by others costs a batch this long at most (only where it waits at all);
 * - a node that stands still in a transaction loses its locks. */
static const char settings[] = "SET synchronous_commit = on; "
			       "SET plan_cache_mode = force_generic_plan; "
			       "SET jit = off; "
			       "SET enable_seqscan = off; "
			       "SET lock_timeout = '20ms'; "
			       "SET statement_timeout = '2s'; "
			       "SET idle_in_transaction_session_timeout = '10s'; "
			       "SET TimeZone = 'UTC'";

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void note_error(struct gy_store *store, const char *what, const char *text)
{
	snprintf(store->error, sizeof(store->error), "%s: %s", what, text);
	store->error[strcspn(store->error, "\n")] = '\0';
}

const char *gy_store_error(const struct gy_store *store)
{
	return store->error;
}

/* P5: PostgreSQL tells an interrupted wait for the standby only as a warning, and then reports
 * success. */
static void on_notice(void *data, const PGresult *result)
{
	struct gy_store *store = data;
	const char *text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);

	if (text != NULL && severity != NULL && strcmp(severity, "WARNING") == 0 &&
	    strstr(text, "synchronous replication") != NULL)
		store->sync_wait_cancelled = true;
}

/* --- rounds ------------------------------------------------------------------------------------
 */

static void clear_results(struct gy_store *store)
{
	for (unsigned i = 0; i < store->n_round; i++) {
		PQclear(store->result[i]);
		store->result[i] = NULL;
	}
	store->n_round = 0;
}

void gy_round_begin(struct gy_store *store)
{
	clear_results(store);
	store->rolled_back = false;
}

/* A failed send shows up in gy_round_end, where the connection's state is looked at. */
unsigned gy_round_add(struct gy_store *store, enum gy_sql sql, const struct gy_params *params)
{
	const char *values[GY_PARAMS_MAX];
	int lengths[GY_PARAMS_MAX], formats[GY_PARAMS_MAX];
	unsigned n = params != NULL ? params->n : 0;

	gy_assert(store->n_round < GY_ROUND_MAX);
	for (unsigned i = 0; i < n; i++) {
		values[i] = (const char *)params->param[i].data;
		lengths[i] = (int)params->param[i].len;
		formats[i] = 1;
	}
	PQsendQueryPrepared(store->connection, gy_sql_name[sql], (int)n, values, lengths, formats,
			    1);
	return store->n_round++;
}

unsigned gy_round_add_command(struct gy_store *store, const char *command)
{
	gy_assert(store->n_round < GY_ROUND_MAX);
	PQsendQueryParams(store->connection, command, 0, NULL, NULL, NULL, NULL, 1);
	return store->n_round++;
}

/* Waits until the socket is readable (or writable, if there is more to send). False: time is over.
 */
static bool wait_socket(struct gy_store *store, bool write, int64_t until_ms)
{
	struct pollfd fd = { .fd = PQsocket(store->connection),
			     .events = (short)(POLLIN | (write ? POLLOUT : 0)) };
	int64_t left;
	int n;

	do {
		left = until_ms - now_ms();
		if (left <= 0)
			return false;
		n = poll(&fd, 1, (int)left);
	} while (n < 0 && errno == EINTR);
	return n > 0;
}

/* The next result of the pipeline; NULL with *ok false: the connection is no longer usable. */
static PGresult *next_result(struct gy_store *store, int64_t until_ms, bool *ok)
{
	*ok = true;
	for (;;) {
		int more = PQflush(store->connection);

		if (more < 0 || !PQconsumeInput(store->connection))
			break;
		if (!PQisBusy(store->connection))
			return PQgetResult(store->connection);
		if (!wait_socket(store, more > 0, until_ms)) {
			note_error(store, "database", "no answer in time");
			store->silent = true;
			*ok = false;
			return NULL;
		}
	}
	note_error(store, "database", PQerrorMessage(store->connection));
	*ok = false;
	return NULL;
}

static bool succeeded(const PGresult *result)
{
	ExecStatusType status = PQresultStatus(result);

	return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
}

static enum gy_rc failure_of(struct gy_store *store, const PGresult *result)
{
	const char *text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);

	/* FATAL and PANIC may come when COMMIT is done; after an ERROR the rest of the pipeline is
	 * passed over, and one of COMMIT itself comes before its record is written. */
	store->rolled_back = severity != NULL && strcmp(severity, "ERROR") == 0;
	note_error(store, state != NULL ? state : "database",
		   text != NULL ? text : PQresultErrorMessage(result));
	return gy_sqlstate_rc(state);
}

/* Results of one statement: one, then NULL. */
static enum gy_rc take_result(struct gy_store *store, unsigned index, int64_t until_ms,
			      enum gy_rc so_far)
{
	PGresult *result;
	bool ok;

	result = next_result(store, until_ms, &ok);
	if (!ok)
		return GY_STORE_UNAVAILABLE;
	if (result == NULL) { /* it was never sent */
		note_error(store, "database", PQerrorMessage(store->connection));
		return GY_STORE_UNAVAILABLE;
	}
	store->result[index] = result;
	if (so_far == GY_OK && !succeeded(result))
		so_far = failure_of(store, result);
	while ((result = next_result(store, until_ms, &ok)) != NULL)
		PQclear(result);
	return ok ? so_far : GY_STORE_UNAVAILABLE;
}

enum gy_rc gy_round_end(struct gy_store *store)
{
	int64_t until_ms = now_ms() + store->timeout_ms;
	enum gy_rc rc = GY_OK;
	PGresult *result;
	bool ok;

	if (!PQpipelineSync(store->connection)) {
		note_error(store, "database", PQerrorMessage(store->connection));
		return GY_STORE_UNAVAILABLE;
	}
	for (unsigned i = 0; i < store->n_round; i++) {
		rc = take_result(store, i, until_ms, rc);
		if (PQstatus(store->connection) != CONNECTION_OK || rc == GY_STORE_UNAVAILABLE)
			return GY_STORE_UNAVAILABLE;
	}
	result = next_result(store, until_ms, &ok); /* of the sync */
	if (!ok || result == NULL)
		return GY_STORE_UNAVAILABLE;
	PQclear(result);
	return rc;
}

long gy_round_changed(const struct gy_store *store, unsigned index)
{
	return atol(PQcmdTuples(store->result[index]));
}

struct gy_bytes gy_result_bytes(const PGresult *result, int row, int column)
{
	if (PQgetisnull(result, row, column))
		return (struct gy_bytes){ NULL, 0 };
	return (struct gy_bytes){ (const uint8_t *)PQgetvalue(result, row, column),
				  (size_t)PQgetlength(result, row, column) };
}

/* --- open and close -----------------------------------------------------------------------------
 */

/* The last result of what was sent, before there is a pipeline; NULL: none in time. */
static PGresult *settled(struct gy_store *store, int sent)
{
	int64_t until_ms = now_ms() + store->timeout_ms;
	PGresult *result, *last = NULL;
	bool ok = sent == 1;

	while (ok && (result = next_result(store, until_ms, &ok)) != NULL) {
		PQclear(last);
		last = result;
	}
	if (!ok) {
		PQclear(last);
		return NULL;
	}
	return last;
}

static const char *scalar(struct gy_store *store, const char *sql, char *out, size_t size)
{
	PGresult *result = settled(store, PQsendQuery(store->connection, sql));

	out[0] = '\0';
	if (PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1)
		snprintf(out, size, "%s", PQgetvalue(result, 0, 0));
	PQclear(result);
	return out;
}

/* Settings are read back, never only set: an answer must not be a promise that the database does
 * not keep. */
static enum gy_rc check_durability(struct gy_store *store, char *error, size_t error_size)
{
	static const char *const wanted[] = { "fsync", "full_page_writes", "synchronous_commit" };
	char sql[64], value[64];

	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		snprintf(sql, sizeof(sql), "SHOW %s", wanted[i]);
		scalar(store, sql, value, sizeof(value));
		if (strcmp(value, "on") == 0 || (i == 2 && strcmp(value, "remote_apply") == 0))
			continue;
		snprintf(error, error_size,
			 "%s is '%s' in this database: answers would not be durable; refusing to "
			 "charge",
			 wanted[i], value);
		return GY_STORE_REFUSED;
	}
	return GY_OK;
}

static enum gy_rc check_schema(struct gy_store *store, char *error, size_t error_size)
{
	char version[32];
	bool newer;

	scalar(store, "SELECT max(version) FROM gyro.schema_version", version, sizeof(version));
	if (version[0] != '\0' && atoi(version) == gy_schema_newest)
		return GY_OK;
	newer = atoi(version) > gy_schema_newest;
	snprintf(error, error_size, "schema version is %s, this node needs %d: %s",
		 version[0] != '\0' ? version : "none", gy_schema_newest,
		 newer ? "use a newer one" : "run gyroctl migrate (of the same version)");
	return GY_STORE_REFUSED;
}

static enum gy_rc prepare(struct gy_store *store, char *error, size_t error_size)
{
	PGresult *result = settled(store, PQsendQuery(store->connection, settings));
	bool ok = PQresultStatus(result) == PGRES_COMMAND_OK;

	PQclear(result);
	for (int i = 0; ok && i < GY_SQL_COUNT; i++) {
		result = settled(store, PQsendPrepare(store->connection, gy_sql_name[i],
						      gy_sql_text[i], 0, NULL));
		ok = PQresultStatus(result) == PGRES_COMMAND_OK;
		PQclear(result);
		if (!ok) {
			snprintf(error, error_size, "statement %s: %s", gy_sql_name[i],
				 PQerrorMessage(store->connection));
			error[strcspn(error, "\n")] = '\0';
			return PQstatus(store->connection) == CONNECTION_OK && !store->silent
				       ? GY_STORE_REFUSED
				       : GY_STORE_UNAVAILABLE;
		}
	}
	if (ok)
		return GY_OK;
	snprintf(error, error_size, "%s", PQerrorMessage(store->connection));
	return GY_STORE_UNAVAILABLE;
}

enum gy_rc gy_store_open(const char *conninfo, unsigned timeout_ms, struct gy_store **out,
			 char *error, size_t error_size)
{
	struct gy_store *store = calloc(1, sizeof(*store));
	enum gy_rc rc = GY_STORE_UNAVAILABLE;

	*out = NULL;
	if (store == NULL) {
		snprintf(error, error_size, "out of memory");
		return GY_NO_MEMORY;
	}
	store->timeout_ms = timeout_ms;
	store->connection = gy_connect_in_time(conninfo, timeout_ms);
	if (PQstatus(store->connection) != CONNECTION_OK) {
		snprintf(error, error_size, "%s",
			 store->connection != NULL && PQstatus(store->connection) == CONNECTION_BAD
				 ? PQerrorMessage(store->connection)
				 : "the database does not answer");
		error[strcspn(error, "\n")] = '\0';
		goto failed;
	}
	PQsetNoticeReceiver(store->connection, on_notice, store);
	if (PQsetnonblocking(store->connection, 1) == 0)
		rc = check_schema(store, error, error_size);
	if (rc == GY_OK)
		rc = prepare(store, error, error_size);
	if (rc == GY_OK)
		rc = check_durability(store, error, error_size);
	if (store->silent) { /* then nothing is known of it */
		snprintf(error, error_size, "%s", store->error);
		rc = GY_STORE_UNAVAILABLE;
	}
	if (rc != GY_OK)
		goto failed;
	if (!PQenterPipelineMode(store->connection)) {
		snprintf(error, error_size, "%s", PQerrorMessage(store->connection));
		rc = GY_STORE_UNAVAILABLE;
		goto failed;
	}
	*out = store;
	return GY_OK;

failed:
	gy_store_close(store);
	return rc;
}

void gy_store_close(struct gy_store *store)
{
	if (store == NULL)
		return;
	clear_results(store);
	PQfinish(store->connection);
	gy_params_free(&store->lock);
	gy_params_free(&store->known);
	gy_params_free(&store->apply);
	gy_params_free(&store->find);
	free(store);
}

int gy_store_socket(struct gy_store *store)
{
	return PQsocket(store->connection);
}

bool gy_store_notified(struct gy_store *store)
{
	bool any = false;
	PGnotify *notify;

	PQconsumeInput(store->connection);
	while ((notify = PQnotifies(store->connection)) != NULL) {
		any = true;
		PQfreemem(notify);
	}
	return any;
}

void gy_store_rollback(struct gy_store *store)
{
	if (PQstatus(store->connection) != CONNECTION_OK || store->silent)
		return;
	gy_round_begin(store);
	gy_round_add_command(store, "ROLLBACK");
	if (gy_round_end(store) != GY_OK) /* told by the next use of the connection */
		note_error(store, "rollback", "failed");
}
