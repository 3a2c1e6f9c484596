/* gyroctl product: what can be bought. Products change by gyroctl apply; their stock, which sells
 * down, by product stock. */
#include <string.h>
#include <talloc.h>

#include "core/base/limits.h"
#include "deploy/gyroctl/amount.h"
#include "deploy/gyroctl/ctl.h"
#include "deploy/gyroctl/db.h"
#include "deploy/gyroctl/pick.h"
#include "deploy/gyroctl/table.h"
#include "deploy/gyroctl/words.h"

static const struct gy_column list_columns[] = {
	{ .key = "product" },
	{ .key = "name" },
	{ .key = "price", .kind = GY_MONEY },
	{ .key = "currency", .kind = GY_NUMBER },
	{ .key = "quota", .kind = GY_UNITS, .unit = "unit" },
	{ .key = "unit", .kind = GY_WORD, .words = gy_words_unit, .detail = true },
	{ .key = "validity", .kind = GY_DURATION },
	{ .key = "directed", .kind = GY_WORD, .words = gy_words_directed },
	{ .key = "app" },
	{ .key = "audience" },
	{ .key = "hours" },
	{ .key = "on_sale_now", .title = "on sale", .kind = GY_BOOL },
	{ .key = "stock", .kind = GY_NUMBER },
	{ .key = "sold", .kind = GY_NUMBER },
	GY_COLUMNS_END,
};

#define MINUTE(column) "to_char(make_interval(mins => " column "), 'HH24:MI')"

#define PRODUCT_SQL                                                                              \
	"SELECT p.code AS product, p.name, p.price, p.currency, p.unit, p.quota,"                \
	" nullif(p.validity_s, 0) AS validity, p.validity_from, p.directed, a.name AS app,"      \
	" u.name AS audience, p.on_sale, p.on_sale AND now() >= p.sale_from"                     \
	"  AND now() < p.sale_until AND coalesce(p.stock > 0, true) AS on_sale_now,"             \
	" p.sale_from, p.sale_until, p.stock, p.per_buyer, p.hold_s AS hold, p.max_bindings,"    \
	" p.cap, p.settle, CASE WHEN p.settle = 2 THEN p.usage_price END AS usage_price,"        \
	" CASE WHEN p.settle = 2 THEN p.usage_block END AS usage_per,"                           \
	" p.priority_policy, CASE WHEN p.priority_policy = 3 THEN p.priority END AS priority,"   \
	" " MINUTE("p.window_from") " || '-' || " MINUTE(                                        \
		"p.window_until") " AS hours,"                                                   \
				  " (SELECT count(*) FROM gyro.purchase q WHERE q.product_id = " \
				  "p.product_id"                                                 \
				  "   AND q.state = 5) AS sold,"                                 \
				  " (SELECT count(*) FROM gyro.purchase q WHERE q.product_id = " \
				  "p.product_id"                                                 \
				  "   AND q.state IN (3, 4)) AS held"                            \
				  " FROM gyro.product p LEFT JOIN gyro.app a USING (app_id)"     \
				  " LEFT JOIN gyro.audience u USING (audience_id)"

static enum gy_exit list(struct gy_ctl *ctl, const struct gy_args *args)
{
	struct gy_rows *rows;
	const char *limit;

	if (!gy_pick_limit(ctl, args, 100, &limit))
		return ctl->status;
	rows = gy_db_query(ctl,
			   "SELECT * FROM (" PRODUCT_SQL ") p WHERE on_sale_now OR NOT $2::boolean"
			   " ORDER BY product LIMIT $1",
			   limit, gy_args_has(args, "on-sale") ? "true" : "false");
	if (!rows)
		return ctl->status;
	gy_pick_limited(ctl, rows, limit);
	gy_out_table(ctl, NULL, list_columns, rows);
	return GY_EXIT_OK;
}

static const struct gy_column shown_columns[] = {
	{ .key = "product" },
	{ .key = "name" },
	{ .key = "price", .kind = GY_MONEY },
	{ .key = "currency", .title = "currency (ISO 4217)", .kind = GY_NUMBER },
	{ .key = "quota", .kind = GY_UNITS, .unit = "unit" },
	{ .key = "unit", .kind = GY_WORD, .words = gy_words_unit },
	{ .key = "validity", .kind = GY_DURATION },
	{ .key = "validity_from",
	  .title = "from",
	  .kind = GY_WORD,
	  .words = gy_words_validity_from },
	{ .key = "directed",
	  .title = "directed info",
	  .kind = GY_WORD,
	  .words = gy_words_directed },
	{ .key = "app", .title = "for the app" },
	{ .key = "audience", .title = "specified users" },
	{ .key = "hours", .title = "local hours" },
	{ .key = "on_sale", .kind = GY_BOOL, .detail = true },
	{ .key = "on_sale_now", .title = "on sale now", .kind = GY_BOOL },
	{ .key = "sale_from", .kind = GY_INSTANT },
	{ .key = "sale_until", .kind = GY_INSTANT },
	{ .key = "stock", .kind = GY_NUMBER },
	{ .key = "per_buyer", .kind = GY_NUMBER },
	{ .key = "hold", .title = "to be confirmed within", .kind = GY_DURATION },
	{ .key = "max_bindings", .title = "users at a time", .kind = GY_NUMBER },
	{ .key = "cap", .title = "cap of a user", .kind = GY_UNITS, .unit = "unit" },
	{ .key = "settle", .title = "paid by", .kind = GY_WORD, .words = gy_words_settle },
	{ .key = "usage_price", .kind = GY_MONEY },
	{ .key = "usage_per", .title = "per", .kind = GY_UNITS, .unit = "unit" },
	{ .key = "priority_policy",
	  .title = "priority",
	  .kind = GY_WORD,
	  .words = gy_words_priority },
	{ .key = "priority", .title = "fixed at", .kind = GY_NUMBER },
	{ .key = "sold", .kind = GY_NUMBER },
	{ .key = "held", .title = "held by purchases", .kind = GY_NUMBER },
	GY_COLUMNS_END,
};

static enum gy_exit show_product(struct gy_ctl *ctl, const char *code)
{
	struct gy_rows *rows = gy_db_query(ctl, PRODUCT_SQL " WHERE p.code = $1", code);

	if (!rows)
		return ctl->status;
	if (rows->n == 0)
		return gy_fail(ctl, GY_EXIT_FAILED,
			       "product %s does not exist: gyroctl product list shows what does",
			       code);
	gy_out_fields(ctl, NULL, shown_columns, rows, 0);
	return GY_EXIT_OK;
}

static enum gy_exit show(struct gy_ctl *ctl, const struct gy_args *args)
{
	return show_product(ctl, args->words[0]);
}

static enum gy_exit stock(struct gy_ctl *ctl, const struct gy_args *args)
{
	const char *text = args->words[1];
	struct gy_rows *rows;
	int64_t n;

	if (strcmp(text, "unlimited") != 0 && !gy_number_parse(text, 0, GY_AMOUNT_MAX, &n))
		return gy_fail(ctl, GY_EXIT_USAGE, "%s is neither a number nor unlimited", text);
	rows = gy_db_query(ctl, "UPDATE gyro.product SET stock = $2 WHERE code = $1",
			   args->words[0], strcmp(text, "unlimited") == 0 ? NULL : text);
	if (!rows)
		return ctl->status;
	return show_product(ctl, args->words[0]);
}

static const struct gy_flag list_flags[] = {
	{ "on-sale", NULL, "those that can be bought now" },
	GY_LIMIT_FLAG,
	GY_FLAGS_END,
};

const struct gy_command gy_product_commands[] = {
	{ "product list", "", 0, 0, "Lists products: price, quota, whom and what they are for",
	  NULL, "  gyroctl product list\n  gyroctl product list --on-sale --json", GY_NEEDS_SCHEMA,
	  list_flags, list },
	{ "product show", "PRODUCT", 1, 1, "Shows a product", NULL,
	  "  gyroctl product show month-10g", GY_NEEDS_SCHEMA, NULL, show },
	{ "product stock", "PRODUCT COUNT", 2, 2, "Sets how many of a product are left",
	  "COUNT is a number or unlimited. gyroctl apply sets it only when it adds the product: "
	  "it sells down.",
	  "  gyroctl product stock festival-5g 1000", GY_NEEDS_SCHEMA, NULL, stock },
	GY_COMMANDS_END,
};
