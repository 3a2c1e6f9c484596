/* gyroctl tariff, rating-group, context: the catalogue as it stands in the database. It changes by
 * gyroctl apply. */
#include "deploy/gyroctl/ctl.h"
#include "deploy/gyroctl/db.h"
#include "deploy/gyroctl/table.h"
#include "deploy/gyroctl/words.h"

static const struct gy_column tariff_columns[] = {
	{ .key = "code" },
	{ .key = "name" },
	{ .key = "rules", .kind = GY_NUMBER },
	{ .key = "subscribers", .kind = GY_NUMBER },
	GY_COLUMNS_END,
};

#define TARIFF_SQL                                                                                 \
	"SELECT t.code, t.name,"                                                                   \
	" (SELECT count(*) FROM gyro.specific_rule r WHERE r.tariff_id = t.tariff_id) AS rules,"   \
	" (SELECT count(*) FROM gyro.subscriber s WHERE s.tariff_id = t.tariff_id) AS subscribers" \
	" FROM gyro.specific_tariff t"

static enum gy_exit list(struct gy_ctl *ctl, const struct gy_args *args)
{
	struct gy_rows *rows = gy_db_query(ctl, TARIFF_SQL " ORDER BY t.code");

	(void)args;
	if (!rows)
		return ctl->status;
	gy_out_table(ctl, NULL, tariff_columns, rows);
	return GY_EXIT_OK;
}

static const struct gy_column rule_columns[] = {
	{ .key = "rule_id", .title = "rule", .kind = GY_NUMBER },
	{ .key = "rating_group", .kind = GY_NUMBER },
	{ .key = "rating_group_name", .title = "name" },
	{ .key = "unit", .kind = GY_WORD, .words = gy_words_unit },
	{ .key = "kind", .kind = GY_WORD, .words = gy_words_rule_kind },
	{ .key = "price", .kind = GY_MONEY },
	{ .key = "per", .kind = GY_UNITS, .unit = "unit" },
	{ .key = "valid_from", .kind = GY_INSTANT },
	{ .key = "valid_until", .kind = GY_INSTANT },
	{ .key = "valid_now", .title = "now", .kind = GY_BOOL },
	GY_COLUMNS_END,
};

static const struct gy_column dynamic_columns[] = {
	{ .key = "rule_id", .title = "rule", .kind = GY_NUMBER },
	{ .key = "tariff" },
	{ .key = "code" },
	{ .key = "attribute" },
	{ .key = "when" },
	{ .key = "rating_group", .kind = GY_NUMBER },
	{ .key = "unit", .kind = GY_WORD, .words = gy_words_unit },
	{ .key = "effect", .kind = GY_WORD, .words = gy_words_effect },
	{ .key = "price", .kind = GY_MONEY },
	{ .key = "per", .kind = GY_UNITS, .unit = "unit" },
	{ .key = "operand" },
	{ .key = "precedence", .kind = GY_NUMBER },
	{ .key = "stack_group", .title = "stack", .kind = GY_NUMBER },
	{ .key = "valid_from", .kind = GY_INSTANT },
	{ .key = "valid_until", .kind = GY_INSTANT },
	GY_COLUMNS_END,
};

/* The dynamic rules that may touch a tariff: its own and those of any. */
static bool show_dynamic(struct gy_ctl *ctl, const char *code)
{
	struct gy_rows *rows = gy_db_query(
		ctl,
		"SELECT r.rule_id, t.code AS tariff, c.code, a.name AS attribute,"
		" CASE r.match WHEN 1 THEN CASE WHEN a.name IS NOT NULL THEN 'any value' END"
		"  WHEN 2 THEN '= ' || low WHEN 3 THEN 'in ' || array_to_string(set_values, ', ')"
		"  WHEN 4 THEN concat_ws(' ', 'from ' || low, 'to below ' || high)"
		"  ELSE 'missing' END AS when,"
		" r.rating_group, r.unit, r.effect,"
		" CASE WHEN r.effect IN (2, 4, 6, 7) THEN r.amount END AS price,"
		" CASE WHEN r.effect IN (2, 4, 6, 7) THEN r.block END AS per,"
		" CASE WHEN r.effect = 3 THEN trim_scale(r.amount::numeric / 1000000)::text"
		"  WHEN r.effect IN (5, 8) THEN r.amount::text WHEN r.effect = 9 THEN r.amount || "
		"' s'"
		"  WHEN r.effect = 10 THEN r.redirect_address END AS operand,"
		" r.precedence, nullif(r.stack_group, 0) AS stack_group, r.valid_from, "
		"r.valid_until"
		" FROM gyro.dynamic_rule r LEFT JOIN gyro.specific_tariff t USING (tariff_id)"
		" LEFT JOIN gyro.dynamic_code c USING (code_id)"
		" LEFT JOIN gyro.attribute_type a ON a.attribute_id = coalesce(c.attribute_id,"
		" r.attribute_id)"
		" WHERE t.code = $1 OR t.code IS NULL"
		" ORDER BY c.code, a.name, r.rating_group, r.effect, r.rule_id",
		code);

	if (rows)
		gy_out_table(ctl, "dynamic_rules", dynamic_columns, rows);
	return rows != NULL;
}

static enum gy_exit show(struct gy_ctl *ctl, const struct gy_args *args)
{
	struct gy_rows *rows = gy_db_query(ctl, TARIFF_SQL " WHERE t.code = $1", args->words[0]);

	if (!rows)
		return ctl->status;
	if (rows->n == 0)
		return gy_fail(ctl, GY_EXIT_FAILED,
			       "tariff %s does not exist: gyroctl tariff list shows what does",
			       args->words[0]);
	gy_out_fields(ctl, "tariff", tariff_columns, rows, 0);
	rows = gy_db_query(
		ctl,
		"SELECT r.rule_id, r.rating_group, g.name AS rating_group_name, r.unit, r.kind,"
		" CASE WHEN r.kind = 0 THEN r.price_micros END AS price,"
		" CASE WHEN r.kind = 0 THEN r.block END AS per, r.valid_from, r.valid_until,"
		" r.valid_from <= now() AND now() < r.valid_until AS valid_now"
		" FROM gyro.specific_rule r JOIN gyro.specific_tariff t USING (tariff_id)"
		" JOIN gyro.rating_group g USING (rating_group)"
		" WHERE t.code = $1 ORDER BY r.rating_group, r.unit, r.valid_from",
		args->words[0]);
	if (!rows)
		return ctl->status;
	gy_out_table(ctl, "rules", rule_columns, rows);
	return show_dynamic(ctl, args->words[0]) ? GY_EXIT_OK : ctl->status;
}

static const struct gy_column group_columns[] = {
	{ .key = "rating_group", .kind = GY_NUMBER },
	{ .key = "name" },
	{ .key = "default_grant", .kind = GY_SIZE },
	{ .key = "max_grant", .kind = GY_SIZE },
	{ .key = "threshold", .kind = GY_SIZE },
	{ .key = "validity_s", .title = "validity", .kind = GY_DURATION },
	{ .key = "quota_holding_s", .title = "quota holding", .kind = GY_DURATION },
	{ .key = "final_unit", .kind = GY_WORD, .words = gy_words_final_unit },
	{ .key = "redirect_address", .title = "redirect" },
	{ .key = "redirect_type", .kind = GY_WORD, .words = gy_words_redirect, .detail = true },
	{ .key = "filter_ids", .title = "filters", .kind = GY_LIST },
	{ .key = "min_grant", .kind = GY_SIZE, .detail = true },
	{ .key = "target_s", .title = "target", .kind = GY_DURATION, .detail = true },
	{ .key = "validity_jitter", .title = "jitter %", .kind = GY_NUMBER, .detail = true },
	{ .key = "pool", .kind = GY_NUMBER, .detail = true },
	GY_COLUMNS_END,
};

static enum gy_exit groups(struct gy_ctl *ctl, const struct gy_args *args)
{
	struct gy_rows *rows = gy_db_query(
		ctl,
		"SELECT rating_group, name, default_grant, max_grant, threshold, validity_s, "
		"quota_holding_s,"
		" final_unit, redirect_address, redirect_type, to_json(filter_ids) AS filter_ids,"
		" min_grant, target_s, validity_jitter, pool"
		" FROM gyro.rating_group ORDER BY rating_group");

	(void)args;
	if (!rows)
		return ctl->status;
	gy_out_table(ctl, NULL, group_columns, rows);
	return GY_EXIT_OK;
}

static const struct gy_column context_columns[] = {
	{ .key = "suffix", .title = "Service-Context-Id (or .suffix)" },
	{ .key = "default_rating_group", .kind = GY_NUMBER },
	{ .key = "cards", .title = "card operations", .kind = GY_BOOL },
	GY_COLUMNS_END,
};

static enum gy_exit contexts(struct gy_ctl *ctl, const struct gy_args *args)
{
	struct gy_rows *rows = gy_db_query(
		ctl, "SELECT suffix, default_rating_group, cards FROM gyro.service_context"
		     " ORDER BY suffix");

	(void)args;
	if (!rows)
		return ctl->status;
	gy_out_table(ctl, NULL, context_columns, rows);
	return GY_EXIT_OK;
}

const struct gy_command gy_tariff_commands[] = {
	{ "tariff list", "", 0, 0, "Lists specific tariff codes", NULL, "  gyroctl tariff list",
	  GY_NEEDS_SCHEMA, NULL, list },
	{ "tariff show", "CODE", 1, 1, "Shows the rules of a tariff: what each Rating-Group costs",
	  "The price is per so many units and linear: blocks are not rounded up. Dynamic rules of "
	  "this\n"
	  "tariff and of any are shown with it.",
	  "  gyroctl tariff show standard", GY_NEEDS_SCHEMA, NULL, show },
	{ "rating-group list", "", 0, 0,
	  "Lists Rating-Groups: how their grants are sized and shaped", NULL,
	  "  gyroctl rating-group list", GY_NEEDS_SCHEMA, NULL, groups },
	{ "context list", "", 0, 0, "Lists the service contexts that are charged", NULL,
	  "  gyroctl context list", GY_NEEDS_SCHEMA, NULL, contexts },
	GY_COMMANDS_END,
};
