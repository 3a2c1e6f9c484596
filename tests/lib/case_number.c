/* Exact numbers of .case files: sizes, money, durations. No floating point, no silent overflow. */
#include <ctype.h>

#include "tests/lib/case_parse.h"

bool gy_parse_digits(const char *text, const char **end, int64_t *value)
{
	int64_t v = 0;

	if (!isdigit((unsigned char)*text))
		return false;
	for (; isdigit((unsigned char)*text); text++)
		if (__builtin_mul_overflow(v, INT64_C(10), &v) ||
		    __builtin_add_overflow(v, *text - '0', &v))
			return false;
	*end = text;
	*value = v;
	return true;
}

bool gy_case_money(const char *text, int64_t *micros)
{
	bool negative = *text == '-';
	int64_t whole, part = 0;
	const char *end;

	if (!gy_parse_digits(text + negative, &end, &whole))
		return false;
	if (*end == '.') {
		int64_t scale = 1000000;

		if (!isdigit((unsigned char)*++end))
			return false;
		for (; isdigit((unsigned char)*end) && scale > 1; end++) {
			scale /= 10;
			part += (*end - '0') * scale;
		}
	}
	if (*end != '\0' || __builtin_mul_overflow(whole, INT64_C(1000000), &whole) ||
	    __builtin_add_overflow(whole, part, &whole))
		return false;
	*micros = negative ? -whole : whole;
	return true;
}

bool gy_case_size(const char *text, enum gy_case_quantity *quantity, int64_t *count)
{
	static const struct {
		const char *suffix;
		enum gy_case_quantity quantity;
		int64_t scale;
	} suffixes[] = {
		{ "", GY_CASE_TOTAL, 1 },
		{ "B", GY_CASE_TOTAL, 1 },
		{ "KiB", GY_CASE_TOTAL, INT64_C(1) << 10 },
		{ "MiB", GY_CASE_TOTAL, INT64_C(1) << 20 },
		{ "GiB", GY_CASE_TOTAL, INT64_C(1) << 30 },
		{ "s", GY_CASE_SECONDS, 1 },
		{ "u", GY_CASE_SERVICE, 1 },
	};
	const char *end;

	if (!gy_parse_digits(text, &end, count))
		return false;
	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++)
		if (strcmp(end, suffixes[i].suffix) == 0) {
			*quantity = suffixes[i].quantity;
			return !__builtin_mul_overflow(*count, suffixes[i].scale, count);
		}
	return false;
}

int64_t gy_parse_money(struct parser *p, const char *text)
{
	int64_t micros;

	if (!gy_case_money(text, &micros))
		gy_parse_fail(p, "'%s' is not an amount of money such as 98.80, at most six places",
			      text);
	return micros;
}

/* 2s, 5m, 24h, 500ms */
int64_t gy_parse_duration(struct parser *p, const char *text)
{
	static const struct {
		const char *suffix;
		int64_t us;
	} suffixes[] = {
		{ "ms", 1000 },
		{ "s", 1000000 },
		{ "m", INT64_C(60000000) },
		{ "h", INT64_C(3600000000) },
		{ "d", INT64_C(86400000000) },
	};
	int64_t value;
	const char *end;

	if (gy_parse_digits(text, &end, &value))
		for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++)
			if (strcmp(end, suffixes[i].suffix) == 0 &&
			    !__builtin_mul_overflow(value, suffixes[i].us, &value))
				return value;
	gy_parse_fail(p, "'%s' is not a duration such as 2s, 500ms, 5m, 24h", text);
}
