/* The second step of decoding: one pass over the top-level AVPs of a CCR. See decode.h. */
#include <string.h>
#include <strings.h>
#include <talloc.h>
#define XXH_INLINE_ALL /* the state lives on the stack */
#include <xxhash.h>

#include "extensions/app_gyro/decode_internal.h"
#include "extensions/app_gyro/refund.h"
#include "extensions/app_gyro/session_key.h"

#define IETF(name) GY_AVP_ID(0, GY_AVP_##name)
#define TGPP(name) GY_AVP_ID(GY_VENDOR_3GPP, GY_AVP_##name)

/* Single top-level AVPs: one bit each, for G-08 and G-12. */
enum {
	SESSION_ID,
	ORIGIN_HOST,
	ORIGIN_REALM,
	DESTINATION_REALM,
	DESTINATION_HOST,
	AUTH_APPLICATION,
	SERVICE_CONTEXT,
	REQUEST_TYPE,
	REQUEST_NUMBER,
	USER_NAME,
	ORIGIN_STATE,
	EVENT_TIMESTAMP,
	TERMINATION_CAUSE,
	REQUESTED_ACTION,
	MULTIPLE_SERVICES,
	SUB_SESSION,
	MULTI_SESSION,
	CORRELATION,
	EQUIPMENT,
	REQUESTED_UNIT,
	SERVICE_ID,
	SERVICE_INFORMATION,
	VENDOR_APPLICATION, /* Auth-Application-Id inside Vendor-Specific-Application-Id */
};

/* Where an identity stood: the order of G-16, above the kind. */
enum { FROM_SUBSCRIPTION_ID, FROM_EXTENSION, FROM_USER_NAME, FROM_SERVICE_INFORMATION };

struct ccr_decoder {
	struct gy_decoder base;
	struct gy_ccr *ccr;
	const struct gy_decode_terms *terms;
	struct gy_correlation correlation; /* kept with the record (G-31) */
	uint32_t seen;
	unsigned n_services, max_services;
	struct gy_service *services;
	struct gy_service command; /* units at command level (G-78) */
	uint32_t command_service_id;
	unsigned max_used;
	struct gy_used *command_used;
	struct gy_identity identities[GY_IDENTITIES_MAX];
	unsigned rank[GY_IDENTITIES_MAX]; /* ascending */
	unsigned n_identities;
};

/* --- identities (G-16) ------------------------------------------------------------------- */

/* Place among identities of one origin: IMSI, E164, NAI, PRIVATE, SIP URI. */
static unsigned kind_rank(enum gy_identity_kind kind)
{
	switch (kind) {
	case GY_IDENTITY_IMSI:
		return 0;
	case GY_IDENTITY_E164:
		return 1;
	case GY_IDENTITY_NAI:
		return 2;
	case GY_IDENTITY_PRIVATE:
		return 3;
	default:
		return 4;
	}
}

static bool same_bytes(struct gy_bytes a, struct gy_bytes b)
{
	return a.len == b.len && memcmp(a.data, b.data, a.len) == 0;
}

static void identity_add(struct ccr_decoder *d, unsigned from, enum gy_identity_kind kind,
			 struct gy_bytes value, const struct gy_avp *avp)
{
	unsigned rank = from * 8 + kind_rank(kind), i, places;

	if (kind == GY_IDENTITY_E164 && value.len > 0 && value.data[0] == '+')
		value = (struct gy_bytes){ value.data + 1, value.len - 1 };
	if (value.len == 0)
		return;
	/* The database takes no such text, and would refuse the whole batch. */
	if (memchr(value.data, 0, value.len) != NULL)
		gy_fault(&d->base, GY_INVALID_AVP_VALUE, avp, "holds a NUL octet");
	for (i = 0; i < d->n_identities; i++)
		if (d->identities[i].kind == kind && same_bytes(d->identities[i].value, value))
			break; /* said twice: Service-Information repeats what stands above */
	places = i;
	if (places < d->n_identities && d->rank[places] <= rank)
		return;
	if (places == GY_IDENTITIES_MAX) {
		gy_fault(&d->base, GY_AVP_OCCURS_TOO_MANY_TIMES, avp, "is one identity too many");
		return;
	}
	if (places == d->n_identities)
		d->n_identities++;
	for (i = places; i > 0 && d->rank[i - 1] > rank; i--) {
		d->rank[i] = d->rank[i - 1];
		d->identities[i] = d->identities[i - 1];
	}
	d->rank[i] = rank;
	d->identities[i] = (struct gy_identity){ kind, value, avp->whole };
}

static void subscription_id(struct ccr_decoder *d, const struct gy_avp *group, unsigned from)
{
	enum gy_identity_kind kind;
	struct gy_bytes value;

	if (gy_decode_subscription_id(&d->base, group, &kind, &value))
		identity_add(d, from, kind, value, group);
}

/* Subscription-Id-Extension (RFC 8506 §8.59): the kind is the child's code. */
static void subscription_id_extension(struct ccr_decoder *d, const struct gy_avp *group,
				      unsigned from)
{
	struct gy_avp_cursor cursor = gy_avp_cursor(group->data);
	const struct gy_avp_def *def;
	struct gy_avp avp;

	while (gy_decoder_next(&d->base, &cursor, &avp, &def)) {
		switch (GY_AVP_ID(avp.vendor, avp.code)) {
		case IETF(SUBSCRIPTION_ID_E164):
			identity_add(d, from, GY_IDENTITY_E164, avp.data, group);
			break;
		case IETF(SUBSCRIPTION_ID_IMSI):
			identity_add(d, from, GY_IDENTITY_IMSI, avp.data, group);
			break;
		case IETF(SUBSCRIPTION_ID_SIP_URI):
			identity_add(d, from, GY_IDENTITY_SIP_URI, avp.data, group);
			break;
		case IETF(SUBSCRIPTION_ID_NAI):
			identity_add(d, from, GY_IDENTITY_NAI, avp.data, group);
			break;
		case IETF(SUBSCRIPTION_ID_PRIVATE):
			identity_add(d, from, GY_IDENTITY_PRIVATE, avp.data, group);
			break;
		default:
			gy_decoder_skip(&d->base, &avp, def);
		}
	}
}

/* --- Service-Information (spec/gy.md 1.4) -------------------------------------------------- */

static void ps_information(struct ccr_decoder *d, const struct gy_avp *group)
{
	struct gy_conditions *conditions = &d->ccr->conditions;
	struct gy_avp_cursor cursor = gy_avp_cursor(group->data);
	const struct gy_avp_def *def;
	uint32_t seen = 0;
	struct gy_avp avp;

	while (gy_decoder_next(&d->base, &cursor, &avp, &def)) {
		switch (GY_AVP_ID(avp.vendor, avp.code)) {
		case IETF(CALLED_STATION_ID):
			if (gy_decoder_once(&d->base, &seen, 0, &avp))
				conditions->apn = avp.data;
			break;
		case TGPP(3GPP_SGSN_MCC_MNC):
			if (gy_decoder_once(&d->base, &seen, 1, &avp))
				conditions->serving_mcc_mnc = avp.data;
			break;
		case TGPP(3GPP_RAT_TYPE):
			if (gy_decoder_once(&d->base, &seen, 2, &avp))
				conditions->rat_type = avp.data;
			break;
		case TGPP(3GPP_USER_LOCATION_INFO):
			if (gy_decoder_once(&d->base, &seen, 3, &avp))
				conditions->location = avp.data;
			break;
		case TGPP(3GPP_MS_TIMEZONE):
			if (gy_decoder_once(&d->base, &seen, 4, &avp))
				conditions->time_zone = avp.data;
			break;
		case TGPP(3GPP_CHARGING_CHARACTERISTICS):
			if (gy_decoder_once(&d->base, &seen, 5, &avp))
				conditions->charging_characteristics = avp.data;
			break;
		case TGPP(CHARGING_RULE_BASE_NAME):
			if (gy_decoder_once(&d->base, &seen, 6, &avp))
				conditions->rule_base = avp.data;
			break;
		default:
			gy_decoder_skip(&d->base, &avp, def);
		}
	}
}

static void service_information(struct ccr_decoder *d, const struct gy_avp *group)
{
	struct gy_avp_cursor cursor = gy_avp_cursor(group->data);
	const struct gy_avp_def *def;
	struct gy_avp avp;
	uint32_t seen = 0;

	while (gy_decoder_next(&d->base, &cursor, &avp, &def)) {
		switch (GY_AVP_ID(avp.vendor, avp.code)) {
		case TGPP(PS_INFORMATION):
			if (gy_decoder_once(&d->base, &seen, 0, &avp))
				ps_information(d, &avp);
			break;
		case IETF(SUBSCRIPTION_ID):
			subscription_id(d, &avp, FROM_SERVICE_INFORMATION);
			break;
		case IETF(SUBSCRIPTION_ID_EXTENSION):
			subscription_id_extension(d, &avp, FROM_SERVICE_INFORMATION);
			break;
		default:
			gy_decoder_skip(&d->base, &avp, def);
		}
	}
}

/* --- the command level --------------------------------------------------------------------- */

/* The value of an Enumerated or Unsigned32 that must lie in [low, high] (G-11). */
static uint32_t ranged(struct ccr_decoder *d, const struct gy_avp *avp, uint32_t low, uint32_t high,
		       const char *reason)
{
	uint32_t value = gy_get32(avp->data.data);

	if (value < low || value > high) {
		gy_fault(&d->base, GY_INVALID_AVP_VALUE, avp, reason);
		return low;
	}
	return value;
}

/* Text that is a key somewhere: there, and without a NUL (F3: freeDiameter dies of one). */
static struct gy_bytes name(struct ccr_decoder *d, const struct gy_avp *avp, size_t max)
{
	if (avp->data.len == 0)
		gy_fault(&d->base, GY_INVALID_AVP_VALUE, avp, "is empty");
	else if (avp->data.len > max)
		gy_fault(&d->base, GY_INVALID_AVP_VALUE, avp, "is too long");
	else if (memchr(avp->data.data, 0, avp->data.len) != NULL)
		gy_fault(&d->base, GY_INVALID_AVP_VALUE, avp, "holds a NUL octet");
	return avp->data;
}

/* A DiameterIdentity is a host name in ASCII (RFC 6733 §4.3.1); the database keeps it as text. */
static struct gy_bytes host_name(struct ccr_decoder *d, const struct gy_avp *avp)
{
	struct gy_bytes value = name(d, avp, 255);

	for (size_t i = 0; i < value.len; i++)
		if (value.data[i] <= ' ' || value.data[i] > '~') {
			gy_fault(&d->base, GY_INVALID_AVP_VALUE, avp, "is not a host name");
			break;
		}
	return value;
}

/* Kamailio 5.6 tells its Origin twice. The same octets again say nothing new and are passed over;
 * anything else said twice is one AVP too many (G-12). */
static bool origin_once(struct ccr_decoder *d, unsigned bit, struct gy_bytes first,
			const struct gy_avp *avp)
{
	if ((d->seen >> bit & 1) && same_bytes(first, avp->data))
		return false;
	return gy_decoder_once(&d->base, &d->seen, bit, avp);
}

static bool same_name(struct gy_bytes a, struct gy_bytes b)
{
	return a.len == b.len &&
	       strncasecmp((const char *)a.data, (const char *)b.data, a.len) == 0;
}

/* F10: a peer speaks for itself, unless it is configured as an agent. */
static void origin_host(struct ccr_decoder *d, const struct gy_avp *avp)
{
	struct gy_bytes peer = d->terms->origin_host;

	d->ccr->origin_host = host_name(d, avp);
	if (peer.data != NULL && !same_name(avp->data, peer))
		gy_fault(&d->base, GY_INVALID_AVP_VALUE, avp, "is not the connected peer's");
}

static bool lies_in(struct gy_bytes host, struct gy_bytes realm)
{
	size_t before = host.len - realm.len;

	return host.len > realm.len && host.data[before - 1] == '.' &&
	       same_name((struct gy_bytes){ host.data + before, realm.len }, realm);
}

/* A session is its realm's: a peer must not name another one than its own (P17). */
static void origin_realm(struct ccr_decoder *d, const struct gy_avp *avp)
{
	const struct gy_decode_terms *terms = d->terms;

	d->ccr->origin_realm = host_name(d, avp);
	if (terms->origin_host.data == NULL)
		return;
	if (terms->origin_realm.data != NULL ? !same_name(avp->data, terms->origin_realm)
					     : !lies_in(terms->origin_host, avp->data))
		gy_fault(&d->base, GY_INVALID_AVP_VALUE, avp, "is not the connected peer's realm");
}

/* AVPs that occur at most once. False: not one of these. */
static bool take_single(struct ccr_decoder *d, const struct gy_avp *avp,
			const struct gy_avp_def *def)
{
	struct gy_ccr *ccr = d->ccr;
	struct gy_decoder *base = &d->base;

#define SINGLE(id, bit)                                         \
	case id:                                                \
		if (!gy_decoder_once(base, &d->seen, bit, avp)) \
			return true;

	switch (GY_AVP_ID(avp->vendor, avp->code)) {
		SINGLE(IETF(SESSION_ID), SESSION_ID)
		ccr->session_id = name(d, avp, GY_SESSION_ID_MAX);
		return true;
	case IETF(ORIGIN_HOST):
		if (origin_once(d, ORIGIN_HOST, ccr->origin_host, avp))
			origin_host(d, avp);
		return true;
	case IETF(ORIGIN_REALM):
		if (origin_once(d, ORIGIN_REALM, ccr->origin_realm, avp))
			origin_realm(d, avp);
		return true;
		SINGLE(IETF(DESTINATION_REALM), DESTINATION_REALM)
		return true; /* judged with the envelope */
		SINGLE(IETF(DESTINATION_HOST), DESTINATION_HOST)
		return true;
		SINGLE(IETF(AUTH_APPLICATION_ID), AUTH_APPLICATION)
		ranged(d, avp, GY_APP_CREDIT_CONTROL, GY_APP_CREDIT_CONTROL,
		       "is not 4, as the header says");
		return true;
		SINGLE(IETF(SERVICE_CONTEXT_ID), SERVICE_CONTEXT)
		ccr->service_context = avp->data;
		ccr->service_context_avp = avp->whole;
		return true;
		SINGLE(IETF(CC_REQUEST_TYPE), REQUEST_TYPE)
		ccr->type = (enum gy_request_type)ranged(d, avp, GY_INITIAL, GY_EVENT,
							 "is none of 1..4");
		return true;
		SINGLE(IETF(CC_REQUEST_NUMBER), REQUEST_NUMBER)
		ccr->number = gy_get32(avp->data.data);
		ccr->number_avp = avp->whole;
		return true;
		SINGLE(IETF(USER_NAME), USER_NAME)
		identity_add(d, FROM_USER_NAME, GY_IDENTITY_USER_NAME, avp->data, avp);
		return true;
		SINGLE(IETF(ORIGIN_STATE_ID), ORIGIN_STATE)
		ccr->has_origin_state = true;
		ccr->origin_state = gy_get32(avp->data.data);
		return true;
		SINGLE(IETF(EVENT_TIMESTAMP), EVENT_TIMESTAMP)
		return true; /* its length is checked; usage counts when it is reported */
		SINGLE(IETF(TERMINATION_CAUSE), TERMINATION_CAUSE)
		ccr->termination_cause = (int)gy_get32(avp->data.data);
		d->correlation.has_termination_cause = true;
		d->correlation.termination_cause = gy_get32(avp->data.data);
		return true;
		SINGLE(IETF(REQUESTED_ACTION), REQUESTED_ACTION)
		ccr->action = (enum gy_requested_action)ranged(d, avp, GY_DIRECT_DEBITING,
							       GY_PRICE_ENQUIRY, "is none of 0..3");
		return true;
		SINGLE(IETF(MULTIPLE_SERVICES_INDICATOR), MULTIPLE_SERVICES)
		ccr->multiple_services = gy_get32(avp->data.data) == 1;
		return true;
		SINGLE(IETF(CC_SUB_SESSION_ID), SUB_SESSION)
		ccr->has_sub_session = true;
		ccr->sub_session = gy_get64(avp->data.data);
		return true;
		SINGLE(IETF(ACCT_MULTI_SESSION_ID), MULTI_SESSION)
		d->correlation.multi_session = *avp; /* echoed with the envelope */
		return true;
		SINGLE(IETF(CC_CORRELATION_ID), CORRELATION)
		d->correlation.correlation_id = *avp;
		return true;
		SINGLE(IETF(USER_EQUIPMENT_INFO), EQUIPMENT)
		gy_decoder_skip(base, avp, def);
		return true;
		SINGLE(IETF(REQUESTED_SERVICE_UNIT), REQUESTED_UNIT)
		gy_decode_requested(base, avp, &d->command);
		return true;
		SINGLE(IETF(SERVICE_IDENTIFIER), SERVICE_ID)
		d->command_service_id = gy_get32(avp->data.data);
		d->command.n_service_ids = 1;
		return true;
		SINGLE(TGPP(SERVICE_INFORMATION), SERVICE_INFORMATION)
		base->lenient = d->terms->lenient_unknown_mandatory;
		service_information(d, avp);
		base->lenient = false;
		return true;
	default:
		return false;
	}
#undef SINGLE
}

static void take(struct ccr_decoder *d, const struct gy_avp *avp, const struct gy_avp_def *def)
{
	if (take_single(d, avp, def))
		return;
	switch (GY_AVP_ID(avp->vendor, avp->code)) {
	case IETF(SUBSCRIPTION_ID):
		subscription_id(d, avp, FROM_SUBSCRIPTION_ID);
		break;
	case IETF(SUBSCRIPTION_ID_EXTENSION):
		subscription_id_extension(d, avp, FROM_EXTENSION);
		break;
	case IETF(MULTIPLE_SERVICES_CREDIT_CONTROL):
		if (d->n_services < d->max_services)
			gy_decode_service(&d->base, avp, &d->services[d->n_services++]);
		else
			gy_fault(&d->base, GY_AVP_OCCURS_TOO_MANY_TIMES, avp,
				 "occurs too many times");
		break;
	case IETF(VENDOR_SPECIFIC_APPLICATION_ID):
		if (gy_avp_count(avp->data, 0, GY_AVP_AUTH_APPLICATION_ID) > 0)
			d->seen |= 1u << VENDOR_APPLICATION;
		gy_decoder_skip(&d->base, avp, def);
		break;
	case IETF(USED_SERVICE_UNIT):
		if (d->max_services > 0)
			gy_decoder_skip(&d->base, avp, def); /* the MSCCs count */
		else if (d->command.n_used < d->max_used)
			gy_decode_used(&d->base, avp, &d->command_used[d->command.n_used++],
				       &d->command.reasons);
		else
			gy_fault(&d->base, GY_AVP_OCCURS_TOO_MANY_TIMES, avp,
				 "occurs too many times");
		break;
	default:
		gy_decoder_skip(&d->base, avp, def);
	}
}

/* G-08, G-17, G-73: what must be there is there. */
static void require(struct ccr_decoder *d)
{
	static const struct {
		unsigned bit;
		uint32_t code;
	} required[] = {
		{ SESSION_ID, GY_AVP_SESSION_ID },
		{ ORIGIN_HOST, GY_AVP_ORIGIN_HOST },
		{ ORIGIN_REALM, GY_AVP_ORIGIN_REALM },
		{ DESTINATION_REALM, GY_AVP_DESTINATION_REALM },
		{ SERVICE_CONTEXT, GY_AVP_SERVICE_CONTEXT_ID },
		{ REQUEST_TYPE, GY_AVP_CC_REQUEST_TYPE },
		{ REQUEST_NUMBER, GY_AVP_CC_REQUEST_NUMBER },
	};
	enum gy_request_type type = d->ccr->type;

	/* Some clients have it inside Vendor-Specific-Application-Id only (spec/clients.md). */
	if (!(d->seen & (1u << AUTH_APPLICATION | 1u << VENDOR_APPLICATION)))
		gy_fault_missing(&d->base, 0, GY_AVP_AUTH_APPLICATION_ID);
	for (unsigned i = 0; i < sizeof(required) / sizeof(required[0]); i++)
		if (!(d->seen >> required[i].bit & 1))
			gy_fault_missing(&d->base, 0, required[i].code);
	if (type == GY_EVENT && !(d->seen >> REQUESTED_ACTION & 1))
		gy_fault_missing(&d->base, 0, GY_AVP_REQUESTED_ACTION);
	if ((type == GY_INITIAL || type == GY_EVENT) && d->n_identities == 0)
		gy_fault_missing(&d->base, 0, GY_AVP_SUBSCRIPTION_ID);
}

/* Does the AVP make this request another one? Hops, and what a resend may say anew, don't. */
static bool is_content(const struct gy_avp *avp)
{
	switch (GY_AVP_ID(avp->vendor, avp->code)) {
	case IETF(PROXY_INFO):
	case IETF(ROUTE_RECORD):
	case IETF(DESTINATION_HOST):
	case IETF(EVENT_TIMESTAMP):
	case IETF(ORIGIN_STATE_ID):
	case IETF(OC_SUPPORTED_FEATURES):
	case IETF(DRMP):
	case IETF(LOAD):
		return false;
	default:
		return true;
	}
}

/* See ccr.h. Neighbours are hashed in one go: nearly always the whole list in two or three. */
static uint64_t content_hash(struct gy_bytes list)
{
	struct gy_avp_cursor cursor = gy_avp_cursor(list);
	const uint8_t *from = list.data;
	XXH3_state_t state;
	struct gy_avp avp;

	XXH3_64bits_reset(&state);
	while (gy_avp_step(&cursor, &avp) == GY_AVP_STEP_OK) {
		if (is_content(&avp))
			continue;
		XXH3_64bits_update(&state, from, (size_t)(avp.whole.data - from));
		from = cursor.at;
	}
	XXH3_64bits_update(&state, from, (size_t)(cursor.end - from));
	return XXH3_64bits_digest(&state);
}

/* A refund that names a debit of ours is decided as one more request of its event (G-75, ccr.h). */
static void bind_refund(struct ccr_decoder *d)
{
	struct gy_ccr *ccr = d->ccr;
	struct gy_avp avp = { .code = GY_AVP_REFUND_INFORMATION, .vendor = GY_VENDOR_3GPP };

	if (ccr->type != GY_EVENT || ccr->action != GY_REFUND_ACCOUNT)
		return;
	for (unsigned i = 0; i < ccr->n_services; i++)
		if (ccr->services[i].refund_avp.data != NULL)
			avp.whole = ccr->services[i].refund_avp;
	if (avp.whole.data == NULL)
		return;
	if (ccr->n_services > 1)
		gy_fault(&d->base, GY_INVALID_AVP_VALUE, &avp, "stands beside other services");
	else if (!gy_refund_read(avp.whole, ccr))
		gy_fault(&d->base, GY_INVALID_AVP_VALUE, &avp, "is of no answer of ours");
}

/* Moves what the pass collected into the request. */
static void finish(struct ccr_decoder *d)
{
	struct gy_ccr *ccr = d->ccr;

	ccr->identities = talloc_memdup(d->base.pool, d->identities,
					d->n_identities * sizeof(d->identities[0]));
	ccr->n_identities = d->n_identities;
	if (ccr->identities == NULL && d->n_identities > 0)
		gy_fault(&d->base, GY_NO_MEMORY, NULL, "no memory");
	if (!gy_correlation_text(d->base.pool, &d->correlation, &ccr->correlation))
		gy_fault(&d->base, GY_NO_MEMORY, NULL, "no memory");
	ccr->services = d->services;
	ccr->n_services = d->n_services;
	ccr->services_at_command_level = d->n_services == 0;
	if (d->n_services > 0)
		return;
	if (!d->command.requested && d->command.n_used == 0 && d->command.n_service_ids == 0)
		return;
	d->command.used = d->command_used;
	if (d->command.n_service_ids > 0) {
		d->command.service_ids = talloc_memdup(d->base.pool, &d->command_service_id,
						       sizeof(d->command_service_id));
		d->command.service_key = (int64_t)d->command_service_id + 1;
	}
	ccr->services = talloc_memdup(d->base.pool, &d->command, sizeof(d->command));
	ccr->n_services = 1;
	if (ccr->services == NULL ||
	    (d->command.n_service_ids > 0 && d->command.service_ids == NULL))
		gy_fault(&d->base, GY_NO_MEMORY, NULL, "no memory");
}

/* Room for the MSCCs and for Used-Service-Units at command level; false if there is no memory. */
static bool make_room(struct ccr_decoder *d, struct gy_bytes list,
		      const struct gy_envelope *envelope)
{
	unsigned n = envelope->n_services;

	d->max_services = n < GY_SERVICES_MAX ? n : GY_SERVICES_MAX;
	if (n > 0) {
		d->services = talloc_zero_array(d->base.pool, struct gy_service, d->max_services);
		return d->services != NULL;
	}
	n = gy_avp_count(list, 0, GY_AVP_USED_SERVICE_UNIT);
	d->max_used = n < GY_USED_MAX ? n : GY_USED_MAX;
	if (n == 0)
		return true;
	d->command_used = talloc_zero_array(d->base.pool, struct gy_used, d->max_used);
	return d->command_used != NULL;
}

enum gy_rc gy_ccr_decode(void *pool, struct gy_bytes raw, const struct gy_envelope *envelope,
			 const struct gy_decode_terms *terms, struct gy_ccr *ccr,
			 struct gy_answer *error)
{
	struct gy_bytes list = { raw.data + GY_HEADER_SIZE, raw.len - GY_HEADER_SIZE };
	struct gy_avp_cursor cursor = gy_avp_cursor(list);
	struct ccr_decoder d = {
		.base = { .pool = pool, .error = error },
		.ccr = ccr,
		.terms = terms,
	};
	const struct gy_avp_def *def;
	struct gy_avp avp;

	memset(error, 0, sizeof(*error));
	*ccr = (struct gy_ccr){
		.action = GY_ACTION_NONE,
		.end_to_end = envelope->end_to_end,
		.retransmitted = (envelope->flags & GY_CMD_RETRANSMITTED) != 0,
	};
	if (!make_room(&d, list, envelope)) {
		gy_fault(&d.base, GY_NO_MEMORY, NULL, "no memory");
		return GY_NO_MEMORY;
	}
	while (gy_decoder_next(&d.base, &cursor, &avp, &def))
		take(&d, &avp, def);
	require(&d);
	finish(&d);
	if (error->rc == GY_OK && d.base.met_own) {
		ccr->card_order = gy_decode_card_order(pool, list);
		if (ccr->card_order == NULL)
			gy_fault(&d.base, GY_NO_MEMORY, NULL, "no memory");
	}
	if (error->rc != GY_OK)
		return error->rc;
	ccr->content_hash = content_hash(list);
	ccr->session = gy_session_key(ccr->session_id, ccr->has_sub_session, ccr->sub_session);
	bind_refund(&d);
	return error->rc;
}
