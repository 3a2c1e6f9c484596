/* gyroctl migrate: brings the schema of a database to the newest version, or to a given one.
 *
 * Each migration is one transaction; an advisory lock keeps two of these from mixing. It refuses a
 * database that is newer than this program, or that was migrated by other files than these. */
#include "deploy/gyroctl/migrate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <talloc.h>

#include "core/store/schema/schema.h"
#include "deploy/gyroctl/amount.h"
#include "deploy/gyroctl/db.h"
#include "deploy/gyroctl/table.h"

/* One for all databases: locks are per database. "gyro" in ASCII. */
#define MIGRATION_LOCK "1735990895"

static const struct gy_column columns[] = {
	{ .key = "version", .kind = GY_NUMBER },
	{ .key = "name" },
	{ .key = "state" },
	{ .key = "applied_at", .title = "applied (UTC)", .kind = GY_INSTANT },
	GY_COLUMNS_END,
};

/* The names in the database must be those of the files: else it was migrated by something else. */
static bool same_history(struct gy_ctl *ctl, const struct gy_rows *applied)
{
	for (int i = 0; i < applied->n; i++) {
		int version = atoi(gy_rows_get(applied, i, "version"));
		const char *name = gy_rows_get(applied, i, "name");

		if (version > gy_schema_newest) {
			gy_fail(ctl, GY_EXIT_FAILED,
				"the schema is of version %d, this gyroctl knows %d: use a newer "
				"one",
				version, gy_schema_newest);
			return false;
		}
		if (version != i + 1 || strcmp(name, gy_migrations[i].name) != 0) {
			gy_fail(ctl, GY_EXIT_FAILED,
				"migration %d of this database is %s, expected %s: it was not made "
				"by "
				"a Gyro of this line",
				version, name, gy_migrations[i].name);
			return false;
		}
	}
	return true;
}

static struct gy_rows *history(struct gy_ctl *ctl)
{
	int version = gy_db_schema_version(ctl);

	if (version < 0)
		return NULL;
	if (version == 0)
		return gy_db_query(
			ctl, "SELECT 0 AS version, '' AS name, now() AS applied_at WHERE false");
	return gy_db_query(
		ctl, "SELECT version, name, applied_at FROM gyro.schema_version ORDER BY version");
}

/* Line of the SQL file at which the server stopped, 0 if it didn't say. */
static int line_of(const char *sql, const PGresult *result)
{
	const char *position = PQresultErrorField(result, PG_DIAG_STATEMENT_POSITION);
	int line = 1, characters = position ? atoi(position) : 0;

	if (characters <= 0)
		return 0;
	/* The position counts characters, not octets: UTF-8 continuation octets are skipped. */
	for (const char *p = sql; *p && characters > 1; p++) {
		if (*p == '\n')
			line++;
		if (((unsigned char)p[1] & 0xc0) != 0x80)
			characters--;
	}
	return line;
}

static bool apply_one(struct gy_ctl *ctl, const struct gy_migration *migration)
{
	const char *version = talloc_asprintf(ctl->pool, "%d", migration->version);
	PGresult *result;
	bool ok;

	if (!gy_db_do(ctl, "BEGIN"))
		return false;
	result = PQexec(ctl->db, migration->sql);
	ok = PQresultStatus(result) == PGRES_COMMAND_OK ||
	     PQresultStatus(result) == PGRES_TUPLES_OK;
	if (!ok)
		gy_fail(ctl,
			PQstatus(ctl->db) == CONNECTION_OK ? GY_EXIT_FAILED : GY_EXIT_UNREACHABLE,
			"%03d_%s.sql:%d: %s", migration->version, migration->name,
			line_of(migration->sql, result), gy_db_reason(ctl, result));
	PQclear(result);
	ok = ok &&
	     gy_db_query(ctl, "INSERT INTO gyro.schema_version (version, name) VALUES ($1, $2)",
			 version, migration->name);
	return ok ? gy_db_do(ctl, "COMMIT") : (PQclear(PQexec(ctl->db, "ROLLBACK")), false);
}

/* What is applied and what will be, or just was. */
static void show(struct gy_ctl *ctl, const struct gy_rows *applied, int before, int to,
		 bool dry_run)
{
	int n = applied->n > to ? applied->n : to;
	const char **cells = talloc_zero_array(ctl->pool, const char *, (unsigned)n * 4);
	struct gy_grid grid = { columns, 4, n, cells };

	for (int i = 0; i < n; i++) {
		cells[i * 4] = talloc_asprintf(ctl->pool, "%d", i + 1);
		cells[i * 4 + 1] = gy_migrations[i].name;
		cells[i * 4 + 2] = i < before ? "there" : dry_run ? "to apply" : "applied";
		if (i < applied->n)
			cells[i * 4 + 3] = gy_rows_get(applied, i, "applied_at");
	}
	gy_out_grid(ctl, "migrations", &grid);
}

/* Waits for another gyroctl at most as long as the lock timeout. */
static bool lock(struct gy_ctl *ctl)
{
	return gy_db_do(ctl,
			"SET lock_timeout = '60s'; SELECT pg_advisory_lock(" MIGRATION_LOCK ");"
			"SET lock_timeout = '10s'");
}

static bool target(struct gy_ctl *ctl, const struct gy_args *args, int *to)
{
	const char *text = gy_args_flag(args, "to");
	int64_t number = gy_schema_newest;

	if (text && !gy_number_parse(text, 1, gy_schema_newest, &number)) {
		gy_fail(ctl, GY_EXIT_USAGE, "--to %s is none of the migrations 1 to %d", text,
			gy_schema_newest);
		return false;
	}
	*to = (int)number;
	return true;
}

/* Daily partitions exist once there is a function for them. */
static bool partitions(struct gy_ctl *ctl, int version)
{
	struct gy_rows *rows;

	if (version < gy_schema_newest)
		return true;
	rows = gy_db_query(ctl, "SELECT gyro.record_partition() AS made");
	if (!rows)
		return false;
	gy_out_say(ctl, "%s record partitions made", gy_rows_get(rows, 0, "made"));
	gy_out_member(ctl, "record_partitions_made",
		      json_integer(atoi(gy_rows_get(rows, 0, "made"))));
	return true;
}

enum gy_exit gy_migrate(struct gy_ctl *ctl, const struct gy_args *args)
{
	bool dry_run = gy_args_has(args, "dry-run");
	struct gy_rows *applied;
	int to, before;

	if (!target(ctl, args, &to))
		return ctl->status;
	if (!lock(ctl))
		return ctl->status;
	applied = history(ctl);
	if (!applied || !same_history(ctl, applied))
		return ctl->status;
	before = applied->n;
	for (int i = before; i < to && !dry_run; i++)
		if (!apply_one(ctl, &gy_migrations[i]))
			return ctl->status;
	if (!dry_run) {
		applied = history(ctl);
		if (!applied)
			return ctl->status;
	}
	show(ctl, applied, before, to, dry_run);
	gy_out_say(ctl, "schema version %d%s", dry_run ? before : applied->n,
		   dry_run && to > before ? ", nothing was changed" : "");
	gy_out_member(ctl, "schema_version", json_integer(dry_run ? before : applied->n));
	gy_out_member(ctl, "dry_run", json_boolean(dry_run));
	return dry_run || partitions(ctl, applied->n) ? GY_EXIT_OK : ctl->status;
}
