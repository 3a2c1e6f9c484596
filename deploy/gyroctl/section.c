/* The sections of a catalogue file: columns, and the statements that read, put and remove a row. */
#include <string.h>
#include <talloc.h>

#include "deploy/gyroctl/catalogue.h"
#include "deploy/gyroctl/words.h"

static const struct gy_column contexts[] = {
	{ .key = "suffix" },
	{ .key = "default_rating_group", .kind = GY_NUMBER },
	GY_COLUMNS_END,
};

static const struct gy_column groups[] = {
	{ .key = "rating_group", .kind = GY_NUMBER },
	{ .key = "name" },
	{ .key = "default_grant", .kind = GY_SIZE },
	{ .key = "max_grant", .kind = GY_SIZE },
	{ .key = "threshold", .kind = GY_SIZE },
	{ .key = "validity", .kind = GY_DURATION },
	{ .key = "quota_holding", .kind = GY_DURATION },
	{ .key = "final_unit", .kind = GY_WORD, .words = gy_words_final_unit },
	{ .key = "redirect_type", .kind = GY_WORD, .words = gy_words_redirect },
	{ .key = "redirect_address" },
	{ .key = "filter_ids", .kind = GY_LIST },
	GY_COLUMNS_END,
};

static const struct gy_column tariffs[] = {
	{ .key = "code" },
	{ .key = "name" },
	GY_COLUMNS_END,
};

static const struct gy_column rules[] = {
	{ .key = "tariff" },
	{ .key = "rating_group", .kind = GY_NUMBER },
	{ .key = "unit", .kind = GY_WORD, .words = gy_words_unit },
	{ .key = "valid_from", .kind = GY_INSTANT },
	{ .key = "kind", .kind = GY_WORD, .words = gy_words_rule_kind },
	{ .key = "price", .kind = GY_MONEY },
	{ .key = "per", .kind = GY_UNITS, .unit = "unit" },
	{ .key = "valid_until", .kind = GY_INSTANT },
	GY_COLUMNS_END,
};

static const struct gy_column accounts[] = {
	{ .key = "account", .kind = GY_NUMBER },
	{ .key = "currency", .kind = GY_NUMBER },
	{ .key = "balance", .kind = GY_MONEY },
	{ .key = "credit_limit", .kind = GY_MONEY },
	{ .key = "state", .kind = GY_WORD, .words = gy_words_state },
	{ .key = "valid_until", .kind = GY_INSTANT },
	GY_COLUMNS_END,
};

static const struct gy_column subscribers[] = {
	{ .key = "subscriber", .kind = GY_NUMBER },
	{ .key = "account", .kind = GY_NUMBER },
	{ .key = "tariff" },
	{ .key = "state", .kind = GY_WORD, .words = gy_words_state },
	GY_COLUMNS_END,
};

static const struct gy_column identities[] = {
	{ .key = "kind", .kind = GY_WORD, .words = gy_words_identity },
	{ .key = "value" },
	{ .key = "subscriber", .kind = GY_NUMBER },
	GY_COLUMNS_END,
};

/* Columns of the file's rows inside a statement that is read by_file. */
#define WANTED "json_array_elements($1::json) w"

const struct gy_section gy_sections[GY_SECTIONS] = {
	[GY_CONTEXTS] = {
		"service_contexts", "service_context", contexts, "k.",
		.read = "SELECT suffix, default_rating_group FROM gyro.service_context",
		.put = "INSERT INTO gyro.service_context (suffix, default_rating_group) VALUES ($1, $2)"
		       " ON CONFLICT (suffix) DO UPDATE SET default_rating_group = excluded.default_rating_group",
		.remove = "DELETE FROM gyro.service_context WHERE suffix = $1",
	},
	[GY_GROUPS] = {
		"rating_groups", "rating_group", groups, "k..........",
		.read = "SELECT rating_group, name, default_grant, max_grant, threshold, validity_s AS validity,"
			" quota_holding_s AS quota_holding, final_unit, redirect_type, redirect_address,"
			" to_json(filter_ids) AS filter_ids FROM gyro.rating_group",
		.put = "INSERT INTO gyro.rating_group (rating_group, name, default_grant, max_grant, threshold,"
		       " validity_s, quota_holding_s, final_unit, redirect_type, redirect_address, filter_ids)"
		       " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10,"
		       "  ARRAY(SELECT f.value FROM json_array_elements_text($11::json) WITH ORDINALITY f (value, n)"
		       "   ORDER BY n))"
		       " ON CONFLICT (rating_group) DO UPDATE SET name = excluded.name,"
		       " default_grant = excluded.default_grant, max_grant = excluded.max_grant,"
		       " threshold = excluded.threshold, validity_s = excluded.validity_s,"
		       " quota_holding_s = excluded.quota_holding_s, final_unit = excluded.final_unit,"
		       " redirect_type = excluded.redirect_type, redirect_address = excluded.redirect_address,"
		       " filter_ids = excluded.filter_ids",
		.remove = "DELETE FROM gyro.rating_group WHERE rating_group = $1",
	},
	[GY_TARIFFS] = {
		"tariffs", "tariff", tariffs, "kl",
		.read = "SELECT code, name FROM gyro.specific_tariff",
		.put = "INSERT INTO gyro.specific_tariff (code, name) VALUES ($1, coalesce($2, ''))"
		       " ON CONFLICT (code) DO UPDATE SET name = excluded.name",
		.remove = "DELETE FROM gyro.specific_tariff WHERE code = $1",
	},
	/* Records name rule and price. A rule whose price changes is replaced, so that the number of a
	 * rule always means one price; the end of its validity may move. */
	[GY_RULES] = {
		"tariffs", "rule", rules, "kkkkrrr.",
		.read = "SELECT t.code AS tariff, r.rating_group, r.unit, r.valid_from, r.kind, r.price_micros AS price,"
			" r.block AS per, r.valid_until FROM gyro.specific_rule r JOIN gyro.specific_tariff t USING (tariff_id)"
			" WHERE t.code IN (SELECT w->>'code' FROM " WANTED ")",
		.by_file = true,
		.put = "INSERT INTO gyro.specific_rule (tariff_id, rating_group, unit, valid_from, kind, price_micros,"
		       " block, valid_until) SELECT t.tariff_id, g.rating_group, $3, $4, $5, $6, $7, $8"
		       " FROM gyro.specific_tariff t, gyro.rating_group g WHERE t.code = $1 AND g.rating_group = $2",
		.change = "UPDATE gyro.specific_rule r SET valid_until = $8 FROM gyro.specific_tariff t"
			  " WHERE t.code = $1 AND r.tariff_id = t.tariff_id AND r.rating_group = $2 AND r.unit = $3"
			  " AND r.valid_from = $4 AND r.kind = $5 AND r.price_micros = $6 AND r.block = $7",
		.remove = "DELETE FROM gyro.specific_rule r USING gyro.specific_tariff t WHERE t.code = $1"
			  " AND r.tariff_id = t.tariff_id AND r.rating_group = $2 AND r.unit = $3 AND r.valid_from = $4",
		.missing = "its rating_group is neither in the file nor in the database",
	},
	[GY_ACCOUNTS] = {
		"accounts", "account", accounts, "k.nlll",
		.read = "SELECT account_id AS account, currency, balance, credit_limit, state, valid_until"
			" FROM gyro.account WHERE account_id IN (SELECT (w->>'account')::bigint FROM " WANTED ")",
		.by_file = true,
		.put = "SELECT gyro.account_put($1, $2, $3, $4, $5, $6)",
	},
	[GY_SUBSCRIBERS] = {
		"subscribers", "subscriber", subscribers, "k..l",
		.read = "SELECT s.subscriber_id AS subscriber, s.account_id AS account, t.code AS tariff, s.state"
			" FROM gyro.subscriber s JOIN gyro.specific_tariff t USING (tariff_id) WHERE s.subscriber_id IN"
			" (SELECT (w->>'subscriber')::bigint FROM " WANTED ")",
		.by_file = true,
		.put = "SELECT gyro.subscriber_put($1, $2, $3, $4)",
	},
	[GY_IDENTITIES] = {
		"subscribers", "identity", identities, "kko",
		.read = "SELECT kind, value, subscriber_id AS subscriber FROM gyro.subscriber_identity WHERE subscriber_id IN"
			" (SELECT (w->>'subscriber')::bigint FROM " WANTED ")"
			" UNION SELECT i.kind, i.value, i.subscriber_id FROM gyro.subscriber_identity i"
			" JOIN " WANTED " ON i.kind = (w->>'kind')::smallint AND i.value = w->>'value'",
		.by_file = true,
		.put = "INSERT INTO gyro.subscriber_identity (kind, value, subscriber_id) VALUES ($1, $2, $3)"
		       " ON CONFLICT (kind, value) DO UPDATE SET subscriber_id = excluded.subscriber_id",
		.remove = "DELETE FROM gyro.subscriber_identity WHERE kind = $1 AND value = $2",
	},
};

int gy_section_keys(const struct gy_section *section)
{
	return (int)strspn(section->traits, "k");
}

const char *gy_section_what(void *pool, enum gy_section_id id, const char *const *cells)
{
	const struct gy_section *section = &gy_sections[id];
	struct gy_grid grid = { section->columns, gy_columns_count(section->columns), 1, cells };
	char *what = talloc_strdup(pool, section->noun);

	for (int i = 0; i < gy_section_keys(section); i++) {
		const char *text = gy_cell_text(pool, &grid, 0, i);

		if (*text)
			what = talloc_asprintf_append(what, " %s", text);
	}
	return what;
}
