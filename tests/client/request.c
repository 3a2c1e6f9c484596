/* CCR: from struct gy_case_request to bytes; see the header. */
#include <stdlib.h>
#include <string.h>
#include <talloc.h>

#include "dict/gy_avp_table.h"
#include "tests/client/avp.h"
#include "tests/client/request.h"

#define IETF 0
#define TGPP GY_VENDOR_3GPP

#define NTP_OFFSET_S INT64_C(2208988800) /* from 1900 to 1970 (RFC 6733 §4.3.1, Time) */

/* A request while it is made. */
struct maker {
	const struct gy_case_request *request;
	struct msg *message;
	struct avp *first; /* Session-Id keeps its place when the rest is reversed */
};

static bool left_out(const struct gy_case_request *r, uint32_t code)
{
	for (unsigned i = 0; i < r->n_omit; i++)
		if (r->omit[i] == code)
			return true;
	return false;
}

/* reverse: each further AVP goes directly behind the first (G-15). */
static void place(struct maker *m, struct avp *avp)
{
	if (m->request->reverse && m->first) {
		if (fd_msg_avp_add(m->first, MSG_BRW_NEXT, avp) != 0)
			abort();
		return;
	}
	gy_avp_put(m->message, avp);
	if (!m->first)
		m->first = avp;
}

static void add(struct maker *m, struct avp *avp)
{
	if (left_out(m->request, gy_avp_code(avp))) {
		fd_msg_free(avp);
		return;
	}
	place(m, avp);
}

static void add_raw(msg_or_avp *parent, unsigned n, const struct gy_case_raw *raw)
{
	for (unsigned i = 0; i < n; i++)
		gy_avp_put(parent, gy_avp_raw(raw[i].vendor, raw[i].code, raw[i].flags, raw[i].data,
					      raw[i].len));
}

/* ---- units ---- */

/* CC-Money: micro-units are Value-Digits with Exponent -6 (RFC 8506 §8.22). */
static struct avp *money(int64_t micros)
{
	struct avp *avp = gy_avp_group(IETF, GY_AVP_CC_MONEY);
	struct avp *value = gy_avp_put(avp, gy_avp_group(IETF, GY_AVP_UNIT_VALUE));

	gy_avp_put(value, gy_avp_number(IETF, GY_AVP_VALUE_DIGITS, micros));
	gy_avp_put(value, gy_avp_number(IETF, GY_AVP_EXPONENT, -6));
	return avp;
}

static void put_units(struct avp *parent, const struct gy_case_units *units)
{
	static const struct {
		enum gy_case_quantity quantity;
		uint32_t code;
	} order[] = {
		{ GY_CASE_SECONDS, GY_AVP_CC_TIME },
		{ GY_CASE_MONEY, GY_AVP_CC_MONEY },
		{ GY_CASE_TOTAL, GY_AVP_CC_TOTAL_OCTETS },
		{ GY_CASE_INPUT, GY_AVP_CC_INPUT_OCTETS },
		{ GY_CASE_OUTPUT, GY_AVP_CC_OUTPUT_OCTETS },
		{ GY_CASE_SERVICE, GY_AVP_CC_SERVICE_SPECIFIC_UNITS },
	};

	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		enum gy_case_quantity q = order[i].quantity;

		if (!units->present[q])
			continue;
		gy_avp_put(parent, q == GY_CASE_MONEY
					   ? money(units->count[q])
					   : gy_avp_number(IETF, order[i].code, units->count[q]));
	}
}

static struct avp *requested(const struct gy_case_service *s)
{
	struct avp *avp = gy_avp_group(IETF, GY_AVP_REQUESTED_SERVICE_UNIT);

	put_units(avp, &s->requested_units);
	return avp;
}

static struct avp *used(const struct gy_case_service *s, const struct gy_case_used *u)
{
	struct avp *avp = gy_avp_group(IETF, GY_AVP_USED_SERVICE_UNIT);

	if (s->used_reason >= 0)
		gy_avp_put(avp, gy_avp_number(TGPP, GY_AVP_REPORTING_REASON, s->used_reason));
	if (u->tariff_change >= 0)
		gy_avp_put(avp, gy_avp_number(IETF, GY_AVP_TARIFF_CHANGE_USAGE, u->tariff_change));
	put_units(avp, &u->units);
	return avp;
}

static struct avp *service(const struct gy_case_service *s)
{
	struct avp *avp = gy_avp_group(IETF, GY_AVP_MULTIPLE_SERVICES_CREDIT_CONTROL);

	if (s->requested)
		gy_avp_put(avp, requested(s));
	for (unsigned i = 0; i < s->n_used; i++)
		gy_avp_put(avp, used(s, &s->used[i]));
	for (unsigned i = 0; i < s->n_service_ids; i++)
		gy_avp_put(avp, gy_avp_number(IETF, GY_AVP_SERVICE_IDENTIFIER, s->service_ids[i]));
	if (s->has_rating_group)
		gy_avp_put(avp, gy_avp_number(IETF, GY_AVP_RATING_GROUP, s->rating_group));
	if (s->reason >= 0)
		gy_avp_put(avp, gy_avp_number(TGPP, GY_AVP_REPORTING_REASON, s->reason));
	add_raw(avp, s->n_raw, s->raw);
	return avp;
}

/* Units of a client without MSCC (G-78). */
static void add_at_command_level(struct maker *m, const struct gy_case_service *s)
{
	if (s->requested)
		add(m, requested(s));
	for (unsigned i = 0; i < s->n_used; i++)
		add(m, used(s, &s->used[i]));
	for (unsigned i = 0; i < s->n_service_ids; i++)
		add(m, gy_avp_number(IETF, GY_AVP_SERVICE_IDENTIFIER, s->service_ids[i]));
	for (unsigned i = 0; i < s->n_raw; i++)
		place(m, gy_avp_raw(s->raw[i].vendor, s->raw[i].code, s->raw[i].flags,
				    s->raw[i].data, s->raw[i].len));
}

/* ---- identities ---- */

/* Subscription-Id-Type by kind (RFC 8506 §8.47). */
static const int subscription_type[GY_IDENTITY_KINDS] = {
	[GY_CASE_IMSI] = 1,    [GY_CASE_E164] = 0,    [GY_CASE_NAI] = 3,
	[GY_CASE_SIP_URI] = 2, [GY_CASE_PRIVATE] = 4, [GY_CASE_USER_NAME] = -1,
};

static void add_identity(struct maker *m, const struct gy_case_identity *identity,
			 const char *value)
{
	char with_plus[256];
	struct avp *avp;

	if (identity->plus) {
		with_plus[0] = '+';
		strncpy(with_plus + 1, value, sizeof(with_plus) - 2);
		with_plus[sizeof(with_plus) - 1] = '\0';
		value = with_plus;
	}
	if (identity->kind == GY_CASE_USER_NAME) {
		add(m, gy_avp_text(IETF, GY_AVP_USER_NAME, value));
		return;
	}
	avp = gy_avp_group(IETF, GY_AVP_SUBSCRIPTION_ID);
	gy_avp_put(avp, gy_avp_number(IETF, GY_AVP_SUBSCRIPTION_ID_TYPE,
				      subscription_type[identity->kind]));
	gy_avp_put(avp, gy_avp_text(IETF, GY_AVP_SUBSCRIPTION_ID_DATA, value));
	add(m, avp);
}

/* False if the subscriber has no such identity. */
static bool add_identities(struct maker *m, const struct gy_request_frame *frame)
{
	for (unsigned i = 0; i < m->request->n_identities; i++) {
		const struct gy_case_identity *identity = &m->request->identities[i];
		const char *value =
			identity->value ? identity->value : frame->identity[identity->kind];

		if (!value)
			return false;
		add_identity(m, identity, value);
	}
	return true;
}

/* ---- the rest ---- */

static struct avp *time_avp(int64_t unix_s)
{
	uint32_t ntp = (uint32_t)(unix_s + NTP_OFFSET_S);
	const uint8_t bytes[] = { (uint8_t)(ntp >> 24), (uint8_t)(ntp >> 16), (uint8_t)(ntp >> 8),
				  (uint8_t)ntp };

	return gy_avp_octets(IETF, GY_AVP_EVENT_TIMESTAMP, bytes, sizeof(bytes));
}

static struct avp *bearer_avp(const struct gy_bearer *b)
{
	struct avp *avp = gy_avp_group(TGPP, GY_AVP_SERVICE_INFORMATION);
	struct avp *ps = gy_avp_put(avp, gy_avp_group(TGPP, GY_AVP_PS_INFORMATION));
	const uint8_t id[] = { (uint8_t)(b->charging_id >> 24), (uint8_t)(b->charging_id >> 16),
			       (uint8_t)(b->charging_id >> 8), (uint8_t)b->charging_id };
	uint8_t address[6] = { 0, 1 }; /* Address: family 1 is IPv4 */

	memcpy(address + 2, b->pdp_address, 4);
	gy_avp_put(ps, gy_avp_octets(TGPP, GY_AVP_3GPP_CHARGING_ID, id, sizeof(id)));
	gy_avp_put(ps, gy_avp_octets(TGPP, GY_AVP_PDP_ADDRESS, address, sizeof(address)));
	gy_avp_put(ps, gy_avp_text(IETF, GY_AVP_CALLED_STATION_ID, b->apn));
	gy_avp_put(ps, gy_avp_text(TGPP, GY_AVP_3GPP_SGSN_MCC_MNC, b->serving_network));
	gy_avp_put(ps, gy_avp_octets(TGPP, GY_AVP_3GPP_RAT_TYPE, &b->rat, 1));
	if (b->charging_characteristics)
		gy_avp_put(ps, gy_avp_text(TGPP, GY_AVP_3GPP_CHARGING_CHARACTERISTICS,
					   b->charging_characteristics));
	return avp;
}

static void add_proxies(struct maker *m)
{
	for (unsigned i = 0; i < m->request->n_proxies; i++) {
		struct avp *avp = gy_avp_group(IETF, GY_AVP_PROXY_INFO);

		gy_avp_put(avp, gy_avp_text(IETF, GY_AVP_PROXY_HOST, m->request->proxies[i].host));
		gy_avp_put(avp,
			   gy_avp_text(IETF, GY_AVP_PROXY_STATE, m->request->proxies[i].state));
		add(m, avp);
	}
}

static int64_t or_else(int64_t given, int64_t otherwise)
{
	return given >= 0 ? given : otherwise;
}

static int64_t type_value(char type)
{
	return type == 'I' ? 1 : type == 'U' ? 2 : type == 'T' ? 3 : 4;
}

static void add_routing(struct maker *m, const struct gy_request_frame *frame)
{
	const struct gy_case_request *r = m->request;
	const char *host = r->host ? r->host : frame->destination_host;

	add(m, gy_avp_text(IETF, GY_AVP_SESSION_ID, frame->session_id));
	add(m, gy_avp_text(IETF, GY_AVP_ORIGIN_HOST, frame->origin_host));
	add(m, gy_avp_text(IETF, GY_AVP_ORIGIN_REALM, frame->origin_realm));
	add(m, gy_avp_text(IETF, GY_AVP_DESTINATION_REALM,
			   r->realm ? r->realm : frame->destination_realm));
	if (host)
		add(m, gy_avp_text(IETF, GY_AVP_DESTINATION_HOST, host));
	add(m, gy_avp_number(IETF, GY_AVP_AUTH_APPLICATION_ID, or_else(r->auth_application, 4)));
}

static void add_command(struct maker *m, const struct gy_request_frame *frame)
{
	const struct gy_case_request *r = m->request;

	if (!r->no_context)
		add(m, gy_avp_text(IETF, GY_AVP_SERVICE_CONTEXT_ID,
				   r->context ? r->context : "32251@3gpp.org"));
	add(m,
	    gy_avp_number(IETF, GY_AVP_CC_REQUEST_TYPE, or_else(r->cc_type, type_value(r->type))));
	add(m, gy_avp_number(IETF, GY_AVP_CC_REQUEST_NUMBER, r->number));
	if (r->has_sub_session)
		add(m, gy_avp_number(IETF, GY_AVP_CC_SUB_SESSION_ID, (int64_t)r->sub_session));
	if (r->origin_state >= 0)
		add(m, gy_avp_number(IETF, GY_AVP_ORIGIN_STATE_ID, r->origin_state));
	if (frame->event_time_s >= 0)
		add(m, time_avp(frame->event_time_s));
	if (r->termination_cause >= 0)
		add(m, gy_avp_number(IETF, GY_AVP_TERMINATION_CAUSE, r->termination_cause));
	if (r->action >= 0)
		add(m, gy_avp_number(IETF, GY_AVP_REQUESTED_ACTION, r->action));
	if (r->multiple_services >= 0)
		add(m,
		    gy_avp_number(IETF, GY_AVP_MULTIPLE_SERVICES_INDICATOR, r->multiple_services));
}

uint8_t *gy_request_encode(const struct gy_case_request *r, const struct gy_request_frame *frame,
			   size_t *len)
{
	struct maker m = { .request = r };
	struct msg_hdr *header;

	m.message = gy_message_new("Credit-Control-Request", frame->hop_by_hop, frame->end_to_end);
	add_routing(&m, frame);
	add_command(&m, frame);
	if (!add_identities(&m, frame)) {
		gy_message_free(m.message);
		return NULL;
	}
	for (unsigned i = 0; i < r->n_services; i++) {
		if (r->services[i].at_command_level)
			add_at_command_level(&m, &r->services[i]);
		else
			add(&m, service(&r->services[i]));
	}
	if (frame->bearer)
		add(&m, bearer_avp(frame->bearer));
	add_proxies(&m);
	for (unsigned i = 0; i < r->n_raw; i++)
		place(&m, gy_avp_raw(r->raw[i].vendor, r->raw[i].code, r->raw[i].flags,
				     r->raw[i].data, r->raw[i].len));
	header = gy_message_header(m.message);
	header->msg_flags = CMD_FLAG_REQUEST | CMD_FLAG_PROXIABLE;
	if (r->t_bit)
		header->msg_flags |= CMD_FLAG_RETRANSMIT;
	if (r->header_error)
		header->msg_flags |= CMD_FLAG_ERROR;
	header->msg_appl = (uint32_t)or_else(r->header_application, 4);
	header->msg_code = (uint32_t)or_else(r->header_command, 272);
	return gy_message_encode(m.message, len);
}

void gy_request_restamp(uint8_t *bytes, uint32_t hop_by_hop, bool retransmitted)
{
	bytes[4] = (uint8_t)(retransmitted ? bytes[4] | CMD_FLAG_RETRANSMIT
					   : bytes[4] & ~CMD_FLAG_RETRANSMIT);
	for (int i = 0; i < 4; i++)
		bytes[12 + i] = (uint8_t)(hop_by_hop >> (24 - 8 * i));
}

struct gy_case_request gy_request_plain(char type, uint32_t number)
{
	return (struct gy_case_request){ .type = type,
					 .number = number,
					 .multiple_services = -1,
					 .action = -1,
					 .auth_application = -1,
					 .cc_type = -1,
					 .connection = 1,
					 .origin_state = -1,
					 .termination_cause = -1,
					 .header_application = -1,
					 .header_command = -1 };
}

/* ---- copies ---- */

static void *need(void *p)
{
	if (!p)
		abort();
	return p;
}

#define COPY_ARRAY(pool, array, n) \
	((n) > 0 ? need(talloc_memdup((pool), (array), (n) * sizeof(*(array)))) : NULL)

static const char *copy_text(void *pool, const char *text)
{
	return text ? need(talloc_strdup(pool, text)) : NULL;
}

static const struct gy_case_raw *copy_raw(void *pool, const struct gy_case_raw *raw, unsigned n)
{
	struct gy_case_raw *copy = COPY_ARRAY(pool, raw, n);

	for (unsigned i = 0; i < n; i++)
		copy[i].data = COPY_ARRAY(pool, raw[i].data, raw[i].len);
	return copy;
}

static const struct gy_case_service *copy_services(void *pool, const struct gy_case_service *from,
						   unsigned n)
{
	struct gy_case_service *copy = COPY_ARRAY(pool, from, n);

	for (unsigned i = 0; i < n; i++) {
		copy[i].service_ids = COPY_ARRAY(pool, from[i].service_ids, from[i].n_service_ids);
		copy[i].used = COPY_ARRAY(pool, from[i].used, from[i].n_used);
		copy[i].raw = copy_raw(pool, from[i].raw, from[i].n_raw);
	}
	return copy;
}

static const struct gy_case_identity *copy_identities(void *pool,
						      const struct gy_case_identity *from,
						      unsigned n)
{
	struct gy_case_identity *copy = COPY_ARRAY(pool, from, n);

	for (unsigned i = 0; i < n; i++)
		copy[i].value = copy_text(pool, from[i].value);
	return copy;
}

static const struct gy_case_proxy *copy_proxies(void *pool, const struct gy_case_proxy *from,
						unsigned n)
{
	struct gy_case_proxy *copy = COPY_ARRAY(pool, from, n);

	for (unsigned i = 0; i < n; i++) {
		copy[i].host = copy_text(pool, from[i].host);
		copy[i].state = copy_text(pool, from[i].state);
	}
	return copy;
}

struct gy_case_request *gy_request_copy(void *pool, const struct gy_case_request *from)
{
	struct gy_case_request *r = need(talloc_memdup(pool, from, sizeof(*from)));

	r->identities = copy_identities(r, from->identities, from->n_identities);
	r->context = copy_text(r, from->context);
	r->realm = copy_text(r, from->realm);
	r->host = copy_text(r, from->host);
	r->proxies = copy_proxies(r, from->proxies, from->n_proxies);
	r->raw = copy_raw(r, from->raw, from->n_raw);
	r->omit = COPY_ARRAY(r, from->omit, from->n_omit);
	r->services = copy_services(r, from->services, from->n_services);
	return r;
}
