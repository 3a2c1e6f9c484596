/* Words of a table: see words.h. */
#include "tests/unit/rating/words.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Noreturn void words_fail(unsigned line, const char *what, const char *word)
{
	fprintf(stderr, "line %u: %s: %s\n", line, what, word);
	exit(2);
}

void words_split(unsigned line, char *text, struct words *w)
{
	char *state = NULL;

	*w = (struct words){ .kind = strtok_r(text, " \t\n", &state) };
	if (w->kind == NULL)
		words_fail(line, "empty line", "");
	w->name = "";
	for (char *word; (word = strtok_r(NULL, " \t\n", &state)) != NULL;) {
		char *equals = strchr(word, '=');

		if (w->n == WORDS_MAX)
			words_fail(line, "too many words", word);
		if (w->n == 0 && w->name[0] == '\0' && equals == NULL) {
			w->name = word;
			continue;
		}
		w->key[w->n] = word;
		w->value[w->n] = "";
		if (equals != NULL) {
			*equals = '\0';
			w->value[w->n] = equals + 1;
		}
		w->n++;
	}
}

const char *words_get(const struct words *w, const char *key, const char *standard)
{
	for (unsigned i = 0; i < w->n; i++)
		if (strcmp(w->key[i], key) == 0)
			return w->value[i];
	return standard;
}

int64_t words_number(unsigned line, const char *word)
{
	char *end;
	int64_t number = strtoll(word, &end, 10);

	if (end == word || *end != '\0')
		words_fail(line, "not a number", word);
	return number;
}

int64_t words_decimal(unsigned line, const char *word)
{
	char *end;
	int64_t whole = strtoll(word, &end, 10), part = 0, scale = GY_DECIMAL_SCALE;
	bool negative = word[0] == '-';

	if (*end == '.')
		for (end++; *end >= '0' && *end <= '9' && scale > 1; end++) {
			scale /= 10;
			part += (*end - '0') * scale;
		}
	if (*end != '\0')
		words_fail(line, "not a decimal", word);
	return whole * GY_DECIMAL_SCALE + (negative ? -part : part);
}

int64_t words_time(unsigned line, const char *word)
{
	int year, month, day, hour, minute, second, micros = 0, n = 0;

	if (strcmp(word, "-") == 0)
		return INT64_MIN;
	if (strcmp(word, "+") == 0)
		return INT64_MAX;
	if (strchr(word, 'T') == NULL)
		return words_number(line, word);
	if (sscanf(word, "%d-%d-%dT%d:%d:%d%n", &year, &month, &day, &hour, &minute, &second, &n) <
	    6)
		words_fail(line, "not a time", word);
	if (word[n] == '.' && (sscanf(word + n, ".%6d", &micros) != 1 || strlen(word + n) != 8))
		words_fail(line, "not a time", word);
	return ((gy_civil_day(year, month, day) * 24 + hour) * 60 + minute) * 60 * GY_SECOND_US +
	       second * GY_SECOND_US + micros;
}

void words_rate(unsigned line, const char *word, int64_t *micros, int64_t *block)
{
	if (sscanf(word, "%" SCNd64 "/%" SCNd64, micros, block) != 2)
		words_fail(line, "not a rate", word);
}

struct name {
	const char *word;
	int number;
};

static int lookup(unsigned line, const struct name *names, size_t n, const char *word)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(names[i].word, word) == 0)
			return names[i].number;
	words_fail(line, "unknown word", word);
}

#define LOOKUP(line, names, word) lookup(line, names, sizeof(names) / sizeof((names)[0]), word)

enum gy_unit words_unit(unsigned line, const char *word)
{
	static const struct name names[] = { { "any", GY_UNIT_NONE },
					     { "octets", GY_UNIT_OCTETS },
					     { "seconds", GY_UNIT_SECONDS },
					     { "service", GY_UNIT_SERVICE } };

	return (enum gy_unit)LOOKUP(line, names, word);
}

enum gy_attribute_source words_source(unsigned line, const char *word)
{
	static const struct name names[] = { { "stored", GY_SOURCE_STORED },
					     { "request", GY_SOURCE_REQUEST },
					     { "clock", GY_SOURCE_CLOCK },
					     { "counter", GY_SOURCE_COUNTER },
					     { "pushed", GY_SOURCE_PUSHED } };

	return (enum gy_attribute_source)LOOKUP(line, names, word);
}

enum gy_derivation words_derivation(unsigned line, const char *word)
{
	static const struct name names[] = {
		{ "none", GY_DERIVE_NONE },
		{ "roaming", GY_DERIVE_ROAMING },
		{ "network", GY_DERIVE_SERVING_NETWORK },
		{ "country", GY_DERIVE_SERVING_COUNTRY },
		{ "rat", GY_DERIVE_RAT },
		{ "cell", GY_DERIVE_CELL },
		{ "area", GY_DERIVE_AREA },
		{ "apn", GY_DERIVE_APN },
		{ "characteristics", GY_DERIVE_CHARACTERISTICS },
		{ "rule-base", GY_DERIVE_RULE_BASE },
		{ "hour", GY_DERIVE_HOUR },
		{ "minute", GY_DERIVE_MINUTE_OF_DAY },
		{ "weekday", GY_DERIVE_WEEKDAY },
		{ "day", GY_DERIVE_DAY_OF_MONTH },
		{ "month", GY_DERIVE_MONTH },
		{ "holiday", GY_DERIVE_HOLIDAY },
		{ "units-day", GY_DERIVE_UNITS_DAY },
		{ "units-month", GY_DERIVE_UNITS_MONTH },
		{ "money-day", GY_DERIVE_MONEY_DAY },
		{ "money-month", GY_DERIVE_MONEY_MONTH },
		{ "of-all", GY_DERIVE_OF_ALL },
		{ "of-cell", GY_DERIVE_OF_CELL },
		{ "of-area", GY_DERIVE_OF_AREA },
		{ "of-network", GY_DERIVE_OF_NETWORK },
		{ "of-apn", GY_DERIVE_OF_APN },
	};

	return (enum gy_derivation)LOOKUP(line, names, word);
}

enum gy_value_type words_type(unsigned line, const char *word)
{
	static const struct name names[] = { { "integer", GY_VALUE_INTEGER },
					     { "decimal", GY_VALUE_DECIMAL },
					     { "text", GY_VALUE_TEXT },
					     { "boolean", GY_VALUE_BOOLEAN },
					     { "time", GY_VALUE_TIME } };

	return (enum gy_value_type)LOOKUP(line, names, word);
}
