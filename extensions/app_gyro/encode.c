/* See encode.h. */
#include "extensions/app_gyro/encode.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/charging/card_order.h"
#include "dict/gy_avp_table.h"
#include "extensions/app_gyro/refund.h"
#include "extensions/app_gyro/wire.h"

#define FIRST_GUESS  512 /* octets; most answers fit */
#define HOST_REPORT  0   /* OC-Report-Type (RFC 7683 §7.6) */
#define FULL_SERVICE 256 /* octets of an MSCC with everything but a redirect address */

struct writer {
	uint8_t *data;
	size_t len, cap;
	bool failed;
};

/* --- bytes --------------------------------------------------------------------------------- */

/* n octets at the end, zeroed; NULL without memory, and then nothing more is written. */
static uint8_t *extend(struct writer *w, size_t n)
{
	size_t cap = w->cap;
	uint8_t *data;

	if (w->failed)
		return NULL;
	if (w->len + n > cap) {
		while (w->len + n > cap)
			cap *= 2;
		data = realloc(w->data, cap);
		if (data == NULL) {
			w->failed = true;
			return NULL;
		}
		w->data = data;
		w->cap = cap;
	}
	data = w->data + w->len;
	memset(data, 0, n);
	w->len += n;
	return data;
}

static void put24(uint8_t *p, size_t value)
{
	p[0] = (uint8_t)(value >> 16);
	p[1] = (uint8_t)(value >> 8);
	p[2] = (uint8_t)value;
}

static void put32(uint8_t *p, uint32_t value)
{
	p[0] = (uint8_t)(value >> 24);
	put24(p + 1, value);
}

static void put64(uint8_t *p, uint64_t value)
{
	put32(p, (uint32_t)(value >> 32));
	put32(p + 4, (uint32_t)value);
}

/* --- AVPs: the table says how each is sent --------------------------------------------------- */

/* Header and room for n octets of data; where the data goes, or NULL. */
static uint8_t *avp_open(struct writer *w, uint32_t vendor, uint32_t code, size_t n)
{
	const struct gy_avp_def *def = gy_avp_find(vendor, code);
	size_t header = vendor ? 12 : 8;
	uint8_t *p = extend(w, header + ((n + 3) & ~(size_t)3));

	if (p == NULL)
		return NULL;
	put32(p, code);
	p[4] = def ? def->flags : (uint8_t)(vendor ? GY_AVP_FLAG_V : 0);
	put24(p + 5, header + n);
	if (vendor)
		put32(p + 8, vendor);
	return p + header;
}

static void avp_u32(struct writer *w, uint32_t vendor, uint32_t code, uint32_t value)
{
	uint8_t *p = avp_open(w, vendor, code, 4);

	if (p != NULL)
		put32(p, value);
}

static void avp_u64(struct writer *w, uint32_t vendor, uint32_t code, uint64_t value)
{
	uint8_t *p = avp_open(w, vendor, code, 8);

	if (p != NULL)
		put64(p, value);
}

static void avp_bytes(struct writer *w, uint32_t vendor, uint32_t code, struct gy_bytes value)
{
	uint8_t *p = avp_open(w, vendor, code, value.len);

	if (p != NULL && value.len > 0)
		memcpy(p, value.data, value.len);
}

static void avp_text(struct writer *w, uint32_t vendor, uint32_t code, const char *text)
{
	avp_bytes(w, vendor, code, (struct gy_bytes){ (const uint8_t *)text, strlen(text) });
}

/* A whole AVP of the request, byte for byte. */
static void avp_copy(struct writer *w, struct gy_bytes whole)
{
	uint8_t *p = extend(w, (whole.len + 3) & ~(size_t)3);

	if (p != NULL)
		memcpy(p, whole.data, whole.len);
}

/* Groups: group_open says where it starts, group_close writes its length there. */
static size_t group_open(struct writer *w, uint32_t vendor, uint32_t code)
{
	size_t start = w->len;

	avp_open(w, vendor, code, 0);
	return start;
}

static void group_close(struct writer *w, size_t start)
{
	if (!w->failed)
		put24(w->data + start + 5, w->len - start);
}

/* --- the parts of an answer ------------------------------------------------------------------ */

/* 1970-01-01 as seconds since 1900-01-01. */
#define NTP_EPOCH_S UINT32_C(2208988800)

static void put_unit_value(struct writer *w, int64_t micros)
{
	size_t value = group_open(w, 0, GY_AVP_UNIT_VALUE);
	uint32_t exponent = (uint32_t)-6;

	for (; micros != 0 && micros % 10 == 0 && exponent != 0; exponent++)
		micros /= 10;
	avp_u64(w, 0, GY_AVP_VALUE_DIGITS, (uint64_t)micros);
	avp_u32(w, 0, GY_AVP_EXPONENT, micros != 0 ? exponent : 0);
	group_close(w, value);
}

static void put_money(struct writer *w, int64_t micros, int currency)
{
	size_t money = group_open(w, 0, GY_AVP_CC_MONEY);

	put_unit_value(w, micros);
	if (currency != 0)
		avp_u32(w, 0, GY_AVP_CURRENCY_CODE, (uint32_t)currency);
	group_close(w, money);
}

/* What only questions are answered (G-76, G-77). */
static void put_event(struct writer *w, const struct gy_answer *answer)
{
	size_t cost;

	if (answer->check_balance != GY_CHECK_ABSENT)
		avp_u32(w, 0, GY_AVP_CHECK_BALANCE_RESULT,
			answer->check_balance == GY_CHECK_ENOUGH ? 0 : 1);
	if (!answer->has_cost)
		return;
	cost = group_open(w, 0, GY_AVP_COST_INFORMATION);
	put_unit_value(w, answer->cost_micros);
	avp_u32(w, 0, GY_AVP_CURRENCY_CODE, (uint32_t)answer->currency);
	group_close(w, cost);
}

/* Units under their name; false: there are none to be named. */
static bool put_units(struct writer *w, enum gy_unit unit, int64_t count)
{
	switch (unit) {
	case GY_UNIT_OCTETS:
		avp_u64(w, 0, GY_AVP_CC_TOTAL_OCTETS, (uint64_t)count);
		return true;
	case GY_UNIT_SECONDS: /* 32 bits on the wire */
		avp_u32(w, 0, GY_AVP_CC_TIME, count > UINT32_MAX ? UINT32_MAX : (uint32_t)count);
		return true;
	case GY_UNIT_SERVICE:
		avp_u64(w, 0, GY_AVP_CC_SERVICE_SPECIFIC_UNITS, (uint64_t)count);
		return true;
	case GY_UNIT_MONEY:
	case GY_UNIT_NONE:
		break;
	}
	return false;
}

/* A direction that is granted something. */
static void put_direction(struct writer *w, const struct gy_service_answer *service,
			  enum gy_direction direction, uint32_t code, int64_t octets)
{
	if ((service->directions & direction) != 0 && octets > 0)
		avp_u64(w, 0, code, (uint64_t)octets);
}

static void put_octets(struct writer *w, const struct gy_service_answer *service)
{
	if (service->directions == 0)
		avp_u64(w, 0, GY_AVP_CC_TOTAL_OCTETS, (uint64_t)service->granted);
	put_direction(w, service, GY_DIRECTION_INPUT, GY_AVP_CC_INPUT_OCTETS, service->input);
	put_direction(w, service, GY_DIRECTION_OUTPUT, GY_AVP_CC_OUTPUT_OCTETS,
		      service->granted - service->input);
}

static void put_granted(struct writer *w, const struct gy_answer *answer,
			const struct gy_service_answer *service)
{
	size_t start;

	if (service->unit == GY_UNIT_NONE)
		return;
	start = group_open(w, 0, GY_AVP_GRANTED_SERVICE_UNIT);
	if (service->switch_s != 0) /* Time counts from 1900 (RFC 6733 4.3.1) */
		avp_u32(w, 0, GY_AVP_TARIFF_TIME_CHANGE, service->switch_s + NTP_EPOCH_S);
	if (service->unit == GY_UNIT_OCTETS)
		put_octets(w, service);
	else if (!put_units(w, service->unit, service->granted))
		put_money(w, service->granted, answer->currency);
	group_close(w, start);
}

/* A price per unit in micro-units, as the decimal number that Unit-Value is; 17 digits of it. */
static void put_multiplier(struct writer *w, struct gy_rate rate)
{
	size_t value = group_open(w, 0, GY_AVP_UNIT_VALUE);
	__int128 scaled = rate.price_micros, ten = 10;
	uint32_t exponent = 0;

	while (scaled / rate.block < 10000000000000000 && scaled % rate.block != 0) {
		scaled *= ten;
		exponent--;
	}
	scaled = (scaled + rate.block / 2) / rate.block;
	avp_u64(w, 0, GY_AVP_VALUE_DIGITS, (uint64_t)scaled);
	avp_u32(w, 0, GY_AVP_EXPONENT, exponent);
	group_close(w, value);
}

/* CC-Unit-Type (RFC 8506 §8.32). */
enum { TIME = 0, TOTAL_OCTETS = 2, INPUT_OCTETS = 3, OUTPUT_OCTETS = 4, SERVICE_UNITS = 5 };

static void put_pool_reference(struct writer *w, const struct gy_service_answer *service,
			       uint32_t unit_type)
{
	size_t start = group_open(w, 0, GY_AVP_G_S_U_POOL_REFERENCE);

	avp_u32(w, 0, GY_AVP_G_S_U_POOL_IDENTIFIER, service->pool);
	avp_u32(w, 0, GY_AVP_CC_UNIT_TYPE, unit_type);
	put_multiplier(w, service->pool_rate);
	group_close(w, start);
}

/* The credit pool of the grant (G-72), one reference for each kind of units in it. */
static void put_pool(struct writer *w, const struct gy_service_answer *service)
{
	if (service->pool == 0 || service->unit == GY_UNIT_NONE)
		return;
	if (service->unit == GY_UNIT_SECONDS)
		put_pool_reference(w, service, TIME);
	else if (service->unit == GY_UNIT_SERVICE)
		put_pool_reference(w, service, SERVICE_UNITS);
	else if (service->directions == 0)
		put_pool_reference(w, service, TOTAL_OCTETS);
	else if (service->input > 0)
		put_pool_reference(w, service, INPUT_OCTETS);
	if (service->directions != 0 && service->granted > service->input)
		put_pool_reference(w, service, OUTPUT_OCTETS);
}

static void put_redirect_server(struct writer *w, enum gy_redirect_type type, const char *address)
{
	size_t server = group_open(w, 0, GY_AVP_REDIRECT_SERVER);

	avp_u32(w, 0, GY_AVP_REDIRECT_ADDRESS_TYPE, (uint32_t)type);
	avp_text(w, 0, GY_AVP_REDIRECT_SERVER_ADDRESS, address);
	group_close(w, server);
}

/* Final-Unit-Indication: TERMINATE holds nothing else (G-60), REDIRECT its server (G-61): a dynamic
 * rule's, or the policy's. */
static void put_final_unit(struct writer *w, const struct gy_service_answer *service)
{
	const struct gy_policy *policy = service->policy;
	size_t start;

	if (service->final_unit == GY_FINAL_NONE)
		return;
	start = group_open(w, 0, GY_AVP_FINAL_UNIT_INDICATION);
	avp_u32(w, 0, GY_AVP_FINAL_UNIT_ACTION, (uint32_t)service->final_unit);
	if (service->final_unit != GY_FINAL_TERMINATE && policy != NULL)
		for (unsigned i = 0; i < policy->n_filter_ids; i++)
			avp_text(w, 0, GY_AVP_FILTER_ID, policy->filter_ids[i]);
	if (service->final_unit != GY_FINAL_TERMINATE && policy != NULL)
		for (unsigned i = 0; i < policy->n_filter_rules; i++)
			avp_text(w, 0, GY_AVP_RESTRICTION_FILTER_RULE, policy->filter_rules[i]);
	if (service->final_unit == GY_FINAL_REDIRECT) {
		if (service->redirect_address != NULL)
			put_redirect_server(w, service->redirect_type, service->redirect_address);
		else if (policy != NULL && policy->redirect_address != NULL)
			put_redirect_server(w, policy->redirect_type, policy->redirect_address);
	}
	group_close(w, start);
}

static void put_validity(struct writer *w, const struct gy_service_answer *service)
{
	if (service->validity_s != 0)
		avp_u32(w, 0, GY_AVP_VALIDITY_TIME, service->validity_s);
}

/* The threshold that belongs to the grant's unit (G-50). */
static void put_threshold(struct writer *w, const struct gy_service_answer *service)
{
	static const uint32_t codes[GY_UNIT_COUNT] = {
		[GY_UNIT_OCTETS] = GY_AVP_VOLUME_QUOTA_THRESHOLD,
		[GY_UNIT_SECONDS] = GY_AVP_TIME_QUOTA_THRESHOLD,
		[GY_UNIT_SERVICE] = GY_AVP_UNIT_QUOTA_THRESHOLD,
	};

	if (service->threshold != 0 && codes[service->unit] != 0)
		avp_u32(w, GY_VENDOR_3GPP, codes[service->unit], service->threshold);
}

/* What the policy says to a session's grants beyond their size: not to events, which are paid and
 * done, nor where nothing is granted. */
static void put_policy(struct writer *w, const struct gy_service_answer *service)
{
	const struct gy_policy *policy = service->policy;
	size_t start;

	if (policy == NULL || service->unit == GY_UNIT_NONE || service->validity_s == 0)
		return;
	if (service->unit == GY_UNIT_SECONDS && policy->quota_consumption_s != 0) /* G-51 */
		avp_u32(w, GY_VENDOR_3GPP, GY_AVP_QUOTA_CONSUMPTION_TIME,
			policy->quota_consumption_s);
	if (!policy->has_triggers)
		return;
	start = group_open(w, GY_VENDOR_3GPP, GY_AVP_TRIGGER); /* empty: all are off (G-52) */
	for (unsigned i = 0; i < policy->n_triggers; i++)
		avp_u32(w, GY_VENDOR_3GPP, GY_AVP_TRIGGER_TYPE, policy->triggers[i]);
	group_close(w, start);
}

/* By this a refund can name the debit (G-75). */
static void put_refund(struct writer *w, const struct gy_answer *answer,
		       const struct gy_service_answer *service)
{
	unsigned place = (unsigned)(service - answer->services);
	uint8_t *p;

	if (!answer->refundable || service->rc != GY_OK || service->unit == GY_UNIT_NONE ||
	    answer->number > GY_REFUND_NUMBER_MAX || place > GY_REFUND_PLACE_MAX)
		return;
	p = avp_open(w, GY_VENDOR_3GPP, GY_AVP_REFUND_INFORMATION, GY_REFUND_SIZE);
	if (p != NULL)
		gy_refund_write(answer->session, answer->number, place, p);
}

/* For people only: 14 and 15 of spec/cards.md. */
static void put_trace(struct writer *w, uint32_t code, const char *text)
{
	size_t start;

	if (text == NULL)
		return;
	start = group_open(w, GY_VENDOR_GYRO, code);
	avp_bytes(w, GY_VENDOR_GYRO, GY_AVP_TRACE_TEXT,
		  (struct gy_bytes){ (const uint8_t *)text, strlen(text) });
	group_close(w, start);
}

static void put_service(struct writer *w, const struct gy_answer *answer,
			const struct gy_service_answer *service)
{
	size_t start = group_open(w, 0, GY_AVP_MULTIPLE_SERVICES_CREDIT_CONTROL);

	put_granted(w, answer, service);
	for (unsigned i = 0; i < service->n_service_ids; i++)
		avp_u32(w, 0, GY_AVP_SERVICE_IDENTIFIER, service->service_ids[i]);
	if (service->has_rating_group)
		avp_u32(w, 0, GY_AVP_RATING_GROUP, service->rating_group);
	put_pool(w, service);
	put_validity(w, service);
	avp_u32(w, 0, GY_AVP_RESULT_CODE, gy_rc_result_code(service->rc));
	put_final_unit(w, service);
	put_threshold(w, service);
	if (service->quota_holding_s != 0)
		avp_u32(w, GY_VENDOR_3GPP, GY_AVP_QUOTA_HOLDING_TIME,
			service->quota_holding_s % GY_QUOTA_HOLDING_OFF);
	put_policy(w, service);
	put_refund(w, answer, service);
	put_trace(w, GY_AVP_TARIFF_TRACE, service->tariff_trace);
	put_trace(w, GY_AVP_BUCKET_TRACE, service->bucket_trace);
	group_close(w, start);
}

/* --- card operations (spec/cards.md) --- */

/* Time as it is sent: whole seconds since 1900 (RFC 6733 §4.3.1). */
static void avp_time(struct writer *w, uint32_t code, gy_time_us time)
{
	avp_u32(w, GY_VENDOR_3GPP, code, (uint32_t)(time / GY_SECOND_US) + NTP_EPOCH_S);
}

static void put_statistics(struct writer *w, const struct gy_answer *answer,
			   const struct gy_card_usage *usage)
{
	size_t start = group_open(w, GY_VENDOR_GYRO, GY_AVP_CARD_STATISTICS);

	avp_bytes(w, GY_VENDOR_GYRO, GY_AVP_CARD_ID, usage->card);
	avp_u32(w, 0, GY_AVP_RATING_GROUP, usage->rating_group);
	put_units(w, usage->unit, usage->used);
	avp_time(w, GY_AVP_START_TIME, usage->from_us);
	avp_time(w, GY_AVP_STOP_TIME, usage->until_us);
	put_money(w, usage->amount, answer->currency);
	avp_u64(w, GY_VENDOR_GYRO, GY_AVP_WINDOW_ID, usage->window_id);
	group_close(w, start);
}

static void put_card(struct writer *w, const struct gy_answer *answer)
{
	const struct gy_card_reply *card = answer->card;

	if (card == NULL)
		return;
	if (card->purchase.data != NULL)
		avp_bytes(w, GY_VENDOR_GYRO, GY_AVP_PURCHASE_ID, card->purchase);
	if (card->card.data != NULL)
		avp_bytes(w, GY_VENDOR_GYRO, GY_AVP_CARD_ID, card->card);
	if (card->binding_id != 0)
		avp_u64(w, GY_VENDOR_GYRO, GY_AVP_BINDING_ID, (uint64_t)card->binding_id);
	if (card->user_class >= 0)
		avp_u32(w, GY_VENDOR_GYRO, GY_AVP_USER_CLASS, (uint32_t)card->user_class);
	if (card->priority >= 0)
		avp_u32(w, GY_VENDOR_GYRO, GY_AVP_USE_PRIORITY, (uint32_t)card->priority);
	for (unsigned i = 0; i < card->n_targets; i++)
		avp_u32(w, 0, GY_AVP_RATING_GROUP, card->targets[i]);
	for (unsigned i = 0; i < card->n_usage; i++)
		put_statistics(w, answer, &card->usage[i]);
}

/* Offending AVPs with their real bytes; missing ones with as many zeros as the type has. */
static void put_failed(struct writer *w, const struct gy_answer *answer)
{
	const struct gy_avp_def *def;
	size_t start;

	if (answer->n_failed == 0)
		return;
	start = group_open(w, 0, GY_AVP_FAILED_AVP);
	for (unsigned i = 0; i < answer->n_failed; i++) {
		const struct gy_failed_avp *failed = &answer->failed[i];
		uint32_t vendor = failed->vendor == GY_VENDOR_OWN ? GY_VENDOR_GYRO : failed->vendor;

		if (failed->avp.data != NULL) {
			avp_copy(w, failed->avp);
		} else {
			def = gy_avp_find(vendor, failed->code);
			avp_open(w, vendor, failed->code, def ? def->size : 0);
		}
	}
	group_close(w, start);
}

/* Units at command level, for clients without MSCC (G-78). */
static void put_command_units(struct writer *w, const struct gy_answer *answer,
			      const struct gy_service_answer *service)
{
	put_granted(w, answer, service);
	put_final_unit(w, service);
	put_validity(w, service);
}

/* G-14: always some cause, and the same for the same error. */
static void put_error_message(struct writer *w, const struct gy_answer *answer)
{
	char text[128];

	if (answer->message != NULL) {
		avp_text(w, 0, GY_AVP_ERROR_MESSAGE, answer->message);
		return;
	}
	snprintf(text, sizeof(text), "%s: %s", gy_rc_name(answer->rc), gy_rc_text(answer->rc));
	avp_text(w, 0, GY_AVP_ERROR_MESSAGE, text);
}

/* What only a successful answer in a session says (G-79, G-90). */
static void put_session(struct writer *w, const struct gy_node *node,
			const struct gy_envelope *envelope)
{
	if (envelope->type != GY_INITIAL && envelope->type != GY_UPDATE)
		return;
	avp_u32(w, 0, GY_AVP_CC_SESSION_FAILOVER, node->alternate_node ? 1 : 0);
	avp_u32(w, 0, GY_AVP_CREDIT_CONTROL_FAILURE_HANDLING, node->alternate_node ? 2 : 0);
}

static bool is_ccr(const struct gy_envelope *envelope)
{
	return envelope->command == GY_CREDIT_CONTROL &&
	       envelope->application == GY_APP_CREDIT_CONTROL;
}

static void put_head(struct writer *w, const struct gy_node *node,
		     const struct gy_envelope *envelope, const struct gy_answer *answer)
{
	if (envelope->session_id.data != NULL)
		avp_bytes(w, 0, GY_AVP_SESSION_ID, envelope->session_id);
	avp_u32(w, 0, GY_AVP_RESULT_CODE, gy_rc_result_code(answer->rc));
	avp_bytes(w, 0, GY_AVP_ORIGIN_HOST, node->identity.host);
	avp_bytes(w, 0, GY_AVP_ORIGIN_REALM, node->identity.realm);
	if (is_ccr(envelope)) {
		avp_u32(w, 0, GY_AVP_AUTH_APPLICATION_ID, GY_APP_CREDIT_CONTROL);
		if (envelope->has_type)
			avp_u32(w, 0, GY_AVP_CC_REQUEST_TYPE, envelope->type);
		if (envelope->has_number)
			avp_u32(w, 0, GY_AVP_CC_REQUEST_NUMBER, envelope->number);
		if (envelope->has_sub_session)
			avp_u64(w, 0, GY_AVP_CC_SUB_SESSION_ID, envelope->sub_session);
		if (envelope->acct_multi_session_id.data != NULL)
			avp_copy(w, envelope->acct_multi_session_id);
	}
	avp_u32(w, 0, GY_AVP_ORIGIN_STATE_ID, node->origin_state_id);
}

/* RFC 7683 §5.1.2, §5.2.3: the algorithm that was chosen in every answer to who knows it; while
 * there is overload, and a while after its end, a report about this host. */
static void put_overload(struct writer *w, const struct gy_node *node,
			 const struct gy_envelope *envelope)
{
	size_t start;

	if (!envelope->overload_reports || !is_ccr(envelope))
		return;
	start = group_open(w, 0, GY_AVP_OC_SUPPORTED_FEATURES);
	avp_u64(w, 0, GY_AVP_OC_FEATURE_VECTOR, GY_OLR_DEFAULT_ALGO);
	group_close(w, start);
	if (node->overload.sequence == 0)
		return;
	start = group_open(w, 0, GY_AVP_OC_OLR);
	avp_u64(w, 0, GY_AVP_OC_SEQUENCE_NUMBER, node->overload.sequence);
	avp_u32(w, 0, GY_AVP_OC_REPORT_TYPE, HOST_REPORT);
	avp_u32(w, 0, GY_AVP_OC_REDUCTION_PERCENTAGE, node->overload.reduction_percent);
	avp_u32(w, 0, GY_AVP_OC_VALIDITY_DURATION, node->overload.validity_s);
	group_close(w, start);
}

/* Command flags: P as in the request, E for protocol errors, never T (G-06, G-07, G-13). */
static void put_header(struct writer *w, const struct gy_envelope *envelope, enum gy_rc rc)
{
	uint8_t *p = extend(w, GY_HEADER_SIZE);

	if (p == NULL)
		return;
	p[0] = 1;
	p[4] = (uint8_t)((envelope->flags & GY_CMD_PROXIABLE) |
			 (gy_rc_is_protocol_error(rc) ? GY_CMD_ERROR : 0));
	put24(p + 5, envelope->command);
	put32(p + 8, envelope->application);
	put32(p + 12, envelope->hop_by_hop);
	put32(p + 16, envelope->end_to_end);
}

uint8_t *gy_answer_encode(const struct gy_node *node, const struct gy_envelope *envelope,
			  const struct gy_answer *answer, size_t *size)
{
	struct writer w = { .cap = FIRST_GUESS + answer->n_services * (size_t)FULL_SERVICE };

	w.data = malloc(w.cap);
	if (w.data == NULL)
		return NULL;
	put_header(&w, envelope, answer->rc);
	put_head(&w, node, envelope, answer);
	if (answer->rc == GY_OK)
		put_session(&w, node, envelope);
	else
		put_error_message(&w, answer);
	put_failed(&w, answer);
	if (answer->rc == GY_OK && !answer->at_command_level)
		for (unsigned i = 0; i < answer->n_services; i++)
			put_service(&w, answer, &answer->services[i]);
	else if (answer->rc == GY_OK && answer->n_services > 0)
		put_command_units(&w, answer, &answer->services[0]);
	if (answer->rc == GY_OK) {
		put_event(&w, answer);
		put_card(&w, answer);
	}
	put_overload(&w, node, envelope);
	for (unsigned i = 0; i < envelope->n_proxies; i++)
		avp_copy(&w, envelope->proxies[i]);
	if (w.failed || w.len > 0xffffff) {
		free(w.data);
		return NULL;
	}
	put24(w.data + 1, w.len);
	*size = w.len;
	return w.data;
}
