/* What tables can't say: calendar arithmetic, fractions at their limits, bounds, splits, the buffer
 * of the trace, memory that isn't aligned. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/limits.h"
#include "core/rating/fraction.h"
#include "core/rating/network.h"
#include "core/rating/price.h"
#include "core/rating/sort.h"
#include "tests/lib/tap.h"
#include "tests/unit/rating/table.h"

#define HOUR   (3600 * GY_SECOND_US)
#define MINUTE (60 * GY_SECOND_US)

static struct table table;

/* Reads lines separated by '\n'. */
static void lines(const char *text)
{
	char line[4096];

	for (table.line = 1; *text != '\0'; table.line++) {
		size_t n = strcspn(text, "\n");

		ck_assert_uint_lt(n, sizeof(line));
		memcpy(line, text, n);
		line[n] = '\0';
		if (n > 0)
			table_line(&table, line);
		text += n + (text[n] == '\n');
	}
}

static void compile(void)
{
	struct gy_dynamic_fault fault;

	if (table_compile(&table, &fault) != GY_OK)
		ck_abort_msg("%s, rule %ld", gy_fault_text(fault.reason), (long)fault.rule_id);
}

static struct question *question(const char *text)
{
	static struct question q;
	char line[1024];

	snprintf(line, sizeof(line), "%s", text);
	table_question(&table, line, &q);
	return &q;
}

static struct gy_tariff_result rated(const struct question *q)
{
	struct gy_rating_input input = q->input;
	struct gy_tariff_result result;

	ck_assert_int_eq(gy_tariff_rate(&table.catalogue, &input, &result, NULL), GY_OK);
	return result;
}

static void empty(void)
{
	table_clear(&table);
}

/* ---- the clock ---- */

START_TEST(known_days)
{
	ck_assert_int_eq(gy_civil_day(1970, 1, 1), 0);
	ck_assert_int_eq(gy_civil_day(1969, 12, 31), -1);
	ck_assert_int_eq(gy_civil_day(2000, 3, 1), 11017);
	ck_assert_int_eq(gy_civil_day(2024, 2, 29), 19782);
	ck_assert_int_eq(gy_civil_day(2100, 2, 28) + 1, gy_civil_day(2100, 3, 1));
	ck_assert_int_eq(gy_civil_day(1, 1, 1), -719162);
}
END_TEST

/* Four hundred years, day by day: each is the next one of the calendar. */
START_TEST(every_day)
{
	static const int length[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	static const struct gy_zone_change changes[] = { { INT64_MIN, 0 } };
	static const struct gy_zone utc = { 1, "UTC", 1, changes };
	int year = 1800, month = 1, day = 1, weekday = 3; /* a Wednesday */

	for (int64_t n = gy_civil_day(1800, 1, 1); year < 2200; n++) {
		bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
		struct gy_civil c = gy_civil_at(&utc, n * 24 * HOUR + (n & 1 ? 24 * HOUR - 1 : 0));

		if (c.day != n || c.year != year || c.month != month || c.day_of_month != day ||
		    c.weekday != weekday || gy_civil_day(year, month, day) != n)
			ck_abort_msg("day %ld is not %d-%d-%d, weekday %d", (long)n, year, month,
				     day, weekday);
		weekday = weekday % 7 + 1;
		if (++day > length[month - 1] + (month == 2 && leap)) {
			day = 1;
			month = month % 12 + 1;
			year += month == 1;
		}
	}
}
END_TEST

/* Berlin 2024; Lord Howe, half an hour; a zone that goes back over midnight. */
static const struct gy_zone_change berlin[] = { { INT64_MIN, 3600 },
						{ INT64_C(1711846800000000), 7200 },
						{ INT64_C(1729990800000000), 3600 } };
static const struct gy_zone_change lord_howe[] = { { 0, 37800 },
						   { INT64_C(1712415600000000), 39600 },
						   { INT64_C(1728142200000000), 37800 } };
static const struct gy_zone_change midnight[] = { { INT64_MIN, -10800 },
						  { INT64_C(1711854060000000), -14400 },
						  { INT64_C(1729999860000000), -10800 } };
static const struct gy_zone zones[] = { { 1, "Berlin", 3, berlin },
					{ 2, "Lord Howe", 3, lord_howe },
					{ 3, "Midnight", 3, midnight } };
static const int32_t holidays[] = { 19811, 19813, 19814, 20023 };
static const struct gy_calendar calendar = { 1, "c", 4, holidays };

/* gy_clock_leaves against a walk of the same minutes, around every transition. */
START_TEST(leaves_when_a_walk_does)
{
	static const struct {
		enum gy_derivation derivation;
		int64_t low, high;
	} ranges[] = {
		{ GY_DERIVE_HOUR, 0, 3 },
		{ GY_DERIVE_HOUR, 2, 3 },
		{ GY_DERIVE_HOUR, 22, INT64_MAX },
		{ GY_DERIVE_HOUR, INT64_MIN, 6 },
		{ GY_DERIVE_HOUR, 1, 2 },
		{ GY_DERIVE_HOUR, 3, 24 },
		{ GY_DERIVE_MINUTE_OF_DAY, 90, 150 },
		{ GY_DERIVE_MINUTE_OF_DAY, 1439, 1440 },
		{ GY_DERIVE_MINUTE_OF_DAY, 0, 1 },
		{ GY_DERIVE_WEEKDAY, 6, 8 },
		{ GY_DERIVE_WEEKDAY, 7, INT64_MAX },
		{ GY_DERIVE_WEEKDAY, 1, 2 },
		{ GY_DERIVE_DAY_OF_MONTH, 30, 32 },
		{ GY_DERIVE_DAY_OF_MONTH, 1, 2 },
		{ GY_DERIVE_MONTH, 3, 4 },
		{ GY_DERIVE_MONTH, 10, 11 },
		{ GY_DERIVE_HOLIDAY, 0, 1 },
		{ GY_DERIVE_HOLIDAY, 1, 2 },
	};
	const struct gy_zone *zone = &zones[_i];
	unsigned checked = 0;

	for (unsigned k = 1; k < zone->n_changes; k++)
		for (size_t r = 0; r < sizeof(ranges) / sizeof(ranges[0]); r++)
			for (gy_time_us at = zone->changes[k].at_us - 30 * HOUR;
			     at < zone->changes[k].at_us + 30 * HOUR; at += 17 * MINUTE) {
				gy_time_us walk = at - at % MINUTE;
				int64_t value =
					gy_clock_value(zone, &calendar, ranges[r].derivation, at);
				gy_time_us leaves;

				if (value < ranges[r].low || value >= ranges[r].high)
					continue;
				leaves = gy_clock_leaves(zone, &calendar, ranges[r].derivation, at,
							 ranges[r].low, ranges[r].high);
				do {
					walk += MINUTE;
					value = gy_clock_value(zone, &calendar,
							       ranges[r].derivation, walk);
				} while (value >= ranges[r].low && value < ranges[r].high &&
					 walk < at + 70 * HOUR);
				if (walk < at + 70 * HOUR)
					ck_assert_int_eq(leaves, walk);
				else
					ck_assert_int_ge(leaves, walk);
				checked++;
			}
	ck_assert_uint_gt(checked, 500);
}
END_TEST

START_TEST(leaves_never)
{
	const struct gy_calendar none = { 1, "none", 0, NULL };

	ck_assert_int_eq(gy_clock_leaves(&zones[0], NULL, GY_DERIVE_HOUR, 0, 0, 24), INT64_MAX);
	ck_assert_int_eq(gy_clock_leaves(&zones[0], NULL, GY_DERIVE_MONTH, 0, INT64_MIN, INT64_MAX),
			 INT64_MAX);
	ck_assert_int_eq(gy_clock_leaves(&zones[0], &none, GY_DERIVE_HOLIDAY,
					 INT64_C(1800000000000000), 0, 1),
			 INT64_MAX);
}
END_TEST

START_TEST(next_day_when_a_walk_does)
{
	const struct gy_zone *zone = &zones[_i];

	for (unsigned k = 1; k < zone->n_changes; k++)
		for (gy_time_us at = zone->changes[k].at_us - 30 * HOUR;
		     at < zone->changes[k].at_us + 30 * HOUR; at += 7 * MINUTE) {
			int64_t today = gy_civil_at(zone, at).day;
			gy_time_us walk = at - at % MINUTE + MINUTE;

			while (gy_civil_at(zone, walk).day == today)
				walk += MINUTE;
			ck_assert_int_eq(gy_clock_next_day(zone, at), walk);
		}
}
END_TEST

/* ---- fractions ---- */

START_TEST(gcd)
{
	ck_assert_uint_eq(gy_gcd(0, 0), 0);
	ck_assert_uint_eq(gy_gcd(0, 7), 7);
	ck_assert_uint_eq(gy_gcd(7, 0), 7);
	ck_assert_uint_eq(gy_gcd(48, 36), 12);
	ck_assert_uint_eq(gy_gcd(UINT64_C(1) << 63, UINT64_C(1) << 60), UINT64_C(1) << 60);
	ck_assert_uint_eq(gy_gcd(UINT64_MAX, UINT64_MAX - 1), 1);
}
END_TEST

START_TEST(fractions_at_their_limits)
{
	struct gy_fraction f = gy_fraction_of(INT64_MAX, 1);

	ck_assert(!gy_fraction_multiply(&f, (struct gy_fraction){ 2, 1 }));
	ck_assert_int_eq(f.micros, INT64_MAX);
	ck_assert(gy_fraction_multiply(
		&f, (struct gy_fraction){ 1, 7 })); /* 2^63 - 1 is 7^2 times 73... */
	ck_assert_int_eq(f.micros, INT64_MAX / 7);
	ck_assert_int_eq(f.block, 1);
	ck_assert(!gy_fraction_add(&f, (struct gy_fraction){ INT64_MAX, 1 }));
	f = gy_fraction_of(1, GY_AMOUNT_MAX);
	ck_assert(!gy_fraction_multiply(&f, (struct gy_fraction){ 1, 3 }));
	ck_assert(!gy_fraction_add(&f, (struct gy_fraction){ 1, 3 }));
	/* The common block is beyond the limit, the sum is not. */
	f = gy_fraction_of(1, INT64_C(3) << 58);
	ck_assert(gy_fraction_add(&f, gy_fraction_of(-1, INT64_C(3) << 57)));
	ck_assert_int_eq(f.micros, -1);
	ck_assert_int_eq(f.block, INT64_C(3) << 58);
	f = gy_fraction_of(-6, 4);
	ck_assert_int_eq(f.micros, -3);
	ck_assert_int_eq(f.block, 2);
	ck_assert_int_lt(gy_fraction_compare(f, gy_fraction_of(-1, 1)), 0);
	ck_assert_int_eq(gy_fraction_compare(f, gy_fraction_of(-3, 2)), 0);
}
END_TEST

START_TEST(rates_keep_their_block)
{
	struct gy_rate rate;

	ck_assert(gy_fraction_rate(gy_fraction_of(120000, 1048576), 1048576, &rate));
	ck_assert_int_eq(rate.price_micros, 120000);
	ck_assert_int_eq(rate.block, 1048576);
	ck_assert(gy_fraction_rate(gy_fraction_of(1, 3), 1048576, &rate));
	ck_assert_int_eq(rate.price_micros, 1048576);
	ck_assert_int_eq(rate.block, 3 * 1048576);
	ck_assert(!gy_fraction_rate(gy_fraction_of(1, 3), GY_AMOUNT_MAX, &rate));
	ck_assert(!gy_fraction_rate(gy_fraction_of(INT64_MAX - 1, 3), 4, &rate));
}
END_TEST

static int by_value(const void *a, const void *b, const void *context)
{
	(void)context;
	return *(const int *)a - *(const int *)b;
}

START_TEST(sorts)
{
	for (unsigned n = 0; n < 200; n++) {
		int items[200];

		for (unsigned i = 0; i < n; i++)
			items[i] = (int)((i * 7919 + n) % 101);
		gy_sort(items, n, sizeof(items[0]), by_value, NULL);
		for (unsigned i = 1; i < n; i++)
			ck_assert_int_le(items[i - 1], items[i]);
	}
}
END_TEST

/* ---- splits: many small reports cost what one big one costs ---- */

START_TEST(split_usage_costs_the_same)
{
	static const char *const snapshots[] = {
		"specific 1 rate=100000/1048576\nrule 101 multiply=1234567\n",
		"specific 1 rate=1/3\nrule 101 multiply=333333\nrule 102 add=1/7\n",
		"specific 1 rate=600000/60\nrule 101 replace=99999/1000000\nrule 102 "
		"multiply=1100000\n",
		"specific 1 rate=123456789/1073741824\nrule 101 floor=7/1000003\nrule 102 "
		"multiply=1\n",
	};
	struct gy_rate rate;
	uint64_t state = (uint64_t)_i + 1;
	struct question *q;

	empty();
	lines(snapshots[_i]);
	compile();
	q = question("rate");
	rate = rated(q).rate;
	for (int round = 0; round < 200; round++) {
		int64_t whole = 0, carry = 0, paid = 0, once, carry_once = 0, micros;

		for (int part = 0; part < 100; part++) {
			int64_t units;

			state = state * UINT64_C(6364136223846793005) + 1442695040888963407;
			units = (int64_t)(state >> 40) % (1 << 20);
			ck_assert(gy_price_debit(rate, units, &carry, &micros));
			whole += units;
			paid += micros;
		}
		ck_assert(gy_price_debit(rate, whole, &carry_once, &once));
		ck_assert_int_eq(paid, once);
		ck_assert_int_eq(carry, carry_once);
	}
}
END_TEST

/* ---- bounds ---- */

START_TEST(thirty_two_codes_and_no_more)
{
	char list[1024] = "rate codes=";
	struct question *q;
	struct gy_tariff_result result;

	empty();
	lines("attribute 1\nspecific 1 rate=1000/1\n");
	for (int i = 100; i < 133; i++) {
		char line[64];

		snprintf(line, sizeof(line), "code %d attribute=1", i);
		table_line(&table, line);
		snprintf(line, sizeof(line), "rule %d code=%d when=5 add=1/1", i, i);
		table_line(&table, line);
		snprintf(list + strlen(list), sizeof(list) - strlen(list), "%d,", i);
	}
	compile();
	strcat(list, " attr=1:5");
	q = question(list);
	ck_assert_int_eq(gy_tariff_rate(&table.catalogue, &q->input, &result, NULL),
			 GY_RATING_FAILED);
	q->attributes.n_codes = 32;
	result = rated(q);
	ck_assert_int_eq(result.rate.price_micros, 1032);
	/* The same code twice, and one that the snapshot doesn't know, count nothing. */
	q->codes[32].code_id = 100;
	q->attributes.n_codes = 33;
	ck_assert_int_eq(rated(q).rate.price_micros, 1032);
	q->codes[32].code_id = 7;
	ck_assert_int_eq(rated(q).rate.price_micros, 1032);
}
END_TEST

START_TEST(thirty_two_rules_for_one_value_and_no_more)
{
	struct gy_dynamic_fault fault;

	for (int n = 32; n <= 33; n++) {
		empty();
		lines("attribute 1\ncode 11 attribute=1\nspecific 1 rate=1000/1\n");
		for (int i = 1; i <= n; i++) {
			char line[64];

			snprintf(line, sizeof(line), "rule %d code=11 when=[%d,) add=1/1", i, i);
			table_line(&table, line);
		}
		if (n == 32) {
			compile();
			continue;
		}
		ck_assert_int_eq(table_compile(&table, &fault), GY_STORE_REFUSED);
		ck_assert_int_eq(fault.reason, GY_FAULT_TOO_MANY);
		ck_assert_int_eq(fault.specific_rule_id, 1);
	}
}
END_TEST

START_TEST(sixteen_common_attributes_and_no_more)
{
	struct gy_dynamic_fault fault;

	for (int n = 16; n <= 17; n++) {
		empty();
		lines("specific 1 rate=1000/1\n");
		for (int i = 1; i <= n; i++) {
			char line[64];

			snprintf(line, sizeof(line), "attribute %d", i);
			table_line(&table, line);
			snprintf(line, sizeof(line), "rule %d attribute=%d when=1 add=1/1", i, i);
			table_line(&table, line);
		}
		lines("rule 99 quota=5\n");
		if (n == 16) {
			struct question *q;

			compile();
			q = question("rate attr=1:1 attr=16:1");
			ck_assert_int_eq(rated(q).rate.price_micros, 1002);
			continue;
		}
		ck_assert_int_eq(table_compile(&table, &fault), GY_STORE_REFUSED);
		ck_assert_int_eq(fault.reason, GY_FAULT_TOO_MANY);
		ck_assert_int_eq(fault.rule_id, 17);
	}
}
END_TEST

START_TEST(a_refused_snapshot_leaves_the_old_index)
{
	struct gy_dynamic_fault fault;
	const struct gy_dynamic_index *before;
	char memory[65536];

	empty();
	lines("specific 1 rate=1000/1\nrule 1 add=1/1\n");
	compile();
	before = table.dynamic.index;
	lines("rule 2 add=-5000/1 prec=1\n");
	ck_assert_uint_le(gy_dynamic_memory(&table.dynamic), sizeof(memory));
	ck_assert_int_eq(gy_dynamic_compile(&table.catalogue, &table.dynamic, memory,
					    sizeof(memory), &fault),
			 GY_STORE_REFUSED);
	ck_assert_int_eq(fault.reason, GY_FAULT_NEGATIVE);
	ck_assert_int_eq(fault.rule_id, 2);
	ck_assert_ptr_eq(table.dynamic.index, before);
}
END_TEST

/* Any address will do. */
START_TEST(memory_need_not_be_aligned)
{
	struct gy_dynamic_fault fault;
	size_t size;
	char *memory;

	empty();
	lines("attribute 1\ncode 11 attribute=1\nspecific 1 rate=1000/1\n"
	      "rule 1 code=11 when=[1,5) add=1/1\nrule 2 code=11 when={3,4} multiply=2000000\n");
	size = gy_dynamic_memory(&table.dynamic);
	memory = malloc(size + 16);
	for (size_t skew = 0; skew < 16; skew++) {
		struct question *q = question("rate codes=11 attr=1:4");

		ck_assert_int_eq(gy_dynamic_compile(&table.catalogue, &table.dynamic, memory + skew,
						    size, &fault),
				 GY_OK);
		table.catalogue.dynamic = &table.dynamic;
		ck_assert_int_eq(rated(q).rate.price_micros, 2001);
	}
	free(memory);
}
END_TEST

START_TEST(a_short_trace_counts_what_it_loses)
{
	struct gy_trace_entry entries[3];
	struct gy_trace trace = { .room = 3, .entries = entries };
	struct gy_tariff_result result;
	struct question *q;

	empty();
	lines("attribute 1\ncode 11 attribute=1\nspecific 1 rate=1000/1\n"
	      "rule 1 code=11 when=1 add=1/1\nrule 2 code=11 when=2 add=2/1\n"
	      "rule 3 code=11 when=[1,) multiply=2000000\nrule 4 code=11 when=[1,) quota=4\n");
	compile();
	q = question("rate codes=11 attr=1:1");
	ck_assert_int_eq(gy_tariff_rate(&table.catalogue, &q->input, &result, &trace), GY_OK);
	ck_assert_uint_eq(trace.n, 3);
	ck_assert_uint_eq(trace.lost, 2);
	ck_assert_int_eq(entries[0].rule_id, 2);
	ck_assert_int_eq(entries[0].stage, GY_STAGE_CONSIDERED);
	ck_assert_int_eq(entries[1].stage, GY_STAGE_BASE);
	ck_assert_int_eq(entries[2].rule_id, 3);
	ck_assert_int_eq(entries[2].value.number, 1);
	ck_assert_int_eq(entries[2].amount, 2000000);
	ck_assert_int_eq(entries[2].block, GY_PPM);
	ck_assert_int_eq(result.rate.price_micros, 2001);
}
END_TEST

/* A catalogue that was never compiled with dynamic rules answers as it always did. */
START_TEST(without_dynamic_rules)
{
	struct gy_tariff_result plain, result;
	struct question *q;

	empty();
	lines("specific 1 rate=1000/1 until=2024-06-01T00:00:00Z\n");
	q = question("rate codes=11 attr=1:1");
	ck_assert_ptr_null(table.catalogue.dynamic);
	ck_assert_int_eq(gy_tariff_resolve(&table.catalogue, 1, 10, GY_UNIT_NONE, 0, &plain),
			 GY_OK);
	result = rated(q);
	ck_assert_int_eq(result.rule_id, plain.rule_id);
	ck_assert_int_eq(result.rate.price_micros, plain.rate.price_micros);
	ck_assert_int_eq(result.valid_until_us, plain.valid_until_us);
	ck_assert(!result.dynamic);
}
END_TEST

/* A value whose type is not the snapshot's is no value. */
START_TEST(a_value_of_another_type_is_missing)
{
	struct question *q;

	empty();
	lines("attribute 1 type=text\ncode 11 attribute=1\nspecific 1 rate=1000/1\n"
	      "rule 1 code=11 when=5 add=1/1\nrule 2 code=11 when=missing add=2/1\n");
	compile();
	q = question("rate codes=11 attr=1:5");
	ck_assert_int_eq(rated(q).rate.price_micros, 1001);
	q->values[0].value = (struct gy_value){ .type = GY_VALUE_INTEGER, .number = 5 };
	ck_assert_int_eq(rated(q).rate.price_micros, 1002);
}
END_TEST

/* Midnight is an edge of the rule's ranges, not of the price. */
START_TEST(a_window_passes_over_edges_without_a_change)
{
	struct gy_tariff_result result, next;
	struct question *q;
	bool has_next;

	empty();
	lines("zone 1\nattribute 1 source=clock of=hour\nspecific 1 rate=1000/1\n"
	      "rule 1 attribute=1 when=[22,6) multiply=500000\n");
	compile();
	q = question("rate at=2024-06-01T21:30:00Z");
	ck_assert_int_eq(gy_tariff_window(&table.catalogue, &q->input, q->input.now + 24 * HOUR,
					  &result, &next, &has_next),
			 GY_OK);
	ck_assert(has_next);
	ck_assert_int_eq(result.valid_until_us, q->input.now + 30 * MINUTE);
	ck_assert_int_eq(next.rate.price_micros, 500);
	ck_assert_int_eq(next.valid_until_us, q->input.now + 30 * MINUTE + 8 * HOUR);
	/* No further than asked for: the next edge beyond it, not the next change. */
	ck_assert_int_eq(gy_tariff_window(&table.catalogue, &q->input, q->input.now + 20 * MINUTE,
					  &result, &next, &has_next),
			 GY_OK);
	ck_assert(!has_next);
	ck_assert_int_eq(result.valid_until_us, q->input.now + 30 * MINUTE);
}
END_TEST

/* The same numbers as gyro.place_part's in tests/ctl/changes.py. */
START_TEST(a_place_in_sixteen_bits_each)
{
	static const uint8_t location[] = { 0x00, 0x64, 0xf0, 0x00, 0x00, 0x01, 0x00, 0x07 };
	const struct gy_network nowhere = { .apn = { NULL, 0 } };
	const struct gy_network somewhere = { .apn = { (const uint8_t *)"A", 1 },
					      .serving_mcc_mnc = { (const uint8_t *)"46000", 5 },
					      .location = { location, sizeof(location) } };
	uint64_t place = (uint64_t)gy_network_place(&somewhere);

	ck_assert_int_eq(gy_network_place(&nowhere), INT64_C(0x0001000100010001));
	ck_assert_uint_eq(place & 0xffff, 3307);        /* 46000-0001-0007 */
	ck_assert_uint_eq(place >> 16 & 0xffff, 61583); /* 46000-0001 */
	ck_assert_uint_eq(place >> 32 & 0xffff, 49036); /* 46000 */
	ck_assert_uint_eq(place >> 48, 52514);          /* a */
}
END_TEST

START_TEST(words_for_everything)
{
	for (int reason = 0; reason <= GY_FAULT_COUNT; reason++)
		ck_assert_str_ne(gy_fault_text((enum gy_fault_reason)reason), "");
	for (int stage = 0; stage <= GY_STAGE_COUNT; stage++)
		ck_assert_str_ne(gy_stage_name((enum gy_stage)stage), "");
	for (int verdict = 0; verdict <= GY_VERDICT_COUNT; verdict++)
		ck_assert_str_ne(gy_verdict_text((enum gy_verdict)verdict), "");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rating");
	TCase *tcase = tcase_create("edges");

	tcase_set_timeout(tcase, 60);
	tcase_add_unchecked_fixture(tcase, empty, empty);
	tcase_add_test(tcase, known_days);
	tcase_add_test(tcase, every_day);
	tcase_add_loop_test(tcase, leaves_when_a_walk_does, 0, 3);
	tcase_add_test(tcase, leaves_never);
	tcase_add_loop_test(tcase, next_day_when_a_walk_does, 0, 3);
	tcase_add_test(tcase, gcd);
	tcase_add_test(tcase, fractions_at_their_limits);
	tcase_add_test(tcase, rates_keep_their_block);
	tcase_add_test(tcase, sorts);
	tcase_add_loop_test(tcase, split_usage_costs_the_same, 0, 4);
	tcase_add_test(tcase, thirty_two_codes_and_no_more);
	tcase_add_test(tcase, thirty_two_rules_for_one_value_and_no_more);
	tcase_add_test(tcase, sixteen_common_attributes_and_no_more);
	tcase_add_test(tcase, a_refused_snapshot_leaves_the_old_index);
	tcase_add_test(tcase, memory_need_not_be_aligned);
	tcase_add_test(tcase, a_short_trace_counts_what_it_loses);
	tcase_add_test(tcase, without_dynamic_rules);
	tcase_add_test(tcase, a_value_of_another_type_is_missing);
	tcase_add_test(tcase, a_window_passes_over_edges_without_a_change);
	tcase_add_test(tcase, a_place_in_sixteen_bits_each);
	tcase_add_test(tcase, words_for_everything);
	suite_add_tcase(suite, tcase);
	return gy_tap_run(suite);
}
