/* gyroctl account, topup: purses. Every payment has a reference, and the same reference pays once.
 */
#include <stdlib.h>
#include <talloc.h>

#include "deploy/gyroctl/ctl.h"
#include "deploy/gyroctl/db.h"
#include "deploy/gyroctl/pick.h"
#include "deploy/gyroctl/show.h"
#include "deploy/gyroctl/table.h"
#include "deploy/gyroctl/words.h"

#define ACCOUNT_COLUMNS                                                                          \
	{ .key = "account_id", .title = "account", .kind = GY_NUMBER },                          \
		{ .key = "state", .kind = GY_WORD, .words = gy_words_state },                    \
		{ .key = "currency", .title = "currency (ISO 4217)", .kind = GY_NUMBER },        \
		{ .key = "balance", .kind = GY_MONEY }, { .key = "reserved", .kind = GY_MONEY }, \
		{ .key = "credit_limit", .kind = GY_MONEY },                                     \
		{ .key = "available", .kind = GY_MONEY },                                        \
	{                                                                                        \
		.key = "valid_until", .kind = GY_INSTANT                                         \
	}

static const struct gy_column account_columns[] = {
	ACCOUNT_COLUMNS,
	{ .key = "subscribers", .kind = GY_NUMBER },
	{ .key = "open_sessions", .title = "sessions", .kind = GY_NUMBER },
	GY_COLUMNS_END,
};

#define ACCOUNT_SQL                                                                                \
	"SELECT a.account_id, a.state, a.currency, a.balance, a.reserved, a.credit_limit,"         \
	" a.balance + a.credit_limit - a.reserved AS available, a.valid_until,"                    \
	" (SELECT count(*) FROM gyro.subscriber s WHERE s.account_id = a.account_id) AS "          \
	"subscribers,"                                                                             \
	" (SELECT count(*) FROM gyro.session x WHERE x.account_id = a.account_id AND x.state = 1)" \
	" AS open_sessions FROM gyro.account a"

static enum gy_exit list(struct gy_ctl *ctl, const struct gy_args *args)
{
	const char *limit;
	struct gy_rows *rows;

	if (!gy_pick_limit(ctl, args, 100, &limit))
		return ctl->status;
	rows = gy_db_query(ctl, ACCOUNT_SQL " ORDER BY a.account_id LIMIT $1", limit);
	if (!rows)
		return ctl->status;
	gy_pick_limited(ctl, rows, limit);
	gy_out_table(ctl, NULL, account_columns, rows);
	return GY_EXIT_OK;
}

static const struct gy_column subscriber_columns[] = {
	{ .key = "subscriber_id", .title = "subscriber", .kind = GY_NUMBER },
	{ .key = "state", .kind = GY_WORD, .words = gy_words_state },
	{ .key = "tariff" },
	{ .key = "identities" },
	GY_COLUMNS_END,
};

static const struct gy_column payment_columns[] = {
	{ .key = "at", .title = "time (UTC)", .kind = GY_INSTANT },
	{ .key = "kind", .kind = GY_WORD, .words = gy_words_payment },
	{ .key = "amount", .kind = GY_MONEY },
	{ .key = "balance", .kind = GY_MONEY },
	{ .key = "reference" },
	{ .key = "forced", .kind = GY_BOOL },
	GY_COLUMNS_END,
};

/* An account's row; NULL after an error. */
static struct gy_rows *account_row(struct gy_ctl *ctl, const char *id)
{
	struct gy_rows *rows = gy_db_query(ctl, ACCOUNT_SQL " WHERE a.account_id = $1", id);

	if (rows && rows->n == 0) {
		gy_fail(ctl, GY_EXIT_FAILED,
			"account %s does not exist: gyroctl account list shows what does", id);
		return NULL;
	}
	return rows;
}

static enum gy_exit show(struct gy_ctl *ctl, const struct gy_args *args)
{
	const char *id = gy_pick_number(ctl, "account", args->words[0]);
	struct gy_rows *rows = id ? account_row(ctl, id) : NULL;

	if (!rows)
		return ctl->status;
	gy_out_fields(ctl, NULL, account_columns, rows, 0);
	rows = gy_db_query(ctl,
			   "SELECT s.subscriber_id, s.state, t.code AS tariff,"
			   " (SELECT string_agg(i.value, ' ' ORDER BY i.kind, i.value)"
			   "   FROM gyro.subscriber_identity i WHERE i.subscriber_id = "
			   "s.subscriber_id) AS identities"
			   " FROM gyro.subscriber s JOIN gyro.specific_tariff t USING (tariff_id)"
			   " WHERE s.account_id = $1 ORDER BY 1",
			   id);
	if (!rows)
		return ctl->status;
	/* In JSON the account's own "subscribers" is their number. */
	gy_out_table(ctl, ctl->format == GY_FORMAT_JSON ? "subscriber_list" : "subscribers",
		     subscriber_columns, rows);
	rows = gy_db_query(
		ctl,
		"SELECT * FROM (SELECT payment_id, at, kind, amount, balance, reference, forced "
		"FROM "
		"gyro.payment"
		" WHERE account_id = $1 ORDER BY payment_id DESC LIMIT 10) p ORDER BY payment_id",
		id);
	if (!rows)
		return ctl->status;
	gy_out_table(ctl, "payments", payment_columns, rows);
	if (!gy_show_sessions(ctl, "sessions", &(struct gy_session_filter){ .account = id }) ||
	    !gy_show_records(ctl, "records",
			     &(struct gy_record_filter){ .account = id, .limit = "10" }))
		return ctl->status;
	return GY_EXIT_OK;
}

/* The account as it is now, after a command that changed it. */
static enum gy_exit show_row(struct gy_ctl *ctl, const char *id)
{
	struct gy_rows *rows = account_row(ctl, id);

	if (!rows)
		return ctl->status;
	gy_out_fields(ctl, NULL, account_columns, rows, 0);
	return GY_EXIT_OK;
}

static enum gy_exit open_account(struct gy_ctl *ctl, const struct gy_args *args)
{
	const char *id = gy_pick_number(ctl, "account", args->words[0]);
	const char *currency = gy_args_flag(args, "currency");
	const char *balance = gy_args_flag(args, "balance"),
		   *limit = gy_args_flag(args, "credit-limit");

	if (!id)
		return ctl->status;
	if (!currency)
		return gy_fail(ctl, GY_EXIT_USAGE,
			       "an account needs --currency, an ISO 4217 number such as 156");
	if (!gy_pick_money(ctl, "--balance", balance ? balance : "0", &balance) ||
	    !gy_pick_money(ctl, "--credit-limit", limit ? limit : "0", &limit))
		return ctl->status;
	if (!gy_db_query(ctl, "SELECT gyro.account_open($1, $2, $3, $4)", id, currency, balance,
			 limit))
		return ctl->status;
	return show_row(ctl, id);
}

/* One column of an account's row. */
static enum gy_exit set(struct gy_ctl *ctl, const char *word, const char *sql, const char *value)
{
	const char *id = gy_pick_number(ctl, "account", word);
	struct gy_rows *rows = id ? gy_db_query(ctl, sql, id, value) : NULL;

	if (!rows)
		return ctl->status;
	return show_row(ctl, id);
}

static enum gy_exit bar(struct gy_ctl *ctl, const struct gy_args *args)
{
	return set(ctl, args->words[0], "UPDATE gyro.account SET state = $2 WHERE account_id = $1",
		   "2");
}

static enum gy_exit unbar(struct gy_ctl *ctl, const struct gy_args *args)
{
	return set(ctl, args->words[0], "UPDATE gyro.account SET state = $2 WHERE account_id = $1",
		   "1");
}

static enum gy_exit credit(struct gy_ctl *ctl, const struct gy_args *args)
{
	const char *id = gy_pick_number(ctl, "account", args->words[0]);
	const char *reference = gy_args_flag(args, "reference"), *micros;
	bool force = gy_args_has(args, "force");

	if (!id || !gy_pick_money(ctl, "LIMIT", args->words[1], &micros))
		return ctl->status;
	if (force && (!reference || !*reference))
		return gy_fail(ctl, GY_EXIT_USAGE,
			       "--force needs --reference: why, or the number of the case");
	if (!account_row(ctl, id) || !gy_db_query(ctl, "SELECT gyro.account_credit($1, $2, $3, $4)",
						  id, micros, reference, force ? "t" : "f"))
		return ctl->status;
	return show_row(ctl, id);
}

static const struct gy_column paid_columns[] = {
	{ .key = "account_id", .title = "account", .kind = GY_NUMBER },
	{ .key = "reference" },
	{ .key = "amount", .kind = GY_MONEY },
	{ .key = "applied", .title = "applied now", .kind = GY_BOOL },
	{ .key = "at", .title = "paid (UTC)", .kind = GY_INSTANT },
	{ .key = "balance", .kind = GY_MONEY },
	{ .key = "available", .kind = GY_MONEY },
	GY_COLUMNS_END,
};

/* Pays with one of gyro's functions, in one transaction with the look at what came of it: the
 * payment was made now if this very transaction wrote it. */
static enum gy_exit pay(struct gy_ctl *ctl, const char *call, const char *account,
			const char *micros, const char *reference)
{
	struct gy_rows *rows;

	if (!gy_db_do(ctl, "BEGIN") || !gy_db_query(ctl, call, account, micros, reference))
		return ctl->status;
	rows = gy_db_query(ctl,
			   "SELECT p.account_id, p.reference, p.amount, p.xmin = "
			   "pg_current_xact_id()::xid AS applied,"
			   " p.at, a.balance, a.balance + a.credit_limit - a.reserved AS available"
			   " FROM gyro.payment p JOIN gyro.account a USING (account_id)"
			   " WHERE p.account_id = $1 AND p.reference = $2",
			   account, reference);
	if (!rows || !gy_db_do(ctl, "COMMIT"))
		return ctl->status;
	gy_out_fields(ctl, NULL, paid_columns, rows, 0);
	return GY_EXIT_OK;
}

static enum gy_exit topup(struct gy_ctl *ctl, const struct gy_args *args)
{
	const char *reference = gy_args_flag(args, "reference"), *account, *micros;

	if (!gy_pick_money(ctl, "AMOUNT", args->words[0], &micros))
		return ctl->status;
	if (!reference || !*reference)
		return gy_fail(ctl, GY_EXIT_USAGE,
			       "a top-up needs --reference, the payer's number: it pays once");
	if (!gy_pick_account(ctl, args, false, &account))
		return ctl->status;
	return pay(ctl, "SELECT gyro.topup($1, $2, $3)", account, micros, reference);
}

static enum gy_exit adjust(struct gy_ctl *ctl, const struct gy_args *args)
{
	const char *id = gy_pick_number(ctl, "account", args->words[0]);
	const char *amount = gy_args_flag(args, "amount"),
		   *reference = gy_args_flag(args, "reference");

	if (!id)
		return ctl->status;
	if (!amount || !reference || !*reference)
		return gy_fail(ctl, GY_EXIT_USAGE, "an adjustment needs --amount and --reference");
	if (!gy_pick_money(ctl, "--amount", amount, &amount))
		return ctl->status;
	return pay(ctl,
		   gy_args_has(args, "force") ? "SELECT gyro.pay($1, $2, $3, 3::smallint, true)"
					      : "SELECT gyro.pay($1, $2, $3, 3::smallint)",
		   id, amount, reference);
}

static const struct gy_flag list_flags[] = { GY_LIMIT_FLAG, GY_FLAGS_END };
static const struct gy_flag open_flags[] = {
	{ "currency", "NUMBER", "ISO 4217 number, e.g. 156, 840, 978" },
	{ "balance", "AMOUNT", "opening balance (default 0)" },
	{ "credit-limit", "AMOUNT", "how far the balance may go below zero (default 0)" },
	GY_FLAGS_END,
};
static const struct gy_flag adjust_flags[] = {
	{ "amount", "AMOUNT", "added to the balance; negative takes away" },
	{ "reference", "TEXT",
	  "why, or the number of the case: the same reference is booked once" },
	{ "force", NULL, "also take what is reserved, owed for usage of cards, or not there" },
	GY_FLAGS_END,
};
static const struct gy_flag credit_flags[] = {
	{ "force", NULL, "also below what is in use; the payments then show it, with 0.00" },
	{ "reference", "TEXT", "with --force: why, or the number of the case" },
	GY_FLAGS_END,
};
static const struct gy_flag topup_flags[] = {
	{ "account", "ACCOUNT", "the account to credit" },
	{ "subscriber", "SUBSCRIBER", "the account of this subscriber" },
	GY_IDENTITY_FLAGS,
	{ "reference", "TEXT", "the payer's number: the same reference pays once" },
	GY_FLAGS_END,
};

const struct gy_command gy_account_commands[] = {
	{ "account list", "", 0, 0, "Lists accounts: balance, reserved, available", NULL,
	  "  gyroctl account list --limit 20", GY_NEEDS_SCHEMA, list_flags, list },
	{ "account show", "ACCOUNT", 1, 1,
	  "Shows an account: subscribers, payments, sessions, records", NULL,
	  "  gyroctl account show 1\n  gyroctl account show 1 --json", GY_NEEDS_SCHEMA, NULL,
	  show },
	{ "account open", "ACCOUNT", 1, 1, "Opens an account", NULL,
	  "  gyroctl account open 12 --currency 156 --balance 20.00", GY_NEEDS_SCHEMA, open_flags,
	  open_account },
	{ "account bar", "ACCOUNT", 1, 1, "Bars an account: further requests are refused", NULL,
	  "  gyroctl account bar 12", GY_NEEDS_SCHEMA, NULL, bar },
	{ "account unbar", "ACCOUNT", 1, 1, "Makes a barred account active again", NULL,
	  "  gyroctl account unbar 12", GY_NEEDS_SCHEMA, NULL, unbar },
	{ "account credit", "ACCOUNT LIMIT", 2, 2, "Sets how far the balance may go below zero",
	  "A limit that leaves less than is reserved, owed for usage of cards, or spent is "
	  "refused.",
	  "  gyroctl account credit 12 5.00\n"
	  "  gyroctl account credit 12 0 --force --reference case-4712",
	  GY_NEEDS_SCHEMA, credit_flags, credit },
	{ "account adjust", "ACCOUNT", 1, 1, "Corrects a balance, up or down",
	  "More than the account can spare is not taken: what is reserved or owed for usage of "
	  "cards is not there.",
	  "  gyroctl account adjust 12 --amount -1.50 --reference case-4711", GY_NEEDS_SCHEMA,
	  adjust_flags, adjust },
	{ "topup", "AMOUNT", 1, 1, "Adds money to an account and prints the balance",
	  "The reference makes it safe to repeat: a second time nothing is added, and \"applied "
	  "now\" says no.\n"
	  "The same reference with another amount is refused.",
	  "  gyroctl topup 10.00 --subscriber 1 --reference voucher-0001\n"
	  "  gyroctl topup 0.50 --imsi 460001000000001 --reference bonus-7 --json",
	  GY_NEEDS_SCHEMA, topup_flags, topup },
	GY_COMMANDS_END,
};
