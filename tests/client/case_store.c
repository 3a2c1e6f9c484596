/* The database behind the node; see the header. One connection, libpq. */
#include <inttypes.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/client/case_store.h"
#include "tests/client/request.h"

#define SUBSCRIBERS_MAX 100
#define ACCOUNTS_MAX    100
#define RECORDS_MAX     100000

struct gy_case_store {
	PGconn *connection;
	char error[512];
	unsigned topups; /* each has a reference of its own */
	char *identity[SUBSCRIBERS_MAX][GY_IDENTITY_KINDS];
};

/* ---- statements ---- */

/* NULL if it failed. */
static PGresult *run(struct gy_case_store *store, const char *sql, int n, const char *const *values)
{
	PGresult *result = PQexecParams(store->connection, sql, n, NULL, values, NULL, NULL, 0);
	ExecStatusType status = PQresultStatus(result);

	if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK)
		return result;
	snprintf(store->error, sizeof(store->error), "database: %s",
		 PQerrorMessage(store->connection));
	PQclear(result);
	return NULL;
}

static bool numbers(struct gy_case_store *store, const char *sql, int n_values,
		    const char *const *values, int n, int64_t *to)
{
	PGresult *result = run(store, sql, n_values, values);
	bool good = result && PQntuples(result) == 1 && PQnfields(result) == n;

	if (result && !good)
		snprintf(store->error, sizeof(store->error),
			 "database: %d rows where one was expected", PQntuples(result));
	for (int i = 0; good && i < n; i++)
		to[i] = strtoll(PQgetvalue(result, 0, i), NULL, 10);
	PQclear(result);
	return good;
}

/* Changes exactly one row. */
static bool change_one(struct gy_case_store *store, const char *sql, int n,
		       const char *const *values)
{
	PGresult *result = run(store, sql, n, values);
	bool good = result && strcmp(PQcmdTuples(result), "1") == 0;

	if (result && !good)
		snprintf(store->error, sizeof(store->error), "database: %s rows changed, not 1",
			 PQcmdTuples(result));
	PQclear(result);
	return good;
}

/* Several statements in one transaction. */
static bool script(struct gy_case_store *store, const char *sql)
{
	PGresult *result = PQexec(store->connection, sql);
	bool good = PQresultStatus(result) == PGRES_COMMAND_OK;

	if (!good)
		snprintf(store->error, sizeof(store->error), "database: %s",
			 PQerrorMessage(store->connection));
	PQclear(result);
	return good;
}

/* ---- the fixture ---- */

/* Opening payments tell the balances; only the subscribers' states are taken as they are now. */
static const char remember[] = "CREATE TEMPORARY TABLE case_subscriber AS SELECT subscriber_id, "
			       "state FROM gyro.subscriber";

static const char restore[] =
	"BEGIN;"
	"DELETE FROM gyro.record;"
	"DELETE FROM gyro.session_index;"
	"DELETE FROM gyro.unmatched_usage;"
	"DELETE FROM gyro.payment WHERE kind <> 1;"
	"UPDATE gyro.subscriber s SET state = t.state FROM case_subscriber t"
	" WHERE t.subscriber_id = s.subscriber_id AND t.state <> s.state;"
	"UPDATE gyro.account a SET balance = p.total, reserved = 0, sessions = '{}',"
	" reservations = '{}', answers = '{}', version = version + 1,"
	" profile_version = profile_version + 1"
	" FROM (SELECT account_id, sum(amount) AS total FROM gyro.payment GROUP BY 1) p"
	" WHERE p.account_id = a.account_id;"
	"COMMIT";

bool gy_case_store_restore(struct gy_case_store *store)
{
	return script(store, restore);
}

static bool looks_like_a_fixture(struct gy_case_store *store)
{
	int64_t n[2];

	if (!numbers(store,
		     "SELECT (SELECT count(*) FROM gyro.account), (SELECT count(*) FROM "
		     "gyro.record)",
		     0, NULL, 2, n))
		return false;
	if (n[0] > 0 && n[0] <= ACCOUNTS_MAX && n[1] <= RECORDS_MAX)
		return true;
	snprintf(store->error, sizeof(store->error),
		 "%" PRId64 " accounts and %" PRId64 " records: this is no fixture's database, and "
		 "running cases would delete its records",
		 n[0], n[1]);
	return false;
}

/* Kinds of gyro.subscriber_identity are those of enum gy_case_identity_kind, from 1. */
static bool read_identities(struct gy_case_store *store)
{
	PGresult *result = run(
		store, "SELECT subscriber_id, kind, value FROM gyro.subscriber_identity", 0, NULL);

	for (int i = 0; result && i < PQntuples(result); i++) {
		long subscriber = strtol(PQgetvalue(result, i, 0), NULL, 10);
		long kind = strtol(PQgetvalue(result, i, 1), NULL, 10) - 1;

		if (subscriber >= 1 && subscriber < SUBSCRIBERS_MAX && kind >= 0 &&
		    kind < GY_IDENTITY_KINDS) {
			free(store->identity[subscriber][kind]);
			store->identity[subscriber][kind] = strdup(PQgetvalue(result, i, 2));
		}
	}
	PQclear(result);
	return result != NULL;
}

/* ---- what a case does and looks at ---- */

const char *gy_case_store_identity(const struct gy_case_store *store, int number, int kind)
{
	if (number < 1 || number >= SUBSCRIBERS_MAX)
		return NULL;
	return store->identity[number][kind];
}

bool gy_case_store_account(struct gy_case_store *store, int number, int64_t *balance,
			   int64_t *reserved)
{
	char subscriber[16];
	const char *const values[] = { subscriber };
	int64_t n[2];

	snprintf(subscriber, sizeof(subscriber), "%d", number);
	if (!numbers(store,
		     "SELECT a.balance, a.reserved FROM gyro.account a"
		     " JOIN gyro.subscriber s USING (account_id) WHERE s.subscriber_id = $1",
		     1, values, 2, n))
		return false;
	*balance = n[0];
	*reserved = n[1];
	return true;
}

bool gy_case_store_bar(struct gy_case_store *store, int number, bool barred)
{
	char subscriber[16];
	const char *const values[] = { subscriber, barred ? "2" : "1" };

	snprintf(subscriber, sizeof(subscriber), "%d", number);
	return change_one(store, "UPDATE gyro.subscriber SET state = $2 WHERE subscriber_id = $1",
			  2, values);
}

bool gy_case_store_topup(struct gy_case_store *store, int number, int64_t micros)
{
	char subscriber[16], amount[32], reference[64];
	const char *const values[] = { subscriber, amount, reference };
	int64_t balance;

	snprintf(subscriber, sizeof(subscriber), "%d", number);
	snprintf(amount, sizeof(amount), "%" PRId64, micros);
	snprintf(reference, sizeof(reference), "case top-up %u", ++store->topups);
	return numbers(store,
		       "SELECT gyro.topup(account_id, $2, $3) FROM gyro.subscriber"
		       " WHERE subscriber_id = $1",
		       3, values, 1, &balance);
}

bool gy_case_store_audit(struct gy_case_store *store)
{
	PGresult *result = run(
		store, "SELECT invariant, account_id, detail FROM gyro.audit('1 hour')", 0, NULL);
	bool good = result && PQntuples(result) == 0;

	if (result && !good)
		snprintf(store->error, sizeof(store->error), "audit: %s, account %s: %s (%d rows)",
			 PQgetvalue(result, 0, 0), PQgetvalue(result, 0, 1),
			 PQgetvalue(result, 0, 2), PQntuples(result));
	PQclear(result);
	return good;
}

bool gy_case_store_make_due(struct gy_case_store *store)
{
	PGresult *result =
		run(store,
		    "UPDATE gyro.session_index i SET check_at = now() FROM gyro.session s"
		    " WHERE s.session = i.session AND s.state = 1 AND s.deadline <= now()"
		    " AND i.check_at > now()",
		    0, NULL);

	PQclear(result);
	return result != NULL;
}

bool gy_case_store_overdue(struct gy_case_store *store, int64_t *count)
{
	return numbers(store,
		       "SELECT count(*) FROM gyro.session WHERE state = 1 AND deadline <= now()", 0,
		       NULL, 1, count);
}

bool gy_case_store_origin_state(struct gy_case_store *store, int64_t *greatest)
{
	return numbers(store, "SELECT coalesce(max(origin_state), 0) FROM gyro.gateway", 0, NULL, 1,
		       greatest);
}

/* ---- the connection ---- */

const char *gy_case_store_error(const struct gy_case_store *store)
{
	return store->error;
}

void gy_case_store_close(struct gy_case_store *store)
{
	if (!store)
		return;
	for (int i = 0; i < SUBSCRIBERS_MAX; i++)
		for (int k = 0; k < GY_IDENTITY_KINDS; k++)
			free(store->identity[i][k]);
	PQfinish(store->connection);
	free(store);
}

struct gy_case_store *gy_case_store_open(const char *conninfo)
{
	struct gy_case_store *store = calloc(1, sizeof(*store));

	if (!store)
		abort();
	store->connection = PQconnectdb(conninfo);
	if (PQstatus(store->connection) != CONNECTION_OK)
		snprintf(store->error, sizeof(store->error), "database: %s",
			 PQerrorMessage(store->connection));
	else if (looks_like_a_fixture(store) && script(store, remember) && read_identities(store))
		return store;
	fprintf(stderr, "gyro-sim: %s\n", store->error);
	gy_case_store_close(store);
	return NULL;
}
