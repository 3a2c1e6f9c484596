/* See db.h. */
#include "deploy/gyroctl/db.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <talloc.h>

#include "core/base/assert.h"
#include "core/store/schema/schema.h"

/* What an operator can do about some SQLSTATEs whose own words don't say it. */
static const struct {
	const char *sqlstate, *advice;
} advices[] = {
	{ "25006", "this server is read-only: connect to the primary" },
	{ "42501", "this database user may not do that: use the owner of the schema gyro" },
	{ "55P03", "another transaction holds the row: try again" },
	{ "40P01", "two transactions waited for each other: try again" },
	{ "53300", "the server has no connection left: try again, or raise max_connections" },
};

/* Line ends, tabs and runs of blanks become one blank. */
static char *one_line(void *pool, const char *text)
{
	char *line = talloc_strdup(pool, text ? text : ""), *to = line;

	for (const char *p = line; *p; p++) {
		bool blank = *p == ' ' || *p == '\n' || *p == '\t';

		if (!blank)
			*to++ = *p;
		else if (to > line && to[-1] != ' ')
			*to++ = ' ';
	}
	if (to > line && to[-1] == ' ')
		to--;
	*to = '\0';
	return line;
}

/* Warnings matter, e.g. a commit that no standby confirmed. That the server stops (57P) is left to
 * the error that follows. */
static void notice(void *data, const PGresult *result)
{
	struct gy_ctl *ctl = data;
	const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);

	if (sqlstate && strncmp(sqlstate, "57P", 3) == 0)
		return;
	fprintf(stderr, "gyroctl: %s: warning: %s\n", ctl->doing, gy_db_reason(ctl, result));
}

bool gy_db_connect(struct gy_ctl *ctl)
{
	/* A later keyword wins: the operator's conninfo over our timeout. */
	const char *keywords[] = { "connect_timeout", "fallback_application_name", "dbname", NULL };
	const char *values[] = { "10", "gyroctl", ctl->conninfo, NULL };

	ctl->db = PQconnectdbParams(keywords, values, 1);
	if (PQstatus(ctl->db) != CONNECTION_OK) {
		gy_fail(ctl, GY_EXIT_UNREACHABLE,
			"%s; name the database with --database or GYRO_DATABASE",
			one_line(ctl->pool, PQerrorMessage(ctl->db)));
		return false;
	}
	PQsetNoticeReceiver(ctl->db, notice, ctl);
	return gy_db_do(
		ctl, "SET TimeZone = 'UTC'; SET DateStyle = 'ISO'; SET IntervalStyle = 'postgres';"
		     "SET client_encoding = 'UTF8'; SET client_min_messages = 'warning';"
		     "SET lock_timeout = '10s'; SET jit = off;"
		     "SELECT set_config(name, 'on', false) FROM pg_settings WHERE name = "
		     "'synchronous_commit' AND setting NOT IN ('on', 'remote_apply')");
}

const char *gy_db_reason(struct gy_ctl *ctl, const PGresult *result)
{
	const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *primary = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	const char *detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
	const char *hint = PQresultErrorField(result, PG_DIAG_MESSAGE_HINT);

	if (!primary)
		return one_line(ctl->pool, PQerrorMessage(ctl->db));
	for (size_t i = 0; sqlstate && i < sizeof(advices) / sizeof(advices[0]); i++)
		if (strcmp(sqlstate, advices[i].sqlstate) == 0)
			hint = advices[i].advice;
	return one_line(ctl->pool,
			talloc_asprintf(ctl->pool, "%s%s%s%s%s%s", primary, detail ? " (" : "",
					detail ? detail : "", detail ? ")" : "", hint ? "; " : "",
					hint ? hint : ""));
}

/* Whether a statement did what it should; says why not. */
static bool succeeded(struct gy_ctl *ctl, const PGresult *result)
{
	ExecStatusType status = PQresultStatus(result);

	if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_EMPTY_QUERY)
		return true;
	if (PQstatus(ctl->db) != CONNECTION_OK)
		gy_fail(ctl, GY_EXIT_UNREACHABLE, "the connection was lost: %s",
			one_line(ctl->pool, PQerrorMessage(ctl->db)));
	else
		gy_fail(ctl, GY_EXIT_FAILED, "%s", gy_db_reason(ctl, result));
	return false;
}

bool gy_db_do(struct gy_ctl *ctl, const char *sql)
{
	PGresult *result = PQexec(ctl->db, sql);
	bool ok = succeeded(ctl, result);

	PQclear(result);
	return ok;
}

static int rows_free(struct gy_rows *rows)
{
	PQclear(rows->result);
	return 0;
}

struct gy_rows *gy_db_run(struct gy_ctl *ctl, const char *sql, int n, const char *const *params)
{
	struct gy_rows *rows = talloc_zero(ctl->pool, struct gy_rows);

	gy_assert(rows);
	talloc_set_destructor(rows, rows_free);
	rows->result = PQexecParams(ctl->db, sql, n, NULL, params, NULL, NULL, 0);
	if (!succeeded(ctl, rows->result)) {
		talloc_free(rows);
		return NULL;
	}
	rows->n = PQntuples(rows->result);
	rows->affected = atoi(PQcmdTuples(rows->result));
	return rows;
}

const char *gy_rows_get(const struct gy_rows *rows, int row, const char *column)
{
	int i = PQfnumber(rows->result, column);

	gy_assert(i >= 0 && row >= 0 && row < rows->n);
	row += rows->first;
	return PQgetisnull(rows->result, row, i) ? NULL : PQgetvalue(rows->result, row, i);
}

int gy_db_schema_version(struct gy_ctl *ctl)
{
	struct gy_rows *rows =
		gy_db_query(ctl, "SELECT to_regclass('gyro.schema_version') AS found");

	if (!rows)
		return -1;
	if (!gy_rows_get(rows, 0, "found"))
		return 0;
	rows = gy_db_query(ctl,
			   "SELECT coalesce(max(version), 0) AS version FROM gyro.schema_version");
	return rows ? atoi(gy_rows_get(rows, 0, "version")) : -1;
}

bool gy_db_schema_check(struct gy_ctl *ctl)
{
	int version = gy_db_schema_version(ctl);

	if (version == gy_schema_newest)
		return true;
	if (version == 0)
		gy_fail(ctl, GY_EXIT_FAILED,
			"the database has no Gyro schema: run gyroctl migrate");
	else if (version > gy_schema_newest)
		gy_fail(ctl, GY_EXIT_FAILED,
			"the schema is of version %d, this gyroctl knows %d: use a newer one",
			version, gy_schema_newest);
	else if (version > 0)
		gy_fail(ctl, GY_EXIT_FAILED,
			"the schema is of version %d, this gyroctl needs %d: run gyroctl migrate",
			version, gy_schema_newest);
	return false;
}
