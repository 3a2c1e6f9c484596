/* Questions of a table and their answers as text: see table.h. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/rating/price.h"
#include "tests/unit/rating/words.h"

/* ---- questions ---- */

/* FROM..UNTIL after an '@'; the '@' becomes the end of what stands before it. */
static void read_validity(unsigned line, char *word, gy_time_us *from, gy_time_us *until)
{
	char *at = strrchr(word, '@'), *dots;

	*from = INT64_MIN;
	*until = INT64_MAX;
	if (at == NULL)
		return;
	*at++ = '\0';
	dots = strstr(at, "..");
	if (dots == NULL)
		words_fail(line, "not FROM..UNTIL", at);
	*dots = '\0';
	*from = words_time(line, at);
	*until = words_time(line, dots + 2);
}

/* codes=11,12@FROM..UNTIL */
static void read_codes(struct table *t, struct question *q, const char *list)
{
	char copy[4096], *state = NULL;

	snprintf(copy, sizeof(copy), "%s", list);
	for (char *word = strtok_r(copy, ",", &state); word != NULL;
	     word = strtok_r(NULL, ",", &state)) {
		struct gy_code_assignment *c = &q->codes[q->attributes.n_codes++];

		if (q->attributes.n_codes > sizeof(q->codes) / sizeof(q->codes[0]))
			words_fail(t->line, "too many codes", word);
		read_validity(t->line, word, &c->valid_from_us, &c->valid_until_us);
		c->code_id = (int32_t)words_number(t->line, word);
	}
}

/* attr=ID:VALUE@FROM..UNTIL */
static void read_value(struct table *t, struct question *q, const char *text)
{
	struct gy_attribute_value *v = &q->values[q->attributes.n_values++];
	char copy[1024], *colon;
	const struct gy_attribute_type *a;

	if (q->attributes.n_values > sizeof(q->values) / sizeof(q->values[0]))
		words_fail(t->line, "too many values", text);
	snprintf(copy, sizeof(copy), "%s", text);
	read_validity(t->line, copy, &v->valid_from_us, &v->valid_until_us);
	colon = strchr(copy, ':');
	if (colon == NULL)
		words_fail(t->line, "not ID:VALUE", text);
	*colon++ = '\0';
	v->attribute_id = (int32_t)words_number(t->line, copy);
	a = table_attribute(t, v->attribute_id);
	v->value = table_value(t, a != NULL ? a->type : GY_VALUE_INTEGER, colon, strlen(colon));
}

/* UNITS-DAY,UNITS-MONTH,MONEY-DAY,MONEY-MONTH */
static struct gy_counted read_counted(unsigned line, const char *text)
{
	struct gy_counted c;

	if (sscanf(text, "%" SCNd64 ",%" SCNd64 ",%" SCNd64 ",%" SCNd64, &c.units_day,
		   &c.units_month, &c.money_day_micros, &c.money_month_micros) != 4)
		words_fail(line, "not four counters", text);
	return c;
}

static void read_free(unsigned line, struct question *q, const char *list)
{
	char copy[1024], *state = NULL;

	snprintf(copy, sizeof(copy), "%s", list);
	for (char *word = strtok_r(copy, ",", &state); word != NULL;
	     word = strtok_r(NULL, ",", &state)) {
		struct gy_free_used *f = &q->free[q->counters.n_free++];

		if (q->counters.n_free > sizeof(q->free) / sizeof(q->free[0]) ||
		    sscanf(word, "%" SCNd64 ":%" SCNd64, &f->rule_id, &f->units) != 2)
			words_fail(line, "not RULE:UNITS", word);
	}
}

static void read_location(unsigned line, struct question *q, const char *hex)
{
	size_t n = strlen(hex) / 2;

	if (n > sizeof(q->location))
		words_fail(line, "location too long", hex);
	for (size_t i = 0; i < n; i++) {
		unsigned octet;

		if (sscanf(hex + 2 * i, "%2x", &octet) != 1)
			words_fail(line, "not hex", hex);
		q->location[i] = (uint8_t)octet;
	}
	q->network.location = (struct gy_bytes){ q->location, n };
}

static struct gy_bytes text_of(struct table *t, const char *text)
{
	return table_value(t, GY_VALUE_TEXT, text, strlen(text)).text;
}

static void read_network(struct table *t, struct question *q, const struct words *w)
{
	const char *rat = words_get(w, "rat", NULL);

	q->network.serving_mcc_mnc = text_of(t, words_get(w, "net", ""));
	q->network.apn = text_of(t, words_get(w, "apn", ""));
	q->network.characteristics = text_of(t, words_get(w, "characteristics", ""));
	q->network.rule_base = text_of(t, words_get(w, "rule-base", ""));
	if (rat != NULL) {
		q->rat = (uint8_t)words_number(t->line, rat);
		q->network.rat_type = (struct gy_bytes){ &q->rat, 1 };
	}
	read_location(t->line, q, words_get(w, "uli", ""));
}

void table_question(struct table *t, char *line, struct question *q)
{
	struct words w;
	const char *word;

	words_split(t->line, line, &w);
	*q = (struct question){
		.input = { .tariff_id =
				   (int32_t)words_number(t->line, words_get(&w, "tariff", "1")),
			   .rating_group =
				   (uint32_t)words_number(t->line, words_get(&w, "rg", "10")),
			   .unit = words_unit(t->line, words_get(&w, "unit", "any")),
			   .now = words_time(t->line, words_get(&w, "at", "0")),
			   .attributes = &q->attributes,
			   .network = &q->network,
			   .pushed = &t->pushed },
		.attributes = { .zone_id =
					(int32_t)words_number(t->line, words_get(&w, "zone", "0")),
				.values = q->values,
				.codes = q->codes },
		.counters = { .free = q->free },
		.horizon_us =
			words_number(t->line, words_get(&w, "horizon", "86400")) * GY_SECOND_US,
		.trace = words_get(&w, "trace", NULL) != NULL,
	};
	read_codes(t, q, words_get(&w, "codes", ""));
	for (unsigned i = 0; i < w.n; i++)
		if (strcmp(w.key[i], "attr") == 0)
			read_value(t, q, w.value[i]);
	read_network(t, q, &w);
	word = words_get(&w, "counted-at", NULL);
	q->counters.at_us = word != NULL ? words_time(t->line, word) : q->input.now;
	word = words_get(&w, "counted", NULL);
	if (word != NULL) {
		q->input.counters = &q->counters;
		q->counters.group = read_counted(t->line, word);
		q->counters.all = read_counted(t->line, words_get(&w, "counted-all", word));
		read_free(t->line, q, words_get(&w, "free-used", ""));
	}
	word = words_get(&w, "used", NULL);
	q->has_used = word != NULL;
	q->used = word != NULL ? words_number(t->line, word) : 0;
}

/* ---- answers ---- */

struct out {
	char *text;
	size_t size, n;
};

__attribute__((format(printf, 2, 3))) static void say(struct out *o, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(o->text + o->n, o->size - o->n, format, args);
	va_end(args);
	if (n < 0 || (size_t)n >= o->size - o->n)
		words_fail(0, "answer too long", o->text);
	o->n += (size_t)n;
}

static void say_result(struct out *o, const struct gy_tariff_result *r)
{
	static const char *const units[] = { "any", "octets", "seconds", "service", "money" };

	if (r->kind == GY_RULE_FORBIDDEN) {
		if (r->denied_rule_id != 0)
			say(o, "denied by=%" PRId64, r->denied_rule_id);
		else if (r->denied_code_id != 0)
			say(o, "denied code=%d", r->denied_code_id);
		else
			say(o, "forbidden");
	} else if (r->kind == GY_RULE_FREE) {
		say(o, "free");
	} else {
		say(o, "%" PRId64 "/%" PRId64, r->rate.price_micros, r->rate.block);
	}
	say(o, " base=%" PRId64 " %s", r->rule_id, units[r->unit]);
	if (r->replace_rule_id != 0)
		say(o, " replace=%" PRId64, r->replace_rule_id);
	if (r->n_multiplied != 0)
		say(o, " multiplied=%u", r->n_multiplied);
	if (r->n_added != 0)
		say(o, " added=%u", r->n_added);
	if (r->floor_rule_id != 0)
		say(o, " floor=%" PRId64, r->floor_rule_id);
	if (r->cap_rule_id != 0)
		say(o, " cap=%" PRId64, r->cap_rule_id);
	if (r->free_rule_id != 0)
		say(o, " free=%" PRId64 ":%" PRId64 "%s", r->free_rule_id, r->free_units,
		    r->free_more ? "+" : "");
	if (r->quota_rule_id != 0)
		say(o, " quota=%" PRId64 ":%" PRId64, r->quota_rule_id, r->quota_units);
	if (r->validity_rule_id != 0)
		say(o, " validity=%" PRId64 ":%u", r->validity_rule_id, r->validity_s);
	if (r->redirect_rule_id != 0)
		say(o, " redirect=%" PRId64 ":%s", r->redirect_rule_id, r->redirect_address);
	if (r->dynamic && r->counter_units != INT64_MAX)
		say(o, " units<%" PRId64, r->counter_units);
	if (r->dynamic && r->counter_micros != INT64_MAX)
		say(o, " money<%" PRId64, r->counter_micros);
}

/* What so many units cost in one slice from a remainder of nothing; free ones first. */
static void say_cost(struct out *o, const struct gy_tariff_result *r, int64_t used)
{
	int64_t paid = used > r->free_units ? used - r->free_units : 0, carry = 0, micros;

	if (r->kind != GY_RULE_PRICED)
		return;
	if (gy_price_debit(r->rate, paid, &carry, &micros))
		say(o, " cost=%" PRId64 "+%" PRId64 "/%" PRId64, micros, carry, r->rate.block);
	else
		say(o, " cost=refused");
}

static void say_trace(struct out *o, const struct gy_trace *trace)
{
	for (unsigned i = 0; i < trace->n; i++) {
		const struct gy_trace_entry *e = &trace->entries[i];

		say(o, "%s%s %" PRId64 ": %s", i == 0 ? "" : "; ", gy_stage_name(e->stage),
		    e->rule_id, gy_verdict_text(e->verdict));
		if (e->rule_id == 0)
			say(o, " code %d", e->code_id);
		if (e->other_rule_id != 0)
			say(o, " (%" PRId64 ")", e->other_rule_id);
		if (e->rate.block != 0)
			say(o, " %" PRId64 "/%" PRId64, e->rate.price_micros, e->rate.block);
	}
	if (trace->lost != 0)
		say(o, "; %u lost", trace->lost);
}

void table_answer(const struct table *t, const struct question *q, char *text, size_t size)
{
	struct out o = { text, size, 0 };
	struct gy_tariff_result result, next;
	bool has_next;

	if (q->trace) {
		static struct gy_trace_entry entries[256];
		struct gy_trace trace = { .room = 256, .entries = entries };

		if (gy_tariff_rate(&t->catalogue, &q->input, &result, &trace) != GY_OK)
			say(&o, "failed");
		else
			say_trace(&o, &trace);
		return;
	}
	if (gy_tariff_window(&t->catalogue, &q->input, q->input.now + q->horizon_us, &result, &next,
			     &has_next) != GY_OK) {
		say(&o, "failed");
		return;
	}
	say_result(&o, &result);
	if (q->has_used)
		say_cost(&o, &result, q->used);
	if (!has_next)
		return;
	say(&o, " | +%" PRId64 " ", result.valid_until_us - q->input.now);
	if (next.rule_id == 0)
		say(&o, "failed");
	else
		say_result(&o, &next);
}

void table_verdict(enum gy_rc rc, const struct gy_dynamic_fault *fault, char *text, size_t size)
{
	static const char *const reasons[GY_FAULT_COUNT] = {
		"none",
		"too-many",
		"order",
		"attribute-type",
		"zone",
		"duplicate-id",
		"unknown-tariff",
		"unknown-code",
		"unknown-attribute",
		"value-type",
		"predicate",
		"effect",
		"never-value",
		"never-time",
		"never-group",
		"replace-overlap",
		"key-overlap",
		"negative",
		"not-exact",
	};

	if (rc == GY_OK) {
		snprintf(text, size, "ok");
		return;
	}
	snprintf(text, size, "%s", reasons[fault->reason]);
	if (fault->rule_id != 0)
		snprintf(text + strlen(text), size - strlen(text), " rule=%" PRId64,
			 fault->rule_id);
	if (fault->other_rule_id != 0)
		snprintf(text + strlen(text), size - strlen(text), " other=%" PRId64,
			 fault->other_rule_id);
	if (fault->specific_rule_id != 0)
		snprintf(text + strlen(text), size - strlen(text), " base=%" PRId64,
			 fault->specific_rule_id);
	if (fault->object_id != 0)
		snprintf(text + strlen(text), size - strlen(text), " object=%" PRId64,
			 fault->object_id);
}
