/* Amounts as people write them: what is read, what is refused, and that printing reads back. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/limits.h"
#include "deploy/gyroctl/amount.h"
#include "deploy/gyroctl/words.h"
#include "tests/lib/tap.h"

#define REFUSED INT64_MIN

struct row {
	const char *text;
	int64_t value; /* REFUSED: the parser must say no */
	const char *printed;
};

static const struct row money[] = {
	{ "0", 0, "0.00" },
	{ "98.80", 98800000, "98.80" },
	{ "98.8", 98800000, "98.80" },
	{ "5", 5000000, "5.00" },
	{ "-5", -5000000, "-5.00" },
	{ "-0.000001", -1, "-0.000001" },
	{ "0.000001", 1, "0.000001" },
	{ "0.100000", 100000, "0.10" },
	{ "0.101", 101000, "0.101" },
	{ "1.234567", 1234567, "1.234567" },
	{ "007.50", 7500000, "7.50" },
	{ "1152921504606.846976", GY_AMOUNT_MAX, "1152921504606.846976" },
	{ "-1152921504606.846976", -GY_AMOUNT_MAX, "-1152921504606.846976" },
	{ "1152921504606.846977", REFUSED, NULL },
	{ "9223372036854775808", REFUSED, NULL },
	{ "99999999999999999999999999", REFUSED, NULL },
	{ "1.2345678", REFUSED, NULL },
	{ "1.", REFUSED, NULL },
	{ ".5", REFUSED, NULL },
	{ "", REFUSED, NULL },
	{ "-", REFUSED, NULL },
	{ "+5", REFUSED, NULL },
	{ "--5", REFUSED, NULL },
	{ "1,5", REFUSED, NULL },
	{ "1e3", REFUSED, NULL },
	{ " 1", REFUSED, NULL },
	{ "1 ", REFUSED, NULL },
	{ "1.5.5", REFUSED, NULL },
	{ "0x10", REFUSED, NULL },
	{ "nan", REFUSED, NULL },
};

static const struct row sizes[] = {
	{ "0", 0, "0" },
	{ "300", 300, "300" },
	{ "1023", 1023, "1023" },
	{ "1024", 1024, "1KiB" },
	{ "1KiB", 1024, "1KiB" },
	{ "10MiB", 10485760, "10MiB" },
	{ "10240KiB", 10485760, "10MiB" },
	{ "10485761", 10485761, "10485761" },
	{ "1536MiB", 1610612736, "1536MiB" },
	{ "2GiB", INT64_C(2) << 30, "2GiB" },
	{ "1TiB", INT64_C(1) << 40, "1TiB" },
	{ "1048576TiB", GY_AMOUNT_MAX, "1048576TiB" },
	{ "1048577TiB", REFUSED, NULL },
	{ "10M", REFUSED, NULL },
	{ "10MB", REFUSED, NULL },
	{ "10mib", REFUSED, NULL },
	{ "10 MiB", REFUSED, NULL },
	{ "1.5MiB", REFUSED, NULL },
	{ "MiB", REFUSED, NULL },
	{ "-1", REFUSED, NULL },
	{ "", REFUSED, NULL },
	{ "60s", REFUSED, NULL },
};

static const struct row durations[] = {
	{ "0", 0, "0s" },           { "90s", 90, "90s" },
	{ "90", 90, "90s" },        { "60", 60, "1m" },
	{ "10m", 600, "10m" },      { "3600", 3600, "1h" },
	{ "90m", 5400, "90m" },     { "24h", 86400, "1d" },
	{ "30d", 2592000, "30d" },  { "1w", REFUSED, NULL },
	{ "1h30m", REFUSED, NULL }, { "h", REFUSED, NULL },
	{ "-5m", REFUSED, NULL },   { "5 m", REFUSED, NULL },
	{ "", REFUSED, NULL },      { "1152921504606846976d", REFUSED, NULL },
};

#define S INT64_C(1000000)
static const struct row instants[] = {
	{ "1970-01-01", 0, "1970-01-01 00:00:00+00" },
	{ "1970-01-01T00:00:00.000001Z", 1, "1970-01-01 00:00:00.000001+00" },
	{ "2000-02-29", 951782400 * S, "2000-02-29 00:00:00+00" },
	{ "2024-12-31T23:59:59Z", 1735689599 * S, "2024-12-31 23:59:59+00" },
	{ "2025-01-01T00:00", 1735689600 * S, "2025-01-01 00:00:00+00" },
	{ "2025-01-01 00:00:00", 1735689600 * S, "2025-01-01 00:00:00+00" },
	{ "2025-01-01T08:00:00+08:00", 1735689600 * S, "2025-01-01 00:00:00+00" },
	{ "2025-01-01T08:00+08", 1735689600 * S, "2025-01-01 00:00:00+00" },
	{ "2024-12-31T19:30:00-04:30", 1735689600 * S, "2025-01-01 00:00:00+00" },
	{ "2025-01-01T00:00:00.5Z", 1735689600 * S + 500000, "2025-01-01 00:00:00.5+00" },
	{ "2100-03-01", 4107542400 * S, "2100-03-01 00:00:00+00" },
	{ "9999-12-31", 253402214400 * S, "9999-12-31 00:00:00+00" },
	{ "2100-02-29", REFUSED, NULL },
	{ "2023-02-29", REFUSED, NULL },
	{ "2023-04-31", REFUSED, NULL },
	{ "2023-13-01", REFUSED, NULL },
	{ "2023-00-01", REFUSED, NULL },
	{ "2023-01-00", REFUSED, NULL },
	{ "1969-12-31", REFUSED, NULL },
	{ "1970-01-01T00:00+01:00", REFUSED, NULL },
	{ "2023-1-1", REFUSED, NULL },
	{ "2023-01-01T24:00", REFUSED, NULL },
	{ "2023-01-01T12:60", REFUSED, NULL },
	{ "2023-01-01T12:00:60", REFUSED, NULL },
	{ "2023-01-01T12:00:00.1234567", REFUSED, NULL },
	{ "2023-01-01T12:00:00.", REFUSED, NULL },
	{ "2023-01-01T12", REFUSED, NULL },
	{ "2023-01-01T", REFUSED, NULL },
	{ "2023-01-01Z", REFUSED, NULL },
	{ "2023-01-01T12:00 Z", REFUSED, NULL },
	{ "2023-01-01T12:00+8", REFUSED, NULL },
	{ "2023-01-01T12:00+16:00", REFUSED, NULL },
	{ "now", REFUSED, NULL },
	{ "", REFUSED, NULL },
};

struct kind {
	const char *name;
	const struct row *rows;
	int n;
	bool (*parse)(const char *text, int64_t *out);
	void (*format)(int64_t value, char *out);
};

static void print_money(int64_t value, char *out)
{
	gy_money_format(value, out);
}
static void print_size(int64_t value, char *out)
{
	gy_size_format(value, out);
}
static void print_duration(int64_t value, char *out)
{
	gy_duration_format(value, out);
}
static void print_instant(int64_t value, char *out)
{
	gy_instant_format(value, out);
}

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))
static const struct kind kinds[] = {
	{ "money", money, COUNT(money), gy_money_parse, print_money },
	{ "size", sizes, COUNT(sizes), gy_size_parse, print_size },
	{ "duration", durations, COUNT(durations), gy_duration_parse, print_duration },
	{ "instant", instants, COUNT(instants), gy_instant_parse, print_instant },
};

START_TEST(table)
{
	const struct kind *kind = &kinds[_i];
	char out[GY_AMOUNT_TEXT];

	for (int i = 0; i < kind->n; i++) {
		const struct row *row = &kind->rows[i];
		int64_t value = 77;
		bool taken = kind->parse(row->text, &value);

		ck_assert_msg(taken == (row->value != REFUSED), "%s '%s' %s", kind->name, row->text,
			      taken ? "taken" : "refused");
		if (!taken)
			continue;
		ck_assert_msg(value == row->value, "%s '%s' read as %" PRId64, kind->name,
			      row->text, value);
		kind->format(value, out);
		ck_assert_str_eq(out, row->printed);
	}
}
END_TEST

/* splitmix64: the sequence depends on nothing but the seed. */
static uint64_t state;
static uint64_t next(void)
{
	uint64_t z = state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* What is printed is read back to the same number, of any magnitude. */
START_TEST(round_trip)
{
	const struct kind *kind = &kinds[_i];
	char out[GY_AMOUNT_TEXT];

	for (int i = 0; i < 200000; i++) {
		int64_t value = (int64_t)(next() >> 4 >> (next() % 60)), again = -1;

		if (value > GY_AMOUNT_MAX)
			value = GY_AMOUNT_MAX;
		if (kind->parse == gy_money_parse && next() % 2)
			value = -value;
		if (kind->parse == gy_instant_parse)
			value %= 253402300800 * S;
		kind->format(value, out);
		ck_assert_msg(kind->parse(out, &again) && again == value,
			      "%s %" PRId64 " printed as %s, read as %" PRId64, kind->name, value,
			      out, again);
	}
}
END_TEST

/* The date arithmetic against the C library's. */
START_TEST(instants_as_the_library_prints_them)
{
	char ours[GY_AMOUNT_TEXT], theirs[GY_AMOUNT_TEXT];

	for (int i = 0; i < 200000; i++) {
		time_t seconds = (time_t)(next() % UINT64_C(253402300800));
		struct tm tm;

		gy_instant_format((int64_t)seconds * S, ours);
		strftime(theirs, sizeof(theirs), "%Y-%m-%d %H:%M:%S+00", gmtime_r(&seconds, &tm));
		ck_assert_str_eq(ours, theirs);
	}
}
END_TEST

START_TEST(numbers)
{
	int64_t n = 77;

	ck_assert(gy_number_parse("0", 0, 10, &n) && n == 0);
	ck_assert(gy_number_parse("4294967295", 0, UINT32_MAX, &n) && n == UINT32_MAX);
	ck_assert(gy_number_parse("-3", -5, 5, &n) && n == -3);
	ck_assert(!gy_number_parse("4294967296", 0, UINT32_MAX, &n));
	ck_assert(!gy_number_parse("-6", -5, 5, &n));
	ck_assert(!gy_number_parse("", 0, 10, &n));
	ck_assert(!gy_number_parse("-", -5, 10, &n));
	ck_assert(!gy_number_parse("3x", 0, 10, &n));
	ck_assert(!gy_number_parse("3.0", 0, 10, &n));
	ck_assert(!gy_number_parse("18446744073709551617", 0, 10, &n));
	ck_assert_int_eq(n, -3);
}
END_TEST

START_TEST(words)
{
	ck_assert_int_eq(gy_word_number(gy_words_state, "barred"), 2);
	ck_assert_int_eq(gy_word_number(gy_words_state, "Barred"), -1);
	ck_assert_int_eq(gy_word_number(gy_words_state, ""), -1);
	ck_assert_int_eq(gy_word_number(gy_words_rule_kind, "priced"), 0);
	ck_assert_str_eq(gy_word_name(gy_words_identity, 6, "?"), "user_name");
	ck_assert_str_eq(gy_word_name(gy_words_identity, 0, "?"), "?");
	ck_assert_str_eq(gy_word_name(gy_words_identity, 7, "?"), "?");
	ck_assert_str_eq(gy_word_name(gy_words_identity, -1, "?"), "?");
}
END_TEST

int main(void)
{
	const char *given = getenv("GYRO_SEED");
	uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
	Suite *suite = suite_create("ctl-amount");
	TCase *tests = tcase_create("amount");
	int status;

	printf("# seed %" PRIu64 "\n", seed);
	fflush(stdout);
	state = seed;
	tcase_set_timeout(tests, 60);
	tcase_add_loop_test(tests, table, 0, COUNT(kinds));
	tcase_add_loop_test(tests, round_trip, 0, COUNT(kinds));
	tcase_add_test(tests, instants_as_the_library_prints_them);
	tcase_add_test(tests, numbers);
	tcase_add_test(tests, words);
	suite_add_tcase(suite, tests);
	status = gy_tap_run(suite);
	printf("# seed %" PRIu64 "\n", seed);
	return status;
}
