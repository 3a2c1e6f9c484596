/* Reads snapshots: see table.h. */
#include "tests/unit/rating/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/rating/words.h"

static char *keep(struct table *t, const char *text, size_t len)
{
	char *at = t->text + t->n_text;

	if (t->n_text + len + 1 > sizeof(t->text))
		words_fail(t->line, "too much text", text);
	memcpy(at, text, len);
	at[len] = '\0';
	t->n_text += len + 1;
	return at;
}

static struct gy_bytes bytes(struct table *t, const char *text, size_t len)
{
	return (struct gy_bytes){ (const uint8_t *)keep(t, text, len), len };
}

struct gy_value table_value(struct table *t, enum gy_value_type type, const char *text, size_t len)
{
	struct gy_value value = { .type = type };
	char word[512];

	if (len >= sizeof(word))
		words_fail(t->line, "value too long", text);
	memcpy(word, text, len);
	word[len] = '\0';
	switch (type) {
	case GY_VALUE_TEXT:
		value.text = bytes(t, text, len);
		break;
	case GY_VALUE_BOOLEAN:
		value.number = strcmp(word, "true") == 0;
		if (!value.number && strcmp(word, "false") != 0)
			value = (struct gy_value){ .type = GY_VALUE_TEXT,
						   .text = bytes(t, text, len) };
		break;
	case GY_VALUE_DECIMAL:
		value.number = words_decimal(t->line, word);
		break;
	case GY_VALUE_TIME:
		value.number = words_time(t->line, word);
		break;
	default:
		value.number = words_number(t->line, word);
		break;
	}
	return value;
}

const struct gy_attribute_type *table_attribute(struct table *t, int64_t id)
{
	for (unsigned i = 0; i < t->dynamic.n_attributes; i++)
		if (t->attributes[i].attribute_id == id)
			return &t->attributes[i];
	return NULL;
}

static void room(struct table *t, unsigned n, unsigned most)
{
	if (n >= most)
		words_fail(t->line, "too many lines of this kind", "");
}

/* ---- lines ---- */

static void read_specific(struct table *t, struct words *w)
{
	struct gy_specific_rule *r = &t->specific[t->catalogue.n_rules];
	const char *rate = words_get(w, "rate", "0/1");
	const char *kind = words_get(w, "kind", "priced");

	room(t, t->catalogue.n_rules, TABLE_THINGS);
	*r = (struct gy_specific_rule){
		.rule_id = words_number(t->line, w->name),
		.tariff_id = (int32_t)words_number(t->line, words_get(w, "tariff", "1")),
		.rating_group = (uint32_t)words_number(t->line, words_get(w, "rg", "10")),
		.unit = words_unit(t->line, words_get(w, "unit", "octets")),
		.kind = strcmp(kind, "free") == 0        ? GY_RULE_FREE
			: strcmp(kind, "forbidden") == 0 ? GY_RULE_FORBIDDEN
							 : GY_RULE_PRICED,
		.valid_from_us = words_time(t->line, words_get(w, "from", "-")),
		.valid_until_us = words_time(t->line, words_get(w, "until", "+")),
	};
	words_rate(t->line, rate, &r->rate.price_micros, &r->rate.block);
	t->catalogue.n_rules++;
}

static void read_attribute(struct table *t, struct words *w)
{
	struct gy_attribute_type *a = &t->attributes[t->dynamic.n_attributes];
	const char *fallback = words_get(w, "default", NULL);

	room(t, t->dynamic.n_attributes, TABLE_THINGS);
	*a = (struct gy_attribute_type){
		.attribute_id = (int32_t)words_number(t->line, w->name),
		.name = keep(t, w->name, strlen(w->name)),
		.source = words_source(t->line, words_get(w, "source", "stored")),
		.derivation = words_derivation(t->line, words_get(w, "of", "none")),
		.type = words_type(t->line, words_get(w, "type", "integer")),
		.on_change = GY_CHANGE_NEXT,
		.calendar_id = (int32_t)words_number(t->line, words_get(w, "calendar", "0")),
		.all_groups = words_get(w, "all", NULL) != NULL,
	};
	if (fallback != NULL)
		a->fallback = table_value(t, a->type, fallback, strlen(fallback));
	t->dynamic.n_attributes++;
}

static void read_code(struct table *t, struct words *w)
{
	struct gy_dynamic_code *c = &t->codes[t->dynamic.n_codes];

	room(t, t->dynamic.n_codes, TABLE_THINGS);
	*c = (struct gy_dynamic_code){
		.code_id = (int32_t)words_number(t->line, w->name),
		.code = keep(t, w->name, strlen(w->name)),
		.attribute_id = (int32_t)words_number(t->line, words_get(w, "attribute", "0")),
		.on_missing = strcmp(words_get(w, "missing", "ignore"), "deny") == 0
				      ? GY_MISSING_DENY
				      : GY_MISSING_IGNORE,
	};
	t->dynamic.n_codes++;
}

/* any, missing, VALUE, {A,B}, [LOW,HIGH) with an open end left empty. */
static void read_predicate(struct table *t, enum gy_value_type type, const char *text,
			   struct gy_predicate *p)
{
	size_t len = strlen(text);

	if (strcmp(text, "any") == 0) {
		p->match = GY_MATCH_ANY;
	} else if (strcmp(text, "missing") == 0) {
		p->match = GY_MATCH_MISSING;
	} else if (text[0] == '{') {
		const char *at = text + 1;

		p->match = GY_MATCH_SET;
		p->set = &t->values[t->n_values];
		while (*at != '}') {
			size_t n = strcspn(at, ",}");

			room(t, t->n_values, TABLE_VALUES);
			t->values[t->n_values++] = table_value(t, type, at, n);
			p->n_set++;
			at += n + (at[n] == ',');
		}
	} else if (text[0] == '[') {
		size_t comma = strcspn(text, ",");

		p->match = GY_MATCH_RANGE;
		if (text[comma] != ',' || text[len - 1] != ')')
			words_fail(t->line, "not a range", text);
		if (comma > 1)
			p->low = table_value(t, type, text + 1, comma - 1);
		if (len - comma > 2)
			p->high = table_value(t, type, text + comma + 1, len - comma - 2);
	} else {
		p->match = GY_MATCH_EQUAL;
		p->low = table_value(t, type, text, len);
	}
}

static void read_effect(struct table *t, struct words *w, struct gy_effect *e)
{
	static const struct {
		const char *word;
		enum gy_effect_kind kind;
		bool rate;
	} effects[] = {
		{ "replace", GY_EFFECT_REPLACE, true },
		{ "add", GY_EFFECT_ADD, true },
		{ "floor", GY_EFFECT_FLOOR, true },
		{ "cap", GY_EFFECT_CAP, true },
		{ "multiply", GY_EFFECT_MULTIPLY, false },
		{ "free", GY_EFFECT_FREE, false },
		{ "quota", GY_EFFECT_QUOTA, false },
		{ "validity", GY_EFFECT_VALIDITY, false },
	};
	const char *address = words_get(w, "redirect", NULL);

	e->kind = GY_EFFECT_DENY;
	if (address != NULL) {
		e->kind = GY_EFFECT_REDIRECT;
		e->redirect_type = GY_REDIRECT_URL;
		e->address = keep(t, address, strlen(address));
	}
	for (size_t i = 0; i < sizeof(effects) / sizeof(effects[0]); i++) {
		const char *operand = words_get(w, effects[i].word, NULL);

		if (operand == NULL)
			continue;
		e->kind = effects[i].kind;
		if (effects[i].rate)
			words_rate(t->line, operand, &e->amount, &e->block);
		else
			e->amount = words_number(t->line, operand);
	}
}

static void read_rule(struct table *t, struct words *w)
{
	struct gy_dynamic_rule *r = &t->rules[t->dynamic.n_rules];
	const struct gy_attribute_type *a = NULL;
	const char *type = words_get(w, "as", NULL);

	room(t, t->dynamic.n_rules, TABLE_RULES);
	*r = (struct gy_dynamic_rule){
		.rule_id = words_number(t->line, w->name),
		.tariff_id = (int32_t)words_number(t->line, words_get(w, "tariff", "0")),
		.code_id = (int32_t)words_number(t->line, words_get(w, "code", "0")),
		.attribute_id = (int32_t)words_number(t->line, words_get(w, "attribute", "0")),
		.rating_group = words_number(t->line, words_get(w, "rg", "-1")),
		.unit = words_unit(t->line, words_get(w, "unit", "octets")),
		.precedence = (int32_t)words_number(t->line, words_get(w, "prec", "0")),
		.stack_group = (int32_t)words_number(t->line, words_get(w, "group", "0")),
		.valid_from_us = words_time(t->line, words_get(w, "from", "-")),
		.valid_until_us = words_time(t->line, words_get(w, "until", "+")),
	};
	for (unsigned i = 0; i < t->dynamic.n_codes; i++)
		if (t->codes[i].code_id == r->code_id)
			a = table_attribute(t, t->codes[i].attribute_id);
	if (r->attribute_id != 0)
		a = table_attribute(t, r->attribute_id);
	/* as: a value of another type than the attribute's, for what must be refused. */
	read_predicate(t,
		       type != NULL ? words_type(t->line, type)
		       : a != NULL  ? a->type
				    : GY_VALUE_INTEGER,
		       words_get(w, "when", "any"), &r->predicate);
	read_effect(t, w, &r->effect);
	t->dynamic.n_rules++;
}

/* zone ID changes=AT:OFFSET,AT:OFFSET (seconds) [default] */
static void read_zone(struct table *t, struct words *w)
{
	struct gy_zone *z = &t->zones[t->dynamic.zones.n];
	const char *at = words_get(w, "changes", "-:0");

	room(t, t->dynamic.zones.n, TABLE_THINGS);
	*z = (struct gy_zone){ .zone_id = (int32_t)words_number(t->line, w->name),
			       .name = "zone",
			       .changes = &t->changes[t->n_changes] };
	while (*at != '\0') {
		char word[64] = "";
		size_t n = strcspn(at, ",");
		char *colon;

		room(t, t->n_changes, TABLE_CHANGES);
		if (n >= sizeof(word))
			words_fail(t->line, "not a change", at);
		memcpy(word, at, n);
		colon = strrchr(word, ':');
		if (colon == NULL)
			words_fail(t->line, "not a change", at);
		*colon = '\0';
		t->changes[t->n_changes++] =
			(struct gy_zone_change){ words_time(t->line, word),
						 (int32_t)words_number(t->line, colon + 1) };
		z->n_changes++;
		at += n + (at[n] == ',');
	}
	if (words_get(w, "default", NULL) != NULL || t->dynamic.zones.n == 0)
		t->dynamic.zones.default_zone_id = z->zone_id;
	t->dynamic.zones.n++;
}

/* calendar ID days=2024-12-25,2024-12-26 */
static void read_calendar(struct table *t, struct words *w)
{
	struct gy_calendar *c = &t->calendars[t->dynamic.n_calendars];
	const char *at = words_get(w, "days", "");

	room(t, t->dynamic.n_calendars, TABLE_THINGS);
	*c = (struct gy_calendar){ .calendar_id = (int32_t)words_number(t->line, w->name),
				   .name = "calendar",
				   .days = &t->days[t->n_days] };
	while (*at != '\0') {
		int year, month, day;

		room(t, t->n_days, TABLE_CHANGES);
		if (sscanf(at, "%d-%d-%d", &year, &month, &day) != 3)
			words_fail(t->line, "not a date", at);
		t->days[t->n_days++] = (int32_t)gy_civil_day(year, month, day);
		c->n_days++;
		at += strcspn(at, ",");
		at += *at == ',';
	}
	t->dynamic.n_calendars++;
}

static void read_pushed(struct table *t, struct words *w)
{
	struct gy_pushed_value *p = &t->pushed_values[t->pushed.n_values];
	int64_t id = words_number(t->line, w->name);
	const struct gy_attribute_type *a = table_attribute(t, id);
	const char *scope = words_get(w, "scope", ""), *value = words_get(w, "value", "");

	room(t, t->pushed.n_values, TABLE_THINGS);
	if (a == NULL)
		words_fail(t->line, "no such attribute", w->name);
	*p = (struct gy_pushed_value){
		.attribute_id = (int32_t)id,
		.scope = bytes(t, scope, strlen(scope)),
		.value = table_value(t, a->type, value, strlen(value)),
		.valid_from_us = words_time(t->line, words_get(w, "from", "-")),
		.valid_until_us = words_time(t->line, words_get(w, "until", "+")),
	};
	t->pushed.n_values++;
}

void table_clear(struct table *t)
{
	void *memory = t->memory;

	free(memory);
	t->memory = NULL;
	t->n_values = t->n_changes = t->n_days = 0;
	t->n_text = 0;
	t->catalogue = (struct gy_catalogue){ .rules = t->specific };
	t->dynamic = (struct gy_dynamic){ .attributes = t->attributes,
					  .codes = t->codes,
					  .rules = t->rules,
					  .zones = { .zones = t->zones },
					  .calendars = t->calendars,
					  .home_networks = t->homes };
	t->pushed = (struct gy_pushed){ .values = t->pushed_values };
}

void table_line(struct table *t, char *line)
{
	struct words w;

	words_split(t->line, line, &w);
	if (strcmp(w.kind, "snapshot") == 0) {
		table_clear(t);
	} else if (strcmp(w.kind, "specific") == 0) {
		read_specific(t, &w);
	} else if (strcmp(w.kind, "attribute") == 0) {
		read_attribute(t, &w);
	} else if (strcmp(w.kind, "code") == 0) {
		read_code(t, &w);
	} else if (strcmp(w.kind, "rule") == 0) {
		read_rule(t, &w);
	} else if (strcmp(w.kind, "zone") == 0) {
		read_zone(t, &w);
	} else if (strcmp(w.kind, "calendar") == 0) {
		read_calendar(t, &w);
	} else if (strcmp(w.kind, "home") == 0) {
		room(t, t->dynamic.n_home_networks, TABLE_THINGS);
		t->homes[t->dynamic.n_home_networks++] = bytes(t, w.name, strlen(w.name));
	} else if (strcmp(w.kind, "pushed") == 0) {
		read_pushed(t, &w);
	} else {
		words_fail(t->line, "unknown word", w.kind);
	}
}

enum gy_rc table_compile(struct table *t, struct gy_dynamic_fault *fault)
{
	size_t size;
	enum gy_rc rc;

	qsort(t->specific, t->catalogue.n_rules, sizeof(t->specific[0]), gy_specific_rule_compare);
	qsort(t->pushed_values, t->pushed.n_values, sizeof(t->pushed_values[0]), gy_pushed_compare);
	size = gy_dynamic_memory(&t->dynamic);
	free(t->memory);
	t->memory = malloc(size);
	t->dynamic.index = NULL;
	rc = gy_dynamic_compile(&t->catalogue, &t->dynamic, t->memory, size, fault);
	t->catalogue.dynamic = rc == GY_OK ? &t->dynamic : NULL;
	return rc;
}

void table_shuffle(struct table *t, unsigned seed)
{
	uint64_t state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;

	for (unsigned i = t->dynamic.n_rules; i > 1; i--) {
		struct gy_dynamic_rule keep_rule = t->rules[i - 1];
		unsigned k;

		state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		k = (unsigned)(state >> 33) % i;
		t->rules[i - 1] = t->rules[k];
		t->rules[k] = keep_rule;
	}
}
