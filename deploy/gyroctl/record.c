/* gyroctl records, unmatched: what was charged, and what could not be. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <talloc.h>

#include "deploy/gyroctl/amount.h"
#include "deploy/gyroctl/ctl.h"
#include "deploy/gyroctl/db.h"
#include "deploy/gyroctl/pick.h"
#include "deploy/gyroctl/show.h"
#include "deploy/gyroctl/table.h"
#include "deploy/gyroctl/words.h"

static const struct gy_column columns[] = {
	{ .key = "at", .title = "time (UTC)", .kind = GY_INSTANT },
	{ .key = "account_id", .title = "account", .kind = GY_NUMBER },
	{ .key = "subscriber_id", .title = "subscriber", .kind = GY_NUMBER },
	{ .key = "request_type", .title = "request", .kind = GY_WORD, .words = gy_words_request },
	{ .key = "request_number", .title = "no.", .kind = GY_NUMBER },
	{ .key = "result", .kind = GY_NUMBER },
	{ .key = "rating_group", .title = "RG", .kind = GY_NUMBER },
	{ .key = "service_result", .title = "RG result", .kind = GY_NUMBER },
	{ .key = "unit", .kind = GY_WORD, .words = gy_words_unit },
	{ .key = "used", .kind = GY_UNITS, .unit = "unit" },
	{ .key = "debit", .kind = GY_MONEY },
	{ .key = "granted", .kind = GY_UNITS, .unit = "unit" },
	{ .key = "reserved", .kind = GY_MONEY },
	{ .key = "balance", .kind = GY_MONEY },
	{ .key = "flags", .title = "notes" },
	{ .key = "session_id", .title = "Session-Id" },
	{ .key = "session", .detail = true },
	{ .key = "gateway", .detail = true },
	{ .key = "opened", .kind = GY_INSTANT, .detail = true },
	{ .key = "price", .kind = GY_MONEY, .detail = true },
	{ .key = "per", .kind = GY_NUMBER, .detail = true },
	{ .key = "debit_price", .kind = GY_MONEY, .detail = true },
	{ .key = "debit_per", .kind = GY_NUMBER, .detail = true },
	{ .key = "rule_id", .kind = GY_NUMBER, .detail = true },
	{ .key = "source", .detail = true },
	{ .key = "card", .detail = true },
	{ .key = "operation", .detail = true },
	{ .key = "end_to_end", .kind = GY_NUMBER, .detail = true },
	{ .key = "termination_cause", .kind = GY_NUMBER, .detail = true },
	{ .key = "correlation_id", .detail = true },
	{ .key = "multi_session_id", .detail = true },
	GY_COLUMNS_END,
};

/* The newest requests that fit, then put into the order of time. LIMIT counts lines: a request with
 * two Rating-Groups is two. */
static const char sql[] =
	"WITH newest AS (SELECT * FROM gyro.record_line"
	" WHERE ($1::bigint IS NULL OR account_id = $1) AND ($2::bigint IS NULL OR subscriber_id = "
	"$2)"
	" AND ($3::uuid IS NULL OR session = $3) AND ($4::timestamptz IS NULL OR at >= $4)"
	" AND ($5::timestamptz IS NULL OR at < $5) ORDER BY at DESC, position DESC LIMIT $6)"
	" SELECT n.at, n.account_id, n.subscriber_id, n.request_type, n.request_number, n.result,"
	" n.rating_group, nullif(n.service_result, 0) AS service_result, n.unit, n.used, n.debit, "
	"n.granted,"
	" n.reserved, n.balance,"
	" concat_ws(', ', CASE WHEN n.operation IS NOT NULL THEN n.operation || ' of ' || k.code"
	"  WHEN n.source = 'card' THEN k.code WHEN n.source = 'free' THEN 'free units' END,"
	"  CASE WHEN n.flags & 1 <> 0 THEN 'over-use' END,"
	"  CASE WHEN n.flags & 2 <> 0 THEN 'no tariff' END, CASE WHEN n.flags & 4 <> 0 THEN 'late' "
	"END, 'cause ' || n.termination_cause) AS flags,"
	" i.session_id, n.session, g.origin_host AS gateway, n.opened, n.price_micros AS price, "
	"n.block AS per,"
	" n.debit_price_micros AS debit_price, n.debit_block AS debit_per, n.rule_id, n.end_to_end,"
	" n.termination_cause, n.correlation_id, n.multi_session_id,"
	" n.source, k.code AS card, n.operation"
	" FROM newest n LEFT JOIN gyro.session_index i USING (session)"
	" LEFT JOIN gyro.gateway g ON g.gateway_id = n.gateway_id"
	" LEFT JOIN gyro.card k ON k.card_id = n.source_id AND (n.source = 'card' OR n.operation "
	"IS NOT NULL)"
	" ORDER BY n.at, n.session, n.request_type, n.request_number, n.position";

static struct gy_rows *records(struct gy_ctl *ctl, const struct gy_record_filter *filter)
{
	return gy_db_query(ctl, sql, filter->account, filter->subscriber, filter->session,
			   filter->since, filter->until, filter->limit);
}

bool gy_show_records(struct gy_ctl *ctl, const char *name, const struct gy_record_filter *filter)
{
	struct gy_rows *rows = records(ctl, filter);

	if (rows)
		gy_out_table(ctl, name, columns, rows);
	return rows != NULL;
}

/* "2h" before now, or an instant; as text for PostgreSQL. */
static bool instant(struct gy_ctl *ctl, const struct gy_args *args, const char *flag,
		    const char **out)
{
	const char *text = gy_args_flag(args, flag);
	char iso[GY_AMOUNT_TEXT];
	struct gy_rows *rows;
	int64_t n;

	*out = NULL;
	if (!text)
		return true;
	if (gy_instant_parse(text, &n)) {
		gy_instant_format(n, iso);
		*out = talloc_strdup(ctl->pool, iso);
		return true;
	}
	if (!gy_duration_parse(text, &n)) {
		gy_fail(ctl, GY_EXIT_USAGE,
			"--%s %s is neither a time ago such as 90s, 10m, 2h, 1d nor an instant "
			"such as "
			"2026-01-31T08:00:00Z",
			flag, text);
		return false;
	}
	rows = gy_db_query(ctl, "SELECT now() - $1::bigint * interval '1 second' AS instant",
			   talloc_asprintf(ctl->pool, "%lld", (long long)n));
	if (rows)
		*out = gy_rows_get(rows, 0, "instant");
	return rows != NULL;
}

static enum gy_exit list(struct gy_ctl *ctl, const struct gy_args *args)
{
	const char *session = gy_args_flag(args, "session");
	struct gy_record_filter filter = { 0 };
	struct gy_rows *rows;

	if (!gy_args_has(args, "account") &&
	    !gy_pick_subscriber(ctl, args, -1, true, &filter.subscriber))
		return ctl->status;
	/* A subscriber that changed its account has records on both: the account is not derived. */
	if (!filter.subscriber && !gy_pick_account(ctl, args, true, &filter.account))
		return ctl->status;
	if (session && !gy_pick_session(ctl, session, &filter.session))
		return ctl->status;
	if (!instant(ctl, args, "since", &filter.since) ||
	    !instant(ctl, args, "until", &filter.until) ||
	    !gy_pick_limit(ctl, args, 100, &filter.limit))
		return ctl->status;
	if (gy_args_has(args, "csv"))
		ctl->format = GY_FORMAT_CSV;
	rows = records(ctl, &filter);
	if (!rows)
		return ctl->status;
	if (filter.limit && rows->n >= atoi(filter.limit)) {
		/* The oldest one is the one too many. */
		rows->first = 1;
		rows->n--;
		fprintf(stderr,
			"gyroctl: records: there are older ones, the newest %d are shown: --limit "
			"0 shows all\n",
			rows->n);
	}
	gy_out_table(ctl, NULL, columns, rows);
	return GY_EXIT_OK;
}

/* --- closing ---- */

static const struct gy_column closed_columns[] = {
	{ .key = "partition" },
	{ .key = "since", .kind = GY_INSTANT },
	{ .key = "until", .kind = GY_INSTANT },
	{ .key = "records", .kind = GY_NUMBER },
	GY_COLUMNS_END,
};

/* What is wrong now must be found now: afterwards only sums are left of it. */
static bool is_sound(struct gy_ctl *ctl)
{
	struct gy_rows *rows = gy_db_query(ctl, "SELECT count(*) AS found FROM gyro.audit()");

	if (!rows)
		return false;
	if (strcmp(gy_rows_get(rows, 0, "found"), "0") == 0)
		return true;
	gy_fail(ctl, GY_EXIT_AUDIT,
		"the audit finds %s things wrong, nothing is closed: see gyroctl audit",
		gy_rows_get(rows, 0, "found"));
	return false;
}

/* One transaction each, the oldest first; the first that is refused ends it. */
static enum gy_exit close_before(struct gy_ctl *ctl, const struct gy_args *args)
{
	struct gy_rows *days, *closed;
	const char *before, *began;

	if (!gy_args_has(args, "before"))
		return gy_fail(ctl, GY_EXIT_USAGE, "--before says which days are closed");
	if (!instant(ctl, args, "before", &before) || !is_sound(ctl))
		return ctl->status;
	days = gy_db_query(ctl,
			   "SELECT partition, clock_timestamp() AS began FROM gyro.record_day"
			   " WHERE until <= $1 ORDER BY since",
			   before);
	if (!days)
		return ctl->status;
	for (int i = 0; i < days->n; i++)
		if (!gy_db_query(ctl, "SELECT gyro.record_close($1)",
				 gy_rows_get(days, i, "partition")))
			break;
	began = days->n > 0 ? gy_rows_get(days, 0, "began") : NULL;
	closed = gy_db_query(ctl,
			     "SELECT partition, since, until, records FROM gyro.record_closed"
			     " WHERE closed_at >= $1 ORDER BY since",
			     began);
	if (!closed)
		return ctl->status;
	gy_out_table(ctl, NULL, closed_columns, closed);
	return ctl->status;
}

static const struct gy_column unmatched_columns[] = {
	{ .key = "at", .title = "time (UTC)", .kind = GY_INSTANT },
	{ .key = "origin_host", .title = "gateway" },
	{ .key = "request_type", .title = "request", .kind = GY_WORD, .words = gy_words_request },
	{ .key = "request_number", .title = "no.", .kind = GY_NUMBER },
	{ .key = "rating_group", .title = "RG", .kind = GY_NUMBER },
	{ .key = "unit", .kind = GY_WORD, .words = gy_words_unit },
	{ .key = "used", .kind = GY_UNITS, .unit = "unit" },
	{ .key = "session_id", .title = "Session-Id" },
	GY_COLUMNS_END,
};

static enum gy_exit unmatched(struct gy_ctl *ctl, const struct gy_args *args)
{
	struct gy_rows *rows;
	const char *limit;

	if (!gy_pick_limit(ctl, args, 100, &limit))
		return ctl->status;
	rows = gy_db_query(
		ctl,
		"SELECT u.at, u.origin_host, u.request_type, u.request_number,"
		" nullif(u.usage[n][1], -1) AS rating_group, u.usage[n][2] AS unit, u.usage[n][3] "
		"AS used,"
		" u.session_id FROM gyro.unmatched_usage u"
		" LEFT JOIN LATERAL generate_series(1, gyro.matrix_rows(u.usage)) n ON true"
		" ORDER BY u.at DESC, u.session, u.request_type, u.request_number, n LIMIT $1",
		limit);
	if (!rows)
		return ctl->status;
	gy_pick_limited(ctl, rows, limit);
	gy_out_table(ctl, NULL, unmatched_columns, rows);
	return GY_EXIT_OK;
}

/* Peers can report what they like of sessions that nobody knows: somebody has to tidy up. */
static enum gy_exit unmatched_drop(struct gy_ctl *ctl, const struct gy_args *args)
{
	static const struct gy_column dropped[] = {
		{ .key = "dropped", .kind = GY_NUMBER },
		GY_COLUMNS_END,
	};
	const char *before;
	struct gy_rows *rows;

	if (!gy_args_has(args, "before"))
		return gy_fail(ctl, GY_EXIT_USAGE, "--before says which are dropped");
	if (!instant(ctl, args, "before", &before))
		return ctl->status;
	rows = gy_db_query(ctl,
			   "WITH d AS (DELETE FROM gyro.unmatched_usage WHERE at < $1 RETURNING 1)"
			   " SELECT count(*) AS dropped FROM d",
			   before);
	if (!rows)
		return ctl->status;
	gy_out_table(ctl, NULL, dropped, rows);
	return ctl->status;
}

static const struct gy_flag record_flags[] = {
	{ "account", "ACCOUNT", "records of this account" },
	{ "subscriber", "SUBSCRIBER", "records of this subscriber" },
	GY_IDENTITY_FLAGS,
	{ "session", "SESSION-ID", "records of this session" },
	{ "since", "TIME", "from so long ago (90s, 10m, 2h, 1d) or from an instant on" },
	{ "until", "TIME", "before so long ago, or before an instant" },
	{ "csv", NULL, "as CSV with a heading, all columns, for export" },
	GY_LIMIT_FLAG,
	GY_FLAGS_END,
};
static const struct gy_flag close_flags[] = {
	{ "before", "TIME", "days that were over so long ago (30d), or before an instant" },
	GY_FLAGS_END,
};
static const struct gy_flag unmatched_flags[] = { GY_LIMIT_FLAG, GY_FLAGS_END };
static const struct gy_flag drop_flags[] = {
	{ "before", "TIME", "what was reported so long ago (30d), or before an instant" },
	GY_FLAGS_END,
};

const struct gy_command gy_record_commands[] = {
	{ "records", "", 0, 0, "Shows charging records: the newest ones, oldest first",
	  "One line per request and Rating-Group. Records are kept by day: --since makes it fast.\n"
	  "An instant is 2026-01-31, 2026-01-31T08:00:00Z or with a zone as +08:00; without zone "
	  "it is UTC.",
	  "  gyroctl records --imsi 460001000000001 --since 1h\n"
	  "  gyroctl records --since 2026-01-31 --until 2026-02-01 --limit 0 --csv > records.csv",
	  GY_NEEDS_SCHEMA, record_flags, list },
	{ "records close", "", 0, 0,
	  "Takes the records of past days out of the ledger, to be dropped",
	  "Each day becomes a table of its own, gyro.record_YYYYMMDD, which nothing needs any "
	  "more: export "
	  "it (pg_dump --table),\nthen drop it. What the audit needs of it is carried forward.\n"
	  "Refused, from that day on: days of which a record may still be asked for, by sessions "
	  "that "
	  "are open\nor ended within the late window; all days while the audit finds anything.",
	  "  gyroctl records close --before 30d\n  gyroctl records close --before 2026-02-01",
	  GY_NEEDS_SCHEMA, close_flags, close_before },
	{ "unmatched list", "", 0, 0,
	  "Lists usage reported for sessions never seen: it was not charged", NULL,
	  "  gyroctl unmatched list", GY_NEEDS_SCHEMA, unmatched_flags, unmatched },
	{ "unmatched drop", "", 0, 0, "Drops old usage of sessions never seen", NULL,
	  "  gyroctl unmatched drop --before 30d", GY_NEEDS_SCHEMA, drop_flags, unmatched_drop },
	GY_COMMANDS_END,
};
