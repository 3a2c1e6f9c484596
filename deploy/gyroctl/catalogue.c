/* See catalogue.h: from the words of a file to rows, with every error that can be seen without a
 * database. It goes on after an error, so that one run shows them all. */
#include "core/rating/catalogue.h"
#include "deploy/gyroctl/catalogue.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <talloc.h>

#include "core/base/assert.h"
#include "core/base/limits.h"
#include "core/rating/network.h"
#include "deploy/gyroctl/amount.h"
#include "deploy/gyroctl/model.h"
#include "deploy/gyroctl/words.h"
#include "dict/gy_avp_table.h"

/* As they are compared: in lower case, without operator identifier. */
static const char *read_apns(struct gy_model *m, const struct gy_yaml_context *c)
{
	char **apns = talloc_array(m->ctl->pool, char *, c->apns_count);

	gy_assert(apns);
	for (unsigned i = 0; i < c->apns_count; i++) {
		struct gy_bytes given = { (const uint8_t *)c->apns[i], strlen(c->apns[i]) };
		char text[GY_TEXT_MAX];
		size_t len = gy_apn_text(given, text);

		if (len == 0)
			gy_model_wrong(m, "apns", "apns: %s is too long", c->apns[i]);
		apns[i] = talloc_strndup(m->ctl->pool, text, len);
	}
	return gy_model_list(m, apns, c->apns_count);
}

static void read_contexts(struct gy_model *m, const struct gy_yaml_file *f)
{
	for (unsigned i = 0; i < f->service_contexts_count; i++) {
		const struct gy_yaml_context *c = &f->service_contexts[i];
		struct gy_item *row;

		gy_model_entry(m, "service_contexts/%u", i);
		row = gy_model_item(m, GY_CONTEXTS);
		row->cells[0] = gy_model_text(m, "suffix", c->suffix);
		row->cells[1] = gy_model_number(m, "default_rating_group", c->default_rating_group,
						0, UINT32_MAX, NULL);
		row->cells[2] = c->apns_count ? read_apns(m, c) : NULL;
		row->cells[3] = gy_model_bool(m, "cards", c->cards, "f");
	}
}

/* The head of an IPFilterRule (RFC 6733 4.3.1): action and direction, then more. */
static bool is_filter_rule(const char *text)
{
	static const char *const heads[] = { "permit in ", "permit out ", "deny in ", "deny out " };

	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++)
		if (strncmp(text, heads[i], strlen(heads[i])) == 0 && text[strlen(heads[i])])
			return strchr(text, '\n') == NULL;
	return false;
}

static void read_group(struct gy_model *m, const struct gy_yaml_group *g)
{
	struct gy_item *row = gy_model_item(m, GY_GROUPS);
	const char **c = row->cells;

	c[0] = gy_model_number(m, "rating_group", g->rating_group, 0, UINT32_MAX, NULL);
	c[1] = talloc_strdup(m->out, g->name);
	c[2] = gy_model_size(m, "default_grant", g->default_grant, 1, GY_AMOUNT_MAX, NULL);
	c[3] = gy_model_size(m, "max_grant", g->max_grant, 1, GY_AMOUNT_MAX, NULL);
	c[4] = gy_model_size(m, "threshold", g->threshold, 0, UINT32_MAX, "0");
	c[5] = gy_model_duration(m, "validity", g->validity, 1, UINT32_MAX, NULL);
	c[6] = gy_model_duration(m, "quota_holding", g->quota_holding, 0, GY_QUOTA_HOLDING_OFF - 1,
				 NULL);
	c[7] = gy_model_word(m, "final_unit", g->final_unit, gy_words_final_unit, "0");
	if (g->redirect) {
		c[8] = gy_model_word(m, "redirect", g->redirect->type, gy_words_redirect, NULL);
		c[9] = gy_model_text(m, "redirect", g->redirect->address);
	}
	c[10] = gy_model_list(m, g->filter_ids, g->filter_ids_count);
	c[11] = gy_model_list(m, g->filter_rules, g->filter_rules_count);
	c[12] = gy_model_bool(m, "provisioned", g->provisioned, "f");
	c[13] = gy_model_duration(m, "quota_consumption", g->quota_consumption, 0, UINT16_MAX, "0");
	c[14] = gy_model_enums(m, "triggers", g->triggers, g->triggers_count, GY_VENDOR_3GPP,
			       GY_AVP_TRIGGER_TYPE);
	c[15] = gy_model_size(m, "min_grant", g->min_grant, 1, GY_AMOUNT_MAX, "1");
	c[16] = gy_model_duration(m, "target", g->target, 0, 86400, "0");
	c[17] = gy_model_number(m, "validity_jitter", g->validity_jitter, 0, 50, "0");
	c[18] = gy_model_number(m, "pool", g->pool, 0, GY_POOL_MAX, "0");
	if (c[3] && c[15] && gy_model_value(c[3]) < gy_model_value(c[15]))
		gy_model_wrong(m, "min_grant", "min_grant %s is more than max_grant %s",
			       g->min_grant, g->max_grant);
	if (c[2] && c[3] && gy_model_value(c[3]) < gy_model_value(c[2]))
		gy_model_wrong(m, "max_grant", "max_grant %s is less than default_grant %s",
			       g->max_grant, g->default_grant);
	if (c[7] && (gy_model_value(c[7]) == 1) != (g->redirect != NULL))
		gy_model_wrong(m, g->redirect ? "redirect" : "final_unit",
			       "final_unit redirect and a redirect address go together");
	if (c[7] && gy_model_value(c[7]) == 2 && g->filter_ids_count + g->filter_rules_count == 0 &&
	    c[12] && *c[12] == 'f')
		gy_model_wrong(m, "final_unit",
			       "final_unit restrict needs filter_ids or filter_rules, or says "
			       "provisioned: true if the gateway has them by itself");
	for (unsigned i = 0; i < g->filter_rules_count; i++)
		if (!is_filter_rule(g->filter_rules[i]))
			gy_model_wrong(m, "filter_rules",
				       "filter_rules: %s is not a rule such as permit out ip from "
				       "192.0.2.1 to any",
				       g->filter_rules[i]);
}

static void read_rule(struct gy_model *m, const char *code, const struct gy_yaml_rule *r)
{
	struct gy_item *row = gy_model_item(m, GY_RULES);
	const char **c = row->cells;
	bool priced;

	c[0] = code;
	c[1] = gy_model_number(m, "rating_group", r->rating_group, 0, UINT32_MAX, NULL);
	c[2] = gy_model_word(m, "unit", r->unit, gy_words_unit, NULL);
	c[3] = gy_model_instant(m, "valid_from", r->valid_from, "-infinity");
	c[4] = gy_model_word(m, "kind", r->kind, gy_words_rule_kind, "0");
	c[5] = gy_model_money(m, "price", r->price, 0, GY_PRICE_CELL_MAX, "0");
	c[6] = gy_model_size(m, "per", r->per, 1, GY_AMOUNT_MAX, "1");
	c[7] = gy_model_instant(m, "valid_until", r->valid_until, "infinity");
	if (c[2] && gy_model_value(c[2]) == GY_UNIT_MONEY)
		gy_model_wrong(m, "unit", "unit money has no price: octets, seconds or service");
	priced = c[4] && gy_model_value(c[4]) == 0;
	if (priced && (!r->price || !r->per))
		gy_model_wrong(m, NULL,
			       "a rule has price and per, or is of kind free or forbidden");
	if (c[4] && !priced && (r->price || r->per))
		gy_model_wrong(m, "kind", "a rule of kind %s has neither price nor per", r->kind);
	gy_model_validity(m, r->valid_from, r->valid_until);
}

static void read_tariffs(struct gy_model *m, const struct gy_yaml_file *f)
{
	for (unsigned i = 0; i < f->tariffs_count; i++) {
		const struct gy_yaml_tariff *t = &f->tariffs[i];
		struct gy_item *row;
		const char *code;

		gy_model_entry(m, "tariffs/%u", i);
		row = gy_model_item(m, GY_TARIFFS);
		code = row->cells[0] = gy_model_text(m, "code", t->code);
		row->cells[1] = t->name ? talloc_strdup(m->out, t->name) : NULL;
		for (unsigned j = 0; j < t->rules_count; j++) {
			gy_model_entry(m, "tariffs/%u/rules/%u", i, j);
			read_rule(m, code, &t->rules[j]);
		}
	}
}

static void read_account(struct gy_model *m, const struct gy_yaml_account *a)
{
	const char **c = gy_model_item(m, GY_ACCOUNTS)->cells;

	c[0] = gy_model_number(m, "account", a->account, 1, GY_AMOUNT_MAX, NULL);
	c[1] = gy_model_number(m, "currency", a->currency, 1, 999, NULL);
	c[2] = gy_model_money(m, "balance", a->balance, -GY_AMOUNT_MAX, GY_AMOUNT_MAX, "0");
	c[3] = gy_model_money(m, "credit_limit", a->credit_limit, 0, GY_AMOUNT_MAX, NULL);
	c[4] = gy_model_word(m, "state", a->state, gy_words_state, NULL);
	c[5] = gy_model_instant(m, "valid_until", a->valid_until, NULL);
}

static void read_identity(struct gy_model *m, const char *subscriber, int kind, const char *text)
{
	const char *key = kind == 5 ? "private" : gy_words_identity[kind];
	const char **c;

	if (!text)
		return;
	c = gy_model_item(m, GY_IDENTITIES)->cells;
	c[0] = gy_model_decimal(m, kind);
	c[1] = gy_model_text(m, key, text);
	c[2] = subscriber;
	if (kind == 2 && text[0] == '+')
		gy_model_wrong(m, key, "e164 %s: write the number without plus", text);
	if (kind <= 2 && text[strspn(text, "0123456789")] && text[0] != '+')
		gy_model_wrong(m, key, "%s %s is not made of digits", key, text);
}

static void read_subscriber(struct gy_model *m, const struct gy_yaml_subscriber *s)
{
	/* In the order of the numbers of kinds. */
	const char *const identities[] = { s->imsi,    s->e164,       s->nai,
					   s->sip_uri, s->private_id, s->user_name };
	const char **c = gy_model_item(m, GY_SUBSCRIBERS)->cells;
	const char *id = gy_model_number(m, "subscriber", s->subscriber, 1, GY_AMOUNT_MAX, NULL);

	c[0] = id;
	c[1] = gy_model_number(m, "account", s->account, 1, GY_AMOUNT_MAX, NULL);
	c[2] = gy_model_text(m, "tariff", s->tariff);
	c[3] = gy_model_word(m, "state", s->state, gy_words_state, NULL);
	for (int i = 0; i < 6; i++)
		read_identity(m, id, i + 1, identities[i]);
	gy_model_subscriber(m, s, id);
}

/* Overlaps and repeated keys: rows that can't be together in one file. */
struct sorted {
	enum gy_section_id id;
	const struct gy_item *item;
};

static int compare_keys(const void *a, const void *b)
{
	const struct sorted *x = a, *y = b;

	for (int i = 0; i < gy_section_keys(&gy_sections[x->id]); i++) {
		int order = strcmp(x->item->cells[i], y->item->cells[i]);

		if (order != 0)
			return order;
	}
	return (x->item->line > y->item->line) - (x->item->line < y->item->line);
}

static int64_t instant_of(const char *cell)
{
	int64_t us;

	if (strcmp(cell, "infinity") == 0)
		return INT64_MAX;
	return gy_instant_parse(cell, &us) ? us : INT64_MIN;
}

static bool same_key(const struct sorted *a, const struct sorted *b, int columns)
{
	for (int i = 0; i < columns; i++)
		if (strcmp(a->item->cells[i], b->item->cells[i]) != 0)
			return false;
	return true;
}

static void clash(struct gy_model *m, const struct sorted *a, const struct sorted *b,
		  const char *how)
{
	const struct sorted *later = a->item->line > b->item->line ? a : b,
			    *earlier = later == a ? b : a;

	if (m->errors++ < GY_ERRORS_MAX)
		gy_fail(m->ctl, GY_EXIT_FAILED, "%s:%d: %s %s line %d", m->yaml->path,
			later->item->line,
			gy_section_what(m->ctl->pool, later->id, later->item->cells), how,
			earlier->item->line);
}

static void find_clashes(struct gy_model *m, enum gy_section_id id)
{
	const struct gy_item_list *list = &m->out->lists[id];
	struct sorted *rows = talloc_array(m->ctl->pool, struct sorted, (unsigned)list->n + 1);
	int keys = gy_section_keys(&gy_sections[id]);

	gy_assert(rows);
	for (int i = 0; i < list->n; i++)
		rows[i] = (struct sorted){ id, &list->items[i] };
	qsort(rows, (size_t)list->n, sizeof(*rows), compare_keys);
	for (int i = 0; i + 1 < list->n; i++)
		if (same_key(&rows[i], &rows[i + 1], keys))
			clash(m, &rows[i], &rows[i + 1], "is also on");
	/* Rules that differ by valid_from only stand in its order. */
	for (int i = 0; gy_sections[id].valid_until && i + 1 < list->n; i++)
		if (same_key(&rows[i], &rows[i + 1], keys - 1) &&
		    !same_key(&rows[i], &rows[i + 1], keys) &&
		    instant_of(rows[i].item->cells[gy_sections[id].valid_until]) >
			    instant_of(rows[i + 1].item->cells[keys - 1]))
			clash(m, &rows[i], &rows[i + 1], "overlaps in time with");
}

struct gy_catalogue_file *gy_catalogue_read(struct gy_ctl *ctl, const char *path)
{
	struct gy_yaml *yaml = gy_yaml_read(ctl, path);
	struct gy_model m = { .ctl = ctl, .yaml = yaml };
	const struct gy_yaml_file *f;

	if (!yaml)
		return NULL;
	f = yaml->file;
	m.out = talloc_zero(ctl->pool, struct gy_catalogue_file);
	gy_assert(m.out);
	m.out->path = path;
	m.out->lists[GY_CONTEXTS].present = f->service_contexts != NULL;
	m.out->lists[GY_GROUPS].present = f->rating_groups != NULL;
	m.out->lists[GY_TARIFFS].present = m.out->lists[GY_RULES].present = f->tariffs != NULL;
	m.out->lists[GY_ACCOUNTS].present = f->accounts != NULL;
	for (int id = GY_SUBSCRIBERS; id <= GY_SUBSCRIBER_CODES; id++)
		m.out->lists[id].present = f->subscribers != NULL;
	read_contexts(&m, f);
	for (unsigned i = 0; i < f->rating_groups_count; i++) {
		gy_model_entry(&m, "rating_groups/%u", i);
		read_group(&m, &f->rating_groups[i]);
	}
	read_tariffs(&m, f);
	gy_model_dynamic(&m, f);
	for (unsigned i = 0; i < f->accounts_count; i++) {
		gy_model_entry(&m, "accounts/%u", i);
		read_account(&m, &f->accounts[i]);
	}
	for (unsigned i = 0; i < f->subscribers_count; i++) {
		gy_model_entry(&m, "subscribers/%u", i);
		read_subscriber(&m, &f->subscribers[i]);
	}
	gy_model_cards(&m, f);
	for (int id = 0; id < GY_SECTIONS && m.errors == 0; id++)
		find_clashes(&m, (enum gy_section_id)id);
	if (m.errors > GY_ERRORS_MAX)
		gy_fail(ctl, GY_EXIT_FAILED, "%s: %d more errors", path, m.errors - GY_ERRORS_MAX);
	return m.errors == 0 ? m.out : NULL;
}
