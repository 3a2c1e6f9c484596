/* See catalogue.h: from the words of a file to rows, with every error that can be seen without a
 * database. It goes on after an error, so that one run shows them all. */
#include "deploy/gyroctl/catalogue.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <talloc.h>

#include "core/base/assert.h"
#include "core/base/limits.h"
#include "deploy/gyroctl/amount.h"
#include "deploy/gyroctl/words.h"

#define ERRORS_MAX 20
#define PRICE_MAX  INT64_C(1000000000000000)

struct model {
	struct gy_ctl *ctl;
	const struct gy_yaml *yaml;
	struct gy_catalogue_file *out;
	int errors;
	char where[200]; /* path of the entry at hand, e.g. "tariffs/0/rules/3" */
};

/* An error at a key of the entry at hand (NULL: at the entry). */
__attribute__((format(printf, 3, 4))) static void wrong(struct model *m, const char *key,
							const char *format, ...)
{
	va_list args;
	char *text, *path = talloc_asprintf(m->ctl->pool, "%s%s%s", m->where, key ? "/" : "",
					    key ? key : "");

	va_start(args, format);
	text = talloc_vasprintf(m->ctl->pool, format, args);
	va_end(args);
	if (m->errors++ < ERRORS_MAX)
		gy_fail(m->ctl, GY_EXIT_FAILED, "%s:%d: %s", m->yaml->path,
			gy_lines_find(m->yaml->lines, path), text);
}

__attribute__((format(printf, 2, 3))) static void entry(struct model *m, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(m->where, sizeof(m->where), format, args);
	va_end(args);
}

/* A new row of a section, at the line of the entry at hand. */
static struct gy_item *item(struct model *m, enum gy_section_id id)
{
	struct gy_item_list *list = &m->out->lists[id];

	if (list->n == list->room) {
		list->room = list->room ? list->room * 2 : 64;
		list->items =
			talloc_realloc(m->out, list->items, struct gy_item, (unsigned)list->room);
		gy_assert(list->items);
	}
	list->items[list->n] = (struct gy_item){ .line = gy_lines_find(m->yaml->lines, m->where) };
	return &list->items[list->n++];
}

static const char *decimal(struct model *m, int64_t n)
{
	return talloc_asprintf(m->out, "%" PRId64, n);
}

/* The readers below return the cell, otherwise if the key is absent, NULL after an error. */

static const char *number(struct model *m, const char *key, const char *text, int64_t least,
			  int64_t most, const char *otherwise)
{
	int64_t n;

	if (!text)
		return otherwise;
	if (gy_number_parse(text, least, most, &n))
		return decimal(m, n);
	wrong(m, key, "%s %s is not a whole number from %" PRId64 " to %" PRId64, key, text, least,
	      most);
	return NULL;
}

static const char *size(struct model *m, const char *key, const char *text, int64_t least,
			int64_t most, const char *otherwise)
{
	char lowest[GY_AMOUNT_TEXT], highest[GY_AMOUNT_TEXT];
	int64_t n;

	if (!text)
		return otherwise;
	if (gy_size_parse(text, &n) && n >= least && n <= most)
		return decimal(m, n);
	gy_size_format(least, lowest);
	gy_size_format(most, highest);
	wrong(m, key, "%s %s is not a size from %s to %s, such as 10MiB or 300", key, text, lowest,
	      highest);
	return NULL;
}

static const char *duration(struct model *m, const char *key, const char *text, int64_t least,
			    int64_t most, const char *otherwise)
{
	int64_t n;

	if (!text)
		return otherwise;
	if (gy_duration_parse(text, &n) && n >= least && n <= most)
		return decimal(m, n);
	wrong(m, key,
	      "%s %s is not a time from %" PRId64 " to %" PRId64 " s, such as 600, 10m or 1h", key,
	      text, least, most);
	return NULL;
}

static const char *money(struct model *m, const char *key, const char *text, int64_t least,
			 int64_t most, const char *otherwise)
{
	int64_t n;

	if (!text)
		return otherwise;
	if (!gy_money_parse(text, &n))
		wrong(m, key,
		      "%s %s is not an amount of money such as \"12.50\", at most six decimals",
		      key, text);
	else if (n < least || n > most)
		wrong(m, key, "%s %s is too %s", key, text, n < least ? "small" : "large");
	else
		return decimal(m, n);
	return NULL;
}

static const char *word(struct model *m, const char *key, const char *text,
			const char *const *words, const char *otherwise)
{
	char *known = talloc_strdup(m->ctl->pool, "");
	int n;

	if (!text)
		return otherwise;
	n = gy_word_number(words, text);
	if (n >= 0)
		return decimal(m, n);
	for (int i = 0; words[i]; i++)
		if (*words[i])
			known = talloc_asprintf_append(known, "%s%s", *known ? ", " : "", words[i]);
	wrong(m, key, "%s %s is none of: %s", key, text, known);
	return NULL;
}

static const char *instant(struct model *m, const char *key, const char *text,
			   const char *otherwise)
{
	char iso[GY_AMOUNT_TEXT];
	int64_t us;

	if (!text)
		return otherwise;
	if (!gy_instant_parse(text, &us)) {
		wrong(m, key, "%s %s is not an instant such as 2026-01-31T08:00:00Z", key, text);
		return NULL;
	}
	gy_instant_format(us, iso);
	return talloc_strdup(m->out, iso);
}

static const char *text_of(struct model *m, const char *key, const char *text)
{
	if (!text)
		return NULL;
	if (!*text)
		wrong(m, key, "%s is empty", key);
	return talloc_strdup(m->out, text);
}

static int64_t value(const char *cell)
{
	return strtoll(cell, NULL, 10);
}

static void read_contexts(struct model *m, const struct gy_yaml_file *f)
{
	for (unsigned i = 0; i < f->service_contexts_count; i++) {
		const struct gy_yaml_context *c = &f->service_contexts[i];
		struct gy_item *row;

		entry(m, "service_contexts/%u", i);
		row = item(m, GY_CONTEXTS);
		row->cells[0] = text_of(m, "suffix", c->suffix);
		row->cells[1] = number(m, "default_rating_group", c->default_rating_group, 0,
				       UINT32_MAX, NULL);
	}
}

static const char *filters(struct model *m, const struct gy_yaml_group *g)
{
	json_t *list = json_array();
	char *compact;
	const char *cell;

	for (unsigned i = 0; i < g->filter_ids_count; i++)
		json_array_append_new(list, json_string(g->filter_ids[i]));
	compact = json_dumps(list, JSON_COMPACT);
	gy_assert(compact);
	cell = talloc_strdup(m->out, compact);
	free(compact);
	json_decref(list);
	return cell;
}

static void read_group(struct model *m, const struct gy_yaml_group *g)
{
	struct gy_item *row = item(m, GY_GROUPS);
	const char **c = row->cells;

	c[0] = number(m, "rating_group", g->rating_group, 0, UINT32_MAX, NULL);
	c[1] = talloc_strdup(m->out, g->name);
	c[2] = size(m, "default_grant", g->default_grant, 1, GY_AMOUNT_MAX, NULL);
	c[3] = size(m, "max_grant", g->max_grant, 1, GY_AMOUNT_MAX, NULL);
	c[4] = size(m, "threshold", g->threshold, 0, UINT32_MAX, "0");
	c[5] = duration(m, "validity", g->validity, 1, UINT32_MAX, NULL);
	c[6] = duration(m, "quota_holding", g->quota_holding, 0, UINT16_MAX, "0");
	c[7] = word(m, "final_unit", g->final_unit, gy_words_final_unit, "0");
	if (g->redirect) {
		c[8] = word(m, "redirect", g->redirect->type, gy_words_redirect, NULL);
		c[9] = text_of(m, "redirect", g->redirect->address);
	}
	c[10] = filters(m, g);
	if (c[2] && c[3] && value(c[3]) < value(c[2]))
		wrong(m, "max_grant", "max_grant %s is less than default_grant %s", g->max_grant,
		      g->default_grant);
	if (c[7] && (value(c[7]) == 1) != (g->redirect != NULL))
		wrong(m, g->redirect ? "redirect" : "final_unit",
		      "final_unit redirect and a redirect address go together");
}

static void read_rule(struct model *m, const char *code, const struct gy_yaml_rule *r)
{
	struct gy_item *row = item(m, GY_RULES);
	const char **c = row->cells;
	bool priced;

	c[0] = code;
	c[1] = number(m, "rating_group", r->rating_group, 0, UINT32_MAX, NULL);
	c[2] = word(m, "unit", r->unit, gy_words_unit, NULL);
	c[3] = instant(m, "valid_from", r->valid_from, "-infinity");
	c[4] = word(m, "kind", r->kind, gy_words_rule_kind, "0");
	c[5] = money(m, "price", r->price, 0, PRICE_MAX, "0");
	c[6] = size(m, "per", r->per, 1, GY_AMOUNT_MAX, "1");
	c[7] = instant(m, "valid_until", r->valid_until, "infinity");
	if (c[2] && value(c[2]) == GY_UNIT_MONEY)
		wrong(m, "unit", "unit money has no price: octets, seconds or service");
	priced = c[4] && value(c[4]) == 0;
	if (priced && (!r->price || !r->per))
		wrong(m, NULL, "a rule has price and per, or is of kind free or forbidden");
	if (c[4] && !priced && (r->price || r->per))
		wrong(m, "kind", "a rule of kind %s has neither price nor per", r->kind);
	/* Both are ISO in UTC with the same width, but for fractions: compare as instants. */
	if (r->valid_from && r->valid_until && c[3] && c[7]) {
		int64_t from = 0, until = 0;

		if (gy_instant_parse(c[3], &from) && gy_instant_parse(c[7], &until) &&
		    from >= until)
			wrong(m, "valid_until", "valid_until %s is not after valid_from %s",
			      r->valid_until, r->valid_from);
	}
}

static void read_tariffs(struct model *m, const struct gy_yaml_file *f)
{
	for (unsigned i = 0; i < f->tariffs_count; i++) {
		const struct gy_yaml_tariff *t = &f->tariffs[i];
		struct gy_item *row;
		const char *code;

		entry(m, "tariffs/%u", i);
		row = item(m, GY_TARIFFS);
		code = row->cells[0] = text_of(m, "code", t->code);
		row->cells[1] = t->name ? talloc_strdup(m->out, t->name) : NULL;
		for (unsigned j = 0; j < t->rules_count; j++) {
			entry(m, "tariffs/%u/rules/%u", i, j);
			read_rule(m, code, &t->rules[j]);
		}
	}
}

static void read_account(struct model *m, const struct gy_yaml_account *a)
{
	const char **c = item(m, GY_ACCOUNTS)->cells;

	c[0] = number(m, "account", a->account, 1, GY_AMOUNT_MAX, NULL);
	c[1] = number(m, "currency", a->currency, 1, 999, NULL);
	c[2] = money(m, "balance", a->balance, -GY_AMOUNT_MAX, GY_AMOUNT_MAX, "0");
	c[3] = money(m, "credit_limit", a->credit_limit, 0, GY_AMOUNT_MAX, NULL);
	c[4] = word(m, "state", a->state, gy_words_state, NULL);
	c[5] = instant(m, "valid_until", a->valid_until, NULL);
}

static void read_identity(struct model *m, const char *subscriber, int kind, const char *text)
{
	const char *key = kind == 5 ? "private" : gy_words_identity[kind];
	const char **c;

	if (!text)
		return;
	c = item(m, GY_IDENTITIES)->cells;
	c[0] = decimal(m, kind);
	c[1] = text_of(m, key, text);
	c[2] = subscriber;
	if (kind == 2 && text[0] == '+')
		wrong(m, key, "e164 %s: write the number without plus", text);
	if (kind <= 2 && text[strspn(text, "0123456789")] && text[0] != '+')
		wrong(m, key, "%s %s is not made of digits", key, text);
}

static void read_subscriber(struct model *m, const struct gy_yaml_subscriber *s)
{
	/* In the order of the numbers of kinds. */
	const char *const identities[] = { s->imsi,    s->e164,       s->nai,
					   s->sip_uri, s->private_id, s->user_name };
	const char **c = item(m, GY_SUBSCRIBERS)->cells;
	const char *id = number(m, "subscriber", s->subscriber, 1, GY_AMOUNT_MAX, NULL);

	c[0] = id;
	c[1] = number(m, "account", s->account, 1, GY_AMOUNT_MAX, NULL);
	c[2] = text_of(m, "tariff", s->tariff);
	c[3] = word(m, "state", s->state, gy_words_state, NULL);
	for (int i = 0; i < 6; i++)
		read_identity(m, id, i + 1, identities[i]);
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

static void clash(struct model *m, const struct sorted *a, const struct sorted *b, const char *how)
{
	const struct sorted *later = a->item->line > b->item->line ? a : b,
			    *earlier = later == a ? b : a;

	if (m->errors++ < ERRORS_MAX)
		gy_fail(m->ctl, GY_EXIT_FAILED, "%s:%d: %s %s line %d", m->yaml->path,
			later->item->line,
			gy_section_what(m->ctl->pool, later->id, later->item->cells), how,
			earlier->item->line);
}

static void find_clashes(struct model *m, enum gy_section_id id)
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
	/* Rules of one code, Rating-Group and unit stand in the order of valid_from. */
	for (int i = 0; id == GY_RULES && i + 1 < list->n; i++)
		if (same_key(&rows[i], &rows[i + 1], 3) &&
		    !same_key(&rows[i], &rows[i + 1], keys) &&
		    instant_of(rows[i].item->cells[7]) > instant_of(rows[i + 1].item->cells[3]))
			clash(m, &rows[i], &rows[i + 1], "overlaps in time with");
}

struct gy_catalogue_file *gy_catalogue_read(struct gy_ctl *ctl, const char *path)
{
	struct gy_yaml *yaml = gy_yaml_read(ctl, path);
	struct model m = { .ctl = ctl, .yaml = yaml };
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
	m.out->lists[GY_SUBSCRIBERS].present = m.out->lists[GY_IDENTITIES].present =
		f->subscribers != NULL;
	read_contexts(&m, f);
	for (unsigned i = 0; i < f->rating_groups_count; i++) {
		entry(&m, "rating_groups/%u", i);
		read_group(&m, &f->rating_groups[i]);
	}
	read_tariffs(&m, f);
	for (unsigned i = 0; i < f->accounts_count; i++) {
		entry(&m, "accounts/%u", i);
		read_account(&m, &f->accounts[i]);
	}
	for (unsigned i = 0; i < f->subscribers_count; i++) {
		entry(&m, "subscribers/%u", i);
		read_subscriber(&m, &f->subscribers[i]);
	}
	for (int id = 0; id < GY_SECTIONS && m.errors == 0; id++)
		find_clashes(&m, (enum gy_section_id)id);
	if (m.errors > ERRORS_MAX)
		gy_fail(ctl, GY_EXIT_FAILED, "%s: %d more errors", path, m.errors - ERRORS_MAX);
	return m.errors == 0 ? m.out : NULL;
}
