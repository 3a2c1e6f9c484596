/* Gyro's own AVPs of a CCR (spec/cards.md): a second pass over its AVPs, only for requests that
 * have any. What is wrong with them is kept apart from the request's other faults, since only card
 * operations care; see struct gy_card_order. */
#include <string.h>
#include <talloc.h>

#include "core/charging/card_order.h"
#include "extensions/app_gyro/decode_internal.h"

#define IETF(name) GY_AVP_ID(0, GY_AVP_##name)
#define OWN(name)  GY_AVP_ID(GY_VENDOR_GYRO, GY_AVP_##name)

/* The core has its own names for them: codes are as in dict/avps.csv. */
#define SAME(own, avp) _Static_assert((int)GY_OWN_##own == (int)GY_AVP_##avp, "its code")
SAME(OPERATION, CARD_OPERATION);
SAME(PRODUCT, PRODUCT_ID);
SAME(PURCHASE, PURCHASE_ID);
SAME(CARD, CARD_ID);
SAME(USER_CLASS, USER_CLASS);
SAME(DIRECTED, DIRECTED_TRAFFIC_INFO);
SAME(APP, DIRECTED_APP_ID);
SAME(URL, DIRECTED_URL);
SAME(FLOW, DIRECTED_FLOW);
SAME(PRIORITY, USE_PRIORITY);
SAME(BENEFICIARY, BENEFICIARY);
#undef SAME

struct card_decoder {
	struct gy_decoder base;
	struct gy_card_order *order;
	struct gy_directed *directed;
	unsigned max_directed;
	uint32_t seen; /* by code */
};

bool gy_decode_subscription_id(struct gy_decoder *decoder, const struct gy_avp *group,
			       enum gy_identity_kind *kind, struct gy_bytes *value)
{
	static const enum gy_identity_kind kinds[] = {
		GY_IDENTITY_E164, GY_IDENTITY_IMSI,    GY_IDENTITY_SIP_URI,
		GY_IDENTITY_NAI,  GY_IDENTITY_PRIVATE,
	};
	struct gy_avp_cursor cursor = gy_avp_cursor(group->data);
	const struct gy_avp_def *def;
	struct gy_bytes data = { NULL, 0 };
	struct gy_avp avp;
	uint32_t seen = 0, type = 0;

	while (gy_decoder_next(decoder, &cursor, &avp, &def)) {
		switch (GY_AVP_ID(avp.vendor, avp.code)) {
		case IETF(SUBSCRIPTION_ID_TYPE):
			if (gy_decoder_once(decoder, &seen, 0, &avp))
				type = gy_get32(avp.data.data);
			break;
		case IETF(SUBSCRIPTION_ID_DATA):
			if (gy_decoder_once(decoder, &seen, 1, &avp))
				data = avp.data;
			break;
		default:
			gy_decoder_skip(decoder, &avp, def);
		}
	}
	if (!(seen & 1))
		gy_fault_missing(decoder, 0, GY_AVP_SUBSCRIPTION_ID_TYPE);
	else if (!(seen & 2))
		gy_fault_missing(decoder, 0, GY_AVP_SUBSCRIPTION_ID_DATA);
	if ((seen & 3) != 3 || type >= sizeof(kinds) / sizeof(kinds[0]))
		return false;
	*kind = kinds[type];
	*value = data;
	return true;
}

/* Text that the database looks up: there, not too long, without a NUL. */
static struct gy_bytes text(struct card_decoder *d, const struct gy_avp *avp, size_t max)
{
	if (avp->data.len == 0)
		gy_fault(&d->base, GY_INVALID_AVP_VALUE, avp, "is empty");
	else if (avp->data.len > max)
		gy_fault(&d->base, GY_INVALID_AVP_VALUE, avp, "is too long");
	else if (memchr(avp->data.data, 0, avp->data.len) != NULL)
		gy_fault(&d->base, GY_INVALID_AVP_VALUE, avp, "holds a NUL octet");
	return avp->data;
}

/* An IPFilterRule is ASCII (RFC 6733 §4.3.1). */
static struct gy_bytes filter_rule(struct card_decoder *d, const struct gy_avp *avp)
{
	struct gy_bytes value = text(d, avp, GY_CARD_ADDRESS_MAX);

	for (size_t i = 0; i < value.len; i++)
		if (value.data[i] < ' ' || value.data[i] > '~') {
			gy_fault(&d->base, GY_INVALID_AVP_VALUE, avp, "is not ASCII");
			break;
		}
	return value;
}

static void directed_info(struct card_decoder *d, const struct gy_avp *group)
{
	struct gy_avp_cursor cursor = gy_avp_cursor(group->data);
	const struct gy_avp_def *def;
	struct gy_directed *info;
	struct gy_avp avp;
	uint32_t seen = 0;

	if (d->order->n_directed == d->max_directed) {
		gy_fault(&d->base, GY_AVP_OCCURS_TOO_MANY_TIMES, group, "occurs too many times");
		return;
	}
	info = &d->directed[d->order->n_directed++];
	info->avp = group->whole;
	while (gy_decoder_next(&d->base, &cursor, &avp, &def)) {
		switch (GY_AVP_ID(avp.vendor, avp.code)) {
		case OWN(DIRECTED_APP_ID):
			if (!gy_decoder_once(&d->base, &seen, GY_OWN_APP, &avp))
				break;
			info->app = text(d, &avp, GY_CARD_NAME_MAX);
			info->app_avp = avp.whole;
			break;
		case OWN(DIRECTED_URL):
			if (!gy_decoder_once(&d->base, &seen, GY_OWN_URL, &avp))
				break;
			info->url = text(d, &avp, GY_CARD_ADDRESS_MAX);
			info->url_avp = avp.whole;
			break;
		case OWN(DIRECTED_FLOW):
			if (!gy_decoder_once(&d->base, &seen, GY_OWN_FLOW, &avp))
				break;
			info->flow = filter_rule(d, &avp);
			info->flow_avp = avp.whole;
			break;
		default:
			gy_decoder_skip(&d->base, &avp, def);
		}
	}
}

/* Beneficiary: one Subscription-Id, written as the database keeps identities. */
static void beneficiary(struct card_decoder *d, const struct gy_avp *group)
{
	struct gy_avp_cursor cursor = gy_avp_cursor(group->data);
	struct gy_identity *who = &d->order->beneficiary;
	const struct gy_avp_def *def;
	struct gy_bytes value;
	struct gy_avp avp;
	uint32_t seen = 0;

	while (gy_decoder_next(&d->base, &cursor, &avp, &def)) {
		if (GY_AVP_ID(avp.vendor, avp.code) != IETF(SUBSCRIPTION_ID)) {
			gy_decoder_skip(&d->base, &avp, def);
			continue;
		}
		if (!gy_decoder_once(&d->base, &seen, 0, &avp))
			continue;
		if (!gy_decode_subscription_id(&d->base, &avp, &who->kind, &value)) {
			gy_fault(&d->base, GY_INVALID_AVP_VALUE, group, "names nobody");
			continue;
		}
		if (who->kind == GY_IDENTITY_E164 && value.len > 0 && value.data[0] == '+')
			value = (struct gy_bytes){ value.data + 1, value.len - 1 };
		if (value.len == 0 || memchr(value.data, 0, value.len) != NULL)
			gy_fault(&d->base, GY_INVALID_AVP_VALUE, group, "names nobody");
		who->value = value;
	}
	if (!(seen & 1))
		gy_fault_missing(&d->base, 0, GY_AVP_SUBSCRIPTION_ID);
	who->avp = group->whole;
}

/* The value of an Enumerated that must be one of 0..high. */
static uint32_t ranged(struct card_decoder *d, const struct gy_avp *avp, uint32_t high,
		       const char *reason)
{
	uint32_t value = gy_get32(avp->data.data);

	if (value > high)
		gy_fault(&d->base, GY_INVALID_AVP_VALUE, avp, reason);
	return value;
}

static void take_own(struct card_decoder *d, const struct gy_avp *avp, const struct gy_avp_def *def)
{
	struct gy_card_order *order = d->order;

	if (avp->code < GY_OWN_AVPS && order->own[avp->code].data == NULL)
		order->own[avp->code] = avp->whole;
	if (avp->code == GY_OWN_DIRECTED) { /* the only one that may be repeated */
		directed_info(d, avp);
		return;
	}
	if (avp->code >= GY_OWN_AVPS || strchr(def->classes, 'U') == NULL) {
		gy_decoder_skip(&d->base, avp, def);
		return;
	}
	if (!gy_decoder_once(&d->base, &d->seen, avp->code, avp))
		return;
	switch (avp->code) {
	case GY_OWN_OPERATION:
		order->operation =
			(enum gy_card_operation)ranged(d, avp, GY_CARD_CANCEL, "is none of 0..5");
		break;
	case GY_OWN_PRODUCT:
		order->product = text(d, avp, GY_CARD_NAME_MAX);
		break;
	case GY_OWN_PURCHASE:
		order->purchase = text(d, avp, GY_CARD_NAME_MAX);
		break;
	case GY_OWN_CARD:
		order->card = text(d, avp, GY_CARD_NAME_MAX);
		break;
	case GY_OWN_USER_CLASS: /* a hint, which the server does not need */
		ranged(d, avp, 1, "is none of 0..1");
		break;
	case GY_OWN_PRIORITY:
		order->priority = gy_get32(avp->data.data);
		break;
	case GY_OWN_BENEFICIARY:
		beneficiary(d, avp);
		break;
	default: /* of a group */
		break;
	}
}

/* The first Used-Service-Unit of a list that counts service-specific units. */
static struct gy_bytes used_unit(struct gy_bytes list)
{
	struct gy_avp_cursor cursor = gy_avp_cursor(list);
	struct gy_avp avp;

	while (gy_avp_step(&cursor, &avp) == GY_AVP_STEP_OK)
		if (GY_AVP_ID(avp.vendor, avp.code) == IETF(USED_SERVICE_UNIT) &&
		    gy_avp_count(avp.data, 0, GY_AVP_CC_SERVICE_SPECIFIC_UNITS) > 0)
			return avp.whole;
	return (struct gy_bytes){ NULL, 0 };
}

static void take_other(struct gy_card_order *order, const struct gy_avp *avp)
{
	switch (GY_AVP_ID(avp->vendor, avp->code)) {
	case IETF(CC_REQUEST_TYPE):
		order->request_type = avp->whole;
		break;
	case IETF(REQUESTED_ACTION):
		order->requested_action = avp->whole;
		break;
	case IETF(MULTIPLE_SERVICES_CREDIT_CONTROL):
		if (order->used_unit.data == NULL)
			order->used_unit = used_unit(avp->data);
		break;
	default:
		break;
	}
}

const struct gy_card_order *gy_decode_card_order(void *pool, struct gy_bytes list)
{
	struct gy_card_order *order = talloc_zero(pool, struct gy_card_order);
	unsigned n = gy_avp_count(list, GY_VENDOR_GYRO, GY_AVP_DIRECTED_TRAFFIC_INFO);
	struct gy_avp_cursor cursor = gy_avp_cursor(list);
	struct card_decoder d = { .order = order };
	const struct gy_avp_def *def;
	struct gy_avp avp;

	d.max_directed = n < GY_DIRECTED_MAX ? n : GY_DIRECTED_MAX;
	if (order != NULL && n > 0)
		d.directed = talloc_zero_array(order, struct gy_directed, d.max_directed);
	if (order == NULL || (n > 0 && d.directed == NULL))
		return NULL;
	d.base = (struct gy_decoder){ .pool = pool, .error = &order->fault, .own = true };
	order->priority = -1;
	order->directed = d.directed;
	order->used_unit = used_unit(list);
	while (gy_decoder_next(&d.base, &cursor, &avp, &def)) {
		if (avp.vendor == GY_VENDOR_GYRO)
			take_own(&d, &avp, def);
		else
			take_other(order, &avp);
	}
	if (!(d.seen >> GY_OWN_OPERATION & 1))
		gy_fault_missing(&d.base, GY_VENDOR_GYRO, GY_AVP_CARD_OPERATION);
	return order;
}
