/* How much gateways are asked to leave out (core/engine/overload.h), against gateways that do. */
#include <stdlib.h>

#include "core/engine/overload.h"
#include "tests/lib/tap.h"

#define SECOND INT64_C(1000000000)
#define STAMP  UINT64_C(1700000000000)

static struct gy_overload o;
static int64_t now;

static bool second(uint64_t came, uint64_t refused)
{
	now += SECOND;
	return gy_overload_step(&o, came, refused, now, STAMP + (uint64_t)now / 1000000);
}

static void fresh(void)
{
	o = (struct gy_overload){ .changed_ns = 0 };
	now = 1000 * SECOND;
}

START_TEST(nothing_refused_nothing_reported)
{
	for (unsigned i = 0; i < 100; i++)
		ck_assert(!second(5000, 0));
	ck_assert(!second(0, 0));
	ck_assert_uint_eq(o.report.sequence, 0);
}
END_TEST

START_TEST(the_excess_is_to_be_left_out)
{
	ck_assert(second(3000, 2000));
	ck_assert_uint_eq(o.report.reduction_percent, 67); /* 66.7, rounded up */
	ck_assert_uint_eq(o.report.validity_s, GY_OVERLOAD_VALIDITY_S);
	ck_assert_uint_ge(o.report.sequence, STAMP);
}
END_TEST

START_TEST(what_is_still_too_much_adds_to_what_is_left_out)
{
	second(1000, 500);
	ck_assert_uint_eq(o.report.reduction_percent, 50);
	second(1000,
	       200); /* of the half that came, a fifth was too much: 0.5 * 0.8 can be served */
	ck_assert_uint_eq(o.report.reduction_percent, 60);
}
END_TEST

START_TEST(one_refusal_is_one_percent)
{
	second(100000, 1);
	ck_assert_uint_eq(o.report.reduction_percent, 1);
}
END_TEST

START_TEST(never_all)
{
	second(1000, 1000);
	ck_assert_uint_eq(o.report.reduction_percent, GY_REDUCTION_MAX);
	second(1000, 1000);
	ck_assert_uint_eq(o.report.reduction_percent, GY_REDUCTION_MAX);
	second(10, 20); /* refusals of the second before */
	ck_assert_uint_eq(o.report.reduction_percent, GY_REDUCTION_MAX);
}
END_TEST

START_TEST(a_sequence_number_for_every_change_and_none_without)
{
	uint64_t before;

	second(1000, 500);
	for (unsigned i = 0; i < 60; i++) {
		before = o.report.sequence;
		if (second(1000, i % 7 == 0 ? 100 : 0))
			ck_assert_uint_gt(o.report.sequence, before);
		else
			ck_assert_uint_eq(o.report.sequence, before);
	}
}
END_TEST

START_TEST(a_clock_that_goes_back_stops_no_sequence)
{
	uint64_t before;

	second(1000, 500);
	before = o.report.sequence;
	ck_assert(gy_overload_step(&o, 1000, 900, now + SECOND, 1));
	ck_assert_uint_eq(o.report.sequence, before + 1);
}
END_TEST

START_TEST(a_report_is_renewed_before_it_expires)
{
	uint64_t first;

	second(1000, 1000);
	first = o.report.sequence;
	/* Always the same: the most there is. */
	for (unsigned i = 1; i < GY_OVERLOAD_VALIDITY_S / 2; i++)
		ck_assert(!second(1000, 1000));
	ck_assert(second(1000, 1000));
	ck_assert_uint_gt(o.report.sequence, first);
	ck_assert_uint_eq(o.report.reduction_percent, GY_REDUCTION_MAX);
}
END_TEST

START_TEST(the_end_is_told_and_then_forgotten)
{
	unsigned seconds = 0;
	uint64_t last;

	second(1000, 1000);
	while (o.report.reduction_percent > 0 && ++seconds < 100) {
		unsigned before = o.report.reduction_percent;

		second(100, 0);
		ck_assert_uint_lt(o.report.reduction_percent, before);
	}
	ck_assert_uint_lt(seconds, 30);
	ck_assert_uint_eq(o.report.validity_s, 0);
	ck_assert_uint_ne(o.report.sequence, 0);
	for (unsigned i = 1; i < GY_OVERLOAD_VALIDITY_S; i++)
		ck_assert(!second(100, 0));
	last = o.report.sequence;
	ck_assert(second(100, 0));
	ck_assert_uint_eq(o.report.sequence, 0);
	/* The next overload goes on counting. */
	second(1000, 500);
	ck_assert_uint_gt(o.report.sequence, last);
}
END_TEST

/* Gateways that have three times as much as can be served, and leave out what they are told: in the
 * end little is refused, and little of what could be served is left out. */
START_TEST(gateways_that_listen_are_led_to_what_can_be_served)
{
	uint64_t served = 0, refused = 0;

	for (unsigned i = 0; i < 120; i++) {
		uint64_t came = 30000 * (100 - o.report.reduction_percent) / 100;
		uint64_t excess = came > 10000 ? came - 10000 : 0;

		second(came, excess);
		if (i < 20)
			continue;
		served += came - excess;
		refused += excess;
	}
	ck_assert_uint_gt(served, 100 * 9000);
	ck_assert_uint_lt(refused, 100 * 1500);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("engine-overload");
	TCase *tests = tcase_create("overload");

	tcase_add_checked_fixture(tests, fresh, NULL);
	tcase_add_test(tests, nothing_refused_nothing_reported);
	tcase_add_test(tests, the_excess_is_to_be_left_out);
	tcase_add_test(tests, what_is_still_too_much_adds_to_what_is_left_out);
	tcase_add_test(tests, one_refusal_is_one_percent);
	tcase_add_test(tests, never_all);
	tcase_add_test(tests, a_sequence_number_for_every_change_and_none_without);
	tcase_add_test(tests, a_clock_that_goes_back_stops_no_sequence);
	tcase_add_test(tests, a_report_is_renewed_before_it_expires);
	tcase_add_test(tests, the_end_is_told_and_then_forgotten);
	tcase_add_test(tests, gateways_that_listen_are_led_to_what_can_be_served);
	suite_add_tcase(suite, tests);
	return gy_tap_run(suite);
}
