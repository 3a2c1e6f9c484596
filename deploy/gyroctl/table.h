/* What a command prints: tables and fields for people, JSON for programs, CSV for spreadsheets.
 *
 * The same columns describe all three. Cells are the texts of PostgreSQL: micro-units, counts, ISO
 * times in UTC; a column's kind says how they are shown. In JSON and CSV money is a decimal string,
 * units are plain numbers, times are ISO 8601 with Z; nothing is rounded anywhere. */
#ifndef GY_CTL_TABLE_H
#define GY_CTL_TABLE_H

#include <jansson.h>

#include "deploy/gyroctl/ctl.h"
#include "deploy/gyroctl/db.h"

enum gy_kind {
	GY_TEXT,
	GY_NUMBER,   /* a whole number */
	GY_MONEY,    /* micro-units */
	GY_SIZE,     /* a count of unknown unit: 10MiB or 300 */
	GY_UNITS,    /* a count whose unit is in the column named by unit */
	GY_DURATION, /* seconds */
	GY_BOOL,
	GY_INSTANT, /* timestamptz; infinity is shown as nothing */
	GY_WORD,    /* a small number with a name, see words */
	GY_LIST,    /* a JSON array of strings */
};

struct gy_column {
	const char *key;   /* in JSON and CSV; also the result's column */
	const char *title; /* in tables; NULL: the key with blanks */
	enum gy_kind kind;
	const char *unit;         /* GY_UNITS */
	const char *const *words; /* GY_WORD; NULL-terminated, empty where a number has no name */
	bool detail;              /* left out of tables: JSON and CSV only */
};

#define GY_COLUMNS_END                                 \
	{                                              \
		NULL, NULL, GY_TEXT, NULL, NULL, false \
	}

/* Cells from anywhere: row by row, NULL is NULL. */
struct gy_grid {
	const struct gy_column *columns; /* ends with a NULL key */
	int n_columns, n_rows;
	const char *const *cells;
};

struct gy_out *gy_out_new(struct gy_ctl *ctl);
/* Prints what was gathered for JSON. False if standard output could not be written. */
bool gy_out_end(struct gy_ctl *ctl);

int gy_columns_count(const struct gy_column *columns);

/* A table; name: its key in JSON and its heading, NULL if it is all there is. */
void gy_out_grid(struct gy_ctl *ctl, const char *name, const struct gy_grid *grid);
void gy_out_table(struct gy_ctl *ctl, const char *name, const struct gy_column *columns,
		  const struct gy_rows *rows);
/* One row as "name  value" lines; in JSON its columns are members of the object called name, or,
 * with NULL, of the whole. */
void gy_out_fields(struct gy_ctl *ctl, const char *name, const struct gy_column *columns,
		   const struct gy_rows *rows, int row);

/* A line for people only. */
void gy_out_say(struct gy_ctl *ctl, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A member of the whole for programs only; steals the value. */
void gy_out_member(struct gy_ctl *ctl, const char *key, json_t *value);

/* A cell as people read it, in the pool; never NULL. */
const char *gy_cell_text(void *pool, const struct gy_grid *grid, int row, int column);
/* A cell as programs read it. */
json_t *gy_cell_json(const struct gy_grid *grid, int row, int column);

#endif
