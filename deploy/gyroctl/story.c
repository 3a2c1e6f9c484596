/* Codes, attributes and traces as tables: see story.h. */
#include "deploy/gyroctl/story.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <talloc.h>

#include "core/store/catalogue.h"
#include "deploy/gyroctl/amount.h"
#include "deploy/gyroctl/words.h"

const struct gy_catalogue *gy_story_catalogue(struct gy_ctl *ctl, int64_t version)
{
	struct gy_catalogue *catalogue = NULL;
	char error[512];
	enum gy_rc rc = gy_catalogue_load(ctl->db, version, &catalogue, error, sizeof(error));

	if (rc != GY_OK) {
		error[strcspn(error, "\n")] = '\0';
		gy_fail(ctl, rc == GY_STORE_UNAVAILABLE ? GY_EXIT_UNREACHABLE : GY_EXIT_FAILED,
			"catalogue version %lld: %s", (long long)version, error);
		return NULL;
	}
	return talloc_steal(ctl->pool, catalogue);
}

struct gy_trace gy_story_trace_new(struct gy_ctl *ctl)
{
	struct gy_trace trace = {
		.room = GY_STORY_ENTRIES,
		.entries = talloc_array(ctl->pool, struct gy_trace_entry, GY_STORY_ENTRIES),
	};

	if (!trace.entries)
		trace.room = 0;
	return trace;
}

const char *gy_story_money(void *pool, int64_t micros)
{
	char out[GY_AMOUNT_TEXT];

	gy_money_format(micros, out);
	return talloc_strdup(pool, out);
}

static const char *count_text(void *pool, int64_t count, enum gy_unit unit)
{
	char out[GY_AMOUNT_TEXT];

	if (unit == GY_UNIT_SECONDS)
		return talloc_asprintf(pool, "%llds", (long long)count);
	if (unit != GY_UNIT_OCTETS)
		return talloc_asprintf(pool, "%lld", (long long)count);
	gy_size_format(count, out);
	return talloc_strdup(pool, out);
}

const char *gy_story_rate(void *pool, struct gy_rate rate, enum gy_unit unit)
{
	if (rate.block == 0)
		return "";
	return talloc_asprintf(pool, "%s per %s", gy_story_money(pool, rate.price_micros),
			       count_text(pool, rate.block, unit));
}

const char *gy_story_value(void *pool, const struct gy_value *value)
{
	char out[GY_AMOUNT_TEXT];

	switch (value->type) {
	case GY_VALUE_NONE:
		return "-";
	case GY_VALUE_INTEGER:
		return talloc_asprintf(pool, "%lld", (long long)value->number);
	case GY_VALUE_DECIMAL:
		return gy_story_money(pool, value->number);
	case GY_VALUE_TEXT:
		return talloc_strndup(pool, (const char *)value->text.data, value->text.len);
	case GY_VALUE_BOOLEAN:
		return value->number ? "true" : "false";
	case GY_VALUE_TIME:
		gy_instant_format(value->number, out);
		return talloc_strdup(pool, out);
	}
	return "?";
}

void gy_story_grid(const struct gy_story *story, const char *key, const struct gy_grid *grid)
{
	json_t *list;

	if (!story->json) {
		gy_out_grid(story->ctl, key, grid);
		return;
	}
	list = json_array();
	for (int row = 0; row < grid->n_rows; row++) {
		json_t *object = json_object();

		for (int i = 0; i < grid->n_columns; i++)
			json_object_set_new(object, grid->columns[i].key,
					    gy_cell_json(grid, row, i));
		json_array_append_new(list, object);
	}
	json_object_set_new(story->json, key, list);
}

void gy_story_rows(const struct gy_story *story, const char *key, const struct gy_column *columns,
		   const struct gy_rows *rows)
{
	int width = gy_columns_count(columns);
	const char **cells = talloc_array(story->ctl->pool, const char *,
					  (unsigned)(width * (rows->n > 0 ? rows->n : 1)));

	for (int row = 0; row < rows->n; row++)
		for (int i = 0; i < width; i++)
			cells[row * width + i] = gy_rows_get(rows, row, columns[i].key);
	gy_story_grid(story, key, &(struct gy_grid){ columns, width, rows->n, cells });
}

void gy_story_say(const struct gy_story *story, const char *key, json_t *value, const char *format,
		  ...)
{
	va_list args;

	if (story->json && key && value)
		json_object_set_new(story->json, key, value);
	else
		json_decref(value);
	if (story->json || !format)
		return;
	va_start(args, format);
	gy_out_say(story->ctl, "%s", talloc_vasprintf(story->ctl->pool, format, args));
	va_end(args);
}

/* --- what was acquired ----------------------------------------------------------------------- */

static const char *const origins[] = { "missing", "its source", "default", "no attribute" };
static const char *const sources[] = { "", "stored", "request", "clock", "counter", "pushed" };

static const struct gy_column acquired_columns[] = {
	{ .key = "code", .title = "dynamic code" },
	{ .key = "attribute" },
	{ .key = "source" },
	{ .key = "value" },
	{ .key = "origin" },
	GY_COLUMNS_END,
};

void gy_story_acquired(const struct gy_story *story, const struct gy_acquired *acquired)
{
	void *pool = story->ctl->pool;
	const char **cells = talloc_array(pool, const char *, 5 * (acquired->n + 1));

	for (unsigned i = 0; i < acquired->n; i++) {
		const struct gy_acquired_code *a = &acquired->codes[i];
		const char **row = cells + (size_t)5 * i;

		row[0] = a->code ? a->code->code : NULL;
		row[1] = a->attribute ? a->attribute->name : NULL;
		row[2] = a->attribute ? sources[a->attribute->source] : NULL;
		row[3] = a->attribute ? gy_story_value(pool, &a->value) : NULL;
		row[4] = (unsigned)a->origin <= GY_ORIGIN_NONE ? origins[a->origin] : "?";
	}
	gy_story_grid(story, "attributes_read",
		      &(struct gy_grid){ acquired_columns, 5, (int)acquired->n, cells });
}

/* --- the trace -------------------------------------------------------------------------------- */

static const char *const effects[] = { "",      "deny", "replace", "multiply", "add",     "free",
				       "floor", "cap",  "quota",   "validity", "redirect" };

static const struct gy_column trace_columns[] = {
	{ .key = "stage" },
	{ .key = "rule_id", .title = "rule", .kind = GY_NUMBER },
	{ .key = "effect" },
	{ .key = "operand" },
	{ .key = "code", .title = "dynamic code" },
	{ .key = "attribute" },
	{ .key = "value" },
	{ .key = "when" },
	{ .key = "verdict" },
	{ .key = "other_rule_id", .title = "other rule", .kind = GY_NUMBER },
	{ .key = "rate", .title = "running rate" },
	{ .key = "rate_micros", .kind = GY_NUMBER, .detail = true },
	{ .key = "rate_block", .kind = GY_NUMBER, .detail = true },
	GY_COLUMNS_END,
};
#define TRACE_WIDTH 13

static const struct gy_dynamic_rule *rule_find(const struct gy_dynamic *dynamic, int64_t rule_id)
{
	for (unsigned i = 0; dynamic && i < dynamic->n_rules; i++)
		if (dynamic->rules[i].rule_id == rule_id)
			return &dynamic->rules[i];
	return NULL;
}

static const char *operand_text(void *pool, const struct gy_dynamic_rule *rule, enum gy_unit unit)
{
	const struct gy_effect *effect = &rule->effect;

	switch (effect->kind) {
	case GY_EFFECT_DENY:
		return NULL;
	case GY_EFFECT_MULTIPLY:
		return talloc_asprintf(pool, "x %s", gy_story_money(pool, effect->amount));
	case GY_EFFECT_REPLACE:
	case GY_EFFECT_ADD:
	case GY_EFFECT_FLOOR:
	case GY_EFFECT_CAP:
		return gy_story_rate(pool, (struct gy_rate){ effect->amount, effect->block }, unit);
	case GY_EFFECT_FREE:
		return talloc_asprintf(pool, "%s a day", count_text(pool, effect->amount, unit));
	case GY_EFFECT_QUOTA:
		return count_text(pool, effect->amount, unit);
	case GY_EFFECT_VALIDITY:
		return talloc_asprintf(pool, "%llds", (long long)effect->amount);
	case GY_EFFECT_REDIRECT:
		return effect->address;
	}
	return NULL;
}

/* In the words of `gyroctl tariff show`. */
static const char *predicate_text(void *pool, const struct gy_predicate *p)
{
	char *text = talloc_strdup(pool, "");

	switch (p->match) {
	case GY_MATCH_ANY:
		return "any value";
	case GY_MATCH_MISSING:
		return "missing";
	case GY_MATCH_EQUAL:
		return talloc_asprintf(pool, "= %s", gy_story_value(pool, &p->low));
	case GY_MATCH_SET:
		for (unsigned i = 0; i < p->n_set; i++)
			text = talloc_asprintf_append(text, "%s%s", i > 0 ? ", " : "in ",
						      gy_story_value(pool, &p->set[i]));
		return text;
	case GY_MATCH_RANGE:
		if (p->low.type != GY_VALUE_NONE)
			text = talloc_asprintf_append(text, "from %s",
						      gy_story_value(pool, &p->low));
		if (p->high.type != GY_VALUE_NONE)
			text = talloc_asprintf_append(text, "%sto below %s", *text ? " " : "",
						      gy_story_value(pool, &p->high));
		return text;
	}
	return NULL;
}

static const char *number_or_null(void *pool, int64_t number)
{
	return number != 0 ? talloc_asprintf(pool, "%lld", (long long)number) : NULL;
}

static void trace_row(void *pool, const struct gy_catalogue *catalogue,
		      const struct gy_trace_entry *entry, enum gy_unit unit, const char **row)
{
	const struct gy_dynamic *dynamic = catalogue->dynamic;
	const struct gy_dynamic_rule *rule =
		entry->stage == GY_STAGE_BASE ? NULL : rule_find(dynamic, entry->rule_id);
	const struct gy_dynamic_code *code =
		entry->code_id ? gy_dynamic_code_find(dynamic, entry->code_id) : NULL;
	const struct gy_attribute_type *attribute =
		entry->attribute_id ? gy_attribute_type_find(dynamic, entry->attribute_id) : NULL;

	row[0] = gy_stage_name(entry->stage);
	row[1] = number_or_null(pool, entry->rule_id);
	row[2] = rule ? effects[rule->effect.kind] : NULL;
	row[3] = rule ? operand_text(pool, rule, unit) : NULL;
	row[4] = code ? code->code : NULL;
	row[5] = attribute ? attribute->name : NULL;
	row[6] = attribute ? gy_story_value(pool, &entry->value) : NULL;
	row[7] = rule && attribute ? predicate_text(pool, &rule->predicate) : NULL;
	row[8] = gy_verdict_text(entry->verdict);
	row[9] = number_or_null(pool, entry->other_rule_id);
	row[10] = entry->rate.block ? gy_story_rate(pool, entry->rate, unit) : NULL;
	row[11] = entry->rate.block
			  ? talloc_asprintf(pool, "%lld", (long long)entry->rate.price_micros)
			  : NULL;
	row[12] = number_or_null(pool, entry->rate.block);
}

void gy_story_trace(const struct gy_story *story, const struct gy_catalogue *catalogue,
		    const struct gy_trace *trace, enum gy_unit unit)
{
	void *pool = story->ctl->pool;
	const char **cells = talloc_array(pool, const char *, TRACE_WIDTH *(trace->n + 1));

	for (unsigned i = 0; i < trace->n; i++)
		trace_row(pool, catalogue, &trace->entries[i], unit,
			  cells + (size_t)TRACE_WIDTH * i);
	gy_story_grid(story, "stages",
		      &(struct gy_grid){ trace_columns, TRACE_WIDTH, (int)trace->n, cells });
	if (trace->lost)
		gy_story_say(story, "entries_lost", json_integer(trace->lost),
			     "%u more entries don't fit and are not shown.", trace->lost);
}
