/* gyroctl purchase: the four steps, at once or in two halves, and what came of them. The same
 * Purchase-Id buys once, however often it is sent. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <talloc.h>

#include "deploy/gyroctl/ctl.h"
#include "deploy/gyroctl/db.h"
#include "deploy/gyroctl/order.h"
#include "deploy/gyroctl/pick.h"
#include "deploy/gyroctl/table.h"

static const struct gy_column list_columns[] = {
	{ .key = "purchase_id", .title = "purchase" },
	{ .key = "product" },
	{ .key = "state" },
	{ .key = "price", .kind = GY_MONEY },
	{ .key = "currency", .kind = GY_NUMBER },
	{ .key = "buyer", .kind = GY_NUMBER },
	{ .key = "beneficiary", .title = "for", .kind = GY_NUMBER },
	{ .key = "card" },
	{ .key = "at", .title = "time (UTC)", .kind = GY_INSTANT },
	{ .key = "why" },
	GY_COLUMNS_END,
};

#define PURCHASE_SQL                                                                     \
	"SELECT q.purchase_id, q.product, q.state, q.price, q.currency, q.buyer,"        \
	" q.beneficiary, q.card, q.at, CASE WHEN q.state IN ('HELD', 'CONFIRMED') THEN"  \
	" q.hold_until END AS hold_until, q.changed_at, nullif(q.why, '') AS why,"       \
	" q.account_id, a.balance, a.balance + a.credit_limit - a.reserved AS available" \
	" FROM gyro.purchase_state q LEFT JOIN gyro.account a USING (account_id)"

static enum gy_exit list(struct gy_ctl *ctl, const struct gy_args *args)
{
	const char *buyer = gy_args_flag(args, "buyer"), *limit;
	struct gy_rows *rows;

	if ((buyer && !gy_pick_who(ctl, "--buyer", buyer, &buyer)) ||
	    !gy_pick_limit(ctl, args, 100, &limit))
		return ctl->status;
	rows = gy_db_query(
		ctl,
		"SELECT * FROM (" PURCHASE_SQL " WHERE ($1::bigint IS NULL OR q.buyer = $1)"
		" AND ($2::text IS NULL OR q.product = $2)"
		" AND ($3::text IS NULL OR q.state = upper($3))"
		" ORDER BY q.at DESC LIMIT $4) p ORDER BY at",
		buyer, gy_args_flag(args, "product"), gy_args_flag(args, "state"), limit);
	if (!rows)
		return ctl->status;
	gy_pick_limited(ctl, rows, limit);
	gy_out_table(ctl, NULL, list_columns, rows);
	return GY_EXIT_OK;
}

static const struct gy_column shown_columns[] = {
	{ .key = "purchase_id", .title = "purchase" },
	{ .key = "state" },
	{ .key = "why" },
	{ .key = "product" },
	{ .key = "price", .kind = GY_MONEY },
	{ .key = "currency", .title = "currency (ISO 4217)", .kind = GY_NUMBER },
	{ .key = "buyer", .kind = GY_NUMBER },
	{ .key = "beneficiary", .title = "for", .kind = GY_NUMBER },
	{ .key = "card" },
	{ .key = "at", .title = "time (UTC)", .kind = GY_INSTANT },
	{ .key = "hold_until", .title = "held until (UTC)", .kind = GY_INSTANT },
	{ .key = "changed_at", .title = "in this state since (UTC)", .kind = GY_INSTANT },
	{ .key = "account_id", .title = "account", .kind = GY_NUMBER },
	{ .key = "balance", .kind = GY_MONEY },
	{ .key = "available", .kind = GY_MONEY },
	GY_COLUMNS_END,
};

static bool show_purchase(struct gy_ctl *ctl, const char *id)
{
	struct gy_rows *rows = gy_db_query(ctl, PURCHASE_SQL " WHERE q.purchase_id = $1", id);

	if (!rows)
		return false;
	if (rows->n == 0) {
		gy_fail(ctl, GY_EXIT_FAILED,
			"purchase %s does not exist: gyroctl purchase list shows what does", id);
		return false;
	}
	gy_out_fields(ctl, NULL, shown_columns, rows, 0);
	return true;
}

static const struct gy_column entry_columns[] = {
	{ .key = "at", .title = "time (UTC)", .kind = GY_INSTANT },
	{ .key = "debit", .kind = GY_MONEY },
	{ .key = "balance", .kind = GY_MONEY },
	{ .key = "session", .detail = true },
	GY_COLUMNS_END,
};

/* Its entries in the ledger. Records have no index of cards: only those since it began are read. */
static enum gy_exit show(struct gy_ctl *ctl, const struct gy_args *args)
{
	struct gy_rows *rows;

	if (!show_purchase(ctl, args->words[0]))
		return ctl->status;
	rows = gy_db_query(ctl,
			   "SELECT r.at, r.debit, r.balance, r.session FROM gyro.purchase q"
			   " JOIN gyro.record r ON r.account_id = q.account_id AND r.at >= q.at"
			   " WHERE q.purchase_id = $1 AND r.charges[1][13] & 128 <> 0"
			   " AND r.charges[1][17] = q.card_id AND r.charges[1][3] >> 32 & 15 = 4 "
			   "ORDER BY r.at",
			   args->words[0]);
	if (!rows)
		return ctl->status;
	gy_out_table(ctl, "entries", entry_columns, rows);
	return GY_EXIT_OK;
}

static const struct gy_column dry_columns[] = {
	{ .key = "product" },
	{ .key = "price", .kind = GY_MONEY },
	{ .key = "currency", .title = "currency (ISO 4217)", .kind = GY_NUMBER },
	{ .key = "enough_money", .kind = GY_BOOL },
	GY_COLUMNS_END,
};

/* Steps 1 only: says the price, and whether it could be bought now. */
static enum gy_exit enquire(struct gy_ctl *ctl, struct gy_order *order)
{
	struct gy_rows *price, *balance, *both;

	order->action = GY_ACTION_PRICE_ENQUIRY;
	price = gy_order_send(ctl, order);
	order->action = GY_ACTION_CHECK_BALANCE;
	balance = price ? gy_order_send(ctl, order) : NULL;
	if (!balance)
		return ctl->status;
	both = gy_db_query(ctl,
			   "SELECT $1::text AS product, $2::bigint AS price,"
			   " $3::smallint AS currency, $4::integer = 1 AS enough_money",
			   order->product, gy_rows_get(price, 0, "cost"),
			   gy_rows_get(price, 0, "currency"),
			   gy_rows_get(balance, 0, "check_balance"));
	if (!both)
		return ctl->status;
	gy_out_fields(ctl, NULL, dry_columns, both, 0);
	if (strcmp(gy_rows_get(both, 0, "enough_money"), "t") != 0)
		return gy_fail(ctl, GY_EXIT_FAILED, "the buyer has not enough money");
	return GY_EXIT_OK;
}

static enum gy_exit buy(struct gy_ctl *ctl, const struct gy_args *args)
{
	const char *buyer = gy_args_flag(args, "buyer"), *id = gy_args_flag(args, "id"),
		   *whom = gy_args_flag(args, "for");
	bool dry_run = gy_args_has(args, "dry-run"), hold = gy_args_has(args, "hold");
	struct gy_order order = { .operation = GY_CARD_PURCHASE,
				  .request_type = hold && !dry_run ? 1 : 4,
				  .units = -1,
				  .product = args->words[0],
				  .purchase = id };

	if (!buyer)
		return gy_fail(ctl, GY_EXIT_USAGE,
			       "who pays? --buyer, e.g. --buyer imsi:001010000000001");
	if (!dry_run && (!id || !*id))
		return gy_fail(ctl, GY_EXIT_USAGE,
			       "a purchase needs --id, the buyer's number for it: it buys once");
	if (!gy_pick_who(ctl, "--buyer", buyer, &order.requester) ||
	    (whom && !gy_pick_who(ctl, "--for", whom, &order.beneficiary)))
		return ctl->status;
	if (dry_run)
		return enquire(ctl, &order);
	if (!gy_order_send(ctl, &order) || !show_purchase(ctl, id))
		return ctl->status;
	return GY_EXIT_OK;
}

/* The buyer of a purchase and the session that bought it. */
static struct gy_rows *of_purchase(struct gy_ctl *ctl, const char *id)
{
	struct gy_rows *rows = gy_db_query(
		ctl, "SELECT buyer, session FROM gyro.purchase WHERE purchase_id = $1", id);

	if (rows && rows->n == 0) {
		gy_fail(ctl, GY_EXIT_FAILED,
			"purchase %s does not exist: gyroctl purchase list shows what does", id);
		return NULL;
	}
	return rows;
}

static enum gy_exit change(struct gy_ctl *ctl, const char *id, struct gy_order order)
{
	struct gy_rows *purchase = of_purchase(ctl, id);

	if (!purchase)
		return ctl->status;
	order.requester = gy_rows_get(purchase, 0, "buyer");
	order.purchase = id;
	if (order.request_type == 3)
		order.session = gy_rows_get(purchase, 0, "session");
	if (!gy_order_send(ctl, &order) || !show_purchase(ctl, id))
		return ctl->status;
	return GY_EXIT_OK;
}

static enum gy_exit confirm(struct gy_ctl *ctl, const struct gy_args *args)
{
	return change(
		ctl, args->words[0],
		(struct gy_order){ .operation = GY_CARD_PURCHASE, .request_type = 3, .units = 1 });
}

static enum gy_exit cancel(struct gy_ctl *ctl, const struct gy_args *args)
{
	return change(
		ctl, args->words[0],
		(struct gy_order){ .operation = GY_CARD_CANCEL, .request_type = 4, .units = -1 });
}

static enum gy_exit refund(struct gy_ctl *ctl, const struct gy_args *args)
{
	return change(ctl, args->words[0],
		      (struct gy_order){ .operation = GY_CARD_PURCHASE,
					 .action = GY_ACTION_REFUND,
					 .request_type = 4,
					 .units = -1 });
}

static const struct gy_flag list_flags[] = {
	{ "buyer", "WHO", "purchases of this subscriber" },
	{ "product", "PRODUCT", "of this product" },
	{ "state", "STATE", "held, confirmed, done, refused, cancelled, expired or refunded" },
	GY_LIMIT_FLAG,
	GY_FLAGS_END,
};
static const struct gy_flag buy_flags[] = {
	{ "buyer", "WHO", "the subscriber who pays, and owns the card" },
	{ "id", "PURCHASE-ID", "the buyer's number of this purchase: it buys once" },
	{ "for", "WHO", "the subscriber whom the card is for (default: the buyer)" },
	{ "hold", NULL, "only reserve the price: purchase confirm issues the card" },
	{ "dry-run", NULL, "show the price, and whether it could be bought" },
	GY_FLAGS_END,
};

#define WHO                                                                              \
	"WHO is a subscriber's number, or an identity as kind:value (imsi, e164, nai,\n" \
	"sip-uri, private, user-name)."

const struct gy_command gy_purchase_commands[] = {
	{ "purchase buy", "PRODUCT", 1, 1, "Buys a product: reserves, issues the card, debits",
	  "All four steps or none. Sent again with the same --id it changes nothing, and shows the "
	  "same card.\n" WHO,
	  "  gyroctl purchase buy month-10g --buyer imsi:001010000000001 --id order-1\n"
	  "  gyroctl purchase buy month-10g --buyer 1 --for e164:491700000002 --id gift-7\n"
	  "  gyroctl purchase buy month-10g --buyer 1 --dry-run",
	  GY_NEEDS_SCHEMA, buy_flags, buy },
	{ "purchase confirm", "PURCHASE-ID", 1, 1,
	  "Confirms a held purchase: issues the card, debits the price", NULL,
	  "  gyroctl purchase buy month-10g --buyer 1 --id order-2 --hold\n"
	  "  gyroctl purchase confirm order-2",
	  GY_NEEDS_SCHEMA, NULL, confirm },
	{ "purchase cancel", "PURCHASE-ID", 1, 1,
	  "Cancels a held purchase: the money is free again", NULL,
	  "  gyroctl purchase cancel order-2", GY_NEEDS_SCHEMA, NULL, cancel },
	{ "purchase refund", "PURCHASE-ID", 1, 1,
	  "Gives the price back for a card that nobody used",
	  "A new, opposite entry of the ledger; the card is revoked.",
	  "  gyroctl purchase refund order-1", GY_NEEDS_SCHEMA, NULL, refund },
	{ "purchase list", "", 0, 0, "Lists purchases, the newest last", WHO,
	  "  gyroctl purchase list --buyer 1\n  gyroctl purchase list --state held --json",
	  GY_NEEDS_SCHEMA, list_flags, list },
	{ "purchase show", "PURCHASE-ID", 1, 1, "Shows a purchase and its entries in the ledger",
	  NULL, "  gyroctl purchase show order-1", GY_NEEDS_SCHEMA, NULL, show },
	GY_COMMANDS_END,
};
