/* Answers, written by the node's own encoder, as gyro-sim reads and judges them; each rule of form
 * with an answer that breaks it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <talloc.h>

#include "core/base/result.h"
#include "dict/gy_avp_table.h"
#include "extensions/app_gyro/decode.h"
#include "extensions/app_gyro/encode.h"
#include "tests/client/avp.h"
#include "tests/client/reply.h"
#include "tests/client/request.h"
#include "tests/unit/decode/tap.h"

#define TEXT(t)                                     \
	{                                           \
		(const uint8_t *)(t), sizeof(t) - 1 \
	}

static const struct gy_node node = {
	.identity = { TEXT("ocs1.spec.test"), TEXT("spec.test") },
	.origin_state_id = 1,
};

static uint8_t *request, *answer;
static size_t request_len, answer_len;

/* A CCR-I about these Rating-Groups, and the answer that the node would give. */
static void exchange(const char *line, const struct gy_answer *given)
{
	struct gy_request_frame frame = { .session_id = "pgw1.spec.test;1;1",
					  .origin_host = "pgw1.spec.test",
					  .origin_realm = "spec.test",
					  .destination_realm = "spec.test",
					  .identity = { [GY_CASE_IMSI] = "460001000000001" },
					  .hop_by_hop = 7,
					  .end_to_end = 8,
					  .event_time_s = -1 };
	char text[512], error[256];
	struct gy_case_file *file;
	struct gy_envelope envelope;
	struct gy_answer fault;
	void *pool = talloc_new(NULL);

	snprintf(text, sizeof(text), "case x\nS1 %s -> 2001\n", line);
	file = gy_case_parse("x", text, error, sizeof(error));
	if (!file) {
		printf("Bail out! %s\n", error);
		exit(1);
	}
	free(request);
	free(answer);
	request = gy_request_encode(file->cases[0].steps[0].request, &frame, &request_len);
	gy_case_free(file);
	if (gy_envelope_read(pool, (struct gy_bytes){ request, request_len }, &node.identity,
			     &envelope, &fault) == GY_NO_MEMORY)
		abort();
	answer = gy_answer_encode(&node, &envelope, given, &answer_len);
	talloc_free(pool);
}

static bool conforms(const char *expected_fault)
{
	char why[256] = "";
	bool good = gy_reply_conforms(answer, answer_len, request, request_len, why, sizeof(why));

	if (expected_fault ? good || !strstr(why, expected_fault) : !good) {
		printf("# %s\n", good ? "no fault was found" : why);
		return false;
	}
	return true;
}

static struct gy_service_answer services[2];

/* {10: 2001 10 MiB}{50: 4010} */
static struct gy_answer good_answer(void)
{
	services[0] = (struct gy_service_answer){ .rc = GY_OK,
						  .has_rating_group = true,
						  .rating_group = 10,
						  .unit = GY_UNIT_OCTETS,
						  .granted = 10 << 20,
						  .validity_s = 3600,
						  .threshold = 2 << 20,
						  .quota_holding_s = 600,
						  .final_unit = GY_FINAL_NONE };
	services[1] = (struct gy_service_answer){ .rc = GY_END_USER_SERVICE_DENIED,
						  .has_rating_group = true,
						  .rating_group = 50,
						  .final_unit = GY_FINAL_NONE };
	return (struct gy_answer){ .rc = GY_OK, .n_services = 2, .services = services };
}

static void reading(void)
{
	static const char *const filters[] = { "topup-only" };
	struct gy_policy policy = { .redirect_address = "http://topup.spec.test/",
				    .redirect_type = GY_REDIRECT_URL,
				    .n_filter_ids = 1,
				    .filter_ids = filters };
	struct gy_answer a = good_answer();
	struct gy_reply *r;
	const struct gy_case_seen_service *s;

	exchange("I0 {10:RSU}{50:RSU}", &a);
	r = gy_reply_read(answer, answer_len, false);
	s = r->seen.services;
	ok(r->seen.code == 2001 && r->type == 1 && r->number == 0 && r->end_to_end == 8 &&
		   strcmp(r->session_id, "pgw1.spec.test;1;1") == 0 &&
		   strcmp(r->origin_host, "ocs1.spec.test") == 0 && r->origin_state == 1,
	   "the command");
	ok(r->seen.n_services == 2 && s[0].rating_group == 10 && s[0].code == 2001 &&
		   s[0].grant.count[GY_CASE_TOTAL] == 10 << 20 && s[0].validity == 3600 &&
		   s[0].volume_threshold == 2 << 20 && s[0].quota_holding == 600 &&
		   s[0].final_unit == -1,
	   "a grant");
	ok(s[1].code == 4010 && !s[1].has_grant && s[1].validity == -1, "a refused service");
	talloc_free(r);

	services[0].final_unit = GY_FINAL_REDIRECT;
	services[0].threshold = 0;
	services[0].policy = &policy;
	exchange("I0 {10:RSU}{50:RSU}", &a);
	r = gy_reply_read(answer, answer_len, false);
	s = r->seen.services;
	ok(s[0].final_unit == 1 && strcmp(s[0].redirect, "http://topup.spec.test/") == 0 &&
		   s[0].n_filters == 1 && strcmp(s[0].filters[0], "topup-only") == 0,
	   "final units with a portal");
	ok(conforms(NULL), "which is in good form");
	talloc_free(r);
	ok(!gy_reply_read((const uint8_t *)"\1\0\0\24", 4, false) ||
		   !"a message of four octets was read",
	   "four octets are no message");
}

static void failing(void)
{
	struct gy_answer a = { .rc = GY_MISSING_AVP,
			       .message = "E5005 Service-Context-Id is missing",
			       .n_failed = 1,
			       .failed = { { .code = GY_AVP_SERVICE_CONTEXT_ID } } };
	struct gy_reply *r;

	exchange("I0 ctx=none {10:RSU}", &a);
	r = gy_reply_read(answer, answer_len, false);
	ok(r->seen.code == 5005 && r->seen.n_failed == 1 && r->seen.failed[0] == 461 &&
		   strstr(r->error_message, "missing") && r->seen.n_services == 0,
	   "a refusal with Failed-AVP and Error-Message");
	ok(conforms(NULL), "is in good form");
	talloc_free(r);
	/* What was wrong comes back as it was, however wrong. */
	a.rc = GY_INVALID_AVP_LENGTH;
	a.failed[0].avp = (struct gy_bytes)TEXT("\0\0\1\237\100\0\0\013\1\2\3");
	exchange("I0 omit=415 raw=415:0:40:010203 {10:RSU}", &a);
	r = gy_reply_read(answer, answer_len, false);
	ok(r->seen.code == 5014 && r->seen.n_failed == 1 && r->seen.failed[0] == 415,
	   "a Failed-AVP that holds a damaged AVP");
	ok(conforms(NULL), "is in good form");
	talloc_free(r);
	a = (struct gy_answer){ .rc = GY_TOO_BUSY };
	exchange("I0 {10:RSU}", &a);
	ok(conforms(NULL), "a protocol error is in good form");
	a = (struct gy_answer){ .rc = GY_OK };
	exchange("I0 proxy=dra1.spec.test:a proxy=dra2.spec.test:b", &a);
	ok(conforms(NULL), "an answer through agents is in good form");
}

/* ---- each rule, broken ---- */

/* The answer again, after a change to its header or its AVPs. */
static void change(void (*how)(struct msg *message))
{
	struct msg *message = gy_message_decode(answer, answer_len);

	free(answer);
	how(message);
	answer = gy_message_encode(message, &answer_len);
}

static void drop(msg_or_avp *parent, uint32_t vendor, uint32_t code)
{
	struct avp *avp = gy_avp_find_in(parent, vendor, code);

	if (!avp || fd_msg_free(avp) != 0)
		abort();
}

static struct avp *first_service(struct msg *m)
{
	return gy_avp_find_in(m, 0, GY_AVP_MULTIPLE_SERVICES_CREDIT_CONTROL);
}

static void set_t(struct msg *m)
{
	gy_message_header(m)->msg_flags |= CMD_FLAG_RETRANSMIT;
}

static void clear_p(struct msg *m)
{
	gy_message_header(m)->msg_flags &= (uint8_t)~CMD_FLAG_PROXIABLE;
}

static void set_e(struct msg *m)
{
	gy_message_header(m)->msg_flags |= CMD_FLAG_ERROR;
}

static void other_end_to_end(struct msg *m)
{
	gy_message_header(m)->msg_eteid++;
}

static void no_session_id(struct msg *m)
{
	drop(m, 0, GY_AVP_SESSION_ID);
}

static void no_origin_host(struct msg *m)
{
	drop(m, 0, GY_AVP_ORIGIN_HOST);
}

static void no_number(struct msg *m)
{
	drop(m, 0, GY_AVP_CC_REQUEST_NUMBER);
}

static void no_application(struct msg *m)
{
	drop(m, 0, GY_AVP_AUTH_APPLICATION_ID);
}

static void no_service_code(struct msg *m)
{
	drop(first_service(m), 0, GY_AVP_RESULT_CODE);
}

static void no_rating_group(struct msg *m)
{
	drop(first_service(m), 0, GY_AVP_RATING_GROUP);
}

static void no_service(struct msg *m)
{
	drop(m, 0, GY_AVP_MULTIPLE_SERVICES_CREDIT_CONTROL);
}

static void destination(struct msg *m)
{
	gy_avp_put(m, gy_avp_text(0, GY_AVP_DESTINATION_REALM, "spec.test"));
}

static void unknown_avp(struct msg *m)
{
	gy_avp_put(m, gy_avp_raw(0, 3999, 0, "abcd", 4));
}

static void short_avp(struct msg *m)
{
	gy_avp_put(m, gy_avp_raw(0, GY_AVP_VALIDITY_TIME, 0x40, "abc", 3));
}

static void no_m_bit(struct msg *m)
{
	gy_avp_put(m, gy_avp_raw(0, GY_AVP_VALIDITY_TIME, 0, "abcd", 4));
}

static void wrong_m_bit(struct msg *m)
{
	gy_avp_put(m, gy_avp_raw(0, GY_AVP_ERROR_MESSAGE, 0x40, "abcd", 4));
}

static void surplus_proxy(struct msg *m)
{
	struct avp *proxy = gy_avp_put(m, gy_avp_group(0, GY_AVP_PROXY_INFO));

	gy_avp_put(proxy, gy_avp_text(0, GY_AVP_PROXY_HOST, "dra9.spec.test"));
	gy_avp_put(proxy, gy_avp_text(0, GY_AVP_PROXY_STATE, "x"));
}

static void host_last(struct msg *m)
{
	drop(m, 0, GY_AVP_ORIGIN_HOST);
	gy_avp_put(m, gy_avp_text(0, GY_AVP_ORIGIN_HOST, "ocs1.spec.test"));
}

static void two_units(struct msg *m)
{
	gy_avp_put(gy_avp_find_in(first_service(m), 0, GY_AVP_GRANTED_SERVICE_UNIT),
		   gy_avp_number(0, GY_AVP_CC_TIME, 60));
}

static void no_message(struct msg *m)
{
	drop(m, 0, GY_AVP_ERROR_MESSAGE);
}

static void no_failed(struct msg *m)
{
	drop(m, 0, GY_AVP_FAILED_AVP);
}

static void breaking(void)
{
	static const struct {
		void (*how)(struct msg *message);
		const char *fault;
	} rules[] = {
		{ set_t, "T bit" },
		{ clear_p, "P bit" },
		{ set_e, "E bit" },
		{ other_end_to_end, "Identifier" },
		{ no_session_id, "Session-Id" },
		{ no_origin_host, "Origin-Host" },
		{ no_number, "CC-Request-Number" },
		{ no_application, "Auth-Application-Id" },
		{ no_service_code, "Result-Code" },
		{ no_rating_group, "order" },
		{ no_service, "order" },
		{ destination, "destination" },
		{ unknown_avp, "unknown" },
		{ short_avp, "malformed" },
		{ no_m_bit, "M bit" },
		{ wrong_m_bit, "M bit" },
		{ surplus_proxy, "Proxy-Info" },
		{ host_last, "last" },
		{ two_units, "kinds of unit" },
	};
	struct gy_answer a = good_answer();
	char name[128];

	exchange("I0 {10:RSU}{50:RSU}", &a);
	ok(conforms(NULL), "the answer that is broken below is in good form");
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		exchange("I0 {10:RSU}{50:RSU}", &a);
		change(rules[i].how);
		snprintf(name, sizeof(name), "found: %s (%zu)", rules[i].fault, i);
		ok(conforms(rules[i].fault), name);
	}
	a = (struct gy_answer){ .rc = GY_MISSING_AVP,
				.n_failed = 1,
				.failed = { { .code = GY_AVP_SERVICE_CONTEXT_ID } } };
	exchange("I0 ctx=none {10:RSU}", &a);
	change(no_message);
	ok(conforms("Error-Message"), "found: a failure that does not explain itself");
	exchange("I0 ctx=none {10:RSU}", &a);
	change(no_failed);
	ok(conforms("Failed-AVP"), "found: no Failed-AVP");
}

/* Grants that contradict themselves. */
static void grants(void)
{
	struct gy_answer a = good_answer();

	services[0].granted = 0;
	services[0].threshold = 0;
	exchange("I0 {10:RSU}{50:RSU}", &a);
	ok(conforms("nothing granted"), "found: nothing granted, and not final");
	a = good_answer();
	services[0].threshold = 10 << 20;
	exchange("I0 {10:RSU}{50:RSU}", &a);
	ok(conforms("Threshold"), "found: a threshold as large as the grant");
	a = good_answer();
	services[0].final_unit = GY_FINAL_TERMINATE;
	exchange("I0 {10:RSU}{50:RSU}", &a);
	ok(conforms("Threshold"), "found: a threshold with final units");
	a = good_answer();
	exchange("I0 {10:RSU=60s}{50:RSU}", &a);
	ok(conforms("not asked for"), "found: octets for seconds");
	services[0].directions = GY_DIRECTION_INPUT | GY_DIRECTION_OUTPUT;
	services[0].input = 3 << 20;
	exchange("I0 {10:RSU=in:5MiB,out:9MiB}{50:RSU}", &a);
	ok(conforms(NULL), "a grant in both directions");
	exchange("I0 {10:RSU=in:5MiB}{50:RSU}", &a);
	ok(conforms("not asked for"), "found: a direction that nobody asked for");
	services[0].input = 1 << 20;
	exchange("I0 {10:RSU=in:5MiB,out:9MiB}{50:RSU}", &a);
	ok(conforms("Threshold"), "found: a threshold above what one direction has");
	a = good_answer();
	services[0].rc = GY_CREDIT_LIMIT_REACHED;
	exchange("I0 {10:RSU}{50:RSU}", &a);
	ok(conforms("units granted"), "found: units granted with 4012");
}

int main(void)
{
	if (!gy_dictionary_load())
		return 2;
	reading();
	failing();
	breaking();
	grants();
	free(request);
	free(answer);
	return tap_end();
}
