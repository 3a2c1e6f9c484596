/* gyroctl session: what is going on, and ending it. A node ends a session, not this program:
 * release asks, and waits until one did. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <talloc.h>
#include <time.h>

#include "deploy/gyroctl/ctl.h"
#include "deploy/gyroctl/db.h"
#include "deploy/gyroctl/pick.h"
#include "deploy/gyroctl/show.h"
#include "deploy/gyroctl/table.h"
#include "deploy/gyroctl/words.h"

#define RELEASE_WAIT_MS 5000
#define RELEASE_POLL_MS 100

static const struct gy_column session_columns[] = {
	{ .key = "account_id", .title = "account", .kind = GY_NUMBER },
	{ .key = "subscriber_id", .title = "subscriber", .kind = GY_NUMBER },
	{ .key = "state", .kind = GY_WORD, .words = gy_words_session_state },
	{ .key = "opened", .kind = GY_INSTANT },
	{ .key = "deadline", .kind = GY_INSTANT },
	{ .key = "reserved", .kind = GY_MONEY },
	{ .key = "gateway" },
	{ .key = "session_id", .title = "Session-Id" },
	{ .key = "sub_session", .detail = true },
	{ .key = "session", .title = "key", .detail = true },
	GY_COLUMNS_END,
};

#define SESSION_SQL                                                                          \
	"SELECT s.account_id, s.subscriber_id, s.state, s.opened, s.deadline,"               \
	" (SELECT coalesce(sum(r.reserved), 0) FROM gyro.reservation r"                      \
	"   WHERE r.account_id = s.account_id AND r.session_no = s.session_no) AS reserved," \
	" g.origin_host AS gateway, s.session_id, s.sub_session, s.session, s.session_no"    \
	" FROM gyro.session s LEFT JOIN gyro.gateway g USING (gateway_id)"

bool gy_show_sessions(struct gy_ctl *ctl, const char *name, const struct gy_session_filter *filter)
{
	struct gy_rows *rows =
		gy_db_query(ctl,
			    SESSION_SQL " WHERE ($1::bigint IS NULL OR s.account_id = $1)"
					" AND ($2::bigint IS NULL OR s.subscriber_id = $2) AND "
					"(NOT $3::boolean OR s.state = 1)"
					" ORDER BY s.account_id, s.session_no LIMIT $4",
			    filter->account, filter->subscriber, filter->open ? "true" : "false",
			    filter->limit);

	if (!rows)
		return false;
	gy_pick_limited(ctl, rows, filter->limit);
	gy_out_table(ctl, name, session_columns, rows);
	return true;
}

static enum gy_exit list(struct gy_ctl *ctl, const struct gy_args *args)
{
	struct gy_session_filter filter = { .open = gy_args_has(args, "open") };

	/* A subscriber's sessions are on its account: names both, so that only one row is read. */
	if (!gy_args_has(args, "account") &&
	    !gy_pick_subscriber(ctl, args, -1, true, &filter.subscriber))
		return ctl->status;
	if (!gy_pick_account(ctl, args, true, &filter.account) ||
	    !gy_pick_limit(ctl, args, 100, &filter.limit) || !gy_show_sessions(ctl, NULL, &filter))
		return ctl->status;
	return GY_EXIT_OK;
}

static const struct gy_column shown_columns[] = {
	{ .key = "session_id", .title = "Session-Id" },
	{ .key = "sub_session", .title = "CC-Sub-Session-Id" },
	{ .key = "session", .title = "key" },
	{ .key = "state", .kind = GY_WORD, .words = gy_words_session_state },
	{ .key = "account_id", .title = "account", .kind = GY_NUMBER },
	{ .key = "subscriber_id", .title = "subscriber", .kind = GY_NUMBER },
	{ .key = "gateway" },
	{ .key = "opened", .kind = GY_INSTANT },
	{ .key = "deadline", .kind = GY_INSTANT },
	{ .key = "highest_number", .title = "highest CCR-U", .kind = GY_NUMBER },
	{ .key = "reserved", .kind = GY_MONEY },
	{ .key = "release_requested", .kind = GY_BOOL },
	GY_COLUMNS_END,
};

static const struct gy_column reservation_columns[] = {
	{ .key = "rating_group", .kind = GY_NUMBER },
	{ .key = "unit", .kind = GY_WORD, .words = gy_words_unit },
	{ .key = "granted", .kind = GY_UNITS, .unit = "unit" },
	{ .key = "reserved", .kind = GY_MONEY },
	{ .key = "price_micros", .title = "price", .kind = GY_MONEY },
	{ .key = "block", .title = "per", .kind = GY_UNITS, .unit = "unit" },
	{ .key = "validity_s", .title = "validity", .kind = GY_DURATION },
	{ .key = "rule_id", .title = "rule", .kind = GY_NUMBER },
	{ .key = "carry", .kind = GY_NUMBER, .detail = true },
	{ .key = "service_key", .kind = GY_NUMBER, .detail = true },
	GY_COLUMNS_END,
};

static const struct gy_column answer_columns[] = {
	{ .key = "request_type", .title = "request", .kind = GY_WORD, .words = gy_words_request },
	{ .key = "request_number", .title = "number", .kind = GY_NUMBER },
	{ .key = "result", .kind = GY_NUMBER },
	{ .key = "rating_group", .kind = GY_NUMBER },
	{ .key = "service_result", .kind = GY_NUMBER },
	{ .key = "unit", .kind = GY_WORD, .words = gy_words_unit },
	{ .key = "granted", .kind = GY_UNITS, .unit = "unit" },
	GY_COLUMNS_END,
};

/* A session by its key: from the account's row, or what the index still knows of an older one. */
static struct gy_rows *session_row(struct gy_ctl *ctl, const char *key)
{
	return gy_db_query(
		ctl,
		"SELECT i.session_id, i.sub_session, i.session, s.state, i.account_id, "
		"i.subscriber_id,"
		" g.origin_host AS gateway, i.opened, s.deadline, s.highest_number, s.session_no,"
		" (SELECT sum(r.reserved) FROM gyro.reservation r WHERE r.account_id = s.account_id"
		"   AND r.session_no = s.session_no) AS reserved, i.release_requested"
		" FROM gyro.session_index i LEFT JOIN gyro.gateway g USING (gateway_id)"
		" LEFT JOIN LATERAL (SELECT * FROM gyro.session x WHERE x.account_id = i.account_id"
		"   AND x.session = i.session ORDER BY x.state, x.opened DESC LIMIT 1) s ON true"
		" WHERE i.session = $1",
		key);
}

static bool show_held(struct gy_ctl *ctl, const char *account, const char *session_no)
{
	struct gy_rows *rows = gy_db_query(
		ctl,
		"SELECT rating_group, unit, granted, reserved, price_micros, block, validity_s, "
		"rule_id, carry,"
		" service_key FROM gyro.reservation WHERE account_id = $1 AND session_no = $2"
		" ORDER BY rating_group, service_key",
		account, session_no);

	if (!rows)
		return false;
	gy_out_table(ctl, "reservations", reservation_columns, rows);
	rows = gy_db_query(
		ctl,
		"SELECT request_type, request_number, result, nullif(rating_group, -1) AS "
		"rating_group,"
		" nullif(service_result, 0) AS service_result, unit, granted FROM gyro.kept_answer"
		" WHERE account_id = $1 AND session_no = $2 ORDER BY request_number, request_type",
		account, session_no);
	if (!rows)
		return false;
	gy_out_table(ctl, "answers_kept_for_duplicates", answer_columns, rows);
	return true;
}

static enum gy_exit show(struct gy_ctl *ctl, const struct gy_args *args)
{
	struct gy_rows *rows;
	const char *key;

	if (!gy_pick_session(ctl, args->words[0], &key))
		return ctl->status;
	rows = session_row(ctl, key);
	if (!rows)
		return ctl->status;
	if (rows->n == 0)
		return gy_fail(ctl, GY_EXIT_FAILED, "session %s is gone", args->words[0]);
	gy_out_fields(ctl, NULL, shown_columns, rows, 0);
	if (!gy_rows_get(rows, 0, "state"))
		gy_out_say(ctl, "It ended so long ago that the account has forgotten it: its "
				"records remain.");
	else if (!show_held(ctl, gy_rows_get(rows, 0, "account_id"),
			    gy_rows_get(rows, 0, "session_no")))
		return ctl->status;
	if (!gy_show_records(
		    ctl, "records",
		    &(struct gy_record_filter){ .account = gy_rows_get(rows, 0, "account_id"),
						.session = key,
						.since = gy_rows_get(rows, 0, "opened"),
						.limit = "20" }))
		return ctl->status;
	return GY_EXIT_OK;
}

/* The state of a session, 0 if its account has forgotten it, -1 on failure. */
static int state_of(struct gy_ctl *ctl, const char *key)
{
	struct gy_rows *rows = session_row(ctl, key);
	const char *state;

	if (!rows)
		return -1;
	state = rows->n > 0 ? gy_rows_get(rows, 0, "state") : NULL;
	return state ? atoi(state) : 0;
}

static void pause_ms(long ms)
{
	struct timespec time = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&time, NULL);
}

static enum gy_exit released(struct gy_ctl *ctl, const char *session_id, int state, const char *how)
{
	const char *name = gy_word_name(gy_words_session_state, state, "ended");

	gy_out_say(ctl, "session %s: %s", session_id, how);
	gy_out_member(ctl, "session_id", json_string(session_id));
	gy_out_member(ctl, "state", json_string(name));
	return GY_EXIT_OK;
}

static enum gy_exit release(struct gy_ctl *ctl, const struct gy_args *args)
{
	const char *session_id = args->words[0], *key;
	int state;

	if (!gy_pick_session(ctl, session_id, &key) || (state = state_of(ctl, key)) < 0)
		return ctl->status;
	if (state != 1)
		return released(ctl, session_id, state, "had already ended");
	if (!gy_db_query(ctl, "SELECT gyro.session_release($1)", key))
		return ctl->status;
	if (gy_args_has(args, "no-wait"))
		return released(ctl, session_id, state, "a node was asked to end it");
	for (long waited_ms = 0; waited_ms <= RELEASE_WAIT_MS; waited_ms += RELEASE_POLL_MS) {
		state = state_of(ctl, key);
		if (state < 0)
			return ctl->status;
		if (state != 1)
			return released(ctl, session_id, state,
					talloc_asprintf(ctl->pool,
							"ended by a node after %ld.%ld s",
							waited_ms / 1000, waited_ms % 1000 / 100));
		pause_ms(RELEASE_POLL_MS);
	}
	return gy_fail(ctl, GY_EXIT_FAILED,
		       "no node ended %s within %d s; the request stands: is a node running on "
		       "this database?",
		       session_id, RELEASE_WAIT_MS / 1000);
}

static const struct gy_flag list_flags[] = {
	{ "account", "ACCOUNT", "sessions on this account" },
	{ "subscriber", "SUBSCRIBER", "sessions of this subscriber" },
	GY_IDENTITY_FLAGS,
	{ "open", NULL, "open ones only; an account also keeps the last ended ones" },
	GY_LIMIT_FLAG,
	GY_FLAGS_END,
};
static const struct gy_flag release_flags[] = {
	{ "no-wait", NULL, "don't wait until a node did it" },
	GY_FLAGS_END,
};

const struct gy_command gy_session_commands[] = {
	{ "session list", "", 0, 0, "Lists sessions and what they hold", NULL,
	  "  gyroctl session list --open\n  gyroctl session list --imsi 460001000000001",
	  GY_NEEDS_SCHEMA, list_flags, list },
	{ "session show", "SESSION-ID", 1, 1,
	  "Shows a session: what it holds, its last answers, its records",
	  "SESSION-ID is the Session-Id, or the key that --json shows.",
	  "  gyroctl session show 'pgw1.example.org;1876543210;102'", GY_NEEDS_SCHEMA, NULL, show },
	{ "session release", "SESSION-ID", 1, 1, "Ends a session: what it holds is given back",
	  "A node does it, usually within a second; this waits for up to 5 s. If no node did (exit "
	  "status 1),\n"
	  "the request stands: the next node that runs ends the session.",
	  "  gyroctl session release 'pgw1.example.org;1876543210;102'", GY_NEEDS_SCHEMA,
	  release_flags, release },
	GY_COMMANDS_END,
};
