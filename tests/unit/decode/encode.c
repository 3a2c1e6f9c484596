/* The encoder against spec/gy.md item 1, G-07, G-13, G-32, G-42, G-46, G-50, G-60…G-62, G-78, G-90.
 */
#include <stdlib.h>
#include <string.h>

#include "core/charging/card_order.h"
#include "dict/gy_avp_table.h"
#include "extensions/app_gyro/encode.h"
#include "extensions/app_gyro/wire.h"
#include "tests/unit/decode/notation.h"
#include "tests/unit/decode/tap.h"

#define TEXT(text)                                        \
	{                                                 \
		(const uint8_t *)(text), sizeof(text) - 1 \
	}

static struct gy_node node = {
	.identity = { TEXT("ocs1.spec.test"), TEXT("spec.test") },
	.origin_state_id = 1,
};

static struct gy_envelope envelope;
static struct gy_answer answer;
static uint8_t *bytes;
static size_t size;

static void reset(uint32_t type, enum gy_rc rc)
{
	envelope = (struct gy_envelope){
		.flags = 0xc0,
		.command = 272,
		.application = 4,
		.hop_by_hop = 5,
		.end_to_end = 6,
		.session_id = TEXT("s;1"),
		.has_type = true,
		.type = type,
		.has_number = true,
		.number = 3,
	};
	answer = (struct gy_answer){ .rc = rc };
	node.alternate_node = false;
}

static void encode(void)
{
	free(bytes);
	bytes = gy_answer_encode(&node, &envelope, &answer, &size);
}

/* The whole body equals what the text says, byte for byte. */
static bool body_is(const char *text)
{
	static uint8_t expected[MESSAGE_MAX];
	size_t n = notation_write(text, expected, sizeof(expected));

	encode();
	if (size == n + 20 && memcmp(bytes + 20, expected, n) == 0)
		return true;
	printf("# size %zu, expected %zu\n# got", size, n + 20);
	for (size_t i = 20; i < size; i++)
		printf("%s%02x", i % 4 ? "" : " ", bytes[i]);
	printf("\n");
	return false;
}

#define HEAD(rc, type)                                                                         \
	"263=\"s;1\" 268=u" #rc " 264=\"ocs1.spec.test\" 296=\"spec.test\" 258=u4 416=u" #type \
	" 415=u3 "

static void test_header(void)
{
	reset(GY_TERMINATION, GY_OK);
	encode();
	ok(bytes[0] == 1 && gy_get24(bytes + 1) == size && bytes[4] == 0x40 &&
		   gy_get24(bytes + 5) == 272 && gy_get32(bytes + 8) == 4 &&
		   gy_get32(bytes + 12) == 5 && gy_get32(bytes + 16) == 6,
	   "G-07 header of a success");
	envelope.flags = 0x90;
	encode();
	ok(bytes[4] == 0, "G-06 P as in the request, T never");
	answer.rc = GY_TOO_BUSY;
	encode();
	ok(bytes[4] == 0x20, "G-13 E with a 3xxx");
	answer.rc = GY_MISSING_AVP;
	envelope.flags = 0xc0;
	encode();
	ok(bytes[4] == 0x40, "G-13 no E with a 5xxx");
	envelope.command = 999;
	envelope.application = 99;
	answer.rc = GY_APPLICATION_UNSUPPORTED;
	encode();
	ok(bytes[4] == 0x60 && gy_get24(bytes + 5) == 999 && gy_get32(bytes + 8) == 99,
	   "another command and application are answered as such");
}

static void test_errors(void)
{
	uint8_t failed[64];
	size_t n = notation_write("3999=x61626364", failed, sizeof(failed));

	reset(GY_INITIAL, GY_AVP_UNSUPPORTED);
	answer.message = "why";
	answer.n_failed = 1;
	answer.failed[0] = (struct gy_failed_avp){ 3999, 0, { failed, n } };
	ok(body_is(HEAD(5001, 1) "278=u1 281~=\"why\" 279={3999=x61626364}"),
	   "TC-13 Failed-AVP with the real bytes");
	answer.rc = GY_MISSING_AVP;
	answer.failed[0] = (struct gy_failed_avp){ .code = 461 };
	ok(body_is(HEAD(5005, 1) "278=u1 281~=\"why\" 279={461=\"\"}"), "TC-11 a missing text");
	answer.failed[0] = (struct gy_failed_avp){ .code = 436 };
	ok(body_is(HEAD(5005, 1) "278=u1 281~=\"why\" 279={436=u0}"), "TC-23 a missing number");
	answer.rc = GY_CONTRADICTING_AVPS;
	answer.n_failed = 2;
	answer.failed[0].avp = (struct gy_bytes){ failed, n };
	answer.failed[1].avp = (struct gy_bytes){ failed, n };
	ok(body_is(HEAD(5007, 1) "278=u1 281~=\"why\" 279={3999=x61626364 3999=x61626364}"),
	   "TC-27 two AVPs in one Failed-AVP");
	reset(GY_INITIAL, GY_MISSING_AVP);
	envelope.session_id = (struct gy_bytes){ NULL, 0 };
	envelope.has_type = envelope.has_number = false;
	answer.message = "why";
	ok(body_is("268=u5005 264=\"ocs1.spec.test\" 296=\"spec.test\" 258=u4 278=u1 281~=\"why\""),
	   "nothing to echo");
	reset(GY_INITIAL, GY_INVALID_AVP_VALUE);
	envelope.type = 9;
	ok(body_is(HEAD(5004, 9) "278=u1 281~=\"INVALID_AVP_VALUE: AVP value not valid\""),
	   "G-13 CC-Request-Type as it came");
}

static void test_echo(void)
{
	uint8_t proxy[2][64], multi[32];
	struct gy_bytes proxies[2];

	reset(GY_TERMINATION, GY_OK);
	for (unsigned i = 0; i < 2; i++)
		proxies[i] =
			(struct gy_bytes){ proxy[i], notation_write(i ? "284={280=\"b.c\" 33=x0203}"
								      : "284={280=\"a\" 33=x01}",
								    proxy[i], sizeof(proxy[i])) };
	envelope.proxies = proxies;
	envelope.n_proxies = 2;
	envelope.has_sub_session = true;
	envelope.sub_session = 8;
	envelope.acct_multi_session_id =
		(struct gy_bytes){ multi, notation_write("50=\"multi678\"", multi, sizeof(multi)) };
	ok(body_is(HEAD(2001, 3) "419=U8 50=\"multi678\" 278=u1 284={280=\"a\" 33=x01} "
				 "284={280=\"b.c\" 33=x0203}"),
	   "TC-09, G-31 Proxy-Info, sub-session, multi-session");
	answer.rc = GY_USER_UNKNOWN;
	answer.message = "why";
	ok(body_is(HEAD(5030,
			3) "419=U8 50=\"multi678\" 278=u1 281~=\"why\" 284={280=\"a\" 33=x01} "
			   "284={280=\"b.c\" 33=x0203}"),
	   "TC-09 in an error answer too");
}

static void test_services(void)
{
	static const uint32_t ids[] = { 7, 3 };
	struct gy_service_answer services[3] = {
		{ .rc = GY_OK,
		  .has_rating_group = true,
		  .rating_group = 10,
		  .n_service_ids = 2,
		  .service_ids = ids,
		  .unit = GY_UNIT_OCTETS,
		  .granted = 10485760,
		  .validity_s = 3600,
		  .threshold = 2097152,
		  .quota_holding_s = 600,
		  .final_unit = GY_FINAL_NONE },
		{ .rc = GY_CREDIT_LIMIT_REACHED,
		  .has_rating_group = true,
		  .rating_group = 20,
		  .final_unit = GY_FINAL_NONE },
		{ .rc = GY_OK,
		  .unit = GY_UNIT_SECONDS,
		  .granted = INT64_C(1) << 40,
		  .threshold = 5,
		  .final_unit = GY_FINAL_NONE },
	};

	reset(GY_UPDATE, GY_OK);
	answer.services = services;
	answer.n_services = 3;
	ok(body_is(HEAD(2001,
			2) "278=u1 418=u0 427=u0 "
			   "456={431={421=U10485760} 439=u7 439=u3 432=u10 448=u3600 268=u2001 "
			   "869@10415=u2097152 871@10415=u600} 456={432=u20 268=u4012} "
			   "456={431={420=u4294967295} 268=u2001 868@10415=u5}"),
	   "G-42 MSCCs in order, each with a Result-Code");
	answer.rc = GY_UNABLE_TO_COMPLY;
	answer.message = "why";
	ok(body_is(HEAD(5012, 2) "278=u1 281~=\"why\""), "G-32 no MSCC beside a failure");
	reset(GY_INITIAL, GY_OK);
	node.alternate_node = true;
	ok(body_is(HEAD(2001, 1) "278=u1 418=u1 427=u2"), "G-90 failover if another node can");
	reset(GY_EVENT, GY_OK);
	ok(body_is(HEAD(2001, 4) "278=u1"), "G-79 nothing of it in an event's answer");
}

static bool unit_is(enum gy_unit unit, int64_t granted, const char *gsu)
{
	struct gy_service_answer service = { .rc = GY_OK,
					     .unit = unit,
					     .granted = granted,
					     .threshold = 9,
					     .final_unit = GY_FINAL_NONE };
	char text[512];

	reset(GY_EVENT, GY_OK);
	answer.services = &service;
	answer.n_services = 1;
	snprintf(text, sizeof(text), HEAD(2001, 4) "278=u1 456={%s", gsu);
	return body_is(text);
}

static void test_units(void)
{
	ok(unit_is(GY_UNIT_SERVICE, 3, "431={417=U3} 268=u2001 1226@10415=u9}"),
	   "service units and their threshold");
	ok(unit_is(GY_UNIT_MONEY, 2500000, "431={413={445={447=I25 429=i-1}}} 268=u2001}"),
	   "money has no threshold");
	ok(unit_is(GY_UNIT_MONEY, 1, "431={413={445={447=I1 429=i-6}}} 268=u2001}"),
	   "one micro-unit");
	ok(unit_is(GY_UNIT_MONEY, 0, "431={413={445={447=I0 429=i0}}} 268=u2001}"), "no money");
	ok(unit_is(GY_UNIT_MONEY, 7000000000, "431={413={445={447=I7000 429=i0}}} 268=u2001}"),
	   "whole money keeps its exponent 0");
	ok(unit_is(GY_UNIT_OCTETS, 0, "431={421=U0} 268=u2001 869@10415=u9}"), "zero octets");
}

static void test_refund_information(void)
{
	struct gy_service_answer services[3] = {
		{ .rc = GY_CREDIT_LIMIT_REACHED, .final_unit = GY_FINAL_NONE },
		{ .rc = GY_OK, .unit = GY_UNIT_SERVICE, .granted = 1, .final_unit = GY_FINAL_NONE },
		{ .rc = GY_OK, .unit = GY_UNIT_NONE, .final_unit = GY_FINAL_NONE },
	};

	reset(GY_EVENT, GY_OK);
	answer.services = services;
	answer.n_services = 3;
	answer.refundable = true;
	answer.session = (struct gy_session_key){ UINT64_C(0x0102030405060708), 9 };
	answer.number = 0x7fffff;
	ok(body_is(HEAD(2001, 4) "278=u1 456={268=u4012} 456={431={417=U1} 268=u2001 "
				 "2022@10415=x01010000007fffff01020304050607080000000000000009} "
				 "456={268=u2001}"),
	   "G-75 what was paid can be named by a refund");
	answer.number++;
	ok(body_is(HEAD(2001, 4) "278=u1 456={268=u4012} 456={431={417=U1} 268=u2001} "
				 "456={268=u2001}"),
	   "G-75 but for numbers beyond all counting");
}

static bool final_is(enum gy_final_unit_action action, const struct gy_policy *policy,
		     const char *fui)
{
	struct gy_service_answer service = {
		.rc = GY_OK, .final_unit = action, .policy = policy, .validity_s = 60
	};
	char text[512];

	reset(GY_EVENT, GY_OK);
	answer.services = &service;
	answer.n_services = 1;
	snprintf(text, sizeof(text), HEAD(2001, 4) "278=u1 456={448=u60 268=u2001 %s}", fui);
	return body_is(text);
}

static void test_final_units(void)
{
	static const char *const filters[] = { "topup-only" };
	static const struct gy_policy policy = {
		.redirect_type = GY_REDIRECT_URL,
		.redirect_address = "http://topup.spec.test/",
		.filter_ids = filters,
		.n_filter_ids = 1,
	};

	ok(final_is(GY_FINAL_TERMINATE, &policy, "430={449=u0}"),
	   "TC-65 TERMINATE and nothing else");
	ok(final_is(GY_FINAL_REDIRECT, &policy,
		    "430={449=u1 11=\"topup-only\" "
		    "434={433=u2 435=\"http://topup.spec.test/\"}}"),
	   "TC-66 REDIRECT with its server");
	ok(final_is(GY_FINAL_RESTRICT_ACCESS, &policy, "430={449=u2 11=\"topup-only\"}"),
	   "RESTRICT_ACCESS with its filter");
	ok(final_is(GY_FINAL_REDIRECT, NULL, "430={449=u1}"), "REDIRECT of an unknown policy");
}

static void test_filter_rules(void)
{
	static const char *const filters[] = { "topup-only" };
	static const char *const rules[] = { "permit out ip from 192.0.2.1 to any",
					     "deny in ip from any to any" };
	static const struct gy_policy policy = {
		.redirect_type = GY_REDIRECT_URL,
		.redirect_address = "http://topup.spec.test/",
		.filter_ids = filters,
		.n_filter_ids = 1,
		.filter_rules = rules,
		.n_filter_rules = 2,
	};

#define RULES                                                                             \
	"11=\"topup-only\" 438=\"permit out ip from 192.0.2.1 to any\" 438=\"deny in ip " \
	"from any to any\""
	ok(final_is(GY_FINAL_RESTRICT_ACCESS, &policy, "430={449=u2 " RULES "}"),
	   "G-61 RESTRICT_ACCESS with rules beside its filter");
	ok(final_is(GY_FINAL_REDIRECT, &policy,
		    "430={449=u1 " RULES " 434={433=u2 435=\"http://topup.spec.test/\"}}"),
	   "G-61 REDIRECT with rules");
	ok(final_is(GY_FINAL_TERMINATE, &policy, "430={449=u0}"), "G-60 TERMINATE with none");
}

static bool policy_is(const struct gy_policy *policy, enum gy_unit unit, uint32_t validity_s,
		      const char *rest)
{
	struct gy_service_answer service = { .rc = GY_OK,
					     .unit = unit,
					     .granted = 5,
					     .validity_s = validity_s,
					     .quota_holding_s = 600,
					     .final_unit = GY_FINAL_NONE,
					     .policy = policy };
	const char *gsu = unit == GY_UNIT_OCTETS    ? "431={421=U5} "
			  : unit == GY_UNIT_SECONDS ? "431={420=u5} "
						    : "";
	char text[512];

	reset(GY_TERMINATION, GY_OK); /* says nothing about failover: short */
	answer.services = &service;
	answer.n_services = 1;
	snprintf(text, sizeof(text), HEAD(2001, 3) "278=u1 456={%s%s 268=u2001 871@10415=u600 %s}",
		 gsu, validity_s ? "448=u60" : "", rest);
	return body_is(text);
}

static void test_policy(void)
{
	static const uint32_t types[] = { 4, 30 };
	static const struct gy_policy none = { 0 };
	static const struct gy_policy all = {
		.quota_consumption_s = 30, .has_triggers = true, .triggers = types, .n_triggers = 2
	};
	static const struct gy_policy off = { .has_triggers = true };

#define TRIGGER "1264@10415={870@10415=u4 870@10415=u30}"
	ok(policy_is(&all, GY_UNIT_SECONDS, 60, "881@10415=u30 " TRIGGER),
	   "G-51, G-52 Quota-Consumption-Time and Trigger with a grant of time");
	ok(policy_is(&all, GY_UNIT_OCTETS, 60, TRIGGER),
	   "G-51 no Quota-Consumption-Time with a grant of octets");
	ok(policy_is(&all, GY_UNIT_NONE, 60, ""), "G-52 no Trigger without a grant");
	ok(policy_is(&all, GY_UNIT_SECONDS, 0, ""), "G-52 nor with what an event has paid");
	ok(policy_is(&off, GY_UNIT_OCTETS, 60, "1264@10415={}"),
	   "G-52 an empty Trigger switches all off");
	ok(policy_is(&none, GY_UNIT_SECONDS, 60, ""), "G-52 the gateway decides: no Trigger");
	ok(policy_is(NULL, GY_UNIT_SECONDS, 60, ""), "G-52 an unknown policy: no Trigger");
}

static void test_command_level(void)
{
	struct gy_service_answer service = { .rc = GY_OK,
					     .unit = GY_UNIT_SERVICE,
					     .granted = 1,
					     .validity_s = 60,
					     .threshold = 9,
					     .quota_holding_s = 7,
					     .final_unit = GY_FINAL_TERMINATE };

	reset(GY_EVENT, GY_OK);
	answer.at_command_level = true;
	answer.services = &service;
	answer.n_services = 1;
	ok(body_is(HEAD(2001, 4) "278=u1 431={417=U1} 430={449=u0} 448=u60"),
	   "G-78 the answer has its units where the request had them");
	answer.rc = GY_CREDIT_LIMIT_REACHED;
	answer.message = "why";
	ok(body_is(HEAD(4012, 4) "278=u1 281~=\"why\""), "TC-77 and none in a refusal");
	reset(GY_INITIAL, GY_OK);
	answer.at_command_level = true;
	ok(body_is(HEAD(2001, 1) "278=u1 418=u0 427=u0"), "no units asked, none given");
}

static void test_growth(void)
{
	static struct gy_service_answer services[GY_SERVICES_MAX];
	static uint32_t ids[GY_SERVICE_IDS_MAX];
	struct gy_avp_cursor cursor;
	struct gy_avp avp;
	unsigned n = 0;

	for (unsigned i = 0; i < GY_SERVICES_MAX; i++)
		services[i] = (struct gy_service_answer){ .rc = GY_OK,
							  .service_ids = ids,
							  .n_service_ids = GY_SERVICE_IDS_MAX,
							  .final_unit = GY_FINAL_NONE };
	reset(GY_UPDATE, GY_OK);
	answer.services = services;
	answer.n_services = GY_SERVICES_MAX;
	encode();
	cursor = gy_avp_cursor((struct gy_bytes){ bytes + 20, size - 20 });
	while (gy_avp_step(&cursor, &avp) == GY_AVP_STEP_OK)
		n += avp.code == 456 && avp.whole.len == 8 + 12 * (GY_SERVICE_IDS_MAX + 1);
	ok(n == GY_SERVICES_MAX, "256 MSCCs of 64 Service-Identifiers");
}

static bool answer_has(uint32_t code)
{
	struct gy_avp_cursor cursor = gy_avp_cursor((struct gy_bytes){ bytes + 20, size - 20 });
	struct gy_avp avp;

	while (gy_avp_step(&cursor, &avp) == GY_AVP_STEP_OK)
		if (avp.code == code)
			return true;
	return false;
}

static void test_card(void)
{
	static const uint32_t targets[] = { 20, 4294967295 };
	static const struct gy_card_usage usage[] = {
		{ TEXT("c1"), 10, GY_UNIT_OCTETS, 7, 1000000, 2999999, 1500000, 5 },
		{ TEXT("c2"), 80, GY_UNIT_SECONDS, 60, 0, 0, 0, 6 },
		{ TEXT("c2"), 90, GY_UNIT_SERVICE, 3, 0, 0, 0, 6 },
	};
	struct gy_card_reply reply = { .user_class = -1, .priority = -1 };
	struct gy_service_answer money = { .unit = GY_UNIT_MONEY,
					   .granted = 30000000,
					   .validity_s = 300,
					   .final_unit = GY_FINAL_NONE };

	reset(GY_EVENT, GY_OK);
	answer.card = &reply;
	answer.at_command_level = true;
	ok(body_is(HEAD(2001, 4) "278=u1"), "a card operation that says nothing more");
	answer.currency = 156;
	answer.services = &money;
	answer.n_services = 1;
	reply.purchase = (struct gy_bytes)TEXT("p");
	ok(body_is(HEAD(
		   2001,
		   4) "278=u1 431={413={445={447=I30 429=i0} 425=u156}} 448=u300 3@32473~=\"p\""),
	   "Z-4 a price that is held");
	answer.n_services = 0;
	reply = (struct gy_card_reply){ .card = TEXT("c1"),
					.binding_id = 7,
					.user_class = 1,
					.priority = 0,
					.n_targets = 2,
					.targets = targets };
	ok(body_is(HEAD(2001,
			4) "278=u1 4@32473~=\"c1\" 10@32473~=U7 5@32473~=u1 11@32473~=u0 432=u20 "
			   "432=u4294967295"),
	   "Z-9 a binding");
	reply = (struct gy_card_reply){
		.user_class = -1, .priority = -1, .n_usage = 3, .usage = usage
	};
	ok(body_is(HEAD(
		   2001,
		   4) "278=u1 12@32473~={4@32473~=\"c1\" 432=u10 421=U7 2041@10415=u2208988801 "
		      "2042@10415=u2208988802 413={445={447=I15 429=i-1} 425=u156} 16@32473~=U5} "
		      "12@32473~={4@32473~=\"c2\" 432=u80 420=u60 2041@10415=u2208988800 "
		      "2042@10415=u2208988800 413={445={447=I0 429=i0} 425=u156} 16@32473~=U6} "
		      "12@32473~={4@32473~=\"c2\" 432=u90 417=U3 2041@10415=u2208988800 "
		      "2042@10415=u2208988800 413={445={447=I0 429=i0} 425=u156} 16@32473~=U6}"),
	   "Z-11 statistics in octets, seconds and service-specific units");
	reset(GY_EVENT, GY_MISSING_AVP);
	answer.card = &reply;
	answer.message = "why";
	answer.n_failed = 1;
	answer.failed[0] = (struct gy_failed_avp){ .code = 11, .vendor = GY_VENDOR_OWN };
	ok(body_is(HEAD(5005, 4) "278=u1 281~=\"why\" 279={11@32473~=u0}"),
	   "a missing own AVP; a refusal says nothing of cards");
}

/* G-95: who announces DOIC gets the algorithm, and a report while there is one; nobody else. */
static void test_overload(void)
{
	reset(GY_TERMINATION, GY_OK);
	node.overload = (struct gy_overload_report){ 1800000000123, 67, 30 };
	ok(body_is(HEAD(2001, 3) "278=u1"), "G-95 nothing for who did not ask");
	envelope.overload_reports = true;
	ok(body_is(HEAD(2001, 3) "278=u1 621~={622~=U1} "
				 "623~={624~=U1800000000123 626~=u0 627~=u67 625~=u30}"),
	   "G-95 algorithm and report");
	answer.rc = GY_UNABLE_TO_COMPLY;
	answer.message = "why";
	ok(body_is(HEAD(5012, 3) "278=u1 281~=\"why\" 621~={622~=U1} "
				 "623~={624~=U1800000000123 626~=u0 627~=u67 625~=u30}"),
	   "G-95 in a refusal, too");
	node.overload = (struct gy_overload_report){ .sequence = 0 };
	reset(GY_TERMINATION, GY_OK);
	envelope.overload_reports = true;
	ok(body_is(HEAD(2001, 3) "278=u1 621~={622~=U1}"), "G-95 without overload no report");
	envelope.command = 999;
	answer.rc = GY_COMMAND_UNSUPPORTED;
	encode();
	ok(!answer_has(GY_AVP_OC_SUPPORTED_FEATURES), "G-95 not for other commands");
}

int main(void)
{
	test_header();
	test_errors();
	test_echo();
	test_services();
	test_units();
	test_refund_information();
	test_final_units();
	test_filter_rules();
	test_policy();
	test_command_level();
	test_card();
	test_growth();
	test_overload();
	free(bytes);
	return tap_end();
}
