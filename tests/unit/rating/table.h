/* A rule snapshot and questions to it, written as lines of text (see golden.table for the words).
 *
 * Reads them into the structs of the core; judges nothing. Used by the golden table, by the random
 * test against oracle.py, and by the bench. A malformed line ends the program with its number. */
#ifndef GY_TESTS_RATING_TABLE_H
#define GY_TESTS_RATING_TABLE_H

#include "core/rating/generate.h"

#define TABLE_RULES   4096
#define TABLE_THINGS  256
#define TABLE_VALUES  8192
#define TABLE_CHANGES 4096
#define TABLE_TEXT    (1 << 20)

struct table {
	unsigned line; /* for messages */
	struct gy_catalogue catalogue;
	struct gy_dynamic dynamic;
	void *memory; /* of the index */

	struct gy_specific_rule specific[TABLE_THINGS];
	struct gy_attribute_type attributes[TABLE_THINGS];
	struct gy_dynamic_code codes[TABLE_THINGS];
	struct gy_dynamic_rule rules[TABLE_RULES];
	struct gy_zone zones[TABLE_THINGS];
	struct gy_calendar calendars[TABLE_THINGS];
	struct gy_bytes homes[TABLE_THINGS];
	struct gy_pushed_value pushed_values[TABLE_THINGS];
	struct gy_pushed pushed;

	/* What the arrays above point to. */
	unsigned n_values, n_changes, n_days;
	struct gy_value values[TABLE_VALUES];
	struct gy_zone_change changes[TABLE_CHANGES];
	int32_t days[TABLE_CHANGES];
	size_t n_text;
	char text[TABLE_TEXT];
};

/* One question: the input of gy_tariff_rate and what it points to. */
struct question {
	struct gy_rating_input input;
	struct gy_attributes attributes;
	struct gy_attribute_value values[64];
	struct gy_code_assignment codes[64];
	struct gy_network network;
	struct gy_counters counters;
	struct gy_free_used free[16];
	uint8_t rat, location[32];
	bool has_used;
	int64_t used;
	int64_t horizon_us;
	bool trace;
};

/* Empties it for the next snapshot. */
void table_clear(struct table *table);

/* Reads one line that describes the snapshot (its first word is not rate, compile, shuffle). */
void table_line(struct table *table, char *line);

/* Sorts the arrays as the core wants them and compiles. */
enum gy_rc table_compile(struct table *table, struct gy_dynamic_fault *fault);

/* Puts the rules into another order; compile again afterwards. */
void table_shuffle(struct table *table, unsigned seed);

/* Reads a line that begins with rate. Texts live until the table is cleared. */
void table_question(struct table *table, char *line, struct question *question);

/* The answer as a line without its end, at most size octets. */
void table_answer(const struct table *table, const struct question *question, char *text,
		  size_t size);

/* The refusal of compile, or "ok", likewise. */
void table_verdict(enum gy_rc rc, const struct gy_dynamic_fault *fault, char *text, size_t size);

#endif
