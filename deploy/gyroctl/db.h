/* Questions to PostgreSQL: parameters never become part of the text, errors become one line.
 *
 * Every function that can fail has printed why and set ctl->status when it did. */
#ifndef GY_CTL_DB_H
#define GY_CTL_DB_H

#include "deploy/gyroctl/ctl.h"

/* A result in the pool; freed with it. */
struct gy_rows {
	PGresult *result;
	int n;        /* rows */
	int first;    /* rows before it are left out */
	int affected; /* rows changed, of INSERT, UPDATE, DELETE */
};

/* Connects; sets UTC, ISO dates, a lock timeout, so that nothing waits forever, no JIT, which takes
 * seconds for plans that run for milliseconds, and commits that last, whatever the server's
 * default: a top-up that was confirmed must not be lost. */
bool gy_db_connect(struct gy_ctl *ctl);

/* The version of the schema in the database, 0 if there is none; -1 on failure. */
int gy_db_schema_version(struct gy_ctl *ctl);

/* True if the schema is the one this program was built with. */
bool gy_db_schema_check(struct gy_ctl *ctl);

/* One statement with text parameters, NULL is NULL; NULL on failure. */
struct gy_rows *gy_db_run(struct gy_ctl *ctl, const char *sql, int n, const char *const *params);

/* gy_db_query(ctl, sql, "1", NULL, ...) */
#define gy_db_query(ctl, sql, ...)                                             \
	gy_db_run(ctl, sql,                                                    \
		  (int)(sizeof((const char *const[]){ NULL, ##__VA_ARGS__ }) / \
			sizeof(const char *)) -                                \
			  1,                                                   \
		  (const char *const[]){ NULL, ##__VA_ARGS__ } + 1)

/* Statements without parameters or result: BEGIN, COMMIT, whole files. */
bool gy_db_do(struct gy_ctl *ctl, const char *sql);

/* The server's words about a failed statement, as one line in the pool. */
const char *gy_db_reason(struct gy_ctl *ctl, const PGresult *result);

/* A value by the name of its column; NULL if it is NULL. The column must be there. */
const char *gy_rows_get(const struct gy_rows *rows, int row, const char *column);

#endif
