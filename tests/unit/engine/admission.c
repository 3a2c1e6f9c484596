/* Who is let in (core/engine/admission.h): the ranks, the bounds, and a lane played through with a
 * clock of its own: bursts and stalls are worked off, lasting overload is turned away early. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/engine/admission.h"
#include "tests/lib/tap.h"

#define MS INT64_C(1000000)

static const struct gy_admission_limits usual = {
	.batch_max = 128, .queue_max = 4096, .patience_ms = 1000, .deadline_ms = 4000
};

static uint64_t random_state = 20240229;

static uint64_t draw(uint64_t below)
{
	random_state = random_state * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (random_state >> 33) % below;
}

START_TEST(each_type_has_its_share_of_the_queue)
{
	const struct gy_pace pace = { .batch_ns = 1 };

	ck_assert_int_eq(gy_admit(&usual, &pace, GY_INITIAL, 2047, 0, 0), GY_ADMIT);
	ck_assert_int_eq(gy_admit(&usual, &pace, GY_INITIAL, 2048, 0, 0), GY_ADMIT_NOT_FULL);
	ck_assert_int_eq(gy_admit(&usual, &pace, GY_EVENT, 2047, 0, 0), GY_ADMIT);
	ck_assert_int_eq(gy_admit(&usual, &pace, GY_EVENT, 2048, 0, 0), GY_ADMIT_NOT_FULL);
	ck_assert_int_eq(gy_admit(&usual, &pace, GY_UPDATE, 3071, 0, 0), GY_ADMIT);
	ck_assert_int_eq(gy_admit(&usual, &pace, GY_UPDATE, 3072, 0, 0), GY_ADMIT_NOT_FULL);
	ck_assert_int_eq(gy_admit(&usual, &pace, GY_TERMINATION, 4095, 0, 0), GY_ADMIT);
	ck_assert_int_eq(gy_admit(&usual, &pace, GY_TERMINATION, 4096, 0, 0), GY_ADMIT_NOT_FULL);
}
END_TEST

START_TEST(in_overload_the_queue_keeps_batches_full_and_no_more)
{
	const struct gy_pace pace = { .batch_ns = 1, .overloaded = true, .heavily = true };
	const struct gy_pace light = { .batch_ns = 1, .overloaded = true };
	struct gy_admission_limits small = usual;

	ck_assert_int_eq(gy_admit(&usual, &pace, GY_INITIAL, 42, 0, 0), GY_ADMIT);
	ck_assert_int_eq(gy_admit(&usual, &pace, GY_INITIAL, 43, 0, 0), GY_ADMIT_NOT_FULL);
	ck_assert_int_eq(gy_admit(&usual, &pace, GY_UPDATE, 63, 0, 0), GY_ADMIT);
	ck_assert_int_eq(gy_admit(&usual, &pace, GY_UPDATE, 64, 0, 0), GY_ADMIT_NOT_FULL);
	ck_assert_int_eq(gy_admit(&usual, &light, GY_INITIAL, 170, 0, 0), GY_ADMIT);
	ck_assert_int_eq(gy_admit(&usual, &light, GY_INITIAL, 171, 0, 0), GY_ADMIT_NOT_FULL);
	ck_assert_int_eq(gy_admit(&usual, &light, GY_UPDATE, 255, 0, 0), GY_ADMIT);
	ck_assert_int_eq(gy_admit(&usual, &light, GY_UPDATE, 256, 0, 0), GY_ADMIT_NOT_FULL);
	/* But for those that make room. */
	ck_assert_int_eq(gy_admit(&usual, &pace, GY_TERMINATION, 4095, 0, 0), GY_ADMIT);
	ck_assert_int_eq(gy_admit(&usual, &pace, GY_TERMINATION, 4096, 0, 0), GY_ADMIT_NOT_FULL);
	small.queue_max = 60;
	ck_assert_int_eq(gy_admit(&small, &pace, GY_UPDATE, 44, 0, 0), GY_ADMIT);
	ck_assert_int_eq(gy_admit(&small, &pace, GY_UPDATE, 45, 0, 0), GY_ADMIT_NOT_FULL);
	ck_assert_int_eq(gy_admit(&small, &pace, GY_TERMINATION, 59, 0, 0), GY_ADMIT);
	ck_assert_int_eq(gy_admit(&small, &pace, GY_TERMINATION, 60, 0, 0), GY_ADMIT_NOT_FULL);
}
END_TEST

START_TEST(in_overload_a_batch_counts_until_it_is_done)
{
	const struct gy_pace pace = { .batch_ns = 10 * MS,
				      .began_ns = 1000 * MS,
				      .taken = 50,
				      .overloaded = true,
				      .heavily = true,
				      .refused_ns = 1000 * MS };

	ck_assert_int_eq(gy_admit(&usual, &pace, GY_UPDATE, 13, 0, 1000 * MS), GY_ADMIT);
	ck_assert_int_eq(gy_admit(&usual, &pace, GY_UPDATE, 14, 0, 1000 * MS), GY_ADMIT_NOT_FULL);
	ck_assert_int_eq(gy_admit(&usual, &pace, GY_UPDATE, 38, 0, 1005 * MS), GY_ADMIT);
	ck_assert_int_eq(gy_admit(&usual, &pace, GY_UPDATE, 39, 0, 1005 * MS), GY_ADMIT_NOT_FULL);
	ck_assert_int_eq(gy_admit(&usual, &pace, GY_UPDATE, 63, 0, 1015 * MS), GY_ADMIT);
	ck_assert_int_eq(gy_admit(&usual, &pace, GY_UPDATE, 64, 0, 1015 * MS), GY_ADMIT_NOT_FULL);
}
END_TEST

START_TEST(what_would_be_too_late_is_refused_at_once)
{
	const struct gy_pace slow = { .batch_ns = 300 * MS };
	const struct gy_pace very_slow = { .batch_ns = 3500 * MS, .began_ns = 1000 * MS };

	/* Two batches of 300 ms go before it. */
	ck_assert_int_eq(gy_expected_wait_ns(&usual, &slow, 256, 0), 600 * MS);
	ck_assert_int_eq(gy_admit(&usual, &slow, GY_INITIAL, 256, 0, 0), GY_ADMIT_NOT_LATE);
	ck_assert_int_eq(gy_admit(&usual, &slow, GY_UPDATE, 256, 0, 0), GY_ADMIT);
	ck_assert_int_eq(gy_admit(&usual, &slow, GY_UPDATE, 256, 200 * MS, 0), GY_ADMIT_NOT_LATE);
	ck_assert_int_eq(gy_admit(&usual, &slow, GY_TERMINATION, 256, 200 * MS, 0), GY_ADMIT);
	ck_assert_int_eq(gy_admit(&usual, &slow, GY_TERMINATION, 512, 0, 0), GY_ADMIT_NOT_LATE);
	/* Taken up in time, but answered after the deadline: 100 until this batch ends, 600, 3500.
	 */
	ck_assert_int_eq(gy_admit(&usual, &very_slow, GY_TERMINATION, 0, 300 * MS, 4400 * MS),
			 GY_ADMIT);
	ck_assert_int_eq(gy_admit(&usual, &very_slow, GY_TERMINATION, 0, 500 * MS, 4400 * MS),
			 GY_ADMIT_NOT_LATE);
}
END_TEST

/* What a lane believes of its pace, only a batch can prove wrong. */
START_TEST(a_lane_that_was_too_slow_is_tried_again)
{
	struct gy_pace pace = { .batch_ns = 5000 * MS };
	int64_t now_ns = 3600 * 1000 * MS;
	unsigned probes = 0;

	for (enum gy_request_type type = GY_INITIAL; type <= GY_EVENT; type++) {
		ck_assert_int_eq(gy_admit(&usual, &pace, type, 0, 0, now_ns), GY_ADMIT);
		ck_assert_int_eq(gy_admit(&usual, &pace, type, 0, 200 * MS, now_ns), GY_ADMIT);
		ck_assert_int_eq(gy_admit(&usual, &pace, type, 0, 1001 * MS, now_ns),
				 GY_ADMIT_NOT_LATE);
		/* One at a time. */
		ck_assert_int_eq(gy_admit(&usual, &pace, type, 1, 0, now_ns), GY_ADMIT_NOT_LATE);
	}
	gy_pace_taken(&usual, &pace, 1, 0, now_ns);
	ck_assert_int_eq(gy_admit(&usual, &pace, GY_TERMINATION, 0, 0, now_ns + MS),
			 GY_ADMIT_NOT_LATE);
	for (; gy_admit(&usual, &pace, GY_INITIAL, 1, 0, now_ns) != GY_ADMIT; probes++) {
		gy_pace_ended(&pace, true, now_ns + MS);
		gy_pace_taken(&usual, &pace, 1, 0, now_ns += 2 * MS);
		ck_assert_uint_lt(probes, 100);
	}
}
END_TEST

START_TEST(after_a_slow_first_batch_it_serves_at_once)
{
	struct gy_pace pace = { .batch_ns = 0 };

	gy_pace_taken(&usual, &pace, 1, 0, 1000 * MS);
	gy_pace_ended(&pace, true, 6000 * MS);
	ck_assert_int_eq(gy_admit(&usual, &pace, GY_TERMINATION, 0, 0, 3600 * 1000 * MS), GY_ADMIT);
	/* Also those that come together. */
	ck_assert_int_eq(gy_admit(&usual, &pace, GY_INITIAL, 1, 0, 3600 * 1000 * MS), GY_ADMIT);
	gy_pace_taken(&usual, &pace, 1, 0, 3600 * 1000 * MS);
	ck_assert_int_eq(gy_admit(&usual, &pace, GY_INITIAL, 0, 0, 3600 * 1000 * MS + 1), GY_ADMIT);
}
END_TEST

START_TEST(a_batch_that_takes_longer_than_usual_counts_at_once)
{
	const struct gy_pace pace = { .batch_ns = 10 * MS, .began_ns = 1000 * MS };

	ck_assert_int_eq(gy_expected_wait_ns(&usual, &pace, 0, 1004 * MS), 6 * MS);
	ck_assert_int_eq(gy_expected_wait_ns(&usual, &pace, 128, 1004 * MS), 16 * MS);
	ck_assert_int_eq(gy_expected_wait_ns(&usual, &pace, 0, 1600 * MS), 600 * MS);
	ck_assert_int_eq(gy_admit(&usual, &pace, GY_INITIAL, 0, 0, 1600 * MS), GY_ADMIT_NOT_LATE);
	ck_assert_int_eq(gy_admit(&usual, &pace, GY_UPDATE, 0, 0, 1600 * MS), GY_ADMIT);
	ck_assert_int_eq(gy_admit(&usual, &pace, GY_UPDATE, 0, 0, 1800 * MS), GY_ADMIT_NOT_LATE);
	ck_assert_int_eq(gy_admit(&usual, &pace, GY_TERMINATION, 0, 0, 1800 * MS), GY_ADMIT);
}
END_TEST

START_TEST(a_lane_that_knows_nothing_of_its_pace_takes_what_comes)
{
	const struct gy_pace fresh = { .batch_ns = 0 };

	ck_assert_int_eq(gy_admit(&usual, &fresh, GY_INITIAL, 0, 0, 5 * MS), GY_ADMIT);
	ck_assert_int_eq(gy_admit(&usual, &fresh, GY_INITIAL, 2000, 0, 5 * MS), GY_ADMIT);
}
END_TEST

START_TEST(whoever_lets_an_initial_in_lets_an_update_and_a_termination_in)
{
	unsigned admitted[3] = { 0, 0, 0 }, overtaken = 0;

	for (unsigned i = 0; i < 1000000; i++) {
		struct gy_admission_limits limits = { .batch_max = 1 + (unsigned)draw(256),
						      .queue_max = 1 + (unsigned)draw(5000),
						      .patience_ms = 1 + (unsigned)draw(2000),
						      .deadline_ms = 1 + (unsigned)draw(5000) };
		struct gy_pace pace = { .batch_ns = (int64_t)draw(500) * MS,
					.began_ns = draw(2) ? (int64_t)draw(1000) * MS + 1 : 0,
					.overloaded = draw(2) };
		unsigned waiting = (unsigned)draw(5000);
		int64_t age = (int64_t)draw(1500) * MS, now = 1000 * MS + 1;
		bool yes[3];

		yes[0] = gy_admit(&limits, &pace, draw(2) ? GY_INITIAL : GY_EVENT, waiting, age,
				  now) == GY_ADMIT;
		yes[1] = gy_admit(&limits, &pace, GY_UPDATE, waiting, age, now) == GY_ADMIT;
		yes[2] = gy_admit(&limits, &pace, GY_TERMINATION, waiting, age, now) == GY_ADMIT;
		overtaken += (yes[0] && !yes[1]) || (yes[1] && !yes[2]);
		for (unsigned k = 0; k < 3; k++)
			admitted[k] += yes[k];
	}
	ck_assert_uint_eq(overtaken, 0);
	/* The draws reach all of it. */
	ck_assert_uint_gt(admitted[0], 5000);
	ck_assert_uint_gt(admitted[1], admitted[0] + 1000);
	ck_assert_uint_gt(admitted[2], admitted[1] + 1000);
}
END_TEST

/* --- a lane, played ---- */

#define FIXED_NS       (1 * MS) /* of a batch: its commit */
#define PER_REQUEST_NS 90000
#define CAPACITY       10199 /* requests a second, full batches: 128 in 12.52 ms */

struct waiting {
	int64_t came_ns;
	enum gy_request_type type;
};

static struct lane {
	struct gy_pace pace;
	int64_t now_ns, ends_ns; /* ends_ns 0: idle */
	unsigned n, batch;
	struct waiting queue[8192], taken[128];

	unsigned came[5], refused[5], late;
	int64_t longest_ns; /* from coming to being answered, since this was last set to 0 */
} lane;

static void take(void)
{
	unsigned n = lane.n < usual.batch_max ? lane.n : usual.batch_max;

	if (lane.n == 0)
		return;
	memcpy(lane.taken, lane.queue, n * sizeof(lane.queue[0]));
	memmove(lane.queue, lane.queue + n, (lane.n - n) * sizeof(lane.queue[0]));
	lane.n -= n;
	lane.batch = n;
	gy_pace_taken(&usual, &lane.pace, n, lane.n, lane.now_ns);
	lane.ends_ns = lane.now_ns + FIXED_NS + n * PER_REQUEST_NS;
}

/* Batches end and begin until then; stalled: the one under way does not end. */
static void play_until(int64_t until_ns, bool stalled)
{
	while (lane.ends_ns != 0 && lane.ends_ns <= until_ns && !stalled) {
		lane.now_ns = lane.ends_ns;
		gy_pace_ended(&lane.pace, true, lane.now_ns);
		lane.ends_ns = 0;
		for (unsigned i = 0; i < lane.batch; i++) {
			int64_t took = lane.now_ns - lane.taken[i].came_ns;

			lane.longest_ns = took > lane.longest_ns ? took : lane.longest_ns;
			lane.late += took > (int64_t)usual.patience_ms * MS;
		}
		take();
	}
	lane.now_ns = until_ns;
}

static void arrive(enum gy_request_type type)
{
	lane.came[type]++;
	if (gy_admit(&usual, &lane.pace, type, lane.n, 0, lane.now_ns) != GY_ADMIT) {
		lane.refused[type]++;
		gy_pace_refused(&lane.pace, lane.now_ns);
		return;
	}
	lane.queue[lane.n++] = (struct waiting){ lane.now_ns, type };
	if (lane.ends_ns == 0)
		take();
}

/* So many a second, for so long, at random gaps; one in ten opens, one in ten ends a session. */
static void offer(double times_capacity, int64_t for_ns, bool stalled)
{
	int64_t end_ns = lane.now_ns + for_ns;
	uint64_t gap_ns = (uint64_t)(1e9 / (times_capacity * CAPACITY));

	while (lane.now_ns < end_ns) {
		uint64_t kind = draw(10);

		play_until(lane.now_ns + (int64_t)draw(2 * gap_ns), stalled);
		arrive(kind == 0 ? GY_INITIAL : kind == 1 ? GY_TERMINATION : GY_UPDATE);
	}
}

static unsigned all_refused(void)
{
	return lane.refused[GY_INITIAL] + lane.refused[GY_UPDATE] + lane.refused[GY_TERMINATION];
}

static void fresh_lane(void)
{
	memset(&lane, 0, sizeof(lane));
	lane.now_ns = 1000 * MS;
}

START_TEST(nine_tenths_of_capacity_are_served_whole)
{
	fresh_lane();
	offer(0.9, 20000 * MS, false);
	ck_assert_uint_eq(all_refused(), 0);
	ck_assert(!lane.pace.overloaded);
}
END_TEST

START_TEST(a_burst_is_served_whole)
{
	fresh_lane();
	offer(0.2, 1000 * MS, false);
	for (unsigned i = 0; i < 2000; i++)
		arrive(GY_INITIAL);
	offer(0.2, 2000 * MS, false);
	ck_assert_uint_eq(all_refused(), 0);
	ck_assert_uint_eq(lane.late, 0);
}
END_TEST

/* So many clients, each asks again as soon as it has its answer. */
START_TEST(a_long_queue_that_does_not_grow_is_served)
{
	unsigned clients = 1500;

	fresh_lane();
	for (unsigned i = 0; i < clients; i++)
		arrive(GY_UPDATE);
	for (unsigned i = 0; i < 1000; i++) {
		unsigned answered = lane.batch;

		play_until(lane.ends_ns, false);
		for (unsigned k = 0; k < answered; k++)
			arrive(k % 2 ? GY_UPDATE : GY_INITIAL);
	}
	ck_assert_uint_eq(all_refused(), 0);
	ck_assert(!lane.pace.overloaded);
}
END_TEST

/* Overload, then nobody for a second, then clients who wait for their answers: they are no
 * overload, and must not become one by what is left of the old. */
START_TEST(after_a_pause_it_is_over)
{
	fresh_lane();
	offer(3, 2000 * MS, false);
	ck_assert(lane.pace.overloaded);
	play_until(lane.now_ns + 1000 * MS, false);
	memset(lane.refused, 0, sizeof(lane.refused));
	for (unsigned i = 0; i < 256; i++)
		arrive(GY_UPDATE);
	for (unsigned i = 0; i < 200; i++) {
		unsigned answered = lane.batch;

		play_until(lane.ends_ns, false);
		for (unsigned k = 0; k < answered; k++)
			arrive(GY_UPDATE);
	}
	ck_assert_uint_eq(all_refused(), 0);
	ck_assert(!lane.pace.overloaded);
}
END_TEST

/* 256 clients, each of whom comes again a millisecond after it was refused: what began as overload
 * must not go on for that alone. */
START_TEST(those_who_come_again_at_once_do_not_keep_it_up)
{
	fresh_lane();
	offer(3, 1000 * MS, false);
	ck_assert(lane.pace.overloaded);
	for (unsigned i = 0; i < 20000; i++) {
		unsigned there = lane.n + (lane.ends_ns != 0 ? lane.batch : 0);

		play_until(lane.now_ns + MS, false);
		for (unsigned k = there; k < 256; k++)
			arrive(GY_UPDATE);
		if (i == 19000)
			memset(lane.refused, 0, sizeof(lane.refused));
	}
	ck_assert(!lane.pace.overloaded);
	ck_assert_uint_eq(all_refused(), 0);
}
END_TEST

/* Too little more than can be served to be seen as growth: by being turned away it is. */
START_TEST(three_percent_too_much)
{
	fresh_lane();
	offer(1.03, 60000 * MS, false);
	lane.longest_ns = 0;
	offer(1.03, 10000 * MS, false);
	ck_assert_int_lt(lane.longest_ns, 300 * MS);
	ck_assert_uint_eq(lane.refused[GY_TERMINATION], 0);
	ck_assert_uint_eq(lane.late, 0);
}
END_TEST

START_TEST(what_a_stall_held_up_is_served)
{
	fresh_lane();
	offer(0.5, 2000 * MS, false);
	offer(0.5, 300 * MS, true); /* the database says nothing */
	offer(0.5, 3000 * MS, false);
	ck_assert_uint_eq(all_refused(), 0);
	ck_assert_uint_eq(lane.late, 0);
	ck_assert(!lane.pace.overloaded);
}
END_TEST

/* Each takes longer than the deadline, for many batches; then as long as ever. */
START_TEST(slow_batches_pass)
{
	fresh_lane();
	for (unsigned i = 0; i < 100; i++) {
		arrive(GY_UPDATE);
		if (lane.ends_ns != 0)
			lane.ends_ns = lane.now_ns + 5000 * MS;
		play_until(lane.now_ns + 6000 * MS, false);
	}
	memset(lane.refused, 0, sizeof(lane.refused));
	for (unsigned i = 0; i < 100; i++) {
		arrive(GY_UPDATE);
		play_until(lane.now_ns + 10 * MS, false);
	}
	ck_assert_uint_eq(all_refused(), 0);
	ck_assert_int_lt(lane.pace.batch_ns, 100 * MS);
}
END_TEST

START_TEST(three_times_capacity_waits_a_few_batches_at_most)
{
	fresh_lane();
	offer(0.5, 1000 * MS, false);
	offer(3, 1000 * MS, false);
	ck_assert(lane.pace.overloaded);
	lane.longest_ns = 0;
	memset(lane.refused, 0, sizeof(lane.refused));
	memset(lane.came, 0, sizeof(lane.came));
	offer(3, 10000 * MS, false);
	/* The rest of the one under way, and its own: of 7 ms each; when a little more are let in,
	 * the rest of a full one, another, and its own: of 12.5 ms. */
	ck_assert_int_lt(lane.longest_ns, 50 * MS);
	ck_assert_uint_eq(lane.late, 0);
	/* A third is served: all that end, hardly a new one. */
	ck_assert_uint_eq(lane.refused[GY_TERMINATION], 0);
	ck_assert_uint_gt(lane.refused[GY_INITIAL] * 100, lane.came[GY_INITIAL] * 98);
	ck_assert_uint_gt(lane.came[GY_UPDATE] - lane.refused[GY_UPDATE] +
				  lane.came[GY_TERMINATION],
			  9 * CAPACITY);
	/* And it ends as soon as less comes. */
	offer(0.9, 2000 * MS, false);
	ck_assert(!lane.pace.overloaded);
	memset(lane.refused, 0, sizeof(lane.refused));
	offer(0.9, 2000 * MS, false);
	ck_assert_uint_eq(all_refused(), 0);
}
END_TEST

START_TEST(a_little_too_much_is_noticed_too)
{
	fresh_lane();
	offer(1.2, 10000 * MS, false);
	lane.longest_ns = 0;
	offer(1.2, 10000 * MS, false);
	ck_assert(lane.pace.overloaded);
	ck_assert_int_lt(lane.longest_ns, 50 * MS);
	ck_assert_uint_eq(lane.refused[GY_TERMINATION], 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("engine-admission");
	TCase *tests = tcase_create("admission");

	printf("# seed %llu\n", (unsigned long long)random_state);
	tcase_add_test(tests, each_type_has_its_share_of_the_queue);
	tcase_add_test(tests, in_overload_the_queue_keeps_batches_full_and_no_more);
	tcase_add_test(tests, in_overload_a_batch_counts_until_it_is_done);
	tcase_add_test(tests, what_would_be_too_late_is_refused_at_once);
	tcase_add_test(tests, a_lane_that_was_too_slow_is_tried_again);
	tcase_add_test(tests, after_a_slow_first_batch_it_serves_at_once);
	tcase_add_test(tests, a_batch_that_takes_longer_than_usual_counts_at_once);
	tcase_add_test(tests, a_lane_that_knows_nothing_of_its_pace_takes_what_comes);
	tcase_add_test(tests, whoever_lets_an_initial_in_lets_an_update_and_a_termination_in);
	tcase_add_test(tests, nine_tenths_of_capacity_are_served_whole);
	tcase_add_test(tests, a_burst_is_served_whole);
	tcase_add_test(tests, a_long_queue_that_does_not_grow_is_served);
	tcase_add_test(tests, after_a_pause_it_is_over);
	tcase_add_test(tests, those_who_come_again_at_once_do_not_keep_it_up);
	tcase_add_test(tests, three_percent_too_much);
	tcase_add_test(tests, what_a_stall_held_up_is_served);
	tcase_add_test(tests, slow_batches_pass);
	tcase_add_test(tests, three_times_capacity_waits_a_few_batches_at_most);
	tcase_add_test(tests, a_little_too_much_is_noticed_too);
	suite_add_tcase(suite, tests);
	return gy_tap_run(suite);
}
