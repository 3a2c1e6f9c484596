/* See table.h. Tables are drawn by libsmartcols, JSON by jansson. */
#include "deploy/gyroctl/table.h"

#include <ctype.h>
#include <libsmartcols.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <talloc.h>

#include "core/base/assert.h"
#include "deploy/gyroctl/amount.h"
#include "deploy/gyroctl/words.h"

struct gy_out {
	json_t *root;
	bool printed; /* something for people: a blank line before the next section */
};

static int out_free(struct gy_out *out)
{
	json_decref(out->root);
	return 0;
}

struct gy_out *gy_out_new(struct gy_ctl *ctl)
{
	struct gy_out *out = talloc_zero(ctl->pool, struct gy_out);

	gy_assert(out);
	talloc_set_destructor(out, out_free);
	return out;
}

bool gy_out_end(struct gy_ctl *ctl)
{
	if (ctl->format == GY_FORMAT_JSON && ctl->out->root) {
		json_dumpf(ctl->out->root, stdout, JSON_INDENT(2));
		putchar('\n');
	}
	return fflush(stdout) == 0 && !ferror(stdout);
}

int gy_columns_count(const struct gy_column *columns)
{
	int n = 0;

	while (columns[n].key)
		n++;
	return n;
}

static const char *cell(const struct gy_grid *grid, int row, int column)
{
	return grid->cells[row * grid->n_columns + column];
}

/* The unit of a GY_UNITS cell: a number of enum gy_unit, 0 if there is none. */
static int unit_of(const struct gy_grid *grid, int row, int column)
{
	const char *name = grid->columns[column].unit;

	for (int i = 0; name && i < grid->n_columns; i++)
		if (strcmp(grid->columns[i].key, name) == 0 && cell(grid, row, i))
			return atoi(cell(grid, row, i));
	return 0;
}

static int64_t number_of(const char *text)
{
	return strtoll(text, NULL, 10);
}

static bool infinite(const char *text)
{
	return strcmp(text, "infinity") == 0 || strcmp(text, "-infinity") == 0;
}

static const char *units_text(void *pool, int unit, int64_t count)
{
	char out[GY_AMOUNT_TEXT];

	if (unit == GY_UNIT_SECONDS)
		return talloc_asprintf(pool, "%llds", (long long)count);
	if (unit == GY_UNIT_MONEY)
		gy_money_format(count, out);
	else if (unit == GY_UNIT_OCTETS)
		gy_size_format(count, out);
	else
		snprintf(out, sizeof(out), "%lld", (long long)count);
	return talloc_strdup(pool, out);
}

/* ["a", "b"] as a, b */
static const char *list_text(void *pool, const char *text)
{
	json_t *list = json_loads(text, 0, NULL), *item;
	char *line = talloc_strdup(pool, "");
	size_t i;

	json_array_foreach(list, i, item) line =
		talloc_asprintf_append(line, "%s%s", i ? ", " : "", json_string_value(item));
	json_decref(list);
	return line;
}

/* 2026-01-31 08:00:00.123456+00 to whole seconds: the zone is in the heading. */
static const char *instant_text(void *pool, const char *text)
{
	return infinite(text) ? "" : talloc_strndup(pool, text, strcspn(text, ".+"));
}

const char *gy_cell_text(void *pool, const struct gy_grid *grid, int row, int column)
{
	const struct gy_column *c = &grid->columns[column];
	const char *text = cell(grid, row, column);
	char out[GY_AMOUNT_TEXT];

	if (!text)
		return "";
	switch (c->kind) {
	case GY_MONEY:
		gy_money_format(number_of(text), out);
		return talloc_strdup(pool, out);
	case GY_SIZE:
		gy_size_format(number_of(text), out);
		return talloc_strdup(pool, out);
	case GY_DURATION:
		gy_duration_format(number_of(text), out);
		return talloc_strdup(pool, out);
	case GY_UNITS:
		return units_text(pool, unit_of(grid, row, column), number_of(text));
	case GY_BOOL:
		return strcmp(text, "t") == 0 ? "yes" : "no";
	case GY_INSTANT:
		return instant_text(pool, text);
	case GY_WORD:
		return gy_word_name(c->words, atoi(text), text);
	case GY_LIST:
		return list_text(pool, text);
	case GY_TEXT:
	case GY_NUMBER:
		break;
	}
	return text;
}

/* 2026-01-31T08:00:00.123456Z */
static json_t *instant_json(const char *text)
{
	char iso[GY_AMOUNT_TEXT];
	size_t n = strcspn(text, "+");

	if (infinite(text) || n + 2 > sizeof(iso))
		return json_null();
	memcpy(iso, text, n);
	memcpy(iso + n, "Z", 2);
	iso[strcspn(iso, " ")] = 'T';
	return json_string(iso);
}

json_t *gy_cell_json(const struct gy_grid *grid, int row, int column)
{
	const struct gy_column *c = &grid->columns[column];
	const char *text = cell(grid, row, column);
	char out[GY_AMOUNT_TEXT];

	if (!text)
		return json_null();
	switch (c->kind) {
	case GY_NUMBER:
	case GY_SIZE:
	case GY_DURATION:
		return json_integer(number_of(text));
	case GY_UNITS:
		if (unit_of(grid, row, column) != GY_UNIT_MONEY)
			return json_integer(number_of(text));
		/* fall through */
	case GY_MONEY:
		gy_money_format(number_of(text), out);
		return json_string(out);
	case GY_BOOL:
		return json_boolean(strcmp(text, "t") == 0);
	case GY_INSTANT:
		return instant_json(text);
	case GY_WORD:
		return json_string(gy_word_name(c->words, atoi(text), text));
	case GY_LIST:
		return json_loads(text, 0, NULL);
	case GY_TEXT:
		break;
	}
	return json_string(text);
}

/* The heading of a column in a table. */
static const char *title_of(void *pool, const struct gy_column *column)
{
	char *title;

	if (column->title)
		return column->title;
	title = talloc_strdup(pool, column->key);
	for (char *p = title; *p; p++)
		if (*p == '_')
			*p = ' ';
	if (column->kind == GY_INSTANT)
		title = talloc_strdup_append(title, " (UTC)");
	return title;
}

static bool right_aligned(enum gy_kind kind)
{
	return kind == GY_NUMBER || kind == GY_MONEY || kind == GY_SIZE || kind == GY_UNITS ||
	       kind == GY_DURATION;
}

static void heading(struct gy_ctl *ctl, const char *name)
{
	if (ctl->out->printed)
		putchar('\n');
	ctl->out->printed = true;
	if (name) {
		putchar(toupper((unsigned char)name[0]));
		for (const char *p = name + 1; *p; p++)
			putchar(*p == '_' ? ' ' : *p);
		putchar('\n');
	}
}

static void draw(struct gy_ctl *ctl, const struct gy_grid *grid)
{
	struct libscols_table *table = scols_new_table();
	void *pool = talloc_new(ctl->pool);

	gy_assert(table);
	for (int i = 0; i < grid->n_columns; i++)
		if (!grid->columns[i].detail)
			scols_table_new_column(table, title_of(pool, &grid->columns[i]), 0,
					       right_aligned(grid->columns[i].kind) ? SCOLS_FL_RIGHT
										    : 0);
	scols_table_set_column_separator(table, "  ");
	for (int row = 0; row < grid->n_rows; row++) {
		struct libscols_line *line = scols_table_new_line(table, NULL);
		size_t at = 0;

		gy_assert(line);
		for (int i = 0; i < grid->n_columns; i++)
			if (!grid->columns[i].detail)
				scols_line_set_data(line, at++, gy_cell_text(pool, grid, row, i));
	}
	scols_print_table(table);
	scols_unref_table(table);
	talloc_free(pool);
}

/* RFC 4180: quotes only where needed. */
static void csv_field(const char *text)
{
	if (!strpbrk(text, ",\"\r\n")) {
		fputs(text, stdout);
		return;
	}
	putchar('"');
	for (; *text; text++) {
		if (*text == '"')
			putchar('"');
		putchar(*text);
	}
	putchar('"');
}

static void csv(const struct gy_grid *grid)
{
	for (int i = 0; i < grid->n_columns; i++)
		printf("%s%s", i ? "," : "", grid->columns[i].key);
	putchar('\n');
	for (int row = 0; row < grid->n_rows; row++) {
		for (int i = 0; i < grid->n_columns; i++) {
			json_t *value = gy_cell_json(grid, row, i);
			char *text = json_is_string(value) || json_is_null(value)
					     ? NULL
					     : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);

			if (i)
				putchar(',');
			if (text)
				csv_field(text);
			else if (json_is_string(value))
				csv_field(json_string_value(value));
			free(text);
			json_decref(value);
		}
		putchar('\n');
	}
}

static json_t *row_json(const struct gy_grid *grid, int row)
{
	json_t *object = json_object();

	for (int i = 0; i < grid->n_columns; i++)
		json_object_set_new(object, grid->columns[i].key, gy_cell_json(grid, row, i));
	return object;
}

void gy_out_member(struct gy_ctl *ctl, const char *key, json_t *value)
{
	if (ctl->format != GY_FORMAT_JSON) {
		json_decref(value);
		return;
	}
	if (!ctl->out->root)
		ctl->out->root = json_object();
	json_object_set_new(ctl->out->root, key, value);
}

void gy_out_grid(struct gy_ctl *ctl, const char *name, const struct gy_grid *grid)
{
	if (ctl->format == GY_FORMAT_CSV) {
		csv(grid);
	} else if (ctl->format == GY_FORMAT_JSON) {
		json_t *array = json_array();

		for (int row = 0; row < grid->n_rows; row++)
			json_array_append_new(array, row_json(grid, row));
		if (name) {
			gy_out_member(ctl, name, array);
		} else {
			gy_assert(!ctl->out->root);
			ctl->out->root = array;
		}
	} else {
		heading(ctl, name);
		if (grid->n_rows > 0)
			draw(ctl, grid);
		else
			puts("none");
	}
}

static struct gy_grid grid_of(struct gy_ctl *ctl, const struct gy_column *columns,
			      const struct gy_rows *rows, int first, int n)
{
	int width = gy_columns_count(columns);
	const char **cells = talloc_array(ctl->pool, const char *, (unsigned)(width * n + 1));

	gy_assert(cells);
	for (int row = 0; row < n; row++)
		for (int i = 0; i < width; i++)
			cells[row * width + i] = gy_rows_get(rows, first + row, columns[i].key);
	return (struct gy_grid){ columns, width, n, cells };
}

void gy_out_table(struct gy_ctl *ctl, const char *name, const struct gy_column *columns,
		  const struct gy_rows *rows)
{
	struct gy_grid grid = grid_of(ctl, columns, rows, 0, rows->n);

	gy_out_grid(ctl, name, &grid);
}

void gy_out_fields(struct gy_ctl *ctl, const char *name, const struct gy_column *columns,
		   const struct gy_rows *rows, int row)
{
	static const struct gy_column pair[] = { { .key = "name" },
						 { .key = "value" },
						 GY_COLUMNS_END };
	struct gy_grid grid = grid_of(ctl, columns, rows, row, 1);
	struct libscols_table *table;

	if (ctl->format == GY_FORMAT_JSON) {
		if (name)
			gy_out_member(ctl, name, row_json(&grid, 0));
		for (int i = 0; !name && i < grid.n_columns; i++)
			gy_out_member(ctl, columns[i].key, gy_cell_json(&grid, 0, i));
		return;
	}
	if (ctl->format == GY_FORMAT_CSV) {
		csv(&grid);
		return;
	}
	heading(ctl, name);
	table = scols_new_table();
	gy_assert(table);
	scols_table_enable_noheadings(table, 1);
	scols_table_set_column_separator(table, "  ");
	for (int i = 0; pair[i].key; i++)
		scols_table_new_column(table, pair[i].key, 0, 0);
	for (int i = 0; i < grid.n_columns; i++) {
		const char *text = gy_cell_text(ctl->pool, &grid, 0, i);
		struct libscols_line *line;

		if (columns[i].detail || !*text)
			continue;
		line = scols_table_new_line(table, NULL);
		gy_assert(line);
		scols_line_set_data(line, 0, title_of(ctl->pool, &columns[i]));
		scols_line_set_data(line, 1, text);
	}
	scols_print_table(table);
	scols_unref_table(table);
}

void gy_out_say(struct gy_ctl *ctl, const char *format, ...)
{
	va_list args;

	if (ctl->format != GY_FORMAT_TABLE)
		return;
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	ctl->out->printed = true;
}
