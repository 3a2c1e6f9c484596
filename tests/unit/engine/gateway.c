/* Gateways as lanes know them: one name however it is written, and how much news a peer may tell.
 */
#include <stdio.h>
#include <string.h>

#include "core/engine/internal.h"
#include "tests/lib/tap.h"

#define MS       INT64_C(1000000)
#define BEGIN_NS (1000 * 1000 * MS)

static struct gy_gateways gateways;

static struct gy_bytes bytes(const char *text)
{
	return (struct gy_bytes){ (const uint8_t *)text, strlen(text) };
}

static void begin(void)
{
	gateways = (struct gy_gateways){ .n = 0 };
	pthread_mutex_init(&gateways.lock, NULL);
}

static void end(void)
{
	gy_gateways_free(&gateways);
}

static struct gy_gateway *add(const char *host)
{
	static int64_t number;
	const struct gy_gateway_state state = { .gateway_id = ++number, .origin_state = 5 };

	return gy_gateway_add(&gateways, bytes(host), &state);
}

START_TEST(a_host_is_the_same_in_capitals)
{
	struct gy_gateway *one = add("Pgw1.Spec.TEST"), *two = add("pgw2.spec.test");
	struct gy_restart restart = { .at_us = 1 };

	ck_assert_ptr_nonnull(one);
	ck_assert_ptr_ne(one, two);
	ck_assert_ptr_eq(add("PGW1.spec.test"), one);
	ck_assert_ptr_eq(gy_gateway_find(&gateways, bytes("pgw1.spec.test"), &restart), one);
	ck_assert_int_eq(restart.at_us, 0);
	ck_assert_ptr_eq(gy_gateway_find(&gateways, bytes("PGW2.SPEC.TEST"), NULL), two);
	ck_assert_ptr_null(gy_gateway_find(&gateways, bytes("pgw1.spec.tes"), NULL));
	/* Letters alone are: '@' and '`' differ by the same bit. */
	add("a@b");
	ck_assert_ptr_null(gy_gateway_find(&gateways, bytes("a`b"), NULL));
	ck_assert_uint_eq(gateways.n, 3);
}
END_TEST

static unsigned asks(const char *peer, unsigned times, int64_t now_ns)
{
	unsigned n = 0;

	for (unsigned i = 0; i < times; i++)
		n += gy_gateway_may_ask(&gateways,
					peer != NULL ? bytes(peer) : (struct gy_bytes){ NULL, 0 },
					now_ns);
	return n;
}

START_TEST(a_peer_brings_so_many_new_gateways)
{
	ck_assert_uint_eq(asks("dra1", 5000, BEGIN_NS), GY_NEWS_MAX);
	ck_assert_uint_eq(asks("dra1", 5000, BEGIN_NS + 9 * MS), 0);
	ck_assert_uint_eq(asks("dra1", 5000, BEGIN_NS + 10 * MS), 1);
	ck_assert_uint_eq(asks("dra1", 5000, BEGIN_NS + 1010 * MS), GY_NEWS_PER_S);
	/* Nobody pays for it. */
	ck_assert_uint_eq(asks("dra2", 5000, BEGIN_NS + 1010 * MS), GY_NEWS_MAX);
	ck_assert_uint_eq(asks(NULL, 5000, BEGIN_NS + 1010 * MS), GY_NEWS_MAX);
	/* What was saved up is not more than at first. */
	ck_assert_uint_eq(asks("dra1", 5000, BEGIN_NS + 1000 * 1000 * MS), GY_NEWS_MAX);
}
END_TEST

static unsigned restarts(struct gy_gateway *g, const char *peer, unsigned times, int64_t now_ns)
{
	unsigned n = 0;

	for (unsigned i = 0; i < times; i++)
		n += gy_gateway_may_restart(&gateways, g, bytes(peer), now_ns);
	return n;
}

START_TEST(a_gateway_restarts_now_and_then)
{
	struct gy_gateway *one = add("pgw1"), *two = add("pgw2");

	ck_assert_uint_eq(restarts(one, "pgw1", 5000, BEGIN_NS), GY_RESTARTS_MAX);
	ck_assert_uint_eq(restarts(one, "pgw1", 5000, BEGIN_NS + 999 * MS), 0);
	ck_assert_uint_eq(restarts(one, "pgw1", 5000, BEGIN_NS + 1000 * MS), GY_RESTARTS_PER_S);
	ck_assert_uint_eq(restarts(two, "pgw2", 1, BEGIN_NS), 1);
	/* What is refused to one costs the others behind the same agent nothing. */
	ck_assert_uint_eq(restarts(one, "dra1", 5000, BEGIN_NS + 1000 * MS), 0);
	ck_assert_uint_eq(asks("dra1", 5000, BEGIN_NS + 1000 * MS), GY_NEWS_MAX);
	/* An agent's are news like others. */
	ck_assert_uint_eq(restarts(two, "dra1", 1, BEGIN_NS + 1000 * MS), 0);
	ck_assert_uint_eq(restarts(two, "dra1", 1, BEGIN_NS + 1010 * MS), 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("engine-gateway");
	TCase *tests = tcase_create("gateway");

	tcase_add_checked_fixture(tests, begin, end);
	tcase_add_test(tests, a_host_is_the_same_in_capitals);
	tcase_add_test(tests, a_peer_brings_so_many_new_gateways);
	tcase_add_test(tests, a_gateway_restarts_now_and_then);
	suite_add_tcase(suite, tests);
	return gy_tap_run(suite);
}
