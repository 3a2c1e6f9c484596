/* Answers: from bytes to struct gy_reply; see the header. */
#include <stdlib.h>
#include <talloc.h>

#include "dict/gy_avp_table.h"
#include "tests/client/avp.h"
#include "tests/client/reply.h"

#define IETF 0
#define TGPP GY_VENDOR_3GPP

static void *need(void *p)
{
	if (!p)
		abort();
	return p;
}

static const char *text_in(void *pool, msg_or_avp *parent, uint32_t code)
{
	struct avp *avp = gy_avp_find_in(parent, IETF, code);
	size_t len;
	const char *text = avp ? gy_avp_string(avp, &len) : NULL;

	return text ? need(talloc_strndup(pool, text, len)) : NULL;
}

static unsigned count_in(msg_or_avp *parent, uint32_t vendor, uint32_t code)
{
	unsigned n = 0;

	for (struct avp *a = gy_avp_first(parent); a; a = gy_avp_next(a))
		n += gy_avp_is(a, vendor, code);
	return n;
}

int64_t gy_reply_money(struct avp *avp)
{
	struct avp *value = gy_avp_find_in(avp, IETF, GY_AVP_UNIT_VALUE);
	int64_t digits = value ? gy_avp_value_in(value, IETF, GY_AVP_VALUE_DIGITS, 0) : 0;
	int64_t exponent = value ? gy_avp_value_in(value, IETF, GY_AVP_EXPONENT, 0) : 0;

	for (exponent += 6; exponent > 0; exponent--)
		if (__builtin_mul_overflow(digits, INT64_C(10), &digits))
			return INT64_MAX;
	for (; exponent < 0; exponent++)
		digits /= 10;
	return digits;
}

static void read_grant(struct avp *avp, struct gy_case_units *units)
{
	static const struct {
		uint32_t code;
		enum gy_case_quantity quantity;
	} counted[] = {
		{ GY_AVP_CC_TOTAL_OCTETS, GY_CASE_TOTAL },
		{ GY_AVP_CC_INPUT_OCTETS, GY_CASE_INPUT },
		{ GY_AVP_CC_OUTPUT_OCTETS, GY_CASE_OUTPUT },
		{ GY_AVP_CC_TIME, GY_CASE_SECONDS },
		{ GY_AVP_CC_SERVICE_SPECIFIC_UNITS, GY_CASE_SERVICE },
	};
	struct avp *cc_money = gy_avp_find_in(avp, IETF, GY_AVP_CC_MONEY);

	for (size_t i = 0; i < sizeof(counted) / sizeof(counted[0]); i++) {
		struct avp *unit = gy_avp_find_in(avp, IETF, counted[i].code);

		if (!unit)
			continue;
		units->present[counted[i].quantity] = true;
		units->count[counted[i].quantity] = gy_avp_value(unit);
	}
	if (cc_money) {
		units->present[GY_CASE_MONEY] = true;
		units->count[GY_CASE_MONEY] = gy_reply_money(cc_money);
	}
}

static int64_t currency_of(struct avp *grant)
{
	struct avp *cc_money = gy_avp_find_in(grant, IETF, GY_AVP_CC_MONEY);

	return cc_money ? gy_avp_value_in(cc_money, IETF, GY_AVP_CURRENCY_CODE, 0) : 0;
}

static void read_final_unit(void *pool, struct avp *avp, struct gy_case_seen_service *s)
{
	struct avp *server = gy_avp_find_in(avp, IETF, GY_AVP_REDIRECT_SERVER);
	const char **filters =
		need(talloc_array(pool, const char *, count_in(avp, IETF, GY_AVP_FILTER_ID) + 1));

	s->final_unit = gy_avp_value_in(avp, IETF, GY_AVP_FINAL_UNIT_ACTION, -1);
	if (server)
		s->redirect = text_in(pool, server, GY_AVP_REDIRECT_SERVER_ADDRESS);
	for (struct avp *a = gy_avp_first(avp); a; a = gy_avp_next(a)) {
		size_t len;
		const char *text =
			gy_avp_is(a, IETF, GY_AVP_FILTER_ID) ? gy_avp_string(a, &len) : NULL;

		if (text)
			filters[s->n_filters++] = need(talloc_strndup(pool, text, len));
	}
	s->filters = filters;
}

static void read_service_ids(void *pool, struct avp *mscc, struct gy_case_seen_service *s)
{
	uint32_t *ids = need(
		talloc_array(pool, uint32_t, count_in(mscc, IETF, GY_AVP_SERVICE_IDENTIFIER) + 1));

	for (struct avp *a = gy_avp_first(mscc); a; a = gy_avp_next(a))
		if (gy_avp_is(a, IETF, GY_AVP_SERVICE_IDENTIFIER))
			ids[s->n_service_ids++] = (uint32_t)gy_avp_value(a);
	s->service_ids = ids;
}

/* Of an MSCC, or of the message itself for units at command level. */
static void read_service(void *pool, msg_or_avp *from, struct gy_case_seen_service *s)
{
	struct avp *grant = gy_avp_find_in(from, IETF, GY_AVP_GRANTED_SERVICE_UNIT);
	struct avp *final = gy_avp_find_in(from, IETF, GY_AVP_FINAL_UNIT_INDICATION);

	*s = (struct gy_case_seen_service){
		.code = (uint32_t)gy_avp_value_in(from, IETF, GY_AVP_RESULT_CODE, 0),
		.validity = gy_avp_value_in(from, IETF, GY_AVP_VALIDITY_TIME, -1),
		.volume_threshold = gy_avp_value_in(from, TGPP, GY_AVP_VOLUME_QUOTA_THRESHOLD, -1),
		.time_threshold = gy_avp_value_in(from, TGPP, GY_AVP_TIME_QUOTA_THRESHOLD, -1),
		.unit_threshold = gy_avp_value_in(from, TGPP, GY_AVP_UNIT_QUOTA_THRESHOLD, -1),
		.quota_holding = gy_avp_value_in(from, TGPP, GY_AVP_QUOTA_HOLDING_TIME, -1),
		.final_unit = -1,
		.has_grant = grant != NULL,
	};
	if (grant) {
		read_grant(grant, &s->grant);
		s->currency = currency_of(grant);
	}
	if (final)
		read_final_unit(pool, final, s);
}

static void read_services(struct gy_reply *reply, struct msg *message, bool command_level)
{
	unsigned n = count_in(message, IETF, GY_AVP_MULTIPLE_SERVICES_CREDIT_CONTROL);
	struct gy_case_seen_service *services =
		need(talloc_zero_array(reply, struct gy_case_seen_service, n + 1));

	reply->seen.services = services;
	for (struct avp *a = gy_avp_first(message); a; a = gy_avp_next(a)) {
		struct gy_case_seen_service *s = &services[reply->seen.n_services];
		int64_t rating_group;

		if (!gy_avp_is(a, IETF, GY_AVP_MULTIPLE_SERVICES_CREDIT_CONTROL))
			continue;
		read_service(reply, a, s);
		read_service_ids(reply, a, s);
		rating_group = gy_avp_value_in(a, IETF, GY_AVP_RATING_GROUP, -1);
		s->has_rating_group = rating_group >= 0;
		if (s->has_rating_group)
			s->rating_group = (uint32_t)rating_group;
		reply->seen.n_services++;
	}
	if (n == 0 && command_level && reply->seen.code == 2001) {
		read_service(reply, message, &services[0]);
		services[0].at_command_level = true;
		reply->seen.n_services = 1;
	}
}

static void read_failed(struct gy_reply *reply, struct msg *message)
{
	unsigned n = 0;
	uint32_t *codes;

	for (struct avp *f = gy_avp_first(message); f; f = gy_avp_next(f))
		if (gy_avp_is(f, IETF, GY_AVP_FAILED_AVP))
			for (struct avp *a = gy_avp_first(f); a; a = gy_avp_next(a))
				n++;
	codes = need(talloc_array(reply, uint32_t, n + 1));
	reply->seen.failed = codes;
	for (struct avp *f = gy_avp_first(message); f; f = gy_avp_next(f))
		if (gy_avp_is(f, IETF, GY_AVP_FAILED_AVP))
			for (struct avp *a = gy_avp_first(f); a; a = gy_avp_next(a))
				codes[reply->seen.n_failed++] = gy_avp_code(a);
}

/* Result-Code, or Experimental-Result-Code; 0 if there is neither. */
static uint32_t result_code(struct msg *message)
{
	struct avp *experimental = gy_avp_find_in(message, IETF, GY_AVP_EXPERIMENTAL_RESULT);
	int64_t code = gy_avp_value_in(message, IETF, GY_AVP_RESULT_CODE, 0);

	if (code == 0 && experimental)
		code = gy_avp_value_in(experimental, IETF, GY_AVP_EXPERIMENTAL_RESULT_CODE, 0);
	return (uint32_t)code;
}

struct gy_reply *gy_reply_read(const uint8_t *bytes, size_t len, bool command_level)
{
	struct msg *message = gy_message_decode(bytes, len);
	const struct msg_hdr *header;
	struct gy_reply *reply;

	if (!message)
		return NULL;
	header = gy_message_header(message);
	reply = need(talloc_zero(NULL, struct gy_reply));
	reply->flags = header->msg_flags;
	reply->command = header->msg_code;
	reply->application = header->msg_appl;
	reply->hop_by_hop = header->msg_hbhid;
	reply->end_to_end = header->msg_eteid;
	reply->session_id = text_in(reply, message, GY_AVP_SESSION_ID);
	reply->origin_host = text_in(reply, message, GY_AVP_ORIGIN_HOST);
	reply->origin_realm = text_in(reply, message, GY_AVP_ORIGIN_REALM);
	reply->error_message = text_in(reply, message, GY_AVP_ERROR_MESSAGE);
	reply->type = gy_avp_value_in(message, IETF, GY_AVP_CC_REQUEST_TYPE, -1);
	reply->number = gy_avp_value_in(message, IETF, GY_AVP_CC_REQUEST_NUMBER, -1);
	reply->sub_session = gy_avp_value_in(message, IETF, GY_AVP_CC_SUB_SESSION_ID, -1);
	reply->origin_state = gy_avp_value_in(message, IETF, GY_AVP_ORIGIN_STATE_ID, -1);
	reply->failover = gy_avp_value_in(message, IETF, GY_AVP_CC_SESSION_FAILOVER, -1);
	reply->failure_handling =
		gy_avp_value_in(message, IETF, GY_AVP_CREDIT_CONTROL_FAILURE_HANDLING, -1);
	reply->seen.code = result_code(message);
	reply->seen.message = reply->error_message;
	reply->seen.check_balance = gy_avp_value_in(message, IETF, GY_AVP_CHECK_BALANCE_RESULT, -1);
	read_failed(reply, message);
	read_services(reply, message, command_level);
	gy_message_free(message);
	return reply;
}

const char *gy_reply_code_name(uint32_t code)
{
	static const struct {
		uint32_t code;
		const char *name;
	} names[] = {
		{ 2001, "DIAMETER_SUCCESS" },
		{ 2002, "DIAMETER_LIMITED_SUCCESS" },
		{ 3001, "DIAMETER_COMMAND_UNSUPPORTED" },
		{ 3002, "DIAMETER_UNABLE_TO_DELIVER" },
		{ 3003, "DIAMETER_REALM_NOT_SERVED" },
		{ 3004, "DIAMETER_TOO_BUSY" },
		{ 3005, "DIAMETER_LOOP_DETECTED" },
		{ 3007, "DIAMETER_APPLICATION_UNSUPPORTED" },
		{ 3008, "DIAMETER_INVALID_HDR_BITS" },
		{ 3009, "DIAMETER_INVALID_AVP_BITS" },
		{ 3010, "DIAMETER_UNKNOWN_PEER" },
		{ 4010, "DIAMETER_END_USER_SERVICE_DENIED" },
		{ 4011, "DIAMETER_CREDIT_CONTROL_NOT_APPLICABLE" },
		{ 4012, "DIAMETER_CREDIT_LIMIT_REACHED" },
		{ 5001, "DIAMETER_AVP_UNSUPPORTED" },
		{ 5002, "DIAMETER_UNKNOWN_SESSION_ID" },
		{ 5003, "DIAMETER_AUTHORIZATION_REJECTED" },
		{ 5004, "DIAMETER_INVALID_AVP_VALUE" },
		{ 5005, "DIAMETER_MISSING_AVP" },
		{ 5007, "DIAMETER_CONTRADICTING_AVPS" },
		{ 5008, "DIAMETER_AVP_NOT_ALLOWED" },
		{ 5009, "DIAMETER_AVP_OCCURS_TOO_MANY_TIMES" },
		{ 5010, "DIAMETER_NO_COMMON_APPLICATION" },
		{ 5012, "DIAMETER_UNABLE_TO_COMPLY" },
		{ 5014, "DIAMETER_INVALID_AVP_LENGTH" },
		{ 5015, "DIAMETER_INVALID_MESSAGE_LENGTH" },
		{ 5030, "DIAMETER_USER_UNKNOWN" },
		{ 5031, "DIAMETER_RATING_FAILED" },
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].code == code)
			return names[i].name;
	return "";
}
