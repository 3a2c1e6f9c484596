/* gyroctl explain: the whole story of past requests, rebuilt from their records by the functions
 * that priced them: the archived catalogue, what was acquired (gyro.record.inputs), the same
 * determine and generate. It decides nothing and changes nothing; where what it finds is not what
 * was recorded, it says so, and fails. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <talloc.h>

#include "core/charging/counters.h"
#include "core/charging/inputs.h"
#include "deploy/gyroctl/amount.h"
#include "deploy/gyroctl/ctl.h"
#include "deploy/gyroctl/db.h"
#include "deploy/gyroctl/pick.h"
#include "deploy/gyroctl/story.h"
#include "deploy/gyroctl/table.h"
#include "deploy/gyroctl/words.h"

/* One request on its way to paper. */
struct telling {
	struct gy_ctl *ctl;
	struct gy_story story;
	const struct gy_catalogue *catalogue; /* NULL: the record names none */
	gy_time_us at;
	int32_t zone_id, tariff_id; /* the subscriber's, as of then */
	const char *inputs;
	const struct gy_rows *charges;
	bool differs; /* something explained is not what was recorded */
};

static int64_t number(const struct gy_rows *rows, int row, const char *column)
{
	const char *text = gy_rows_get(rows, row, column);

	return text ? strtoll(text, NULL, 10) : 0;
}

/* --- the record ------------------------------------------------------------------------------- */

static struct gy_rows *requests_of(struct gy_ctl *ctl, const char *key, const char *request)
{
	return gy_db_query(
		ctl,
		"SELECT r.at, r.account_id, r.subscriber_id, r.opened, r.request_type, "
		"r.request_number,"
		" r.end_to_end, r.result, r.debit, r.balance, r.reserved, r.catalogue, r.inputs,"
		" r.session, i.session_id, g.origin_host AS gateway, s.tariff_id,"
		" coalesce(s.zone_id, 0) AS zone_id, s.identity,"
		" coalesce((SELECT t->>'code' FROM "
		"jsonb_array_elements(k.content->'specific_tariff') t"
		"  WHERE (t->>'tariff_id')::integer = s.tariff_id),"
		"  (SELECT code FROM gyro.specific_tariff n WHERE n.tariff_id = s.tariff_id)) AS "
		"tariff,"
		" gyro.correlation_part(r.correlation, 'cause') AS termination_cause,"
		" gyro.correlation_part(r.correlation, 'correlation') AS correlation_id,"
		" coalesce(gyro.correlation_part(r.correlation, 'multi'),"
		"   '0x' || gyro.correlation_part(r.correlation, 'multi-hex')) AS multi_session_id"
		" FROM gyro.record r LEFT JOIN gyro.session_index i USING (session)"
		" LEFT JOIN gyro.gateway g ON g.gateway_id = r.gateway_id"
		" LEFT JOIN gyro.catalogue_archive k ON k.version = r.catalogue"
		" LEFT JOIN LATERAL gyro.subscriber_then(r.subscriber_id, r.at, r.flags >> 8) s ON "
		"true"
		" WHERE r.session = $1 AND ($2::bigint IS NULL OR r.request_number = $2)"
		/* Records are kept by day and found by time; the clock may have been set back. */
		" AND r.at >= (SELECT opened - interval '3 hours' FROM gyro.session_index"
		"               WHERE session = $1)"
		" ORDER BY r.at, r.request_type, r.request_number",
		key, request);
}

/* Flags of a charge (core/charging/decide.h). */
enum { PART = 16, SHRUNK = 256 };

static const struct gy_column charge_columns[] = {
	{ .key = "rating_group", .title = "RG", .kind = GY_NUMBER },
	{ .key = "part", .kind = GY_BOOL },
	{ .key = "unit", .kind = GY_WORD, .words = gy_words_unit },
	{ .key = "used", .kind = GY_UNITS, .unit = "unit" },
	{ .key = "debit_source", .title = "source" },
	{ .key = "debit_source_id", .title = "rule", .kind = GY_NUMBER },
	{ .key = "debit_price_micros", .title = "price", .kind = GY_MONEY },
	{ .key = "debit_block", .title = "per", .kind = GY_UNITS, .unit = "unit" },
	{ .key = "debit", .kind = GY_MONEY },
	{ .key = "notes" },
	GY_COLUMNS_END,
};

static const struct gy_column grant_columns[] = {
	{ .key = "result", .kind = GY_NUMBER },
	{ .key = "unit", .kind = GY_WORD, .words = gy_words_unit },
	{ .key = "granted", .kind = GY_UNITS, .unit = "unit" },
	{ .key = "price_micros", .title = "price", .kind = GY_MONEY },
	{ .key = "block", .title = "per", .kind = GY_UNITS, .unit = "unit" },
	{ .key = "rule_id", .title = "specific rule", .kind = GY_NUMBER },
	{ .key = "reserved", .kind = GY_MONEY },
	{ .key = "carry", .kind = GY_NUMBER },
	{ .key = "validity_s", .title = "validity", .kind = GY_DURATION },
	{ .key = "threshold", .kind = GY_UNITS, .unit = "unit" },
	{ .key = "final_unit", .kind = GY_WORD, .words = gy_words_final_unit },
	{ .key = "redirect_rule", .kind = GY_NUMBER },
	{ .key = "tariff_change", .title = "Tariff-Time-Change", .kind = GY_INSTANT },
	{ .key = "pool", .kind = GY_NUMBER },
	GY_COLUMNS_END,
};

static struct gy_rows *charges_of(struct gy_ctl *ctl, const struct gy_rows *r, int row)
{
	return gy_db_query(
		ctl,
		"SELECT rating_group, service_key, position, flags & 16 <> 0 AS part, unit, used,"
		" debit_source, nullif(debit_source_id, 0) AS debit_source_id,"
		" CASE WHEN debit_block > 0 THEN debit_price_micros END AS debit_price_micros,"
		" nullif(debit_block, 0) AS debit_block, debit, result, granted, reserved,"
		" price_micros, block, nullif(rule_id, 0) AS rule_id, carry,"
		" nullif(validity_s, 0) AS validity_s, nullif(threshold, 0) AS threshold,"
		" CASE WHEN final_unit >= 0 THEN final_unit END AS final_unit,"
		" nullif(redirect_rule, 0) AS redirect_rule, pool, flags,"
		" CASE WHEN tariff_change_s > 0 THEN to_timestamp(tariff_change_s) END AS "
		"tariff_change,"
		" concat_ws(', ', CASE WHEN flags & 1 <> 0 THEN 'over-use' END,"
		"  CASE WHEN flags & 2 <> 0 THEN 'no tariff' END, CASE WHEN flags & 4 <> 0 THEN "
		"'late' END,"
		"  CASE WHEN flags & 32 <> 0 THEN 'grant in slices' END,"
		"  CASE WHEN flags & 64 <> 0 THEN 'event' END) AS notes"
		" FROM gyro.charge WHERE session = $1 AND at = $2 AND request_type = $3"
		" AND request_number = $4 ORDER BY position",
		gy_rows_get(r, row, "session"), gy_rows_get(r, row, "at"),
		gy_rows_get(r, row, "request_type"), gy_rows_get(r, row, "request_number"));
}

/* --- what was acquired, from the record's lines ------------------------------------------------
 */

/* One line: service, code, attribute, origin, type, number or text (core/charging/inputs.h). */
struct input {
	int64_t service, code_id, attribute_id, origin, type;
	const char *rest;
	size_t rest_len;
};

/* The next line of *at; false at the end, or if it is none of ours. */
static bool next_input(const char **at, struct input *in)
{
	int64_t *fields[] = { &in->service, &in->code_id, &in->attribute_id, &in->origin,
			      &in->type };
	const char *p = *at;

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		char *end;

		*fields[i] = strtoll(p, &end, 10);
		if (end == p || *end != ' ')
			return false;
		p = end + 1;
	}
	in->rest = p;
	in->rest_len = strcspn(p, "\n");
	*at = p + in->rest_len + (p[in->rest_len] == '\n');
	return true;
}

static struct gy_value input_value(const struct input *in)
{
	struct gy_value value = { .type = (enum gy_value_type)in->type };

	if (value.type == GY_VALUE_TEXT)
		value.text = (struct gy_bytes){ (const uint8_t *)in->rest, in->rest_len };
	else if (value.type != GY_VALUE_NONE)
		value.number = strtoll(in->rest, NULL, 10);
	return value;
}

/* The subscriber's codes as the lines of a service name them, in force at that time. */
static unsigned codes_of(const struct telling *t, int64_t service,
			 struct gy_code_assignment codes[static GY_DYNAMIC_CODES_MAX])
{
	const char *at = t->inputs;
	struct input in;
	unsigned n = 0;

	while (next_input(&at, &in) && n < GY_DYNAMIC_CODES_MAX)
		if (in.service == service && in.code_id != 0 && in.origin < GY_INPUTS_FREE)
			codes[n++] = (struct gy_code_assignment){ (int32_t)in.code_id, INT64_MIN,
								  INT64_MAX };
	return n;
}

/* What FREE rules had given that day. */
static void free_of(const struct telling *t, int64_t service, struct gy_free_used *free,
		    struct gy_counters *counters)
{
	const char *at = t->inputs;
	struct input in;

	*counters = (struct gy_counters){ .at_us = t->at, .free = free };
	while (next_input(&at, &in) && counters->n_free < GY_FREE_USED_MAX)
		if (in.service == service && in.origin == GY_INPUTS_FREE)
			free[counters->n_free++] =
				(struct gy_free_used){ .rule_id = in.code_id,
						       .units = input_value(&in).number };
}

/* The acquired struct as it was: its shape by gy_tariff_acquire from the recorded codes, its values
 * from the lines. */
static enum gy_rc acquire_again(const struct telling *t, int64_t service,
				struct gy_rating_input *input, struct gy_acquired *acquired)
{
	struct gy_code_assignment codes[GY_DYNAMIC_CODES_MAX];
	struct gy_attributes attributes = { .zone_id = t->zone_id, .codes = codes };
	const char *at = t->inputs;
	enum gy_rc rc;
	struct input in;

	attributes.n_codes = codes_of(t, service, codes);
	input->attributes = &attributes;
	rc = gy_tariff_acquire(t->catalogue->dynamic, input, acquired);
	input->attributes = NULL;
	if (rc != GY_OK)
		return rc;
	while (next_input(&at, &in)) {
		for (unsigned i = 0; in.service == service && i < acquired->n; i++) {
			struct gy_acquired_code *a = &acquired->codes[i];

			if (in.origin >= GY_INPUTS_FREE ||
			    (a->code ? a->code->code_id : 0) != in.code_id ||
			    (a->attribute ? a->attribute->attribute_id : 0) != in.attribute_id)
				continue;
			a->value = input_value(&in);
			a->origin = (enum gy_origin)in.origin;
		}
	}
	return GY_OK;
}

static bool has_inputs(const struct telling *t, int64_t service)
{
	const char *at = t->inputs;
	struct input in;

	while (next_input(&at, &in))
		if (in.service == service && in.origin < GY_INPUTS_FREE)
			return true;
	return false;
}

/* --- the price ---------------------------------------------------------------------------------
 */

static const struct gy_specific_rule *specific_of(const struct telling *t, int64_t rule_id)
{
	for (unsigned i = 0; rule_id != 0 && i < t->catalogue->n_rules; i++)
		if (t->catalogue->rules[i].rule_id == rule_id)
			return &t->catalogue->rules[i];
	return NULL;
}

static void told_rate(struct telling *t, int charge, const struct gy_tariff_result *result)
{
	int64_t price = number(t->charges, charge, "price_micros");
	int64_t block = number(t->charges, charge, "block");
	int64_t granted = number(t->charges, charge, "granted");
	void *pool = t->ctl->pool;
	bool same;

	if (result->kind != GY_RULE_PRICED) {
		gy_story_say(&t->story, "price", json_string(gy_words_rule_kind[result->kind]),
			     "The service is %s.", gy_words_rule_kind[result->kind]);
		return;
	}
	gy_story_say(&t->story, "price",
		     json_string(gy_story_rate(pool, result->rate, result->unit)),
		     "The price is %s.", gy_story_rate(pool, result->rate, result->unit));
	if (granted == 0)
		return; /* the row keeps the price of the usage: nothing to compare with */
	same = (__int128)price * result->rate.block == (__int128)result->rate.price_micros * block;
	gy_story_say(&t->story, "as_recorded", json_boolean(same),
		     same ? "That is the price of the recorded grant."
			  : "THIS IS NOT THE RECORDED PRICE, which is %s.",
		     gy_story_rate(pool, (struct gy_rate){ price, block }, result->unit));
	t->differs |= !same;
	if (result->free_units == 0)
		return;
	granted = granted < result->free_units ? granted : result->free_units;
	gy_story_say(&t->story, "granted_free", json_integer(granted),
		     "Of the grant %lld units are free, by rule %lld.", (long long)granted,
		     (long long)result->free_rule_id);
}

static void told_free(struct telling *t, const struct gy_counters *counters)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < counters->n_free; i++) {
		const struct gy_free_used *used = &counters->free[i];

		if (used->rule_id == 0) {
			gy_story_say(
				&t->story, NULL, NULL,
				"No counter was left for other rules: they gave no free units.");
			continue;
		}
		json_array_append_new(list,
				      json_pack("{sIsI}", "rule_id", (json_int_t)used->rule_id,
						"units", (json_int_t)used->units));
		gy_story_say(&t->story, NULL, NULL,
			     "Rule %lld had given or promised %lld free units that day.",
			     (long long)used->rule_id, (long long)used->units);
	}
	if (t->story.json)
		json_object_set_new(t->story.json, "free_units_given", list);
	else
		json_decref(list);
}

static void told_price(struct telling *t, int charge, int64_t service)
{
	const struct gy_specific_rule *recorded =
		specific_of(t, number(t->charges, charge, "rule_id"));
	struct gy_rating_input input = {
		.tariff_id = recorded ? recorded->tariff_id : t->tariff_id,
		.rating_group = (uint32_t)number(t->charges, charge, "rating_group"),
		.unit = recorded ? recorded->unit
				 : (enum gy_unit)number(t->charges, charge, "unit"),
		.now = t->at,
	};
	struct gy_trace trace = gy_story_trace_new(t->ctl);
	struct gy_free_used free[GY_FREE_USED_MAX];
	struct gy_counters counters;
	struct gy_determined determined;
	struct gy_tariff_result result;
	struct gy_acquired acquired;

	if (input.unit == GY_UNIT_MONEY) {
		gy_story_say(&t->story, "price", json_string("amount"),
			     "An amount of money is its own price.");
		return;
	}
	free_of(t, service, free, &counters);
	input.counters = &counters;
	if (gy_tariff_resolve(t->catalogue, input.tariff_id, input.rating_group, input.unit,
			      input.now, &result) != GY_OK) {
		gy_story_say(&t->story, "price", json_string("none"),
			     "No specific rule of the tariff covers it (5031).");
		return;
	}
	gy_story_say(&t->story, "specific_rule", json_integer(result.rule_id),
		     "Specific rule %lld: %s, %s.", (long long)result.rule_id,
		     gy_words_rule_kind[result.kind],
		     gy_story_rate(t->ctl->pool, result.rate, result.unit));
	if (t->catalogue->dynamic && has_inputs(t, service)) {
		if (acquire_again(t, service, &input, &acquired) != GY_OK)
			return;
		gy_story_acquired(&t->story, &acquired);
		told_free(t, &counters);
		gy_tariff_determine(t->catalogue->dynamic, &input, result.unit, &acquired,
				    &determined, &trace);
		if (gy_tariff_generate(t->catalogue->dynamic, &input, &acquired, &determined,
				       &result, &trace) != GY_OK)
			return;
		gy_story_trace(&t->story, t->catalogue, &trace, result.unit);
	} else {
		gy_story_say(&t->story, NULL, NULL, "No dynamic rules were asked.");
	}
	told_rate(t, charge, &result);
}

/* --- one service, one request -------------------------------------------------------------------
 */

static struct gy_rows part_of(const struct gy_rows *rows, int first, int n)
{
	struct gy_rows part = *rows;

	part.first = rows->first + first;
	part.n = n;
	return part;
}

/* The price from an instant on that the grant may reach: as it was noted, or, without dynamic
 * rules, that of the specific rule. */
static bool price_after(const struct telling *t, int charge, int64_t service, gy_time_us then,
			struct gy_rate *rate, int64_t *rule_id)
{
	const struct gy_specific_rule *rule = specific_of(t, number(t->charges, charge, "rule_id"));
	const char *at = t->inputs;
	struct gy_tariff_result result;
	struct input in;

	while (next_input(&at, &in)) {
		if (in.service != service || in.origin != GY_INPUTS_NEXT)
			continue;
		*rate = (struct gy_rate){ in.code_id, in.attribute_id };
		*rule_id = input_value(&in).number;
		return true;
	}
	if (!rule || gy_tariff_resolve(t->catalogue, rule->tariff_id, rule->rating_group,
				       rule->unit, then, &result) != GY_OK)
		return false;
	*rate = result.rate;
	*rule_id = result.rule_id;
	return true;
}

/* A debit is rounded down to the micro-unit, what is held up; nothing of either is lost. */
static void told_rounding(struct telling *t, int charge)
{
	int64_t carry = number(t->charges, charge, "carry");

	if (carry > 0)
		gy_story_say(
			&t->story, NULL, NULL,
			"Of a micro-unit %lld/%lld are not paid yet and count in the next debit.",
			(long long)carry, (long long)number(t->charges, charge, "block"));
}

static void told_change(struct telling *t, int charge, int64_t service)
{
	const char *when = gy_rows_get(t->charges, charge, "tariff_change"), *text;
	enum gy_unit unit = (enum gy_unit)number(t->charges, charge, "unit");
	gy_time_us then = 0;
	struct gy_rate rate;
	int64_t rule_id;

	if (!when || !gy_instant_parse(when, &then) ||
	    !price_after(t, charge, service, then, &rate, &rule_id))
		return;
	text = gy_story_rate(t->ctl->pool, rate, unit);
	gy_story_say(&t->story, "price_after_change", json_string(text),
		     "From %s on the price is %s (specific rule %lld); what is held covers both.",
		     when, text, (long long)rule_id);
}

static void tell_service(struct telling *t, int first, int n, int64_t service)
{
	struct gy_rows usage = part_of(t->charges, first, n), grant = part_of(t->charges, first, 1);
	struct gy_story whole = t->story;

	if (whole.json) {
		t->story.json = json_object();
		json_array_append_new(json_object_get(whole.json, "services"), t->story.json);
	}
	gy_story_say(&t->story, "rating_group",
		     json_integer(number(t->charges, first, "rating_group")), "\nRating-Group %s",
		     gy_rows_get(t->charges, first, "rating_group"));
	gy_story_rows(&t->story, "sources", charge_columns, &usage);
	if (t->catalogue)
		told_price(t, first, service);
	gy_story_rows(&t->story, "grant", grant_columns, &grant);
	told_rounding(t, first);
	if (t->catalogue)
		told_change(t, first, service);
	t->story = whole;
}

/* A grant that the request wasn't about: another of its credit pool used a part of it. */
static void tell_shrunk(struct telling *t, int charge)
{
	struct gy_rows grant = part_of(t->charges, charge, 1);
	struct gy_story whole = t->story;

	if (whole.json) {
		t->story.json = json_object();
		json_array_append_new(json_object_get(whole.json, "services"), t->story.json);
	}
	gy_story_say(&t->story, "shrunk", json_integer(number(t->charges, charge, "rating_group")),
		     "\nWhat is left of the grant for Rating-Group %s, after others of pool %s:",
		     gy_rows_get(t->charges, charge, "rating_group"),
		     gy_rows_get(t->charges, charge, "pool"));
	gy_story_rows(&t->story, "grant", grant_columns, &grant);
	t->story = whole;
}

static const char *request_name(const struct gy_rows *r, int row)
{
	return gy_word_name(gy_words_request, (int)number(r, row, "request_type"), "request");
}

/* What the request said of the larger thing it is part of (G-31); absent values are null. */
static void tell_correlation(const struct telling *t, const struct gy_rows *r, int row)
{
	static const struct {
		const char *key, *name;
		bool is_number;
	} parts[] = {
		{ "termination_cause", "Termination-Cause", true },
		{ "correlation_id", "CC-Correlation-Id", false },
		{ "multi_session_id", "Acct-Multi-Session-Id", false },
	};

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		const char *value = gy_rows_get(r, row, parts[i].key);

		if (value == NULL && t->story.json != NULL)
			json_object_set_new(t->story.json, parts[i].key, json_null());
		if (value == NULL)
			continue;
		gy_story_say(&t->story, parts[i].key,
			     parts[i].is_number ? json_integer(strtoll(value, NULL, 10))
						: json_string(value),
			     "%s %s", parts[i].name, value);
	}
}

static void tell_head(struct telling *t, const struct gy_rows *r, int row)
{
	static const char *const texts[] = { "at", "session_id", "gateway", "identity", "tariff" };
	static const char *const numbers[] = { "request_number", "subscriber_id", "account_id",
					       "end_to_end",     "result",        "catalogue" };
	static const char *const money[] = { "debit", "balance", "reserved" };
	json_t *json = t->story.json;

	gy_story_say(&t->story, "request_type", json_string(request_name(r, row)),
		     "\n=== %s %s at %s: %s, debit %s, balance %s, reserved %s",
		     request_name(r, row), gy_rows_get(r, row, "request_number"),
		     gy_rows_get(r, row, "at"), gy_rows_get(r, row, "result"),
		     gy_story_money(t->ctl->pool, number(r, row, "debit")),
		     gy_story_money(t->ctl->pool, number(r, row, "balance")),
		     gy_story_money(t->ctl->pool, number(r, row, "reserved")));
	gy_story_say(&t->story, NULL, NULL,
		     "Subscriber %s (%s), account %s, specific code %s. Catalogue version %s.",
		     gy_rows_get(r, row, "subscriber_id"),
		     gy_rows_get(r, row, "identity") ? gy_rows_get(r, row, "identity")
						     : "found by its session",
		     gy_rows_get(r, row, "account_id"),
		     gy_rows_get(r, row, "tariff") ? gy_rows_get(r, row, "tariff") : "none",
		     gy_rows_get(r, row, "catalogue"));
	tell_correlation(t, r, row);
	if (!json)
		return;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		json_object_set_new(json, texts[i],
				    gy_rows_get(r, row, texts[i])
					    ? json_string(gy_rows_get(r, row, texts[i]))
					    : json_null());
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		json_object_set_new(json, numbers[i], json_integer(number(r, row, numbers[i])));
	for (size_t i = 0; i < sizeof(money) / sizeof(money[0]); i++)
		json_object_set_new(
			json, money[i],
			json_string(gy_story_money(t->ctl->pool, number(r, row, money[i]))));
	json_object_set_new(json, "services", json_array());
}

/* What was decided from version to version seldom changes: the last one is kept. */
static bool load(struct telling *t, int64_t version)
{
	if (version == 0) {
		t->catalogue = NULL;
		return true;
	}
	if (!t->catalogue || t->catalogue->version != version)
		t->catalogue = gy_story_catalogue(t->ctl, version);
	return t->catalogue != NULL;
}

static bool tell_request(struct telling *t, const struct gy_rows *r, int row)
{
	const char *inputs = gy_rows_get(r, row, "inputs");
	int64_t service = 0;

	t->charges = charges_of(t->ctl, r, row);
	if (!t->charges || !load(t, number(r, row, "catalogue")))
		return false;
	t->inputs = inputs ? inputs : "";
	t->tariff_id = (int32_t)number(r, row, "tariff_id");
	t->zone_id = (int32_t)number(r, row, "zone_id");
	if (!gy_instant_parse(gy_rows_get(r, row, "at"), &t->at))
		return false;
	tell_head(t, r, row);
	for (int first = 0, n; first < t->charges->n; first += n) {
		n = 1;
		if (number(t->charges, first, "flags") & SHRUNK) {
			tell_shrunk(t, first);
			continue;
		}
		while (first + n < t->charges->n &&
		       (number(t->charges, first + n, "flags") & (PART | SHRUNK)) == PART)
			n++;
		tell_service(t, first, n, service++);
	}
	return true;
}

static enum gy_exit explain(struct gy_ctl *ctl, const struct gy_args *args)
{
	const char *request = args->n_words > 1 ? args->words[1] : NULL, *key;
	json_t *list = ctl->format == GY_FORMAT_JSON ? json_array() : NULL;
	struct telling t = { .ctl = ctl, .story = { ctl, NULL } };
	struct gy_rows *rows;
	int64_t n;

	if (request && !gy_number_parse(request, 0, UINT32_MAX, &n))
		return gy_fail(ctl, GY_EXIT_USAGE, "%s is not a CC-Request-Number", request);
	if (!gy_pick_session(ctl, args->words[0], &key) || !(rows = requests_of(ctl, key, request)))
		return ctl->status;
	if (rows->n == 0)
		return gy_fail(ctl, GY_EXIT_FAILED, "session %s has no record%s%s", args->words[0],
			       request ? " of request " : "", request ? request : "");
	for (int row = 0; row < rows->n; row++) {
		if (list) {
			t.story.json = json_object();
			json_array_append_new(list, t.story.json);
		}
		if (!tell_request(&t, rows, row))
			return ctl->status;
	}
	if (list)
		gy_out_member(ctl, "requests", list);
	if (t.differs)
		return gy_fail(ctl, GY_EXIT_FAILED,
			       "a price explained is not the price recorded: please report it");
	return GY_EXIT_OK;
}

const struct gy_command gy_explain_commands[] = {
	{ "explain", "SESSION-ID [NUMBER]", 1, 2,
	  "Tells the whole story of past requests: why this price, from which sources",
	  "It runs the rating again, with the catalogue of that time and the attributes that were "
	  "read,\nand says so, and exits with 1, if the price is not the one recorded.",
	  "  gyroctl explain 'pgw1.example.net;1760000000;1'\n"
	  "  gyroctl explain 'pgw1.example.net;1760000000;1' 3 --json",
	  GY_NEEDS_SCHEMA, NULL, explain },
	GY_COMMANDS_END,
};
