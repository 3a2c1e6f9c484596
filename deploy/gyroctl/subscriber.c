/* gyroctl subscriber, identity: who uses the network, and by which names requests call them. */
#include <stdio.h>
#include <string.h>
#include <talloc.h>

#include "deploy/gyroctl/ctl.h"
#include "deploy/gyroctl/db.h"
#include "deploy/gyroctl/pick.h"
#include "deploy/gyroctl/show.h"
#include "deploy/gyroctl/table.h"
#include "deploy/gyroctl/words.h"

static const struct gy_column list_columns[] = {
	{ .key = "subscriber_id", .title = "subscriber", .kind = GY_NUMBER },
	{ .key = "account_id", .title = "account", .kind = GY_NUMBER },
	{ .key = "tariff" },
	{ .key = "state", .kind = GY_WORD, .words = gy_words_state },
	{ .key = "imsi", .title = "IMSI" },
	{ .key = "e164", .title = "E.164" },
	{ .key = "balance", .kind = GY_MONEY },
	{ .key = "available", .kind = GY_MONEY },
	{ .key = "open_sessions", .title = "sessions", .kind = GY_NUMBER },
	GY_COLUMNS_END,
};

static enum gy_exit list(struct gy_ctl *ctl, const struct gy_args *args)
{
	const char *account = gy_args_flag(args, "account"), *state = gy_args_flag(args, "state"),
		   *limit;
	struct gy_rows *rows;

	if (account && !(account = gy_pick_number(ctl, "account", account)))
		return ctl->status;
	if (state) {
		int number = gy_word_number(gy_words_state, state);

		if (number < 0)
			return gy_fail(ctl, GY_EXIT_USAGE,
				       "--state %s is neither active nor barred", state);
		state = talloc_asprintf(ctl->pool, "%d", number);
	}
	if (!gy_pick_limit(ctl, args, 100, &limit))
		return ctl->status;
	rows = gy_db_query(
		ctl,
		"SELECT s.subscriber_id, s.account_id, t.code AS tariff, s.state,"
		" (SELECT string_agg(value, ' ' ORDER BY value) FROM gyro.subscriber_identity i"
		"   WHERE i.subscriber_id = s.subscriber_id AND i.kind = 1) AS imsi,"
		" (SELECT string_agg(value, ' ' ORDER BY value) FROM gyro.subscriber_identity i"
		"   WHERE i.subscriber_id = s.subscriber_id AND i.kind = 2) AS e164,"
		" a.balance, a.balance + a.credit_limit - a.reserved AS available,"
		" (SELECT count(*) FROM gyro.session x WHERE x.account_id = s.account_id"
		"   AND x.subscriber_id = s.subscriber_id AND x.state = 1) AS open_sessions"
		" FROM gyro.subscriber s JOIN gyro.account a USING (account_id, group_id)"
		" JOIN gyro.specific_tariff t USING (tariff_id)"
		" WHERE ($1::bigint IS NULL OR s.account_id = $1) AND ($2::smallint IS NULL OR "
		"s.state = $2)"
		" ORDER BY s.subscriber_id LIMIT $3",
		account, state, limit);
	if (!rows)
		return ctl->status;
	gy_pick_limited(ctl, rows, limit);
	gy_out_table(ctl, NULL, list_columns, rows);
	return GY_EXIT_OK;
}

static const struct gy_column subscriber_columns[] = {
	{ .key = "subscriber_id", .title = "subscriber", .kind = GY_NUMBER },
	{ .key = "state", .kind = GY_WORD, .words = gy_words_state },
	{ .key = "tariff" },
	{ .key = "zone", .title = "time zone" },
	{ .key = "created", .kind = GY_INSTANT },
	{ .key = "account_id", .title = "account", .kind = GY_NUMBER },
	{ .key = "account_state", .kind = GY_WORD, .words = gy_words_state },
	{ .key = "currency", .title = "currency (ISO 4217)", .kind = GY_NUMBER },
	{ .key = "balance", .kind = GY_MONEY },
	{ .key = "reserved", .kind = GY_MONEY },
	{ .key = "credit_limit", .kind = GY_MONEY },
	{ .key = "available", .kind = GY_MONEY },
	{ .key = "account_valid_until", .title = "valid until (UTC)", .kind = GY_INSTANT },
	GY_COLUMNS_END,
};

static const struct gy_column identity_columns[] = {
	{ .key = "kind", .kind = GY_WORD, .words = gy_words_identity },
	{ .key = "value" },
	GY_COLUMNS_END,
};

static bool show_identities(struct gy_ctl *ctl, const char *id)
{
	struct gy_rows *rows = gy_db_query(ctl,
					   "SELECT kind, value FROM gyro.subscriber_identity WHERE "
					   "subscriber_id = $1 ORDER BY kind, value",
					   id);

	if (rows)
		gy_out_table(ctl, "identities", identity_columns, rows);
	return rows != NULL;
}

/* The subscriber's own fields; its account's number, or NULL after an error. */
static const char *show_subscriber(struct gy_ctl *ctl, const char *id)
{
	struct gy_rows *rows = gy_db_query(
		ctl,
		"SELECT s.subscriber_id, s.state, t.code AS tariff, s.created, s.account_id,"
		" (SELECT name FROM gyro.time_zone z WHERE z.zone_id = s.zone_id) AS zone,"
		" a.state AS account_state, a.currency, a.balance, a.reserved, a.credit_limit,"
		" a.balance + a.credit_limit - a.reserved AS available,"
		" a.valid_until AS account_valid_until"
		" FROM gyro.subscriber s JOIN gyro.account a USING (account_id, group_id)"
		" JOIN gyro.specific_tariff t USING (tariff_id) WHERE s.subscriber_id = $1",
		id);

	if (!rows)
		return NULL;
	if (rows->n == 0) {
		gy_fail(ctl, GY_EXIT_FAILED, "subscriber %s is gone", id);
		return NULL;
	}
	gy_out_fields(ctl, NULL, subscriber_columns, rows, 0);
	return gy_rows_get(rows, 0, "account_id");
}

static enum gy_exit show(struct gy_ctl *ctl, const struct gy_args *args)
{
	const char *id, *account;

	if (!gy_pick_subscriber(ctl, args, 0, false, &id) || !(account = show_subscriber(ctl, id)))
		return ctl->status;
	if (!show_identities(ctl, id) || !gy_show_attributes(ctl, id) ||
	    !gy_show_sessions(
		    ctl, "sessions",
		    &(struct gy_session_filter){ .account = account, .subscriber = id }) ||
	    !gy_show_records(ctl, "records",
			     &(struct gy_record_filter){
				     .account = account, .subscriber = id, .limit = "10" }))
		return ctl->status;
	return GY_EXIT_OK;
}

/* Gives a subscriber the identities of the command line; *n is their number. */
static bool add_identities(struct gy_ctl *ctl, const struct gy_args *args, const char *id, int *n)
{
	*n = 0;
	for (int kind = 1; kind <= GY_IDENTITY_COUNT; kind++) {
		const char *value = gy_pick_identity(args, kind);

		if (!value)
			continue;
		if (kind == 2 && value[0] == '+') {
			gy_fail(ctl, GY_EXIT_USAGE, "--e164 %s: write the number without plus",
				value);
			return false;
		}
		if (!gy_db_query(ctl,
				 "INSERT INTO gyro.subscriber_identity (kind, value, "
				 "subscriber_id) VALUES ($1, $2, $3)",
				 talloc_asprintf(ctl->pool, "%d", kind), value, id))
			return false;
		(*n)++;
	}
	return true;
}

static enum gy_exit rollback(struct gy_ctl *ctl)
{
	if (PQstatus(ctl->db) == CONNECTION_OK)
		PQclear(PQexec(ctl->db, "ROLLBACK"));
	return ctl->status;
}

static enum gy_exit add(struct gy_ctl *ctl, const struct gy_args *args)
{
	const char *id = gy_pick_number(ctl, "subscriber", args->words[0]);
	const char *account = gy_args_flag(args, "account"), *tariff = gy_args_flag(args, "tariff");
	const char *state = gy_args_has(args, "barred") ? "2" : "1";
	int n;

	if (!id)
		return ctl->status;
	if (!account || !tariff)
		return gy_fail(ctl, GY_EXIT_USAGE, "a subscriber needs --account and --tariff");
	account = gy_pick_number(ctl, "account", account);
	if (!account || !gy_db_do(ctl, "BEGIN"))
		return ctl->status;
	if (!gy_db_query(ctl, "SELECT gyro.subscriber_add($1, $2, $3, $4)", id, account, tariff,
			 state) ||
	    !add_identities(ctl, args, id, &n) || !gy_db_do(ctl, "COMMIT"))
		return rollback(ctl);
	gy_out_say(ctl, "subscriber %s added with %d identit%s", id, n, n == 1 ? "y" : "ies");
	gy_out_member(ctl, "subscriber_id", json_integer(strtoll(id, NULL, 10)));
	return GY_EXIT_OK;
}

static enum gy_exit change(struct gy_ctl *ctl, const struct gy_args *args)
{
	const char *account = gy_args_flag(args, "account"), *tariff = gy_args_flag(args, "tariff"),
		   *id;
	struct gy_rows *rows;

	if (!account && !tariff)
		return gy_fail(ctl, GY_EXIT_USAGE, "change what? --account or --tariff");
	if (account && !(account = gy_pick_number(ctl, "account", account)))
		return ctl->status;
	if (!gy_pick_subscriber(ctl, args, 0, false, &id))
		return ctl->status;
	rows = gy_db_query(
		ctl,
		"SELECT gyro.subscriber_put(s.subscriber_id, coalesce($2, s.account_id),"
		" coalesce($3, t.code), NULL) FROM gyro.subscriber s"
		" JOIN gyro.specific_tariff t USING (tariff_id) WHERE s.subscriber_id = $1",
		id, account, tariff);
	if (!rows)
		return ctl->status;
	if (rows->n != 1)
		return gy_fail(ctl, GY_EXIT_FAILED, "subscriber %s is gone", id);
	return show_subscriber(ctl, id) ? GY_EXIT_OK : ctl->status;
}

static enum gy_exit set_state(struct gy_ctl *ctl, const struct gy_args *args, int state)
{
	struct gy_rows *rows;
	const char *id;

	if (!gy_pick_subscriber(ctl, args, 0, false, &id))
		return ctl->status;
	rows = gy_db_query(ctl, "UPDATE gyro.subscriber SET state = $2 WHERE subscriber_id = $1",
			   id, talloc_asprintf(ctl->pool, "%d", state));
	if (!rows)
		return ctl->status;
	if (rows->affected != 1)
		return gy_fail(ctl, GY_EXIT_FAILED, "subscriber %s is gone", id);
	gy_out_say(ctl, "subscriber %s is %s", id, gy_words_state[state]);
	gy_out_member(ctl, "subscriber_id", json_integer(strtoll(id, NULL, 10)));
	gy_out_member(ctl, "state", json_string(gy_words_state[state]));
	return GY_EXIT_OK;
}

static enum gy_exit bar(struct gy_ctl *ctl, const struct gy_args *args)
{
	return set_state(ctl, args, 2);
}

static enum gy_exit unbar(struct gy_ctl *ctl, const struct gy_args *args)
{
	return set_state(ctl, args, 1);
}

static enum gy_exit delete (struct gy_ctl *ctl, const struct gy_args *args) {
	const char *id;

	if (!gy_pick_subscriber(ctl, args, 0, false, &id) ||
	    !gy_db_query(ctl, "SELECT gyro.subscriber_remove($1)", id)) return ctl->status;
	gy_out_say(ctl, "subscriber %s deleted; its account and records stay", id);
	gy_out_member(ctl, "subscriber_id", json_integer(strtoll(id, NULL, 10)));
	return GY_EXIT_OK;
}

static enum gy_exit identity_add(struct gy_ctl *ctl, const struct gy_args *args)
{
	const char *id = gy_pick_number(ctl, "subscriber", args->words[0]);
	int n;

	if (!id || !gy_db_do(ctl, "BEGIN"))
		return ctl->status;
	if (!add_identities(ctl, args, id, &n))
		return rollback(ctl);
	if (n == 0)
		return gy_fail(ctl, GY_EXIT_USAGE, "which identity? e.g. --imsi 460001000000001");
	if (!gy_db_do(ctl, "COMMIT") || !show_identities(ctl, id))
		return ctl->status;
	return GY_EXIT_OK;
}

static enum gy_exit identity_remove(struct gy_ctl *ctl, const struct gy_args *args)
{
	const char *id;

	if (!gy_pick_subscriber(ctl, args, -1, false, &id))
		return ctl->status;
	for (int kind = 1; kind <= GY_IDENTITY_COUNT; kind++) {
		const char *value = gy_pick_identity(args, kind);

		if (value &&
		    !gy_db_query(
			    ctl,
			    "DELETE FROM gyro.subscriber_identity WHERE kind = $1 AND value = $2",
			    talloc_asprintf(ctl->pool, "%d", kind), value))
			return ctl->status;
	}
	return show_identities(ctl, id) ? GY_EXIT_OK : ctl->status;
}

static const struct gy_flag list_flags[] = {
	{ "account", "ACCOUNT", "those charged to this account" },
	{ "state", "STATE", "active or barred ones" },
	GY_LIMIT_FLAG,
	GY_FLAGS_END,
};
static const struct gy_flag identity_flags[] = { GY_IDENTITY_FLAGS, GY_FLAGS_END };
static const struct gy_flag add_flags[] = {
	{ "account", "ACCOUNT", "the account that pays; gyroctl account open makes one" },
	{ "tariff", "CODE", "the specific tariff code" },
	{ "barred", NULL, "not served until gyroctl subscriber unbar" },
	GY_IDENTITY_FLAGS,
	GY_FLAGS_END,
};

static const struct gy_flag change_flags[] = {
	{ "account", "ACCOUNT", "the account that pays from now on" },
	{ "tariff", "CODE", "the specific tariff code from now on" },
	GY_IDENTITY_FLAGS,
	GY_FLAGS_END,
};

const struct gy_command gy_subscriber_commands[] = {
	{ "subscriber list", "", 0, 0, "Lists subscribers with their balances", NULL,
	  "  gyroctl subscriber list\n  gyroctl subscriber list --state barred --limit 0 --json",
	  GY_NEEDS_SCHEMA, list_flags, list },
	{ "subscriber show", "[SUBSCRIBER]", 0, 1,
	  "Shows a subscriber: identities, money, sessions, the last ten records", NULL,
	  "  gyroctl subscriber show 1\n  gyroctl subscriber show --imsi 460001000000001",
	  GY_NEEDS_SCHEMA, identity_flags, show },
	{ "subscriber add", "SUBSCRIBER", 1, 1, "Adds a subscriber to an account", NULL,
	  "  gyroctl subscriber add 12 --account 5 --tariff standard --imsi 460001000000012",
	  GY_NEEDS_SCHEMA, add_flags, add },
	{ "subscriber change", "[SUBSCRIBER]", 0, 1, "Gives a subscriber another tariff or account",
	  "Grants that are out keep their price. A subscriber with open sessions keeps its "
	  "account.",
	  "  gyroctl subscriber change 12 --tariff gold", GY_NEEDS_SCHEMA, change_flags, change },
	{ "subscriber bar", "[SUBSCRIBER]", 0, 1, "Bars a subscriber: further requests are refused",
	  NULL, "  gyroctl subscriber bar 12", GY_NEEDS_SCHEMA, identity_flags, bar },
	{ "subscriber unbar", "[SUBSCRIBER]", 0, 1,
	  "Lets a barred subscriber use the network again", NULL,
	  "  gyroctl subscriber unbar --e164 8613800000012", GY_NEEDS_SCHEMA, identity_flags,
	  unbar },
	{ "subscriber delete", "[SUBSCRIBER]", 0, 1,
	  "Deletes a subscriber that has no open session",
	  "The account with its money and the records stay.", "  gyroctl subscriber delete 12",
	  GY_NEEDS_SCHEMA, identity_flags, delete },
	{ "identity add", "SUBSCRIBER", 1, 1, "Gives a subscriber further identities", NULL,
	  "  gyroctl identity add 12 --e164 8613800000012 --user-name alice", GY_NEEDS_SCHEMA,
	  identity_flags, identity_add },
	{ "identity remove", "", 0, 0, "Takes an identity away", NULL,
	  "  gyroctl identity remove --e164 8613800000012", GY_NEEDS_SCHEMA, identity_flags,
	  identity_remove },
	GY_COMMANDS_END,
};
