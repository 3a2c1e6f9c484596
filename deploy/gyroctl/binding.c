/* gyroctl bind, unbind, priority, stats, settle: what the owner of a card does with it. The
 * operator acts as the owner. */
#include <stdlib.h>
#include <string.h>
#include <talloc.h>

#include "deploy/gyroctl/amount.h"
#include "deploy/gyroctl/ctl.h"
#include "deploy/gyroctl/db.h"
#include "deploy/gyroctl/order.h"
#include "deploy/gyroctl/pick.h"
#include "deploy/gyroctl/table.h"
#include "deploy/gyroctl/words.h"

static const struct gy_column binding_columns[] = {
	{ .key = "binding", .kind = GY_NUMBER },
	{ .key = "card" },
	{ .key = "subscriber", .kind = GY_NUMBER },
	{ .key = "user_class", .kind = GY_WORD, .words = gy_words_user_class },
	{ .key = "binding_kind", .title = "kind" },
	{ .key = "targets", .title = "Rating-Groups", .kind = GY_LIST },
	{ .key = "priority", .kind = GY_NUMBER },
	{ .key = "bound", .kind = GY_BOOL },
	GY_COLUMNS_END,
};

static enum gy_exit show_binding(struct gy_ctl *ctl, const char *id)
{
	struct gy_rows *rows = gy_db_query(
		ctl,
		"SELECT b.binding_id AS binding, k.code AS card, b.subscriber_id AS subscriber,"
		" b.user_class, CASE WHEN b.directed THEN 'directed' ELSE 'general' END AS "
		"binding_kind,"
		" to_json(CASE WHEN b.directed THEN ARRAY(SELECT DISTINCT rating_group::text"
		"  FROM gyro.binding_target t WHERE t.binding_id = b.binding_id) ELSE ARRAY['all'] "
		"END)"
		" AS targets, b.priority, b.unbound_at IS NULL AS bound"
		" FROM gyro.card_binding b JOIN gyro.card k USING (card_id) WHERE b.binding_id = "
		"$1",
		id);

	if (!rows)
		return ctl->status;
	if (rows->n != 1)
		return gy_fail(ctl, GY_EXIT_FAILED, "binding %s is gone", id);
	gy_out_fields(ctl, NULL, binding_columns, rows, 0);
	return GY_EXIT_OK;
}

/* The card of --card: its row, and the order for it by its owner. */
static struct gy_rows *card_of(struct gy_ctl *ctl, const struct gy_args *args,
			       struct gy_order *order)
{
	struct gy_rows *rows;

	order->card = gy_args_flag(args, "card");
	if (!order->card || !*order->card) {
		gy_fail(ctl, GY_EXIT_USAGE, "which card? --card, e.g. --card c12");
		return NULL;
	}
	rows = gy_order_card(ctl, order->card);
	if (rows)
		order->requester = gy_rows_get(rows, 0, "owner");
	return rows;
}

static enum gy_exit send(struct gy_ctl *ctl, const struct gy_order *order)
{
	struct gy_rows *reply = gy_order_send(ctl, order);

	return reply ? show_binding(ctl, gy_rows_get(reply, 0, "binding")) : ctl->status;
}

static enum gy_exit bind(struct gy_ctl *ctl, const struct gy_args *args)
{
	struct gy_order order = { .operation = GY_CARD_BIND,
				  .request_type = 4,
				  .units = -1,
				  .apps = gy_args_flag(args, "app"),
				  .urls = gy_args_flag(args, "url"),
				  .flows = gy_args_flag(args, "flow") };
	const char *whom = gy_args_flag(args, "to");
	struct gy_rows *card = card_of(ctl, args, &order);

	if (!card)
		return ctl->status;
	if (whom && !gy_pick_who(ctl, "--to", whom, &order.beneficiary))
		return ctl->status;
	if (!whom)
		order.beneficiary = gy_rows_get(card, 0, "beneficiary");
	return send(ctl, &order);
}

/* The user whom an option names, or the only one that the card has. */
static bool user_of(struct gy_ctl *ctl, const struct gy_args *args, const char *option,
		    const struct gy_rows *card, const char **user)
{
	const char *whom = gy_args_flag(args, option);
	struct gy_rows *rows;

	if (whom)
		return gy_pick_who(ctl, talloc_asprintf(ctl->pool, "--%s", option), whom, user);
	rows = gy_db_query(ctl,
			   "SELECT subscriber_id FROM gyro.card_binding WHERE card_id = $1"
			   " AND unbound_at IS NULL LIMIT 2",
			   gy_rows_get(card, 0, "card_id"));
	if (!rows)
		return false;
	if (rows->n != 1) {
		gy_fail(ctl, GY_EXIT_FAILED, "the card serves %s: name one with --%s",
			rows->n == 0 ? "nobody" : "several subscribers", option);
		return false;
	}
	*user = gy_rows_get(rows, 0, "subscriber_id");
	return true;
}

static enum gy_exit unbind(struct gy_ctl *ctl, const struct gy_args *args)
{
	struct gy_order order = { .operation = GY_CARD_UNBIND, .request_type = 4, .units = -1 };
	struct gy_rows *card = card_of(ctl, args, &order);

	if (!card || !user_of(ctl, args, "from", card, &order.beneficiary))
		return ctl->status;
	return send(ctl, &order);
}

static enum gy_exit priority(struct gy_ctl *ctl, const struct gy_args *args)
{
	struct gy_order order = { .operation = GY_CARD_SET_PRIORITY,
				  .request_type = 4,
				  .units = -1,
				  .priority = args->words[0] };
	struct gy_rows *card;
	int64_t n;

	if (!gy_number_parse(order.priority, 0, UINT32_MAX, &n))
		return gy_fail(ctl, GY_EXIT_USAGE, "%s is not a priority from 0 to %u",
			       order.priority, UINT32_MAX);
	card = card_of(ctl, args, &order);
	if (!card || !user_of(ctl, args, "of", card, &order.beneficiary))
		return ctl->status;
	return send(ctl, &order);
}

static const struct gy_column window_columns[] = {
	{ .key = "card" },
	{ .key = "window_id", .title = "window", .kind = GY_NUMBER },
	{ .key = "opened", .title = "from (UTC)", .kind = GY_INSTANT },
	{ .key = "closed", .title = "until (UTC)", .kind = GY_INSTANT },
	{ .key = "rating_group", .kind = GY_NUMBER },
	{ .key = "unit", .kind = GY_WORD, .words = gy_words_unit, .detail = true },
	{ .key = "used", .kind = GY_UNITS, .unit = "unit" },
	{ .key = "amount", .kind = GY_MONEY },
	{ .key = "closed_now", .kind = GY_BOOL },
	GY_COLUMNS_END,
};

/* The windows of a reply; one was closed now if this very transaction wrote it. */
static bool show_windows(struct gy_ctl *ctl, const struct gy_rows *reply)
{
	struct gy_rows *rows = gy_db_query(
		ctl,
		"SELECT k.code AS card, w.window_id, w.opened, w.closed, s[n][2] AS rating_group,"
		" r.unit, s[n][3] AS used, s[n][6] AS amount,"
		" w.xmin = pg_current_xact_id()::xid AS closed_now"
		" FROM (SELECT $1::bigint[] AS s) m"
		" CROSS JOIN LATERAL generate_series(1, gyro.matrix_rows(s)) n"
		" JOIN gyro.usage_window w ON w.window_id = s[n][7] JOIN gyro.card k USING "
		"(card_id)"
		" LEFT JOIN gyro.card_row r ON r.account_id = k.account_id AND r.card_id = "
		"k.card_id"
		" ORDER BY k.card_id, s[n][2]",
		gy_rows_get(reply, 0, "statistics"));

	if (rows)
		gy_out_table(ctl, "windows", window_columns, rows);
	return rows != NULL;
}

static const struct gy_column debit_columns[] = {
	{ .key = "account_id", .title = "account", .kind = GY_NUMBER },
	{ .key = "currency", .kind = GY_NUMBER },
	{ .key = "debited", .kind = GY_MONEY },
	{ .key = "balance", .kind = GY_MONEY },
	{ .key = "available", .kind = GY_MONEY },
	GY_COLUMNS_END,
};

/* What the session of the request has debited, account by account; nothing: 0 from the owner's. */
static bool show_debits(struct gy_ctl *ctl, const char *session, const struct gy_order *order)
{
	struct gy_rows *rows = gy_db_query(
		ctl,
		"SELECT a.account_id, a.currency, coalesce(r.debited, 0) AS debited, a.balance,"
		" a.balance + a.credit_limit - a.reserved AS available FROM gyro.account a"
		" LEFT JOIN (SELECT account_id, sum(debit) AS debited FROM gyro.record"
		"  WHERE session = $1 AND at > now() - interval '10 minutes' GROUP BY 1) r USING "
		"(account_id)"
		" WHERE a.account_id IN (SELECT account_id FROM gyro.card WHERE owner = $2"
		"  AND $3::text IN ('', code)) ORDER BY 1",
		session, order->requester, order->card ? order->card : "");

	if (rows)
		gy_out_table(ctl, "debits", debit_columns, rows);
	return rows != NULL;
}

static bool close_windows(struct gy_ctl *ctl, struct gy_order *order, bool debits)
{
	struct gy_rows *session, *reply;

	if (!gy_db_do(ctl, "BEGIN"))
		return false;
	session = gy_db_query(ctl, "SELECT gen_random_uuid() AS session");
	if (!session)
		return false;
	order->session = gy_rows_get(session, 0, "session");
	reply = gy_order_send(ctl, order);
	return reply && show_windows(ctl, reply) &&
	       (!debits || show_debits(ctl, order->session, order)) && gy_db_do(ctl, "COMMIT");
}

static enum gy_exit statistics(struct gy_ctl *ctl, const struct gy_args *args, bool debits)
{
	struct gy_order order = { .operation = GY_CARD_STATISTICS, .request_type = 4, .units = -1 };
	const char *owner = gy_args_flag(args, "owner");

	if ((owner != NULL) == gy_args_has(args, "card"))
		return gy_fail(ctl, GY_EXIT_USAGE, "name a card with --card, or all of --owner");
	if (owner ? !gy_pick_who(ctl, "--owner", owner, &order.requester)
		  : !card_of(ctl, args, &order))
		return ctl->status;
	if (close_windows(ctl, &order, debits))
		return GY_EXIT_OK;
	if (PQstatus(ctl->db) == CONNECTION_OK)
		PQclear(PQexec(ctl->db, "ROLLBACK"));
	return ctl->status;
}

static enum gy_exit stats(struct gy_ctl *ctl, const struct gy_args *args)
{
	return statistics(ctl, args, false);
}

static enum gy_exit settle(struct gy_ctl *ctl, const struct gy_args *args)
{
	return statistics(ctl, args, true);
}

#define CARD_FLAG                             \
	{                                     \
		"card", "CARD", "the Card-Id" \
	}
static const struct gy_flag bind_flags[] = {
	CARD_FLAG,
	{ "to", "WHO", "the subscriber (default: whom it was bought for)" },
	{ "app", "APP...", "directed: an app of the registry; repeatable" },
	{ "url", "URL...", "directed: a URL of an app; repeatable" },
	{ "flow", "RULE...",
	  "directed: an IPFilterRule, e.g. 'permit out 6 from 192.0.2.1 443 to any'" },
	GY_FLAGS_END,
};
static const struct gy_flag unbind_flags[] = {
	CARD_FLAG,
	{ "from", "WHO", "the subscriber (default: the only one)" },
	GY_FLAGS_END,
};
static const struct gy_flag priority_flags[] = {
	CARD_FLAG,
	{ "of", "WHO", "the binding of this subscriber (default: the only one)" },
	GY_FLAGS_END,
};
static const struct gy_flag statistics_flags[] = {
	CARD_FLAG,
	{ "owner", "WHO", "all cards of this owner" },
	GY_FLAGS_END,
};

const struct gy_command gy_binding_commands[] = {
	{ "bind", "", 0, 0, "Binds a card to a subscriber: from now on it is used",
	  "The server decides: a subscriber whom the product's audience names is specified, and "
	  "may "
	  "have a general\nbinding, for every Rating-Group; anybody else needs --app, --url or "
	  "--flow, and the binding is for their\nRating-Groups only. Open sessions that it touches "
	  "are asked to come back at once.\n"
	  "WHO is a subscriber's number, or an identity such as imsi:001010000000001.",
	  "  gyroctl bind --card c12 --to imsi:001010000000001\n"
	  "  gyroctl bind --card c13 --to 2 --app video\n"
	  "  gyroctl bind --card c13 --to 2 --url https://video.example.com/live --url "
	  "music.example",
	  GY_NEEDS_SCHEMA, bind_flags, bind },
	{ "unbind", "", 0, 0, "Ends the binding of a card to a subscriber",
	  "What open sessions hold of the card stays theirs until they report it.",
	  "  gyroctl unbind --card c12\n  gyroctl unbind --card c20 --from 2", GY_NEEDS_SCHEMA,
	  unbind_flags, unbind },
	{ "priority", "N", 1, 1, "Sets the use priority of a binding: higher is used first",
	  "Among directed and among general cards; directed ones always come first.",
	  "  gyroctl priority 7 --card c12", GY_NEEDS_SCHEMA, priority_flags, priority },
	{ "stats", "", 0, 0, "Closes the open windows of a card, or of an owner, and shows them",
	  "If nothing was drawn since, the last window is shown again. Cards that are paid by "
	  "usage "
	  "are debited\nfor a window when it closes, once.",
	  "  gyroctl stats --card c20\n  gyroctl stats --owner 4 --json", GY_NEEDS_SCHEMA,
	  statistics_flags, stats },
	{ "settle", "", 0, 0, "The same, and shows what was debited from which account", NULL,
	  "  gyroctl settle --card c20\n  gyroctl settle --owner nai:sponsor@example.com",
	  GY_NEEDS_SCHEMA, statistics_flags, settle },
	GY_COMMANDS_END,
};
