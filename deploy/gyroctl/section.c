/* The sections of a catalogue file: columns, and the statements that read, put and remove a row. */
#include <string.h>
#include <talloc.h>

#include "deploy/gyroctl/catalogue.h"
#include "deploy/gyroctl/words.h"

static const struct gy_column contexts[] = {
	{ .key = "suffix" },
	{ .key = "default_rating_group", .kind = GY_NUMBER },
	{ .key = "apns", .kind = GY_LIST },
	{ .key = "cards", .kind = GY_BOOL },
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
	{ .key = "filter_rules", .kind = GY_LIST },
	{ .key = "provisioned", .kind = GY_BOOL },
	{ .key = "quota_consumption", .kind = GY_DURATION },
	{ .key = "triggers", .kind = GY_LIST },
	{ .key = "min_grant", .kind = GY_SIZE },
	{ .key = "target", .kind = GY_DURATION },
	{ .key = "validity_jitter", .kind = GY_NUMBER },
	{ .key = "pool", .kind = GY_NUMBER },
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

static const struct gy_column peers[] = {
	{ .key = "peer" },
	{ .key = "tariff_time_change", .kind = GY_BOOL },
	{ .key = "free", .kind = GY_WORD, .words = gy_words_free_answer },
	{ .key = "terminate_only", .kind = GY_BOOL },
	{ .key = "credit_pools", .kind = GY_BOOL },
	{ .key = "restart_ends_sessions", .kind = GY_BOOL },
	GY_COLUMNS_END,
};

static const struct gy_column zones[] = {
	{ .key = "name" },
	{ .key = "default", .kind = GY_BOOL },
	GY_COLUMNS_END,
};

static const struct gy_column calendars[] = {
	{ .key = "name" },
	{ .key = "days", .kind = GY_LIST },
	GY_COLUMNS_END,
};

static const struct gy_column networks[] = {
	{ .key = "mcc_mnc" },
	GY_COLUMNS_END,
};

static const struct gy_column attributes[] = {
	{ .key = "name" },
	{ .key = "source", .kind = GY_WORD, .words = gy_words_source },
	{ .key = "derivation", .kind = GY_WORD, .words = gy_words_derivation },
	{ .key = "type", .kind = GY_WORD, .words = gy_words_value_type },
	{ .key = "default" },
	{ .key = "on_change", .kind = GY_WORD, .words = gy_words_on_change },
	{ .key = "calendar" },
	{ .key = "all_groups", .kind = GY_BOOL },
	GY_COLUMNS_END,
};

static const struct gy_column codes[] = {
	{ .key = "code" },
	{ .key = "attribute" },
	{ .key = "on_missing", .kind = GY_WORD, .words = gy_words_on_missing },
	GY_COLUMNS_END,
};

/* What may be left out of a key is empty text there, 0 as a unit. */
static const struct gy_column dynamic_rules[] = {
	{ .key = "tariff" },
	{ .key = "code" },
	{ .key = "attribute" },
	{ .key = "rating_group" },
	{ .key = "unit", .kind = GY_WORD, .words = gy_words_unit },
	{ .key = "match", .kind = GY_WORD, .words = gy_words_match },
	{ .key = "from" },
	{ .key = "to" },
	{ .key = "in" },
	{ .key = "effect", .kind = GY_WORD, .words = gy_words_effect },
	{ .key = "precedence", .kind = GY_NUMBER },
	{ .key = "stack_group", .kind = GY_NUMBER },
	{ .key = "valid_from", .kind = GY_INSTANT },
	{ .key = "amount", .kind = GY_NUMBER },
	{ .key = "block", .kind = GY_NUMBER },
	{ .key = "redirect_type", .kind = GY_WORD, .words = gy_words_redirect },
	{ .key = "redirect_address" },
	{ .key = "valid_until", .kind = GY_INSTANT },
	GY_COLUMNS_END,
};

static const struct gy_column subscriber_zones[] = {
	{ .key = "subscriber", .kind = GY_NUMBER },
	{ .key = "zone" },
	GY_COLUMNS_END,
};

static const struct gy_column subscriber_attributes[] = {
	{ .key = "subscriber", .kind = GY_NUMBER },
	{ .key = "attribute" },
	{ .key = "value" },
	GY_COLUMNS_END,
};

static const struct gy_column subscriber_codes[] = {
	{ .key = "subscriber", .kind = GY_NUMBER },
	{ .key = "code" },
	GY_COLUMNS_END,
};

static const struct gy_column audiences[] = {
	{ .key = "name" },
	{ .key = "kind", .kind = GY_WORD, .words = gy_words_audience },
	{ .key = "attribute" },
	{ .key = "equal" },
	{ .key = "subscribers", .kind = GY_LIST },
	GY_COLUMNS_END,
};

static const struct gy_column apps[] = {
	{ .key = "name" },
	{ .key = "targets", .kind = GY_LIST },
	{ .key = "urls", .kind = GY_LIST },
	{ .key = "flows", .kind = GY_LIST },
	GY_COLUMNS_END,
};

static const struct gy_column products[] = {
	{ .key = "code" },
	{ .key = "name" },
	{ .key = "price", .kind = GY_MONEY },
	{ .key = "currency", .kind = GY_NUMBER },
	{ .key = "unit", .kind = GY_WORD, .words = gy_words_unit },
	{ .key = "quota", .kind = GY_UNITS, .unit = "unit" },
	{ .key = "validity", .kind = GY_DURATION },
	{ .key = "validity_from", .kind = GY_WORD, .words = gy_words_validity_from },
	{ .key = "directed", .kind = GY_WORD, .words = gy_words_directed },
	{ .key = "app" },
	{ .key = "audience" },
	{ .key = "on_sale", .kind = GY_BOOL },
	{ .key = "sale_from", .kind = GY_INSTANT },
	{ .key = "sale_until", .kind = GY_INSTANT },
	{ .key = "stock", .kind = GY_NUMBER },
	{ .key = "per_buyer", .kind = GY_NUMBER },
	{ .key = "hold", .kind = GY_DURATION },
	{ .key = "max_bindings", .kind = GY_NUMBER },
	{ .key = "cap", .kind = GY_UNITS, .unit = "unit" },
	{ .key = "settle", .kind = GY_WORD, .words = gy_words_settle },
	{ .key = "usage_price", .kind = GY_MONEY },
	{ .key = "usage_per", .kind = GY_UNITS, .unit = "unit" },
	{ .key = "priority_policy", .kind = GY_WORD, .words = gy_words_priority },
	{ .key = "priority", .kind = GY_NUMBER },
	{ .key = "hours" },
	GY_COLUMNS_END,
};

/* Columns of the file's rows inside a statement that is read by_file. */
#define WANTED "json_array_elements($1::json) w"

/* A parameter that is a JSON array, as an array of texts. */
#define TEXTS(parameter)                                                \
	"ARRAY(SELECT f.value FROM json_array_elements_text(" parameter \
	"::json) WITH ORDINALITY f (value, n) ORDER BY n)"

#define DYNAMIC_FROM                                                                   \
	" FROM gyro.dynamic_rule r LEFT JOIN gyro.specific_tariff t USING (tariff_id)" \
	" LEFT JOIN gyro.dynamic_code c USING (code_id)"                               \
	" LEFT JOIN gyro.attribute_type a ON a.attribute_id = r.attribute_id"

/* One rule by the key $1 to $13. */
#define DYNAMIC_KEY                                                                              \
	"(SELECT r.rule_id" DYNAMIC_FROM " WHERE coalesce(t.code, '') = $1::text"                \
	" AND coalesce(c.code, '') = $2::text AND coalesce(a.name, '') = $3::text"               \
	" AND coalesce(r.rating_group::text, '') = $4::text"                                     \
	" AND coalesce(r.unit, 0) = $5::smallint AND r.match = $6::smallint"                     \
	" AND coalesce(r.low, '') = $7::text AND coalesce(r.high, '') = $8::text"                \
	" AND coalesce(to_json(r.set_values)::text, '') = $9::text AND r.effect = $10::smallint" \
	" AND r.precedence = $11::integer AND r.stack_group = $12::integer"                      \
	" AND r.valid_from = $13::timestamptz)"

/* Lists of an app, sorted as the reader of the file sorts them. */
#define APP_LIST(what, table)                                                           \
	"to_json(ARRAY(SELECT word FROM (SELECT " what " AS word FROM gyro." table " x" \
	" WHERE x.app_id = a.app_id) l ORDER BY word COLLATE \"C\"))"

/* A product that was ever bought stays, off sale. */
#define BOUGHT "EXISTS (SELECT FROM gyro.purchase q WHERE q.product_id = p.product_id)"

const struct gy_section gy_sections[GY_SECTIONS] = {
	[GY_CONTEXTS] = {
		"service_contexts", "service_context", contexts, "k...",
		.read = "SELECT suffix, default_rating_group, to_json(apns) AS apns, cards FROM gyro.service_context",
		.put = "INSERT INTO gyro.service_context (suffix, default_rating_group, apns, cards) VALUES ($1, $2,"
		       " CASE WHEN $3::json IS NOT NULL THEN " TEXTS("$3") " END, $4)"
		       " ON CONFLICT (suffix) DO UPDATE SET default_rating_group = excluded.default_rating_group,"
		       " apns = excluded.apns, cards = excluded.cards",
		.remove = "DELETE FROM gyro.service_context WHERE suffix = $1",
		.kept = "cards@gyro",
	},
	[GY_GROUPS] = {
		"rating_groups", "rating_group", groups, "k..................",
		.read = "SELECT rating_group, name, default_grant, max_grant, threshold, validity_s AS validity,"
			" quota_holding_s AS quota_holding, final_unit, redirect_type, redirect_address,"
			" to_json(filter_ids) AS filter_ids, to_json(filter_rules) AS filter_rules, provisioned,"
			" quota_consumption_s AS quota_consumption, to_json(triggers) AS triggers,"
			" min_grant, target_s AS target, validity_jitter, pool FROM gyro.rating_group",
		.put = "INSERT INTO gyro.rating_group (rating_group, name, default_grant, max_grant, threshold,"
		       " validity_s, quota_holding_s, final_unit, redirect_type, redirect_address, filter_ids,"
		       " filter_rules, provisioned, quota_consumption_s, triggers, min_grant, target_s, validity_jitter, pool)"
		       " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, " TEXTS("$11") ", " TEXTS("$12") ", $13, $14,"
		       "  CASE WHEN $15::json IS NOT NULL THEN " TEXTS("$15") "::integer[] END, $16, $17, $18, $19)"
		       " ON CONFLICT (rating_group) DO UPDATE SET name = excluded.name,"
		       " default_grant = excluded.default_grant, max_grant = excluded.max_grant,"
		       " threshold = excluded.threshold, validity_s = excluded.validity_s,"
		       " quota_holding_s = excluded.quota_holding_s, final_unit = excluded.final_unit,"
		       " redirect_type = excluded.redirect_type, redirect_address = excluded.redirect_address,"
		       " filter_ids = excluded.filter_ids, filter_rules = excluded.filter_rules,"
		       " provisioned = excluded.provisioned, quota_consumption_s = excluded.quota_consumption_s,"
		       " triggers = excluded.triggers, min_grant = excluded.min_grant,"
		       " target_s = excluded.target_s, validity_jitter = excluded.validity_jitter,"
		       " pool = excluded.pool",
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
		.early = true,
		.valid_until = 7,
	},
	[GY_PEERS] = {
		"peers", "peer", peers, "k.....",
		.read = "SELECT peer, tariff_time_change, free_answer AS free, terminate_only, credit_pools,"
			" restart_ends_sessions FROM gyro.peer_profile",
		.put = "INSERT INTO gyro.peer_profile (peer, tariff_time_change, free_answer, terminate_only,"
		       " credit_pools, restart_ends_sessions) VALUES ($1, $2, $3, $4, $5, $6)"
		       " ON CONFLICT (peer) DO UPDATE SET"
		       " tariff_time_change = excluded.tariff_time_change, free_answer = excluded.free_answer,"
		       " terminate_only = excluded.terminate_only, credit_pools = excluded.credit_pools,"
		       " restart_ends_sessions = excluded.restart_ends_sessions",
		.remove = "DELETE FROM gyro.peer_profile WHERE peer = $1",
	},
	[GY_ZONES] = {
		"time_zones", "time_zone", zones, "k.",
		.read = "SELECT name, is_default AS default FROM gyro.time_zone",
		.put = "INSERT INTO gyro.time_zone (name, is_default) VALUES ($1, $2)"
		       " ON CONFLICT (name) DO UPDATE SET is_default = excluded.is_default",
		.remove = "DELETE FROM gyro.time_zone WHERE name = $1",
	},
	[GY_CALENDARS] = {
		"calendars", "calendar", calendars, "k.",
		.read = "SELECT name, to_json(ARRAY(SELECT to_char(day, 'YYYY-MM-DD') FROM gyro.calendar_day d"
			" WHERE d.calendar_id = c.calendar_id ORDER BY day)) AS days FROM gyro.calendar c",
		.put = "WITH c AS (INSERT INTO gyro.calendar (name) VALUES ($1)"
		       " ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING calendar_id),"
		       " wanted AS (SELECT value::date AS day FROM json_array_elements_text($2::json)),"
		       " gone AS (DELETE FROM gyro.calendar_day d USING c WHERE d.calendar_id = c.calendar_id"
		       "  AND d.day NOT IN (SELECT day FROM wanted)),"
		       " come AS (INSERT INTO gyro.calendar_day (calendar_id, day) SELECT c.calendar_id, w.day"
		       "  FROM c, wanted w ON CONFLICT DO NOTHING)"
		       " SELECT calendar_id FROM c",
		.remove = "DELETE FROM gyro.calendar WHERE name = $1",
	},
	[GY_HOME_NETWORKS] = {
		"home_networks", "home_network", networks, "k",
		.read = "SELECT mcc_mnc FROM gyro.home_network",
		.put = "INSERT INTO gyro.home_network (mcc_mnc) VALUES ($1)",
		.remove = "DELETE FROM gyro.home_network WHERE mcc_mnc = $1",
	},
	[GY_ATTRIBUTES] = {
		"attributes", "attribute", attributes, "k.......",
		.read = "SELECT a.name, source, derivation, value_type AS type, default_value AS default, on_change,"
			" c.name AS calendar, all_groups FROM gyro.attribute_type a LEFT JOIN gyro.calendar c USING (calendar_id)",
		.put = "INSERT INTO gyro.attribute_type (name, source, derivation, value_type, default_value, on_change,"
		       " calendar_id, all_groups) SELECT $1, $2, $3, $4, $5, $6, c.calendar_id, $8"
		       " FROM (SELECT) one LEFT JOIN gyro.calendar c ON c.name = $7::text"
		       " WHERE $7::text IS NULL OR c.name IS NOT NULL"
		       " ON CONFLICT (name) DO UPDATE SET source = excluded.source, derivation = excluded.derivation,"
		       " value_type = excluded.value_type, default_value = excluded.default_value,"
		       " on_change = excluded.on_change, calendar_id = excluded.calendar_id, all_groups = excluded.all_groups",
		.remove = "DELETE FROM gyro.attribute_type WHERE name = $1",
		.missing = "its calendar is neither in the file nor in the database",
	},
	[GY_DYNAMIC_CODES] = {
		"dynamic_codes", "dynamic_code", codes, "k..",
		.read = "SELECT code, name AS attribute, on_missing FROM gyro.dynamic_code JOIN gyro.attribute_type USING (attribute_id)",
		.put = "INSERT INTO gyro.dynamic_code (code, attribute_id, on_missing) SELECT $1, attribute_id, $3"
		       " FROM gyro.attribute_type WHERE name = $2"
		       " ON CONFLICT (code) DO UPDATE SET attribute_id = excluded.attribute_id, on_missing = excluded.on_missing",
		.remove = "DELETE FROM gyro.dynamic_code WHERE code = $1",
		.missing = "its attribute is neither in the file nor in the database",
	},
	/* As specific rules: another operand is another rule, with another number. */
	[GY_DYNAMIC_RULES] = {
		"dynamic_rules", "dynamic_rule", dynamic_rules, "kkkkkkkkkkkkkrrrr.",
		.read = "SELECT r.rule_id, coalesce(t.code, '') AS tariff, coalesce(c.code, '') AS code,"
			" coalesce(a.name, '') AS attribute, coalesce(r.rating_group::text, '') AS rating_group,"
			" coalesce(r.unit, 0) AS unit, r.match, coalesce(r.low, '') AS from, coalesce(r.high, '') AS to,"
			" coalesce(to_json(r.set_values)::text, '') AS in, r.effect, r.precedence, r.stack_group,"
			" r.valid_from, r.amount, r.block, r.redirect_type, r.redirect_address, r.valid_until" DYNAMIC_FROM,
		.put = "INSERT INTO gyro.dynamic_rule (tariff_id, code_id, attribute_id, rating_group, unit, match, low,"
		       " high, set_values, effect, precedence, stack_group, valid_from, amount, block, redirect_type,"
		       " redirect_address, valid_until)"
		       " SELECT t.tariff_id, c.code_id, a.attribute_id, g.rating_group, nullif($5::smallint, 0), $6::smallint,"
		       " nullif($7::text, ''), nullif($8::text, ''), CASE WHEN $9::text <> '' THEN"
		       " ARRAY(SELECT value FROM json_array_elements_text(nullif($9::text, '')::json) WITH ORDINALITY e (value, n)"
		       " ORDER BY n) END, $10::smallint, $11::integer, $12::integer, $13::timestamptz, $14::bigint, $15::bigint,"
		       " $16::smallint, $17::text, $18::timestamptz"
		       " FROM (SELECT) one LEFT JOIN gyro.specific_tariff t ON t.code = $1::text"
		       " LEFT JOIN gyro.dynamic_code c ON c.code = $2::text LEFT JOIN gyro.attribute_type a ON a.name = $3::text"
		       " LEFT JOIN gyro.rating_group g ON g.rating_group = nullif($4::text, '')::bigint"
		       " WHERE ($1::text = '' OR t.code IS NOT NULL) AND ($2::text = '' OR c.code IS NOT NULL)"
		       " AND ($3::text = '' OR a.name IS NOT NULL) AND ($4::text = '' OR g.rating_group IS NOT NULL)",
		.change = "UPDATE gyro.dynamic_rule SET valid_until = $18::timestamptz WHERE rule_id = " DYNAMIC_KEY
			  " AND amount = $14::bigint AND block = $15::bigint"
			  " AND redirect_type IS NOT DISTINCT FROM $16::smallint"
			  " AND redirect_address IS NOT DISTINCT FROM $17::text",
		.remove = "DELETE FROM gyro.dynamic_rule WHERE rule_id = " DYNAMIC_KEY,
		.missing = "its tariff, code, attribute or rating_group is neither in the file nor in the database",
		.early = true,
		.valid_until = 17,
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
		.early = true,
	},
	[GY_SUBSCRIBER_ZONES] = {
		"subscribers", "zone of subscriber", subscriber_zones, "k.",
		.read = "SELECT s.subscriber_id AS subscriber, z.name AS zone FROM gyro.subscriber s"
			" LEFT JOIN gyro.time_zone z USING (zone_id) WHERE s.subscriber_id IN"
			" (SELECT (w->>'subscriber')::bigint FROM " WANTED ")",
		.by_file = true,
		.put = "UPDATE gyro.subscriber s SET zone_id = z.zone_id FROM gyro.time_zone z"
		       " WHERE s.subscriber_id = $1 AND z.name = $2",
		.missing = "its zone is neither in the file nor in the database",
	},
	/* What is in force now, or, where changes wait for running grants to end, will be then; a new value is in force
	 * from then on, what goes ends then. */
	[GY_SUBSCRIBER_ATTRIBUTES] = {
		"subscribers", "attribute of subscriber", subscriber_attributes, "kk.",
		.read = "SELECT s.subscriber_id AS subscriber, a.name AS attribute, s.value FROM gyro.subscriber_attribute s"
			" JOIN gyro.attribute_type a USING (attribute_id) CROSS JOIN LATERAL (SELECT coalesce(CASE a.on_change"
			" WHEN 3 THEN gyro.change_time(s.subscriber_id, s.attribute_id) END, clock_timestamp()) AS at) m"
			" WHERE s.valid_from <= m.at AND m.at < s.valid_until AND s.subscriber_id IN"
			" (SELECT (w->>'subscriber')::bigint FROM " WANTED ")",
		.by_file = true,
		.put = "SELECT gyro.attribute_set($1, $2, $3)",
		.remove = "SELECT gyro.attribute_set($1, $2, NULL)",
		.early = true,
	},
	[GY_SUBSCRIBER_CODES] = {
		"subscribers", "dynamic_code of subscriber", subscriber_codes, "kk",
		.read = "SELECT s.subscriber_id AS subscriber, c.code FROM gyro.subscriber_dynamic_code s"
			" JOIN gyro.dynamic_code c USING (code_id) WHERE s.valid_from <= clock_timestamp()"
			" AND s.valid_until > clock_timestamp() AND s.subscriber_id IN"
			" (SELECT (w->>'subscriber')::bigint FROM " WANTED ")",
		.by_file = true,
		.put = "INSERT INTO gyro.subscriber_dynamic_code (subscriber_id, code_id, valid_from)"
		       " SELECT $1::bigint, code_id, clock_timestamp() FROM gyro.dynamic_code WHERE code = $2",
		.remove = "UPDATE gyro.subscriber_dynamic_code s SET valid_until = clock_timestamp() FROM gyro.dynamic_code c"
			  " WHERE s.code_id = c.code_id AND s.subscriber_id = $1 AND c.code = $2"
			  " AND s.valid_from <= clock_timestamp() AND s.valid_until > clock_timestamp()",
		.missing = "there is no such code, neither in the file nor in the database",
		.early = true,
	},
	/* A list is written in the file's words, if they mean those who are in it. What a card or a product that stays
	 * refers to is not there to be pruned. */
	[GY_AUDIENCES] = {
		"audiences", "audience", audiences, "k....",
		.read = "SELECT a.name, a.kind, t.name AS attribute, a.value AS equal, CASE WHEN a.kind = 2 THEN coalesce("
			" (SELECT w->>'subscribers' FROM " WANTED " WHERE w->>'name' = a.name AND w->>'subscribers' <> ''"
			"   AND ARRAY(SELECT DISTINCT gyro.subscriber_named(s.value, false)"
			"    FROM json_array_elements_text((w->>'subscribers')::json) s ORDER BY 1)"
			"   = ARRAY(SELECT subscriber_id FROM gyro.audience_member m WHERE m.audience_id = a.audience_id ORDER BY 1)),"
			" (SELECT to_json(ARRAY(SELECT subscriber_id::text FROM gyro.audience_member m"
			"   WHERE m.audience_id = a.audience_id ORDER BY subscriber_id))::text)) END AS subscribers"
			" FROM gyro.audience a LEFT JOIN gyro.attribute_type t USING (attribute_id)"
			" WHERE a.name IN (SELECT w->>'name' FROM " WANTED ")"
			" OR NOT EXISTS (SELECT FROM gyro.card k WHERE k.audience_id = a.audience_id)"
			" AND NOT EXISTS (SELECT FROM gyro.product p WHERE p.audience_id = a.audience_id AND " BOUGHT ")",
		.by_file = true,
		.put = "WITH a AS (INSERT INTO gyro.audience (name, kind, attribute_id, value)"
		       "  SELECT $1, $2::smallint, t.attribute_id, $4 FROM (SELECT) one"
		       "  LEFT JOIN gyro.attribute_type t ON t.name = $3::text AND t.source = 1"
		       "  WHERE $3::text IS NULL OR t.name IS NOT NULL ON CONFLICT (name) DO UPDATE SET kind = excluded.kind,"
		       "  attribute_id = excluded.attribute_id, value = excluded.value RETURNING audience_id),"
		       " wanted AS MATERIALIZED (SELECT DISTINCT gyro.subscriber_named(value) AS id"
		       "  FROM json_array_elements_text(coalesce($5::json, '[]'))),"
		       " gone AS (DELETE FROM gyro.audience_member m USING a WHERE m.audience_id = a.audience_id"
		       "  AND m.subscriber_id NOT IN (SELECT id FROM wanted)),"
		       " come AS (INSERT INTO gyro.audience_member (audience_id, subscriber_id) SELECT audience_id, id"
		       "  FROM a, wanted ON CONFLICT DO NOTHING)"
		       " SELECT audience_id FROM a",
		.remove = "DELETE FROM gyro.audience WHERE name = $1",
		.missing = "its attribute is no stored one, neither in the file nor in the database",
	},
	[GY_APPS] = {
		"apps", "app", apps, "k...",
		.read = "SELECT a.name, "
			APP_LIST("rating_group || CASE WHEN service_id >= 0 THEN '/' || service_id ELSE '' END", "app_target")
			" AS targets, " APP_LIST("pattern", "app_url") " AS urls, "
			APP_LIST("CASE protocol WHEN -1 THEN 'any' WHEN 6 THEN 'tcp' WHEN 17 THEN 'udp' ELSE protocol::text END || ' ' ||"
				 " network::text || CASE WHEN port_low = port_high THEN ' ' || port_low"
				 " WHEN port_low > 0 OR port_high < 65535 THEN ' ' || port_low || '-' || port_high ELSE '' END", "app_flow")
			" AS flows FROM gyro.app a WHERE a.name IN (SELECT w->>'name' FROM " WANTED ")"
			" OR NOT EXISTS (SELECT FROM gyro.card k WHERE k.app_id = a.app_id)"
			" AND NOT EXISTS (SELECT FROM gyro.product p WHERE p.app_id = a.app_id AND " BOUGHT ")",
		.by_file = true,
		.put = "WITH a AS (INSERT INTO gyro.app (name) VALUES ($1) ON CONFLICT (name) DO UPDATE SET name = excluded.name"
		       "  RETURNING app_id),"
		       " t AS (SELECT split_part(value, '/', 1)::bigint AS rating_group,"
		       "  coalesce(nullif(split_part(value, '/', 2), '')::bigint, -1) AS service_id"
		       "  FROM json_array_elements_text($2::json)),"
		       " t_gone AS (DELETE FROM gyro.app_target x USING a WHERE x.app_id = a.app_id"
		       "  AND (x.rating_group, x.service_id) NOT IN (SELECT * FROM t)),"
		       " t_come AS (INSERT INTO gyro.app_target SELECT a.app_id, t.* FROM a, t ON CONFLICT DO NOTHING),"
		       " u AS (SELECT value AS pattern FROM json_array_elements_text($3::json)),"
		       " u_gone AS (DELETE FROM gyro.app_url x USING a WHERE x.app_id = a.app_id"
		       "  AND x.pattern NOT IN (SELECT pattern FROM u)),"
		       " u_come AS (INSERT INTO gyro.app_url SELECT a.app_id, u.pattern FROM a, u ON CONFLICT DO NOTHING),"
		       " f AS (SELECT CASE p[1] WHEN 'any' THEN -1 WHEN 'tcp' THEN 6 WHEN 'udp' THEN 17 ELSE p[1]::smallint END AS protocol,"
		       "  p[2]::inet AS network, coalesce(split_part(p[3], '-', 1), '0')::integer AS port_low,"
		       "  coalesce(nullif(split_part(p[3], '-', 2), ''), p[3], '65535')::integer AS port_high"
		       "  FROM json_array_elements_text($4::json) CROSS JOIN LATERAL string_to_array(value, ' ') p),"
		       " f_gone AS (DELETE FROM gyro.app_flow x USING a WHERE x.app_id = a.app_id"
		       "  AND (x.protocol, x.network, x.port_low, x.port_high) NOT IN (SELECT * FROM f)),"
		       " f_come AS (INSERT INTO gyro.app_flow SELECT a.app_id, f.* FROM a, f ON CONFLICT DO NOTHING)"
		       " SELECT app_id FROM a",
		.remove = "DELETE FROM gyro.app WHERE name = $1",
	},
	/* Stock sells down: the file's is what a new product begins with. */
	[GY_PRODUCTS] = {
		"products", "product", products, "k.............n..........",
		.read = "SELECT p.code, nullif(p.name, '') AS name, price, currency, unit, quota, validity_s AS validity, validity_from,"
			" directed, a.name AS app, u.name AS audience, on_sale, sale_from, sale_until, stock, per_buyer, hold_s AS hold,"
			" max_bindings, cap, settle, usage_price, usage_block AS usage_per, priority_policy, priority,"
			" to_char(make_interval(mins => window_from), 'HH24:MI') || '-' ||"
			" to_char(make_interval(mins => window_until), 'HH24:MI') AS hours"
			" FROM gyro.product p LEFT JOIN gyro.app a USING (app_id) LEFT JOIN gyro.audience u USING (audience_id)"
			" WHERE p.on_sale OR p.code IN (SELECT w->>'code' FROM " WANTED ") OR NOT " BOUGHT,
		.by_file = true,
		.put = "INSERT INTO gyro.product AS p (code, name, price, currency, unit, quota, validity_s, validity_from, directed, app_id,"
		       " audience_id, on_sale, sale_from, sale_until, stock, per_buyer, hold_s, max_bindings, cap, settle, usage_price,"
		       " usage_block, priority_policy, priority, window_from, window_until)"
		       " SELECT $1, coalesce($2, ''), $3, $4, $5, $6, $7, $8, $9, a.app_id, u.audience_id, $12, $13, $14, $15, $16, $17,"
		       " $18, $19, $20, $21, $22, $23, $24, h.low, h.high"
		       " FROM (SELECT extract(epoch FROM split_part($25::text, '-', 1)::interval)::integer / 60 AS low,"
		       "  extract(epoch FROM split_part($25::text, '-', 2)::interval)::integer / 60 AS high) h"
		       " LEFT JOIN gyro.app a ON a.name = $10::text LEFT JOIN gyro.audience u ON u.name = $11::text"
		       " WHERE ($10::text IS NULL OR a.name IS NOT NULL) AND ($11::text IS NULL OR u.name IS NOT NULL)"
		       " ON CONFLICT (code) DO UPDATE SET name = excluded.name, price = excluded.price, currency = excluded.currency,"
		       " unit = excluded.unit, quota = excluded.quota, validity_s = excluded.validity_s,"
		       " validity_from = excluded.validity_from, directed = excluded.directed, app_id = excluded.app_id,"
		       " audience_id = excluded.audience_id, on_sale = excluded.on_sale, sale_from = excluded.sale_from,"
		       " sale_until = excluded.sale_until, per_buyer = excluded.per_buyer, hold_s = excluded.hold_s,"
		       " max_bindings = excluded.max_bindings, cap = excluded.cap, settle = excluded.settle,"
		       " usage_price = excluded.usage_price, usage_block = excluded.usage_block,"
		       " priority_policy = excluded.priority_policy, priority = excluded.priority,"
		       " window_from = excluded.window_from, window_until = excluded.window_until",
		.remove = "WITH off AS (UPDATE gyro.product p SET on_sale = false WHERE code = $1 AND " BOUGHT " RETURNING 1),"
			  " gone AS (DELETE FROM gyro.product p WHERE code = $1 AND NOT " BOUGHT " RETURNING 1)"
			  " SELECT FROM off UNION ALL SELECT FROM gone",
		.missing = "its app or its audience is neither in the file nor in the database",
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
