/* The core's tables and look-ups: results, units, catalogue, tariffs, service keys, assertions. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/assert.h"
#include "core/charging/ccr.h"
#include "core/rating/tariff.h"
#include "tests/lib/tap.h"

/* ---- results ---- */

START_TEST(results_are_complete)
{
	for (int rc = 0; rc < GY_RC_COUNT; rc++) {
		const char *name = gy_rc_name((enum gy_rc)rc), *text = gy_rc_text((enum gy_rc)rc);
		uint32_t code = gy_rc_result_code((enum gy_rc)rc);

		ck_assert(name && *name && text && *text);
		ck_assert(code == 0 || (code >= 2001 && code < 6000));
		ck_assert_int_eq(gy_rc_is_protocol_error((enum gy_rc)rc), code / 1000 == 3);
		ck_assert(gy_rc_log_level((enum gy_rc)rc) <= GY_LOG_ERROR);
		if (code != 0)
			ck_assert_int_eq(gy_rc_from_result_code(code), rc);
		for (int other = 0; other < rc; other++) {
			ck_assert_str_ne(name, gy_rc_name((enum gy_rc)other));
			ck_assert(code == 0 || code != gy_rc_result_code((enum gy_rc)other));
		}
	}
}
END_TEST

/* RFC 6733 §7.1 and RFC 8506 §9, written down a second time. */
static const struct {
	enum gy_rc rc;
	uint32_t code;
} codes[] = {
	{ GY_OK, 2001 },
	{ GY_COMMAND_UNSUPPORTED, 3001 },
	{ GY_UNABLE_TO_DELIVER, 3002 },
	{ GY_REALM_NOT_SERVED, 3003 },
	{ GY_TOO_BUSY, 3004 },
	{ GY_LOOP_DETECTED, 3005 },
	{ GY_APPLICATION_UNSUPPORTED, 3007 },
	{ GY_INVALID_HDR_BITS, 3008 },
	{ GY_INVALID_AVP_BITS, 3009 },
	{ GY_END_USER_SERVICE_DENIED, 4010 },
	{ GY_CREDIT_CONTROL_NOT_APPLICABLE, 4011 },
	{ GY_CREDIT_LIMIT_REACHED, 4012 },
	{ GY_AVP_UNSUPPORTED, 5001 },
	{ GY_UNKNOWN_SESSION_ID, 5002 },
	{ GY_AUTHORIZATION_REJECTED, 5003 },
	{ GY_INVALID_AVP_VALUE, 5004 },
	{ GY_MISSING_AVP, 5005 },
	{ GY_CONTRADICTING_AVPS, 5007 },
	{ GY_AVP_NOT_ALLOWED, 5008 },
	{ GY_AVP_OCCURS_TOO_MANY_TIMES, 5009 },
	{ GY_UNSUPPORTED_VERSION, 5011 },
	{ GY_UNABLE_TO_COMPLY, 5012 },
	{ GY_INVALID_AVP_LENGTH, 5014 },
	{ GY_INVALID_MESSAGE_LENGTH, 5015 },
	{ GY_USER_UNKNOWN, 5030 },
	{ GY_RATING_FAILED, 5031 },
};

START_TEST(result_codes)
{
	ck_assert_uint_eq(gy_rc_result_code(codes[_i].rc), codes[_i].code);
}
END_TEST

START_TEST(unknown_result_codes)
{
	ck_assert_int_eq(gy_rc_from_result_code(1), GY_RC_COUNT);
	ck_assert_int_eq(gy_rc_from_result_code(4999), GY_RC_COUNT);
	ck_assert_int_eq(gy_rc_from_result_code(UINT32_MAX), GY_RC_COUNT);
}
END_TEST

/* G-35: a refusal that may pass must never become *the* answer of a request. */
START_TEST(retryable_results)
{
	ck_assert(gy_rc_is_retryable(GY_TOO_BUSY) && gy_rc_is_retryable(GY_UNABLE_TO_COMPLY));
	for (int rc = 0; rc < GY_RC_COUNT; rc++) {
		uint32_t code = gy_rc_result_code((enum gy_rc)rc);

		if (code != 0)
			ck_assert_int_eq(gy_rc_is_retryable((enum gy_rc)rc),
					 code == 3004 || code == 5012);
	}
}
END_TEST

START_TEST(precedence)
{
	/* RFC 6733 §7: protocol errors first, then the form, then the session and the user. */
	ck_assert_int_lt(GY_INVALID_HDR_BITS, GY_MISSING_AVP);
	ck_assert_int_lt(GY_AVP_UNSUPPORTED, GY_USER_UNKNOWN);
	ck_assert_int_lt(GY_USER_UNKNOWN, GY_CREDIT_LIMIT_REACHED);
}
END_TEST

START_TEST(units)
{
	ck_assert_str_eq(gy_unit_name(GY_UNIT_OCTETS), "octets");
	for (int u = 0; u < GY_UNIT_COUNT; u++)
		ck_assert(gy_unit_name((enum gy_unit)u) != NULL);
	ck_assert_str_eq(gy_unit_name((enum gy_unit)99), "unknown");
	ck_assert_str_eq(gy_unit_name((enum gy_unit) - 1), "unknown");
	/* Stored values. */
	ck_assert(GY_UNIT_OCTETS == 1 && GY_UNIT_SECONDS == 2 && GY_UNIT_SERVICE == 3);
}
END_TEST

/* ---- the catalogue ---- */

START_TEST(policy_look_up)
{
	static struct gy_policy policies[300];
	struct gy_catalogue catalogue = { .policies = policies };

	ck_assert(gy_policy_find(&catalogue, 1) == NULL);
	for (unsigned n = 1; n <= 300; n++) {
		policies[n - 1].rating_group = n == 300 ? UINT32_MAX : 3 * n - 3;
		catalogue.n_policies = n;
		if (n % 37 != 0 && n != 300)
			continue;
		for (unsigned i = 0; i < n; i++)
			ck_assert(gy_policy_find(&catalogue, policies[i].rating_group) ==
				  &policies[i]);
		for (uint32_t rg = 0; rg < 1000; rg++)
			if (rg % 3 != 0 || rg > 3 * n)
				ck_assert(gy_policy_find(&catalogue, rg) == NULL);
	}
}
END_TEST

static const struct {
	const char *id;
	const char *suffix; /* NULL: no match */
} contexts[] = {
	{ "32251@3gpp.org", "32251@3gpp.org" },
	{ "8.32251@3gpp.org", "32251@3gpp.org" },
	{ "ext.01.460.8.32251@3gpp.org", "32251@3gpp.org" },
	{ ".32251@3gpp.org", "32251@3gpp.org" },
	{ "32274@3gpp.org", "32274@3gpp.org" },
	{ "832251@3gpp.org", NULL },
	{ "32251@3gpp.org.", NULL },
	{ "2251@3gpp.org", NULL },
	{ "32251@3gpp.com", NULL },
	{ "32260@3gpp.org", NULL },
	{ "", NULL },
	{ ".", NULL },
};

START_TEST(service_contexts)
{
	static const struct gy_service_context known[] = {
		{ .suffix = "32251@3gpp.org", .default_rating_group = 10 },
		{ .suffix = "32274@3gpp.org", .default_rating_group = -1 },
	};
	struct gy_catalogue catalogue = { .n_contexts = 2, .contexts = known };
	struct gy_bytes id = { (const uint8_t *)contexts[_i].id, strlen(contexts[_i].id) };
	const struct gy_service_context *found = gy_context_find(&catalogue, id);

	if (contexts[_i].suffix)
		ck_assert(found && strcmp(found->suffix, contexts[_i].suffix) == 0);
	else
		ck_assert(found == NULL);
	catalogue.n_contexts = 0;
	ck_assert(gy_context_find(&catalogue, id) == NULL);
}
END_TEST

static const struct {
	const char *apn;
	bool allowed;
} apns[] = {
	{ "internet", true },
	{ "INTERNET", true },
	{ "internet.mnc001.mcc460.gprs", true },
	{ "Internet.MNC001.MCC460.GPRS", true },
	{ "ims", true },
	{ "", true }, /* none is told: not refused for it */
	{ "interne", false },
	{ "internet2", false },
	{ "intranet", false },
	{ "internet.example", false },
	{ "mnc001.mcc460.gprs", false },
};

START_TEST(allowed_apns)
{
	static const char *const listed[] = { "internet", "ims" };
	const struct gy_service_context some = { .suffix = "x", .apns = listed, .n_apns = 2 };
	const struct gy_service_context all = { .suffix = "x" };
	struct gy_bytes apn = { (const uint8_t *)apns[_i].apn, strlen(apns[_i].apn) };

	ck_assert_int_eq(gy_context_allows_apn(&some, apn), apns[_i].allowed);
	ck_assert(gy_context_allows_apn(&all, apn));
}
END_TEST

/* ---- tariffs ---- */

#define DAY (INT64_C(86400) * GY_SECOND_US)

static struct gy_specific_rule rules[] = {
	{ .rule_id = 1,
	  .tariff_id = 1,
	  .rating_group = 10,
	  .unit = GY_UNIT_OCTETS,
	  .rate = { 100, 7 },
	  .valid_from_us = INT64_MIN,
	  .valid_until_us = 10 * DAY },
	{ .rule_id = 2,
	  .tariff_id = 1,
	  .rating_group = 10,
	  .unit = GY_UNIT_OCTETS,
	  .rate = { 200, 7 },
	  .valid_from_us = 10 * DAY,
	  .valid_until_us = 20 * DAY },
	{ .rule_id = 3,
	  .tariff_id = 1,
	  .rating_group = 10,
	  .unit = GY_UNIT_SECONDS,
	  .rate = { 5, 60 },
	  .valid_from_us = INT64_MIN,
	  .valid_until_us = INT64_MAX },
	{ .rule_id = 4,
	  .tariff_id = 1,
	  .rating_group = 30,
	  .unit = GY_UNIT_OCTETS,
	  .kind = GY_RULE_FREE,
	  .rate = { 0, 1 },
	  .valid_from_us = INT64_MIN,
	  .valid_until_us = INT64_MAX },
	{ .rule_id = 5,
	  .tariff_id = 2,
	  .rating_group = 10,
	  .unit = GY_UNIT_OCTETS,
	  .rate = { 900, 7 },
	  .valid_from_us = INT64_MIN,
	  .valid_until_us = INT64_MAX },
	{ .rule_id = 6,
	  .tariff_id = 2,
	  .rating_group = UINT32_MAX,
	  .unit = GY_UNIT_SERVICE,
	  .rate = { 1, 1 },
	  .valid_from_us = INT64_MIN,
	  .valid_until_us = INT64_MAX },
};

static const struct {
	int32_t tariff;
	uint32_t rating_group;
	enum gy_unit unit;
	gy_time_us now;
	int64_t rule; /* 0: none */
} resolved[] = {
	{ 1, 10, GY_UNIT_OCTETS, 0, 1 },
	{ 1, 10, GY_UNIT_OCTETS, 10 * DAY - 1, 1 },
	{ 1, 10, GY_UNIT_OCTETS, 10 * DAY, 2 }, /* [from, until) */
	{ 1, 10, GY_UNIT_OCTETS, 20 * DAY - 1, 2 },
	{ 1, 10, GY_UNIT_OCTETS, 20 * DAY, 0 },
	{ 1, 10, GY_UNIT_NONE, 0, 1 },
	{ 1, 10, GY_UNIT_NONE, 20 * DAY, 3 }, /* the first unit that has a rule then */
	{ 1, 10, GY_UNIT_SECONDS, 20 * DAY, 3 },
	{ 1, 10, GY_UNIT_SERVICE, 0, 0 },
	{ 1, 10, GY_UNIT_MONEY, 0, 0 },
	{ 1, 30, GY_UNIT_NONE, 0, 4 },
	{ 1, 11, GY_UNIT_NONE, 0, 0 },
	{ 1, UINT32_MAX, GY_UNIT_NONE, 0, 0 },
	{ 2, 10, GY_UNIT_NONE, 0, 5 }, /* another specific code's rule never matches */
	{ 2, 30, GY_UNIT_NONE, 0, 0 },
	{ 2, UINT32_MAX, GY_UNIT_SERVICE, INT64_MAX - 1, 6 },
	{ 3, 10, GY_UNIT_NONE, 0, 0 },
	{ 0, 10, GY_UNIT_NONE, 0, 0 },
	{ -1, 10, GY_UNIT_NONE, 0, 0 },
};

#define RULES (sizeof(rules) / sizeof(rules[0]))

/* The rules in a random order, sorted by the core's own comparison. */
START_TEST(tariffs)
{
	struct gy_specific_rule sorted[RULES];
	struct gy_catalogue catalogue = { .n_rules = RULES, .rules = sorted };
	struct gy_tariff_result result = { 0 };

	for (unsigned shuffle = 0; shuffle < 50; shuffle++) {
		enum gy_rc rc;

		memcpy(sorted, rules, sizeof(rules));
		srand(shuffle);
		for (size_t i = RULES - 1; i > 0; i--) {
			size_t k = (size_t)rand() % (i + 1);
			struct gy_specific_rule swap = sorted[i];

			sorted[i] = sorted[k];
			sorted[k] = swap;
		}
		qsort(sorted, RULES, sizeof(sorted[0]), gy_specific_rule_compare);
		rc = gy_tariff_resolve(&catalogue, resolved[_i].tariff, resolved[_i].rating_group,
				       resolved[_i].unit, resolved[_i].now, &result);
		if (resolved[_i].rule == 0) {
			ck_assert_int_eq(rc, GY_RATING_FAILED);
			continue;
		}
		ck_assert_int_eq(rc, GY_OK);
		ck_assert_int_eq(result.rule_id, resolved[_i].rule);
		ck_assert_int_eq(result.rate.price_micros,
				 rules[result.rule_id - 1].rate.price_micros);
		ck_assert_int_eq(result.rate.block, rules[result.rule_id - 1].rate.block);
		ck_assert_int_eq(result.kind, rules[result.rule_id - 1].kind);
		ck_assert_int_eq(result.unit, rules[result.rule_id - 1].unit);
		ck_assert_int_eq(result.valid_until_us, rules[result.rule_id - 1].valid_until_us);
	}
}
END_TEST

START_TEST(no_tariffs_at_all)
{
	struct gy_catalogue catalogue = { 0 };
	struct gy_tariff_result result;

	ck_assert_int_eq(gy_tariff_resolve(&catalogue, 1, 10, GY_UNIT_NONE, 0, &result),
			 GY_RATING_FAILED);
}
END_TEST

/* ---- service keys ---- */

START_TEST(service_keys)
{
	const uint32_t abc[] = { 1001, 1002, 7 }, cab[] = { 7, 1001, 1002 };
	const uint32_t zero[] = { 0 }, last[] = { UINT32_MAX };

	ck_assert_int_eq(gy_service_key(NULL, 0), 0);
	ck_assert_int_eq(gy_service_key(zero, 1), 1);
	ck_assert_int_eq(gy_service_key(last, 1), INT64_C(4294967296));
	ck_assert_int_eq(gy_service_key(abc, 3), gy_service_key(cab, 3));
	ck_assert_int_lt(gy_service_key(abc, 3), 0);
	ck_assert(gy_service_key(abc, 2) != gy_service_key(abc, 3));
}
END_TEST

static int by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* All pairs and triples of 64 neighbours: identifiers in use are small and close together. */
START_TEST(service_keys_of_different_sets_differ)
{
	static int64_t keys[64 * 63 / 2 + 64 * 63 * 62 / 6];
	size_t n = 0;

	for (uint32_t a = 0; a < 64; a++)
		for (uint32_t b = a + 1; b < 64; b++) {
			uint32_t ids[3] = { a, b, 0 };

			keys[n++] = gy_service_key(ids, 2);
			for (ids[2] = b + 1; ids[2] < 64; ids[2]++)
				keys[n++] = gy_service_key(ids, 3);
		}
	ck_assert_uint_eq(n, sizeof(keys) / sizeof(keys[0]));
	qsort(keys, n, sizeof(keys[0]), by_value);
	for (size_t i = 1; i < n; i++)
		ck_assert(keys[i] != keys[i - 1]);
	ck_assert_int_lt(keys[n - 1], 0); /* never the key of none or of one */
}
END_TEST

/* ---- assertions ---- */

static void quiet(const char *expression, const char *file, int line)
{
	(void)expression;
	(void)file;
	(void)line;
}

START_TEST(a_failed_assertion_aborts)
{
	gy_assert_report = quiet;
	gy_assert(_i == 0 && 1 + 1 == 3);
}
END_TEST

START_TEST(a_true_assertion_does_nothing)
{
	gy_assert_report = quiet;
	gy_assert(1 + 1 == 2);
}
END_TEST

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

int main(void)
{
	Suite *suite = suite_create("core-lookups");
	TCase *tests = tcase_create("lookups");

	tcase_add_test(tests, results_are_complete);
	tcase_add_loop_test(tests, result_codes, 0, COUNT(codes));
	tcase_add_test(tests, unknown_result_codes);
	tcase_add_test(tests, retryable_results);
	tcase_add_test(tests, precedence);
	tcase_add_test(tests, units);
	tcase_add_test(tests, policy_look_up);
	tcase_add_loop_test(tests, service_contexts, 0, COUNT(contexts));
	tcase_add_loop_test(tests, allowed_apns, 0, COUNT(apns));
	tcase_add_loop_test(tests, tariffs, 0, COUNT(resolved));
	tcase_add_test(tests, no_tariffs_at_all);
	tcase_add_test(tests, service_keys);
	tcase_add_test(tests, service_keys_of_different_sets_differ);
	tcase_add_test_raise_signal(tests, a_failed_assertion_aborts, SIGABRT);
	tcase_add_test(tests, a_true_assertion_does_nothing);
	suite_add_tcase(suite, tests);
	return gy_tap_run(suite);
}
