/* See model.h: the sections of dynamic tariffs (spec/tariffs.md). Whether rules fit together is
 * checked on the whole catalogue, after it was put into the database. */
#include "deploy/gyroctl/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <talloc.h>

#include "core/base/assert.h"
#include "core/base/limits.h"
#include "core/rating/dynamic.h"
#include "deploy/gyroctl/amount.h"
#include "deploy/gyroctl/words.h"

static int compare_texts(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void read_calendar(struct gy_model *m, const struct gy_yaml_calendar *k)
{
	const char **c = gy_model_item(m, GY_CALENDARS)->cells;
	int64_t us;

	c[0] = gy_model_text(m, "name", k->name);
	for (unsigned i = 0; i < k->days_count; i++)
		if (strlen(k->days[i]) != 10 || !gy_instant_parse(k->days[i], &us))
			gy_model_wrong(m, "days", "%s is no day such as 2026-12-25", k->days[i]);
	if (k->days_count > 1)
		qsort(k->days, k->days_count, sizeof(*k->days), compare_texts);
	for (unsigned i = 1; i < k->days_count; i++)
		if (strcmp(k->days[i - 1], k->days[i]) == 0)
			gy_model_wrong(m, "days", "%s is there twice", k->days[i]);
	c[1] = gy_model_list(m, k->days, k->days_count);
}

static void read_network(struct gy_model *m, const char *text)
{
	size_t n = strlen(text);

	gy_model_item(m, GY_HOME_NETWORKS)->cells[0] = gy_model_text(m, NULL, text);
	if (n < 5 || n > 6 || strspn(text, "0123456789") != n)
		gy_model_wrong(m, NULL, "home network %s is not MCC and MNC, five or six digits",
			       text);
}

/* The type of what is derived; NULL: the operator says it. */
static const char *derived_type(int derivation)
{
	if (derivation == GY_DERIVE_ROAMING || derivation == GY_DERIVE_HOLIDAY)
		return "4";
	if (derivation == GY_DERIVE_MONEY_DAY || derivation == GY_DERIVE_MONEY_MONTH)
		return "2";
	if (derivation == GY_DERIVE_RAT ||
	    (derivation >= GY_DERIVE_HOUR && derivation <= GY_DERIVE_UNITS_MONTH))
		return "1";
	if (derivation >= GY_DERIVE_SERVING_NETWORK && derivation <= GY_DERIVE_RULE_BASE)
		return "3";
	return NULL;
}

static int source_of(int64_t derivation)
{
	return derivation == GY_DERIVE_NONE       ? GY_SOURCE_STORED
	       : derivation < GY_DERIVE_HOUR      ? GY_SOURCE_REQUEST
	       : derivation < GY_DERIVE_UNITS_DAY ? GY_SOURCE_CLOCK
	       : derivation < GY_DERIVE_OF_ALL    ? GY_SOURCE_COUNTER
						  : GY_SOURCE_PUSHED;
}

static void read_attribute(struct gy_model *m, const struct gy_yaml_attribute *a)
{
	const char **c = gy_model_item(m, GY_ATTRIBUTES)->cells;
	const char *otherwise;

	c[0] = gy_model_text(m, "name", a->name);
	if (!*a->name || a->name[0] < 'a' || a->name[0] > 'z' ||
	    strspn(a->name, "abcdefghijklmnopqrstuvwxyz0123456789_") != strlen(a->name))
		gy_model_wrong(m, "name", "name %s is not made of a-z, 0-9 and _", a->name);
	c[1] = gy_model_word(m, "source", a->source, gy_words_source, NULL);
	c[2] = gy_model_word(m, "derivation", a->derivation, gy_words_derivation,
			     c[1] && *c[1] == '5' ? "60" : "0");
	if (!c[1] || !c[2])
		return;
	if (gy_model_value(c[1]) != source_of(gy_model_value(c[2]))) {
		gy_model_wrong(m, a->derivation ? "derivation" : "source", "source %s %s%s",
			       a->source,
			       a->derivation ? "has no derivation " : "needs a derivation",
			       a->derivation ? a->derivation : "");
		return;
	}
	otherwise = derived_type((int)gy_model_value(c[2]));
	c[3] = gy_model_word(m, "type", a->type, gy_words_value_type, otherwise);
	if (!a->type && !otherwise)
		gy_model_wrong(m, NULL, "an attribute of source %s needs a type", a->source);
	if (c[3] && otherwise && strcmp(c[3], otherwise) != 0)
		gy_model_wrong(m, "type", "%s is of type %s", a->derivation,
			       gy_words_value_type[gy_model_value(otherwise)]);
	c[4] = a->fallback ? talloc_strdup(m->out, a->fallback) : NULL;
	c[5] = gy_model_word(m, "on_change", a->on_change, gy_words_on_change, "2");
	if (c[5] && *c[5] != '2' && *c[1] != '1' && *c[1] != '5')
		gy_model_wrong(
			m, "on_change",
			"on_change %s is for stored and pushed values: what follows from the %s "
			"acts by itself",
			a->on_change, a->source);
	c[6] = gy_model_text(m, "calendar", a->calendar);
	c[7] = gy_model_bool(m, "all_groups", a->all_groups, "f");
	if ((gy_model_value(c[2]) == GY_DERIVE_HOLIDAY) != (a->calendar != NULL))
		gy_model_wrong(m, a->calendar ? "calendar" : NULL,
			       "derivation holiday and a calendar go together");
}

/* --- rules --------------------------------------------------------------------------------------
 */

/* Columns of a dynamic rule, see section.c. */
enum {
	MATCH = 5,
	LOW,
	HIGH,
	SET,
	EFFECT,
	PRECEDENCE,
	GROUP,
	FROM,
	AMOUNT,
	BLOCK,
	TYPE,
	ADDRESS,
	UNTIL
};

static bool flagged(struct gy_model *m, const char *key, const char *text)
{
	const char *cell = gy_model_bool(m, key, text, "f");

	if (cell && text && *cell == 'f')
		gy_model_wrong(m, key, "%s is true, or left out", key);
	return text != NULL;
}

static void match(struct gy_model *m, const struct gy_yaml_dynamic *d, const char **c)
{
	bool range = d->from || d->to, any = flagged(m, "any", d->any),
	     missing = flagged(m, "missing", d->missing);
	int n = any + missing + (d->equal != NULL) + range + (d->in != NULL);

	c[LOW] = c[HIGH] = c[SET] = "";
	if (n > 1)
		gy_model_wrong(m, NULL, "a rule has one of any, equal, in, from and to, missing");
	if (d->equal) {
		c[MATCH] = "2";
		c[LOW] = talloc_strdup(m->out, d->equal);
	} else if (d->in) {
		c[MATCH] = "3";
		c[SET] = gy_model_list(m, d->in, d->in_count);
		if (d->in_count == 0)
			gy_model_wrong(m, "in", "in is empty");
	} else if (range) {
		c[MATCH] = "4";
		c[LOW] = d->from ? talloc_strdup(m->out, d->from) : "";
		c[HIGH] = d->to ? talloc_strdup(m->out, d->to) : "";
	} else {
		c[MATCH] = missing ? "5" : "1";
	}
	if ((d->equal && !*d->equal) || (d->from && !*d->from) || (d->to && !*d->to))
		gy_model_wrong(m, d->equal ? "equal" : d->to ? "to" : "from", "an empty value");
}

static void rate(struct gy_model *m, const char **c, const char *key, const char *effect,
		 const struct gy_yaml_rate *r)
{
	char *price = talloc_asprintf(m->ctl->pool, "%s/price", key);

	if (!r)
		return;
	c[EFFECT] = effect;
	c[AMOUNT] = gy_model_money(m, price, r->price, *effect == '4' ? -GY_PRICE_CELL_MAX : 0,
				   GY_PRICE_CELL_MAX, NULL);
	c[BLOCK] = gy_model_size(m, talloc_asprintf(m->ctl->pool, "%s/per", key), r->per, 1,
				 GY_AMOUNT_MAX, NULL);
}

static void effect(struct gy_model *m, const struct gy_yaml_dynamic *d, const char **c)
{
	int n = (d->deny != NULL) + (d->replace != NULL) + (d->multiply != NULL) +
		(d->ppm != NULL) + (d->add != NULL) + (d->free != NULL) + (d->floor != NULL) +
		(d->cap != NULL) + (d->quota != NULL) + (d->validity != NULL) +
		(d->redirect != NULL);

	c[EFFECT] = "1";
	c[AMOUNT] = c[BLOCK] = "0";
	if (n != 1) {
		gy_model_wrong(m, NULL,
			       "a rule has one effect: deny, replace, multiply, ppm, add, free, "
			       "floor, cap, quota, validity or redirect");
		return;
	}
	flagged(m, "deny", d->deny);
	rate(m, c, "replace", "2", d->replace);
	rate(m, c, "add", "4", d->add);
	rate(m, c, "floor", "6", d->floor);
	rate(m, c, "cap", "7", d->cap);
	if (d->multiply || d->ppm) {
		c[EFFECT] = "3";
		c[AMOUNT] =
			d->ppm ? gy_model_number(m, "ppm", d->ppm, 0, GY_PPM_MAX, NULL)
			       : gy_model_money(m, "multiply", d->multiply, 0, GY_PPM_MAX, NULL);
	}
	if (d->free) {
		c[EFFECT] = "5";
		c[AMOUNT] = gy_model_size(m, "free", d->free, 1, GY_AMOUNT_MAX, NULL);
	}
	if (d->quota) {
		c[EFFECT] = "8";
		c[AMOUNT] = gy_model_size(m, "quota", d->quota, 1, GY_AMOUNT_MAX, NULL);
	}
	if (d->validity) {
		c[EFFECT] = "9";
		c[AMOUNT] = gy_model_duration(m, "validity", d->validity, 1, UINT32_MAX, NULL);
	}
	if (d->redirect) {
		c[EFFECT] = "10";
		c[TYPE] = gy_model_word(m, "redirect", d->redirect->type, gy_words_redirect, NULL);
		c[ADDRESS] = gy_model_text(m, "redirect", d->redirect->address);
	}
}

/* "any" says the same as leaving the key out. */
static const char *or_any(struct gy_model *m, const char *key, const char *text)
{
	return text && strcmp(text, "any") != 0 ? gy_model_text(m, key, text) : "";
}

static void read_rule(struct gy_model *m, const struct gy_yaml_dynamic *d)
{
	const char **c = gy_model_item(m, GY_DYNAMIC_RULES)->cells;

	c[0] = or_any(m, "tariff", d->tariff);
	c[1] = or_any(m, "code", d->code);
	c[2] = or_any(m, "attribute", d->attribute);
	c[3] = or_any(m, "rating_group", d->rating_group);
	if (c[3] && *c[3])
		c[3] = gy_model_number(m, "rating_group", c[3], 0, UINT32_MAX, NULL);
	c[4] = *or_any(m, "unit", d->unit) ? gy_model_word(m, "unit", d->unit, gy_words_unit, "0")
					   : "0";
	if (c[4] && gy_model_value(c[4]) == GY_UNIT_MONEY)
		gy_model_wrong(m, "unit", "unit money has no price: octets, seconds or service");
	if (c[1] && c[2] && *c[1] && *c[2])
		gy_model_wrong(m, "attribute",
			       "a rule with a code looks at the code's attribute: leave it out");
	match(m, d, c);
	effect(m, d, c);
	c[PRECEDENCE] = gy_model_number(m, "precedence", d->precedence, INT32_MIN, INT32_MAX, "0");
	c[GROUP] = gy_model_number(m, "stack_group", d->stack_group, 0, INT32_MAX, "0");
	c[FROM] = gy_model_instant(m, "valid_from", d->valid_from, "-infinity");
	c[UNTIL] = gy_model_instant(m, "valid_until", d->valid_until, "infinity");
	gy_model_validity(m, d->valid_from, d->valid_until);
}

static void read_zones(struct gy_model *m, const struct gy_yaml_file *f)
{
	int defaults = 0;

	for (unsigned i = 0; i < f->time_zones_count; i++) {
		const char **c;

		gy_model_entry(m, "time_zones/%u", i);
		c = gy_model_item(m, GY_ZONES)->cells;
		c[0] = gy_model_text(m, "name", f->time_zones[i].name);
		c[1] = gy_model_bool(m, "default", f->time_zones[i].is_default, "f");
		if (c[1] && *c[1] == 't' && ++defaults > 1)
			gy_model_wrong(m, "default", "a second default time zone");
	}
}

static void read_codes(struct gy_model *m, const struct gy_yaml_file *f)
{
	for (unsigned i = 0; i < f->dynamic_codes_count; i++) {
		const struct gy_yaml_code *k = &f->dynamic_codes[i];
		const char **c;

		gy_model_entry(m, "dynamic_codes/%u", i);
		c = gy_model_item(m, GY_DYNAMIC_CODES)->cells;
		c[0] = gy_model_text(m, "code", k->code);
		c[1] = gy_model_text(m, "attribute", k->attribute);
		c[2] = gy_model_word(m, "on_missing", k->on_missing, gy_words_on_missing, "1");
	}
}

static void read_peers(struct gy_model *m, const struct gy_yaml_file *f)
{
	for (unsigned i = 0; i < f->peers_count; i++) {
		const char **c;

		gy_model_entry(m, "peers/%u", i);
		c = gy_model_item(m, GY_PEERS)->cells;
		c[0] = gy_model_text(m, "peer", f->peers[i].peer);
		c[1] = gy_model_bool(m, "tariff_time_change", f->peers[i].tariff_time_change, "t");
		c[2] = gy_model_word(m, "free", f->peers[i].free_answer, gy_words_free_answer, "0");
		c[3] = gy_model_bool(m, "terminate_only", f->peers[i].terminate_only, "f");
		c[4] = gy_model_bool(m, "credit_pools", f->peers[i].credit_pools, "t");
		c[5] = gy_model_bool(m, "restart_ends_sessions", f->peers[i].restart_ends_sessions,
				     "t");
	}
}

void gy_model_dynamic(struct gy_model *m, const struct gy_yaml_file *f)
{
	m->out->lists[GY_PEERS].present = f->peers != NULL;
	m->out->lists[GY_ZONES].present = f->time_zones != NULL;
	m->out->lists[GY_CALENDARS].present = f->calendars != NULL;
	m->out->lists[GY_HOME_NETWORKS].present = f->home_networks != NULL;
	m->out->lists[GY_ATTRIBUTES].present = f->attributes != NULL;
	m->out->lists[GY_DYNAMIC_CODES].present = f->dynamic_codes != NULL;
	m->out->lists[GY_DYNAMIC_RULES].present = f->dynamic_rules != NULL;
	read_peers(m, f);
	read_zones(m, f);
	for (unsigned i = 0; i < f->calendars_count; i++) {
		gy_model_entry(m, "calendars/%u", i);
		read_calendar(m, &f->calendars[i]);
	}
	for (unsigned i = 0; i < f->home_networks_count; i++) {
		gy_model_entry(m, "home_networks/%u", i);
		read_network(m, f->home_networks[i]);
	}
	for (unsigned i = 0; i < f->attributes_count; i++) {
		gy_model_entry(m, "attributes/%u", i);
		read_attribute(m, &f->attributes[i]);
	}
	read_codes(m, f);
	for (unsigned i = 0; i < f->dynamic_rules_count; i++) {
		gy_model_entry(m, "dynamic_rules/%u", i);
		read_rule(m, &f->dynamic_rules[i]);
	}
}

void gy_model_subscriber(struct gy_model *m, const struct gy_yaml_subscriber *s, const char *id)
{
	char *path = talloc_asprintf(m->ctl->pool, "%s/attributes", m->where);
	const char *key, *value;
	int found;

	if (s->zone) {
		const char **c = gy_model_item(m, GY_SUBSCRIBER_ZONES)->cells;

		c[0] = id;
		c[1] = gy_model_text(m, "zone", s->zone);
	}
	for (int n = 0; (found = gy_lines_pair(m->yaml->lines, path, n, &key, &value)) > 0; n++) {
		const char **c = gy_model_item(m, GY_SUBSCRIBER_ATTRIBUTES)->cells;

		c[0] = id;
		c[1] = talloc_strdup(m->out, key);
		c[2] = talloc_strdup(m->out, value);
	}
	if (found < 0)
		gy_model_wrong(m, "attributes", "attributes are pairs such as { credit_level: 3 }");
	for (unsigned i = 0; i < s->dynamic_codes_count; i++) {
		const char **c = gy_model_item(m, GY_SUBSCRIBER_CODES)->cells;

		c[0] = id;
		c[1] = gy_model_text(m, "dynamic_codes", s->dynamic_codes[i]);
	}
}
