/* See model.h. */
#include "deploy/gyroctl/model.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <talloc.h>

#include "core/base/assert.h"
#include "deploy/gyroctl/amount.h"
#include "deploy/gyroctl/words.h"
#include "dict/gy_avp_table.h"

/* An error at a key of the entry at hand (NULL: at the entry). */
__attribute__((format(printf, 3, 4))) void gy_model_wrong(struct gy_model *m, const char *key,
							  const char *format, ...)
{
	va_list args;
	char *text, *path = talloc_asprintf(m->ctl->pool, "%s%s%s", m->where, key ? "/" : "",
					    key ? key : "");

	va_start(args, format);
	text = talloc_vasprintf(m->ctl->pool, format, args);
	va_end(args);
	if (m->errors++ < GY_ERRORS_MAX)
		gy_fail(m->ctl, GY_EXIT_FAILED, "%s:%d: %s", m->yaml->path,
			gy_lines_find(m->yaml->lines, path), text);
}

__attribute__((format(printf, 2, 3))) void gy_model_entry(struct gy_model *m, const char *format,
							  ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(m->where, sizeof(m->where), format, args);
	va_end(args);
}

/* A new row of a section, at the line of the entry at hand. */
struct gy_item *gy_model_item(struct gy_model *m, enum gy_section_id id)
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

const char *gy_model_decimal(struct gy_model *m, int64_t n)
{
	return talloc_asprintf(m->out, "%" PRId64, n);
}

const char *gy_model_number(struct gy_model *m, const char *key, const char *text, int64_t least,
			    int64_t most, const char *otherwise)
{
	int64_t n;

	if (!text)
		return otherwise;
	if (gy_number_parse(text, least, most, &n))
		return gy_model_decimal(m, n);
	gy_model_wrong(m, key, "%s %s is not a whole number from %" PRId64 " to %" PRId64, key,
		       text, least, most);
	return NULL;
}

const char *gy_model_size(struct gy_model *m, const char *key, const char *text, int64_t least,
			  int64_t most, const char *otherwise)
{
	char lowest[GY_AMOUNT_TEXT], highest[GY_AMOUNT_TEXT];
	int64_t n;

	if (!text)
		return otherwise;
	if (gy_size_parse(text, &n) && n >= least && n <= most)
		return gy_model_decimal(m, n);
	gy_size_format(least, lowest);
	gy_size_format(most, highest);
	gy_model_wrong(m, key, "%s %s is not a size from %s to %s, such as 10MiB or 300", key, text,
		       lowest, highest);
	return NULL;
}

const char *gy_model_duration(struct gy_model *m, const char *key, const char *text, int64_t least,
			      int64_t most, const char *otherwise)
{
	int64_t n;

	if (!text)
		return otherwise;
	if (gy_duration_parse(text, &n) && n >= least && n <= most)
		return gy_model_decimal(m, n);
	gy_model_wrong(m, key,
		       "%s %s is not a time from %" PRId64 " to %" PRId64
		       " s, such as 600, 10m or 1h",
		       key, text, least, most);
	return NULL;
}

const char *gy_model_money(struct gy_model *m, const char *key, const char *text, int64_t least,
			   int64_t most, const char *otherwise)
{
	int64_t n;

	if (!text)
		return otherwise;
	if (!gy_money_parse(text, &n))
		gy_model_wrong(
			m, key,
			"%s %s is not an amount of money such as \"12.50\", at most six decimals",
			key, text);
	else if (n < least || n > most)
		gy_model_wrong(m, key, "%s %s is too %s", key, text, n < least ? "small" : "large");
	else
		return gy_model_decimal(m, n);
	return NULL;
}

const char *gy_model_word(struct gy_model *m, const char *key, const char *text,
			  const char *const *words, const char *otherwise)
{
	char *known = talloc_strdup(m->ctl->pool, "");
	int n;

	if (!text)
		return otherwise;
	n = gy_word_number(words, text);
	if (n >= 0)
		return gy_model_decimal(m, n);
	for (int i = 0; words[i]; i++)
		if (*words[i])
			known = talloc_asprintf_append(known, "%s%s", *known ? ", " : "", words[i]);
	gy_model_wrong(m, key, "%s %s is none of: %s", key, text, known);
	return NULL;
}

const char *gy_model_instant(struct gy_model *m, const char *key, const char *text,
			     const char *otherwise)
{
	char iso[GY_AMOUNT_TEXT];
	int64_t us;

	if (!text)
		return otherwise;
	if (!gy_instant_parse(text, &us)) {
		gy_model_wrong(m, key, "%s %s is not an instant such as 2026-01-31T08:00:00Z", key,
			       text);
		return NULL;
	}
	gy_instant_format(us, iso);
	return talloc_strdup(m->out, iso);
}

const char *gy_model_text(struct gy_model *m, const char *key, const char *text)
{
	if (!text)
		return NULL;
	if (!*text)
		gy_model_wrong(m, key, "%s is empty", key);
	return talloc_strdup(m->out, text);
}

int64_t gy_model_value(const char *cell)
{
	return strtoll(cell, NULL, 10);
}

const char *gy_model_bool(struct gy_model *m, const char *key, const char *text,
			  const char *otherwise)
{
	if (!text)
		return otherwise;
	if (strcmp(text, "true") == 0)
		return "t";
	if (strcmp(text, "false") == 0)
		return "f";
	gy_model_wrong(m, key, "%s %s is neither true nor false", key, text);
	return NULL;
}

const char *gy_model_list(struct gy_model *m, char *const *texts, unsigned n)
{
	json_t *list = json_array();
	char *compact;
	const char *cell;

	for (unsigned i = 0; i < n; i++)
		json_array_append_new(list, json_string(texts[i]));
	compact = json_dumps(list, JSON_COMPACT);
	gy_assert(compact);
	cell = talloc_strdup(m->out, compact);
	free(compact);
	json_decref(list);
	return cell;
}

static const struct gy_avp_enum *enum_find(const struct gy_avp_def *def, const char *name)
{
	for (unsigned i = 0; i < def->n_enums; i++)
		if (strcasecmp(def->enums[i].text, name) == 0)
			return &def->enums[i];
	return NULL;
}

const char *gy_model_enums(struct gy_model *m, const char *key, char *const *texts, unsigned n,
			   uint32_t vendor, uint32_t code)
{
	const struct gy_avp_def *def = gy_avp_find(vendor, code);
	const char *list = "[";

	gy_assert(def);
	if (n == 0)
		return NULL;
	if (n == 1 && strcmp(texts[0], "none") == 0)
		return "[]";
	for (unsigned i = 0; i < n; i++) {
		const struct gy_avp_enum *value = enum_find(def, texts[i]);

		if (!value)
			gy_model_wrong(m, key, "%s %s is no value of %s", key, texts[i], def->name);
		else
			list = talloc_asprintf(m->out, "%s%s%" PRId32, list, i ? "," : "",
					       value->value);
	}
	return talloc_asprintf(m->out, "%s]", list);
}

void gy_model_validity(struct gy_model *m, const char *from, const char *until)
{
	int64_t begin = 0, end = 0;

	if (from && until && gy_instant_parse(from, &begin) && gy_instant_parse(until, &end) &&
	    begin >= end)
		gy_model_wrong(m, "valid_until", "valid_until %s is not after valid_from %s", until,
			       from);
}
