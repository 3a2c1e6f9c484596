/* Multiple-Services-Credit-Control and the units in it (RFC 8506 §8.16–8.25, TS 32.299 §7.2).
 *
 * Amounts come out as the core counts them: octets, seconds, service units, micro-units of money.
 * Nothing is rounded: what can't be said exactly is an invalid value. */
#include "extensions/app_gyro/decode_internal.h"

#include <talloc.h>

#include "core/charging/direction.h"

#define IETF(name) GY_AVP_ID(0, GY_AVP_##name)
#define TGPP(name) GY_AVP_ID(GY_VENDOR_3GPP, GY_AVP_##name)

/* What one unit group says, before octets are summed up. */
struct amounts {
	uint32_t seen; /* one bit per field below */
	int64_t total, input, output, seconds, service, micros;
	struct gy_currency currency;
};
enum { TOTAL, INPUT, OUTPUT, SECONDS, SERVICE, MONEY, TARIFF_CHANGE };
#define HAS(amounts, bit) (((amounts)->seen >> (bit)) & 1)

/* 0 and a fault if the amount is beyond what takes part in arithmetic. */
static int64_t amount(struct gy_decoder *decoder, const struct gy_avp *avp)
{
	uint64_t value = avp->data.len == 8 ? gy_get64(avp->data.data) : gy_get32(avp->data.data);

	if (value > (uint64_t)GY_AMOUNT_MAX) {
		gy_fault(decoder, GY_INVALID_AVP_VALUE, avp, "is too large");
		return 0;
	}
	return (int64_t)value;
}

/* digits * 10^exponent units of currency as micro-units. False if that is no whole number of them,
 * negative, or too large. */
static bool to_micros(int64_t digits, int32_t exponent, int64_t *micros)
{
	int64_t shift = (int64_t)exponent + 6;

	if (digits == 0)
		shift = 0;
	for (; shift > 0; shift--)
		if (__builtin_mul_overflow(digits, 10, &digits) || digits > GY_AMOUNT_MAX)
			return false;
	for (; shift < 0; shift++) {
		if (digits % 10 != 0)
			return false;
		digits /= 10;
	}
	*micros = digits;
	return digits >= 0 && digits <= GY_AMOUNT_MAX;
}

/* Unit-Value (RFC 8506 §8.8): Value-Digits, and Exponent, 0 if absent. */
static int64_t unit_value(struct gy_decoder *decoder, const struct gy_avp *group)
{
	struct gy_avp_cursor cursor = gy_avp_cursor(group->data);
	const struct gy_avp_def *def;
	struct gy_avp avp;
	uint32_t seen = 0;
	int64_t digits = 0, micros = 0;
	int32_t exponent = 0;

	while (gy_decoder_next(decoder, &cursor, &avp, &def)) {
		switch (GY_AVP_ID(avp.vendor, avp.code)) {
		case IETF(VALUE_DIGITS):
			if (gy_decoder_once(decoder, &seen, 0, &avp))
				digits = (int64_t)gy_get64(avp.data.data);
			break;
		case IETF(EXPONENT):
			if (gy_decoder_once(decoder, &seen, 1, &avp))
				exponent = (int32_t)gy_get32(avp.data.data);
			break;
		default:
			gy_decoder_skip(decoder, &avp, def);
		}
	}
	if (!(seen & 1))
		gy_fault_missing(decoder, 0, GY_AVP_VALUE_DIGITS);
	else if (!to_micros(digits, exponent, &micros))
		gy_fault(decoder, GY_INVALID_AVP_VALUE, group,
			 "is negative, too large or finer than a millionth");
	return micros;
}

/* ISO 4217 numbers have three digits; any other is nobody's currency. */
static int currency_number(uint32_t code)
{
	return code >= 1 && code <= 999 ? (int)code : -1;
}

/* CC-Money (RFC 8506 §8.22). */
static int64_t money(struct gy_decoder *decoder, const struct gy_avp *group,
		     struct amounts *amounts)
{
	struct gy_avp_cursor cursor = gy_avp_cursor(group->data);
	const struct gy_avp_def *def;
	struct gy_avp avp;
	uint32_t seen = 0;
	int64_t micros = 0;

	while (gy_decoder_next(decoder, &cursor, &avp, &def)) {
		switch (GY_AVP_ID(avp.vendor, avp.code)) {
		case IETF(UNIT_VALUE):
			if (gy_decoder_once(decoder, &seen, 0, &avp))
				micros = unit_value(decoder, &avp);
			break;
		case IETF(CURRENCY_CODE):
			if (!gy_decoder_once(decoder, &seen, 1, &avp))
				break;
			amounts->currency = (struct gy_currency){
				.code = currency_number(gy_get32(avp.data.data)),
				.avp = avp.whole,
			};
			break;
		default:
			gy_decoder_skip(decoder, &avp, def);
		}
	}
	if (!(seen & 1))
		gy_fault_missing(decoder, 0, GY_AVP_UNIT_VALUE);
	return micros;
}

/* True if avp is one of the fields that RSU and USU share; it is then taken. */
static bool amounts_take(struct gy_decoder *decoder, struct amounts *amounts,
			 const struct gy_avp *avp)
{
	int64_t *field, value;
	unsigned bit;

	switch (GY_AVP_ID(avp->vendor, avp->code)) {
	case IETF(CC_TOTAL_OCTETS):
		bit = TOTAL, field = &amounts->total;
		break;
	case IETF(CC_INPUT_OCTETS):
		bit = INPUT, field = &amounts->input;
		break;
	case IETF(CC_OUTPUT_OCTETS):
		bit = OUTPUT, field = &amounts->output;
		break;
	case IETF(CC_TIME):
		bit = SECONDS, field = &amounts->seconds;
		break;
	case IETF(CC_SERVICE_SPECIFIC_UNITS):
		bit = SERVICE, field = &amounts->service;
		break;
	case IETF(CC_MONEY):
		bit = MONEY, field = &amounts->micros;
		break;
	default:
		return false;
	}
	if (!gy_decoder_once(decoder, &amounts->seen, bit, avp))
		return true;
	value = bit == MONEY ? money(decoder, avp, amounts) : amount(decoder, avp);
	*field = value;
	return true;
}

/* G-41: the total wins over its parts; the parts alone are summed. */
static void amounts_store(struct gy_decoder *decoder, const struct amounts *amounts,
			  const struct gy_avp *group, bool present[GY_UNIT_COUNT],
			  int64_t count[GY_UNIT_COUNT])
{
	int64_t octets = HAS(amounts, TOTAL) ? amounts->total : amounts->input + amounts->output;

	if (octets > GY_AMOUNT_MAX)
		gy_fault(decoder, GY_INVALID_AVP_VALUE, group, "holds too many octets");
	present[GY_UNIT_OCTETS] =
		HAS(amounts, TOTAL) || HAS(amounts, INPUT) || HAS(amounts, OUTPUT);
	count[GY_UNIT_OCTETS] = octets;
	present[GY_UNIT_SECONDS] = HAS(amounts, SECONDS);
	count[GY_UNIT_SECONDS] = amounts->seconds;
	present[GY_UNIT_SERVICE] = HAS(amounts, SERVICE);
	count[GY_UNIT_SERVICE] = amounts->service;
	present[GY_UNIT_MONEY] = HAS(amounts, MONEY);
	count[GY_UNIT_MONEY] = amounts->micros;
}

void gy_decode_requested(struct gy_decoder *decoder, const struct gy_avp *group,
			 struct gy_service *service)
{
	struct gy_avp_cursor cursor = gy_avp_cursor(group->data);
	struct amounts amounts = { 0 };
	const struct gy_avp_def *def;
	struct gy_avp avp;

	while (gy_decoder_next(decoder, &cursor, &avp, &def))
		if (!amounts_take(decoder, &amounts, &avp))
			gy_decoder_skip(decoder, &avp, def);
	service->requested = true;
	service->requested_currency = amounts.currency;
	amounts_store(decoder, &amounts, group, service->requested_present,
		      service->requested_count);
	if (!HAS(&amounts, TOTAL))
		gy_directions_ask(service, HAS(&amounts, INPUT) ? &amounts.input : NULL,
				  HAS(&amounts, OUTPUT) ? &amounts.output : NULL);
}

/* Any value that we don't know counts as "other" (G-11). */
static uint32_t reason_bit(const struct gy_avp *avp)
{
	uint32_t value = gy_get32(avp->data.data);

	return UINT32_C(1) << (value <= GY_REASON_UNUSED_QUOTA_TIMER ? value
								     : (uint32_t)GY_REASON_OTHER);
}

void gy_decode_used(struct gy_decoder *decoder, const struct gy_avp *group, struct gy_used *used,
		    uint32_t *reasons)
{
	struct gy_avp_cursor cursor = gy_avp_cursor(group->data);
	struct amounts amounts = { 0 };
	const struct gy_avp_def *def;
	struct gy_avp avp;
	uint32_t change;

	used->tariff_change = GY_TCU_ABSENT;
	while (gy_decoder_next(decoder, &cursor, &avp, &def)) {
		if (amounts_take(decoder, &amounts, &avp))
			continue;
		switch (GY_AVP_ID(avp.vendor, avp.code)) {
		case IETF(TARIFF_CHANGE_USAGE):
			if (!gy_decoder_once(decoder, &amounts.seen, TARIFF_CHANGE, &avp))
				break;
			change = gy_get32(avp.data.data);
			if (change <= GY_TCU_INDETERMINATE)
				used->tariff_change = (enum gy_tariff_change_usage)change;
			else
				gy_fault(decoder, GY_INVALID_AVP_VALUE, &avp, "is none of 0..2");
			break;
		case TGPP(REPORTING_REASON):
			*reasons |= reason_bit(&avp);
			break;
		default:
			gy_decoder_skip(decoder, &avp, def);
		}
	}
	used->currency = amounts.currency;
	amounts_store(decoder, &amounts, group, used->present, used->count);
}

/* Room for n elements, or NULL and a fault if n is above max or memory is out. */
static void *room(struct gy_decoder *decoder, size_t size, unsigned n, unsigned max,
		  const struct gy_avp *mscc)
{
	void *array;

	if (n > max) {
		gy_fault(decoder, GY_AVP_OCCURS_TOO_MANY_TIMES, mscc, "holds too many AVPs");
		return NULL;
	}
	array = talloc_zero_size(decoder->pool, size * n);
	if (array == NULL)
		gy_fault(decoder, GY_NO_MEMORY, NULL, "no memory");
	return array;
}

enum { RATING_GROUP, REQUESTED, TRIGGER, REFUND };

/* One AVP of an MSCC. */
static void service_take(struct gy_decoder *decoder, struct gy_service *service, uint32_t *seen,
			 uint32_t *service_ids, struct gy_used *used, const struct gy_avp *avp,
			 const struct gy_avp_def *def)
{
	switch (GY_AVP_ID(avp->vendor, avp->code)) {
	case IETF(RATING_GROUP):
		if (!gy_decoder_once(decoder, seen, RATING_GROUP, avp))
			break;
		service->has_rating_group = true;
		service->rating_group = gy_get32(avp->data.data);
		service->rating_group_avp = avp->whole;
		break;
	case IETF(SERVICE_IDENTIFIER):
		if (service_ids != NULL)
			service_ids[service->n_service_ids++] = gy_get32(avp->data.data);
		break;
	case IETF(REQUESTED_SERVICE_UNIT):
		if (gy_decoder_once(decoder, seen, REQUESTED, avp))
			gy_decode_requested(decoder, avp, service);
		break;
	case IETF(USED_SERVICE_UNIT):
		if (used != NULL)
			gy_decode_used(decoder, avp, &used[service->n_used++], &service->reasons);
		break;
	case TGPP(REPORTING_REASON):
		service->reasons |= reason_bit(avp);
		break;
	case TGPP(REFUND_INFORMATION):
		if (gy_decoder_once(decoder, seen, REFUND, avp))
			service->refund_avp = avp->whole;
		break;
	case TGPP(TRIGGER):
		gy_decoder_once(decoder, seen, TRIGGER, avp);
		gy_decoder_skip(decoder, avp, def);
		break;
	default:
		gy_decoder_skip(decoder, avp, def);
	}
}

void gy_decode_service(struct gy_decoder *decoder, const struct gy_avp *mscc,
		       struct gy_service *service)
{
	struct gy_avp_cursor cursor = gy_avp_cursor(mscc->data);
	unsigned n_ids = gy_avp_count(mscc->data, 0, GY_AVP_SERVICE_IDENTIFIER);
	unsigned n_used = gy_avp_count(mscc->data, 0, GY_AVP_USED_SERVICE_UNIT);
	uint32_t *service_ids = NULL, seen = 0;
	struct gy_used *used = NULL;
	const struct gy_avp_def *def;
	struct gy_avp avp;

	service->avp = mscc->whole;
	if (n_ids > 0)
		service_ids = room(decoder, sizeof(*service_ids), n_ids, GY_SERVICE_IDS_MAX, mscc);
	if (n_used > 0)
		used = room(decoder, sizeof(*used), n_used, GY_USED_MAX, mscc);
	while (gy_decoder_next(decoder, &cursor, &avp, &def))
		service_take(decoder, service, &seen, service_ids, used, &avp, def);
	service->service_ids = service_ids;
	service->used = used;
	service->service_key = gy_service_key(service_ids, service->n_service_ids);
}
