/* See prices.h. */
#include "deploy/gyroctl/prices.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <talloc.h>

#include "core/base/assert.h"
#include "core/rating/generate.h"
#include "core/store/catalogue.h"
#include "deploy/gyroctl/amount.h"
#include "deploy/gyroctl/words.h"

/* One price of one subscriber; ordered by subscriber, Rating-Group, unit. */
struct price {
	int64_t subscriber;
	uint32_t rating_group;
	enum gy_unit unit;
	const char *text;
};

struct gy_prices {
	bool all; /* every subscriber was looked at */
	int n, room;
	struct price *prices;
};

static const char *units(char out[static GY_AMOUNT_TEXT], enum gy_unit unit, int64_t n)
{
	if (unit == GY_UNIT_OCTETS)
		gy_size_format(n, out);
	else
		snprintf(out, GY_AMOUNT_TEXT, "%" PRId64 "%s", n,
			 unit == GY_UNIT_SECONDS ? "s" : "");
	return out;
}

/* "0.08 per 1MiB, 100MiB free, grants of 5MiB" */
static const char *describe(void *pool, const struct gy_tariff_result *r)
{
	char money[GY_AMOUNT_TEXT], size[GY_AMOUNT_TEXT];
	char *text;

	if (r->kind == GY_RULE_FORBIDDEN)
		return r->denied_rule_id || r->denied_code_id ? "denied" : "forbidden";
	if (r->kind == GY_RULE_FREE)
		return "free";
	gy_money_format(r->rate.price_micros, money);
	text = talloc_asprintf(pool, "%s per %s", money, units(size, r->unit, r->rate.block));
	if (r->free_units > 0)
		text = talloc_asprintf_append(text, ", %s free",
					      units(size, r->unit, r->free_units));
	if (r->quota_rule_id)
		text = talloc_asprintf_append(text, ", grants of %s",
					      units(size, r->unit, r->quota_units));
	if (r->validity_rule_id)
		text = talloc_asprintf_append(text, ", valid %" PRIu32 "s", r->validity_s);
	if (r->redirect_rule_id)
		text = talloc_asprintf_append(text, ", redirected to %s", r->redirect_address);
	return text;
}

/* The tariff half of one subscriber's profile. */
struct profile {
	int64_t subscriber;
	int32_t tariff;
	struct gy_attributes attributes;
};

static struct gy_value stored_value(const struct gy_rows *rows, int row)
{
	struct gy_value value = {
		.type = (enum gy_value_type)atoi(gy_rows_get(rows, row, "value_type")),
	};
	const char *text = gy_rows_get(rows, row, "value");

	if (value.type == GY_VALUE_TEXT)
		value.text = (struct gy_bytes){ (const uint8_t *)text, strlen(text) };
	else
		value.number = strtoll(gy_rows_get(rows, row, "number"), NULL, 10);
	return value;
}

/* Rows of one subscriber, from *row on, which moves behind them. */
static void read_profile(const struct gy_rows *rows, int *row, struct profile *p,
			 struct gy_attribute_value *values, struct gy_code_assignment *codes)
{
	const char *subscriber = gy_rows_get(rows, *row, "subscriber_id");

	*p = (struct profile){ .subscriber = strtoll(subscriber, NULL, 10),
			       .attributes = { .values = values, .codes = codes } };
	for (; *row < rows->n && strcmp(gy_rows_get(rows, *row, "subscriber_id"), subscriber) == 0;
	     ++*row) {
		int32_t id = atoi(gy_rows_get(rows, *row, "id"));

		switch (*gy_rows_get(rows, *row, "kind")) {
		case '0':
			p->attributes.zone_id = id;
			p->tariff = atoi(gy_rows_get(rows, *row, "tariff_id"));
			break;
		case '1':
			codes[p->attributes.n_codes++] =
				(struct gy_code_assignment){ id, INT64_MIN, INT64_MAX };
			break;
		default:
			values[p->attributes.n_values++] =
				(struct gy_attribute_value){ id, stored_value(rows, *row),
							     INT64_MIN, INT64_MAX };
		}
	}
}

static void add(struct gy_prices *prices, struct price price)
{
	if (prices->n == prices->room) {
		prices->room = prices->room ? prices->room * 2 : 256;
		prices->prices = talloc_realloc(prices, prices->prices, struct price,
						(unsigned)prices->room);
		gy_assert(prices->prices);
	}
	prices->prices[prices->n++] = price;
}

static void rate(struct gy_prices *prices, const struct gy_catalogue *catalogue,
		 const struct profile *p, const struct gy_pushed *pushed, int64_t now)
{
	struct gy_counters counters = { .at_us = now };
	const struct gy_specific_rule *before = NULL;

	for (unsigned i = 0; i < catalogue->n_rules; i++) {
		const struct gy_specific_rule *rule = &catalogue->rules[i];
		struct gy_rating_input input = { .tariff_id = p->tariff,
						 .rating_group = rule->rating_group,
						 .unit = rule->unit,
						 .now = now,
						 .attributes = &p->attributes,
						 .counters = &counters,
						 .pushed = pushed };
		struct gy_tariff_result result;

		if (rule->tariff_id != p->tariff)
			continue;
		if (before && before->rating_group == rule->rating_group &&
		    before->unit == rule->unit)
			continue;
		before = rule;
		if (gy_tariff_rate(catalogue, &input, &result, NULL) == GY_OK)
			add(prices, (struct price){ p->subscriber, rule->rating_group, rule->unit,
						    describe(prices, &result) });
	}
}

/* What is in force now of the first subscribers, as profile_attributes.sql has it for a node; of
 * values whose changes wait for running grants to end, what is in force then. */
static const char profiles_sql[] =
	"WITH first AS (SELECT subscriber_id, tariff_id, zone_id FROM gyro.subscriber"
	"  ORDER BY subscriber_id LIMIT $1::bigint)"
	" SELECT subscriber_id, 0 AS kind, tariff_id, coalesce(zone_id, 0) AS id,"
	" NULL::smallint AS value_type, NULL::bigint AS number, NULL AS value FROM first"
	" UNION ALL SELECT c.subscriber_id, 1, NULL, c.code_id, NULL, NULL, NULL"
	" FROM first JOIN gyro.subscriber_dynamic_code c USING (subscriber_id)"
	" WHERE c.valid_from <= $2::timestamptz AND c.valid_until > $2::timestamptz"
	" UNION ALL SELECT v.subscriber_id, 2, NULL, v.attribute_id, t.value_type,"
	" gyro.value_number(t.value_type, v.value), v.value"
	" FROM first JOIN gyro.subscriber_attribute v USING (subscriber_id)"
	" JOIN gyro.attribute_type t USING (attribute_id) CROSS JOIN LATERAL (SELECT coalesce("
	"CASE t.on_change WHEN 3 THEN gyro.change_time(v.subscriber_id, v.attribute_id) END,"
	" $2::timestamptz) AS at) m WHERE v.valid_from <= m.at AND m.at < v.valid_until"
	" ORDER BY subscriber_id, kind";

struct gy_prices *gy_prices_find(struct gy_ctl *ctl, const struct gy_catalogue *catalogue,
				 const struct gy_pushed *pushed)
{
	struct gy_prices *prices = talloc_zero(ctl->pool, struct gy_prices);
	struct gy_attribute_value *values;
	struct gy_code_assignment *codes;
	struct gy_rows *clock, *rows;
	int64_t now;

	clock = gy_db_query(ctl, "SELECT at, (extract(epoch FROM at) * 1000000)::bigint AS us,"
				 " (SELECT count(*) FROM gyro.subscriber) AS subscribers"
				 " FROM clock_timestamp() AS at");
	if (!clock)
		return NULL;
	now = strtoll(gy_rows_get(clock, 0, "us"), NULL, 10);
	prices->all = strtoll(gy_rows_get(clock, 0, "subscribers"), NULL, 10) <= GY_PRICED_MAX;
	rows = gy_db_query(ctl, profiles_sql, talloc_asprintf(ctl->pool, "%d", GY_PRICED_MAX),
			   gy_rows_get(clock, 0, "at"));
	if (!rows)
		return NULL;
	values = talloc_array(ctl->pool, struct gy_attribute_value, (unsigned)rows->n + 1);
	codes = talloc_array(ctl->pool, struct gy_code_assignment, (unsigned)rows->n + 1);
	gy_assert(values && codes);
	for (int row = 0; row < rows->n;) {
		struct profile profile;

		read_profile(rows, &row, &profile, values, codes);
		rate(prices, catalogue, &profile, pushed, now);
	}
	return prices;
}

/* --- what differs -------------------------------------------------------------------------------
 */

static int compare(const struct price *a, const struct price *b)
{
	if (a->subscriber != b->subscriber)
		return a->subscriber < b->subscriber ? -1 : 1;
	if (a->rating_group != b->rating_group)
		return a->rating_group < b->rating_group ? -1 : 1;
	return (a->unit > b->unit) - (a->unit < b->unit);
}

static const struct gy_column columns[] = {
	{ .key = "subscriber", .kind = GY_NUMBER },
	{ .key = "rating_group", .kind = GY_NUMBER },
	{ .key = "unit", .kind = GY_WORD, .words = gy_words_unit },
	{ .key = "before", .title = "price before" },
	{ .key = "after", .title = "price after" },
	GY_COLUMNS_END,
};

struct changed {
	int64_t subscribers, last;
	int rows;
	const char **cells;
};

static void differ(struct gy_ctl *ctl, struct changed *c, const struct price *either,
		   const char *before, const char *after)
{
	if (before && after && strcmp(before, after) == 0)
		return;
	if (c->subscribers == 0 || either->subscriber != c->last)
		c->subscribers++;
	c->last = either->subscriber;
	if (c->subscribers > GY_PRICES_SHOWN)
		return;
	c->cells = talloc_realloc(ctl->pool, c->cells, const char *, (unsigned)(c->rows + 1) * 5);
	gy_assert(c->cells);
	c->cells[c->rows * 5] = talloc_asprintf(ctl->pool, "%" PRId64, either->subscriber);
	c->cells[c->rows * 5 + 1] = talloc_asprintf(ctl->pool, "%" PRIu32, either->rating_group);
	c->cells[c->rows * 5 + 2] = talloc_asprintf(ctl->pool, "%d", (int)either->unit);
	c->cells[c->rows * 5 + 3] = before;
	c->cells[c->rows * 5 + 4] = after;
	c->rows++;
}

void gy_prices_show(struct gy_ctl *ctl, const struct gy_prices *before,
		    const struct gy_prices *after)
{
	struct changed c = { 0 };
	struct gy_grid grid;
	int i = 0, j = 0;

	if (!before || !after)
		return;
	while (i < before->n || j < after->n) {
		const struct price *a = &before->prices[i], *b = &after->prices[j];
		int order = i == before->n ? 1 : j == after->n ? -1 : compare(a, b);

		differ(ctl, &c, order <= 0 ? a : b, order <= 0 ? a->text : NULL,
		       order >= 0 ? b->text : NULL);
		i += order <= 0;
		j += order >= 0;
	}
	gy_out_member(ctl, "subscribers_with_other_prices", json_integer(c.subscribers));
	gy_out_member(ctl, "every_subscriber_was_priced", json_boolean(before->all && after->all));
	grid = (struct gy_grid){ columns, 5, c.rows, c.cells };
	if (c.rows > 0 || ctl->format == GY_FORMAT_JSON)
		gy_out_grid(ctl, "prices", &grid);
	gy_out_say(ctl,
		   "%" PRId64 " subscriber%s%s would have other prices now (at home, nothing used "
		   "yet)%s",
		   c.subscribers, c.subscribers == 1 ? "" : "s",
		   before->all && after->all ? "" : " of the first 20000",
		   c.subscribers > GY_PRICES_SHOWN ? "; the first 20 are shown" : "");
}
