/* gyroctl rate: what usage would cost now, or at another time, or with other attributes. The same
 * functions as in the node, over the catalogue as it stands in the database; nothing is charged:
 * the transaction is rolled back. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <talloc.h>
#include <time.h>

#include "core/rating/price.h"
#include "core/store/catalogue.h"
#include "deploy/gyroctl/amount.h"
#include "deploy/gyroctl/pick.h"
#include "deploy/gyroctl/story.h"
#include "deploy/gyroctl/words.h"

/* Pieces at prices of their own: free units, and what lies beyond the edge of a counter. */
#define PIECES_MAX 256
#define FREE_MAX   64

struct question {
	struct gy_ctl *ctl;
	const char *subscriber, *set; /* set: attribute=value, more by commas */
	const struct gy_catalogue *catalogue;
	struct gy_pushed *pushed;
	struct gy_attributes attributes;
	struct gy_network network;
	struct gy_counters counters;
	struct gy_free_used free[FREE_MAX];
	struct gy_rating_input input;
	int64_t units;
};

static int64_t number(const struct gy_rows *rows, int row, const char *column)
{
	const char *text = gy_rows_get(rows, row, column);

	return text ? strtoll(text, NULL, 10) : 0;
}

static gy_time_us instant(const struct gy_rows *rows, int row, const char *column)
{
	const char *text = gy_rows_get(rows, row, column);
	int64_t us = 0;

	if (!text || strcmp(text, "infinity") == 0)
		return INT64_MAX;
	if (strcmp(text, "-infinity") == 0)
		return INT64_MIN;
	return gy_instant_parse(text, &us) ? us : INT64_MIN;
}

/* --- the subscriber's side ----------------------------------------------------------------------
 */

static bool read_codes(struct question *q)
{
	struct gy_rows *rows = gy_db_query(q->ctl,
					   "SELECT code_id, valid_from, valid_until FROM"
					   " gyro.subscriber_dynamic_code WHERE subscriber_id = $1",
					   q->subscriber);
	struct gy_code_assignment *codes;

	if (!rows)
		return false;
	codes = talloc_array(q->ctl->pool, struct gy_code_assignment, (unsigned)rows->n + 1);
	for (int i = 0; i < rows->n; i++)
		codes[i] = (struct gy_code_assignment){ (int32_t)number(rows, i, "code_id"),
							instant(rows, i, "valid_from"),
							instant(rows, i, "valid_until") };
	q->attributes.codes = codes;
	q->attributes.n_codes = (unsigned)rows->n;
	return true;
}

static struct gy_value value_of(const struct gy_rows *rows, int row)
{
	struct gy_value value = { .type = (enum gy_value_type)number(rows, row, "value_type") };
	const char *text = gy_rows_get(rows, row, "value");

	if (value.type == GY_VALUE_TEXT)
		value.text = (struct gy_bytes){ (const uint8_t *)text, strlen(text) };
	else
		value.number = number(rows, row, "number");
	return value;
}

static bool read_values(struct question *q)
{
	struct gy_rows *rows = gy_db_query(
		q->ctl,
		"SELECT a.attribute_id, t.value_type, gyro.value_number(t.value_type, a.value) AS "
		"number, a.value, a.valid_from, a.valid_until FROM gyro.subscriber_attribute a"
		" JOIN gyro.attribute_type t USING (attribute_id) WHERE a.subscriber_id = $1",
		q->subscriber);
	struct gy_attribute_value *values;

	if (!rows)
		return false;
	values = talloc_array(q->ctl->pool, struct gy_attribute_value, (unsigned)rows->n + 1);
	for (int i = 0; i < rows->n; i++)
		values[i] = (struct gy_attribute_value){
			.attribute_id = (int32_t)number(rows, i, "attribute_id"),
			.value = value_of(rows, i),
			.valid_from_us = instant(rows, i, "valid_from"),
			.valid_until_us = instant(rows, i, "valid_until"),
		};
	q->attributes.values = values;
	q->attributes.n_values = (unsigned)rows->n;
	return true;
}

static bool read_subscriber(struct question *q)
{
	struct gy_rows *rows = gy_db_query(q->ctl,
					   "SELECT tariff_id, coalesce(zone_id, 0) AS zone_id"
					   " FROM gyro.subscriber WHERE subscriber_id = $1",
					   q->subscriber);

	if (!rows || rows->n == 0)
		return false;
	q->input.tariff_id = (int32_t)number(rows, 0, "tariff_id");
	q->attributes.zone_id = (int32_t)number(rows, 0, "zone_id");
	return read_codes(q) && read_values(q);
}

/* Counters of the local day and month of the question's time; free units that open grants hold
 * count as used, as in the node. */
static bool read_counters(struct question *q)
{
	struct gy_civil day = gy_civil_at(
		gy_zone_find(q->catalogue->dynamic, q->attributes.zone_id), q->input.now);
	void *pool = q->ctl->pool;
	struct gy_rows *rows = gy_db_query(
		q->ctl,
		"SELECT counted, id, sum(units_day * today) AS units_day, sum(micros_day * today) "
		"AS "
		"micros_day, sum(units_month * this_month) AS units_month, sum(micros_month * "
		"this_month) AS micros_month FROM (SELECT c.*, (c.day - date '1970-01-01' = "
		"$2::int)::int AS today, (c.year = $3::int AND c.month = $4::int)::int AS "
		"this_month"
		" FROM gyro.counter c JOIN gyro.subscriber s USING (account_id)"
		" WHERE s.subscriber_id = $1 AND c.subscriber_id = $1"
		" AND (c.counted = 'free' OR c.unit = $5::int)"
		" AND (c.counted <> 'rating group' OR c.id = $6::bigint)) x GROUP BY 1, 2"
		" UNION ALL SELECT 'free', l.source_id, sum(l.units), 0, 0, 0 FROM gyro.slice l"
		" JOIN gyro.reservation r USING (account_id, reservation_no)"
		" JOIN gyro.session n USING (account_id, session_no)"
		" WHERE l.source = 'free' AND l.phase = 0 AND n.subscriber_id = $1 AND "
		"l.account_id ="
		" (SELECT account_id FROM gyro.subscriber WHERE subscriber_id = $1) GROUP BY 2",
		q->subscriber, talloc_asprintf(pool, "%lld", (long long)day.day),
		talloc_asprintf(pool, "%lld", (long long)day.year),
		talloc_asprintf(pool, "%d", day.month), talloc_asprintf(pool, "%d", q->input.unit),
		talloc_asprintf(pool, "%u", q->input.rating_group));

	if (!rows)
		return false;
	q->counters = (struct gy_counters){ .at_us = q->input.now, .free = q->free };
	for (int i = 0; i < rows->n; i++) {
		const char *counted = gy_rows_get(rows, i, "counted");
		struct gy_counted c = { number(rows, i, "units_day"),
					number(rows, i, "units_month"),
					number(rows, i, "micros_day"),
					number(rows, i, "micros_month") };

		if (strcmp(counted, "rating group") == 0)
			q->counters.group = c;
		else if (strcmp(counted, "all") == 0)
			q->counters.all = c;
		else if (q->counters.n_free < FREE_MAX)
			q->free[q->counters.n_free++] =
				(struct gy_free_used){ .rule_id = number(rows, i, "id"),
						       .units = c.units_day };
	}
	return true;
}

/* --- what if -------------------------------------------------------------------------------------
 */

/* --set name=value[,name=value]: the value that rules see, whatever its source. */
static bool override_values(struct question *q, struct gy_acquired *acquired)
{
	char *rest = q->set ? talloc_strdup(q->ctl->pool, q->set) : NULL, *one;

	while ((one = strsep(&rest, ",")) != NULL) {
		char *value = strchr(one, '=');
		struct gy_rows *rows;
		bool found = false;

		if (!value) {
			gy_fail(q->ctl, GY_EXIT_USAGE, "--set %s is not attribute=value", one);
			return false;
		}
		*value++ = '\0';
		rows = gy_db_query(
			q->ctl,
			"SELECT attribute_id, value_type, gyro.value_number(value_type, $2) "
			"AS number, $2::text AS value FROM gyro.attribute_type WHERE name = $1",
			one, value);
		if (!rows)
			return false;
		if (rows->n == 0) {
			gy_fail(q->ctl, GY_EXIT_FAILED, "there is no attribute %s", one);
			return false;
		}
		for (unsigned i = 0; i < acquired->n; i++) {
			struct gy_acquired_code *a = &acquired->codes[i];

			if (!a->attribute ||
			    a->attribute->attribute_id != number(rows, 0, "attribute_id"))
				continue;
			a->value = value_of(rows, 0);
			a->origin = GY_ORIGIN_SOURCE;
			found = true;
		}
		if (!found && gy_rows_get(rows, 0, "value"))
			gy_out_say(q->ctl,
				   "No code of the subscriber looks at %s: it changes nothing.",
				   one);
	}
	return true;
}

/* --- the price -----------------------------------------------------------------------------------
 */

static const struct gy_column piece_columns[] = {
	{ .key = "units", .kind = GY_UNITS, .unit = "unit" },
	{ .key = "source" },
	{ .key = "rule_id", .title = "rule", .kind = GY_NUMBER },
	{ .key = "rate" },
	{ .key = "price", .kind = GY_MONEY },
	{ .key = "unit", .kind = GY_WORD, .words = gy_words_unit, .detail = true },
	GY_COLUMNS_END,
};
#define PIECE_WIDTH 6

struct pieces {
	int n;
	const char *cells[PIECES_MAX * PIECE_WIDTH];
};

static void add_piece(struct question *q, struct pieces *pieces, int64_t units, bool free,
		      const struct gy_tariff_result *result, int64_t micros)
{
	const char **row = pieces->cells + (size_t)PIECE_WIDTH * (size_t)pieces->n++;
	void *pool = q->ctl->pool;
	int64_t rule = free ? result->free_rule_id : result->rule_id;
	struct gy_counted *counted[] = { &q->counters.group, &q->counters.all };

	row[0] = talloc_asprintf(pool, "%lld", (long long)units);
	row[1] = free ? "free" : "money";
	row[2] = talloc_asprintf(pool, "%lld", (long long)rule);
	row[3] = free ? "" : gy_story_rate(pool, result->rate, result->unit);
	row[4] = talloc_asprintf(pool, "%lld", (long long)micros);
	row[5] = talloc_asprintf(pool, "%d", result->unit);
	for (int i = 0; i < 2; i++) {
		counted[i]->units_day += units;
		counted[i]->units_month += units;
		counted[i]->money_day_micros += micros;
		counted[i]->money_month_micros += micros;
	}
	if (!free)
		return;
	for (unsigned i = 0; i < q->counters.n_free; i++)
		if (q->free[i].rule_id == rule) {
			q->free[i].units += units;
			return;
		}
	if (q->counters.n_free < FREE_MAX)
		q->free[q->counters.n_free++] =
			(struct gy_free_used){ .rule_id = rule, .units = units };
}

/* The three units, with what --set says between the first and the second. */
static bool rate_once(struct question *q, const struct gy_story *story,
		      struct gy_tariff_result *result)
{
	const struct gy_dynamic *dynamic = q->catalogue->dynamic;
	struct gy_trace trace = { 0 };
	struct gy_acquired acquired;
	struct gy_determined determined;
	enum gy_rc rc;

	if (story)
		trace = gy_story_trace_new(q->ctl);
	if (!dynamic) {
		rc = gy_tariff_rate(q->catalogue, &q->input, result, story ? &trace : NULL);
	} else {
		rc = gy_tariff_resolve(q->catalogue, q->input.tariff_id, q->input.rating_group,
				       q->input.unit, q->input.now, result);
		if (rc == GY_OK)
			rc = gy_tariff_acquire(dynamic, &q->input, &acquired);
		if (rc == GY_OK && !override_values(q, &acquired))
			return false;
		if (rc == GY_OK) {
			gy_tariff_determine(dynamic, &q->input, result->unit, &acquired,
					    &determined, story ? &trace : NULL);
			rc = gy_tariff_generate(dynamic, &q->input, &acquired, &determined, result,
						story ? &trace : NULL);
		}
		if (rc == GY_OK && story)
			gy_story_acquired(story, &acquired);
	}
	if (rc != GY_OK) {
		gy_fail(q->ctl, GY_EXIT_FAILED, "no tariff rule covers Rating-Group %u (5031)",
			q->input.rating_group);
		return false;
	}
	if (story)
		gy_story_trace(story, q->catalogue, &trace, result->unit);
	return true;
}

static int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* How many of the units have this one price. */
static int64_t at_this_price(const struct gy_tariff_result *r, int64_t units, int64_t carry)
{
	if (!r->dynamic)
		return units;
	if (r->counter_units > 0)
		units = least(units, r->counter_units);
	if (r->counter_micros > 0 && r->counter_micros < INT64_MAX)
		units = least(units, gy_price_affordable(r->rate, r->counter_micros, carry) + 1);
	return units > 0 ? units : 1;
}

static bool price(struct question *q, struct pieces *pieces, int64_t *total,
		  const struct gy_story *story, struct gy_tariff_result *result)
{
	int64_t left = q->units, carry = 0, block = 1;

	*total = 0;
	if (!rate_once(q, story, result))
		return false;
	while (left > 0 && result->kind == GY_RULE_PRICED) {
		bool free = result->free_units > 0;
		int64_t units = free ? least(left, result->free_units) : left, micros = 0;

		if (block != result->rate.block)
			carry = gy_carry_rescale(carry, block, result->rate.block);
		block = result->rate.block;
		units = pieces->n + 1 < PIECES_MAX ? at_this_price(result, units, carry) : left;
		if (!free && !gy_price_debit(result->rate, units, &carry, &micros)) {
			gy_fail(q->ctl, GY_EXIT_FAILED, "the price is beyond all bounds");
			return false;
		}
		add_piece(q, pieces, units, free, result, micros);
		left -= units;
		*total += micros;
		if (left > 0 && (pieces->n == PIECES_MAX || !rate_once(q, NULL, result)))
			return false;
	}
	return true;
}

static void tell(struct question *q)
{
	bool json = q->ctl->format == GY_FORMAT_JSON;
	struct gy_story story = { q->ctl, json ? json_object() : NULL };
	struct pieces *pieces = talloc_zero(q->ctl->pool, struct pieces);
	struct gy_tariff_result result;
	const char *kind, *key;
	int64_t total;
	json_t *value;

	q->ctl->status = GY_EXIT_OK;
	if (!price(q, pieces, &total, &story, &result)) {
		json_decref(story.json);
		return;
	}
	kind = gy_words_rule_kind[result.kind];
	gy_story_grid(&story, "pieces",
		      &(struct gy_grid){ piece_columns, PIECE_WIDTH, pieces->n, pieces->cells });
	gy_story_say(&story, "kind", json_string(kind), "%s",
		     result.kind == GY_RULE_PRICED ? "" : kind);
	gy_story_say(&story, "price", json_string(gy_story_money(q->ctl->pool, total)), "Price: %s",
		     gy_story_money(q->ctl->pool, total));
	json_object_foreach(story.json, key, value) gy_out_member(q->ctl, key, json_incref(value));
	json_decref(story.json);
}

/* --- the command line ----------------------------------------------------------------------------
 */

static struct gy_bytes bytes_of(const char *text)
{
	return (struct gy_bytes){ (const uint8_t *)text, text ? strlen(text) : 0 };
}

static bool take_time(struct question *q, const char *text)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	q->input.now = (int64_t)now.tv_sec * GY_SECOND_US + now.tv_nsec / 1000;
	if (!text || gy_instant_parse(text, &q->input.now))
		return true;
	gy_fail(q->ctl, GY_EXIT_USAGE, "--at %s is not an instant such as 2026-01-31T08:00:00Z",
		text);
	return false;
}

/* "300M" is what people write: as 300MiB. */
static bool take_units(struct question *q, const char *text)
{
	size_t n = text ? strlen(text) : 0;
	const char *full = text;

	if (n > 0 && strchr("KMGT", text[n - 1]))
		full = talloc_asprintf(q->ctl->pool, "%siB", text);
	if (full && gy_size_parse(full, &q->units) && q->units <= INT64_C(1) << 60)
		return true;
	gy_fail(q->ctl, GY_EXIT_USAGE, "--used %s is not an amount such as 300M, 10MiB or 60",
		text ? text : "is missing:");
	return false;
}

static bool take_arguments(struct question *q, const struct gy_args *args)
{
	const char *group = gy_args_flag(args, "rating-group"), *unit = gy_args_flag(args, "unit");
	const char *rat = gy_args_flag(args, "rat");
	int64_t n = 0, rat_number = 0;
	int word = unit ? gy_word_number(gy_words_unit, unit) : GY_UNIT_NONE;
	uint8_t *octet = talloc_zero(q->ctl->pool, uint8_t);

	if (!group || !gy_number_parse(group, 0, UINT32_MAX, &n)) {
		gy_fail(q->ctl, GY_EXIT_USAGE, "--rating-group must name a Rating-Group");
		return false;
	}
	if (word < 0 || word > GY_UNIT_SERVICE) {
		gy_fail(q->ctl, GY_EXIT_USAGE, "--unit is octets, seconds or service");
		return false;
	}
	if (rat && !gy_number_parse(rat, 0, 255, &rat_number)) {
		gy_fail(q->ctl, GY_EXIT_USAGE, "--rat %s is not a 3GPP-RAT-Type (0 to 255)", rat);
		return false;
	}
	*octet = (uint8_t)rat_number;
	q->set = gy_args_flag(args, "set");
	q->network =
		(struct gy_network){ .apn = bytes_of(gy_args_flag(args, "apn")),
				     .serving_mcc_mnc = bytes_of(gy_args_flag(args, "roaming")),
				     .rat_type = { octet, rat ? 1 : 0 },
				     .characteristics =
					     bytes_of(gy_args_flag(args, "characteristics")),
				     .rule_base = bytes_of(gy_args_flag(args, "rule-base")) };
	q->input = (struct gy_rating_input){ .rating_group = (uint32_t)n,
					     .unit = (enum gy_unit)word,
					     .attributes = &q->attributes,
					     .network = &q->network,
					     .counters = &q->counters };
	return take_units(q, gy_args_flag(args, "used")) &&
	       take_time(q, gy_args_flag(args, "at")) &&
	       gy_pick_subscriber(q->ctl, args, -1, false, &q->subscriber);
}

static bool load(struct question *q)
{
	struct gy_rows *rows = gy_db_query(q->ctl, "SELECT gyro.catalogue_keep() AS version");
	struct gy_tariff_result base;

	if (!rows || !(q->catalogue = gy_story_catalogue(q->ctl, number(rows, 0, "version"))) ||
	    !read_subscriber(q))
		return false;
	if (q->input.unit == GY_UNIT_NONE &&
	    gy_tariff_resolve(q->catalogue, q->input.tariff_id, q->input.rating_group, GY_UNIT_NONE,
			      q->input.now, &base) == GY_OK)
		q->input.unit = base.unit;
	if (!q->catalogue->dynamic)
		return true;
	if (gy_pushed_load(q->ctl->db, (struct gy_catalogue *)(uintptr_t)q->catalogue,
			   &q->pushed) != GY_OK) {
		gy_fail(q->ctl, GY_EXIT_FAILED, "the pushed values can't be read");
		return false;
	}
	q->input.pushed = q->pushed;
	return read_counters(q);
}

static enum gy_exit rate(struct gy_ctl *ctl, const struct gy_args *args)
{
	struct question *q = talloc_zero(ctl->pool, struct question);

	q->ctl = ctl;
	if (!take_arguments(q, args) || !gy_db_do(ctl, "BEGIN ISOLATION LEVEL REPEATABLE READ"))
		return ctl->status;
	if (load(q))
		tell(q);
	if (ctl->status != GY_EXIT_UNREACHABLE && !gy_db_do(ctl, "ROLLBACK"))
		return ctl->status;
	return ctl->status;
}

static const struct gy_flag rate_flags[] = {
	{ "subscriber", "SUBSCRIBER", "the subscriber's number" },
	GY_IDENTITY_FLAGS,
	{ "rating-group", "N", "Rating-Group" },
	{ "used", "AMOUNT", "units, e.g. 300M, 10MiB, 60" },
	{ "unit", "UNIT", "octets, seconds or service (default: what the tariff counts)" },
	{ "set", "ATTRIBUTE=VALUE", "as if the attribute had this value; repeatable" },
	{ "at", "TIME", "as of this instant (default: now)" },
	{ "roaming", "MCCMNC", "the serving network" },
	{ "apn", "APN", "the access point" },
	{ "rat", "N", "3GPP-RAT-Type" },
	{ "characteristics", "HHHH", "3GPP-Charging-Characteristics" },
	{ "rule-base", "NAME", "Charging-Rule-Base-Name" },
	GY_FLAGS_END,
};

const struct gy_command gy_rate_commands[] = {
	{ "rate", "", 0, 0, "Answers what usage would cost, and why, without charging",
	  "It runs the node's own rating over the catalogue as it is in the database.",
	  "  gyroctl rate --imsi 460001000000001 --rating-group 10 --used 300M\n"
	  "  gyroctl rate --subscriber 1 --rating-group 10 --used 300M --set credit_level=5 "
	  "--roaming "
	  "26201",
	  GY_NEEDS_SCHEMA, rate_flags, rate },
	GY_COMMANDS_END,
};
