/* gyroctl audit, status: is all well? */
#include <stdlib.h>
#include <string.h>
#include <talloc.h>

#include "core/store/schema/schema.h"
#include "deploy/gyroctl/amount.h"
#include "deploy/gyroctl/ctl.h"
#include "deploy/gyroctl/db.h"
#include "deploy/gyroctl/table.h"

static const struct gy_column audit_columns[] = {
	{ .key = "invariant" },
	{ .key = "account_id", .title = "account", .kind = GY_NUMBER },
	{ .key = "detail" },
	GY_COLUMNS_END,
};

static enum gy_exit audit(struct gy_ctl *ctl, const struct gy_args *args)
{
	const char *text = gy_args_flag(args, "sweep-grace");
	struct gy_rows *rows;
	int64_t grace_s = 60;

	if (text && !gy_duration_parse(text, &grace_s))
		return gy_fail(ctl, GY_EXIT_USAGE,
			       "--sweep-grace %s is not a duration such as 90s or 2m", text);
	rows = gy_db_query(ctl,
			   "SELECT invariant, account_id, detail FROM gyro.audit($1::bigint * "
			   "interval '1 second')"
			   " ORDER BY invariant, account_id, detail",
			   talloc_asprintf(ctl->pool, "%lld", (long long)grace_s));
	if (!rows)
		return ctl->status;
	if (rows->n == 0 && ctl->format == GY_FORMAT_TABLE)
		gy_out_say(ctl, "audit: nothing found");
	else
		gy_out_table(ctl, NULL, audit_columns, rows);
	return rows->n == 0 ? GY_EXIT_OK : GY_EXIT_AUDIT;
}

static const struct gy_column server_columns[] = {
	{ .key = "server" },
	{ .key = "database" },
	{ .key = "database_size", .title = "size of the database" },
	{ .key = "database_size_octets", .kind = GY_NUMBER, .detail = true },
	{ .key = "standby", .kind = GY_BOOL },
	{ .key = "synchronous_commit" },
	{ .key = "fsync" },
	{ .key = "full_page_writes" },
	{ .key = "durable", .kind = GY_BOOL },
	GY_COLUMNS_END,
};

/* Read back from the server, as nodes do at start: what was set may not be what holds. Without
 * fsync and full_page_writes they don't charge (check_durability in core/store/connection.c);
 * synchronous_commit they set themselves, and so does gyroctl: the server's is of all others. */
static bool show_server(struct gy_ctl *ctl)
{
	struct gy_rows *rows = gy_db_query(
		ctl,
		"SELECT *, fsync = 'on' AND full_page_writes = 'on' AS charges,"
		" fsync = 'on' AND full_page_writes = 'on' AND synchronous_commit IN ('on', "
		"'remote_apply') AS durable FROM ("
		"SELECT split_part(version(), ' on ', 1) AS server, current_database() AS database,"
		" pg_size_pretty(pg_database_size(current_database())) AS database_size,"
		" pg_database_size(current_database()) AS database_size_octets, "
		"pg_is_in_recovery() AS standby,"
		" (SELECT reset_val FROM pg_settings WHERE name = 'synchronous_commit') AS "
		"synchronous_commit,"
		" current_setting('fsync') AS fsync, current_setting('full_page_writes') AS "
		"full_page_writes) s");

	if (!rows)
		return false;
	gy_out_fields(ctl, "server", server_columns, rows, 0);
	if (strcmp(gy_rows_get(rows, 0, "charges"), "t") != 0)
		gy_out_say(ctl, "NOT DURABLE: nodes refuse to charge on this server");
	else if (strcmp(gy_rows_get(rows, 0, "durable"), "t") != 0)
		gy_out_say(ctl, "NOT DURABLE by default: nodes and gyroctl set synchronous_commit "
				"themselves; what others commit may be lost");
	return true;
}

static const struct gy_column gyro_columns[] = {
	{ .key = "schema_version", .kind = GY_NUMBER },
	{ .key = "catalogue_version", .kind = GY_NUMBER },
	{ .key = "accounts", .kind = GY_NUMBER },
	{ .key = "subscribers", .kind = GY_NUMBER },
	{ .key = "gateways", .kind = GY_NUMBER },
	{ .key = "open_sessions", .kind = GY_NUMBER },
	{ .key = "overdue_sessions", .kind = GY_NUMBER },
	{ .key = "balance", .title = "sum of balances", .kind = GY_MONEY, .detail = true },
	{ .key = "reserved", .title = "sum of reserved", .kind = GY_MONEY, .detail = true },
	{ .key = "last_record", .kind = GY_INSTANT },
	{ .key = "unmatched_usage", .kind = GY_NUMBER },
	GY_COLUMNS_END,
};

/* Sums mix currencies, hence in JSON only. The last record is looked for in the newest partitions.
 */
static bool show_gyro(struct gy_ctl *ctl)
{
	struct gy_rows *rows = gy_db_query(
		ctl, "SELECT (SELECT max(version) FROM gyro.schema_version) AS schema_version,"
		     " (SELECT version FROM gyro.catalogue_version) AS catalogue_version,"
		     " (SELECT count(*) FROM gyro.account) AS accounts,"
		     " (SELECT count(*) FROM gyro.subscriber) AS subscribers,"
		     " (SELECT count(*) FROM gyro.gateway) AS gateways,"
		     " (SELECT count(*) FROM gyro.session WHERE state = 1) AS open_sessions,"
		     " (SELECT count(*) FROM gyro.session WHERE state = 1 AND deadline < now()) AS "
		     "overdue_sessions,"
		     " (SELECT sum(balance) FROM gyro.account) AS balance,"
		     " (SELECT sum(reserved) FROM gyro.account) AS reserved,"
		     " (SELECT max(at) FROM gyro.record WHERE at >= now() - interval '2 days') AS "
		     "last_record,"
		     " (SELECT count(*) FROM gyro.unmatched_usage) AS unmatched_usage");

	if (!rows)
		return false;
	gy_out_fields(ctl, "gyro", gyro_columns, rows, 0);
	return true;
}

static const struct gy_column partition_columns[] = {
	{ .key = "partition" },
	{ .key = "records", .title = "records (estimate)", .kind = GY_NUMBER },
	{ .key = "size" },
	{ .key = "octets", .kind = GY_NUMBER, .detail = true },
	GY_COLUMNS_END,
};

static bool show_partitions(struct gy_ctl *ctl)
{
	struct gy_rows *rows = gy_db_query(
		ctl, "SELECT c.relname AS partition, greatest(c.reltuples, 0)::bigint AS records,"
		     " pg_size_pretty(pg_total_relation_size(c.oid)) AS size, "
		     "pg_total_relation_size(c.oid) AS octets"
		     " FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
		     " WHERE i.inhparent = 'gyro.record'::regclass ORDER BY c.relname");

	if (!rows)
		return false;
	gy_out_table(ctl, "record_partitions", partition_columns, rows);
	return true;
}

static enum gy_exit status(struct gy_ctl *ctl, const struct gy_args *args)
{
	int version = gy_db_schema_version(ctl);

	(void)args;
	if (version < 0 || !show_server(ctl))
		return ctl->status;
	if (version != gy_schema_newest)
		return gy_db_schema_check(ctl) ? GY_EXIT_OK : ctl->status;
	return show_gyro(ctl) && show_partitions(ctl) ? GY_EXIT_OK : ctl->status;
}

static const struct gy_flag audit_flags[] = {
	{ "sweep-grace", "TIME",
	  "how long a session may be overdue before that is a finding (default 60s)" },
	GY_FLAGS_END,
};

const struct gy_command gy_check_commands[] = {
	{ "audit", "", 0, 0, "Checks the invariants of money, reservations and sessions",
	  "Reads all accounts and records; writes nothing. Exit status 4 if it found anything: "
	  "that is a bug\n"
	  "of Gyro, or somebody changed rows by hand.",
	  "  gyroctl audit\n  gyroctl audit --json", GY_NEEDS_SCHEMA, audit_flags, audit },
	{ "status", "", 0, 0, "Shows versions, counts, durability and size", NULL,
	  "  gyroctl status\n  gyroctl status --json", GY_NEEDS_DATABASE, NULL, status },
	GY_COMMANDS_END,
};
