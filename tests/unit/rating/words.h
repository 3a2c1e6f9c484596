/* The words of a table's line: KIND NAME KEY=VALUE KEY=VALUE FLAG ..., and what they mean. */
#ifndef GY_TESTS_RATING_WORDS_H
#define GY_TESTS_RATING_WORDS_H

#include "tests/unit/rating/table.h"

#define WORDS_MAX 96

struct words {
	const char *kind, *name;
	unsigned n;
	char *key[WORDS_MAX];
	const char *value[WORDS_MAX]; /* "" for a flag */
};

_Noreturn void words_fail(unsigned line, const char *what, const char *word);

/* Splits in place. */
void words_split(unsigned line, char *text, struct words *words);

/* The first value of a key, or the default. */
const char *words_get(const struct words *words, const char *key, const char *standard);

int64_t words_number(unsigned line, const char *word);
/* Millionths. */
int64_t words_decimal(unsigned line, const char *word);
/* "-" and "+" for ever, "2024-03-31T01:00:00Z" (with or without fraction), or microseconds. */
int64_t words_time(unsigned line, const char *word);
/* micros/block */
void words_rate(unsigned line, const char *word, int64_t *micros, int64_t *block);
enum gy_unit words_unit(unsigned line, const char *word);
enum gy_attribute_source words_source(unsigned line, const char *word);
enum gy_derivation words_derivation(unsigned line, const char *word);
enum gy_value_type words_type(unsigned line, const char *word);

/* Private to the reader of tables. */
struct gy_value table_value(struct table *table, enum gy_value_type type, const char *text,
			    size_t len);
const struct gy_attribute_type *table_attribute(struct table *table, int64_t id);

#endif
